//! From when to when a certificate is valid: the one thing that rustls knows of a certificate and doesn't tell.

use std::time::{SystemTime, UNIX_EPOCH};

/// A certificate's first and last second, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// It isn't valid before.
    pub not_before: i64,
    /// It isn't valid after.
    pub not_after: i64,
}

/// Where a moment is in a validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Before it.
    NotYet,
    /// Within it.
    Valid,
    /// After it.
    Expired,
}

impl Validity {
    /// That of a certificate in DER (RFC 5280 §4.1); none if it isn't one.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut certificate = Der(Der(certificate).take(SEQUENCE)?);
        let mut fields = Der(certificate.take(SEQUENCE)?);
        if fields.0.first() == Some(&VERSION) {
            fields.take(VERSION)?;
        }
        fields.take(INTEGER)?; // the serial number
        fields.take(SEQUENCE)?; // the signature's algorithm
        fields.take(SEQUENCE)?; // the issuer
        let mut validity = Der(fields.take(SEQUENCE)?);
        Some(Self {
            not_before: validity.time()?,
            not_after: validity.time()?,
        })
    }

    /// Where we are in it now.
    pub fn standing(&self) -> Standing {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs().cast_signed());
        if now < self.not_before {
            Standing::NotYet
        } else if now > self.not_after {
            Standing::Expired
        } else {
            Standing::Valid
        }
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// What is left of a DER text.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, if it is of this kind.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let rest = self.0.strip_prefix(&[tag])?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            short @ ..=0x7f => (usize::from(short), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let digit = |length: usize, digit: &u8| length << 8 | usize::from(*digit);
                (digits.iter().fold(0, digit), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The next element as a time: `YYMMDDhhmmssZ`, or with four digits of the year (RFC 5280 §4.1.2.5).
    fn time(&mut self) -> Option<i64> {
        let short = self.take(UTC_TIME).map(|text| {
            // Two digits from 50 on are of the last century.
            let century = if text < &b"5"[..] { b"20" } else { b"19" };
            [century, text].concat()
        });
        let text = short.or_else(|| self.take(GENERALIZED_TIME).map(<[u8]>::to_vec))?;
        let digits = text.strip_suffix(b"Z").filter(|text| text.len() == 14)?;
        let digits = str::from_utf8(digits).ok()?;
        let number = |at: usize, many: usize| digits.get(at..at + many)?.parse::<i64>().ok();
        let days = days_since_1970(number(0, 4)?, number(4, 2)?, number(6, 2)?);
        let seconds = (number(8, 2)? * 60 + number(10, 2)?) * 60 + number(12, 2)?;
        Some(days * 86_400 + seconds)
    }
}

/// Days of the Gregorian calendar, the year taken to begin in March, so that the leap day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let since_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before_month = (153 * since_march + 2) / 5;
    year * 365 + leap_days + before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<i64> {
        let length = u8::try_from(text.len()).expect("a short text");
        let element = [&[tag, length], text.as_bytes()].concat();
        Der(&element).time()
    }

    #[test]
    fn times_are_seconds_since_1970() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "000301000000Z", Some(951_868_800)),
            (UTC_TIME, "240229235959Z", Some(1_709_251_199)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "240229235959", None),
            (GENERALIZED_TIME, "20240229Z", None),
        ] {
            assert_eq!(time(tag, text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_validity() {
        for text in [
            &b""[..],
            b"0",
            b"0\x82",
            b"0\x03\x30\x05a",
            b"0\x84\xff\xff\xff\xff",
        ] {
            assert_eq!(Validity::of(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_certificate_says_how_long_it_is_good() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut wanted = rcgen::CertificateParams::new(vec!["a.example".into()]).expect("a name");
        wanted.not_before = rcgen::date_time_ymd(2021, 2, 3);
        wanted.not_after = rcgen::date_time_ymd(2051, 6, 7);
        let certificate = wanted.self_signed(&key).expect("a certificate");
        let expected = Validity {
            not_before: 1_612_310_400,
            not_after: 2_569_708_800,
        };
        assert_eq!(Validity::of(certificate.der()), Some(expected));
        assert_eq!(expected.standing(), Standing::Valid);
    }
}
