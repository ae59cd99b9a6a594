//! Field blocks that can't be decoded (RFC 7541).

use super::*;

pub(super) fn all() -> Vec<Case> {
    let refused = |name, blocks: [&[u8]; 2]| {
        let request = headers(END_HEADERS | END_STREAM, 1, &blocks.concat());
        case(
            name,
            &[&request],
            Event::ConnectionError(&[COMPRESSION_ERROR]),
        )
    };
    let head = head("GET");
    vec![
        refused(
            "2.3.3/1 an indexed field with an invalid index",
            [&head, b"\xc6"],
        ),
        refused(
            "2.3.3/2 a literal with an invalid index",
            [&head, b"\x7f\x07\x00"],
        ),
        refused(
            "4.2/1 a table size update at the end of a block",
            [&head, b"\x21"],
        ),
        refused(
            "5.2/1 padding longer than 7 bits",
            [&head, b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"],
        ),
        refused(
            "5.2/2 padding of zeros",
            [&head, b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"],
        ),
        refused(
            "5.2/3 the EOS symbol",
            [
                &head,
                b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f",
            ],
        ),
        refused("6.1/1 an indexed field with index 0", [&head, b"\x80"]),
        refused(
            "6.3/1 a table size update above SETTINGS_HEADER_TABLE_SIZE",
            [b"\x3f\xe2\x1f", &head],
        ),
    ]
}
