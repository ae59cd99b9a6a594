//! `understudy drill`: starts, stops and lists drills of a running proxy, by its admin listener. Which drills a route can have
//! is decided there.

mod client;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, Subcommand, ValueEnum};
use http::uri::Authority;
use http::{Method, StatusCode};
use humantime::format_duration;
use serde::Deserialize;
use serde_json::{Value, json};
use strum::VariantArray;

use self::client::{Client, Failure, Told};
use crate::drill::{Fault, Percent, TimeLimit};
use crate::secret::Secret;

/// What is asked of the proxy.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Makes calls on a live route fail in a chosen way, so that its fallback is served.
    #[command(
        after_help = "Examples:\n  understudy drill start incoming-call --for 5m\n  understudy drill start incoming-call --for 30s --fault deadline --percent 10\n  understudy drill start incoming-call --dry\n\nExit status: 0 if it has begun, or the fallback is valid; 1 if it is refused, or the fallback is not; 2 if the proxy can't be asked."
    )]
    Start(Start),
    /// Ends a drill before its time.
    #[command(after_help = "Example:\n  understudy drill stop incoming-call")]
    Stop {
        /// The route's name.
        route: String,
        /// Which proxy is asked.
        #[command(flatten)]
        proxy: Proxy,
    },
    /// Lists the drills that are on.
    #[command(
        after_help = "Examples:\n  understudy drill list\n  understudy drill list --format json"
    )]
    List {
        /// How they are told.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// Which proxy is asked.
        #[command(flatten)]
        proxy: Proxy,
    },
}

/// A drill that is to begin.
#[derive(Debug, Args)]
pub struct Start {
    /// The route's name.
    route: String,
    /// How long it lasts, at most 24h: 30s, 5m, 1h30m.
    #[arg(long = "for", value_name = "TIME", required_unless_present = "dry")]
    length: Option<TimeLimit>,
    /// What happens in the app's place.
    #[arg(long, value_enum, default_value_t)]
    fault: Fault,
    /// How many calls of a hundred it happens to.
    #[arg(long, value_name = "N", default_value_t)]
    percent: Percent,
    /// Judges the route's fallback pages, and touches no call.
    #[arg(long)]
    dry: bool,
    #[command(flatten)]
    proxy: Proxy,
}

/// Which proxy is asked.
#[derive(Debug, Args)]
pub struct Proxy {
    /// The proxy's admin listener, `server.admin` in its configuration.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464", value_parser = address)]
    admin: Authority,
    /// The file with the token that opens it, where it isn't on loopback.
    #[arg(long, value_name = "FILE", value_parser = token)]
    admin_token_file: Option<Secret>,
}

/// A token never stands on the command line, where every process could read it.
fn token(file: &str) -> Result<Secret, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    Secret::new(&text).ok_or_else(|| "holds no token: one word without blanks".to_owned())
}

/// How drills are listed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// For people: a line each.
    Text,
    /// As the admin listener tells it.
    Json,
}

impl ValueEnum for Fault {
    fn value_variants<'a>() -> &'a [Self] {
        Self::VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()).help(match self {
            Self::Deadline => "the app says nothing until the deadline",
            Self::Status5xx => "the app answers 500 at once",
            Self::Malformed => "the app's page breaks off",
            Self::Root => "the root of the app's page is `response`",
        }))
    }
}

/// A drill as the proxy tells of it.
#[derive(Deserialize)]
struct Progress {
    route: String,
    fault: String,
    percent: u8,
    ends_in_seconds: f64,
    calls: u64,
    injected: u64,
}

/// Asks the proxy, says on `out` what has come of it, and on `err` why nothing has.
pub fn run(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    match asked(arguments) {
        Ok(lines) => {
            // A reader that has gone away takes nothing from the drill.
            let _ = writeln!(out, "{lines}").and_then(|()| out.flush());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let _ = writeln!(err, "{failure}");
            ExitCode::from(if failure.is_verdict() { 1 } else { 2 })
        }
    }
}

fn asked(arguments: &Arguments) -> Result<String, Failure> {
    let (Arguments::Start(Start { proxy, .. })
    | Arguments::Stop { proxy, .. }
    | Arguments::List { proxy, .. }) = arguments;
    let client = Client::new(&proxy.admin, proxy.admin_token_file.as_ref());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    runtime.block_on(async {
        match arguments {
            Arguments::Start(start) if start.dry => judged(start, &client).await,
            Arguments::Start(start) => started(start, &client).await,
            Arguments::Stop { route, .. } => stopped(route, &client).await,
            Arguments::List { format, .. } => listed(*format, &client).await,
        }
    })
}

async fn started(start: &Start, client: &Client<'_>) -> Result<String, Failure> {
    let Start { route, fault, .. } = start;
    let told = client
        .of_route(Method::PUT, route, Some(&start.wish()))
        .await?;
    let _: Progress = client.read(&told)?;
    let calls = match start.percent.get() {
        100 => "every call meets".to_owned(),
        1 => "1 call in 100 meets".to_owned(),
        percent => format!("{percent} calls in 100 meet"),
    };
    let length = start.length.map(|length| format!(" for {length}"));
    let length = length.unwrap_or_default();
    let before = match told.status {
        StatusCode::CREATED => "",
        _ => ", in place of the drill that was on",
    };
    Ok(format!("{route}: {calls} {fault}{length}{before}"))
}

async fn judged(start: &Start, client: &Client<'_>) -> Result<String, Failure> {
    let route = &start.route;
    let told = client
        .of_route(Method::PUT, route, Some(&start.wish()))
        .await?;
    let kinds = kinds(&told).ok_or_else(|| client.stranger(&told))?;
    Ok(format!("{route}: the fallback is valid {kinds} TwiML"))
}

impl Start {
    /// As the admin listener reads it.
    fn wish(&self) -> Value {
        json!({
            "for": self.length.map(|length| length.to_string()),
            "fault": self.fault.as_str(),
            "percent": self.percent.get(),
            "dry": self.dry,
        })
    }
}

/// Whom the fallback has a page for.
fn kinds(told: &Told) -> Option<String> {
    let kinds = told.document.get("valid")?.as_array()?;
    let kinds: Option<Vec<_>> = kinds.iter().map(Value::as_str).collect();
    Some(kinds?.join(" and "))
}

async fn stopped(route: &str, client: &Client<'_>) -> Result<String, Failure> {
    let told = client.of_route(Method::DELETE, route, None).await?;
    let Progress {
        injected, calls, ..
    } = client.read(&told)?;
    Ok(format!(
        "{route}: stopped; {injected} of {calls} requests were made to fail"
    ))
}

async fn listed(format: Format, client: &Client<'_>) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct List {
        drills: Vec<Progress>,
    }
    let told = client.list().await?;
    let List { drills } = client.read(&told)?;
    Ok(match format {
        Format::Json => told.document.to_string(),
        Format::Text if drills.is_empty() => "no drill is on".to_owned(),
        Format::Text => {
            let lines: Vec<_> = drills.iter().map(line).collect();
            lines.join("\n")
        }
    })
}

fn line(drill: &Progress) -> String {
    let Progress {
        route,
        fault,
        percent,
        injected,
        calls,
        ..
    } = drill;
    let left = left(drill);
    format!(
        "{route}: {fault}, {percent} %, {left} left, {injected} of {calls} requests were made to fail"
    )
}

/// How long it still lasts, to the second once that is enough.
fn left(drill: &Progress) -> impl std::fmt::Display {
    let left = Duration::try_from_secs_f64(drill.ends_in_seconds).unwrap_or_default();
    format_duration(match left.as_secs() {
        0..10 => Duration::from_millis(left.as_millis() as u64),
        _ => Duration::from_secs(left.as_secs_f64().round() as u64),
    })
}

fn address(text: &str) -> Result<Authority, &'static str> {
    let address: Option<Authority> = text.parse().ok();
    address
        .filter(|address| address.port_u16().is_some() && !text.contains('@'))
        .ok_or("an address is HOST:PORT, such as 127.0.0.1:9464")
}
