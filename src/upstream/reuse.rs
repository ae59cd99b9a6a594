//! Whether, and for how long, a connection may serve another request. A connection in doubt is never used again: the next request
//! could get somebody else's response.

use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, response};

use super::headers::lists;
use super::names::{KEEP_ALIVE, Names};

/// How long before the end of the upstream's own keep-alive a connection is no longer used.
const MARGIN: Duration = Duration::from_secs(1);

/// How long a connection may be kept behind this response, which has headers of these names; none: it is not used again.
pub(super) fn keep_alive(
    method: &Method,
    head: &response::Parts,
    names: Names,
    idle_timeout: Duration,
) -> Option<Duration> {
    let closes = names.has(Names::CONNECTION) && {
        let mut options = head.headers.get_all(CONNECTION).iter();
        options.any(|value| lists(value, "close"))
    };
    if idle_timeout.is_zero() || closes || may_have_unread_body(method, head) {
        return None;
    }
    let announced = match names.has(Names::KEEP_ALIVE) {
        true => announced_timeout(&head.headers),
        false => None,
    };
    match announced {
        Some(timeout) => Some(idle_timeout.min(timeout - MARGIN.min(timeout / 2))),
        None => Some(idle_timeout),
    }
}

/// Whether an upstream may send a body that HTTP does not allow here (RFC 9112 §6.3): it would be taken for the next response.
fn may_have_unread_body(method: &Method, head: &response::Parts) -> bool {
    match head.status {
        _ if *method == Method::HEAD => true,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
            let length = head.headers.get(CONTENT_LENGTH);
            length.is_some_and(|length| length != "0")
                || head.headers.contains_key(TRANSFER_ENCODING)
        }
        _ => false,
    }
}

/// The upstream's own keep-alive, if it announces one: `Keep-Alive: timeout=N`, in seconds.
fn announced_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let timeout = value.split(',').find_map(|parameter| {
        let (name, seconds) = parameter.split_once('=')?;
        let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
        is_timeout.then(|| seconds.trim().trim_matches('"'))
    })?;
    timeout.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    const IDLE: Duration = Duration::from_secs(3);

    fn kept(method: &Method, status: u16, headers: &[(&str, &str)]) -> Option<Duration> {
        let head = headers
            .iter()
            .fold(Response::builder().status(status), |head, (name, value)| {
                head.header(*name, *value)
            });
        let head = head.body(()).expect("a good head").into_parts().0;
        keep_alive(method, &head, Names::of(&head.headers), IDLE)
    }

    #[test]
    fn a_connection_is_kept_behind_a_response_that_is_surely_whole() {
        assert_eq!(
            kept(&Method::POST, 200, &[("content-length", "5")]),
            Some(IDLE)
        );
        assert_eq!(kept(&Method::POST, 204, &[]), Some(IDLE));
        let says_so = [("connection", "keep-alive"), ("content-length", "5")];
        assert_eq!(kept(&Method::POST, 200, &says_so), Some(IDLE));
        assert_eq!(
            kept(&Method::POST, 204, &[("content-length", "0")]),
            Some(IDLE)
        );
    }

    #[test]
    fn a_connection_in_doubt_is_not_kept() {
        assert_eq!(kept(&Method::HEAD, 200, &[]), None);
        assert_eq!(kept(&Method::GET, 304, &[("content-length", "5")]), None);
        assert_eq!(
            kept(&Method::POST, 204, &[("transfer-encoding", "chunked")]),
            None
        );
        assert_eq!(kept(&Method::POST, 200, &[("connection", "close")]), None);
    }

    #[test]
    fn a_connection_is_left_before_the_upstream_closes_it() {
        let kept = |value| kept(&Method::POST, 200, &[("keep-alive", value)]);
        assert_eq!(kept("timeout=5, max=100"), Some(IDLE));
        assert_eq!(kept("timeout=2"), Some(Duration::from_secs(1)));
        assert_eq!(kept("max=3, Timeout = 1"), Some(Duration::from_millis(500)));
        assert_eq!(kept("timeout=0"), Some(Duration::ZERO));
        assert_eq!(kept("timeout=soon"), Some(IDLE));
    }
}
