//! `understudy queue`: lists, shows, retries and drops the callbacks that a running proxy has queued, through its admin listener.

mod text;

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use form_urlencoded::Serializer;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin_client::{Client, Done, Error, Proxy, print};
use crate::queue::Id;
use text::{Callback, Details};

/// What is done with the queue.
#[derive(Debug, Subcommand)]
pub enum Arguments {
    /// Lists queued callbacks, without what callers sent.
    #[command(
        after_help = "Examples:\n  understudy queue list\n  understudy queue list --route call-status --state dead\n  understudy queue list --format json"
    )]
    List(List),
    /// Shows one callback; what its caller sent is masked.
    #[command(
        after_help = "Examples:\n  understudy queue show 17\n  understudy queue show 17 --reveal\n\nExit status: 0 if it is there; 1 if it isn't; 2 if the proxy can't be reached."
    )]
    Show {
        /// The callback's id.
        id: Id,
        /// Shows the values of headers and parameters, and the body. The proxy logs that.
        #[arg(long)]
        reveal: bool,
        /// The format.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// The proxy's admin listener.
        #[command(flatten)]
        proxy: Proxy,
    },
    /// Delivers callbacks as soon as the app can take them, dead letters too.
    #[command(
        after_help = "Example:\n  understudy queue retry 17 18\n\nA dead letter that waits again has a new id.\n\nExit status: 0 if all are there; 1 if one isn't; 2 if the proxy can't be reached."
    )]
    Retry(Change),
    /// Erases callbacks for ever. One that is being delivered at the moment is left alone.
    #[command(
        after_help = "Example:\n  understudy queue drop 17 18\n\nExit status: 0 if all are erased; 1 if one isn't; 2 if the proxy can't be reached."
    )]
    Drop(Change),
}

/// Which callbacks are listed.
#[derive(Debug, Args)]
pub struct List {
    /// Only this route's.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Only those in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only those with a greater id.
    #[arg(long, value_name = "ID")]
    after: Option<Id>,
    /// The most that are listed, up to 1000.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// The format of the list.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    proxy: Proxy,
}

/// Which callbacks are changed.
#[derive(Debug, Args)]
pub struct Change {
    /// The callbacks' ids.
    #[arg(required = true, value_name = "ID", num_args = 1..=1000)]
    ids: Vec<Id>,
    #[command(flatten)]
    proxy: Proxy,
}

/// The state of a callback.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// It will be delivered.
    Waiting,
    /// It is a dead letter.
    Dead,
}

/// The format of what is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// As the admin listener sends it.
    Json,
}

/// Carries out the command, and prints on `out` what was done or on `err` why it was not.
pub fn run(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    print(execute(arguments), out, err)
}

fn execute(arguments: &Arguments) -> Result<Done, Error> {
    let (Arguments::List(List { proxy, .. })
    | Arguments::Show { proxy, .. }
    | Arguments::Retry(Change { proxy, .. })
    | Arguments::Drop(Change { proxy, .. })) = arguments;
    let client = Client::new(proxy);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments {
            Arguments::List(arguments) => list(arguments, &client).await,
            Arguments::Show {
                id, reveal, format, ..
            } => show(*id, *reveal, *format, &client).await,
            Arguments::Retry(Change { ids, .. }) => change("retry", ids, "due now", &client).await,
            Arguments::Drop(Change { ids, .. }) => change("drop", ids, "erased", &client).await,
        }
    })
}

async fn list(arguments: &List, client: &Client<'_>) -> Result<Done, Error> {
    #[derive(Deserialize)]
    struct Page {
        next: Option<String>,
        callbacks: Vec<Callback>,
    }
    let path = format!("/api/queue?{}", arguments.to_query());
    let reply = client.send(Method::GET, &path, None).await?;
    let Page { next, callbacks } = client.parse(&reply)?;
    Ok(Done::complete(match arguments.format {
        Format::Json => reply.document.to_string(),
        Format::Text if callbacks.is_empty() => "no callback is queued".to_owned(),
        Format::Text => {
            let lines = callbacks.iter().map(Callback::to_line);
            let more = next.map(|id| format!("there are more: list them with --after {id}"));
            lines.chain(more).collect::<Vec<_>>().join("\n")
        }
    }))
}

impl List {
    /// As the admin listener reads it.
    fn to_query(&self) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        if let Some(route) = &self.route {
            query.append_pair("route", route);
        }
        if let Some(state) = self.state {
            let state = match state {
                State::Waiting => "waiting",
                State::Dead => "dead",
            };
            query.append_pair("state", state);
        }
        if let Some(after) = self.after {
            query.append_pair("after", &after.to_string());
        }
        query.finish()
    }
}

async fn show(id: Id, reveal: bool, format: Format, client: &Client<'_>) -> Result<Done, Error> {
    let query = if reveal { "?reveal=yes" } else { "" };
    let path = format!("/api/queue/{id}{query}");
    let reply = client.send(Method::GET, &path, None).await?;
    let details: Details = client.parse(&reply)?;
    Ok(Done::complete(match format {
        Format::Json => reply.document.to_string(),
        Format::Text => details.to_text(),
    }))
}

async fn change(
    operation: &str,
    ids: &[Id],
    done: &str,
    client: &Client<'_>,
) -> Result<Done, Error> {
    #[derive(Deserialize)]
    struct Changed {
        found: usize,
    }
    let mut ids: Vec<_> = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let texts: Vec<Value> = ids.iter().map(|id| id.to_string().into()).collect();
    let path = format!("/api/queue/{operation}");
    let body = json!({ "ids": texts });
    let reply = client.send(Method::POST, &path, Some(&body)).await?;
    let Changed { found } = client.parse(&reply)?;
    let asked = ids.len();
    let words = match (found, asked) {
        (1, 1) => format!("1 callback is {done}"),
        _ if found == asked => format!("{found} callbacks are {done}"),
        _ => format!(
            "{found} of {asked} callbacks are {done}; the others were delivered or dropped, are being delivered, or have another id now"
        ),
    };
    Ok(Done {
        words,
        is_complete: found == asked,
    })
}
