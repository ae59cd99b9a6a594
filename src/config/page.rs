//! Fallback pages: found, read, and judged strictly for the callers who would hear or read them. The judge is [`Document::parse`].

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::Place;
use super::files::{Files, Unreadable};
use super::host;
use super::problem::Problem;
use super::reader::{Form, Reader};
use super::tls::Found;
use super::upstream;
use super::value;
use super::variant;
use crate::fallback::{
    self, BUILT_IN_MESSAGING, BUILT_IN_VOICE, Document, DocumentSet, Fallback, FallbackUrl,
};
use crate::proxy::Grammar;
use crate::route;
use crate::twiml::{Kind, Rules, Strictness};
use crate::upstream::Upstream;

/// Why a page can't stand in for the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageProblem {
    /// The page's file; none: it stands in the configuration itself.
    pub file: Option<PathBuf>,
    /// What is wrong with it.
    pub fault: PageFault,
}

/// What can be wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageFault {
    /// Its file can't be read.
    Unreadable(Unreadable),
    /// It is no good page.
    Bad(fallback::Error),
    /// A caller could choose what Twilio does. Not an error: it is noted.
    Injection(fallback::Injection),
}

/// The pages of all routes. Each file is judged once for each kind, however many routes name it.
pub(super) struct Pages<'f> {
    folder: &'f Path,
    files: &'f mut Files,
    grammar: &'f Grammar,
    judged: HashMap<(PathBuf, Kind), Result<Document, PageFault>>,
    /// What there is to note of the document that was read last.
    notes: Vec<PageProblem>,
    /// The files of which everything was noted.
    noted: HashSet<PathBuf>,
}

/// What is answered where nothing is said.
pub(super) fn built_in() -> Fallback {
    Fallback::new(built_in_page(Kind::Voice), built_in_page(Kind::Messaging))
}

fn built_in_page(kind: Kind) -> Document {
    let page = match kind {
        Kind::Voice => BUILT_IN_VOICE,
        Kind::Messaging => BUILT_IN_MESSAGING,
    };
    let rules = Rules::new(kind, Strictness::Strict);
    Document::parse(Bytes::from_static(page.as_bytes()), &rules)
        .expect("a constant that a test judges")
}

impl<'f> Pages<'f> {
    /// Paths are taken from the folder of the configuration at `config`.
    pub(super) fn beside(config: &'f Path, files: &'f mut Files, grammar: &'f Grammar) -> Self {
        let folder = config.parent().unwrap_or_else(|| Path::new(""));
        Self {
            folder,
            files,
            grammar,
            judged: HashMap::new(),
            notes: Vec::new(),
            noted: HashSet::new(),
        }
    }

    /// Reads a route's `fallback`; nothing if it is wrong. A page for who knows which kind can't be judged.
    pub(super) fn read(
        &mut self,
        route: &mut Reader<'_>,
        kind: Option<route::Kind>,
    ) -> Option<Fallback> {
        if kind.is_none() || !route.has(KEY) {
            route.skip(KEY);
            return Some(built_in());
        }
        match kind? {
            route::Kind::Voice => {
                let voice = self.page(route, KEY, Kind::Voice)?;
                Some(Fallback::new(voice, built_in_page(Kind::Messaging)))
            }
            route::Kind::Messaging => {
                let messaging = self.page(route, KEY, Kind::Messaging)?;
                Some(Fallback::new(built_in_page(Kind::Voice), messaging))
            }
            route::Kind::Auto => self.page_per_kind(route),
            kind @ (route::Kind::Callback | route::Kind::Pass) => {
                route.skip(KEY);
                route.report(route.spot(KEY), Problem::NoPageForKind(kind));
                None
            }
        }
    }

    /// `{ voice = …, messaging = … }`; what isn't given is the built-in page.
    fn page_per_kind(&mut self, route: &mut Reader<'_>) -> Option<Fallback> {
        let Form::Table(mut table) = route.text_or_table(KEY)? else {
            route.report(route.spot(KEY), Problem::PageForBothKinds);
            return None;
        };
        if ["file", "inline", "when", "url"]
            .iter()
            .any(|key| table.has(key))
        {
            route.report(route.spot(KEY), Problem::PageForBothKinds);
            return None;
        }
        let mut page = |key, kind| {
            if table.has(key) {
                self.page(&mut table, key, kind)
            } else {
                table.skip(key);
                Some(built_in_page(kind).into())
            }
        };
        let voice = page("voice", Kind::Voice);
        let messaging = page("messaging", Kind::Messaging);
        table.finish();
        Some(Fallback::new(voice?, messaging?))
    }

    /// `"file"`, or `{ file = … }` or `{ inline = … }`, with variants or without.
    fn page(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        kind: Kind,
    ) -> Option<DocumentSet> {
        match reader.text_or_table(key)? {
            Form::Text(file) => {
                let page = self.file(file, kind);
                self.write_notes(reader, key);
                reader
                    .take(page, || reader.spot(key))
                    .map(DocumentSet::from)
            }
            Form::Table(table) => self.choice(table, kind),
        }
    }

    fn choice(&mut self, mut table: Reader<'_>, kind: Kind) -> Option<DocumentSet> {
        if table.has("voice") || table.has("messaging") {
            table.report(table.here(), Problem::PagePerKind);
            return None;
        }
        let has_url = table.has("url");
        let page = self.page_of_table(&mut table, kind);
        if page.is_none() && table.has_only(&["when"]) {
            table.report(table.here(), Problem::NoPage);
        }
        let variants = variant::read(&mut table, self, kind);
        let elsewhere = self.elsewhere(&mut table);
        let is_given = table.has("file") || table.has("inline");
        table.finish();
        // Behind a URL that gives nothing good stands a page, the built-in one if no other.
        let built_in = (has_url && !is_given).then(|| built_in_page(kind));
        let choice = DocumentSet::new(page.or(built_in)?, variants);
        match elsewhere {
            Some(elsewhere) => Some(choice.with_fallback_url(elsewhere)),
            None => Some(choice).filter(|_| !has_url),
        }
    }

    /// `file = …` or `inline = …`.
    pub(super) fn page_of_table(&mut self, table: &mut Reader<'_>, kind: Kind) -> Option<Document> {
        let is_both = table.has("file") && table.has("inline");
        let file = table.read("file", |value| self.file(value::text(value)?, kind));
        self.write_notes(table, "file");
        let inline = table.read("inline", |value| self.inline(value::text(value)?, kind));
        self.write_notes(table, "inline");
        if is_both {
            table.report(table.here(), Problem::TwoPages);
        }
        file.or(inline)
    }

    /// `url = …` and `budget = …`: another app that is asked first; over TLS `ca = …` may say whom to trust.
    fn elsewhere(&mut self, table: &mut Reader<'_>) -> Option<FallbackUrl> {
        let url = table.read("url", host::page_url);
        let budget = table.read("budget", value::duration).unwrap_or(BUDGET);
        let (place, target) = url.or_else(|| {
            table.skip("ca");
            None
        })?;
        let tls = Found {
            folder: self.folder,
            files: self.files,
        }
        .trusting(table, &place);
        Some(FallbackUrl {
            upstream: Arc::new(Upstream::new(upstream::at(place, tls), Arc::default())),
            target,
            budget,
        })
    }

    fn file(&mut self, written: &str, kind: Kind) -> Result<Document, Problem> {
        let path = self.folder.join(written);
        let rules = self.rules(kind);
        let files = &mut self.files;
        let judged = self.judged.entry((path.clone(), kind)).or_insert_with(|| {
            let page = files.read(&path).map_err(PageFault::Unreadable);
            page.and_then(|page| Document::parse(page, &rules).map_err(PageFault::Bad))
        });
        let page = judged.clone().map_err(|fault| {
            let file = Some(path.clone());
            Problem::from(PageProblem { file, fault })
        })?;
        if self.noted.insert(path.clone()) {
            self.note(&page, Some(&path));
        }
        Ok(page)
    }

    fn inline(&mut self, page: &str, kind: Kind) -> Result<Document, Problem> {
        let page = Bytes::copy_from_slice(page.as_bytes());
        let page = Document::parse(page, &self.rules(kind)).map_err(|fault| {
            let (file, fault) = (None, PageFault::Bad(fault));
            Problem::from(PageProblem { file, fault })
        })?;
        self.note(&page, None);
        Ok(page)
    }

    fn note(&mut self, page: &Document, file: Option<&Path>) {
        let notes = page.injections().iter().map(|injection| PageProblem {
            file: file.map(Path::to_owned),
            fault: PageFault::Injection(injection.clone()),
        });
        self.notes.extend(notes);
    }

    /// Adds the notes on the document that this key names.
    fn write_notes(&mut self, table: &Reader<'_>, key: &str) {
        for note in self.notes.drain(..) {
            table.note(table.spot(key), note.into());
        }
    }

    fn rules(&self, kind: Kind) -> Rules {
        self.grammar.rules(kind, Strictness::Strict)
    }
}

/// How long a fallback URL may take where nothing is said.
const BUDGET: Duration = Duration::from_secs(3);

impl From<PageProblem> for Problem {
    fn from(problem: PageProblem) -> Self {
        Self::Page(Box::new(problem))
    }
}

impl PageFault {
    fn place(&self) -> Option<Place> {
        let place = match self {
            Self::Unreadable(_) => None,
            Self::Bad(fault) => fault.position(),
            Self::Injection(injection) => Some(injection.position),
        };
        place.map(|place| Place {
            line: place.line as usize,
            column: place.column as usize,
        })
    }
}

impl fmt::Display for PageProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.fault.place()) {
            (Some(file), Some(place)) => write!(f, "{}:{place}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(place)) => {
                write!(
                    f,
                    "line {}, column {} of the page: ",
                    place.line, place.column
                )?;
            }
            (None, None) => {}
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for PageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => why.fmt(f),
            Self::Bad(fault) => fault.fmt(f),
            Self::Injection(injection) => injection.fmt(f),
        }
    }
}

const KEY: &str = "fallback";
