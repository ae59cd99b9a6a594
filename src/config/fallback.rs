//! The key `fallback` of a route: fallback documents, found, read and validated strictly. [`Document::parse`] validates them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use toml::de::DeValue;

use super::diagnostic::Diagnostic;
use super::files::Files;
use super::reader::{Reader, TextOrTable};
use super::report::Location;
use super::tls;
use super::upstream;
use super::url;
use super::value::{parse_duration, parse_text};
use crate::breaker::Breaker;
use crate::fallback::{
    BUILT_IN_MESSAGING, BUILT_IN_VOICE, Document, DocumentSet, Fallback, FallbackUrl, Pattern,
    Variant,
};
use crate::proxy::Grammar;
use crate::route;
use crate::twiml::{self, Kind, Rules, Strictness};
use crate::upstream::Upstream;

const KEY: &str = "fallback";

/// How long a fallback URL may take by default.
const BUDGET: Duration = Duration::from_secs(3);

/// Reads the documents of all routes. A file is validated once for each kind, however many routes name it.
pub(super) struct DocumentReader<'f> {
    files: &'f mut Files,
    grammar: &'f Grammar,
    validated: HashMap<(PathBuf, Kind), Result<Document, Diagnostic>>,
    /// The files whose notes have been written.
    noted: HashSet<PathBuf>,
}

/// The documents of a route that has none of its own.
pub(super) fn built_in() -> Fallback {
    Fallback::new(
        built_in_document(Kind::Voice),
        built_in_document(Kind::Messaging),
    )
}

fn built_in_document(kind: Kind) -> Document {
    let document = match kind {
        Kind::Voice => BUILT_IN_VOICE,
        Kind::Messaging => BUILT_IN_MESSAGING,
    };
    let rules = Rules::new(kind, Strictness::Strict);
    let document = Document::parse(Bytes::from_static(document.as_bytes()), &rules);
    document.expect("the built-in documents are valid")
}

impl<'f> DocumentReader<'f> {
    pub(super) fn new(files: &'f mut Files, grammar: &'f Grammar) -> Self {
        Self {
            files,
            grammar,
            validated: HashMap::new(),
            noted: HashSet::new(),
        }
    }

    /// Reads a route's `fallback`; the built-in documents where there is none, or an error in it. Without a valid kind it can't be
    /// validated, so it is not read.
    pub(super) fn read(&mut self, route: &mut Reader<'_>, kind: Option<route::Kind>) -> Fallback {
        let Some(kind) = kind.filter(|_| route.has(KEY)) else {
            route.skip(KEY);
            return built_in();
        };
        match kind {
            route::Kind::Voice => {
                let voice = self.read_set(route, KEY, Kind::Voice);
                Fallback::new(voice, built_in_document(Kind::Messaging))
            }
            route::Kind::Messaging => {
                let messaging = self.read_set(route, KEY, Kind::Messaging);
                Fallback::new(built_in_document(Kind::Voice), messaging)
            }
            route::Kind::Auto => self.read_both(route),
            route::Kind::Callback | route::Kind::Pass => {
                route.skip(KEY);
                let message =
                    format!("a route of kind \"{kind}\" needs no TwiML, so it has no fallback");
                let help = "leave it out, or choose the kind \"voice\" or \"messaging\"";
                route.at(KEY).error(message, help);
                built_in()
            }
        }
    }

    /// `{ voice = …, messaging = … }`; the built-in document where one isn't given.
    fn read_both(&mut self, route: &mut Reader<'_>) -> Fallback {
        let mut table = match route.text_or_table(KEY) {
            Some(TextOrTable::Table(table))
                if !table.has_any(&["file", "inline", "when", "url"]) =>
            {
                table
            }
            Some(TextOrTable::Table(_) | TextOrTable::Text(_)) => {
                route.at(KEY).error(
                    "a route of kind \"auto\" has a fallback for calls and one for messages",
                    "write { voice = \"voice.xml\", messaging = \"messaging.xml\" }",
                );
                return built_in();
            }
            None => return built_in(),
        };
        let voice = self.read_set(&mut table, "voice", Kind::Voice);
        let messaging = self.read_set(&mut table, "messaging", Kind::Messaging);
        table.finish();
        Fallback::new(voice, messaging)
    }

    /// `"file"`, or a table with `file`, `inline` or `url`, and with variants or without.
    fn read_set(&mut self, reader: &mut Reader<'_>, key: &'static str, kind: Kind) -> DocumentSet {
        let document = match reader.text_or_table(key) {
            Some(TextOrTable::Table(table)) => return self.read_set_in_table(table, kind),
            Some(TextOrTable::Text(file)) => self.read_file(file, kind, &reader.at(key)),
            None => None,
        };
        DocumentSet::from(document.unwrap_or_else(|| built_in_document(kind)))
    }

    fn read_set_in_table(&mut self, mut table: Reader<'_>, kind: Kind) -> DocumentSet {
        if table.has_any(&["voice", "messaging"]) {
            let message = "only a route of kind \"auto\" has a fallback for each kind";
            (table.location).error(message, "write fallback = \"voice.xml\"");
            return built_in_document(kind).into();
        }
        let document = self.read_document(&mut table, kind);
        if table.has_only(&["when", "budget", "ca"]) {
            report_no_document(&table);
        }
        let variants = self.read_variants(&mut table, kind);
        let url = self.read_url(&mut table);
        table.finish();
        // A fallback URL may fail too; then the document is sent.
        let document = document.unwrap_or_else(|| built_in_document(kind));
        let documents = DocumentSet::new(document, variants);
        match url {
            Some(url) => documents.with_fallback_url(url),
            None => documents,
        }
    }

    /// `file = …` or `inline = …`.
    fn read_document(&mut self, table: &mut Reader<'_>, kind: Kind) -> Option<Document> {
        let file = table.read("file", parse_text);
        let file = file.and_then(|file| self.read_file(file, kind, &table.at("file")));
        let inline = table.read("inline", parse_text);
        let inline = inline.and_then(|inline| {
            let location = table.at("inline");
            let document = location.take(validate_inline(inline, &self.rules(kind), &location))?;
            write_notes(&document, None, &location);
            Some(document)
        });
        if table.has("file") && table.has("inline") {
            (table.location).error("both `inline` and `file` are given", "leave one");
        }
        file.or(inline)
    }

    /// The document in a file that is named at this location. Its notes are written once for each file.
    fn read_file(
        &mut self,
        written: &str,
        kind: Kind,
        location: &Location<'_>,
    ) -> Option<Document> {
        let file = location.resolve(written);
        let rules = self.rules(kind);
        let files = &mut self.files;
        let validated = self.validated.entry((file.path.clone(), kind));
        let document = validated
            .or_insert_with(|| validate(files.read_named(&file)?, &rules, Some(&file.shown)))
            .clone();
        let document = location.take(document)?;
        if self.noted.insert(file.path) {
            write_notes(&document, Some(&file.shown), location);
        }
        Some(document)
    }

    /// Reads `when`: the variants without an error.
    fn read_variants(&mut self, table: &mut Reader<'_>, kind: Kind) -> Vec<Variant> {
        let mut earlier = Vec::new();
        let tables = table.inline_tables("when", VARIANTS_EXAMPLE).into_iter();
        let variants = tables.filter_map(|table| self.read_variant(table, kind, &mut earlier));
        variants.collect()
    }

    fn read_variant<'a>(
        &mut self,
        mut table: Reader<'a>,
        kind: Kind,
        earlier: &mut Vec<Condition<'a>>,
    ) -> Option<Variant> {
        let param = table.require("param", "param = \"To\"", parse_param);
        let pattern = table.require("is", "is = \"+33*\"", parse_pattern);
        let document = self.read_document(&mut table, kind);
        if table.has_only(&["param", "is"]) {
            report_no_document(&table);
        }
        table.finish();
        let condition = Condition {
            table,
            param: param?,
            pattern: pattern?,
        };
        condition.check_reached(earlier);
        let (param, pattern) = (condition.param.clone(), condition.pattern.clone());
        earlier.push(condition);
        document.map(|document| Variant {
            param,
            pattern,
            document,
        })
    }

    /// `url = …` and `budget = …`: another app that is requested first. Over TLS `ca = …` may name its authorities.
    fn read_url(&mut self, table: &mut Reader<'_>) -> Option<FallbackUrl> {
        let url = table.read("url", url::parse_url);
        let mut budget = BUDGET;
        table.set("budget", &mut budget, parse_duration);
        let Some((origin, target)) = url else {
            table.skip("ca");
            return None;
        };
        let tls = tls::read_client_ca(table, &origin, self.files);
        let settings = upstream::default_settings(origin, tls);
        Some(FallbackUrl {
            upstream: Arc::new(Upstream::new(settings, Arc::default())),
            target,
            budget,
            breaker: Breaker::new(),
        })
    }

    fn rules(&self, kind: Kind) -> Rules {
        self.grammar.rules(kind, Strictness::Strict)
    }
}

/// Which requests a variant is for.
struct Condition<'a> {
    table: Reader<'a>,
    param: String,
    pattern: Pattern,
}

impl Condition<'_> {
    /// Reports a condition that an earlier one covers, so that its variant would never be used.
    fn check_reached(&self, earlier: &[Self]) {
        let covers =
            |other: &&Self| other.param == self.param && other.pattern.covers(&self.pattern);
        if let Some(other) = earlier.iter().find(covers) {
            let position = other.table.location.position();
            let message = format!(
                "the variant at {position} matches all of these requests, and the first match wins"
            );
            self.table.at("is").error(message, "put this one before it");
        }
    }
}

fn parse_param(value: &DeValue<'_>) -> Result<String, Diagnostic> {
    match parse_text(value)? {
        "" => Err(Diagnostic::new("the parameter's name is empty").help("write \"To\"")),
        name => Ok(name.to_owned()),
    }
}

fn parse_pattern(value: &DeValue<'_>) -> Result<Pattern, Diagnostic> {
    let text = parse_text(value)?;
    Pattern::parse(text).map_err(|_| {
        Diagnostic::about(text, "has a `*` before its end")
            .help("write a whole value, or how it begins: \"+33*\"")
    })
}

fn validate(content: Bytes, rules: &Rules, file: Option<&Path>) -> Result<Document, Diagnostic> {
    Document::parse(content, rules).map_err(|error| in_document(file, error.position(), error))
}

/// An error may quote the document, so it is about the document as it is written: the values of variables may be secrets.
fn validate_inline(
    text: &str,
    rules: &Rules,
    location: &Location<'_>,
) -> Result<Document, Diagnostic> {
    let document = validate(text.to_owned().into(), rules, None);
    match (document, location.written()) {
        (Err(_), Some(written)) => {
            validate(written.into(), rules, None)?;
            let message = "the values of its variables make a document that is not valid";
            Err(Diagnostic::new(message).help("look at what they are set to"))
        }
        (document, _) => document,
    }
}

/// Notes the placeholders by which a caller could choose whom Twilio calls.
fn write_notes(document: &Document, file: Option<&Path>, location: &Location<'_>) {
    for injection in document.injections() {
        location.note(in_document(file, Some(injection.position), injection));
    }
}

/// Says something of a position in a document; without a file it is in the configuration itself.
fn in_document(
    file: Option<&Path>,
    position: Option<twiml::Position>,
    what: impl fmt::Display,
) -> Diagnostic {
    match (file, position) {
        (Some(file), Some(position)) => {
            let twiml::Position { line, column, .. } = position;
            Diagnostic::new(format!("{}:{line}:{column}: {what}", file.display()))
        }
        (Some(file), None) => Diagnostic::in_file(file, what),
        (None, Some(position)) => Diagnostic::new(format!("{position} of the document: {what}")),
        (None, None) => Diagnostic::new(what.to_string()),
    }
}

fn report_no_document(table: &Reader<'_>) {
    table.location.key_error(
        "no document is given",
        "write { file = \"voice.xml\" } or { inline = \"<Response>…</Response>\" }",
    );
}

const VARIANTS_EXAMPLE: &str =
    "tables in a list: [{ param = \"To\", is = \"+33*\", file = \"voice.fr.xml\" }]";
