//! The addresses of the server, and the login.

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

use super::settings::OpenError;

/// The addresses of the server, and the login. The addresses have no password in them.
pub(super) struct Server {
    pub(super) addresses: Vec<ServerAddr>,
    /// A user and a password, or a token.
    pub(super) login: Option<(String, Option<String>)>,
}

impl Server {
    /// Reads URLs that are separated by commas.
    pub(super) fn parse(urls: &str) -> Result<Self, OpenError> {
        let mut server = Self {
            addresses: Vec::new(),
            login: None,
        };
        for url in urls.split(',') {
            let address: ServerAddr = url
                .trim()
                .parse()
                .map_err(|error: std::io::Error| OpenError::Url(error.to_string()))?;
            let invalid = || OpenError::Url("it has no host".to_owned());
            if server.login.is_none()
                && let Some(user) = address.username()
            {
                server.login = Some((decode(user), address.password().map(decode)));
            }
            let mut url = address.into_inner();
            url.set_username("").map_err(|()| invalid())?;
            url.set_password(None).map_err(|()| invalid())?;
            let address = ServerAddr::from_url(url);
            let address = address.map_err(|error| OpenError::Url(error.to_string()))?;
            server.addresses.push(address);
        }
        Ok(server)
    }

    /// The addresses, for the log.
    pub(super) fn name(&self) -> String {
        let names = self
            .addresses
            .iter()
            .map(|address| format!("{}:{}", address.host(), address.port()));
        names.collect::<Vec<_>>().join(",")
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_server_has_no_password() {
        let server = Server::parse("tls://me:s%40cret@a.internal,b.internal:4333").unwrap();
        assert_eq!(server.name(), "a.internal:4222,b.internal:4333");
        let login = Some(("me".to_owned(), Some("s@cret".to_owned())));
        assert_eq!(server.login, login);
        let urls = format!("{:?}", server.addresses);
        assert!(!urls.contains("cret"), "{urls}");
    }

    #[test]
    fn a_user_without_a_password_is_a_token() {
        let server = Server::parse("nats://t0ken@a").unwrap();
        assert_eq!(server.login, Some(("t0ken".to_owned(), None)));
    }
}
