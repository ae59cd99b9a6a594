//! What Twilio signs with, as a file has it: the auth tokens of each account, and the secrets of SharedKeys. Each is a key of an
//! HMAC from the moment it is read; its text is kept nowhere here, and nothing shows it.
//!
//! Auth tokens sign with HMAC-SHA1, SharedKeys with HMAC-SHA256. Twilio can sign some requests with one and some with the other
//! while an account moves from tokens to a SharedKey, so all that a file has are valid at once.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

use super::{Algorithm, Signature, Signer};

/// How many secrets an account may have, a SharedKey, and `*` as well: each region's own, old and new while they are rotated.
/// More would let a stranger make us work.
pub const MOST_TOKENS: usize = 8;

/// What the id of every SharedKey begins with.
const SHARED_KEY: &str = "webhooks_sharedkey_";

/// The longest id of a SharedKey that is taken; Twilio's have under 50 characters.
const LONGEST_ID: usize = 128;

/// A secret that Twilio signs with.
pub(super) struct Token {
    key: Key,
    /// What it is called where its use is shown: a SharedKey's id, or where an auth token stands.
    name: Box<str>,
    /// It is nobody's, and tried only for the time that this takes.
    is_decoy: bool,
    /// When it last signed a valid request, in seconds since 1970; 0 if it never has.
    last_match: AtomicU64,
}

#[derive(Clone)]
enum Key {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
}

impl Key {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
        const ANY: &str = "HMAC takes a key of any length";
        match algorithm {
            Algorithm::HmacSha1 => Self::Sha1(Hmac::new_from_slice(secret).expect(ANY)),
            Algorithm::HmacSha256 => Self::Sha256(Hmac::new_from_slice(secret).expect(ANY)),
        }
    }
}

impl Token {
    fn new(algorithm: Algorithm, secret: &[u8], name: String) -> Self {
        Self {
            key: Key::new(algorithm, secret),
            name: name.into(),
            is_decoy: false,
            last_match: AtomicU64::new(0),
        }
    }

    fn decoy(algorithm: Algorithm) -> Self {
        Self {
            is_decoy: true,
            ..Self::new(algorithm, b"", String::new())
        }
    }

    /// What it is called where its use is shown.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// When it last signed a valid request, in seconds since 1970.
    pub(super) fn last_match(&self) -> Option<u64> {
        Some(self.last_match.load(Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// Notes that it signed a valid request now; whether this was the first one.
    pub(super) fn note_match(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(1, |since| since.as_secs());
        self.last_match.swap(now, Relaxed) == 0
    }

    /// Whether it makes this signature of these parts, found in a time that doesn't depend on where they differ.
    pub(super) fn signs(&self, parts: [&[u8]; 3], signature: &Signature) -> bool {
        let is_equal = match &self.key {
            Key::Sha1(key) => over(key, &parts).verify_slice(signature.as_bytes()).is_ok(),
            Key::Sha256(key) => over(key, &parts).verify_slice(signature.as_bytes()).is_ok(),
        };
        is_equal && !self.is_decoy
    }
}

fn over<M: Mac + Clone>(key: &M, parts: &[&[u8]]) -> M {
    let mut mac = key.clone();
    for part in parts {
        mac.update(part);
    }
    mac
}

/// The signature of these parts.
pub(super) fn mac(algorithm: Algorithm, secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match Key::new(algorithm, secret) {
        Key::Sha1(key) => over(&key, parts).finalize().into_bytes().to_vec(),
        Key::Sha256(key) => over(&key, parts).finalize().into_bytes().to_vec(),
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// All that a file has to check signatures with.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Auth tokens by AccountSid.
    accounts: HashMap<Vec<u8>, Vec<Token>>,
    /// Auth tokens of `*`.
    any: Vec<Token>,
    /// Secrets by the id of their SharedKey.
    shared_keys: HashMap<Vec<u8>, Vec<Token>>,
    /// As many for each algorithm as the account, or SharedKey, with the most has.
    decoys: [Vec<Token>; 2],
}

/// What is wrong with a tokens file. Nothing of a line is repeated: it may be a secret.
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
    /// What stands before the `=` is not an AccountSid.
    Account,
    /// What stands before the `=` is not the id of a SharedKey, though it begins like one.
    SharedKey,
    /// Nothing stands after the `=`.
    NoToken,
    /// What stands after the `=` has blanks, or characters that no secret has.
    Blanks,
    /// Its account, or SharedKey, has [`MOST_TOKENS`] already.
    TooMany,
}

impl Tokens {
    /// The secrets of a file: lines `AccountSid=token`, of which an account may have several, with `*` for any account, and
    /// lines `webhooks_sharedkey_…=secret`. Empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<TokensFault>> {
        let mut tokens = Self::default();
        let mut faults = Vec::new();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.trim_ascii().is_empty() || text.trim_ascii_start().starts_with(b"#") {
                continue;
            }
            if let Err(why) = tokens.add(text, line) {
                faults.push(TokensFault::Line { line, why });
            }
        }
        if faults.is_empty() && tokens.all().next().is_none() {
            faults.push(TokensFault::Empty);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        tokens.decoys = [
            decoys(Algorithm::HmacSha1, &tokens.accounts),
            decoys(Algorithm::HmacSha256, &tokens.shared_keys),
        ];
        Ok(tokens)
    }

    fn add(&mut self, text: &[u8], line: usize) -> Result<(), LineFault> {
        let equals = text.iter().position(|byte| *byte == b'=');
        let (owner, rest) = text.split_at(equals.ok_or(LineFault::NoEquals)?);
        let secret = &rest[1..];
        let is_shared_key = owner.starts_with(b"webhooks_");
        if is_shared_key && !is_shared_key_id(owner) {
            return Err(LineFault::SharedKey);
        }
        if !is_shared_key && owner != b"*" && !is_account(owner) {
            return Err(LineFault::Account);
        }
        if secret.trim_ascii().is_empty() {
            return Err(LineFault::NoToken);
        }
        if !secret.iter().all(u8::is_ascii_graphic) {
            return Err(LineFault::Blanks);
        }
        let of_owner = match owner {
            b"*" => &mut self.any,
            id if is_shared_key => self.shared_keys.entry(id.to_owned()).or_default(),
            account => self.accounts.entry(account.to_owned()).or_default(),
        };
        if of_owner.len() == MOST_TOKENS {
            return Err(LineFault::TooMany);
        }
        of_owner.push(if is_shared_key {
            let name = String::from_utf8_lossy(owner).into_owned();
            Token::new(Algorithm::HmacSha256, secret, name)
        } else {
            let name = format!("auth token of line {line}");
            Token::new(Algorithm::HmacSha1, secret, name)
        });
        Ok(())
    }

    /// What a request may be signed with. One of an account: its own tokens, then those of `*`; one that names no account, as
    /// that of a media stream, may be of the only one that there is. An account or key that has fewer secrets than another, or
    /// is not known, has decoys for the rest, so that the time of an invalid request doesn't show which are known.
    pub(super) fn of(&self, signer: Signer<'_>) -> impl Iterator<Item = &Token> {
        let [tokens, secrets] = &self.decoys;
        let (own, decoys, any) = match signer {
            Signer::Account(Some(account)) => (self.accounts.get(account), tokens, &self.any[..]),
            Signer::Account(None) if self.accounts.len() == 1 => {
                (self.accounts.values().next(), tokens, &self.any[..])
            }
            Signer::Account(None) => (None, tokens, &self.any[..]),
            Signer::SharedKey(id) => (self.shared_keys.get(id), secrets, &[][..]),
        };
        let own = own.map_or(&[][..], Vec::as_slice);
        own.iter().chain(&decoys[own.len()..]).chain(any)
    }

    /// Each, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Token> {
        let owned = self.accounts.values().chain(self.shared_keys.values());
        owned.flatten().chain(&self.any)
    }
}

fn decoys(algorithm: Algorithm, owners: &HashMap<Vec<u8>, Vec<Token>>) -> Vec<Token> {
    let most = owners.values().map(Vec::len).max().unwrap_or(0);
    (0..most).map(|_| Token::decoy(algorithm)).collect()
}

/// `AC` and 32 hexadecimal digits.
fn is_account(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"AC").unwrap_or_default();
    digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit)
}

fn is_shared_key_id(text: &[u8]) -> bool {
    let rest = text.strip_prefix(SHARED_KEY.as_bytes()).unwrap_or_default();
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !rest.is_empty() && text.len() <= LONGEST_ID && rest.iter().all(is_good)
}

impl fmt::Display for TokensFault {
    /// What is wrong; what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, why) =
            match self {
                Self::Empty => return f.write_str(
                    "holds no token; write a line AccountSid=token, or webhooks_sharedkey_…=secret",
                ),
                Self::Line { line, why } => (line, why),
            };
        write!(f, "line {line} ")?;
        match why {
            LineFault::NoEquals => {
                f.write_str("has no `=`; write AccountSid=token, or webhooks_sharedkey_…=secret")
            }
            LineFault::Account => f.write_str(
                "has no AccountSid before its `=`; write AC and its 32 hexadecimal digits, * for any account, \
                 or the id of a SharedKey, which begins with webhooks_sharedkey_",
            ),
            LineFault::SharedKey => f.write_str(
                "has no valid id of a SharedKey before its `=`; write webhooks_sharedkey_ and the letters, digits and `_` that follow it",
            ),
            LineFault::NoToken => {
                f.write_str("has nothing after its `=`; write the account's token, or the SharedKey's secret")
            }
            LineFault::Blanks => {
                f.write_str("has blanks, or what isn't ASCII, after its `=`; write the token or secret alone")
            }
            LineFault::TooMany => write!(
                f,
                "is one too many for its account or SharedKey; keep {MOST_TOKENS}, as each is tried with every request"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNT: &str = "AC00000000000000000000000000000001";

    /// How many secrets a request of this account may be signed with, and how many are tried for it.
    fn many(tokens: &Tokens, account: Option<&str>) -> (usize, usize) {
        let tried = || tokens.of(Signer::Account(account.map(str::as_bytes)));
        (
            tried().filter(|token| !token.is_decoy).count(),
            tried().count(),
        )
    }

    #[test]
    fn an_account_has_its_own_tokens_and_those_of_any() {
        let other = "ACffffffffffffffffffffffffffffffff";
        let text = format!(
            "\u{feff}# ours\r\n\n{ACCOUNT}=one\r\n{ACCOUNT}=two=2\n  # theirs\n{other}=three\n*=four"
        );
        let tokens = Tokens::parse(text.as_bytes()).expect("good lines");
        assert_eq!(many(&tokens, Some(ACCOUNT)), (3, 3));
        assert_eq!(many(&tokens, Some(other)), (2, 3));
        assert_eq!(many(&tokens, Some("AC0")), (1, 3));
        assert_eq!(many(&tokens, None), (1, 3), "whose it is can't be told");
    }

    #[test]
    fn a_request_without_an_account_may_be_of_the_only_one() {
        let tokens = Tokens::parse(format!("{ACCOUNT}=one").as_bytes()).expect("a good line");
        assert_eq!(
            (many(&tokens, None).0, many(&tokens, Some("AC0")).0),
            (1, 0),
            "but none of another"
        );
    }

    #[test]
    fn each_bad_line_is_named_by_its_number_and_never_repeated() {
        let text = format!(
            "{ACCOUNT}\nhunter2\nhunter2={ACCOUNT}\n{ACCOUNT}=\n{ACCOUNT}= hunter2\n{ACCOUNT}=hunter2 \n{ACCOUNT} =hunter2\n*=h\u{e9}\nAC1=x\n\
             webhooks_sharedkey_=hunter2\nwebhooks_sharedkey_hunter2 =x\nwebhooks_shared_key_hunter2=x\nwebhooks_sharedkey_1=\n"
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
                (10, LineFault::SharedKey),
                (11, LineFault::SharedKey),
                (12, LineFault::SharedKey),
                (13, LineFault::NoToken),
            ]
        );
        let said: String = faults.iter().map(ToString::to_string).collect();
        assert!(!said.contains("hunter2") && !said.contains("AC0"), "{said}");
    }

    #[test]
    fn a_shared_key_has_its_own_secrets_beside_the_tokens_of_accounts() {
        let text = "webhooks_sharedkey_1=one\nwebhooks_sharedkey_1=two\nwebhooks_sharedkey_2=three\n*=four";
        let tokens = Tokens::parse(text.as_bytes()).expect("good lines");
        let names = |id: &str| {
            let of_key = tokens.of(Signer::SharedKey(id.as_bytes()));
            let real = of_key.filter(|token| !token.is_decoy);
            real.map(|token| token.name().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("webhooks_sharedkey_1"), ["webhooks_sharedkey_1"; 2]);
        assert_eq!(names("webhooks_sharedkey_2"), ["webhooks_sharedkey_2"]);
        assert_eq!(names("webhooks_sharedkey_3"), [""; 0]);
        let of_account = tokens.of(Signer::Account(None)).map(Token::name);
        assert_eq!(of_account.collect::<Vec<_>>(), ["auth token of line 4"]);
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
