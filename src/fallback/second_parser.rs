//! Checks a document with a second XML parser, quick-xml. A fallback document must be sent when everything else has failed, so
//! that it is well-formed must not depend on our own scanner alone.

use quick_xml::{
    Reader,
    escape::{resolve_predefined_entity, unescape},
    events::{BytesRef, BytesStart, Event},
};

/// Why quick-xml doesn't accept a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecondParserError {
    /// The offset of the markup or the text that is not accepted.
    pub at: usize,
    /// The parser's message.
    pub message: String,
}

/// Reads a whole document with quick-xml, with all of its checks, and resolves every reference.
///
/// # Errors
///
/// What quick-xml doesn't accept first. It accepts some documents that are not well-formed, so this check is not enough alone.
pub fn check_with_second_parser(document: &str) -> Result<(), SecondParserError> {
    let text = document.strip_prefix('\u{feff}').unwrap_or(document);
    let bom = document.len() - text.len();
    read(text).map_err(|(at, message)| SecondParserError {
        at: bom + at,
        message,
    })
}

fn read(text: &str) -> Result<(), (usize, String)> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut depth = 0_usize;
    loop {
        let start = reader.buffer_position() as usize;
        let event = reader
            .read_event()
            .map_err(|error| (reader.error_position() as usize, error.to_string()))?;
        let checked = match event {
            Event::Start(tag) => {
                depth += 1;
                check_attributes(&tag)
            }
            Event::Empty(tag) => check_attributes(&tag),
            Event::End(_) => {
                depth -= 1;
                Ok(())
            }
            Event::GeneralRef(reference) => check_reference(&reference),
            Event::Eof if depth > 0 => Err("the document ends within an element".to_owned()),
            Event::Eof => return Ok(()),
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => Ok(()),
        };
        checked.map_err(|message| (start, message))?;
    }
}

fn check_attributes(tag: &BytesStart<'_>) -> Result<(), String> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        unescape(&attribute.value).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn check_reference(reference: &BytesRef<'_>) -> Result<(), String> {
    let character = reference
        .resolve_char_ref()
        .map_err(|error| error.to_string())?;
    if character.is_some() || resolve_predefined_entity(reference).is_some() {
        Ok(())
    } else {
        Err(format!("unknown entity `&{};`", &**reference))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twiml::check_well_formed;

    #[test]
    fn what_quick_xml_does_not_accept_is_located() {
        for (document, at) in [
            ("<a><b></a>", 6),
            ("<a>", 3),
            ("\u{feff}<a>&nbsp;</a>", 6),
            ("<a>x<b c='1' c='2'/></a>", 4),
            ("<a>x<b c='&d;'/></a>", 4),
            ("<a><!-- -- --></a>", 8),
            ("<a", 0),
        ] {
            let error = check_with_second_parser(document).expect_err(document);
            assert_eq!(error.at, at, "{document}: {error}");
        }
    }

    /// Why the second parser can't be the first.
    #[test]
    fn quick_xml_accepts_xml_that_is_not_well_formed() {
        for document in [
            "x<a/>",
            "<a/><b/>",
            "<a/>x",
            "<a>]]></a>",
            "<a b='<'/>",
            "<1/>",
            "<a b='1'c='2'/>",
            "<a>\u{1}</a>",
            "<a><? b?></a>",
        ] {
            assert!(check_well_formed(document.as_bytes(), None).is_err());
            assert_eq!(check_with_second_parser(document), Ok(()), "{document}");
        }
    }

    #[test]
    fn well_formed_xml_is_accepted() {
        for document in [
            "<a/>",
            "\u{feff}<?xml\nversion = '1.12'  encoding = 'utf-8' standalone='no' ?><!-- a --><?b?><a/><?c d?><!---->\n",
            "<?xml-stylesheet href=''?><a ></a\n>",
            "<a><b:c d\n=\n'>' é·=\"'&lt;\">a > b ]] &#x1F370;&apos;&#0065;</b:c><![CDATA[<&]]]]><![CDATA[>]]><?e  ??></a>",
        ] {
            assert_eq!(check_with_second_parser(document), Ok(()), "{document}");
        }
    }
}
