//! The line that an error is about, masked so that anybody may see it. A response may contain a caller's data anywhere, also
//! where it is broken. So only punctuation is shown, and names that TwiML or HTML has; every other letter and digit becomes a
//! dot of its own, so that columns stay right.
//!
//! Excerpts are made only of rejected documents, so they cost nothing for a valid one.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde::Serialize;

use super::{
    charset,
    finding::{Finding, Problem},
    grammar::Grammar,
    kind::Kind,
};

/// The line around the position of a finding, masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// At most 160 characters of the line, and a `…` where it was cut.
    pub text: String,
    /// Where in the text the finding begins, in characters from 1; one behind the end if the finding is at the end of the line.
    pub column: u32,
    /// How many characters the finding is about, at least one.
    pub width: u32,
}

/// How many characters of a line are shown.
const MAX_SHOWN: usize = 160;

/// How many of them are before the position, if the line is longer.
const SHOWN_BEFORE: usize = 60;

/// How many characters beyond those shown are read on both sides, to recognize names at the edges: more than any name has.
const MARGIN: usize = 80;

/// Replaces a letter or a digit.
pub(super) const MASK: char = '•';

/// Replaces what was cut off.
const CUT: char = '…';

/// Names in a document that isn't TwiML, mostly the error page of a framework. A name with one digit is not a phone number.
const HTML_NAMES: &str = "version encoding standalone html head meta charset name content http-equiv title base link rel href \
     style script src body header footer main section article nav div span p br hr h1 h2 h3 h4 h5 h6 a img alt b i em strong small pre code \
     ul ol li dl dt dd table thead tbody tr th td form input button label select option type value class id lang dir xmlns error errors \
     message exception response twiml cdata amazon:effect amazon:domain amazon:emotion";

/// Entities that people write, whether XML has them or not.
const ENTITIES: [&str; 6] = ["amp", "lt", "gt", "quot", "apos", "nbsp"];

impl Excerpt {
    /// The excerpt for a finding in this document. `charset` is that parameter of its `Content-Type`, if it had one.
    pub(super) fn new(
        document: &[u8],
        charset: Option<&str>,
        finding: &Finding,
        grammar: &Grammar,
    ) -> Self {
        let text = charset::decode_lossy(document, charset);
        let ends: &[char] = match finding.problem {
            Problem::Encoding(_) => &['\n'],
            Problem::Syntax(_) | Problem::Root { .. } | Problem::Schema(_) => &['\n', '\r'],
        };
        let line = nth_line(&text, finding.position.line, ends);
        let before = finding.position.column.saturating_sub(1) as usize;
        Self::around(line, before, finding.width, grammar)
    }

    /// The part of a line around the position that has so many characters before it.
    fn around(line: &str, before: usize, width: u32, grammar: &Grammar) -> Self {
        let length = line.chars().count();
        let at = before.min(length);
        let start = at
            .saturating_sub(SHOWN_BEFORE)
            .min(length.saturating_sub(MAX_SHOWN));
        let end = length.min(start + MAX_SHOWN);
        let read_from = start.saturating_sub(MARGIN);
        let near: Vec<char> = line
            .chars()
            .skip(read_from)
            .take(end + MARGIN - read_from)
            .collect();
        let masked = mask(&near, grammar);
        let (cut_before, cut_after) = (start > 0, end < length);
        let mut text = String::with_capacity(3 * (end - start) + 6);
        text.extend(cut_before.then_some(CUT));
        text.extend(&masked[start - read_from..end - read_from]);
        text.extend(cut_after.then_some(CUT));
        let room = (end - at).clamp(1, MAX_SHOWN) as u32;
        Self {
            text,
            column: (at - start + usize::from(cut_before) + 1) as u32,
            width: width.clamp(1, room),
        }
    }
}

/// The line of this number, from 1.
fn nth_line<'t>(text: &'t str, number: u32, ends: &[char]) -> &'t str {
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

/// Replaces each letter and digit, but not those of known names.
fn mask(line: &[char], grammar: &Grammar) -> Vec<char> {
    let mut shown = Vec::with_capacity(line.len());
    while shown.len() < line.len() {
        let start = shown.len();
        let run = line[start..]
            .iter()
            .take_while(|c| is_name_character(**c))
            .count();
        if run == 0 {
            shown.push(mask_character(line[start]));
            continue;
        }
        let word = &line[start..start + run];
        if is_known(word, &line[..start], &line[start + run..], grammar) {
            shown.extend(word);
        } else {
            shown.extend(word.iter().map(|c| mask_character(*c)));
        }
    }
    shown
}

pub(super) fn is_name_character(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':')
}

/// Punctuation stays. Characters that have no width, or that reverse the text, are masked like letters.
fn mask_character(c: char) -> char {
    match c {
        '\u{fffd}' => c,
        _ if c.is_ascii_punctuation() => c,
        _ if c.is_whitespace() => ' ',
        _ if c.is_control() => '\u{fffd}',
        _ => MASK,
    }
}

/// Whether a word is a known name, and in a place where a name may be.
fn is_known(word: &[char], before: &[char], after: &[char], grammar: &Grammar) -> bool {
    let word: String = word.iter().map(char::to_ascii_lowercase).collect();
    if before.last() == Some(&'&') && after.first() == Some(&';') {
        return ENTITIES.contains(&word.as_str());
    }
    let is_declaration = ends_with(before, "<?") || ends_with(before, "<!");
    let is_tag = ends_with(before, "<") || ends_with(before, "</");
    if is_declaration {
        return matches!(word.as_str(), "xml" | "doctype");
    }
    let can_be_name = is_tag
        || ends_with(before, "<![")
        || follows_doctype(before)
        || is_attribute(before, after);
    can_be_name
        && (NAMES.contains(word.as_str()) || grammar.names().any(|n| n.eq_ignore_ascii_case(&word)))
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

/// Whether `=` follows the word, and what is before it can be before an attribute.
fn is_attribute(before: &[char], after: &[char]) -> bool {
    let can_begin = before
        .last()
        .is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\''));
    can_begin && after.iter().find(|c| !c.is_whitespace()) == Some(&'=')
}

/// Whether it is a name of TwiML, XML or HTML.
pub(super) fn is_known_name(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    NAMES.contains(&word) || ENTITIES.contains(&word.as_str()) || word == "xml"
}

/// Every name of Twilio's grammars and of HTML, in lower case.
static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let grammars = [Kind::Voice, Kind::Messaging].map(Grammar::of);
    let twiml = grammars.iter().flat_map(|grammar| grammar.names());
    let html = HTML_NAMES.split_ascii_whitespace();
    let names = twiml.chain(html).map(str::to_ascii_lowercase);
    names.collect()
});

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    fn shown(line: &str) -> String {
        let line: Vec<char> = line.chars().collect();
        mask(&line, &Grammar::of(Kind::Voice)).iter().collect()
    }

    #[test]
    fn markup_is_shown_and_a_callers_data_is_masked() {
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
    fn names_of_twiml_of_html_and_of_xml_are_known() {
        for name in ["Say", "say", "h1", "amp", "NBSP", "xml"] {
            assert!(is_known_name(name), "{name}");
        }
        for word in ["Ann", "ampersand", ""] {
            assert!(!is_known_name(word), "{word}");
        }
    }

    #[test]
    fn names_of_extensions_are_shown() {
        let extension = crate::twiml::Extension {
            element: "Teleport".into(),
            attributes: vec!["toPlanet".into()],
            ..Default::default()
        };
        let grammar = Grammar::with_extensions(Kind::Voice, &[extension]).expect("it is valid");
        let line: Vec<char> = "<Teleport toPlanet='Mars'>".chars().collect();
        let shown: String = mask(&line, &grammar).iter().collect();
        assert_eq!(shown, "<Teleport toPlanet='••••'>");
    }

    #[test]
    fn a_long_line_is_cut_around_the_position() {
        let line = format!("{}<Say>{}", "x".repeat(500), "y".repeat(500));
        let grammar = Grammar::of(Kind::Voice);
        let excerpt = Excerpt::around(&line, 501, 3, &grammar);
        let characters: Vec<char> = excerpt.text.chars().collect();
        let at = excerpt.column as usize - 1;
        assert_eq!(characters[at..at + 3], ['S', 'a', 'y']);
        assert_eq!(characters.len(), MAX_SHOWN + 2);
        assert_eq!((characters[0], characters[MAX_SHOWN + 1]), (CUT, CUT));
        for (before, column) in [(0, 1), (5, 6), (2000, 162)] {
            assert_eq!(Excerpt::around(&line, before, 1, &grammar).column, column);
        }
    }

    #[test]
    fn lines_end_where_xml_ends_them() {
        let text = "one\r\ntwo\rthree\nfour";
        for (number, wanted) in [(1, "one"), (2, "two"), (3, "three"), (4, "four"), (5, "")] {
            assert_eq!(nth_line(text, number, &['\n', '\r']), wanted);
        }
        assert_eq!(nth_line(text, 2, &['\n']), "two\rthree");
    }

    /// Names, what may be around them, and a caller's data.
    const PIECES: &[&str] = &[
        "<", "</", "<?", "<!", "<![", ">", "=", " = ", "\"", "'", "&", ";", " ", "\t", "Say",
        "Response", "voice", "!DOCTYPE", "html", "DOCTYPE", "Ann", "15550100", "h1", "xml", "nbsp",
        "Saya", "é", "日", ".", "-", "_", ":", "\u{202e}",
    ];

    proptest! {
        #[test]
        fn no_word_is_shown_that_is_not_a_known_name(pieces in vec(prop_oneof![
            select(PIECES).prop_map(str::to_owned), "[a-zA-Z0-9]{1,12}", any::<String>(),
        ], 0..40)) {
            let line: String = pieces.concat().replace(['\n', '\r'], " ");
            let shown = shown(&line);
            prop_assert_eq!(shown.chars().count(), line.chars().count());
            let known = |word: &str| {
                let word = word.to_ascii_lowercase();
                NAMES.contains(&word) || ENTITIES.contains(&word.as_str()) || ["xml", "doctype"].contains(&word.as_str())
            };
            for run in shown.split(|c| !is_name_character(c)) {
                let is_shown = run.chars().any(char::is_alphanumeric);
                prop_assert!(!is_shown || known(run), "{run} in {shown}");
            }
            let unexpected = shown.chars().find(|c| !c.is_ascii() && !matches!(c, '•' | '\u{fffd}'));
            prop_assert_eq!(unexpected, None);
        }
    }
}
