//! What begins, stops and lists drills. What one does to calls is no matter here.
//!
//! - `GET /api/drills`: those that are on.
//! - `PUT /api/drills/ROUTE` with `{"for":"5m","fault":"deadline","percent":10}`: begins one, in another's place if one is on.
//!   With `{"dry":true}`: judges the route's fallback, and touches no call.
//! - `DELETE /api/drills/ROUTE`: stops it.
//!
//! Whatever is refused is answered with `{"error":"…"}`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Number, Value, json};
use tokio::time::timeout;
use tracing::info;

use super::{Admin, Answer, json_answer, not_allowed, refused};
use crate::drill::{self, Progress, Settings};
use crate::proxy::{DrillRefused, Route, Snapshot};
use crate::recent_failures::now;

/// Below it stands each route's drill.
pub(super) const PATH: &str = "/api/drills/";

/// The most that a request may hold, in bytes.
const LIMIT: usize = 4096;

/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be sent.
const EXAMPLE: &str = r#"{"for":"5m","fault":"status_5xx","percent":10}"#;

/// How many routes are named to somebody who missed one.
const NAMED: usize = 20;

/// The drills that are on.
pub(super) fn list(site: &Snapshot) -> Value {
    let drills = site.all_routes().map(|route| shown(route));
    let drills: Vec<_> = drills.filter(|drill| !drill.is_null()).collect();
    json!({ "drills": drills })
}

/// A route's drill; null if none is on.
pub(super) fn shown(route: &Route) -> Value {
    let progress = route.drill.progress();
    progress.map_or(Value::Null, |progress| document(route, &progress))
}

fn document(route: &Route, progress: &Progress) -> Value {
    let left = progress.remaining.as_secs_f64();
    json!({
        "route": route.settings.name,
        "fault": progress.settings.fault.as_str(),
        "percent": progress.settings.percent.get(),
        "ends_at_seconds": now() + left,
        "ends_in_seconds": left,
        "calls": progress.requests,
        "injected": progress.injected,
    })
}

impl Admin {
    /// Begins or stops a route's drill.
    pub(super) async fn drill(&self, request: Request<Incoming>) -> Answer {
        if !matches!(*request.method(), Method::PUT | Method::DELETE) {
            return not_allowed("PUT, DELETE");
        }
        if let Some(refusal) = self.refusal(&request) {
            return refusal;
        }
        match self.change(request).await {
            Ok((status, document)) => json_answer(status, &document),
            Err(why) => refused(why.status(), &why.to_string()),
        }
    }

    async fn change(&self, request: Request<Incoming>) -> Result<(StatusCode, Value), Refused> {
        let name = request.uri().path().strip_prefix(PATH).unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        if request.method() == Method::DELETE {
            return stop(route(&self.site.load(), name)?);
        }
        route(&self.site.load(), name.clone())?;
        let asked = Asked::read(&body(request.into_body()).await?)?;
        // There may have been a reload while the body arrived.
        let site = self.site.load();
        let route = route(&site, name)?;
        match asked {
            Asked::Dry => judge(route),
            Asked::Drill(settings) => begin(route, settings),
        }
    }
}

fn route(site: &Snapshot, name: String) -> Result<&Arc<Route>, Refused> {
    site.named(&name).ok_or_else(|| {
        let known = site.all_routes().map(|route| route.settings.name.clone());
        Refused::UnknownRoute {
            name,
            known: known.collect(),
        }
    })
}

fn begin(route: &Arc<Route>, settings: Settings) -> Result<(StatusCode, Value), Refused> {
    let name = &route.settings.name;
    let begun = route.begin_drill(settings);
    let before = begun.map_err(|why| Refused::drill_refused(route, why))?;
    info!(
        route = name,
        fault = settings.fault.as_str(),
        percent = settings.percent.get(),
        length = %settings.time_limit,
        "drill started"
    );
    if before.is_some() {
        // Who waits for the end of that one waits for the end of this one.
        return Ok((StatusCode::OK, shown(route)));
    }
    tokio::task::spawn_local(tell_end(Arc::clone(route)));
    Ok((StatusCode::CREATED, shown(route)))
}

/// Says that a drill has ended by itself, if it does.
async fn tell_end(route: Arc<Route>) {
    if let Some(over) = route.drill.wait_for_end().await {
        let (calls, injected) = (over.requests, over.injected);
        info!(route = route.settings.name, calls, injected, "drill ended");
    }
}

fn stop(route: &Route) -> Result<(StatusCode, Value), Refused> {
    let name = &route.settings.name;
    let stopped = route.drill.stop();
    let stopped = stopped.ok_or_else(|| Refused::NoDrill {
        route: name.clone(),
    })?;
    let (calls, injected) = (stopped.requests, stopped.injected);
    info!(route = name, calls, injected, "drill stopped");
    Ok((StatusCode::OK, document(route, &stopped)))
}

fn judge(route: &Route) -> Result<(StatusCode, Value), Refused> {
    let judged = route.validate_fallback();
    let kinds = judged.map_err(|why| Refused::drill_refused(route, why))?;
    route.metrics.record_drill_success();
    let kinds: Vec<_> = kinds.iter().map(ToString::to_string).collect();
    let document = json!({ "route": route.settings.name, "dry": true, "valid": kinds });
    Ok((StatusCode::OK, document))
}

/// What is asked for.
enum Asked {
    Dry,
    Drill(Settings),
}

/// The same, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "for")]
    length: Option<String>,
    fault: Option<String>,
    percent: Option<Number>,
    #[serde(default)]
    dry: bool,
}

impl Asked {
    fn read(body: &[u8]) -> Result<Self, Refused> {
        let written: Written = serde_json::from_slice(body).map_err(Refused::Unreadable)?;
        let percent = written.percent.map(|percent| percent.to_string());
        let length = value("for", written.length)?;
        let fault = value("fault", written.fault)?.unwrap_or_default();
        let percent = value("percent", percent)?.unwrap_or_default();
        match length {
            _ if written.dry => Ok(Self::Dry),
            None => Err(Refused::NoEnd),
            Some(length) => Ok(Self::Drill(Settings {
                fault,
                percent,
                time_limit: length,
            })),
        }
    }
}

fn value<T>(key: &'static str, written: Option<String>) -> Result<Option<T>, Refused>
where
    T: std::str::FromStr<Err = drill::Error>,
{
    let Some(written) = written else {
        return Ok(None);
    };
    let read = written.parse();
    read.map(Some)
        .map_err(|why| Refused::Value { key, written, why })
}

async fn body(body: Incoming) -> Result<Bytes, Refused> {
    match timeout(PATIENCE, Limited::new(body, LIMIT).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refused::TooLarge),
        Ok(Err(_)) => Err(Refused::Broken),
        Err(_) => Err(Refused::TooSlow),
    }
}

/// Why nothing was changed.
#[derive(Debug)]
enum Refused {
    /// The request is over [`LIMIT`].
    TooLarge,
    /// The request took longer than [`PATIENCE`].
    TooSlow,
    /// The request's framing is broken.
    Broken,
    /// It isn't JSON, or not of this form.
    Unreadable(serde_json::Error),
    /// There is no `for`.
    NoEnd,
    /// A value that no drill can have.
    Value {
        key: &'static str,
        written: String,
        why: drill::Error,
    },
    UnknownRoute {
        name: String,
        known: Vec<String>,
    },
    NoDrill {
        route: String,
    },
    OnRoute {
        route: String,
        why: DrillRefused,
    },
}

impl Refused {
    fn drill_refused(route: &Route, why: DrillRefused) -> Self {
        let route = route.settings.name.clone();
        Self::OnRoute { route, why }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken | Self::Unreadable(_) | Self::NoEnd | Self::Value { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::UnknownRoute { .. } | Self::NoDrill { .. } => StatusCode::NOT_FOUND,
            Self::OnRoute { why, .. } => match why {
                DrillRefused::Observed | DrillRefused::NotValidated => StatusCode::CONFLICT,
                DrillRefused::NoDocument | DrillRefused::InvalidDocument(..) => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
            },
        }
    }
}

impl fmt::Display for Refused {
    /// What was wrong; what would be right.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the request is over {LIMIT} bytes; send {EXAMPLE}"),
            Self::TooSlow => write!(
                f,
                "the request was not whole after {} s",
                PATIENCE.as_secs()
            ),
            Self::Broken => f.write_str("the request is not valid HTTP"),
            Self::Unreadable(error) => write!(f, "not a drill: {error}; send {EXAMPLE}"),
            Self::NoEnd => f.write_str(r#"a drill needs an end; add "for":"5m""#),
            Self::Value { key, written, why } => write!(f, "{key} is {written:?}: {why}"),
            Self::UnknownRoute { name, known } => {
                write!(f, "no route is called {name:?}; there are ")?;
                names(known, f)
            }
            Self::NoDrill { route } => write!(f, "no drill is on for the route {route:?}"),
            Self::OnRoute { route, why } => write!(f, "the route {route:?}: {why}"),
        }
    }
}

fn names(known: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, name) in known.iter().take(NAMED).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{name:?}")?;
    }
    match known.len().checked_sub(NAMED) {
        None | Some(0) => Ok(()),
        Some(more) => write!(f, " and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        match Asked::read(body.as_bytes()) {
            Ok(_) => panic!("{body} is taken"),
            Err(refused) => {
                assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
                refused.to_string()
            }
        }
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        let asked = Asked::read(br#"{"for":"5m"}"#).expect("it has an end");
        let Asked::Drill(settings) = asked else {
            panic!("it isn't dry")
        };
        assert_eq!(
            (
                settings.fault.as_str(),
                settings.percent.get(),
                settings.time_limit.to_string().as_str()
            ),
            ("status_5xx", 100, "5m")
        );
        let dry = Asked::read(br#"{"dry":true}"#);
        assert!(matches!(dry, Ok(Asked::Dry)));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (body, words) in [
            ("{}", r#"a drill needs an end; add "for":"5m""#),
            (
                r#"{"for":"5m","fault":"slow"}"#,
                r#"fault is "slow": a fault is deadline, status_5xx, malformed or root"#,
            ),
            (
                r#"{"for":"5m","percent":0}"#,
                r#"percent is "0": a percent is a whole number from 1 to 100"#,
            ),
            (
                r#"{"for":"5m","percent":101}"#,
                r#"percent is "101": a percent is a whole number from 1 to 100"#,
            ),
            (
                r#"{"for":"5m","percent":1.5}"#,
                r#"percent is "1.5": a percent is a whole number from 1 to 100"#,
            ),
            (
                r#"{"for":"0s"}"#,
                r#"for is "0s": a drill lasts longer than 0, such as 5m"#,
            ),
            (
                r#"{"for":"25h"}"#,
                r#"for is "25h": a drill lasts 24h at most"#,
            ),
            (
                r#"{"for":"5"}"#,
                r#"for is "5": a time is a number with its unit, such as 5m"#,
            ),
            (
                r#"{"dry":true,"percent":0}"#,
                r#"percent is "0": a percent is a whole number from 1 to 100"#,
            ),
        ] {
            assert_eq!(refused(body), words);
        }
        for (body, words) in [
            ("", "EOF"),
            ("{\"for\":\"5m\"", "EOF"),
            ("[]", "invalid length 0"),
            (r#"{"for":5}"#, "expected a string"),
            (r#"{"for":"5m","percent":"10"}"#, "expected a JSON number"),
            (
                r#"{"for":"5m","percentage":10}"#,
                "unknown field `percentage`, expected one of `for`",
            ),
            (r#"{"for":"5m","for":"6m"}"#, "duplicate field `for`"),
            (r#"{"for":"5m"} {}"#, "trailing characters"),
        ] {
            let said = refused(body);
            assert!(
                said.starts_with("not a drill: ") && said.contains(words),
                "{said}"
            );
            assert!(said.ends_with(EXAMPLE), "{said}");
        }
    }

    #[test]
    fn of_many_routes_only_some_are_named() {
        let known: Vec<_> = (0..25).map(|at| format!("r{at}")).collect();
        let name = "x".to_owned();
        let said = Refused::UnknownRoute { name, known }.to_string();
        assert!(
            said.starts_with(r#"no route is called "x"; there are "r0", "r1", "#),
            "{said}"
        );
        assert!(said.ends_with(r#", "r19" and 5 more"#), "{said}");
    }
}
