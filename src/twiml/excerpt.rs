//! The line that a fault is about, fit to be shown to anybody. What an app answers may hold its callers' data anywhere, also
//! where a page went wrong; so only markup stays, and names that TwiML or HTML has. Every other letter and digit becomes a
//! dot: each one of its own, so that columns hold.
//!
//! Made only once a page was refused: a good one never pays for it.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde::Serialize;

use super::{Fact, Finding, Kind, charset, grammar::Grammar};

/// A line around the place of a fault, masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// At most 160 characters of the line, and a `…` where it was cut.
    pub text: String,
    /// Where in the text the fault is, in characters from 1; one behind its end if that is where.
    pub column: u32,
    /// How many characters it is about, at least one.
    pub width: u32,
}

/// How many characters of a line are shown.
const SHOWN: usize = 160;

/// How many of them stand before the place, if the line is longer.
const BEFORE: usize = 60;

/// What is read on both sides of what is shown, to tell the names at its edges: more than the longest name.
const MARGIN: usize = 80;

/// Stands for a letter or a digit.
pub(super) const MASK: char = '•';

/// Stands for what was cut away.
const CUT: char = '…';

/// Names in a page that isn't TwiML: mostly the error page of a framework. One digit is no caller's number.
const OF_HTML: &str = "version encoding standalone html head meta charset name content http-equiv title base link rel href \
     style script src body header footer main section article nav div span p br hr h1 h2 h3 h4 h5 h6 a img alt b i em strong small pre code \
     ul ol li dl dt dd table thead tbody tr th td form input button label select option type value class id lang dir xmlns error errors \
     message exception response twiml cdata amazon:effect amazon:domain amazon:emotion";

/// References that people write, whether XML has them or not.
const REFERENCES: [&str; 6] = ["amp", "lt", "gt", "quot", "apos", "nbsp"];

impl Excerpt {
    /// What a finding in this page is about. `charset` is that parameter of its `Content-Type`, if it had one.
    pub(super) fn of(
        page: &[u8],
        charset: Option<&str>,
        finding: &Finding,
        grammar: &Grammar,
    ) -> Self {
        let text = charset::decoded(page, charset);
        let ends: &[char] = match finding.fact {
            Fact::Encoding(_) => &['\n'],
            Fact::Syntax(_) | Fact::Root { .. } | Fact::Schema(_) => &['\n', '\r'],
        };
        let line = line(&text, finding.place.line, ends);
        let before = finding.place.column.saturating_sub(1) as usize;
        Self::around(line, before, finding.width, grammar)
    }

    /// What stands around a place in a line that has so many characters before it.
    fn around(line: &str, before: usize, width: u32, grammar: &Grammar) -> Self {
        let length = line.chars().count();
        let at = before.min(length);
        let start = at.saturating_sub(BEFORE).min(length.saturating_sub(SHOWN));
        let end = length.min(start + SHOWN);
        let read_from = start.saturating_sub(MARGIN);
        let near: Vec<char> = line
            .chars()
            .skip(read_from)
            .take(end + MARGIN - read_from)
            .collect();
        let masked = masked(&near, grammar);
        let (cut_before, cut_after) = (start > 0, end < length);
        let mut text = String::with_capacity(3 * (end - start) + 6);
        text.extend(cut_before.then_some(CUT));
        text.extend(&masked[start - read_from..end - read_from]);
        text.extend(cut_after.then_some(CUT));
        let room = (end - at).clamp(1, SHOWN) as u32;
        Self {
            text,
            column: (at - start + usize::from(cut_before) + 1) as u32,
            width: width.clamp(1, room),
        }
    }
}

/// A line of a text, from 1.
fn line<'t>(text: &'t str, number: u32, ends: &[char]) -> &'t str {
    let mut rest = text;
    for _ in 1..number {
        let Some(end) = rest.find(ends) else {
            return "";
        };
        let both = rest[end..].starts_with("\r\n");
        rest = &rest[end + 1 + usize::from(both)..];
    }
    rest.split(ends).next().unwrap_or_default()
}

/// The same characters, but only those that can't be anybody's data.
fn masked(line: &[char], grammar: &Grammar) -> Vec<char> {
    let mut shown = Vec::with_capacity(line.len());
    while shown.len() < line.len() {
        let start = shown.len();
        let run = line[start..].iter().take_while(|c| is_of_name(**c)).count();
        if run == 0 {
            shown.push(harmless(line[start]));
            continue;
        }
        let word = &line[start..start + run];
        if is_known(word, &line[..start], &line[start + run..], grammar) {
            shown.extend(word);
        } else {
            shown.extend(word.iter().map(|c| harmless(*c)));
        }
    }
    shown
}

pub(super) fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')
}

/// Punctuation stays. What has no width, or turns the text round, is a letter like any other.
fn harmless(c: char) -> char {
    match c {
        '\u{fffd}' => c,
        _ if c.is_ascii_punctuation() => c,
        _ if c.is_whitespace() => ' ',
        _ if c.is_control() => '\u{fffd}',
        _ => MASK,
    }
}

/// Whether a word stands where names stand, and is one.
fn is_known(word: &[char], before: &[char], after: &[char], grammar: &Grammar) -> bool {
    let word: String = word.iter().map(char::to_ascii_lowercase).collect();
    if before.last() == Some(&'&') && after.first() == Some(&';') {
        return REFERENCES.contains(&word.as_str());
    }
    let is_of_declaration = ends_with(before, "<?") || ends_with(before, "<!");
    let is_tag = ends_with(before, "<") || ends_with(before, "</");
    if is_of_declaration {
        return matches!(word.as_str(), "xml" | "doctype");
    }
    let named = is_tag
        || ends_with(before, "<![")
        || follows_doctype(before)
        || is_attribute(before, after);
    named
        && (WORDS.contains(word.as_str()) || grammar.names().any(|n| n.eq_ignore_ascii_case(&word)))
}

fn ends_with(text: &[char], end: &str) -> bool {
    let end = end.chars().rev();
    end.zip(text.iter().rev().map(Some).chain(std::iter::repeat(None)))
        .all(|(wanted, found)| found.is_some_and(|c| c.eq_ignore_ascii_case(&wanted)))
}

fn follows_doctype(before: &[char]) -> bool {
    let spaces = before
        .iter()
        .rev()
        .take_while(|c| c.is_whitespace())
        .count();
    spaces > 0 && ends_with(&before[..before.len() - spaces], "<!doctype")
}

/// Whether `=` follows, and nothing stands at the word's beginning that a name can't follow.
fn is_attribute(before: &[char], after: &[char]) -> bool {
    let begins = before
        .last()
        .is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\''));
    begins && after.iter().find(|c| !c.is_whitespace()) == Some(&'=')
}

/// Whether it is a name that Twilio, XML or HTML has, wherever it stands.
pub(super) fn is_name(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    WORDS.contains(&word) || REFERENCES.contains(&word.as_str()) || word == "xml"
}

/// Every name that Twilio's grammars and HTML have, in small letters.
static WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let grammars = [Kind::Voice, Kind::Messaging].map(Grammar::of);
    let of_twiml = grammars.iter().flat_map(|grammar| grammar.names());
    let of_html = OF_HTML.split_ascii_whitespace();
    let names = of_twiml.chain(of_html).map(str::to_ascii_lowercase);
    names.collect()
});

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn shown(line: &str) -> String {
        let line: Vec<char> = line.chars().collect();
        masked(&line, &Grammar::of(Kind::Voice)).iter().collect()
    }

    #[test]
    fn markup_stays_and_what_callers_said_does_not() {
        for (line, wanted) in [
            (
                "<Response><Say voice=\"alice\">Hello Ann, 42!</Say>",
                "<Response><Say voice=\"•••••\">••••• •••, ••!</Say>",
            ),
            ("<say>Hi</SAY>", "<say>••</SAY>"),
            (
                "<?xml version=\"1.0\" encoding='UTF-8'?>",
                "<?xml version=\"•.•\" encoding='•••-•'?>",
            ),
            ("<!DOCTYPE html>", "<!DOCTYPE html>"),
            ("<!doctype ann>", "<!doctype •••>"),
            (
                "<h1>Error for +15550100</h1>",
                "<h1>••••• ••• +••••••••</h1>",
            ),
            ("<![CDATA[Body]]>", "<![CDATA[••••]]>"),
            ("Tom &amp; Say &nbsp; &tom;", "••• &amp; ••• &nbsp; &•••;"),
            ("<Ann Body = 'Body'/>", "<••• Body = '••••'/>"),
            ("<Ann-Lee x_1='y'>", "<•••-••• •_•='•'>"),
            ("<Sayer/><Sa y/>", "<•••••/><•• •/>"),
            ("<lang xml:lang='x'>", "<lang xml:lang='•'>"),
            (
                "ann@example.com?To=+33&From=1",
                "•••@•••••••.•••?••=+••&••••=•",
            ),
            ("日本 é\u{301} \u{202e}x \t\u{7}", "•• •• ••  \u{fffd}"),
        ] {
            assert_eq!(shown(line), wanted, "{line}");
        }
    }

    #[test]
    fn what_a_configuration_has_added_to_the_grammar_stays() {
        let addition = crate::twiml::Extension {
            element: "Teleport".into(),
            attributes: vec!["toPlanet".into()],
            ..Default::default()
        };
        let grammar = Grammar::with(Kind::Voice, &[addition]).expect("it is good");
        let line: Vec<char> = "<Teleport toPlanet='Mars'>".chars().collect();
        let shown: String = masked(&line, &grammar).iter().collect();
        assert_eq!(shown, "<Teleport toPlanet='••••'>");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}<Say>{}", "x".repeat(500), "y".repeat(500));
        let grammar = Grammar::of(Kind::Voice);
        let excerpt = Excerpt::around(&line, 501, 3, &grammar);
        let characters: Vec<char> = excerpt.text.chars().collect();
        let at = excerpt.column as usize - 1;
        assert_eq!(characters[at..at + 3], ['S', 'a', 'y']);
        assert_eq!(characters.len(), SHOWN + 2);
        assert_eq!((characters[0], characters[SHOWN + 1]), (CUT, CUT));
        for (before, column) in [(0, 1), (5, 6), (2000, 162)] {
            assert_eq!(Excerpt::around(&line, before, 1, &grammar).column, column);
        }
    }

    #[test]
    fn lines_end_where_xml_ends_them() {
        let text = "one\r\ntwo\rthree\nfour";
        for (number, wanted) in [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "")] {
            assert_eq!(line(text, number, &['\n', '\r']), wanted);
        }
        assert_eq!(line(text, 2, &['\n']), "two\rthree");
    }

    /// Names and what stands around them, and a caller's data.
    const PIECES: &[&str] = &[
        "<", "</", "<?", "<!", "<![", ">", "=", " = ", "\"", "'", "&", ";", " ", "\t", "Say",
        "Response", "voice", "!DOCTYPE", "html", "DOCTYPE", "Ann", "15550100", "h1", "xml", "nbsp",
        "Saya", "é", "日", ".", "-", "_", ":", "\u{202e}",
    ];

    proptest! {
        #[test]
        fn no_word_survives_that_is_no_name(pieces in vec(prop_oneof![
            select(PIECES).prop_map(str::to_owned), "[a-zA-Z0-9]{1,12}", any::<String>(),
        ], 0..40)) {
            let line: String = pieces.concat().replace(['\n', '\r'], " ");
            let shown = shown(&line);
            prop_assert_eq!(shown.chars().count(), line.chars().count());
            let known = |word: &str| {
                let word = word.to_ascii_lowercase();
                WORDS.contains(&word) || REFERENCES.contains(&word.as_str()) || ["xml", "doctype"].contains(&word.as_str())
            };
            for run in shown.split(|c| !is_of_name(c)) {
                let survives = run.chars().any(char::is_alphanumeric);
                prop_assert!(!survives || known(run), "{run} in {shown}");
            }
            let strange = shown.chars().find(|c| !c.is_ascii() && !matches!(c, '•' | '\u{fffd}'));
            prop_assert_eq!(strange, None);
        }
    }
}
