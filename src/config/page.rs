//! Fallback pages: found, read, and judged strictly for the callers who would hear or read them.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::error::Place;
use super::files::{Files, Unreadable};
use super::problem::Problem;
use super::reader::{Form, Reader};
use super::value;
use crate::fallback::{BUILT_IN_MESSAGING, BUILT_IN_VOICE, Fallback};
use crate::route;
use crate::twiml::{Fault, Kind, Rules, Strictness, Twiml};

/// Twilio takes no longer page.
const LARGEST: usize = 64 << 10;

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
    /// It is longer than Twilio takes; its length in bytes.
    TooLarge(usize),
    /// It is not UTF-8.
    NotUtf8(Place),
    /// It has a `{{`, which would be read aloud.
    Template(Place),
    /// Twilio couldn't act on it.
    Twiml(Kind, Box<Fault>),
}

/// The pages of all routes. Each file is judged once for each kind, however many routes name it.
#[derive(Debug)]
pub(super) struct Pages<'f> {
    folder: &'f Path,
    files: &'f mut Files,
    judged: HashMap<(PathBuf, Kind), Result<Twiml, PageFault>>,
}

/// What is answered where nothing is said.
pub(super) fn built_in() -> Fallback {
    Fallback::new(built_in_page(Kind::Voice), built_in_page(Kind::Messaging))
}

fn built_in_page(kind: Kind) -> Twiml {
    let page = match kind {
        Kind::Voice => BUILT_IN_VOICE,
        Kind::Messaging => BUILT_IN_MESSAGING,
    };
    judge(Bytes::from_static(page.as_bytes()), kind).expect("a constant that a test judges")
}

impl<'f> Pages<'f> {
    /// Paths are taken from the folder of the configuration at `config`.
    pub(super) fn beside(config: &'f Path, files: &'f mut Files) -> Self {
        let folder = config.parent().unwrap_or_else(|| Path::new(""));
        Self {
            folder,
            files,
            judged: HashMap::new(),
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
        if table.has("inline") || table.has("file") {
            route.report(route.spot(KEY), Problem::PageForBothKinds);
            return None;
        }
        let mut page = |key, kind| {
            if table.has(key) {
                self.page(&mut table, key, kind)
            } else {
                table.skip(key);
                Some(built_in_page(kind))
            }
        };
        let voice = page("voice", Kind::Voice);
        let messaging = page("messaging", Kind::Messaging);
        table.finish();
        Some(Fallback::new(voice?, messaging?))
    }

    /// `"file"`, `{ file = … }` or `{ inline = … }`.
    fn page(&mut self, reader: &mut Reader<'_>, key: &'static str, kind: Kind) -> Option<Twiml> {
        match reader.text_or_table(key)? {
            Form::Text(file) => {
                let page = self.file(file, kind);
                reader.take(page, || reader.spot(key))
            }
            Form::Table(table) => self.page_of_table(table, kind),
        }
    }

    fn page_of_table(&mut self, mut table: Reader<'_>, kind: Kind) -> Option<Twiml> {
        if table.has("voice") || table.has("messaging") {
            table.report(table.here(), Problem::PagePerKind);
            return None;
        }
        let (is_file, is_inline) = (table.has("file"), table.has("inline"));
        let file = table.read("file", |value| self.file(value::text(value)?, kind));
        let inline = table.read("inline", |value| inline(value::text(value)?, kind));
        if is_file && is_inline {
            table.report(table.here(), Problem::TwoPages);
        } else if table.is_empty() {
            table.report(table.here(), Problem::NoPage);
        }
        table.finish();
        file.or(inline)
    }

    fn file(&mut self, written: &str, kind: Kind) -> Result<Twiml, Problem> {
        let path = self.folder.join(written);
        let files = &mut self.files;
        let judged = self.judged.entry((path.clone(), kind)).or_insert_with(|| {
            let page = files.read(&path).map_err(PageFault::Unreadable);
            page.and_then(|page| judge(page, kind))
        });
        let file = Some(path);
        (judged.clone()).map_err(|fault| PageProblem { file, fault }.into())
    }
}

fn inline(page: &str, kind: Kind) -> Result<Twiml, Problem> {
    let judged = judge(Bytes::copy_from_slice(page.as_bytes()), kind);
    judged.map_err(|fault| PageProblem { file: None, fault }.into())
}

impl From<PageProblem> for Problem {
    fn from(problem: PageProblem) -> Self {
        Self::Page(Box::new(problem))
    }
}

/// A page goes out as UTF-8, whatever it declares, so it is read as that.
fn judge(page: Bytes, kind: Kind) -> Result<Twiml, PageFault> {
    if page.len() > LARGEST {
        return Err(PageFault::TooLarge(page.len()));
    }
    let text = str::from_utf8(&page).map_err(|error| {
        let good = &page[..error.valid_up_to()];
        let good = str::from_utf8(good).expect("valid up to there");
        PageFault::NotUtf8(Place::of(good, good.len()))
    })?;
    if let Some(at) = text.find("{{") {
        return Err(PageFault::Template(Place::of(text, at)));
    }
    let rules = Rules::new(kind, Strictness::Strict);
    Twiml::parse(page, Some("utf-8"), &rules)
        .map_err(|fault| PageFault::Twiml(kind, Box::new(fault)))
}

impl PageFault {
    fn place(&self) -> Option<Place> {
        match self {
            Self::Unreadable(_) | Self::TooLarge(_) => None,
            Self::NotUtf8(place) | Self::Template(place) => Some(*place),
            Self::Twiml(_, fault) => {
                let place = fault.place();
                Some(Place {
                    line: place.line as usize,
                    column: place.column as usize,
                })
            }
        }
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
            Self::TooLarge(bytes) => write!(
                f,
                "the page has {bytes} bytes and Twilio takes at most {LARGEST}; make it shorter"
            ),
            Self::NotUtf8(_) => f.write_str("this byte is not UTF-8; save the page as UTF-8"),
            Self::Template(_) => f.write_str(
                "`{{` would reach the caller as it is: templates are not supported by this version; \
                 write plain text",
            ),
            Self::Twiml(kind, fault) => {
                write!(f, "not valid {kind} TwiML: {fault}")?;
                let help = fault.finding().help();
                help.map_or(Ok(()), |help| write!(f, "; {help}"))
            }
        }
    }
}

const KEY: &str = "fallback";
