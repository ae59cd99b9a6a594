//! One document: its bytes, and the validator's findings in words that every format can use.

use std::io::{self, Read};

use super::source::{self, Line, Source};
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{self, Kind, Level, MAX_FINDINGS, Position, Problem, Rules, Strictness};

/// Of a larger document only its size is reported.
const READ_LIMIT: usize = 16 * RESPONSE_LIMIT;

/// Twilio's code for a document that is too large.
const TOO_LARGE: u32 = 11750;

/// A document as it was read.
pub(super) struct Document {
    name: String,
    bytes: Vec<u8>,
}

/// The findings of a document.
pub(super) struct LintResult<'d> {
    pub(super) document: &'d Document,
    pub(super) kind: Kind,
    pub(super) is_valid: bool,
    /// Whether there may be more findings.
    pub(super) is_incomplete: bool,
    /// In the order of the document.
    pub(super) findings: Vec<Finding>,
}

/// One thing that Twilio would log.
pub(super) struct Finding {
    pub(super) code: u32,
    pub(super) level: Level,
    pub(super) position: Position,
    /// How many characters it is about, at least one.
    pub(super) width: u32,
    /// Whether the bytes could be read as text.
    is_text: bool,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Document {
    /// Reads a document, up to a limit far above what Twilio accepts.
    pub(super) fn read(name: &str, from: &mut dyn Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        from.take(READ_LIMIT as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Self {
            name: name.to_owned(),
            bytes,
        })
    }

    /// The name that the user gave.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn source(&self) -> Source {
        Source::new(&twiml::decode_lossy(&self.bytes, None))
    }

    /// The kind that the document's verbs belong to.
    pub(super) fn guess_kind(&self) -> Option<Kind> {
        twiml::guess_kind(&self.bytes, None)
    }

    pub(super) fn lint(&self, rules: &Rules) -> LintResult<'_> {
        let mut findings = self.findings(rules);
        let is_incomplete = findings.len() >= MAX_FINDINGS;
        if self.bytes.len() > RESPONSE_LIMIT {
            let at = findings.partition_point(|finding| finding.position.byte <= RESPONSE_LIMIT);
            findings.insert(at, self.too_large());
        }
        let is_valid = match rules.strictness() {
            Strictness::Twilio => findings.iter().all(|finding| finding.level < Level::Error),
            Strictness::Strict => findings.is_empty(),
        };
        LintResult {
            document: self,
            kind: rules.kind(),
            is_valid,
            is_incomplete,
            findings,
        }
    }

    fn findings(&self, rules: &Rules) -> Vec<Finding> {
        if self.bytes.len() > READ_LIMIT {
            return Vec::new();
        }
        let report = twiml::lint(&self.bytes, None, rules);
        report.findings().iter().map(Finding::from).collect()
    }

    fn too_large(&self) -> Finding {
        let (line, column) = source::end_position(&self.text_to_limit());
        Finding {
            code: TOO_LARGE,
            level: Level::Error,
            position: Position {
                byte: RESPONSE_LIMIT,
                line,
                column,
            },
            width: 1,
            is_text: true,
            path: String::new(),
            message: format!(
                "the document is over {RESPONSE_LIMIT} bytes, and Twilio accepts no more"
            ),
            help: Some("make it shorter, or continue in another with `<Redirect>`".to_owned()),
        }
    }

    /// The text up to the limit. If that cuts a character, the charset may not be decoded, so some shorter texts are tried.
    fn text_to_limit(&self) -> String {
        let up_to = |end| twiml::decode_lossy(&self.bytes[..end], None).into_owned();
        let is_text = |text: &String| !text.contains(['\0', char::REPLACEMENT_CHARACTER]);
        let mut texts = (RESPONSE_LIMIT - 3..=RESPONSE_LIMIT).rev().map(up_to);
        texts.find(is_text).unwrap_or_else(|| up_to(RESPONSE_LIMIT))
    }
}

impl Finding {
    /// What is wrong and how to correct it, in one line.
    pub(super) fn message_and_help(&self) -> String {
        match &self.help {
            Some(help) => format!("{}; {help}", self.message),
            None => self.message.clone(),
        }
    }

    pub(super) fn line(&self, source: &Source) -> Line {
        source.line(self.position, self.width, self.is_text)
    }
}

impl From<&twiml::Finding> for Finding {
    fn from(finding: &twiml::Finding) -> Self {
        Self {
            code: finding.code(),
            level: finding.level(),
            position: finding.position(),
            width: finding.width(),
            is_text: !matches!(finding.problem(), Problem::Encoding(_)),
            path: finding.path().to_owned(),
            message: finding.to_string(),
            help: finding.help(),
        }
    }
}
