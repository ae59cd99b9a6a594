//! A form's parameters as Twilio signs them: decoded once, byte by byte, in the order of their names and then of their values, each
//! value once, empty ones kept.

use std::borrow::Cow;

use memchr::memchr;
use percent_encoding::percent_decode;

/// Twilio's own forms have under a hundred parameters. More would be costly to sort, and no one else's are signed.
const MOST: usize = 1000;

/// The parameters of a query or a form.
#[derive(Clone, Copy)]
pub(super) struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The value of the first parameter of this name.
    pub(super) fn value(self, name: &[u8]) -> Option<Vec<u8>> {
        let mut named = self.iter().filter(|(own, _)| **own == *name);
        named.next().map(|(_, value)| value.into_owned())
    }

    /// The values of all parameters of this name, in any letters.
    pub(super) fn values(self, name: &str) -> impl Iterator<Item = Vec<u8>> {
        // Only these can be it; to decode all of them is most of the work.
        let can_be = move |own: &[u8]| {
            own.len() == name.len() || own.len() > name.len() && memchr(b'%', own).is_some()
        };
        let named = self.pieces().filter(move |(own, _)| can_be(own));
        named
            .filter(|(own, _)| decoded(own).eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| decoded(value).into_owned())
    }

    /// Each, decoded.
    fn iter(self) -> impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)> {
        self.pieces()
            .map(|(name, value)| (decoded(name), decoded(value)))
    }

    /// Each, as it is written.
    fn pieces(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let pieces = self.0.split(|byte| *byte == b'&');
        pieces.filter(|piece| !piece.is_empty()).map(|piece| {
            let equals = memchr(b'=', piece);
            let (name, value) = piece.split_at(equals.unwrap_or(piece.len()));
            (name, value.get(1..).unwrap_or_default())
        })
    }
}

/// What of a form is signed, as it goes behind the URL.
pub(super) struct Signed(Vec<u8>);

impl Signed {
    /// That of this form; none if it has more parameters than any of Twilio's.
    pub(super) fn of(form: &[u8]) -> Option<Self> {
        let mut parameters: Vec<_> = Parameters::of(form).iter().take(MOST + 1).collect();
        if parameters.len() > MOST {
            return None;
        }
        // By name and then by value, which is not the order of what is joined: `From` goes before `FromCity` whatever its value.
        parameters.sort_unstable();
        parameters.dedup();
        let mut signed = Vec::with_capacity(form.len());
        for (name, value) in &parameters {
            signed.extend_from_slice(name);
            signed.extend_from_slice(value);
        }
        Some(Self(signed))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> = (text.iter())
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use form_urlencoded::Serializer;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn signed(form: &str) -> String {
        let signed = Signed::of(form.as_bytes()).expect("few parameters");
        String::from_utf8_lossy(signed.as_bytes()).into_owned()
    }

    #[test]
    fn names_are_sorted_then_values_and_each_is_signed_once() {
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
            assert_eq!(signed(form), expected, "{form}");
        }
        assert_eq!(
            Signed::of(b"a=%ff").expect("one").as_bytes(),
            b"a\xff",
            "nothing is put in the place of a byte"
        );
    }

    proptest! {
        #[test]
        fn what_a_form_writer_writes_is_read_back(pairs in vec((".{0,8}", ".{0,8}"), 0..20)) {
            let form = Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let sorted: BTreeSet<_> = pairs.into_iter().collect();
            let expected: String = sorted.into_iter().flat_map(|(name, value)| [name, value]).collect();
            prop_assert_eq!(signed(&form), expected);
        }

        #[test]
        fn any_bytes_can_be_signed_and_their_order_does_not_matter(pieces in vec(vec(any::<u8>(), 0..8), 0..20)) {
            let there = pieces.join(&b'&');
            let pieces: Vec<_> = there.split(|byte| *byte == b'&').rev().collect();
            let back = pieces.join(&b'&');
            let both = [there, back].map(|form| Signed::of(&form).expect("few parameters").0);
            prop_assert_eq!(&both[0], &both[1]);
        }
    }

    #[test]
    fn a_thousand_parameters_are_enough() {
        assert!(Signed::of("a&".repeat(MOST).as_bytes()).is_some());
        assert!(Signed::of("a&".repeat(MOST + 1).as_bytes()).is_none());
    }

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let parameters = Parameters::of(b"XAccountSid=1&AccountSid=2&AccountSid=3");
        assert_eq!(parameters.value(b"AccountSid").as_deref(), Some(&b"2"[..]));
        assert_eq!(parameters.value(b"Account"), None);
    }
}
