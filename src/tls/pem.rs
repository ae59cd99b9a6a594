//! What rustls's reader of PEM (RFC 7468) passes over in silence, but somebody meant: found before it reads.

use super::load_error::LoadError;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The text without a byte order mark.
///
/// # Errors
///
/// If a part of the text would be passed over.
pub(super) fn check(text: &[u8]) -> Result<&[u8], LoadError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut is_within = false;
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let behind_first = line.get(1..).unwrap_or_default();
        if contains(behind_first, BEGIN) || contains(behind_first, END) {
            return Err(LoadError::GluedLines);
        }
        if line.starts_with(END) {
            is_within = false;
        } else if let Some(label) = line.strip_prefix(BEGIN) {
            if is_within {
                return Err(LoadError::NotPem);
            }
            if label.starts_with(b"TRUSTED CERTIFICATE-----") {
                return Err(LoadError::TrustedCertificate);
            }
            is_within = true;
        }
    }
    Ok(text)
}

/// Whether a text without a usable key has one that is encrypted: as PKCS #8 or, before that, by a header line (RFC 1421).
pub(super) fn has_encrypted_key(text: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
        b"Proc-Type: 4,ENCRYPTED",
    ];
    marks.iter().any(|mark| contains(text, mark))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_byte_order_mark_is_removed() {
        let text = format!("\u{feff}{ONE}");
        assert_eq!(check(text.as_bytes()), Ok(ONE.as_bytes()));
    }

    #[test]
    fn whatever_stands_between_the_parts_is_not_looked_at() {
        for text in [
            format!("subject=CN = a\n{ONE}-- {ONE}"),
            format!("-----\n{ONE}"),
            ONE.replace('\n', "\r"),
            String::new(),
            "-----END CERTIFICATE-----".to_owned(),
        ] {
            let text = text.replace("-- -----", "--\n-----");
            assert_eq!(check(text.as_bytes()), Ok(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_boundary_that_is_not_a_line_of_its_own_is_an_error() {
        for text in [
            format!("{}{ONE}", ONE.trim_end()),
            format!("{ONE}  {ONE}"),
            ONE.replace("\n-----END", "-----END"),
            ONE.replace(
                "QQ==\n",
                "-----BEGIN CERTIFICATE-----BEGIN CERTIFICATE-----\n",
            ),
        ] {
            assert_eq!(check(text.as_bytes()), Err(LoadError::GluedLines), "{text}");
        }
    }

    #[test]
    fn a_part_without_its_end_is_an_error() {
        let text = format!("-----BEGIN CERTIFICATE-----\nQQ==\n{ONE}");
        assert_eq!(check(text.as_bytes()), Err(LoadError::NotPem));
    }

    #[test]
    fn a_trusted_certificate_is_an_error() {
        let text = ONE.replace(" CERT", " TRUSTED CERT");
        assert_eq!(
            check(format!("{ONE}{text}").as_bytes()),
            Err(LoadError::TrustedCertificate)
        );
    }
}
