//! One document: its bytes, and what the judge says of them in words that every format can use.

use std::io::{self, Read};

use super::source;
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::{self, Kind, Level, MAX_FINDINGS, Position, Problem, Rules, Strictness};

/// More than this is not read: it is no TwiML by its size alone.
const LARGEST: usize = 16 * RESPONSE_LIMIT;

/// Twilio's code for a page that is too large.
const TOO_LARGE: u32 = 11750;

/// A document as it was read.
pub(super) struct Document {
    name: String,
    bytes: Vec<u8>,
}

/// What a document seems to be.
pub(super) struct Guess {
    pub(super) kind: Kind,
    /// Whether its verbs say so; else it is as good a guess as any.
    pub(super) by_verbs: bool,
}

impl Document {
    /// Reads a document; more of it than could ever be good is left unread.
    pub(super) fn read(name: &str, from: &mut dyn Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        from.take(LARGEST as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Self {
            name: name.to_owned(),
            bytes,
        })
    }

    /// As it was named.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As text, as well as it can be read.
    pub(super) fn text(&self) -> String {
        twiml::decode_lossy(&self.bytes, None).into_owned()
    }

    pub(super) fn guess(&self) -> Guess {
        let guess = twiml::guess_kind(&self.bytes, None);
        Guess {
            kind: guess.unwrap_or(Kind::Voice),
            by_verbs: guess.is_some(),
        }
    }

    pub(super) fn judge(&self, rules: &Rules) -> Verdict<'_> {
        let mut findings = self.findings(rules);
        let is_cut_at = (findings.len() >= MAX_FINDINGS).then_some(findings.len());
        if self.bytes.len() > RESPONSE_LIMIT {
            let place = findings.partition_point(|finding| finding.place.byte <= RESPONSE_LIMIT);
            findings.insert(place, self.too_large());
        }
        let is_valid = match rules.strictness() {
            Strictness::Twilio => findings.iter().all(|finding| finding.level < Level::Error),
            Strictness::Strict => findings.is_empty(),
        };
        Verdict {
            document: self,
            kind: rules.kind(),
            is_valid,
            is_cut_at,
            findings,
        }
    }

    fn findings(&self, rules: &Rules) -> Vec<Finding> {
        if self.bytes.len() > LARGEST {
            return Vec::new();
        }
        let report = twiml::lint(&self.bytes, None, rules);
        report.findings().iter().map(Finding::from).collect()
    }

    /// Twilio takes so many bytes and no more; the proxy would send the fallback.
    fn too_large(&self) -> Finding {
        let (line, column) = source::end_of(&self.limit());
        Finding {
            code: TOO_LARGE,
            level: Level::Error,
            place: Position {
                byte: RESPONSE_LIMIT,
                line,
                column,
            },
            width: 1,
            is_of_bytes: false,
            path: String::new(),
            message: format!(
                "the document goes on after {RESPONSE_LIMIT} bytes, and Twilio takes no more"
            ),
            help: Some("make it shorter, or go on in another with `<Redirect>`".to_owned()),
        }
    }

    /// The text up to the limit. In most charsets a character may be cut there, and then nothing is text.
    fn limit(&self) -> String {
        let up_to = |end| twiml::decode_lossy(&self.bytes[..end], None).into_owned();
        let is_text = |text: &String| !text.contains(['\0', char::REPLACEMENT_CHARACTER]);
        let mut ends = (RESPONSE_LIMIT - 3..=RESPONSE_LIMIT).rev().map(up_to);
        ends.find(is_text).unwrap_or_else(|| up_to(RESPONSE_LIMIT))
    }
}

/// What was found in a document.
pub(super) struct Verdict<'d> {
    pub(super) document: &'d Document,
    pub(super) kind: Kind,
    pub(super) is_valid: bool,
    /// How many findings there are, if there may be more.
    pub(super) is_cut_at: Option<usize>,
    /// In the order of the document.
    pub(super) findings: Vec<Finding>,
}

/// One thing that Twilio would log.
pub(super) struct Finding {
    pub(super) code: u32,
    pub(super) level: Level,
    pub(super) place: Position,
    /// How many characters it is about, at least one.
    pub(super) width: u32,
    /// Whether the bytes could not be read as text; then lines are told apart by line feeds alone.
    pub(super) is_of_bytes: bool,
    pub(super) path: String,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Finding {
    /// What is wrong and what would be right, in one line.
    pub(super) fn words(&self) -> String {
        match &self.help {
            Some(help) => format!("{}; {help}", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<&twiml::Finding> for Finding {
    fn from(finding: &twiml::Finding) -> Self {
        Self {
            code: finding.code(),
            level: finding.level(),
            place: finding.position(),
            width: finding.width(),
            is_of_bytes: matches!(finding.problem(), Problem::Encoding(_)),
            path: finding.path().to_owned(),
            message: finding.to_string(),
            help: finding.help(),
        }
    }
}
