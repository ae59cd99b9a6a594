//! One delivery: the callback goes to the upstream as it came, and what comes back says how the claim ends.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri, request};
use humantime::format_rfc3339_millis;
use tokio::time::Instant;

use super::super::route::Route;
use super::pace::pause_of_callback;
use crate::body::RequestBody;
use crate::deadline::Deadline;
use crate::failure::{Failure, UpstreamHealth};
use crate::log::describe_error;
use crate::queue::{Callback, Claim, Ending};
use crate::signature::VerifiedRequest;
use crate::twilio::RESPONSE_LIMIT;
use crate::upstream::{Pool, Retry, UpstreamRequest};

/// Says to the app that a callback was queued.
const UNDERSTUDY_DELIVERY: HeaderName = HeaderName::from_static("understudy-delivery");

/// The result of one delivery.
pub(super) enum Attempt {
    /// The app has responded with this status.
    Response(StatusCode),
    /// It has not responded.
    Failure(Failure),
    /// The stored callback is not a valid request.
    Invalid,
}

impl Route {
    /// Sends a queued callback to the upstream, within the route's deadline.
    pub(super) async fn attempt(&self, claim: &Claim, pool: &Rc<Pool>) -> Attempt {
        let Some(head) = head_of(&claim.callback, claim.attempts + 1) else {
            return Attempt::Invalid;
        };
        let body = RequestBody::of_bytes(claim.callback.body.clone());
        let request = VerifiedRequest::queued(head, body);
        let deadline = Deadline::after(Instant::now(), self.settings.deadline);
        let mut upstream = UpstreamRequest::new(&self.upstream, pool, self.drains());
        let retry = Retry {
            until: deadline.at(),
            is_allowed: &|| self.is_breaker_closed(),
        };
        let sent = deadline.bound(upstream.send(request, &retry)).await;
        match sent {
            Ok(Ok(status)) => {
                // The body isn't needed, but when it is read, the connection can be used again.
                let rest = deadline.bound(upstream.collect_body(RESPONSE_LIMIT)).await;
                if let Ok(Ok(_)) = rest {
                    upstream.release(Instant::now());
                }
                Attempt::Response(status)
            }
            Ok(Err(error)) => Attempt::Failure(error.into()),
            Err(_) => Attempt::Failure(match upstream.take_connect_error() {
                Some(error) => error.into(),
                None => {
                    upstream.finish_late(self.count_late());
                    Failure::Deadline
                }
            }),
        }
    }
}

impl Attempt {
    /// What it says about the upstream, for the breaker.
    pub(super) fn upstream_health(&self) -> UpstreamHealth {
        match self {
            Self::Response(status) if status.is_server_error() => UpstreamHealth::Down,
            Self::Response(_) => UpstreamHealth::Up,
            Self::Failure(failure) => failure.upstream_health(),
            Self::Invalid => UpstreamHealth::Unknown,
        }
    }

    /// How the claim ends at this moment.
    pub(super) fn ending(&self, attempts_before: u32, now: SystemTime) -> Ending {
        let error = match self {
            Self::Response(status) if status.is_success() => return Ending::Delivered,
            Self::Response(status) => format!("the app responded with {}", status.as_u16()),
            Self::Failure(failure) => describe_error(failure),
            Self::Invalid => "what is stored is not a valid request".to_owned(),
        };
        if self.is_final() {
            return Ending::Dead { at: now, error };
        }
        let pause = pause_of_callback(attempts_before.saturating_add(1));
        let at = now + pause;
        Ending::Retry { at, error }
    }

    /// Whether a further attempt can't succeed: the app refuses this callback.
    fn is_final(&self) -> bool {
        match self {
            Self::Response(status) => {
                let may_pass = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
                !status.is_server_error() && !may_pass.contains(status)
            }
            Self::Failure(_) => false,
            Self::Invalid => true,
        }
    }
}

/// Whether a callback has waited for longer than it may.
pub(super) fn is_expired(claim: &Claim, now: SystemTime, max_age: Duration) -> bool {
    let age = now.duration_since(claim.since).unwrap_or_default();
    age > max_age
}

/// The callback's head as it came, and which delivery this is.
fn head_of(callback: &Callback, attempt: u32) -> Option<Box<request::Parts>> {
    let target: PathAndQuery = callback.target.parse().ok()?;
    let mut head = Request::new(()).into_parts().0;
    head.method = callback.method.clone();
    head.uri = Uri::from(target);
    head.headers = callback.headers.clone();
    let received = format_rfc3339_millis(callback.received);
    let delivery = format!("attempt={attempt}, received={received}");
    let delivery = HeaderValue::try_from(delivery).ok()?;
    head.headers.insert(UNDERSTUDY_DELIVERY, delivery);
    Some(Box::new(head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    use bytes::Bytes;
    use http::{HeaderMap, Method};

    fn response(status: u16) -> Attempt {
        Attempt::Response(StatusCode::from_u16(status).expect("a status"))
    }

    #[test]
    fn a_success_ends_it_what_may_pass_is_tried_again_and_the_rest_is_dead() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for status in [200, 201, 204, 299] {
            assert_eq!(
                response(status).ending(3, now),
                Ending::Delivered,
                "{status}"
            );
        }
        for status in [500, 502, 503, 599, 408, 429] {
            let ending = response(status).ending(0, now);
            let Ending::Retry { at, error } = ending else {
                panic!("{status}: {ending:?}")
            };
            let pause = at.duration_since(now).expect("it is later");
            assert!(pause >= Duration::from_millis(800) && pause <= Duration::from_secs(1));
            assert_eq!(error, format!("the app responded with {status}"));
        }
        for status in [301, 304, 400, 401, 403, 404, 410] {
            let ending = response(status).ending(0, now);
            assert!(
                matches!(ending, Ending::Dead { at, .. } if at == now),
                "{status}"
            );
        }
        let ending = Attempt::Failure(Failure::Deadline).ending(0, now);
        assert!(matches!(ending, Ending::Retry { .. }));
        assert!(matches!(
            Attempt::Invalid.ending(0, now),
            Ending::Dead { .. }
        ));
    }

    fn claim(since: SystemTime) -> Claim {
        let mut headers = HeaderMap::new();
        headers.append("x-twilio-signature", HeaderValue::from_static("s="));
        headers.append("understudy-delivery", HeaderValue::from_static("forged"));
        let callback = Callback {
            route: "status".to_owned(),
            key: "CA1".to_owned(),
            reason: "connect".to_owned(),
            received: since,
            client: Ipv4Addr::LOCALHOST.into(),
            method: Method::POST,
            target: "/status?a=%2F".to_owned(),
            headers,
            body: Bytes::from_static(b"CallSid=CA1"),
        };
        Claim::new(crate::queue::Id(1), callback, 2, since, || {})
    }

    #[test]
    fn a_callback_is_too_old_when_it_has_waited_for_longer_than_it_may() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let day = Duration::from_secs(24 * 60 * 60);
        let claim = claim(since);
        assert!(!is_expired(&claim, since + day, day));
        assert!(is_expired(
            &claim,
            since + day + Duration::from_millis(1),
            day
        ));
        assert!(
            !is_expired(&claim, since - day, day),
            "the clock was set back"
        );
    }

    #[test]
    fn a_delivery_is_the_request_as_it_came_and_says_which_one_it_is() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_millis(1_796_000_000_250);
        let claim = claim(since);
        let head = head_of(&claim.callback, claim.attempts + 1).expect("it is valid");
        assert_eq!(
            (head.method.as_str(), head.uri.to_string().as_str()),
            ("POST", "/status?a=%2F")
        );
        assert_eq!(head.headers["x-twilio-signature"], "s=");
        let delivery: Vec<_> = head.headers.get_all("understudy-delivery").iter().collect();
        assert_eq!(delivery, ["attempt=3, received=2026-11-30T00:53:20.250Z"]);
    }
}
