//! What Twilio signs with: the tokens of each account, as a file has them. A token is a key from the moment it is read; its text
//! is kept nowhere here, and nothing shows it.

use std::collections::HashMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// A signature's bytes (HMAC-SHA1).
pub(super) type Signature = [u8; 20];

/// How many tokens an account may have, and `*` as well: each region's own, old and new while they are rotated. More would
/// let a stranger make us work.
pub const MOST_TOKENS: usize = 8;

/// The key of one token.
pub(super) struct Token(Hmac<Sha1>);

impl Token {
    fn new(text: &[u8]) -> Self {
        Self(Hmac::new_from_slice(text).expect("HMAC takes a key of any length"))
    }

    /// Whether the token makes this signature of these parts, told in a time that doesn't depend on where they differ.
    pub(super) fn signs(&self, parts: [&[u8]; 3], signature: &Signature) -> bool {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.verify_slice(signature).is_ok()
    }
}

/// The signature of these parts.
pub(super) fn mac(token: &[u8], parts: &[&[u8]]) -> Signature {
    let mut mac = Token::new(token).0;
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The tokens of every account.
#[derive(Debug, Default)]
pub struct Tokens {
    /// By AccountSid.
    accounts: HashMap<Vec<u8>, Vec<Token>>,
    /// Those of `*`.
    any: Vec<Token>,
}

/// What is wrong with the tokens of a file. Nothing of a line is repeated: it may be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokensFault {
    /// There are none.
    Empty,
    /// A line can't be understood.
    Line {
        /// Which, from 1.
        line: usize,
        /// Why not.
        why: LineFault,
    },
}

/// Why a line can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// It has no `=`.
    NoEquals,
    /// What stands before the `=` is no AccountSid.
    Account,
    /// Nothing stands after the `=`.
    NoToken,
    /// What stands after the `=` has blanks, or what no token has.
    Blanks,
    /// Its account has [`MOST_TOKENS`] already.
    TooMany,
}

impl Tokens {
    /// The tokens of `AccountSid=token` lines, of which an account may have several, and `*` stands for any account. Empty
    /// lines and those that begin with `#` are left out.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<TokensFault>> {
        let mut tokens = Self::default();
        let mut faults = Vec::new();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#") {
                continue;
            }
            if let Err(why) = tokens.add(line) {
                faults.push(TokensFault::Line { line: at + 1, why });
            }
        }
        if faults.is_empty() && tokens.any.is_empty() && tokens.accounts.is_empty() {
            faults.push(TokensFault::Empty);
        }
        if faults.is_empty() {
            Ok(tokens)
        } else {
            Err(faults)
        }
    }

    fn add(&mut self, line: &[u8]) -> Result<(), LineFault> {
        let equals = line.iter().position(|byte| *byte == b'=');
        let (account, rest) = line.split_at(equals.ok_or(LineFault::NoEquals)?);
        let token = &rest[1..];
        if account != b"*" && !is_account(account) {
            return Err(LineFault::Account);
        }
        if token.trim_ascii().is_empty() {
            return Err(LineFault::NoToken);
        }
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(LineFault::Blanks);
        }
        let of_account = match account {
            b"*" => &mut self.any,
            account => self.accounts.entry(account.to_owned()).or_default(),
        };
        if of_account.len() == MOST_TOKENS {
            return Err(LineFault::TooMany);
        }
        of_account.push(Token::new(token));
        Ok(())
    }

    /// What a request of this account may be signed with: its own tokens, then those of `*`. One that names no account, as
    /// a media stream's, may be of the only one that there is.
    pub(super) fn of(&self, account: Option<&[u8]>) -> impl Iterator<Item = &Token> {
        let own = match account {
            Some(account) => self.accounts.get(account),
            None if self.accounts.len() == 1 => self.accounts.values().next(),
            None => None,
        };
        own.into_iter().flatten().chain(&self.any)
    }
}

/// `AC` and 32 hexadecimal digits.
fn is_account(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"AC").unwrap_or_default();
    digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit)
}

impl fmt::Display for TokensFault {
    /// What is wrong; what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, why) = match self {
            Self::Empty => return f.write_str("holds no token; write a line AccountSid=token"),
            Self::Line { line, why } => (line, why),
        };
        write!(f, "line {line} ")?;
        match why {
            LineFault::NoEquals => f.write_str("has no `=`; write AccountSid=token"),
            LineFault::Account => f.write_str(
                "has no AccountSid before its `=`; write AC and its 32 hexadecimal digits, or * for any account",
            ),
            LineFault::NoToken => f.write_str("has no token after its `=`; write AccountSid=token"),
            LineFault::Blanks => {
                f.write_str("has blanks, or what isn't ASCII, after its `=`; write the token alone")
            }
            LineFault::TooMany => write!(
                f,
                "is one token too many for its account; keep {MOST_TOKENS}, as each is tried with every request"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNT: &str = "AC00000000000000000000000000000001";

    fn many(tokens: &Tokens, account: Option<&str>) -> usize {
        tokens.of(account.map(str::as_bytes)).count()
    }

    #[test]
    fn an_account_has_its_own_tokens_and_those_of_any() {
        let other = "ACffffffffffffffffffffffffffffffff";
        let text = format!(
            "\u{feff}# ours\r\n\n{ACCOUNT}=one\r\n{ACCOUNT}=two=2\n  # theirs\n{other}=three\n*=four"
        );
        let tokens = Tokens::parse(text.as_bytes()).expect("good lines");
        assert_eq!(many(&tokens, Some(ACCOUNT)), 3);
        assert_eq!(many(&tokens, Some(other)), 2);
        assert_eq!(many(&tokens, Some("AC0")), 1);
        assert_eq!(many(&tokens, None), 1, "whose it is can't be told");
    }

    #[test]
    fn a_request_without_an_account_may_be_of_the_only_one() {
        let tokens = Tokens::parse(format!("{ACCOUNT}=one").as_bytes()).expect("a good line");
        assert_eq!(
            (many(&tokens, None), many(&tokens, Some("AC0"))),
            (1, 0),
            "but none of another"
        );
    }

    #[test]
    fn each_bad_line_is_named_by_its_number_and_never_repeated() {
        let text = format!(
            "{ACCOUNT}\nhunter2\nhunter2={ACCOUNT}\n{ACCOUNT}=\n{ACCOUNT}= hunter2\n{ACCOUNT}=hunter2 \n{ACCOUNT} =hunter2\n*=h\u{e9}\nAC1=x\n"
        );
        let faults = Tokens::parse(text.as_bytes()).expect_err("bad lines");
        let whys: Vec<_> = faults
            .iter()
            .map(|fault| match fault {
                TokensFault::Line { line, why } => (*line, *why),
                TokensFault::Empty => panic!("there are lines"),
            })
            .collect();
        assert_eq!(
            whys,
            [
                (1, LineFault::NoEquals),
                (2, LineFault::NoEquals),
                (3, LineFault::Account),
                (4, LineFault::NoToken),
                (5, LineFault::Blanks),
                (6, LineFault::Blanks),
                (7, LineFault::Account),
                (8, LineFault::Blanks),
                (9, LineFault::Account),
            ]
        );
        let said: String = faults.iter().map(ToString::to_string).collect();
        assert!(!said.contains("hunter2") && !said.contains("AC0"), "{said}");
    }

    #[test]
    fn nothing_is_no_tokens_and_too_many_are_too_many() {
        for text in ["", "\n# AC=x\n \n"] {
            let faults = Tokens::parse(text.as_bytes()).expect_err("no token");
            assert_eq!(faults, [TokensFault::Empty]);
        }
        let full = "*=x\n".repeat(MOST_TOKENS);
        assert!(Tokens::parse(full.as_bytes()).is_ok());
        let faults = Tokens::parse(format!("{full}*=y").as_bytes()).expect_err("one too many");
        let (line, why) = (MOST_TOKENS + 1, LineFault::TooMany);
        assert_eq!(faults, [TokensFault::Line { line, why }]);
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_file_is_not_repeated(word in "[g-z]{12}", around in "[AC0=*# \n\r\t]{0,80}") {
            let text = format!("{around}{word}{around}");
            let shown = match Tokens::parse(text.as_bytes()) {
                Ok(tokens) => format!("{tokens:?}"),
                Err(faults) => format!("{faults:?}{}", faults.iter().map(ToString::to_string).collect::<String>()),
            };
            prop_assert!(!shown.contains(&word), "{shown}");
        }
    }

    #[test]
    fn tokens_do_not_show_themselves() {
        let tokens = Tokens::parse(b"*=hunter2").expect("a good line");
        let shown = format!("{tokens:?}");
        assert!(
            shown.contains("Token(…)") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
