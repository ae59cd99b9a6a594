//! What can be wrong with a configuration. Each problem says what it is and what would be right; where it is, its
//! [`Error`](super::Error) knows.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use humantime::format_duration;
use toml::de::DeValue;

use super::error::Place;
use super::files::Unreadable;
use super::grammar::GrammarProblem;
use super::host::{HostProblem, UrlProblem};
use super::page::PageProblem;
use super::route::LONGEST_DEADLINE;
use super::server::SHORTEST_TOKEN;
use super::signature::SignatureProblem;
use super::tls::TlsProblem;
use super::variant::VariantProblem;
use super::words::{Key, Nearest, Text};
use crate::route::{self, Kind};
use crate::twilio;

/// Something wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file can't be read.
    Unreadable(Unreadable),
    /// The file is not UTF-8, which TOML is.
    NotUtf8,
    /// The text is no TOML, in the parser's words.
    Syntax(String),
    /// A key is there twice.
    Twice(Key),
    /// A text without quotes.
    Unquoted(Text),
    /// A key without a value.
    NoValue,

    /// A key that means nothing here.
    UnknownKey {
        /// As it stands there.
        key: Key,
        /// What may stand here.
        known: Vec<&'static str>,
    },
    /// A key that must be given isn't.
    Missing {
        /// Which one.
        key: &'static str,
        /// How it is given.
        example: &'static str,
    },

    /// A value of the wrong type.
    Type {
        /// What type it is.
        found: &'static str,
        /// What is asked for.
        wanted: &'static str,
    },
    /// Something else in the place of a table.
    NoTable {
        /// What type it is.
        found: &'static str,
        /// How the table begins.
        header: String,
    },
    /// None of the words that may stand there.
    Word {
        /// As it stands there.
        found: Text,
        /// What may stand there.
        words: Vec<&'static str>,
    },
    /// A list without anything in it.
    EmptyList,
    /// A number where a duration is asked for.
    NoUnit {
        /// As it stands there.
        number: String,
    },
    /// A text that is no duration.
    Duration {
        /// As it stands there.
        found: Text,
    },
    /// A duration of nothing.
    NoTime,
    /// A duration that can't be meant.
    TooLong {
        /// As it stands there.
        found: Duration,
        /// The longest that may stand there.
        limit: Duration,
    },
    /// Not a number of bytes.
    Size {
        /// As it stands there.
        found: Text,
    },
    /// A number out of bounds.
    Count {
        /// As it stands there.
        found: String,
        /// The lowest that may stand there.
        least: usize,
        /// The highest that may stand there.
        most: usize,
    },
    /// Not a status that says failure.
    Status {
        /// As it stands there.
        found: String,
    },
    /// Not an address with a port.
    Address {
        /// As it stands there.
        found: Text,
    },
    /// Not a block of addresses.
    Network {
        /// As it stands there.
        found: Text,
    },
    /// Not a path.
    Path {
        /// As it stands there.
        found: Text,
        /// Why not.
        why: route::Error,
    },
    /// Not a method, or not in upper case.
    Method {
        /// As it stands there.
        found: Text,
    },
    /// Not a host as a `Host` field names it.
    Host {
        /// As it stands there.
        found: Text,
        /// Why not.
        why: HostProblem,
    },
    /// Not the URL of an app.
    Url {
        /// As it stands there.
        found: Text,
        /// Why not.
        why: UrlProblem,
    },
    /// A URL with a name or a password, which is not repeated.
    UserInfo {
        /// The URL without.
        right: Text,
    },
    /// A name that can't be a label.
    Name {
        /// As it stands there.
        found: Text,
    },

    /// A deadline that Twilio wouldn't wait for.
    Deadline(Duration),
    /// Connecting may take longer than a whole call.
    ConnectTimeout {
        /// How long it may take.
        found: Duration,
        /// The shortest deadline.
        deadline: Duration,
        /// Whose deadline that is.
        route: Text,
    },
    /// An admin listener that isn't on loopback, without a token.
    AdminInTheOpen(SocketAddr),
    /// A token's file that can't be read.
    TokenUnreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        why: Unreadable,
    },
    /// A token's file that holds none.
    NoToken {
        /// The file.
        file: PathBuf,
    },
    /// A token that could be guessed.
    ShortToken {
        /// The file.
        file: PathBuf,
    },
    /// A file of secrets that others than its owner can read. Not an error: it is noted.
    OpenToOthers {
        /// The file.
        file: PathBuf,
        /// Who may do what with it.
        mode: u32,
    },
    /// A fallback URL that would leave the app no time.
    Budget {
        /// How long it may take.
        found: Duration,
        /// The route's deadline.
        deadline: Duration,
    },
    /// A fallback URL that leads back to us.
    PointsAtUs(SocketAddr),
    /// A public address that is listed twice.
    ListedTwice(SocketAddr),
    /// A public address that is the admin listener's too.
    SameAddress(SocketAddr),
    /// A name that another route has.
    SameName {
        /// The name.
        name: Text,
        /// Where the other has it.
        other: Place,
    },
    /// The name of what no route matches.
    ReservedName(&'static str),
    /// Two routes with equal right to the same requests.
    Collision {
        /// The other's name.
        with: Text,
        /// Where its path stands.
        other: Place,
    },
    /// A page for a route that gives no TwiML.
    NoPageForKind(Kind),
    /// A page per kind for a route that has a kind.
    PagePerKind,
    /// One page for a route of two kinds.
    PageForBothKinds,
    /// Both `inline` and `file`.
    TwoPages,
    /// Neither `inline` nor `file`.
    NoPage,
    /// A page that can't stand in for the app.
    Page(Box<PageProblem>),
    /// A variant of a page.
    Variant(VariantProblem),
    /// A certificate, a key, or what is said about TLS.
    Tls(Box<TlsProblem>),
    /// An addition to the grammar.
    Grammar(GrammarProblem),
    /// The checking of signatures.
    Signature(SignatureProblem),
}

impl Problem {
    /// The parser's complaint about this piece of the text, in our words where they are better.
    pub(super) fn syntax(message: &str, piece: Option<&str>) -> Self {
        let piece = piece.unwrap_or_default();
        if message.starts_with("duplicate key") {
            Self::Twice(piece.into())
        } else if message.starts_with("string values must be quoted") && piece.is_empty() {
            Self::NoValue
        } else if message.starts_with("string values must be quoted") {
            Self::Unquoted(piece.into())
        } else {
            Self::Syntax(message.to_owned())
        }
    }

    pub(super) fn wrong_type(found: &DeValue<'_>, wanted: &'static str) -> Self {
        Self::Type {
            found: found.type_str(),
            wanted,
        }
    }

    pub(super) fn no_table(found: &DeValue<'_>, header: String) -> Self {
        Self::NoTable {
            found: found.type_str(),
            header,
        }
    }

    /// Whether it is about a key's being there or not, rather than about a value.
    pub(super) fn is_about_keys(&self) -> bool {
        matches!(
            self,
            Self::UnknownKey { .. }
                | Self::Missing { .. }
                | Self::NoPage
                | Self::Grammar(GrammarProblem::NoElement { .. })
        )
    }
}

impl fmt::Display for Problem {
    /// One sentence: what is wrong; what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => why.fmt(f),
            Self::NotUtf8 => f.write_str("this byte is not UTF-8; save the file as UTF-8"),
            Self::Syntax(message) => f.write_str(message),
            Self::Twice(key) => write!(f, "the key {key} is given twice; leave one"),
            Self::Unquoted(text) => write!(f, "text is written in quotes: {text}"),
            Self::NoValue => f.write_str("no value is given; write one, or leave the key out"),

            Self::UnknownKey { key, known } => {
                write!(
                    f,
                    "unknown key {key}; {}",
                    Nearest(key.as_str(), known, '`')
                )
            }
            Self::Missing { key, example } => write!(f, "no `{key}` is given; write: {example}"),

            Self::Type { found, wanted } => write!(f, "this is {}; write {wanted}", article(found)),
            Self::NoTable { found, header } => {
                write!(f, "this is {}; write the table as {header}", article(found))
            }
            Self::Word { found, words } => {
                let right = Nearest(found.as_str(), words, '"');
                write!(f, "{found} is not a valid choice here; {right}")
            }
            Self::EmptyList => {
                f.write_str("an empty list; name at least one, or leave the key out")
            }
            Self::NoUnit { number } => {
                let right = with_unit(number);
                write!(f, "{number} has no unit; write {right}")
            }
            Self::Duration { found } => {
                write!(
                    f,
                    "{found} is not a valid duration; write \"8s\" or \"250ms\""
                )
            }
            Self::NoTime => {
                f.write_str("a duration must be longer than zero; write \"8s\" or \"250ms\"")
            }
            Self::TooLong { found, limit } => {
                let (found, limit) = (format_duration(*found), format_duration(*limit));
                write!(
                    f,
                    "{found} is longer than {limit}, the longest that makes sense here"
                )
            }
            Self::Size { found } => write!(
                f,
                "{found} is not a valid size; write a number of bytes, or one with its unit: \"256KiB\""
            ),
            Self::Count { found, least, most } => {
                write!(
                    f,
                    "{found} is out of bounds; write a whole number from {least} to {most}"
                )
            }
            Self::Status { found } => {
                write!(
                    f,
                    "{found} is not an error status; write one from 400 to 599"
                )
            }
            Self::Address { found } => {
                let right = Text::from(address_for(found.as_str()));
                write!(f, "{found} is not an IP address with a port; write {right}")
            }
            Self::Network { found } => write!(
                f,
                "{found} is not a valid block of addresses; \
                 write \"10.0.0.0/8\", or one address: \"::1\""
            ),
            Self::Path { found, why } => write!(f, "{found} is not a valid path: {why}"),
            Self::Method { found } => match found.as_str().to_ascii_uppercase() {
                upper if upper == found.as_str() => {
                    write!(
                        f,
                        "{found} is not a valid method; write \"GET\" or \"POST\""
                    )
                }
                upper => {
                    let right = Text::from(upper);
                    write!(
                        f,
                        "{found} is not in upper case, as methods are; write {right}"
                    )
                }
            },
            Self::Host { found, why } => write!(f, "{found} {why}"),
            Self::Url { found, why } => write!(f, "{found} {why}"),
            Self::UserInfo { right } => write!(
                f,
                "a name or password stands before the `@`, which no app would get; write {right}"
            ),
            Self::Name { found } => write!(
                f,
                "{found} can't be a label of metrics; write 1 to 100 characters without controls"
            ),

            Self::Deadline(found) => write!(
                f,
                "{} is longer than {}: Twilio hangs up after {}, and the answer has to reach it \
                 before; write \"8s\", or at most \"14s\"",
                format_duration(*found),
                format_duration(LONGEST_DEADLINE),
                format_duration(twilio::WEBHOOK_TIMEOUT)
            ),
            Self::ConnectTimeout {
                found,
                deadline,
                route,
            } => write!(
                f,
                "{} is longer than {}, the deadline of route {route}, \
                 and connecting is but one step in it; \"250ms\" is usual",
                format_duration(*found),
                format_duration(*deadline)
            ),
            Self::AdminInTheOpen(address) => write!(
                f,
                "{address} is not on loopback, where others could ask; name a file with a token: \
                 admin_token_file = \"admin.token\", or listen at \"127.0.0.1:9464\""
            ),
            Self::TokenUnreadable { file, why } => write!(f, "{}: {why}", file.display()),
            Self::NoToken { file } => write!(
                f,
                "{} holds no token; write one word without blanks into it, and nothing else",
                file.display()
            ),
            Self::ShortToken { file } => write!(
                f,
                "{}: the token has fewer than {SHORTEST_TOKEN} characters, so it could be guessed; \
                 write a longer one, such as `openssl rand -hex 32` makes",
                file.display()
            ),
            Self::OpenToOthers { file, mode } => write!(
                f,
                "{}: others than its owner may read it (mode {mode:03o}); \
                 give it to the user that understudy runs as, with mode 600, or to root and that user's group, with mode 640",
                file.display()
            ),
            Self::Budget { found, deadline } => write!(
                f,
                "the fallback URL's budget of {} leaves the app no time within the deadline of {}; make it shorter",
                format_duration(*found),
                format_duration(*deadline)
            ),
            Self::PointsAtUs(address) => write!(
                f,
                "the fallback URL leads back to us at {address}; name another app"
            ),
            Self::ListedTwice(address) => {
                write!(f, "{address} is listed twice; name each address once")
            }
            Self::SameAddress(admin) => write!(
                f,
                "this address is the admin listener's too ({admin}); \
                 give one of the two another port"
            ),
            Self::SameName { name, other } => write!(
                f,
                "the name {name} is taken at {other}; names label metrics, so give each its own"
            ),
            Self::ReservedName(name) => write!(
                f,
                "the name \"{name}\" stands for requests that no route matches; choose another"
            ),
            Self::Collision { with, other } => write!(
                f,
                "route {with} at {other} matches the same requests; \
                 give one of the two another path, host or methods"
            ),
            Self::NoPageForKind(kind) => write!(
                f,
                "a route of kind \"{kind}\" answers no TwiML, so it has no fallback; \
                 leave it out, or choose the kind \"voice\" or \"messaging\""
            ),
            Self::PagePerKind => f.write_str(
                "only a route of kind \"auto\" has a page for each kind; \
                 write fallback = \"page.xml\"",
            ),
            Self::PageForBothKinds => f.write_str(
                "a route of kind \"auto\" serves calls and messages; say which page is for whom: \
                 { voice = \"voice.xml\", messaging = \"messaging.xml\" }",
            ),
            Self::TwoPages => f.write_str("both `inline` and `file` are given; leave one"),
            Self::NoPage => f.write_str(
                "no page is given; \
                 write { file = \"page.xml\" } or { inline = \"<Response>…</Response>\" }",
            ),
            Self::Page(problem) => problem.fmt(f),
            Self::Variant(problem) => problem.fmt(f),
            Self::Tls(problem) => problem.fmt(f),
            Self::Grammar(problem) => problem.fmt(f),
            Self::Signature(problem) => problem.fmt(f),
        }
    }
}

/// What was probably meant by this number, most often seconds.
fn with_unit(number: &str) -> Text {
    let seconds = format!("{number}s");
    let is_good = humantime::parse_duration(&seconds).is_ok();
    Text::from(if is_good { seconds } else { "8s".to_owned() })
}

/// What was probably meant by this address.
fn address_for(found: &str) -> String {
    let found = found.trim();
    let port = found
        .rsplit(':')
        .next()
        .filter(|port| port.parse::<u16>().is_ok());
    let bare = found.parse::<std::net::IpAddr>();
    match (bare, port, found.rsplit_once(':')) {
        _ if found.parse::<SocketAddr>().is_ok() => found.to_owned(),
        (Ok(ip), _, _) => SocketAddr::new(ip, 8080).to_string(),
        (_, Some(port), Some(("" | "*", _))) => format!("0.0.0.0:{port}"),
        (_, Some(port), _) => format!("127.0.0.1:{port}"),
        (_, None, _) => "127.0.0.1:8080".to_owned(),
    }
}

fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}
