//! Starts, stops and lists drills. What a drill does to requests is decided by the proxy.
//!
//! - `GET /api/drills`: the drills that run.
//! - `PUT /api/drills/ROUTE` with `{"for":"5m","fault":"deadline","percent":10}`: starts one, and replaces the one that runs.
//!   With `{"dry":true}`: validates the route's fallback, and touches no request.
//! - `DELETE /api/drills/ROUTE`: stops it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Number, Value, json};
use tracing::info;

use super::request_body;
use crate::drill::{self, Progress, Settings};
use crate::proxy::{DrillRefused, Route, Snapshot};
use crate::recent_failures::now;

/// The path of each drill begins with it.
pub(super) const PATH: &str = "/api/drills/";

/// The most bytes of a request's body.
const BODY_LIMIT: usize = 4096;

const EXAMPLE: &str = r#"{"for":"5m","fault":"status_5xx","percent":10}"#;

/// How many routes the error for an unknown name lists.
const LISTED: usize = 20;

/// Why a drill is not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}; send {EXAMPLE}")]
    Body(#[from] request_body::Error),
    #[error("the drill can't be read: {0}; send {EXAMPLE}")]
    Json(serde_json::Error),
    #[error(r#"a drill needs an end; add "for":"5m""#)]
    NoEnd,
    #[error("{key} is {text:?}: {error}")]
    Value {
        key: &'static str,
        text: String,
        error: drill::Error,
    },
    #[error("there is no route {name:?}; the routes are {}", list_names(.known))]
    UnknownRoute { name: String, known: Vec<String> },
    #[error("no drill runs on the route {route:?}")]
    NoDrill { route: String },
    #[error("the route {route:?}: {error}")]
    Refused { route: String, error: DrillRefused },
}

impl Error {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Body(error) => error.status(),
            Self::Json(_) | Self::NoEnd | Self::Value { .. } => StatusCode::BAD_REQUEST,
            Self::UnknownRoute { .. } | Self::NoDrill { .. } => StatusCode::NOT_FOUND,
            Self::Refused { error, .. } => match error {
                DrillRefused::Observed | DrillRefused::NotValidated => StatusCode::CONFLICT,
                DrillRefused::NoDocument | DrillRefused::InvalidDocument(..) => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
            },
        }
    }
}

/// The drills that run.
pub(super) fn list(snapshot: &Snapshot) -> Value {
    let drills = snapshot.all_routes().map(|route| current(route));
    let drills: Vec<_> = drills.filter(|drill| !drill.is_null()).collect();
    json!({ "drills": drills })
}

/// A route's drill; null if none runs.
pub(super) fn current(route: &Route) -> Value {
    let progress = route.drill.progress();
    progress.map_or(Value::Null, |progress| to_json(route, &progress))
}

fn to_json(route: &Route, progress: &Progress) -> Value {
    let left = progress.remaining.as_secs_f64();
    json!({
        "route": route.settings.name,
        "fault": progress.settings.fault.as_str(),
        "percent": progress.settings.percent.get(),
        "ends_at_seconds": now() + left,
        "ends_in_seconds": left,
        "requests": progress.requests,
        "injected": progress.injected,
    })
}

/// Starts or stops a drill, as a PUT or DELETE request says: the status and document of the response.
pub(super) async fn change(
    snapshot: &ArcSwap<Snapshot>,
    request: Request<Incoming>,
) -> Result<(StatusCode, Value), Error> {
    let name = request.uri().path().strip_prefix(PATH).unwrap_or_default();
    let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
    if request.method() == Method::DELETE {
        return stop(find_route(&snapshot.load(), name)?);
    }
    find_route(&snapshot.load(), name.clone())?;
    let command = parse(&request_body::read(request.into_body(), BODY_LIMIT).await?)?;
    // The configuration may have been reloaded while the body arrived.
    let snapshot = snapshot.load();
    let route = find_route(&snapshot, name)?;
    match command {
        Command::ValidateFallback => validate_fallback(route),
        Command::Start(settings) => start(route, settings),
    }
}

fn find_route(snapshot: &Snapshot, name: String) -> Result<&Arc<Route>, Error> {
    snapshot.named(&name).ok_or_else(|| {
        let known = snapshot.all_routes();
        let known = known.map(|route| route.settings.name.clone()).collect();
        Error::UnknownRoute { name, known }
    })
}

fn start(route: &Arc<Route>, settings: Settings) -> Result<(StatusCode, Value), Error> {
    let name = &route.settings.name;
    let replaced = route
        .begin_drill(settings)
        .map_err(|error| refused(route, error))?;
    info!(
        route = name,
        fault = settings.fault.as_str(),
        percent = settings.percent.get(),
        length = %settings.time_limit,
        "drill started"
    );
    if replaced.is_some() {
        // The task that waits for the replaced drill's end waits for this one's instead.
        return Ok((StatusCode::OK, current(route)));
    }
    tokio::task::spawn_local(log_end(Arc::clone(route)));
    Ok((StatusCode::CREATED, current(route)))
}

/// Logs when a drill ends by itself.
async fn log_end(route: Arc<Route>) {
    if let Some(ended) = route.drill.wait_for_end().await {
        let (requests, injected) = (ended.requests, ended.injected);
        info!(
            route = route.settings.name,
            requests, injected, "drill ended"
        );
    }
}

fn stop(route: &Route) -> Result<(StatusCode, Value), Error> {
    let name = &route.settings.name;
    let stopped = route.drill.stop().ok_or_else(|| Error::NoDrill {
        route: name.clone(),
    })?;
    let (requests, injected) = (stopped.requests, stopped.injected);
    info!(route = name, requests, injected, "drill stopped");
    Ok((StatusCode::OK, to_json(route, &stopped)))
}

fn validate_fallback(route: &Route) -> Result<(StatusCode, Value), Error> {
    let kinds = route
        .validate_fallback()
        .map_err(|error| refused(route, error))?;
    route.metrics.record_drill_success();
    let kinds: Vec<_> = kinds.iter().map(ToString::to_string).collect();
    let document = json!({ "route": route.settings.name, "dry": true, "valid": kinds });
    Ok((StatusCode::OK, document))
}

fn refused(route: &Route, error: DrillRefused) -> Error {
    let route = route.settings.name.clone();
    Error::Refused { route, error }
}

#[derive(Debug)]
enum Command {
    ValidateFallback,
    Start(Settings),
}

fn parse(body: &[u8]) -> Result<Command, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[serde(rename = "for")]
        length: Option<String>,
        fault: Option<String>,
        percent: Option<Number>,
        #[serde(default)]
        dry: bool,
    }
    let body: Body = serde_json::from_slice(body).map_err(Error::Json)?;
    let percent = body.percent.map(|percent| percent.to_string());
    let length = parse_value("for", body.length)?;
    let fault = parse_value("fault", body.fault)?.unwrap_or_default();
    let percent = parse_value("percent", percent)?.unwrap_or_default();
    match length {
        _ if body.dry => Ok(Command::ValidateFallback),
        None => Err(Error::NoEnd),
        Some(length) => Ok(Command::Start(Settings {
            fault,
            percent,
            time_limit: length,
        })),
    }
}

fn parse_value<T>(key: &'static str, text: Option<String>) -> Result<Option<T>, Error>
where
    T: std::str::FromStr<Err = drill::Error>,
{
    let parsed = text.as_deref().map(str::parse).transpose();
    parsed.map_err(|error| Error::Value {
        key,
        text: text.unwrap_or_default(),
        error,
    })
}

fn list_names(names: &[String]) -> String {
    let listed = names.iter().take(LISTED);
    let listed: Vec<_> = listed.map(|name| format!("{name:?}")).collect();
    let listed = listed.join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        let error = parse(body.as_bytes()).expect_err(body);
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        error.to_string()
    }

    #[test]
    fn missing_values_have_defaults() {
        let command = parse(br#"{"for":"5m"}"#).expect("it has an end");
        let Command::Start(settings) = command else {
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
        let dry = parse(br#"{"dry":true}"#);
        assert!(matches!(dry, Ok(Command::ValidateFallback)));
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_is_valid() {
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
            assert_eq!(error(body), words);
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
            let error = error(body);
            assert!(
                error.starts_with("the drill can't be read: ") && error.contains(words),
                "{error}"
            );
            assert!(error.ends_with(EXAMPLE), "{error}");
        }
    }

    #[test]
    fn of_many_routes_only_some_are_listed() {
        let known: Vec<_> = (0..25).map(|at| format!("r{at}")).collect();
        let name = "x".to_owned();
        let error = Error::UnknownRoute { name, known }.to_string();
        assert!(
            error.starts_with(r#"there is no route "x"; the routes are "r0", "r1", "#),
            "{error}"
        );
        assert!(error.ends_with(r#", "r19" and 5 more"#), "{error}");
    }
}
