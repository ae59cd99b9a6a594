//! Lists what is wrong with a document: decodes it, scans it, checks it against the grammar, and gives each finding its position.

use memchr::{memchr, memmem};

use super::{
    charset::{ReadError, Text},
    code::Level,
    error::Error,
    excerpt::Excerpt,
    finding::{Finding, Problem},
    grammar::Grammar,
    inspect::{Inspector, SchemaFinding},
    kind::Kind,
    name::Name,
    position::{LineIndex, Position},
    rules::{Rules, Strictness},
    scan::{Handler, ScanError, scan},
    schema::SchemaError,
    span::Span,
    syntax::SyntaxError,
};

/// Everything that was found in a document.
#[derive(Clone, Debug)]
pub struct Report {
    kind: Kind,
    findings: Vec<Finding>,
}

impl Report {
    /// The kind of TwiML whose grammar was applied.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Errors and warnings, in the order of the document.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether Twilio can act on the document; with [`Strictness::Strict`], whether there are no findings.
    pub fn is_valid(&self, strictness: Strictness) -> bool {
        match strictness {
            Strictness::Twilio => self.findings.iter().all(|f| f.level < Level::Error),
            Strictness::Strict => self.findings.is_empty(),
        }
    }
}

/// Lists everything that is wrong with a document. `charset` is that parameter of its `Content-Type`, if it had one.
///
/// ```
/// use understudy::twiml::{Kind, Level, Rules, Strictness, lint};
///
/// let document = b"<Response>\n  <say>Hello</say>\n</Response>";
/// let report = lint(document, None, &Rules::new(Kind::Voice, Strictness::Twilio));
/// let [finding] = report.findings() else { panic!("one thing is wrong") };
/// assert_eq!((finding.level(), finding.code(), finding.path()), (Level::Warning, 12200, "Response/say"));
/// assert_eq!(finding.position().to_string(), "line 2, column 4");
/// assert_eq!(finding.to_string(), "unknown element `<say>` in `<Response>`");
/// assert_eq!(finding.help().as_deref(), Some("did you mean `<Say>`?"));
/// assert!(report.is_valid(Strictness::Twilio) && !report.is_valid(Strictness::Strict));
/// ```
pub fn lint(document: &[u8], charset: Option<&str>, rules: &Rules) -> Report {
    Report {
        kind: rules.kind(),
        findings: find_all(document, charset, rules),
    }
}

/// Checks whether a document, TwiML or not, is well-formed XML 1.0 without a DOCTYPE. `charset` is that parameter of its
/// `Content-Type`, if it had one.
///
/// # Errors
///
/// The first thing that is wrong, and where.
pub fn check_well_formed(document: &[u8], charset: Option<&str>) -> Result<(), Error> {
    let error = |finding| reject(finding, document, charset, &Grammar::of(Kind::Voice));
    let text = Text::read(document, charset)
        .map_err(|unreadable| error(encoding_finding(document, unreadable)))?;
    read(&text, &mut ()).map_err(|scan_error| error(syntax_finding(&text, scan_error)))
}

/// The warnings of a valid document, or the finding that makes it invalid.
pub(super) fn find_warnings(
    document: &[u8],
    charset: Option<&str>,
    rules: &Rules,
) -> Result<Vec<Finding>, Error> {
    let mut findings = find_all(document, charset, rules);
    let first_error = findings.iter().position(|f| f.level == Level::Error);
    let decisive = match rules.strictness() {
        Strictness::Strict if !findings.is_empty() => first_error.or(Some(0)),
        Strictness::Strict | Strictness::Twilio => first_error,
    };
    match decisive {
        Some(i) => {
            let finding = findings.swap_remove(i);
            Err(reject(finding, document, charset, rules.grammar()))
        }
        None => Ok(findings),
    }
}

#[cold]
fn reject(finding: Finding, document: &[u8], charset: Option<&str>, grammar: &Grammar) -> Error {
    let excerpt = Excerpt::new(document, charset, &finding, grammar);
    Error::new(finding, excerpt)
}

/// A document that is not well-formed, or has the wrong root, gets no other findings: Twilio looks no further either. If it is
/// both, the wrong root comes first: such a document is rarely meant as XML, so its XML errors don't help.
fn find_all(document: &[u8], charset: Option<&str>, rules: &Rules) -> Vec<Finding> {
    let text = match Text::read(document, charset) {
        Ok(text) => text,
        Err(error) => return vec![encoding_finding(document, error)],
    };
    let mut inspector = Inspector::new(rules.grammar(), text.as_bytes());
    let scanned = read(&text, &mut inspector);
    match (scanned, inspector.wrong_root) {
        (Err(error), wrong_root) => malformed_findings(&text, error, wrong_root, rules.kind()),
        (Ok(()), Some(root)) => vec![root_finding(&text, root)],
        (Ok(()), None) => schema_findings(&text, inspector.into_findings()),
    }
}

/// Scans the text. The scanner doesn't look for illegal characters, so one before its first error is the first error.
fn read<'t>(text: &'t Text<'_>, handler: &mut impl Handler<'t>) -> Result<(), ScanError> {
    let scanned = scan(text.as_bytes(), handler);
    let Some((at, character)) = text.first_illegal() else {
        return scanned;
    };
    match scanned {
        Err(error) if error.at < at => Err(error),
        Ok(()) | Err(_) => Err(ScanError {
            at,
            error: SyntaxError::IllegalCharacter(character),
            open: Vec::new(),
        }),
    }
}

fn encoding_finding(document: &[u8], ReadError { at, error }: ReadError) -> Finding {
    Finding::error(12100, error, Position::in_bytes(document, at))
}

/// Plain text in the response to a message is a warning of schema validation (three reports: "Content is not allowed in
/// prolog", code 12200, nothing sent). Any other malformed document is an error.
fn malformed_findings(
    text: &Text<'_>,
    error: ScanError,
    wrong_root: Option<Span<'_>>,
    kind: Kind,
) -> Vec<Finding> {
    if kind == Kind::Messaging && is_plain_text(text, &error.error) {
        let position = LineIndex::new(text).position(error.at);
        return vec![Finding {
            level: Level::Warning,
            ..Finding::error(12200, SchemaError::NotMarkup, position)
        }];
    }
    if let Some(known) = recognize(text, &error, wrong_root) {
        return vec![syntax_finding(text, known)];
    }
    let root = wrong_root.map(|root| root_finding(text, root));
    let syntax = syntax_finding(text, error);
    root.into_iter().chain([syntax]).collect()
}

fn is_plain_text(text: &Text<'_>, error: &SyntaxError) -> bool {
    let bytes = text.as_bytes();
    let has_no_root = matches!(error, SyntaxError::BeforeRoot | SyntaxError::NoRoot);
    has_no_root && !bytes.is_empty() && memchr(b'<', bytes).is_none()
}

/// Recognizes what commonly takes the place of TwiML by accident.
fn recognize(
    text: &Text<'_>,
    error: &ScanError,
    wrong_root: Option<Span<'_>>,
) -> Option<ScanError> {
    let is_outside_root = matches!(
        error.error,
        SyntaxError::BeforeRoot
            | SyntaxError::NoRoot
            | SyntaxError::AfterRoot
            | SyntaxError::SecondRoot(_)
    );
    let at = wrong_root.map_or(error.at, |root| root.at - 1);
    let rest = &text.as_bytes()[at..];
    let recognized = if (is_outside_root || wrong_root.is_some()) && is_php_message(rest) {
        SyntaxError::PhpMessage
    } else if error.error == SyntaxError::Doctype && is_html_doctype(rest) {
        SyntaxError::HtmlDoctype
    } else {
        return None;
    };
    Some(ScanError {
        at,
        error: recognized,
        open: Vec::new(),
    })
}

/// Whether text begins like a message of PHP: as HTML (`<br />`, line break, `<b>Warning</b>: `), as plain text, or as a table
/// of the extension Xdebug.
fn is_php_message(text: &[u8]) -> bool {
    const KINDS: [&[u8]; 6] = [
        b"Warning",
        b"Notice",
        b"Deprecated",
        b"Fatal error",
        b"Parse error",
        b"Recoverable fatal error",
    ];
    let text = text
        .strip_prefix(b"<br />")
        .unwrap_or(text)
        .trim_ascii_start();
    let (text, end) = match text.strip_prefix(b"<b>") {
        Some(bold) => (bold, &b"</b>:"[..]),
        None => (text.strip_prefix(b"PHP ").unwrap_or(text), &b": "[..]),
    };
    let mut kinds = KINDS.iter().filter_map(|kind| text.strip_prefix(*kind));
    let is_xdebug = || memmem::find(&text[..text.len().min(100)], b"xdebug-error").is_some();
    kinds.any(|rest| rest.starts_with(end)) || is_xdebug()
}

fn is_html_doctype(text: &[u8]) -> bool {
    let name = text.get(9..).unwrap_or_default().trim_ascii_start();
    name.get(..4)
        .is_some_and(|name| name.eq_ignore_ascii_case(b"html"))
}

fn syntax_finding(text: &Text<'_>, ScanError { at, error, open }: ScanError) -> Finding {
    let names = open
        .into_iter()
        .map(|range| Name::new(&text.as_bytes()[range]).to_string());
    let path = names.collect::<Vec<_>>().join("/").into();
    let position = LineIndex::new(text).position(at);
    Finding {
        path,
        ..Finding::error(12100, error, position)
    }
}

fn root_finding(text: &Text<'_>, root: Span<'_>) -> Finding {
    let found = Name::new(root.raw);
    let position = LineIndex::new(text).position(root.at);
    Finding {
        width: root.width(),
        ..Finding::error(12102, Problem::Root { found }, position)
    }
}

fn schema_findings(text: &Text<'_>, mut findings: Vec<SchemaFinding<'_>>) -> Vec<Finding> {
    if findings.is_empty() {
        return Vec::new();
    }
    findings.sort_by_key(|finding| finding.span.at);
    let mut lines = LineIndex::new(text);
    let with_position = |finding: SchemaFinding<'_>| Finding {
        problem: finding.error.into(),
        code: finding.code.number,
        level: finding.code.level,
        position: lines.position(finding.span.at),
        width: finding.span.width(),
        path: finding.path,
    };
    findings.into_iter().map(with_position).collect()
}
