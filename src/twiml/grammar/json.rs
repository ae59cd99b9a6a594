//! Whether text is a JSON document (RFC 8259). Only that: nothing is built, nothing allocated, and no nesting makes it
//! recurse.

use super::value::Verdict;

/// How deep arrays and objects may nest before nobody can say.
const MAX_DEPTH: u32 = 128;

/// Twilio's own SDKs put plain words where JSON belongs (`<Task>foo</Task>`), so only what sets out to be an object or an
/// array, and fails, is beyond doubt.
pub(super) fn check(text: &[u8]) -> Verdict {
    let mut reader = Reader {
        rest: text,
        depth: 0,
        objects: 0,
    };
    match reader.document() {
        Some(()) => Verdict::Good,
        None if reader.depth > MAX_DEPTH => Verdict::Doubtful,
        None if matches!(text.trim_ascii_start(), [b'{' | b'[', ..]) => Verdict::Bad,
        None => Verdict::Doubtful,
    }
}

struct Reader<'t> {
    rest: &'t [u8],
    depth: u32,
    /// A bit for each level, the innermost lowest: set for an object.
    objects: u128,
}

impl Reader<'_> {
    fn document(&mut self) -> Option<()> {
        self.value()?;
        while self.depth > 0 {
            match (self.next()?, self.objects & 1) {
                (b',', 1) => self.member()?,
                (b',', _) => self.value()?,
                (b'}', 1) | (b']', 0) => self.leave()?,
                _ => return None,
            }
        }
        self.next().is_none().then_some(())
    }

    /// A value, or what it begins with: the first value of an array, the first member of an object.
    fn value(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                b'"' => return self.string(),
                b'{' => {
                    self.enter(1)?;
                    match self.next()? {
                        b'}' => return self.leave(),
                        b'"' => self.string_and_colon()?,
                        _ => return None,
                    }
                }
                b'[' => {
                    self.enter(0)?;
                    if self.rest.trim_ascii_start().first() == Some(&b']') {
                        self.next();
                        return self.leave();
                    }
                }
                first => return self.word(first),
            }
        }
    }

    fn member(&mut self) -> Option<()> {
        (self.next()? == b'"').then_some(())?;
        self.string_and_colon()?;
        self.value()
    }

    fn string_and_colon(&mut self) -> Option<()> {
        self.string()?;
        (self.next()? == b':').then_some(())
    }

    /// The rest of a string.
    fn string(&mut self) -> Option<()> {
        loop {
            match self.take()? {
                b'"' => return Some(()),
                b'\\' => match self.take()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => self.hexadecimal()?,
                    _ => return None,
                },
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    fn hexadecimal(&mut self) -> Option<()> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(())
    }

    /// The rest of a literal or a number.
    fn word(&mut self, first: u8) -> Option<()> {
        let literal: &[u8] = match first {
            b't' => b"rue",
            b'f' => b"alse",
            b'n' => b"ull",
            _ => return self.number(first),
        };
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    fn number(&mut self, first: u8) -> Option<()> {
        let first = if first == b'-' { self.take()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => drop(self.digits()),
            _ => return None,
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            self.digits()?;
        }
        if let [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            self.digits()?;
        }
        Some(())
    }

    /// As many digits as there are; none is none.
    fn digits(&mut self) -> Option<()> {
        let len = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.rest = &self.rest[len..];
        (len > 0).then_some(())
    }

    fn enter(&mut self, object: u128) -> Option<()> {
        self.depth += 1;
        self.objects = self.objects << 1 | object;
        (self.depth <= MAX_DEPTH).then_some(())
    }

    fn leave(&mut self) -> Option<()> {
        self.depth -= 1;
        self.objects >>= 1;
        Some(())
    }

    /// The next byte that is not space.
    fn next(&mut self) -> Option<u8> {
        let space = |b: &&u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
        let len = self.rest.iter().take_while(space).count();
        self.rest = &self.rest[len..];
        self.take()
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
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
        for doubtful in ["foo", "", "01", "}", &deep(129)] {
            assert_eq!(check(doubtful.as_bytes()), Verdict::Doubtful, "{doubtful}");
        }
        assert_eq!(check(b" {\"a\":}"), Verdict::Bad);
    }
}
