//! The demo's table: a line for each scenario, printed as soon as its result is known, and a summary.

use std::io::{self, Write};
use std::time::Duration;

use super::webhook::{Delivery, Source, TIMEOUT};
use crate::failure::Failure;
use crate::twiml::Kind;

/// The widths of the first columns.
const WIDTHS: [usize; 3] = [30, 46, 17];

/// One scenario, without and with the proxy.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) without: Delivery,
    pub(super) with: Delivery,
}

/// How many callers got valid TwiML, from the app and from the fallback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) by_app: u64,
    pub(super) by_fallback: u64,
}

/// The table while it is printed.
pub(super) struct Table<'a> {
    out: &'a mut dyn Write,
    colored: bool,
    callers: u64,
    /// How many callers got valid TwiML without the proxy.
    without: u64,
    /// The same with the proxy.
    with: Served,
    /// The longest that a caller waited for the proxy.
    slowest: Duration,
}

/// How a cell is shown on a terminal: its escape sequence.
type Style = &'static str;

const PLAIN: Style = "";
const BOLD: Style = "\x1b[1m";
const GREEN: Style = "\x1b[32m";
const RED: Style = "\x1b[31m";
const RESET: Style = "\x1b[0m";

impl<'a> Table<'a> {
    /// Prints the heading.
    pub(super) fn start(
        out: &'a mut dyn Write,
        colored: bool,
        deadline: Duration,
    ) -> io::Result<Self> {
        let mut table = Self {
            out,
            colored,
            callers: 0,
            without: 0,
            with: Served::default(),
            slowest: Duration::ZERO,
        };
        writeln!(
            table.out,
            "Twilio calls an app that misbehaves, directly and through understudy (deadline {} s).\n",
            deadline.as_secs()
        )?;
        let heads = ["THE APP", "WITHOUT UNDERSTUDY", "WITH UNDERSTUDY"];
        table.print(heads.map(|head| (head, BOLD)), "REASON", "MS")?;
        Ok(table)
    }

    /// Prints a row.
    pub(super) fn add(&mut self, row: &Row) -> io::Result<()> {
        self.count(row);
        let style = |delivery: &Delivery| match delivery.result {
            Ok(_) => GREEN,
            Err(_) => RED,
        };
        let reason = match &row.with.result {
            Ok(Source::Fallback(reason)) => reason,
            Ok(Source::App) | Err(_) => "",
        };
        let cells = [
            (row.name, PLAIN),
            (&describe(&row.without, row.kind), style(&row.without)),
            (&describe(&row.with, row.kind), style(&row.with)),
        ];
        let milliseconds = match row.with.took.as_millis() {
            0 => "<1".to_owned(),
            milliseconds => milliseconds.to_string(),
        };
        self.print(cells, reason, &milliseconds)
    }

    fn count(&mut self, Row { without, with, .. }: &Row) {
        self.callers += 1;
        self.without += u64::from(without.result.is_ok());
        match with.result {
            Ok(Source::App) => self.with.by_app += 1,
            Ok(Source::Fallback(_)) => self.with.by_fallback += 1,
            Err(_) => {}
        }
        self.slowest = self.slowest.max(with.took);
    }

    /// Prints the summary, beside what the proxy's metrics say. Returns whether every caller got valid TwiML in time, and the
    /// metrics say so, too.
    pub(super) fn finish(self, metrics: Served) -> io::Result<bool> {
        let Self {
            out,
            callers,
            without,
            with,
            ..
        } = self;
        let Served {
            by_app,
            by_fallback,
        } = metrics;
        let served = with.by_app + with.by_fallback;
        let (slowest, timeout) = (self.slowest.as_secs_f64(), TIMEOUT.as_secs());
        let agree = if metrics == with {
            "agree"
        } else {
            "do not agree"
        };
        writeln!(
            out,
            "\nOf {callers} callers, {without} had valid TwiML without understudy and {served} with it, the slowest after {slowest:.1} s.\n\
             Its metrics {agree}: {by_app} responses from the app, {by_fallback} from the fallback.\n\
             In brackets: Twilio's error codes. Its 15 s of silence were cut short after {timeout} s here."
        )?;
        out.flush()?;
        Ok(served == callers && metrics == with)
    }

    fn print(
        &mut self,
        cells: [(&str, Style); 3],
        reason: &str,
        milliseconds: &str,
    ) -> io::Result<()> {
        for ((text, style), width) in cells.into_iter().zip(WIDTHS) {
            if self.colored && style != PLAIN {
                write!(self.out, "{style}{text:<width$}{RESET}")?;
            } else {
                write!(self.out, "{text:<width$}")?;
            }
        }
        writeln!(self.out, "{reason:<13}{milliseconds:>4}")?;
        self.out.flush()
    }
}

/// What the caller notices.
fn describe(delivery: &Delivery, kind: Kind) -> String {
    let failure = match (&delivery.result, kind) {
        (Ok(Source::App), Kind::Voice) => return "the app's TwiML".to_owned(),
        (Ok(Source::App), Kind::Messaging) => return "the app's reply".to_owned(),
        (Ok(Source::Fallback(_)), Kind::Voice) => return "fallback TwiML".to_owned(),
        (Ok(Source::Fallback(_)), Kind::Messaging) => return "fallback reply".to_owned(),
        (Err(failure), _) => failure,
    };
    let code = failure.twilio_code().map(|code| format!(" ({code})"));
    let code = code.unwrap_or_default();
    match (kind, failure) {
        (Kind::Messaging, _) => format!("no reply{code}"),
        (Kind::Voice, Failure::Deadline) => {
            format!("15 s of silence, \"application error\"{code}")
        }
        (Kind::Voice, _) => format!("\"application error\"{code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(without: Result<Source, Failure>, with: Result<Source, Failure>) -> Row {
        let took = Duration::from_millis(2);
        Row {
            name: "is silent",
            kind: Kind::Voice,
            without: Delivery {
                result: without,
                took,
            },
            with: Delivery { result: with, took },
        }
    }

    /// Whether the demo is a success, and what it prints.
    fn print(rows: &[Row], metrics: Served) -> (bool, String) {
        let mut out = Vec::new();
        let mut table = Table::start(&mut out, false, Duration::ZERO).expect("a vector");
        for row in rows {
            table.add(row).expect("a vector");
        }
        let success = table.finish(metrics).expect("a vector");
        (success, String::from_utf8(out).expect("text"))
    }

    fn served(by_app: u64, by_fallback: u64) -> Served {
        Served {
            by_app,
            by_fallback,
        }
    }

    #[test]
    fn it_is_a_success_if_every_caller_was_served_and_counted_so() {
        let fallback = Ok(Source::Fallback("deadline".to_owned()));
        let rows = [
            row(Ok(Source::App), Ok(Source::App)),
            row(Err(Failure::Deadline), fallback),
        ];
        let (success, text) = print(&rows, served(1, 1));
        assert!(success, "{text}");
        assert!(text.contains("1 had valid TwiML without understudy and 2 with it"));
        assert!(!print(&rows, served(2, 0)).0);
        let lost = [row(Ok(Source::App), Err(Failure::Deadline))];
        assert!(!print(&lost, served(0, 0)).0);
    }
}
