//! How documents in different charsets are decoded.

use super::*;

fn check(document: &[u8], charset: Option<&str>) -> Result<(), (Problem, usize)> {
    check_well_formed(document, charset)
        .map_err(|error| (error.problem().clone(), error.position().byte))
}

fn utf16(document: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    document.encode_utf16().flat_map(order).collect()
}

#[test]
fn utf16_by_its_mark() {
    for order in [u16::to_be_bytes, u16::to_le_bytes] {
        let document = utf16(
            "\u{FEFF}<?xml version='1.0' encoding='UTF-16'?><Response>é&amp;</Response>",
            order,
        );
        assert_eq!(check(&document, None), Ok(()));
        let document = utf16("\u{FEFF}<Response>é🍰&</Response>", order);
        assert_eq!(
            check(&document, None),
            Err((Problem::Syntax(SyntaxError::Ampersand), 2 + 2 * 13))
        );
    }
}

#[test]
fn declared_latin_1_is_decoded() {
    let document =
        b"<?xml version='1.0' encoding='ISO-8859-1'?><Response><Say>caf\xE9 & co</Say></Response>";
    assert_eq!(
        check(document, None),
        Err((Problem::Syntax(SyntaxError::Ampersand), 63))
    );
    let position = check_well_formed(document, None).unwrap_err().position();
    assert_eq!((position.line, position.column), (1, 64));
}

#[test]
fn content_type_wins_over_the_declaration() {
    let document = "<?xml version='1.0' encoding='utf-16'?><Response>é</Response>".as_bytes();
    assert_eq!(check(document, Some("UTF-8")), Ok(()));
    assert_eq!(check(document, None).unwrap_err().1, 30);
}

#[test]
fn invalid_bytes_are_located() {
    let invalid = |charset, at| {
        let charset = name(charset);
        Err((Problem::Encoding(EncodingError::Invalid { charset }), at))
    };
    assert_eq!(
        check(b"<Response>\xE9</Response>", None),
        invalid("UTF-8", 10)
    );
    assert_eq!(
        check(b"<Response>\x81\xFF</Response>", Some("shift_jis")),
        invalid("shift_jis", 10)
    );
    assert_eq!(check(b"\xFF\xFE<\0\0\xD8<\0", None), invalid("UTF-16LE", 4));
}

#[test]
fn unknown_charsets_are_rejected() {
    let unknown = |label| Problem::Encoding(EncodingError::Unknown(name(label)));
    assert_eq!(
        check(b"<Response/>", Some("klingon")),
        Err((unknown("klingon"), 0))
    );
    let document = b"<?xml version='1.0' encoding='hz-gb-2312'?><Response/>";
    assert_eq!(check(document, None), Err((unknown("hz-gb-2312"), 30)));
}

#[test]
fn a_position_in_what_is_not_text_is_by_its_line_feeds() {
    let at = |document: &[u8], byte| Position::in_bytes(document, byte).to_string();
    assert_eq!(at(b"ab\xff", 2), "line 1, column 3");
    assert_eq!(at(b"ab\ncd\n", 3), "line 2, column 1");
    assert_eq!(at(b"ab\nc\xff\xff", 5), "line 2, column 3");
}
