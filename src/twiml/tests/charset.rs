//! Bytes become text, or don't.

use super::*;

fn judged(page: &[u8], charset: Option<&str>) -> Result<(), (Fact, usize)> {
    well_formed(page, charset).map_err(|fault| (fault.fact().clone(), fault.place().byte))
}

fn utf16(page: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    page.encode_utf16().flat_map(order).collect()
}

#[test]
fn utf16_by_its_mark() {
    for order in [u16::to_be_bytes, u16::to_le_bytes] {
        let page = utf16(
            "\u{FEFF}<?xml version='1.0' encoding='UTF-16'?><Response>é&amp;</Response>",
            order,
        );
        assert_eq!(judged(&page, None), Ok(()));
        let page = utf16("\u{FEFF}<Response>é🍰&</Response>", order);
        assert_eq!(
            judged(&page, None),
            Err((Fact::Syntax(Syntax::Ampersand), 2 + 2 * 13))
        );
    }
}

#[test]
fn declared_latin_1_is_decoded() {
    let page =
        b"<?xml version='1.0' encoding='ISO-8859-1'?><Response><Say>caf\xE9 & co</Say></Response>";
    assert_eq!(
        judged(page, None),
        Err((Fact::Syntax(Syntax::Ampersand), 63))
    );
    let place = well_formed(page, None).unwrap_err().place();
    assert_eq!((place.line, place.column), (1, 64));
}

#[test]
fn content_type_wins_over_the_declaration() {
    let page = "<?xml version='1.0' encoding='utf-16'?><Response>é</Response>".as_bytes();
    assert_eq!(judged(page, Some("UTF-8")), Ok(()));
    assert_eq!(judged(page, None).unwrap_err().1, 30);
}

#[test]
fn invalid_bytes_are_no_text() {
    let invalid = |charset, at| {
        let charset = name(charset);
        Err((Fact::Encoding(Encoding::Invalid { charset }), at))
    };
    assert_eq!(
        judged(b"<Response>\xE9</Response>", None),
        invalid("UTF-8", 10)
    );
    assert_eq!(
        judged(b"<Response>\x81\xFF</Response>", Some("shift_jis")),
        invalid("shift_jis", 10)
    );
    assert_eq!(
        judged(b"\xFF\xFE<\0\0\xD8<\0", None),
        invalid("UTF-16LE", 4)
    );
}

#[test]
fn unknown_charsets_are_refused() {
    let unknown = |label| Fact::Encoding(Encoding::Unknown(name(label)));
    assert_eq!(
        judged(b"<Response/>", Some("klingon")),
        Err((unknown("klingon"), 0))
    );
    let page = b"<?xml version='1.0' encoding='hz-gb-2312'?><Response/>";
    assert_eq!(judged(page, None), Err((unknown("hz-gb-2312"), 30)));
}
