//! The secrets of a tokens file: the auth tokens of accounts, and the secrets of SharedKeys.
//!
//! Auth tokens sign with HMAC-SHA1, SharedKeys with HMAC-SHA256. While an account moves from one to the other, Twilio signs some
//! requests with each, so all secrets of a file are valid at the same time.

use std::collections::HashMap;

use super::headers::Algorithm;
use super::key::SigningKey;

/// The most secrets that an account, a SharedKey, or `*` may have: one for each region, old and new while they are rotated. Each is
/// tried with every request, which anyone can send.
pub const MAX_TOKENS: usize = 8;

/// The prefix of every SharedKey's id.
const SHARED_KEY_PREFIX: &[u8] = b"webhooks_sharedkey_";

/// The longest id of a SharedKey, in bytes; Twilio's have fewer than 50.
const MAX_KEY_ID_LENGTH: usize = 128;

/// The secrets of a tokens file, ready to check signatures with.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Auth tokens by AccountSid.
    accounts: HashMap<Vec<u8>, Vec<SigningKey>>,
    /// Auth tokens of `*`.
    any_account: Vec<SigningKey>,
    /// Secrets by the id of their SharedKey.
    shared_keys: HashMap<Vec<u8>, Vec<SigningKey>>,
    /// For each algorithm as many as the account, or SharedKey, with the most secrets has.
    decoys: [Vec<SigningKey>; 2],
}

/// Whose secret a request says it is signed with.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyOwner<'r> {
    /// The account that the request names, if it names one.
    Account(Option<&'r [u8]>),
    /// The SharedKey of this id.
    SharedKey(&'r [u8]),
}

/// What is wrong with a tokens file. Nothing of a line is repeated: it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// It has no secret.
    #[error("holds no token; write a line AccountSid=token, or webhooks_sharedkey_…=secret")]
    Empty,
    /// A line is not valid.
    #[error("line {line} {error}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        error: LineError,
    },
}

/// Why a line of a tokens file is not valid, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It has no `=`.
    #[error("has no `=`; write AccountSid=token, or webhooks_sharedkey_…=secret")]
    NoEquals,
    /// What precedes the `=` is not an AccountSid.
    #[error(
        "has no AccountSid before its `=`; write AC and its 32 hexadecimal digits, * for any account, \
         or the id of a SharedKey, which begins with webhooks_sharedkey_"
    )]
    Account,
    /// What precedes the `=` begins like the id of a SharedKey, but is not one.
    #[error(
        "has no valid id of a SharedKey before its `=`; \
         write webhooks_sharedkey_ and the letters, digits and `_` that follow it"
    )]
    SharedKey,
    /// Nothing follows the `=`.
    #[error("has nothing after its `=`; write the account's token, or the SharedKey's secret")]
    NoToken,
    /// What follows the `=` has spaces, or characters that no secret has.
    #[error("has blanks, or what isn't ASCII, after its `=`; write the token or secret alone")]
    Blanks,
    /// Its account, or SharedKey, has [`MAX_TOKENS`] already.
    #[error(
        "is one too many for its account or SharedKey; keep {}, as each is tried with every request",
        MAX_TOKENS
    )]
    TooMany,
}

impl Tokens {
    /// Reads the secrets of a file. A line is `AccountSid=token`, of which an account may have several, with `*` for any account,
    /// or `webhooks_sharedkey_…=secret`. Empty lines and those that begin with `#` are skipped.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<TokensError>> {
        let mut tokens = Self::default();
        let mut errors = Vec::new();
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if text.trim_ascii().is_empty() || text.trim_ascii_start().starts_with(b"#") {
                continue;
            }
            if let Err(error) = tokens.add_line(text, line) {
                errors.push(TokensError::Line { line, error });
            }
        }
        if errors.is_empty() && tokens.keys().next().is_none() {
            errors.push(TokensError::Empty);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        tokens.decoys = [
            make_decoys(Algorithm::HmacSha1, &tokens.accounts),
            make_decoys(Algorithm::HmacSha256, &tokens.shared_keys),
        ];
        Ok(tokens)
    }

    fn add_line(&mut self, text: &[u8], line: usize) -> Result<(), LineError> {
        let equals = text.iter().position(|byte| *byte == b'=');
        let (owner, rest) = text.split_at(equals.ok_or(LineError::NoEquals)?);
        let secret = &rest[1..];
        let is_shared_key = owner.starts_with(b"webhooks_");
        check_owner(owner, is_shared_key)?;
        check_secret(secret)?;
        let keys = match owner {
            b"*" => &mut self.any_account,
            id if is_shared_key => self.shared_keys.entry(id.to_owned()).or_default(),
            account => self.accounts.entry(account.to_owned()).or_default(),
        };
        if keys.len() == MAX_TOKENS {
            return Err(LineError::TooMany);
        }
        keys.push(if is_shared_key {
            let name = String::from_utf8_lossy(owner).into_owned();
            SigningKey::new(Algorithm::HmacSha256, secret, name)
        } else {
            let name = format!("auth token of line {line}");
            SigningKey::new(Algorithm::HmacSha1, secret, name)
        });
        Ok(())
    }

    /// The keys to try for a request: those of the account that it names, then those of `*`. A request that names no account, such
    /// as that of a media stream, may be of the only account that there is. Decoys make up for an owner that is unknown or has
    /// fewer keys than another, so that the time which an invalid request takes doesn't show which owners are known.
    pub(super) fn candidates(&self, owner: KeyOwner<'_>) -> impl Iterator<Item = &SigningKey> {
        let [tokens, secrets] = &self.decoys;
        let (own, decoys, any) = match owner {
            KeyOwner::Account(Some(account)) => {
                (self.accounts.get(account), tokens, &self.any_account[..])
            }
            KeyOwner::Account(None) if self.accounts.len() == 1 => {
                (self.accounts.values().next(), tokens, &self.any_account[..])
            }
            KeyOwner::Account(None) => (None, tokens, &self.any_account[..]),
            KeyOwner::SharedKey(id) => (self.shared_keys.get(id), secrets, &[][..]),
        };
        let own = own.map_or(&[][..], Vec::as_slice);
        own.iter().chain(&decoys[own.len()..]).chain(any)
    }

    /// All keys but the decoys, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &SigningKey> {
        let owned = self.accounts.values().chain(self.shared_keys.values());
        owned.flatten().chain(&self.any_account)
    }
}

fn make_decoys(
    algorithm: Algorithm,
    owners: &HashMap<Vec<u8>, Vec<SigningKey>>,
) -> Vec<SigningKey> {
    let most = owners.values().map(Vec::len).max().unwrap_or(0);
    (0..most).map(|_| SigningKey::decoy(algorithm)).collect()
}

fn check_owner(owner: &[u8], is_shared_key: bool) -> Result<(), LineError> {
    if is_shared_key && !is_shared_key_id(owner) {
        return Err(LineError::SharedKey);
    }
    if !is_shared_key && owner != b"*" && !is_account_sid(owner) {
        return Err(LineError::Account);
    }
    Ok(())
}

fn check_secret(secret: &[u8]) -> Result<(), LineError> {
    if secret.trim_ascii().is_empty() {
        return Err(LineError::NoToken);
    }
    if !secret.iter().all(u8::is_ascii_graphic) {
        return Err(LineError::Blanks);
    }
    Ok(())
}

/// Whether this is `AC` and 32 hexadecimal digits.
fn is_account_sid(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"AC").unwrap_or_default();
    digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit)
}

fn is_shared_key_id(text: &[u8]) -> bool {
    let rest = text.strip_prefix(SHARED_KEY_PREFIX).unwrap_or_default();
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !rest.is_empty() && text.len() <= MAX_KEY_ID_LENGTH && rest.iter().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNT: &str = "AC00000000000000000000000000000001";

    /// How many keys may have signed a request of this account, and how many are tried for it.
    fn many(tokens: &Tokens, account: Option<&str>) -> (usize, usize) {
        let tried = || tokens.candidates(KeyOwner::Account(account.map(str::as_bytes)));
        (
            tried().filter(|key| !key.is_decoy()).count(),
            tried().count(),
        )
    }

    #[test]
    fn an_account_has_its_own_tokens_and_those_of_any_account() {
        let other = "ACffffffffffffffffffffffffffffffff";
        let text = format!(
            "\u{feff}# ours\r\n\n{ACCOUNT}=one\r\n{ACCOUNT}=two=2\n  # theirs\n{other}=three\n*=four"
        );
        let tokens = Tokens::parse(text.as_bytes()).expect("good lines");
        assert_eq!(many(&tokens, Some(ACCOUNT)), (3, 3));
        assert_eq!(many(&tokens, Some(other)), (2, 3));
        assert_eq!(many(&tokens, Some("AC0")), (1, 3));
        assert_eq!(many(&tokens, None), (1, 3), "its account is unknown");
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
    fn each_error_has_the_number_of_its_line_and_not_its_text() {
        let text = format!(
            "{ACCOUNT}\nhunter2\nhunter2={ACCOUNT}\n{ACCOUNT}=\n{ACCOUNT}= hunter2\n{ACCOUNT}=hunter2 \n{ACCOUNT} =hunter2\n*=h\u{e9}\nAC1=x\n\
             webhooks_sharedkey_=hunter2\nwebhooks_sharedkey_hunter2 =x\nwebhooks_shared_key_hunter2=x\nwebhooks_sharedkey_1=\n"
        );
        let errors = Tokens::parse(text.as_bytes()).expect_err("bad lines");
        let lines: Vec<_> = errors
            .iter()
            .map(|error| match error {
                TokensError::Line { line, error } => (*line, *error),
                TokensError::Empty => panic!("there are lines"),
            })
            .collect();
        assert_eq!(
            lines,
            [
                (1, LineError::NoEquals),
                (2, LineError::NoEquals),
                (3, LineError::Account),
                (4, LineError::NoToken),
                (5, LineError::Blanks),
                (6, LineError::Blanks),
                (7, LineError::Account),
                (8, LineError::Blanks),
                (9, LineError::Account),
                (10, LineError::SharedKey),
                (11, LineError::SharedKey),
                (12, LineError::SharedKey),
                (13, LineError::NoToken),
            ]
        );
        let said: String = errors.iter().map(ToString::to_string).collect();
        assert!(!said.contains("hunter2") && !said.contains("AC0"), "{said}");
    }

    #[test]
    fn a_shared_key_has_its_own_secrets_beside_the_tokens_of_accounts() {
        let text = "webhooks_sharedkey_1=one\nwebhooks_sharedkey_1=two\nwebhooks_sharedkey_2=three\n*=four";
        let tokens = Tokens::parse(text.as_bytes()).expect("good lines");
        let names = |id: &str| {
            let of_key = tokens.candidates(KeyOwner::SharedKey(id.as_bytes()));
            let real = of_key.filter(|key| !key.is_decoy());
            real.map(|key| key.name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("webhooks_sharedkey_1"), ["webhooks_sharedkey_1"; 2]);
        assert_eq!(names("webhooks_sharedkey_2"), ["webhooks_sharedkey_2"]);
        assert_eq!(names("webhooks_sharedkey_3"), [""; 0]);
        let of_account = tokens
            .candidates(KeyOwner::Account(None))
            .map(SigningKey::name);
        assert_eq!(of_account.collect::<Vec<_>>(), ["auth token of line 4"]);
    }

    #[test]
    fn the_id_of_a_shared_key_has_a_greatest_length_and_few_characters() {
        let longest = "a".repeat(MAX_KEY_ID_LENGTH - SHARED_KEY_PREFIX.len());
        for (rest, is_valid) in [
            (&longest[..], true),
            (&format!("{longest}a"), false),
            ("a_B-9", true),
            ("a.b", false),
            ("", false),
        ] {
            let id = [SHARED_KEY_PREFIX, rest.as_bytes()].concat();
            assert_eq!(is_shared_key_id(&id), is_valid, "{rest}");
        }
    }

    #[test]
    fn the_keys_of_a_file_are_all_its_secrets_and_no_decoy() {
        let text = format!("{ACCOUNT}=one\nwebhooks_sharedkey_1=two\n*=three");
        let tokens = Tokens::parse(text.as_bytes()).expect("good lines");
        let mut names: Vec<_> = tokens.keys().map(SigningKey::name).collect();
        names.sort_unstable();
        let lines = ["auth token of line 1", "auth token of line 3"];
        assert_eq!(names, [lines[0], lines[1], "webhooks_sharedkey_1"]);
    }

    #[test]
    fn a_file_without_tokens_and_too_many_tokens_are_errors() {
        for text in ["", "\n# AC=x\n \n"] {
            let errors = Tokens::parse(text.as_bytes()).expect_err("no token");
            assert_eq!(errors, [TokensError::Empty]);
        }
        let full = "*=x\n".repeat(MAX_TOKENS);
        assert!(Tokens::parse(full.as_bytes()).is_ok());
        let errors = Tokens::parse(format!("{full}*=y").as_bytes()).expect_err("one too many");
        let (line, error) = (MAX_TOKENS + 1, LineError::TooMany);
        assert_eq!(errors, [TokensError::Line { line, error }]);
    }

    proptest! {
        #[test]
        fn no_error_or_debug_output_contains_text_of_the_file(word in "[g-z]{12}", around in "[AC0=*# \n\r\t]{0,80}") {
            let text = format!("{around}{word}{around}");
            let shown = match Tokens::parse(text.as_bytes()) {
                Ok(tokens) => format!("{tokens:?}"),
                Err(errors) => format!("{errors:?}{}", errors.iter().map(ToString::to_string).collect::<String>()),
            };
            prop_assert!(!shown.contains(&word), "{shown}");
        }
    }

    #[test]
    fn debug_output_contains_no_secret() {
        let tokens = Tokens::parse(b"*=hunter2").expect("a good line");
        let shown = format!("{tokens:?}");
        assert!(
            shown.contains("SigningKey(…)") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
