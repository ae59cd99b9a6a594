//! From bytes to text: which charset a page is in, and its characters as UTF-8. A page that is UTF-8 already, as nearly all
//! are, is only looked at; any other is decoded into a copy that the judge reads while the page itself goes back untouched.
//!
//! A byte order mark decides, then the `charset` of the `Content-Type`, then the XML declaration, then it is UTF-8
//! (RFC 7303 §3.2, XML 1.0 §4.3.3).

use std::{borrow::Cow, fmt, ops::Range};

use encoding_rs::{DecoderResult, Encoding as Charset, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

use super::{Name, chars, declaration, source_map::SourceMap};

/// Why bytes are no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A charset that nobody knows.
    Unknown(Name),
    /// Bytes that mean nothing in the page's charset.
    Invalid {
        /// The charset, as it was written; where nothing names it, by its usual name.
        charset: Name,
    },
    /// The XML declaration names a charset that the page's own first bytes contradict.
    Contradicted {
        /// The charset that the declaration names, as it is written there.
        declared: Name,
        /// The charset that the page is in.
        actual: &'static str,
    },
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "unknown charset `{name}`"),
            Self::Invalid { charset } => write!(f, "bytes that are not valid {charset}"),
            Self::Contradicted { declared, actual } => {
                write!(f, "declared as {declared}, but the bytes are {actual}")
            }
        }
    }
}

/// A page as text.
#[derive(Debug)]
pub(super) struct Text<'p> {
    /// The page without its byte order mark.
    body: &'p [u8],
    /// The length of that mark.
    mark: usize,
    charset: &'static Charset,
    /// The body as valid UTF-8.
    text: Cow<'p, [u8]>,
    /// ASCII without illegal characters.
    plain: bool,
}

/// Bytes that can't be read as text, from this offset into the page.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) at: usize,
    pub(super) fact: Encoding,
}

impl<'p> Text<'p> {
    /// Reads a page as text. `label` is the `charset` of its `Content-Type`.
    pub(super) fn read(page: &'p [u8], label: Option<&str>) -> Result<Self, Unreadable> {
        if let Some((charset, mark)) = Charset::for_bom(page) {
            return Self::decode(page, mark, charset, charset.name().as_bytes())?
                .unless_contradicted();
        }
        if let Some(label) = label {
            let label = label.trim_matches(['"', '\'']).as_bytes();
            let charset = known(label).map_err(|fact| Unreadable { at: 0, fact })?;
            return Self::decode(page, 0, in_byte_order(charset, page), label);
        }
        match declared(page)? {
            // The declaration could be read byte by byte, so this can't be UTF-16 (XML 1.0 §4.3.3).
            Some((charset, label)) if is_utf16(charset) => Err(Unreadable {
                at: label.start,
                fact: contradicted(&page[label], UTF_8),
            }),
            Some((charset, label)) => Self::decode(page, 0, charset, &page[label]),
            None => Self::decode(page, 0, UTF_8, UTF_8.name().as_bytes()),
        }
    }

    /// The page as UTF-8, without its byte order mark.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The first character that XML forbids, and its offset in the text.
    pub(super) fn first_illegal(&self) -> Option<(usize, u32)> {
        if self.plain {
            None
        } else {
            chars::first_illegal(&self.text)
        }
    }

    /// Finds the way back from the text to the page.
    pub(super) fn origins(&self) -> SourceMap<'p> {
        match &self.text {
            Cow::Borrowed(_) => SourceMap::Same { mark: self.mark },
            Cow::Owned(_) => SourceMap::decoded(self.body, self.mark, self.charset),
        }
    }

    /// `label` is the charset as it was written.
    fn decode(
        page: &'p [u8],
        mark: usize,
        charset: &'static Charset,
        label: &[u8],
    ) -> Result<Self, Unreadable> {
        let body = &page[mark..];
        let unreadable = |at| Unreadable {
            at: mark + at,
            fact: Encoding::Invalid {
                charset: Name::new(label),
            },
        };
        if charset != UTF_8 {
            let text = Cow::Owned(to_utf8(body, charset).map_err(unreadable)?);
            return Ok(Self {
                body,
                mark,
                charset,
                text,
                plain: false,
            });
        }
        let plain = chars::is_plain(body);
        if !plain && let Err(e) = std::str::from_utf8(body) {
            return Err(unreadable(e.valid_up_to()));
        }
        Ok(Self {
            body,
            mark,
            charset,
            text: Cow::Borrowed(body),
            plain,
        })
    }

    /// A byte order mark and a declaration that names another charset are a fatal error (XML 1.0 §4.3.3).
    fn unless_contradicted(self) -> Result<Self, Unreadable> {
        let (at, fact) = match declared(&self.text) {
            Ok(Some((charset, label))) if !same_family(charset, self.charset) => {
                (label.start, contradicted(&self.text[label], self.charset))
            }
            Ok(_) => return Ok(self),
            Err(unknown) => (unknown.at, unknown.fact),
        };
        Err(Unreadable {
            at: self.origins().origin(at),
            fact,
        })
    }
}

/// The charset that the XML declaration names, and where its name stands. A broken declaration names none: the scanner will say so.
fn declared(text: &[u8]) -> Result<Option<(&'static Charset, Range<usize>)>, Unreadable> {
    let Ok(declaration) = declaration::read(text) else {
        return Ok(None);
    };
    let Some(label) = declaration.encoding else {
        return Ok(None);
    };
    let at = label.start;
    known(&text[label.clone()])
        .map(|charset| Some((charset, label)))
        .map_err(|fact| Unreadable { at, fact })
}

fn known(label: &[u8]) -> Result<&'static Charset, Encoding> {
    match Charset::for_label(label) {
        Some(charset) if charset != REPLACEMENT => Ok(charset),
        _ => Err(Encoding::Unknown(Name::new(label))),
    }
}

fn contradicted(declared: &[u8], actual: &'static Charset) -> Encoding {
    Encoding::Contradicted {
        declared: Name::new(declared),
        actual: actual.name(),
    }
}

fn is_utf16(charset: &Charset) -> bool {
    charset == UTF_16LE || charset == UTF_16BE
}

fn same_family(a: &Charset, b: &Charset) -> bool {
    a == b || is_utf16(a) && is_utf16(b)
}

/// `UTF-16` without a byte order mark says nothing of its order; a page's first character is ASCII, which does.
fn in_byte_order(charset: &'static Charset, page: &[u8]) -> &'static Charset {
    if charset == UTF_16LE && page.first() == Some(&0) {
        UTF_16BE
    } else {
        charset
    }
}

/// The bytes as UTF-8, or where they mean nothing.
fn to_utf8(body: &[u8], charset: &'static Charset) -> Result<Vec<u8>, usize> {
    let mut decoder = charset.new_decoder_without_bom_handling();
    let room = decoder
        .max_utf8_buffer_length_without_replacement(body.len())
        .expect("no page is near usize::MAX");
    let mut text = String::with_capacity(room);
    match decoder.decode_to_string_without_replacement(body, &mut text, true) {
        (DecoderResult::InputEmpty, _) => Ok(text.into_bytes()),
        (DecoderResult::Malformed(bad, after), read) => {
            Err(read.saturating_sub(usize::from(bad) + usize::from(after)))
        }
        (DecoderResult::OutputFull, _) => {
            unreachable!("the decoder said itself how much room it needs")
        }
    }
}

/// A page as text, as well as it can be read, without its byte order mark: for showing the line that a finding is about.
pub fn decoded<'p>(page: &'p [u8], charset: Option<&str>) -> Cow<'p, str> {
    match Text::read(page, charset).map(|text| text.text) {
        Ok(Cow::Borrowed(text)) => String::from_utf8_lossy(text),
        Ok(Cow::Owned(text)) => String::from_utf8_lossy(&text).into_owned().into(),
        Err(_) => String::from_utf8_lossy(page),
    }
}
