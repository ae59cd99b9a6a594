//! Checks whether text is a JSON document (RFC 8259). It builds no values, allocates nothing and does not recurse.

use memchr::{memchr2, memmem};

use crate::twiml::code::Validity;

/// How deep arrays and objects are followed. Deeper documents are uncertain.
const MAX_DEPTH: u32 = 128;

/// Checks a document. It is certainly not JSON only if it begins as an object or an array and no common parser would accept it.
/// Twilio's own SDKs put plain words where JSON belongs (`<Task>foo</Task>`), and which parser Twilio uses is not known. So
/// everything that Gson, Jackson and org.json accept in their lenient modes is uncertain: comments, single quotes, words
/// without quotes, line breaks in strings, any escape, `NaN`, one comma more or one value less, `;` for `,` and `=` for `:`,
/// and anything behind the first value.
pub(super) fn check(text: &[u8]) -> Validity {
    let parse = |lenient| {
        Reader {
            rest: text,
            depth: 0,
            objects: 0,
            lenient,
        }
        .read_document()
    };
    match (parse(false), parse(true)) {
        (Ok(()), _) => Validity::Valid,
        (_, Ok(()) | Err(Error::TooDeep)) => Validity::Uncertain,
        _ if matches!(text.trim_ascii_start(), [b'{' | b'[', ..]) => Validity::Invalid,
        _ => Validity::Uncertain,
    }
}

enum Error {
    NotJson,
    TooDeep,
}

struct Reader<'t> {
    rest: &'t [u8],
    depth: u32,
    /// A bit for each level, the innermost lowest: set for an object.
    objects: u128,
    /// Whether to accept what the lenient parsers do.
    lenient: bool,
}

impl Reader<'_> {
    fn read_document(&mut self) -> Result<(), Error> {
        self.read_value()?;
        while self.depth > 0 {
            match (self.take_next()?, self.is_in_object()) {
                (b',' | b';', _) if self.lenient && self.take_end() => {}
                (b';', true) if self.lenient => self.read_member()?,
                (b';', false) if self.lenient => self.read_value()?,
                (b',', true) => self.read_member()?,
                (b',', false) => self.read_value()?,
                (b'}', true) | (b']', false) => self.leave(),
                _ => return Err(Error::NotJson),
            }
        }
        self.skip_space();
        ensure(self.lenient || self.rest.is_empty())
    }

    /// Reads a value. Of an object or array that is not empty, reads only up to the end of its first value.
    fn read_value(&mut self) -> Result<(), Error> {
        loop {
            if self.is_value_missing() {
                return Ok(());
            }
            match self.take_next()? {
                b'{' => self.enter(1)?,
                b'[' => self.enter(0)?,
                quote if self.is_quote(quote) => return self.read_string(quote),
                first => return self.read_word(first),
            }
            if self.take_end() {
                return Ok(());
            }
            if self.is_in_object() {
                self.read_key()?;
            }
        }
    }

    fn read_member(&mut self) -> Result<(), Error> {
        self.read_key()?;
        self.read_value()
    }

    /// Reads a key and its colon.
    fn read_key(&mut self) -> Result<(), Error> {
        match self.take_next()? {
            quote if self.is_quote(quote) => self.read_string(quote)?,
            first if self.lenient => ensure(is_bare(first)).map(|()| self.skip(is_bare))?,
            _ => return Err(Error::NotJson),
        }
        match self.take_next()? {
            b':' => Ok(()),
            b'=' if self.lenient => {
                self.rest = self.rest.strip_prefix(b">").unwrap_or(self.rest);
                Ok(())
            }
            _ => Err(Error::NotJson),
        }
    }

    /// Whether an array has a separator where a value should be.
    fn is_value_missing(&mut self) -> bool {
        self.skip_space();
        let is_in_array = self.depth > 0 && !self.is_in_object();
        self.lenient && is_in_array && matches!(self.rest, [b',' | b';', ..])
    }

    fn is_quote(&self, byte: u8) -> bool {
        byte == b'"' || self.lenient && byte == b'\''
    }

    /// Reads the rest of a string.
    fn read_string(&mut self, quote: u8) -> Result<(), Error> {
        loop {
            match self.take()? {
                end if end == quote => return Ok(()),
                b'\\' => self.read_escape()?,
                0..0x20 if !self.lenient => return Err(Error::NotJson),
                _ => {}
            }
        }
    }

    fn read_escape(&mut self) -> Result<(), Error> {
        match self.take()? {
            _ if self.lenient => Ok(()),
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let (digits, rest) = self.rest.split_at_checked(4).ok_or(Error::NotJson)?;
                self.rest = rest;
                ensure(digits.iter().all(u8::is_ascii_hexdigit))
            }
            _ => Err(Error::NotJson),
        }
    }

    /// Reads the rest of a literal or a number.
    fn read_word(&mut self, first: u8) -> Result<(), Error> {
        if self.lenient {
            let bare = |byte| is_bare(byte) || matches!(byte, b'+' | b'.');
            self.skip(bare);
            return ensure(bare(first));
        }
        let literal: &[u8] = match first {
            b't' => b"rue",
            b'f' => b"alse",
            b'n' => b"ull",
            _ => return self.read_number(first),
        };
        self.rest = self.rest.strip_prefix(literal).ok_or(Error::NotJson)?;
        Ok(())
    }

    fn read_number(&mut self, first: u8) -> Result<(), Error> {
        match if first == b'-' { self.take()? } else { first } {
            b'0' => {}
            b'1'..=b'9' => self.skip(|b| b.is_ascii_digit()),
            _ => return Err(Error::NotJson),
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            self.read_digits()?;
        }
        if let [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            self.read_digits()?;
        }
        Ok(())
    }

    fn read_digits(&mut self) -> Result<(), Error> {
        let first = self.take()?;
        self.skip(|b| b.is_ascii_digit());
        ensure(first.is_ascii_digit())
    }

    fn enter(&mut self, object: u128) -> Result<(), Error> {
        self.depth += 1;
        self.objects = self.objects << 1 | object;
        if self.depth > MAX_DEPTH {
            Err(Error::TooDeep)
        } else {
            Ok(())
        }
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn is_in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    /// Takes the end of the innermost object or array, if it is next. Returns whether it was.
    fn take_end(&mut self) -> bool {
        self.skip_space();
        let end = if self.is_in_object() { b"}" } else { b"]" };
        let Some(rest) = self.rest.strip_prefix(end) else {
            return false;
        };
        self.rest = rest;
        self.leave();
        true
    }

    /// The next byte that is not space.
    fn take_next(&mut self) -> Result<u8, Error> {
        self.skip_space();
        self.take()
    }

    fn skip_space(&mut self) {
        loop {
            self.skip(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
            let comment = match self.rest {
                _ if !self.lenient => return,
                [b'/', b'*', rest @ ..] => memmem::find(rest, b"*/").map(|end| &rest[end + 2..]),
                [b'/', b'/', rest @ ..] | [b'#', rest @ ..] => {
                    let end = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
                    Some(&rest[end..])
                }
                _ => return,
            };
            let Some(rest) = comment else { return };
            self.rest = rest;
        }
    }

    fn skip(&mut self, what: fn(u8) -> bool) {
        let len = self.rest.iter().take_while(|&&b| what(b)).count();
        self.rest = &self.rest[len..];
    }

    fn take(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.rest.split_first().ok_or(Error::NotJson)?;
        self.rest = rest;
        Ok(*first)
    }
}

fn ensure(condition: bool) -> Result<(), Error> {
    if condition {
        Ok(())
    } else {
        Err(Error::NotJson)
    }
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_distinguished_from_other_text() {
        let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
        for valid in [
            "{}",
            "[]",
            " null ",
            "true",
            "false",
            "\"\"",
            "0",
            "-0.5e+3",
            "12",
            "1E9",
            "[1,[2,{}],[]]",
            "{\"a\":[{}],\"b\":{\"c\":\"\\u00e9\\n\"}}",
            "[ 1 , 2 ]",
            "{ \"a\" : 1 , \"b\" : [ ] }",
            &deep(128),
        ] {
            assert_eq!(check(valid.as_bytes()), Validity::Valid, "{valid}");
        }
        for invalid in [
            "{",
            "}",
            "[1,]",
            "[1",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "[01]",
            "[1.]",
            "[+1]",
            "[.5]",
            "[1e]",
            "[\"\n\"]",
            "[\"\\x\"]",
            "[\"\\u12g4\"]",
            "[nul]",
            "[1}",
            "{\"a\":1]",
            "[] []",
            "[-]",
            "[\"a\":1]",
        ] {
            assert_ne!(check(invalid.as_bytes()), Validity::Valid, "{invalid}");
        }
        for uncertain in [
            "foo",
            "",
            "01",
            "}",
            "{a:1}",
            "{'a':'\\''}",
            "[1,]",
            "{\"a\":1,}",
            "[[1,],]",
            "[,]",
            "[1,,2]",
            "[] []",
            "{\"a\":\"one\ntwo\tthree\"}",
            "{\"a\":NaN,\"b\":-Infinity,\"c\":None,\"d\":True}",
            "{\"a\":+1,\"b\":.5,\"c\":1.,\"d\":0x1F,\"e\":007}",
            "/* one */{\"a\"://two\n1,#three\n\"b\":2}// four",
            "{\"a\":\"\\x\\'\"}",
            "{a=1;b=>two}",
            &deep(129),
        ] {
            assert_eq!(
                check(uncertain.as_bytes()),
                Validity::Uncertain,
                "{uncertain}"
            );
        }
        for invalid in [
            " {\"a\":}",
            "{not json}",
            "[1",
            "{\"a\":\"b",
            "{,}",
            "{a:1,,}",
            "{a:1 b:2}",
            "[1}",
            "{\"a\":1]",
            "{\"a\":1 /* open }",
        ] {
            assert_eq!(check(invalid.as_bytes()), Validity::Invalid, "{invalid}");
        }
    }
}
