//! `[signature]`, and the key `signature` of `[defaults]` and each route: what it takes to check that requests come from Twilio.

use std::env;
use std::path::Path;
use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::files::{Files, permissions_note};
use super::reader::Reader;
use super::report::{Location, NamedPath};
use super::server::PublicUrl;
use super::value;
use crate::signature::{Policy, Tokens, Verifier};

/// A path may begin with the folder in which systemd puts a service's credentials (`LoadCredential=`).
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY/";

/// What the routes that check signatures share.
#[derive(Debug)]
pub(super) struct Signatures {
    /// None if something is missing or wrong.
    verifier: Option<Arc<Verifier>>,
    /// An error for each key that is missing.
    missing: Vec<Diagnostic>,
}

impl Signatures {
    /// Reads `[signature]`.
    pub(super) fn read(file: &mut Reader<'_>, public_url: &PublicUrl, files: &mut Files) -> Self {
        let mut table = file.table("signature");
        let location = table.at(KEY);
        let path = table.read(KEY, |value| resolve(value::parse_text(value)?, &location));
        let tokens = path.and_then(|path| read_tokens(&path, &table, files));
        table.finish();
        let missing = [
            (!public_url.is_given).then(no_public_url),
            (!table.has(KEY)).then(no_tokens),
        ];
        let verifier = public_url.url.as_ref().zip(tokens);
        Self {
            verifier: verifier.map(|(url, tokens)| Arc::new(Verifier::new(url, tokens))),
            missing: missing.into_iter().flatten().collect(),
        }
    }

    /// Reads a table's `signature`, if it is given.
    pub(super) fn policy(&self, table: &mut Reader<'_>) -> Option<Policy> {
        let Some(policy) = table.read("signature", value::parse_word(&POLICIES))? else {
            return Some(Policy::Off);
        };
        for error in &self.missing {
            table.at("signature").add(error.clone());
        }
        // Without a verifier an error has been reported, so the configuration is not used.
        Some(self.verifier.clone().map_or(Policy::Off, policy))
    }
}

const KEY: &str = "tokens_file";

type MakePolicy = fn(Arc<Verifier>) -> Policy;

/// The policies by name; `off` needs no verifier.
const POLICIES: [(&str, Option<MakePolicy>); 3] = [
    ("off", None),
    ("report", Some(Policy::Report)),
    ("enforce", Some(Policy::Enforce)),
];

/// The path of a tokens file.
fn resolve(text: &str, location: &Location<'_>) -> Result<NamedPath, Diagnostic> {
    let Some(name) = text.strip_prefix(CREDENTIALS) else {
        return Ok(location.resolve(text));
    };
    let folder = env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    folder
        .map(|folder| {
            let path = Path::new(&folder).join(name);
            let shown = match location.written() {
                Some(written) => written.into(),
                None => path.clone(),
            };
            NamedPath { path, shown }
        })
        .ok_or_else(|| {
            Diagnostic::new("CREDENTIALS_DIRECTORY is not set")
                .help("run as a systemd service with LoadCredential=, or name a file by its path")
        })
}

fn read_tokens(path: &NamedPath, table: &Reader<'_>, files: &mut Files) -> Option<Tokens> {
    let content = table.at(KEY).take(files.read_named(path))?;
    if let Some(note) = permissions_note(path) {
        table.at(KEY).note(note);
    }
    let report_all = |errors| {
        for error in errors {
            table.at(KEY).add(Diagnostic::in_file(&path.shown, error));
        }
    };
    Tokens::parse(&content).map_err(report_all).ok()
}

fn no_public_url() -> Diagnostic {
    Diagnostic::new("Twilio signs the URL that it requests, and that URL is not known here")
        .help("write under [server]: public_url = \"https://hooks.example.com\"")
}

fn no_tokens() -> Diagnostic {
    Diagnostic::new("no tokens are given to check signatures with")
        .help("write under [signature]: tokens_file = \"/etc/understudy/tokens\"")
}
