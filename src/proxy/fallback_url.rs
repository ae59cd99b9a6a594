//! The fallback URL: asked as Twilio asks one, with `ErrorCode` and `ErrorUrl`, and judged like any app. Whatever goes wrong with
//! it, the page behind it stands in
//! (<https://www.twilio.com/docs/usage/security/availability-reliability>).

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Full;
use tracing::info;

use super::PAGE_LIMIT;
use super::body::ResponseBody;
use super::run::Run;
use super::snapshot::Snapshot;
use super::validate;
use crate::deadline::Deadline;
use crate::failure::{Failure, ResponsePolicy};
use crate::fallback::FallbackUrl;
use crate::log::describe_error;
use crate::response::{self, Disposition};
use crate::signature;
use crate::twiml::Kind;
use crate::webhook::is_form;

/// The headers of the request that the fallback URL gets too. Twilio's signature is that of the URL which failed, as `ErrorUrl`
/// has it. Not credentials and cookies, which are the first app's.
static FORWARDED_HEADERS: [HeaderName; 6] = [
    ACCEPT,
    USER_AGENT,
    HeaderName::from_static("i-twilio-idempotency-token"),
    HeaderName::from_static("x-home-region"),
    HeaderName::from_static(signature::FIELD),
    HeaderName::from_static(signature::SETTINGS_FIELD),
];

/// The parameters that say what went wrong.
const ERROR_CODE: &str = "ErrorCode";
const ERROR_URL: &str = "ErrorUrl";

/// The code for a call that was not tried, as Twilio has none for that: its retrieval failed.
const RETRIEVAL_FAILURE: u32 = 11200;

impl Run {
    /// What the route's fallback URL says, if it has one, and says something good in time.
    pub(super) async fn elsewhere(
        &self,
        cause: &Failure,
        deadline: Deadline,
        site: &Snapshot,
    ) -> Option<Response<ResponseBody>> {
        if !matches!(cause.verdict(), ResponsePolicy::FallBack { .. }) || self.observes() {
            return None;
        }
        let kind = self.known_kind()?;
        let elsewhere = self.route.settings.fallback.elsewhere(kind)?;
        let asked = deadline
            .within(elsewhere.budget)
            .bound(self.ask(elsewhere, kind, cause, site))
            .await;
        let answer = asked.unwrap_or(Err(Failure::Deadline));
        if let Err(cause) = &answer {
            info!(
                route = self.route.settings.name,
                detail = describe_error(cause),
                "fallback URL response rejected"
            );
        }
        answer.ok()
    }

    async fn ask(
        &self,
        elsewhere: &FallbackUrl,
        kind: Kind,
        cause: &Failure,
        site: &Snapshot,
    ) -> Result<Response<ResponseBody>, Failure> {
        let code = cause.twilio_code().unwrap_or(RETRIEVAL_FAILURE);
        let request = self.build_request(elsewhere, code, site);
        let (mut head, page) = elsewhere.upstream.ask(request, PAGE_LIMIT).await?;
        let plan = match validate::plan_response(&head, kind, self) {
            // What has no body needs no type.
            Err(response::Error::ContentType) if page.is_empty() => Disposition::Body(None),
            plan => plan?,
        };
        let page = validate::validate_body(&mut head, page, plan, kind, &self.route)?;
        Ok(Response::from_parts(head, ResponseBody::whole(page)))
    }

    /// The request for the fallback URL: the parameters of the failed one, and what went wrong.
    fn build_request(
        &self,
        elsewhere: &FallbackUrl,
        code: u32,
        site: &Snapshot,
    ) -> Request<Full<Bytes>> {
        let base = self.base_url(site);
        let mut headers = forwarded_headers(&self.fields);
        let (target, body) = if self.method == Method::POST {
            let content_type = self
                .fields
                .get(CONTENT_TYPE)
                .filter(|_| is_form(&self.fields));
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, content_type.cloned().unwrap_or(form));
            let failed = format!("{base}{}", self.target());
            let error = error_parameters(code, &failed);
            let body = join_parameters(&self.form_to_send(), error.as_bytes());
            (Uri::from(elsewhere.target.clone()), Bytes::from(body))
        } else {
            (self.query_target(elsewhere, code, &base), Bytes::new())
        };
        let mut request = Request::new(Full::new(body));
        *request.uri_mut() = target;
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = headers;
        request
    }

    /// The fallback URL's target with the parameters in its query. A target can't be longer than 64 KiB; if it would be, the
    /// request's own parameters are left out, then the end of `ErrorUrl`.
    fn query_target(&self, elsewhere: &FallbackUrl, code: u32, base: &str) -> Uri {
        let own = without_error_parameters(self.uri.query().unwrap_or_default().as_bytes());
        let candidates = [
            (&own[..], self.target()),
            (b"", self.target()),
            (b"", self.uri.path()),
            (b"", ""),
        ];
        let target = elsewhere.target.to_string();
        let mark = if elsewhere.target.query().is_some() {
            b"&"
        } else {
            b"?"
        };
        let fitting = candidates.into_iter().find_map(|(own, failed)| {
            let error = error_parameters(code, &format!("{base}{failed}"));
            let query = join_parameters(own, error.as_bytes());
            Uri::try_from([target.as_bytes(), mark, &query].concat()).ok()
        });
        fitting.unwrap_or_else(|| elsewhere.target.clone().into())
    }

    /// The parameters of the request's form, if it has one and all of it has come: one that is cut off may end within a number.
    fn form_to_send(&self) -> Vec<u8> {
        if self.upload.is_whole() {
            without_error_parameters(&self.form())
        } else {
            Vec::new()
        }
    }

    /// The path and query of the request.
    fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// What stands before the path in the URL that failed, as Twilio had addressed it.
    fn base_url(&self, site: &Snapshot) -> String {
        if let Some(base) = &site.public_url {
            return base.clone();
        }
        let field = |name: &str| self.fields.get(name).and_then(|value| value.to_str().ok());
        let scheme = field("x-forwarded-proto").unwrap_or("http");
        let host = field("x-forwarded-host")
            .or_else(|| field(HOST.as_str()))
            .unwrap_or_default();
        format!("{scheme}://{host}")
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
/// first of a name would take a caller's word for the error. The others stay as they were written.
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

fn forwarded_headers(fields: &HeaderMap<HeaderValue>) -> HeaderMap {
    let forwarded = FORWARDED_HEADERS
        .iter()
        .filter_map(|name| Some((name.clone(), fields.get(name)?.clone())));
    forwarded.collect()
}
