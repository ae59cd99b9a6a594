//! Makes messages about a document fit for a log. A finding quotes names from the document, which its author needs. But if an
//! app doesn't escape what a caller has sent, a caller's data may become a name. So a log shows only names that TwiML has.

use super::excerpt::{MASK, is_known_name, is_name_character};

/// Masks unknown names between backticks: each letter and digit becomes a dot.
pub fn redact(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    for (at, part) in message.split('`').enumerate() {
        if at > 0 {
            shown.push('`');
        }
        // Every second part is in backticks.
        if at % 2 == 1 {
            push_masked(part, &mut shown);
        } else {
            shown.push_str(part);
        }
    }
    shown
}

fn push_masked(quoted: &str, shown: &mut String) {
    for piece in quoted.split_inclusive(|c| !is_name_character(c)) {
        let name = piece.trim_end_matches(|c| !is_name_character(c));
        if is_known_name(name) {
            shown.push_str(piece);
        } else {
            let mask = |c: char| {
                if c.is_ascii_punctuation() || c == ' ' || c == '…' {
                    c
                } else {
                    MASK
                }
            };
            shown.extend(piece.chars().map(mask));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_twiml_stay_and_others_do_not() {
        for (message, wanted) in [
            (
                "unknown element `<Ann>` in `<Response>`",
                "unknown element `<•••>` in `<Response>`",
            ),
            (
                "bad value for `voice` on `<Say>`: expected a voice",
                "bad value for `voice` on `<Say>`: expected a voice",
            ),
            (
                "attribute `Ann-1` without a value",
                "attribute `•••-•` without a value",
            ),
            ("write `ann=\"…\"`", "write `•••=\"…\"`"),
            ("an entity, `&Ann;`", "an entity, `&•••;`"),
            ("`</Say>` closes `<say-as>`", "`</Say>` closes `<say-as>`"),
            ("a bare `&`", "a bare `&`"),
            ("`]]>` in text", "`]]>` in text"),
            ("`日本 Say`", "`•• Say`"),
            (
                "a message that ends in a quote, `Ann",
                "a message that ends in a quote, `•••",
            ),
        ] {
            assert_eq!(redact(message), wanted);
        }
    }
}
