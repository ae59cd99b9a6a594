//! Words about a page, fit for a log. A finding quotes names as they stood in the page, which is what an author needs; but an
//! app that doesn't escape what a caller has sent makes names of it. So in a log only names that Twilio has are quoted.

use super::excerpt::{MASK, is_name, is_of_name};

/// The same words, with each unknown name between backticks masked: a dot for each of its letters and digits.
pub fn redacted(words: &str) -> String {
    let mut shown = String::with_capacity(words.len());
    for (at, part) in words.split('`').enumerate() {
        if at > 0 {
            shown.push('`');
        }
        // What stands behind an odd backtick is quoted.
        if at % 2 == 1 {
            mask_unknown(part, &mut shown);
        } else {
            shown.push_str(part);
        }
    }
    shown
}

fn mask_unknown(quoted: &str, shown: &mut String) {
    for piece in quoted.split_inclusive(|c| !is_of_name(c)) {
        let name = piece.trim_end_matches(|c| !is_of_name(c));
        if is_name(name) {
            shown.push_str(piece);
        } else {
            let masked = |c: char| {
                if c.is_ascii_punctuation() || c == ' ' || c == '…' {
                    c
                } else {
                    MASK
                }
            };
            shown.extend(piece.chars().map(masked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_twilio_has_stay_and_others_do_not() {
        for (words, wanted) in [
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
                "a page that ends in a quote, `Ann",
                "a page that ends in a quote, `•••",
            ),
        ] {
            assert_eq!(redacted(words), wanted);
        }
    }
}
