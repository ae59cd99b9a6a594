//! The table: a line a caller, printed as soon as it is known, and what it all comes to.

use std::io::{self, Write};
use std::time::Duration;

use super::caller::{Heard, Page};
use super::{DEADLINE, PATIENCE};
use crate::failure::Failure;
use crate::twiml::Kind;

/// One fault, without and with the proxy.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) without: Heard,
    pub(super) with: Heard,
}

/// How many callers the app answered, and for how many the fallback stood in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) by_app: u64,
    pub(super) by_fallback: u64,
}

/// The table while it is printed.
pub(super) struct Table<'a> {
    out: &'a mut dyn Write,
    coloured: bool,
    callers: u64,
    /// Who had valid TwiML without the proxy.
    without: u64,
    /// Who had it with the proxy.
    with: Counted,
    /// The longest that a caller waited for the proxy.
    slowest: Duration,
}

impl<'a> Table<'a> {
    /// Says what is to be seen.
    pub(super) fn begin(out: &'a mut dyn Write, coloured: bool) -> io::Result<Self> {
        let mut table = Self {
            out,
            coloured,
            callers: 0,
            without: 0,
            with: Counted::default(),
            slowest: Duration::ZERO,
        };
        writeln!(
            table.out,
            "Twilio calls an app that misbehaves, directly and through understudy (deadline {} s).\n",
            DEADLINE.as_secs()
        )?;
        let heads = ["THE APP", "WITHOUT UNDERSTUDY", "WITH UNDERSTUDY"];
        table.line(heads.map(|head| (head, Ink::Bold)), "REASON", "MS")?;
        Ok(table)
    }

    /// One more line.
    pub(super) fn row(&mut self, row: &Row) -> io::Result<()> {
        self.count(row);
        let ink = |heard: &Heard| match heard.page {
            Ok(_) => Ink::Green,
            Err(_) => Ink::Red,
        };
        let (without, with) = (told(&row.without, row.kind), told(&row.with, row.kind));
        let reason = match &row.with.page {
            Ok(Page::Fallback(reason)) => reason,
            Ok(Page::Own) | Err(_) => "",
        };
        let cells = [
            (row.name, Ink::Plain),
            (without.as_str(), ink(&row.without)),
            (with.as_str(), ink(&row.with)),
        ];
        self.line(cells, reason, &in_millis(row.with.took))
    }

    fn count(&mut self, Row { without, with, .. }: &Row) {
        self.callers += 1;
        self.without += u64::from(without.page.is_ok());
        match with.page {
            Ok(Page::Own) => self.with.by_app += 1,
            Ok(Page::Fallback(_)) => self.with.by_fallback += 1,
            Err(_) => {}
        }
        self.slowest = self.slowest.max(with.took);
    }

    /// Sums it up beside what the proxy has counted. Whether every caller had valid TwiML in time, and was counted so.
    pub(super) fn end(self, counted: Counted) -> io::Result<bool> {
        let Self {
            out,
            callers,
            without,
            with,
            ..
        } = self;
        let Counted {
            by_app,
            by_fallback,
        } = counted;
        let served = with.by_app + with.by_fallback;
        let (slowest, patience) = (self.slowest.as_secs_f64(), PATIENCE.as_secs());
        let agree = if counted == with {
            "agree"
        } else {
            "do not agree"
        };
        writeln!(
            out,
            "\nOf {callers} callers, {without} had valid TwiML without understudy and {served} with it, the slowest after {slowest:.1} s.\n\
             Its metrics {agree}: {by_app} answers of the app went through, {by_fallback} fallbacks stood in.\n\
             In brackets: Twilio's error codes. Its 15 s of silence were cut short after {patience} s here."
        )?;
        out.flush()?;
        Ok(served == callers && counted == with)
    }

    fn line(
        &mut self,
        cells: [(&str, Ink); 3],
        reason: &str,
        milliseconds: &str,
    ) -> io::Result<()> {
        for ((text, ink), width) in cells.into_iter().zip(WIDTHS) {
            let (begin, end) = if self.coloured { ink.codes() } else { ("", "") };
            write!(self.out, "{begin}{text:<width$}{end}")?;
        }
        writeln!(self.out, "{reason:<13}{milliseconds:>4}")?;
        self.out.flush()
    }
}

/// How wide the first columns are.
const WIDTHS: [usize; 3] = [30, 46, 17];

/// How a cell is shown on a terminal.
#[derive(Clone, Copy, Debug)]
enum Ink {
    Plain,
    Bold,
    Green,
    Red,
}

impl Ink {
    fn codes(self) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("", ""),
            Self::Bold => ("\x1b[1m", "\x1b[0m"),
            Self::Green => ("\x1b[32m", "\x1b[0m"),
            Self::Red => ("\x1b[31m", "\x1b[0m"),
        }
    }
}

fn in_millis(took: Duration) -> String {
    match took.as_millis() {
        0 => "<1".to_owned(),
        millis => millis.to_string(),
    }
}

/// What the caller notices.
fn told(heard: &Heard, kind: Kind) -> String {
    let cause = match (&heard.page, kind) {
        (Ok(Page::Own), Kind::Voice) => return "the app's page".to_owned(),
        (Ok(Page::Own), Kind::Messaging) => return "the app's reply".to_owned(),
        (Ok(Page::Fallback(_)), Kind::Voice) => return "fallback page".to_owned(),
        (Ok(Page::Fallback(_)), Kind::Messaging) => return "fallback reply".to_owned(),
        (Err(cause), _) => cause,
    };
    let code = cause.twilio_code().map(|code| format!(" ({code})"));
    let code = code.unwrap_or_default();
    match (kind, matches!(cause, Failure::Deadline)) {
        (Kind::Messaging, _) => format!("no reply{code}"),
        (Kind::Voice, false) => format!("\"application error\"{code}"),
        (Kind::Voice, true) => format!("15 s of silence, \"application error\"{code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(page: Result<Page, Failure>) -> Heard {
        let took = Duration::from_millis(2);
        Heard { page, took }
    }

    fn row(without: Result<Page, Failure>, with: Result<Page, Failure>) -> Row {
        Row {
            name: "is silent",
            kind: Kind::Voice,
            without: heard(without),
            with: heard(with),
        }
    }

    /// Whether the demo is a success, and what it has said.
    fn played(rows: &[Row], counted: Counted) -> (bool, String) {
        let mut out = Vec::new();
        let mut table = Table::begin(&mut out, false).expect("memory takes all");
        for row in rows {
            table.row(row).expect("memory takes all");
        }
        let success = table.end(counted).expect("memory takes all");
        (success, String::from_utf8(out).expect("text"))
    }

    fn counted(by_app: u64, by_fallback: u64) -> Counted {
        Counted {
            by_app,
            by_fallback,
        }
    }

    #[test]
    fn it_is_a_success_if_every_caller_was_served_and_counted_so() {
        let deadline = || Ok(Page::Fallback("deadline".to_owned()));
        let rows = [
            row(Ok(Page::Own), Ok(Page::Own)),
            row(Err(Failure::Deadline), deadline()),
        ];
        let (success, said) = played(&rows, counted(1, 1));
        assert!(success, "{said}");
        assert!(said.contains("1 had valid TwiML without understudy and 2 with it"));
        assert!(!played(&rows, counted(2, 0)).0);
        let lost = [row(Ok(Page::Own), Err(Failure::Deadline))];
        assert!(!played(&lost, counted(0, 0)).0);
    }
}
