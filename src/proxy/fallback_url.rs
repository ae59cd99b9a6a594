//! The fallback URL: it is asked as Twilio asks one, with `ErrorCode` and `ErrorUrl`, and its response is validated like the app's.
//! Whatever goes wrong with it, the route's fallback document is sent
//! (<https://www.twilio.com/docs/usage/security/availability-reliability>).

use std::sync::Arc;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use tracing::{info, warn};

use super::body::ResponseBody;
use super::context::RequestContext;
use crate::breaker::{Opened, Permit};
use crate::deadline::Deadline;
use crate::failure::{Failure, UpstreamHealth};
use crate::fallback::FallbackUrl;
use crate::log::describe_error;
use crate::response::{Disposition, Error, plan_response};
use crate::signature;
use crate::twilio::RESPONSE_LIMIT;
use crate::twiml::Kind;
use crate::upstream::headers::{X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// The headers of the request that the fallback URL gets too. Twilio's signature is for the URL that failed, which `ErrorUrl`
/// names. Credentials and cookies are for the first app alone.
static FORWARDED_HEADERS: [HeaderName; 6] = [
    ACCEPT,
    USER_AGENT,
    HeaderName::from_static("i-twilio-idempotency-token"),
    HeaderName::from_static("x-home-region"),
    HeaderName::from_static(signature::HEADER),
    HeaderName::from_static(signature::SETTINGS_HEADER),
];

/// The parameters that say what went wrong.
const ERROR_CODE: &str = "ErrorCode";
const ERROR_URL: &str = "ErrorUrl";

/// The code for a request that was not tried. Twilio has none for that, so it says that retrieving the document failed.
const RETRIEVAL_FAILURE: u32 = 11200;

impl RequestContext {
    /// The response of the route's fallback URL, if it has one that responds well in time.
    pub(super) async fn ask_fallback_url(
        &self,
        failure: &Failure,
        deadline: Deadline,
    ) -> Option<Response<ResponseBody>> {
        if failure.is_refusal() || self.observes() {
            return None;
        }
        let kind = self.known_twiml()?;
        let url = self.route.settings.fallback.fallback_url(kind)?;
        let permit = url.breaker.try_acquire()?;
        let deadline = deadline.limit_to(url.budget);
        let asked = deadline.bound(self.ask(url, kind, failure)).await;
        let response = asked.unwrap_or(Err(Failure::Deadline));
        self.record_url_health(url, permit, response.as_ref().err());
        if let Err(error) = &response {
            info!(
                route = self.route.settings.name,
                error = describe_error(error),
                "fallback URL response rejected"
            );
        }
        response.ok()
    }

    /// Tells the breaker of the URL what its response says of it.
    fn record_url_health(&self, url: &FallbackUrl, permit: Permit, failure: Option<&Failure>) {
        match failure.map_or(UpstreamHealth::Up, Failure::upstream_health) {
            UpstreamHealth::Up => permit.succeed(),
            UpstreamHealth::Down => {
                if let Some(opened) = permit.fail(&self.route.settings.breaker) {
                    self.probe_url(opened, url.clone());
                }
            }
            UpstreamHealth::Unknown => {}
        }
    }

    /// Probes the URL's server in the background until it takes a connection again.
    fn probe_url(&self, _: Opened, url: FallbackUrl) {
        let route = Arc::clone(&self.route);
        warn!(
            route = route.settings.name,
            "breaker of the fallback URL opened: it is not requested"
        );
        tokio::task::spawn_local(async move {
            let probe = async || url.upstream.probe(None, None).await.is_ok();
            let settings = &route.settings.breaker;
            url.breaker.probe_until_reachable(settings, probe).await;
            info!(
                route = route.settings.name,
                "breaker of the fallback URL half-open: one request may try it"
            );
        });
    }

    async fn ask(
        &self,
        url: &FallbackUrl,
        kind: Kind,
        failure: &Failure,
    ) -> Result<Response<ResponseBody>, Failure> {
        let code = failure.twilio_code().unwrap_or(RETRIEVAL_FAILURE);
        let request = self.build_request(url, code);
        let (mut head, body) = url.upstream.ask(request, RESPONSE_LIMIT).await?;
        let disposition = match plan_response(&head, self.expectations(kind)) {
            // A response without a body needs no content type.
            Err(Error::ContentType) if body.is_empty() => Disposition::PassBody(None),
            disposition => disposition?,
        };
        let body = self.validate_body(&mut head, body, disposition, kind)?;
        Ok(Response::from_parts(head, ResponseBody::Whole(body)))
    }

    /// The request for the fallback URL: the parameters of the failed one, and what went wrong.
    fn build_request(&self, url: &FallbackUrl, code: u32) -> Request<Full<Bytes>> {
        let base = self.base_url();
        let mut headers = self.forwarded_headers();
        let (target, body) = if self.method == Method::POST {
            let content_type = self.header(&CONTENT_TYPE).filter(|_| self.has_form);
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, content_type.cloned().unwrap_or(form));
            let failed = format!("{base}{}", self.target());
            let error = error_parameters(code, &failed);
            let body = join_parameters(
                &without_error_parameters(&self.whole_form()),
                error.as_bytes(),
            );
            (Uri::from(url.target.clone()), Bytes::from(body))
        } else {
            (self.query_target(url, code, &base), Bytes::new())
        };
        let mut request = Request::new(Full::new(body));
        *request.uri_mut() = target;
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = headers;
        request
    }

    /// The fallback URL's target with the parameters in its query. A target can't be longer than 64 KiB; if it would be, the
    /// request's own parameters are left out, then the end of `ErrorUrl`.
    fn query_target(&self, url: &FallbackUrl, code: u32, base: &str) -> Uri {
        let own = without_error_parameters(self.uri.query().unwrap_or_default().as_bytes());
        let candidates = [
            (&own[..], self.target()),
            (b"", self.target()),
            (b"", self.uri.path()),
            (b"", ""),
        ];
        let target = url.target.to_string();
        let mark = if url.target.query().is_some() {
            b"&"
        } else {
            b"?"
        };
        let fitting = candidates.into_iter().find_map(|(own, failed)| {
            let error = error_parameters(code, &format!("{base}{failed}"));
            let query = join_parameters(own, error.as_bytes());
            Uri::try_from([target.as_bytes(), mark, &query].concat()).ok()
        });
        fitting.unwrap_or_else(|| url.target.clone().into())
    }

    /// The path and query of the request.
    fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// Scheme, host and port of the URL that failed, as Twilio had addressed it.
    fn base_url(&self) -> String {
        if let Some(base) = &self.snapshot.public_url {
            return base.clone();
        }
        let header = |name| self.header(name).and_then(|value| value.to_str().ok());
        let scheme = header(&X_FORWARDED_PROTO).unwrap_or("http");
        let host = header(&X_FORWARDED_HOST)
            .or_else(|| header(&HOST))
            .unwrap_or_default();
        format!("{scheme}://{host}")
    }

    fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.as_ref()?.get(name)
    }

    fn forwarded_headers(&self) -> HeaderMap {
        let forwarded = FORWARDED_HEADERS
            .iter()
            .filter_map(|name| Some((name.clone(), self.header(name)?.clone())));
        forwarded.collect()
    }
}

/// The parameters that say what went wrong, and with which URL.
fn error_parameters(code: u32, url: &str) -> String {
    let mut parameters = Serializer::new(String::new());
    parameters
        .append_pair(ERROR_CODE, &code.to_string())
        .append_pair(ERROR_URL, url);
    parameters.finish()
}

/// The parameters of a query or a form without those that are named like ours: they stand before ours, and an app that reads the
/// first of a name would believe what a caller says about the error. The others stay as they were written.
fn without_error_parameters(parameters: &[u8]) -> Vec<u8> {
    let is_other = |parameter: &&[u8]| {
        let mut named = form_urlencoded::parse(parameter).map(|(name, _)| name);
        named.next().is_none_or(|name| {
            ![ERROR_CODE, ERROR_URL]
                .iter()
                .any(|ours| name.eq_ignore_ascii_case(ours))
        })
    };
    let parameters = parameters.split(|byte| *byte == b'&');
    let others: Vec<&[u8]> = parameters.filter(is_other).collect();
    others.join(&b'&')
}

/// Two lists of parameters as one.
fn join_parameters(first: &[u8], second: &[u8]) -> Vec<u8> {
    let between: &[u8] = if first.is_empty() { b"" } else { b"&" };
    [first, between, second].concat()
}
