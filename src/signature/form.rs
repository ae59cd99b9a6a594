//! The canonical form of a request's parameters, which Twilio signs together with the URL: decoded once, byte by byte, sorted by
//! name and then by value, each value of a name once, empty values kept.

use crate::form;

/// The most parameters that a form may have. Twilio's own have under a hundred; more would take long to sort.
const MAX_PARAMETERS: usize = 1000;

/// What of a form is signed: it follows the URL. `None` if the form has more parameters than any of Twilio's.
pub(super) fn canonicalize(text: &[u8]) -> Option<Vec<u8>> {
    let mut parameters: Vec<_> = form::parse(text).take(MAX_PARAMETERS + 1).collect();
    if parameters.len() > MAX_PARAMETERS {
        return None;
    }
    // Sorting names joined with their values would differ: `From` goes before `FromCity` whatever its value is.
    parameters.sort_unstable();
    parameters.dedup();
    let mut canonical = Vec::with_capacity(text.len());
    for (name, value) in &parameters {
        canonical.extend_from_slice(name);
        canonical.extend_from_slice(value);
    }
    Some(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use form_urlencoded::Serializer;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn canonical(form: &str) -> String {
        let canonical = canonicalize(form.as_bytes()).expect("few parameters");
        String::from_utf8_lossy(&canonical).into_owned()
    }

    #[test]
    fn names_are_sorted_then_values_and_each_appears_once() {
        for (form, expected) in [
            ("", ""),
            ("b=2&a=1", "a1b2"),
            ("a=2&a=1&a=2", "a1a2"),
            ("FromCity=x&From=whatsapp", "FromwhatsappFromCityx"),
            ("a=1&B=2", "B2a1"),
            ("a=&b", "ab"),
            ("&&a=1&", "a1"),
            ("a=%2B1+2%2520", "a+1 2%20"),
            ("a=b=c&%61=d", "ab=cad"),
            ("a=%zz%", "a%zz%"),
            ("a=K%C3%B6ln", "aK\u{f6}ln"),
        ] {
            assert_eq!(canonical(form), expected, "{form}");
        }
        assert_eq!(
            canonicalize(b"a=%ff").expect("one parameter"),
            b"a\xff",
            "a byte that isn't UTF-8 is kept"
        );
    }

    proptest! {
        #[test]
        fn a_serialized_form_gives_its_sorted_parameters(pairs in vec((".{0,8}", ".{0,8}"), 0..20)) {
            let form = Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let sorted: BTreeSet<_> = pairs.into_iter().collect();
            let expected: String = sorted.into_iter().flat_map(|(name, value)| [name, value]).collect();
            prop_assert_eq!(canonical(&form), expected);
        }

        #[test]
        fn any_bytes_are_accepted_and_their_order_does_not_matter(pieces in vec(vec(any::<u8>(), 0..8), 0..20)) {
            let there = pieces.join(&b'&');
            let pieces: Vec<_> = there.split(|byte| *byte == b'&').rev().collect();
            let back = pieces.join(&b'&');
            let both = [there, back].map(|form| canonicalize(&form).expect("few parameters"));
            prop_assert_eq!(&both[0], &both[1]);
        }
    }

    #[test]
    fn a_form_has_at_most_a_thousand_parameters() {
        assert!(canonicalize("a&".repeat(MAX_PARAMETERS).as_bytes()).is_some());
        assert!(canonicalize("a&".repeat(MAX_PARAMETERS + 1).as_bytes()).is_none());
    }
}
