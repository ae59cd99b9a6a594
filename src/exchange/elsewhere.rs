//! The fallback URL: asked as Twilio asks one, with `ErrorCode` and `ErrorUrl`, and judged like any app. Whatever goes wrong with
//! it, the page behind it stands in
//! (<https://www.twilio.com/docs/usage/security/availability-reliability>).

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::Full;
use tracing::info;

use super::PAGE_LIMIT;
use super::judged;
use super::page::Page;
use super::run::Run;
use super::site::Site;
use crate::answer::{Plan, Unfit};
use crate::deadline::Deadline;
use crate::fallback::Elsewhere;
use crate::log::describe_error;
use crate::outcome::{Cause, Verdict};
use crate::twiml::Kind;

/// What crosses. Not the signature, which covers another URL; not credentials and cookies, which are the first app's.
static CROSSING: [HeaderName; 5] = [
    ACCEPT,
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("i-twilio-idempotency-token"),
    HeaderName::from_static("x-home-region"),
];

/// The code for a call that was not tried, as Twilio has none for that: its retrieval failed.
const RETRIEVAL_FAILURE: u32 = 11200;

impl Run {
    /// What the route's fallback URL says, if it has one, and says something good in time.
    pub(super) async fn elsewhere(
        &self,
        cause: &Cause,
        deadline: Deadline,
        site: &Site,
    ) -> Option<Response<Page>> {
        if !matches!(cause.verdict(), Verdict::FallBack { .. }) || self.observes() {
            return None;
        }
        let kind = self.known_kind()?;
        let elsewhere = self.route.settings.fallback.elsewhere(kind)?;
        let asked = deadline
            .within(elsewhere.budget)
            .bound(self.ask(elsewhere, kind, cause, site))
            .await;
        let answer = asked.unwrap_or(Err(Cause::Deadline));
        if let Err(cause) = &answer {
            info!(
                route = self.route.settings.name,
                detail = describe_error(cause),
                "the fallback URL gave no good answer"
            );
        }
        answer.ok()
    }

    async fn ask(
        &self,
        elsewhere: &Elsewhere,
        kind: Kind,
        cause: &Cause,
        site: &Site,
    ) -> Result<Response<Page>, Cause> {
        let code = cause.twilio_code().unwrap_or(RETRIEVAL_FAILURE);
        let request = self.told(elsewhere, code, &self.error_url(site));
        let (mut head, page) = elsewhere.upstream.ask(request, PAGE_LIMIT).await?;
        let plan = match judged::planned(&head, kind, self) {
            // What has no body needs no type.
            Err(Unfit::ContentType) if page.is_empty() => Plan::Body(None),
            plan => plan?,
        };
        let page = judged::proven(&mut head, page, plan, kind, &self.route)?;
        Ok(Response::from_parts(head, Page::whole(page)))
    }

    /// The request, told what went wrong.
    fn told(&self, elsewhere: &Elsewhere, code: u32, url: &str) -> Request<Full<Bytes>> {
        let mut parameters = Serializer::new(String::new());
        parameters
            .append_pair("ErrorCode", &code.to_string())
            .append_pair("ErrorUrl", url);
        let told = parameters.finish();
        let (target, body) = match self.method {
            Method::POST => {
                let body = joined(&self.form(), b"&", told.as_bytes());
                (elsewhere.target.to_string(), body)
            }
            _ => {
                let query = self.uri.query().unwrap_or_default();
                let query = joined(query.as_bytes(), b"&", told.as_bytes());
                let mark = if elsewhere.target.query().is_some() {
                    "&"
                } else {
                    "?"
                };
                let query = String::from_utf8_lossy(&query).into_owned();
                (format!("{}{mark}{query}", elsewhere.target), Bytes::new())
            }
        };
        let mut request = Request::new(Full::new(body));
        // A target that can't be one is left as `/`; it was read from a URL and a URL's query.
        *request.uri_mut() = target.parse().unwrap_or_default();
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = crossing(&self.fields);
        request
    }

    /// The URL that failed, as Twilio had addressed it.
    fn error_url(&self, site: &Site) -> String {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        if let Some(base) = &site.public_url {
            return format!("{base}{path}");
        }
        let field = |name: &str| self.fields.get(name).and_then(|value| value.to_str().ok());
        let scheme = field("x-forwarded-proto").unwrap_or("http");
        let host = field("x-forwarded-host")
            .or_else(|| field(HOST.as_str()))
            .unwrap_or_default();
        format!("{scheme}://{host}{path}")
    }
}

/// Both, with this between them where both are something.
fn joined(one: &[u8], between: &[u8], other: &[u8]) -> Bytes {
    let between = if one.is_empty() || other.is_empty() {
        b""
    } else {
        between
    };
    [one, between, other].concat().into()
}

fn crossing(fields: &HeaderMap<HeaderValue>) -> HeaderMap {
    let crossing = CROSSING
        .iter()
        .filter_map(|name| Some((name.clone(), fields.get(name)?.clone())));
    crossing.collect()
}
