//! Brings the parts together: bytes become text, the scanner reads it, the grammar listens, and the findings get their
//! places.

use memchr::{memchr, memmem};

use super::{
    Error, Excerpt, Fact, Finding, Kind, Level, Name, Rules, Schema, Strictness, Syntax,
    charset::{Text, Unreadable},
    grammar::Grammar,
    inspect::{Found, Inspector},
    position::{LineIndex, Position},
    scan::{Sink, Stopped, scan},
    span::Span,
};

/// Everything that was found in a page.
#[derive(Clone, Debug)]
pub struct Judgement {
    kind: Kind,
    findings: Vec<Finding>,
}

impl Judgement {
    /// Which grammar the page was judged by.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Errors and warnings in the order of the page.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether Twilio can act on the page; with [`Strictness::Strict`], whether there was nothing to find.
    pub fn is_valid(&self, strictness: Strictness) -> bool {
        match strictness {
            Strictness::Twilio => self.findings.iter().all(|f| f.level < Level::Error),
            Strictness::Strict => self.findings.is_empty(),
        }
    }
}

/// Judges a page and gathers all that is to be said of it. `charset` is that parameter of its `Content-Type`, if it had one.
///
/// ```
/// use understudy::twiml::{Kind, Level, Rules, Strictness, judge};
///
/// let page = b"<Response>\n  <say>Hello</say>\n</Response>";
/// let judgement = judge(page, None, &Rules::new(Kind::Voice, Strictness::Twilio));
/// let [finding] = judgement.findings() else { panic!("one thing is wrong") };
/// assert_eq!((finding.level(), finding.code(), finding.path()), (Level::Warning, 12200, "Response/say"));
/// assert_eq!(finding.place().to_string(), "line 2, column 4");
/// assert_eq!(finding.to_string(), "unknown element `<say>` in `<Response>`");
/// assert_eq!(finding.help().as_deref(), Some("did you mean `<Say>`?"));
/// assert!(judgement.is_valid(Strictness::Twilio) && !judgement.is_valid(Strictness::Strict));
/// ```
pub fn judge(page: &[u8], charset: Option<&str>, rules: &Rules) -> Judgement {
    Judgement {
        kind: rules.kind(),
        findings: findings(page, charset, rules),
    }
}

/// Whether a page is well-formed XML 1.0 without a DOCTYPE, be it TwiML or not.
pub fn well_formed(page: &[u8], charset: Option<&str>) -> Result<(), Error> {
    let fault = |finding| fault(finding, page, charset, &Grammar::of(Kind::Voice));
    let text = Text::read(page, charset).map_err(|unreadable| fault(of_bytes(page, unreadable)))?;
    read(&text, &mut ()).map_err(|stopped| fault(of_syntax(&text, stopped)))
}

/// The warnings of a page that passes, or the finding that decides against it.
pub(super) fn decide(
    page: &[u8],
    charset: Option<&str>,
    rules: &Rules,
) -> Result<Vec<Finding>, Error> {
    let found = findings(page, charset, rules);
    let decisive = match (
        rules.strictness(),
        found.iter().position(|f| f.level == Level::Error),
    ) {
        (Strictness::Strict, None) if !found.is_empty() => Some(0),
        (_, error) => error,
    };
    match decisive {
        Some(i) => {
            let finding = found.into_iter().nth(i).expect("was found at this index");
            Err(fault(finding, page, charset, rules.grammar()))
        }
        None => Ok(found),
    }
}

#[cold]
fn fault(finding: Finding, page: &[u8], charset: Option<&str>, grammar: &Grammar) -> Error {
    let excerpt = Excerpt::of(page, charset, &finding, grammar);
    Error::new(finding, excerpt)
}

/// A document that is not well-formed, or has another root, has no other findings: Twilio looks no further either. Where both
/// are so the root comes first: a document of another kind is rarely well-formed XML, and to say what is wrong with it as XML does
/// not help.
fn findings(page: &[u8], charset: Option<&str>, rules: &Rules) -> Vec<Finding> {
    let text = match Text::read(page, charset) {
        Ok(text) => text,
        Err(unreadable) => return vec![of_bytes(page, unreadable)],
    };
    let mut inspector = Inspector::new(rules.grammar(), text.as_bytes());
    if let Err(stopped) = read(&text, &mut inspector) {
        return of_malformed(&text, stopped, inspector.other_root, rules.kind());
    }
    if let Some(root) = inspector.other_root {
        return vec![of_root(&text, root)];
    }
    of_schema(&text, inspector.found)
}

/// Scans the text; a forbidden character before the point where the scan stops is where it should have stopped.
fn read<'t>(text: &'t Text<'_>, sink: &mut impl Sink<'t>) -> Result<(), Stopped> {
    let scanned = scan(text.as_bytes(), sink);
    let Some((at, character)) = text.first_illegal() else {
        return scanned;
    };
    match scanned {
        Err(stopped) if stopped.at < at => Err(stopped),
        Ok(()) | Err(_) => Err(Stopped {
            at,
            fact: Syntax::IllegalCharacter(character),
            open: Vec::new(),
        }),
    }
}

fn of_bytes(page: &[u8], unreadable: Unreadable) -> Finding {
    let place = Position::in_bytes(page, unreadable.at);
    error(12100, Fact::Encoding(unreadable.fact), place)
}

/// Plain text in answer to a message is schema validation's concern and a warning (three reports: "Content is not allowed
/// in prolog", code 12200, nothing sent); anything else that is malformed is an error.
fn of_malformed(
    text: &Text<'_>,
    stopped: Stopped,
    other_root: Option<Span<'_>>,
    kind: Kind,
) -> Vec<Finding> {
    let bytes = text.as_bytes();
    let is_before = matches!(stopped.fact, Syntax::BeforeRoot | Syntax::NoRoot);
    let is_text = is_before && !bytes.is_empty() && memchr(b'<', bytes).is_none();
    if kind == Kind::Messaging && is_text {
        let place = LineIndex::new(text).place(stopped.at);
        return vec![Finding {
            level: Level::Warning,
            ..error(12200, Fact::Schema(Schema::NotMarkup), place)
        }];
    }
    let is_after = matches!(stopped.fact, Syntax::AfterRoot | Syntax::SecondRoot(_));
    let first = other_root.map_or(stopped.at, |root| root.at - 1);
    let known =
        if (is_before || is_after || other_root.is_some()) && is_php_message(&bytes[first..]) {
            Some(Syntax::PhpMessage)
        } else if stopped.fact == Syntax::Doctype && is_html_doctype(&bytes[first..]) {
            Some(Syntax::HtmlDoctype)
        } else {
            None
        };
    if let Some(fact) = known {
        let (at, open) = (first, Vec::new());
        return vec![of_syntax(text, Stopped { at, fact, open })];
    }
    let root = other_root.map(|root| of_root(text, root));
    let syntax = of_syntax(text, stopped);
    root.into_iter().chain([syntax]).collect()
}

/// Whether text begins as PHP's messages do: in HTML (`<br />`, line break, `<b>Warning</b>: `), as plain text, or in a table of
/// its extension Xdebug.
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

fn of_syntax(text: &Text<'_>, stopped: Stopped) -> Finding {
    let names = stopped
        .open
        .iter()
        .map(|range| Name::new(&text.as_bytes()[range.clone()]).to_string());
    let path = names.collect::<Vec<_>>().join("/").into();
    let place = LineIndex::new(text).place(stopped.at);
    Finding {
        path,
        ..error(12100, Fact::Syntax(stopped.fact), place)
    }
}

fn of_root(text: &Text<'_>, root: Span<'_>) -> Finding {
    let found = Name::new(root.raw);
    let place = LineIndex::new(text).place(root.at);
    Finding {
        width: width(root),
        ..error(12102, Fact::Root { found }, place)
    }
}

fn of_schema(text: &Text<'_>, mut found: Vec<Found<'_>>) -> Vec<Finding> {
    if found.is_empty() {
        return Vec::new();
    }
    found.sort_by_key(|found| found.part.at);
    let mut surveyor = LineIndex::new(text);
    let of_one = |Found {
                      part,
                      fact,
                      code,
                      path,
                  }| {
        let place = surveyor.place(part.at);
        Finding {
            fact: Fact::Schema(fact),
            code: code.number,
            level: code.level,
            place,
            width: width(part),
            path,
        }
    };
    found.into_iter().map(of_one).collect()
}

fn error(code: u32, fact: Fact, place: Position) -> Finding {
    Finding {
        fact,
        code,
        level: Level::Error,
        place,
        width: 1,
        path: Box::default(),
    }
}

/// The characters of a part on its first line.
fn width(part: Span<'_>) -> u32 {
    let line = part
        .raw
        .split(|b| matches!(b, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(line)
        .chars()
        .count()
        .clamp(1, u32::MAX as usize) as u32
}
