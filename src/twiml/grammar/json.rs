//! Whether text is a JSON document (RFC 8259). Only that: nothing is built, nothing allocated, and no nesting makes it
//! recurse.

use memchr::{memchr2, memmem};

use super::value::Verdict;

/// How deep arrays and objects may nest before nobody can say.
const MAX_DEPTH: u32 = 128;

/// Only a document that begins as an object or an array, and that no parser in use would accept, is certainly not JSON.
/// Twilio's own SDKs put plain words where JSON belongs (`<Task>foo</Task>`), and nobody knows which parser Twilio uses. So
/// whatever Gson, Jackson and org.json accept in their lenient modes is doubtful: comments, single quotes, words without
/// quotes, line breaks in strings, any escape, `NaN`, one comma more or one value less, `;` for `,` and `=` for `:`, and
/// anything behind the first value.
pub(super) fn check(text: &[u8]) -> Verdict {
    let parse = |loosely| {
        Reader {
            rest: text,
            depth: 0,
            objects: 0,
            loosely,
        }
        .document()
    };
    match (parse(false), parse(true)) {
        (Ok(()), _) => Verdict::Good,
        (_, Ok(()) | Err(Error::TooDeep)) => Verdict::Doubtful,
        _ if matches!(text.trim_ascii_start(), [b'{' | b'[', ..]) => Verdict::Bad,
        _ => Verdict::Doubtful,
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
    /// Whether to take what the standard does not.
    loosely: bool,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<(), Error> {
        self.value()?;
        while self.depth > 0 {
            match (self.next()?, self.is_in_object()) {
                (b',' | b';', _) if self.loosely && self.closes() => {}
                (b';', true) if self.loosely => self.member()?,
                (b';', false) if self.loosely => self.value()?,
                (b',', true) => self.member()?,
                (b',', false) => self.value()?,
                (b'}', true) | (b']', false) => self.leave(),
                _ => return Err(Error::NotJson),
            }
        }
        self.space();
        good(self.loosely || self.rest.is_empty())
    }

    /// A value, or as much of it as comes before the first comma or end of its own.
    fn value(&mut self) -> Result<(), Error> {
        loop {
            if self.leaves_out_value() {
                return Ok(());
            }
            match self.next()? {
                b'{' => self.enter(1)?,
                b'[' => self.enter(0)?,
                quote if self.is_quote(quote) => return self.string(quote),
                first => return self.word(first),
            }
            if self.closes() {
                return Ok(());
            }
            if self.is_in_object() {
                self.key()?;
            }
        }
    }

    fn member(&mut self) -> Result<(), Error> {
        self.key()?;
        self.value()
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(), Error> {
        match self.next()? {
            quote if self.is_quote(quote) => self.string(quote)?,
            first if self.loosely => good(is_bare(first)).map(|()| self.skip(is_bare))?,
            _ => return Err(Error::NotJson),
        }
        match self.next()? {
            b':' => Ok(()),
            b'=' if self.loosely => {
                self.rest = self.rest.strip_prefix(b">").unwrap_or(self.rest);
                Ok(())
            }
            _ => Err(Error::NotJson),
        }
    }

    /// Whether a separator comes next where an array's value is expected.
    fn leaves_out_value(&mut self) -> bool {
        self.space();
        let is_in_array = self.depth > 0 && !self.is_in_object();
        self.loosely && is_in_array && matches!(self.rest, [b',' | b';', ..])
    }

    fn is_quote(&self, byte: u8) -> bool {
        byte == b'"' || self.loosely && byte == b'\''
    }

    /// The rest of a string.
    fn string(&mut self, quote: u8) -> Result<(), Error> {
        loop {
            match self.take()? {
                end if end == quote => return Ok(()),
                b'\\' => self.escape()?,
                0..0x20 if !self.loosely => return Err(Error::NotJson),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        match self.take()? {
            _ if self.loosely => Ok(()),
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                let (digits, rest) = self.rest.split_at_checked(4).ok_or(Error::NotJson)?;
                self.rest = rest;
                good(digits.iter().all(u8::is_ascii_hexdigit))
            }
            _ => Err(Error::NotJson),
        }
    }

    /// The rest of a literal or a number.
    fn word(&mut self, first: u8) -> Result<(), Error> {
        if self.loosely {
            let bare = |byte| is_bare(byte) || matches!(byte, b'+' | b'.');
            self.skip(bare);
            return good(bare(first));
        }
        let literal: &[u8] = match first {
            b't' => b"rue",
            b'f' => b"alse",
            b'n' => b"ull",
            _ => return self.number(first),
        };
        self.rest = self.rest.strip_prefix(literal).ok_or(Error::NotJson)?;
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), Error> {
        match if first == b'-' { self.take()? } else { first } {
            b'0' => {}
            b'1'..=b'9' => self.skip(|b| b.is_ascii_digit()),
            _ => return Err(Error::NotJson),
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            self.digits()?;
        }
        if let [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        let first = self.take()?;
        self.skip(|b| b.is_ascii_digit());
        good(first.is_ascii_digit())
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

    /// Takes the end of the innermost object or array, if it comes next.
    fn closes(&mut self) -> bool {
        self.space();
        let end = if self.is_in_object() { b"}" } else { b"]" };
        let Some(rest) = self.rest.strip_prefix(end) else {
            return false;
        };
        self.rest = rest;
        self.leave();
        true
    }

    /// The next byte that is not space.
    fn next(&mut self) -> Result<u8, Error> {
        self.space();
        self.take()
    }

    fn space(&mut self) {
        loop {
            self.skip(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
            let comment = match self.rest {
                _ if !self.loosely => return,
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

fn good(good: bool) -> Result<(), Error> {
    if good { Ok(()) } else { Err(Error::NotJson) }
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_what_is_not() {
        let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
        for good in [
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
            assert_eq!(check(good.as_bytes()), Verdict::Good, "{good}");
        }
        for bad in [
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
            assert_ne!(check(bad.as_bytes()), Verdict::Good, "{bad}");
        }
        for doubtful in [
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
            assert_eq!(check(doubtful.as_bytes()), Verdict::Doubtful, "{doubtful}");
        }
        for bad in [
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
            assert_eq!(check(bad.as_bytes()), Verdict::Bad, "{bad}");
        }
    }
}
