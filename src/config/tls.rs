//! Certificates, keys and roots: read from their files, and tried as a handshake would use them.

use std::sync::Arc;

use super::diagnostic::Diagnostic;
use super::files::{Files, NamedFile};
use super::reader::Reader;
use super::report::Location;
use super::url::Origin;
use super::value;
use crate::tls::{
    Client, Identity, IdentityError, LoadError, Server, ServerName, Trust, Validity, ValidityStatus,
};
use crate::upstream::{Address, Host};

/// Reads `[server.tls]`, or one `[[server.tls]]` for each certificate; none if there is no such table, or an error in it.
pub(super) fn read_server(server: &mut Reader<'_>, files: &mut Files) -> Option<Server> {
    let mut identities = Vec::new();
    for mut table in server.table_or_tables("tls") {
        table.expect("cert", "cert = \"tls/fullchain.pem\"");
        table.expect("key", "key = \"tls/key.pem\"");
        identities.push(read_identity(&mut table, ["cert", "key"], files));
        table.finish();
    }
    let identities: Vec<_> = identities.into_iter().collect::<Option<_>>()?;
    if identities.is_empty() {
        return None;
    }
    let settings = Server::new(identities).map_err(|_| {
        Diagnostic::new("a certificate can't be used by a server")
            .help("have it issued again for a server, as X.509 version 3")
    });
    server.at("tls").take(settings)
}

/// Reads how TLS is used with the app at `origin`; none if it isn't, or if there is an error.
pub(super) fn read_client(
    table: &mut Reader<'_>,
    origin: &Origin,
    files: &mut Files,
) -> Option<Client> {
    let [cert, key] = ["client_cert", "client_key"];
    if !origin.is_secure {
        let keys = ["ca", "pin", "server_name", cert, key];
        refuse_keys(table, &keys, &table.location.clone());
        return None;
    }
    let trust = if table.has("pin") {
        read_pin(table, files)
    } else {
        table.skip("pin");
        read_authorities(table, files)
    };
    let name = table.read("server_name", |value| {
        parse_server_name(value::parse_text(value)?)
    });
    for (given, missing) in [(cert, key), (key, cert)] {
        if table.has(given) && !table.has(missing) {
            let message = "a certificate and its key belong together";
            let help = format!("no `{missing}` is given");
            table.at(given).error(message, help);
        }
    }
    let identity = read_identity(table, [cert, key], files);
    let name = name.or_else(|| table.location.take(server_name(&origin.address)));
    table.location.take(build_client(name?, trust?, identity))
}

/// The same where `ca` is the only key about TLS.
pub(super) fn read_client_ca(
    table: &mut Reader<'_>,
    origin: &Origin,
    files: &mut Files,
) -> Option<Client> {
    if !origin.is_secure {
        refuse_keys(table, &["ca"], &table.at("ca"));
        return None;
    }
    let trust = read_authorities(table, files);
    let name = table.location.take(server_name(&origin.address));
    table.location.take(build_client(name?, trust?, None))
}

/// How TLS is used with the app at `origin` if nothing is configured.
pub(super) fn default_client(origin: &Origin) -> Result<Option<Client>, Diagnostic> {
    if !origin.is_secure {
        return Ok(None);
    }
    let trust = Trust::of_system().map_err(no_roots)?;
    build_client(server_name(&origin.address)?, trust, None).map(Some)
}

/// The roots in the file `ca`, or else those of the machine.
fn read_authorities(table: &mut Reader<'_>, files: &mut Files) -> Option<Trust> {
    if !table.has("ca") {
        table.skip("ca");
        return table.location.take(files.system_roots().map_err(no_roots));
    }
    let file = NamedFile::read(table, "ca", files)?;
    file.take(Trust::of_pem(&file.content))
}

/// The certificate in the file `pin`.
fn read_pin(table: &mut Reader<'_>, files: &mut Files) -> Option<Trust> {
    table.skip("ca");
    if table.has("ca") {
        let message =
            "`pin` and `ca` exclude each other: with a pinned certificate no authority counts";
        table.at("pin").error(message, "leave one of them out");
    }
    let file = NamedFile::read(table, "pin", files)?;
    file.take(Trust::of_pin(&file.content))
}

/// A certificate and its private key.
fn read_identity(
    table: &mut Reader<'_>,
    [certificate_key, key_key]: [&'static str; 2],
    files: &mut Files,
) -> Option<Identity> {
    let certificate = NamedFile::read(table, certificate_key, files);
    let key = NamedFile::read(table, key_key, files);
    let (certificate, key) = (certificate?, key?);
    match Identity::parse(certificate.written, &certificate.content, &key.content) {
        Ok(identity) => {
            if let Some(what) = validity_note(&identity.validity) {
                let note = Diagnostic::in_file(&certificate.path.shown, what);
                certificate.location.note(note.help("renew it"));
            }
            Some(identity)
        }
        Err(IdentityError::Certificate(error)) => certificate.take(Err(error)),
        Err(IdentityError::Key(error)) => key.take(Err(error)),
    }
}

fn validity_note(validity: &Validity) -> Option<&'static str> {
    match validity.status() {
        ValidityStatus::Valid => None,
        ValidityStatus::Expired => {
            Some("the certificate has expired, so every client will refuse it")
        }
        ValidityStatus::NotYetValid => {
            Some("the certificate isn't valid yet, so every client will refuse it")
        }
    }
}

fn build_client(
    name: ServerName<'static>,
    trust: Trust,
    identity: Option<Identity>,
) -> Result<Client, Diagnostic> {
    // Certificate and key have been tried when they were read, so only the roots can be wrong.
    Client::new(name, trust, identity.map(Arc::new)).map_err(|_| no_roots(LoadError::NoRoots))
}

fn server_name(address: &Address) -> Result<ServerName<'static>, Diagnostic> {
    match address {
        Address::Tcp(Host::Address(address), _) => Ok((*address).into()),
        // A certificate is for the name without the final dot (RFC 6066 §3).
        Address::Tcp(Host::Name(name), _) => parse_server_name(name.trim_end_matches('.')),
        Address::Unix(_) => parse_server_name("localhost"),
    }
}

fn parse_server_name(text: &str) -> Result<ServerName<'static>, Diagnostic> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        Diagnostic::about(text, "is not a valid name for a certificate")
            .help("write \"app.example.com\"")
    })
}

/// Reports keys about TLS that are given for an app without it.
fn refuse_keys(table: &mut Reader<'_>, keys: &[&'static str], location: &Location<'_>) {
    for key in keys {
        table.skip(key);
    }
    if table.has_any(keys) {
        let message = "the app's URL is without TLS, so this would have no effect";
        location.error(message, "write the url with https://, or leave this out");
    }
}

fn no_roots(error: LoadError) -> Diagnostic {
    Diagnostic::new(error.to_string())
}
