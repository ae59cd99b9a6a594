//! `[signature]`, and the key `signature` of `[defaults]` and each route: what is needed to check that requests are Twilio's.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Files, Unreadable, open_to_others};
use super::problem::Problem;
use super::reader::Reader;
use super::report::Report;
use super::value;
use crate::signature::{Policy, Tokens, TokensError, Verifier};

/// What a path may begin with: the folder in which systemd puts a service's credentials (`LoadCredential=`).
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

/// What may be wrong with the checking of signatures. Nothing that stands in a tokens file is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureProblem {
    /// It isn't said how Twilio addresses us.
    NoPublicUrl,
    /// No tokens are named.
    NoTokens,
    /// There are no credentials of systemd's.
    NoCredentials,
    /// The tokens can't be read.
    Unreadable {
        /// Their file.
        file: PathBuf,
        /// Why not.
        why: Unreadable,
    },
    /// The tokens can't be understood.
    Tokens {
        /// Their file.
        file: PathBuf,
        /// Why not.
        fault: TokensError,
    },
    /// Routes enforce signatures, and requests that match no route are let through without one. Not an error: it is noted.
    UnmatchedNotEnforced,
}

/// What a route that asks for a check is given.
#[derive(Debug)]
pub(super) struct Signatures {
    /// If all that it takes is there and good.
    verifier: Option<Arc<Verifier>>,
    /// What nobody has written.
    missing: Vec<SignatureProblem>,
}

impl Signatures {
    /// Reads a table's `signature`, if it has one.
    pub(super) fn policy(&self, table: &mut Reader<'_>) -> Option<Policy> {
        let asked = table.word("signature", &ASKED)?;
        if asked != Asked::Off {
            for problem in &self.missing {
                let problem = Problem::Signature(problem.clone());
                table.report(table.spot("signature"), problem);
            }
        }
        // Without a verifier something was reported, here or where it is wrong, and nothing comes of the whole.
        let verifier = self.verifier.as_ref().map(Arc::clone);
        Some(match (asked, verifier) {
            (Asked::Off, _) | (_, None) => Policy::Off,
            (Asked::Report, Some(verifier)) => Policy::Report(verifier),
            (Asked::Enforce, Some(verifier)) => Policy::Enforce(verifier),
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Off,
    Report,
    Enforce,
}

const ASKED: [(&str, Asked); 3] = [
    ("off", Asked::Off),
    ("report", Asked::Report),
    ("enforce", Asked::Enforce),
];

/// Reads `[signature]`; files are found in this folder. `public_url` is what could be read of it, `has_url` whether it is given.
pub(super) fn read(
    mut table: Reader<'_>,
    (public_url, has_url): (Option<&str>, bool),
    folder: &Path,
    files: &mut Files,
    report: &Report<'_>,
) -> Signatures {
    let has_tokens = table.has(KEY);
    let file = table.read(KEY, |value| Ok(place(value::text(value)?, folder)?));
    let tokens = file.and_then(|file| tokens(&file, &table, files, report));
    table.finish();
    let verifier = public_url.zip(tokens);
    let missing = [
        (has_url, SignatureProblem::NoPublicUrl),
        (has_tokens, SignatureProblem::NoTokens),
    ];
    Signatures {
        verifier: verifier.map(|(url, tokens)| Arc::new(Verifier::new(url, tokens))),
        missing: missing
            .into_iter()
            .filter_map(|(given, problem)| (!given).then_some(problem))
            .collect(),
    }
}

const KEY: &str = "tokens_file";

/// Where a tokens file is.
fn place(text: &str, folder: &Path) -> Result<PathBuf, SignatureProblem> {
    let Some(name) = text.strip_prefix(CREDENTIALS) else {
        return Ok(folder.join(text));
    };
    let credentials = env::var_os("CREDENTIALS_DIRECTORY");
    let credentials = credentials.filter(|folder| !folder.is_empty());
    credentials
        .map(|folder| Path::new(&folder).join(name))
        .ok_or(SignatureProblem::NoCredentials)
}

fn tokens(
    file: &Path,
    table: &Reader<'_>,
    files: &mut Files,
    report: &Report<'_>,
) -> Option<Tokens> {
    let wrong = |problem| table.report(table.spot(KEY), Problem::Signature(problem));
    let at = file.to_owned();
    let content = match files.read(file) {
        Ok(content) => content,
        Err(why) => {
            wrong(SignatureProblem::Unreadable { file: at, why });
            return None;
        }
    };
    if let Some(note) = open_to_others(file) {
        report.note(table.spot(KEY), note);
    }
    let parsed = Tokens::parse(&content);
    let good = parsed.map_err(|faults| {
        for fault in faults {
            let file = file.to_owned();
            wrong(SignatureProblem::Tokens { file, fault });
        }
    });
    good.ok()
}

impl From<SignatureProblem> for Problem {
    fn from(problem: SignatureProblem) -> Self {
        Self::Signature(problem)
    }
}

impl fmt::Display for SignatureProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPublicUrl => f.write_str(
                "Twilio signs the URL that it asks for, which can't be known here; \
                 say it under [server]: public_url = \"https://hooks.example.com\"",
            ),
            Self::NoTokens => f.write_str(
                "there are no tokens to check with; \
                 name them under [signature]: tokens_file = \"/etc/understudy/tokens\"",
            ),
            Self::NoCredentials => f.write_str(
                "CREDENTIALS_DIRECTORY is not set; run as a systemd service with \
                 LoadCredential=, or name a file by its path",
            ),
            Self::Unreadable { file, why } => write!(f, "{}: {why}", file.display()),
            Self::Tokens { file, fault } => write!(f, "{}: {fault}", file.display()),
            Self::UnmatchedNotEnforced => f.write_str(
                "requests that match no route reach the app even if Twilio has not signed them, \
                 and the app may answer /Voice or /voice/ as it answers /voice; \
                 write signature = \"enforce\" in [defaults], and signature = \"off\" on the routes that need it",
            ),
        }
    }
}
