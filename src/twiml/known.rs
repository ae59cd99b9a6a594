//! Documents that were found valid before. Many apps send the same document again and again, and the same bytes need no second
//! validation.

use std::cell::RefCell;

use bytes::Bytes;

use super::{
    document::{Twiml, validate},
    error::Error,
    rules::Rules,
};

/// How many documents are kept. One of 64 KiB is the longest that Twilio takes.
const SLOTS: usize = 16;

/// The documents that were last found valid without a warning. Each worker has its own.
///
/// A document is kept when it comes for the second time, so that an app whose documents all differ pays for no copy. A document is
/// known only if all its bytes, its charset and the rules are the same.
#[derive(Debug, Default)]
pub struct KnownDocuments(RefCell<[Slot; SLOTS]>);

#[derive(Debug, Default)]
struct Slot {
    /// Of the document that came last.
    fingerprint: u64,
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    /// A copy: what came from a socket may be a part of a larger buffer.
    document: Box<[u8]>,
    charset: Option<Box<str>>,
    rules: Rules,
}

impl KnownDocuments {
    /// As [`validate`], but at once if the document is known.
    ///
    /// # Errors
    ///
    /// As [`validate`].
    pub fn validate(
        &self,
        document: Bytes,
        charset: Option<&str>,
        rules: &Rules,
    ) -> Result<Twiml, Error> {
        let fingerprint = fingerprint(&document);
        let place = (fingerprint % SLOTS as u64) as usize;
        let is_known = |known: &Known| {
            *known.document == *document
                && known.charset.as_deref() == charset
                && known.rules.is_same(rules)
        };
        if self.0.borrow()[place].known.as_ref().is_some_and(is_known) {
            return Ok(Twiml {
                document,
                warnings: Vec::new(),
            });
        }
        let twiml = validate(document, charset, rules)?;
        if twiml.warnings.is_empty() {
            let slot = &mut self.0.borrow_mut()[place];
            slot.known = (slot.fingerprint == fingerprint).then(|| Known {
                document: twiml.bytes()[..].into(),
                charset: charset.map(Into::into),
                rules: rules.clone(),
            });
            slot.fingerprint = fingerprint;
        }
        Ok(twiml)
    }
}

/// A number that most documents have alone, from a document's length and its first, middle and last eight bytes.
fn fingerprint(document: &[u8]) -> u64 {
    let eight = |at: usize| {
        let bytes = document.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let length = document.len();
    let mixed = [eight(0), eight(length / 2), eight(length.saturating_sub(8))]
        .into_iter()
        .fold(length as u64, |mixed, eight| {
            (mixed.rotate_left(5) ^ eight).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
    // The last multiplication mixes the high bits best. 0 is the mark of a slot that was never used.
    (mixed >> 32) | 1 << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twiml::{Extension, Kind, Strictness};

    const GREETING: &str = "<Response><Say>Hello, and welcome.</Say></Response>";

    fn is_known(
        known: &KnownDocuments,
        document: &str,
        charset: Option<&str>,
        rules: &Rules,
    ) -> bool {
        let bytes = Bytes::copy_from_slice(document.as_bytes());
        let twiml = known.validate(bytes, charset, rules).expect("it is valid");
        assert_eq!(twiml.bytes(), document);
        let slots = known.0.borrow();
        let mut all = slots.iter().filter_map(|slot| slot.known.as_ref());
        all.any(|known| *known.document == *document.as_bytes())
    }

    #[test]
    fn a_document_is_kept_when_it_comes_for_the_second_time() {
        let known = KnownDocuments::default();
        let rules = Rules::new(Kind::Voice, Strictness::Twilio);
        assert!(!is_known(&known, GREETING, None, &rules));
        assert!(is_known(&known, GREETING, None, &rules));
        assert!(is_known(&known, GREETING, None, &rules));
    }

    #[test]
    fn a_document_is_validated_anew_where_one_byte_or_the_charset_or_the_rules_differ() {
        let known = KnownDocuments::default();
        let voice = Rules::new(Kind::Voice, Strictness::Strict);
        for _ in 0..3 {
            assert!(known.validate(GREETING.into(), None, &voice).is_ok());
        }
        // As long, and with the same beginning, middle and end.
        for at in 0..GREETING.len() {
            let mut other = GREETING.as_bytes().to_vec();
            other[at] = b'<';
            if other == GREETING.as_bytes() {
                continue;
            }
            let before = validate(other.clone().into(), None, &voice);
            let after = known.validate(other.into(), None, &voice);
            assert_eq!(before.is_ok(), after.is_ok(), "at {at}");
        }
        let messaging = Rules::new(Kind::Messaging, Strictness::Strict);
        assert!(known.validate(GREETING.into(), None, &messaging).is_err());
        assert!(
            known
                .validate(GREETING.into(), Some("nonsense"), &voice)
                .is_err()
        );
        let wrong = "<Response><Teleport/><Say>Hello</Say></Response>";
        let extension = Extension {
            element: "Teleport".into(),
            ..Extension::default()
        };
        let extended = Rules::with_extensions(Kind::Voice, Strictness::Strict, &[extension]);
        let extended = extended.expect("the name is valid");
        for _ in 0..3 {
            assert!(known.validate(wrong.into(), None, &extended).is_ok());
        }
        assert!(known.validate(wrong.into(), None, &voice).is_err());
    }

    #[test]
    fn a_warning_is_found_every_time() {
        let known = KnownDocuments::default();
        let rules = Rules::new(Kind::Voice, Strictness::Twilio);
        for _ in 0..3 {
            let document = "<Response><say>Hello</say></Response>";
            let twiml = known.validate(document.into(), None, &rules);
            assert_eq!(twiml.expect("it is valid").warnings().len(), 1);
        }
    }
}
