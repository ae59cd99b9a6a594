//! Certificates, keys and roots: found, read, and tried as a handshake would use them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Files, Unreadable};
use super::host::Place;
use super::problem::Problem;
use super::reader::Reader;
use super::value;
use super::words::Text;
use crate::tls::{
    Client, Identity, LoadError, Server, ServerName, Trust, Validity, ValidityStatus,
};
use crate::upstream::Host;

/// What is wrong with TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsProblem {
    /// A file can't be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        why: Unreadable,
    },
    /// What stands in a file can't be used.
    Unfit {
        /// The file.
        file: PathBuf,
        /// Why.
        why: LoadError,
    },
    /// A certificate can't be shown to clients: it is of an older version of X.509, or not for servers.
    NotShown,
    /// The machine trusts nobody.
    NoRoots,
    /// TLS to an app that is spoken to without.
    NoTls,
    /// A name that no certificate is for.
    Name {
        /// As it stands there.
        found: Text,
    },
    /// A certificate without its key, or a key without its certificate.
    Half {
        /// What isn't given.
        missing: &'static str,
    },
    /// A certificate that isn't valid now. No mistake: it is noted.
    NotValid {
        /// The file.
        file: PathBuf,
        /// Whether it was valid once; else it will be.
        is_over: bool,
    },
}

/// Where files are found, and those that were.
pub(super) struct Found<'a> {
    pub(super) folder: &'a Path,
    pub(super) files: &'a mut Files,
}

impl Found<'_> {
    /// The file that a key names: as it is written there, where it is, and what stands in it.
    fn file(&mut self, table: &mut Reader<'_>, key: &'static str) -> Option<File> {
        table.read(key, |value| {
            let written = value::text(value)?;
            let path = self.folder.join(written);
            let content = self.files.read(&path).map_err(|why| {
                let file = path.clone();
                Problem::from(TlsProblem::Unreadable { file, why })
            })?;
            Ok(File {
                written: written.to_owned(),
                path,
                content,
            })
        })
    }

    /// A certificate and its key.
    pub(super) fn identity(
        &mut self,
        table: &mut Reader<'_>,
        [certificate_key, key_key]: [&'static str; 2],
    ) -> Option<Identity> {
        let certificate = self.file(table, certificate_key);
        let key = self.file(table, key_key);
        let (certificate, key) = (certificate?, key?);
        match Identity::parse(&certificate.written, &certificate.content, &key.content) {
            Ok(identity) => {
                let file = certificate.path;
                if let Some(problem) = not_valid(file, identity.validity) {
                    table.note(table.spot(certificate_key), problem.into());
                }
                Some(identity)
            }
            Err(why) => {
                let (at, file) = if why.is_of_key() {
                    (key_key, key.path)
                } else {
                    (certificate_key, certificate.path)
                };
                table.report(table.spot(at), TlsProblem::Unfit { file, why }.into());
                None
            }
        }
    }

    /// How TLS is spoken to clients, if it is: one table, or one for each certificate.
    pub(super) fn server(&mut self, server: &mut Reader<'_>) -> Option<Server> {
        let tables = server.table_or_tables("tls");
        let identities = tables.into_iter().map(|mut table| {
            table.expect("cert", "cert = \"tls/fullchain.pem\"");
            table.expect("key", "key = \"tls/key.pem\"");
            let identity = self.identity(&mut table, ["cert", "key"]);
            table.finish();
            identity
        });
        let identities = identities.collect::<Vec<_>>();
        // One that is wrong has been reported.
        let identities: Vec<_> = identities.into_iter().collect::<Option<_>>()?;
        if identities.is_empty() {
            return None;
        }
        let shown = Server::new(identities).map_err(|_| TlsProblem::NotShown.into());
        server.take(shown, || server.spot("tls"))
    }

    /// How TLS is spoken to the app at this place, if it is; `table` may say whom to trust, whom to expect and what to show.
    pub(super) fn client(&mut self, table: &mut Reader<'_>, place: &Place) -> Option<Client> {
        if !place.secure {
            for key in ["ca", "server_name", "client_cert", "client_key"] {
                table.skip(key);
            }
            if !table.is_empty() {
                table.report(table.here(), TlsProblem::NoTls.into());
            }
            return None;
        }
        let trust = self.trust(table);
        let name = table.read("server_name", |value| name(value::text(value)?));
        let [cert, key] = ["client_cert", "client_key"];
        for (given, missing) in [(cert, key), (key, cert)] {
            if table.has(given) && !table.has(missing) {
                table.report(table.spot(given), TlsProblem::Half { missing }.into());
            }
        }
        let identity = self.identity(table, [cert, key]);
        let own_name = || table.take(name_of(&place.host), || table.here());
        let name = name.or_else(own_name);
        table.take(client(name?, trust?, identity), || table.here())
    }

    /// The same where only whom to trust may be said.
    pub(super) fn trusting(&mut self, table: &mut Reader<'_>, place: &Place) -> Option<Client> {
        if !place.secure {
            table.skip("ca");
            if table.has("ca") {
                table.report(table.spot("ca"), TlsProblem::NoTls.into());
            }
            return None;
        }
        let trust = self.trust(table);
        let name = table.take(name_of(&place.host), || table.here());
        table.take(client(name?, trust?, None), || table.here())
    }

    /// The roots of the file `ca`, or else the machine's.
    fn trust(&mut self, table: &mut Reader<'_>) -> Option<Trust> {
        if table.has("ca") {
            let file = self.file(table, "ca")?;
            let trust = Trust::of_pem(&file.content).map_err(|why| {
                let file = file.path;
                TlsProblem::Unfit { file, why }.into()
            });
            return table.take(trust, || table.spot("ca"));
        }
        table.skip("ca");
        let roots = self.files.roots().map_err(Problem::from);
        table.take(roots, || table.here())
    }
}

/// The TLS of an app of which nothing but the place is said.
pub(super) fn of_place(place: &Place) -> Result<Option<Client>, Problem> {
    if !place.secure {
        return Ok(None);
    }
    let trust = Trust::of_system().map_err(|_| TlsProblem::NoRoots)?;
    client(name_of(&place.host)?, trust, None).map(Some)
}

fn client(
    name: ServerName<'static>,
    trust: Trust,
    identity: Option<Identity>,
) -> Result<Client, Problem> {
    // What could be wrong with each was found when it was read.
    Client::new(name, trust, identity.map(Arc::new)).map_err(|_| TlsProblem::NoRoots.into())
}

struct File {
    written: String,
    path: PathBuf,
    content: bytes::Bytes,
}

fn not_valid(file: PathBuf, validity: Validity) -> Option<TlsProblem> {
    let is_over = match validity.status() {
        ValidityStatus::Valid => return None,
        ValidityStatus::Expired => true,
        ValidityStatus::NotYetValid => false,
    };
    Some(TlsProblem::NotValid { file, is_over })
}

fn name(text: &str) -> Result<ServerName<'static>, Problem> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        let found = text.into();
        TlsProblem::Name { found }.into()
    })
}

fn name_of(host: &Host) -> Result<ServerName<'static>, Problem> {
    match host {
        Host::Address(address) => Ok((*address).into()),
        Host::Name(text) => name(text),
    }
}

impl From<TlsProblem> for Problem {
    fn from(problem: TlsProblem) -> Self {
        Self::Tls(Box::new(problem))
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, why } => write!(f, "{}: {why}", file.display()),
            Self::Unfit { file, why } => write!(f, "{}: {why}", file.display()),
            Self::NotShown => f.write_str(
                "a certificate can't be shown to clients; have it issued again, for a server and by X.509 version 3",
            ),
            Self::NoRoots => LoadError::NoRoots.fmt(f),
            Self::NoTls => f.write_str(
                "the app is spoken to without TLS, so this would do nothing; \
                 write its url with https://, or leave this out",
            ),
            Self::Name { found } => write!(
                f,
                "{found} is not a name that a certificate can be for; write \"app.example.com\""
            ),
            Self::Half { missing } => write!(
                f,
                "a certificate and its key belong together; no `{missing}` is given"
            ),
            Self::NotValid { file, is_over } => {
                let what = if *is_over {
                    "has expired"
                } else {
                    "isn't valid yet"
                };
                write!(
                    f,
                    "{}: the certificate {what}, so every client will refuse it; renew it",
                    file.display()
                )
            }
        }
    }
}
