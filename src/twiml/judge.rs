//! Brings the parts together: bytes become text, the scanner reads it, the grammar listens, and the findings get their
//! places.

use super::{
    Fact, Fault, Finding, Kind, Level, Name, Rules, Strictness, Syntax,
    charset::{Text, Unreadable},
    place::{Place, Surveyor},
    scan::{Part, Sink, Stopped, scan},
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
pub fn judge(page: &[u8], charset: Option<&str>, rules: &Rules) -> Judgement {
    Judgement {
        kind: rules.kind,
        findings: findings(page, charset),
    }
}

/// Whether a page is well-formed XML 1.0 without a DOCTYPE, be it TwiML or not.
pub fn well_formed(page: &[u8], charset: Option<&str>) -> Result<(), Fault> {
    let text =
        Text::read(page, charset).map_err(|unreadable| Fault::new(of_bytes(page, unreadable)))?;
    read(&text, &mut ()).map_err(Fault::new)
}

/// The warnings of a page that passes, or the finding that decides against it.
pub(super) fn decide(
    page: &[u8],
    charset: Option<&str>,
    rules: &Rules,
) -> Result<Vec<Finding>, Fault> {
    let found = findings(page, charset);
    let decisive = match (
        rules.strictness,
        found.iter().position(|f| f.level == Level::Error),
    ) {
        (Strictness::Strict, None) if !found.is_empty() => Some(0),
        (_, error) => error,
    };
    match decisive {
        Some(i) => Err(Fault::new(
            found.into_iter().nth(i).expect("was found at this index"),
        )),
        None => Ok(found),
    }
}

fn findings(page: &[u8], charset: Option<&str>) -> Vec<Finding> {
    let text = match Text::read(page, charset) {
        Ok(text) => text,
        Err(unreadable) => return vec![of_bytes(page, unreadable)],
    };
    let mut root = Root(None);
    if let Err(malformed) = read(&text, &mut root) {
        return vec![malformed];
    }
    match root.0 {
        Some(name) if name.raw != b"Response" => {
            let fact = Fact::Root {
                found: Name::new(name.raw),
            };
            let place = Surveyor::new(&text).place(name.at);
            vec![Finding {
                fact,
                level: Level::Error,
                place,
                path: Box::default(),
            }]
        }
        _ => Vec::new(),
    }
}

struct Root<'t>(Option<Part<'t>>);

impl<'t> Sink<'t> for Root<'t> {
    fn open(&mut self, name: Part<'t>) {
        self.0.get_or_insert(name);
    }
    fn attribute(&mut self, _: Part<'_>, _: Part<'_>) {}
    fn opened(&mut self) {}
    fn text(&mut self, _: Part<'_>) {}
    fn close(&mut self, _: usize) {}
}

/// Scans the text; what stops the scan is a finding, and so is a forbidden character if it comes before that.
fn read<'t>(text: &'t Text<'_>, sink: &mut impl Sink<'t>) -> Result<(), Finding> {
    let illegal = text.first_illegal();
    match (scan(text.as_bytes(), sink), illegal) {
        (Ok(()), None) => Ok(()),
        (Err(stopped), Some((at, _))) if stopped.at < at => Err(of_syntax(text, stopped)),
        (Err(stopped), None) => Err(of_syntax(text, stopped)),
        (_, Some((at, character))) => Err(of_syntax(
            text,
            Stopped {
                at,
                fact: Syntax::IllegalCharacter(character),
                open: Vec::new(),
            },
        )),
    }
}

fn of_bytes(page: &[u8], unreadable: Unreadable) -> Finding {
    let fact = Fact::Encoding(unreadable.fact);
    let place = Place::in_bytes(page, unreadable.at);
    Finding {
        fact,
        level: Level::Error,
        place,
        path: Box::default(),
    }
}

fn of_syntax(text: &Text<'_>, stopped: Stopped) -> Finding {
    let names = stopped
        .open
        .iter()
        .map(|range| Name::new(&text.as_bytes()[range.clone()]).to_string());
    let path = names.collect::<Vec<_>>().join("/").into();
    let place = Surveyor::new(text).place(stopped.at);
    Finding {
        fact: Fact::Syntax(stopped.fact),
        level: Level::Error,
        place,
        path,
    }
}
