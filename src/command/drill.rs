//! `understudy drill`: starts, stops and lists drills of a running proxy through its admin listener, which decides what drills a
//! route can have.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};
use http::{Method, StatusCode};
use humantime::format_duration;
use serde::Deserialize;
use serde_json::{Value, json};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use strum::VariantArray;

use super::admin_client::{Client, Done, Error, Proxy, Reply, print};
use crate::drill::{Fault, Percent, TimeLimit};

/// What the proxy shall do.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Makes requests on a live route fail in a chosen way, so that its fallback is served.
    #[command(
        after_help = "Examples:\n  understudy drill start incoming-call --for 5m\n  understudy drill start incoming-call --for 30s --fault deadline --percent 10\n  understudy drill start incoming-call --dry\n\nExit status: 0 if it has started, or the fallback is valid; 1 if it is refused, or the fallback is not valid; 2 if the proxy can't be reached."
    )]
    Start(Start),
    /// Ends a drill before its time.
    #[command(after_help = "Example:\n  understudy drill stop incoming-call")]
    Stop {
        /// The route's name.
        route: String,
        /// The proxy's admin listener.
        #[command(flatten)]
        proxy: Proxy,
    },
    /// Lists the drills that run.
    #[command(
        after_help = "Examples:\n  understudy drill list\n  understudy drill list --format json"
    )]
    List {
        /// The format of the list.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// The proxy's admin listener.
        #[command(flatten)]
        proxy: Proxy,
    },
}

/// The drill to start.
#[derive(Debug, Args)]
pub struct Start {
    /// The route's name.
    route: String,
    /// How long it lasts, at most 24h: 30s, 5m, 1h30m.
    #[arg(long = "for", value_name = "TIME", required_unless_present = "dry")]
    length: Option<TimeLimit>,
    /// What the app seems to do.
    #[arg(long, value_enum, default_value_t)]
    fault: Fault,
    /// The percentage of requests that fail.
    #[arg(long, value_name = "N", default_value_t)]
    percent: Percent,
    /// Validates the route's fallback documents, and touches no request.
    #[arg(long)]
    dry: bool,
    #[command(flatten)]
    proxy: Proxy,
}

/// The format of a list of drills.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// For people: a line each.
    Text,
    /// As the admin listener sends it.
    Json,
}

impl ValueEnum for Fault {
    fn value_variants<'a>() -> &'a [Self] {
        Self::VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()).help(match self {
            Self::Deadline => "the app does not respond until the deadline",
            Self::Status5xx => "the app responds with 500 at once",
            Self::Malformed => "the app's document breaks off",
            Self::Root => "the root of the app's document is `response`",
        }))
    }
}

/// A drill as the proxy describes it.
#[derive(Deserialize)]
struct Progress {
    route: String,
    fault: String,
    percent: u8,
    ends_in_seconds: f64,
    requests: u64,
    injected: u64,
}

/// Carries out the command, and prints on `out` what was done or on `err` why it was not.
pub fn run(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    print(execute(arguments).map(Done::complete), out, err)
}

fn execute(arguments: &Arguments) -> Result<String, Error> {
    let (Arguments::Start(Start { proxy, .. })
    | Arguments::Stop { proxy, .. }
    | Arguments::List { proxy, .. }) = arguments;
    let client = Client::new(proxy);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments {
            Arguments::Start(start_arguments) if start_arguments.dry => {
                validate_fallback(start_arguments, &client).await
            }
            Arguments::Start(start_arguments) => start(start_arguments, &client).await,
            Arguments::Stop { route, .. } => stop(route, &client).await,
            Arguments::List { format, .. } => list(*format, &client).await,
        }
    })
}

/// Changes a route's drill.
async fn change(
    client: &Client<'_>,
    method: Method,
    route: &str,
    drill: Option<&Value>,
) -> Result<Reply, Error> {
    let route = utf8_percent_encode(route, NON_ALPHANUMERIC);
    let path = format!("/api/drills/{route}");
    client.send(method, &path, drill).await
}

async fn start(arguments: &Start, client: &Client<'_>) -> Result<String, Error> {
    let Start { route, fault, .. } = arguments;
    let body = arguments.to_json();
    let reply = change(client, Method::PUT, route, Some(&body)).await?;
    let _: Progress = client.parse(&reply)?;
    let requests = match arguments.percent.get() {
        100 => "every request fails".to_owned(),
        1 => "1 request in 100 fails".to_owned(),
        percent => format!("{percent} requests in 100 fail"),
    };
    let length = arguments.length.map(|length| format!(" for {length}"));
    let length = length.unwrap_or_default();
    let replaced = match reply.status {
        StatusCode::CREATED => "",
        _ => ", instead of the drill before",
    };
    Ok(format!(
        "{route}: {requests} with {fault}{length}{replaced}"
    ))
}

async fn validate_fallback(arguments: &Start, client: &Client<'_>) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Validation {
        valid: Vec<String>,
    }
    let route = &arguments.route;
    let body = arguments.to_json();
    let reply = change(client, Method::PUT, route, Some(&body)).await?;
    let Validation { valid } = client.parse(&reply)?;
    let kinds = valid.join(" and ");
    Ok(format!("{route}: the fallback is valid {kinds} TwiML"))
}

impl Start {
    /// As the admin listener reads it.
    fn to_json(&self) -> Value {
        json!({
            "for": self.length.map(|length| length.to_string()),
            "fault": self.fault.as_str(),
            "percent": self.percent.get(),
            "dry": self.dry,
        })
    }
}

async fn stop(route: &str, client: &Client<'_>) -> Result<String, Error> {
    let reply = change(client, Method::DELETE, route, None).await?;
    let Progress {
        injected, requests, ..
    } = client.parse(&reply)?;
    Ok(format!(
        "{route}: stopped; {injected} of {requests} requests were made to fail"
    ))
}

async fn list(format: Format, client: &Client<'_>) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct List {
        drills: Vec<Progress>,
    }
    let reply = client.send(Method::GET, "/api/drills", None).await?;
    let List { drills } = client.parse(&reply)?;
    Ok(match format {
        Format::Json => reply.document.to_string(),
        Format::Text if drills.is_empty() => "no drill runs".to_owned(),
        Format::Text => {
            let lines: Vec<_> = drills.iter().map(Progress::to_line).collect();
            lines.join("\n")
        }
    })
}

impl Progress {
    fn to_line(&self) -> String {
        let Self {
            route,
            fault,
            percent,
            injected,
            requests,
            ..
        } = self;
        let left = format_duration(self.time_left());
        format!(
            "{route}: {fault}, {percent} %, {left} left, {injected} of {requests} requests were made to fail"
        )
    }

    /// In whole seconds from 10 s on.
    fn time_left(&self) -> Duration {
        let left = Duration::try_from_secs_f64(self.ends_in_seconds).unwrap_or_default();
        match left.as_secs() {
            0..10 => Duration::from_millis(left.as_millis() as u64),
            _ => Duration::from_secs(left.as_secs_f64().round() as u64),
        }
    }
}
