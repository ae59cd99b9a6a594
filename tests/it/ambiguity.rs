//! No ambiguity: whatever bytes a client sends, the app receives at most the one request that they are, written plainly.
//!
//! Each case goes through the real binary to an app that reads with a strict reader of its own. The tables follow RFC 9110
//! and 9112, and the families of tricks that public suites against request smuggling try.

pub(crate) mod case;
mod chunks;
mod client;
mod codings;
mod headers;
mod lengths;
mod lines;
mod listener;
mod mutations;
mod pipelines;
mod strict;
mod targets;

use std::sync::Arc;

use case::{Case, Right, Wanted};
use client::{Client, Response};
use listener::{Listener, Seen, seen_as};
use strict::Request;

use support::Sidecar;

/// How many pairs of app and proxy share the cases.
const PAIRS: usize = 4;

/// Paths of one length: a route that streams and a route whose responses are validated.
const ROUTES: &str = r#"
[[route]]
name = "streamed"
path = "/pass/*"
kind = "pass"
[[route]]
name = "validated"
path = "/twim/*"
kind = "voice"
"#;

/// A request of another kind than those of the tables, sent behind a case.
const NEXT: &str = "GET /pass/next HTTP/1.1\r\nHost: next.example\r\n\r\n";

#[tokio::test]
async fn lengths_are_one_plain_length_or_refused() {
    hold(lengths::all()).await;
}

#[tokio::test]
async fn transfer_codings_are_chunked_or_refused() {
    hold(codings::all()).await;
}

#[tokio::test]
async fn chunks_are_read_strictly_and_written_anew() {
    hold(chunks::all()).await;
}

#[tokio::test]
async fn request_lines_are_plain_or_refused() {
    hold(lines::all()).await;
}

#[tokio::test]
async fn targets_and_hosts_are_plain_or_refused() {
    hold(targets::all()).await;
}

#[tokio::test]
async fn fields_are_plain_or_refused() {
    hold(headers::all()).await;
}

#[tokio::test]
async fn requests_in_one_piece_stay_apart() {
    hold(pipelines::all()).await;
}

#[tokio::test]
async fn an_odd_byte_anywhere_never_makes_two_requests_of_one() {
    run(mutations::all()).await;
}

#[tokio::test]
async fn a_request_is_the_same_wherever_it_is_cut_in_two() {
    let pair = Pair::start().await;
    for case in pipelines::good() {
        for at in 1..case.bytes.len() {
            let mut client = Client::connect(pair.proxy.address).await;
            let (first, second) = case.bytes.split_at(at);
            client.send(first).await;
            // It has been read when the proxy has had a turn for another connection behind it.
            pair.proxy.connect().await.request(NEXT).await;
            client.send(second).await;
            let response = client.response().await;
            let mut seen = pair.app.take();
            seen.retain(|seen| !is_next(seen));
            let outcome = right(&case.right, response.as_slice(), &seen);
            assert_eq!(
                outcome,
                Ok(()),
                "cut at {at}: {}",
                case.bytes.escape_ascii()
            );
        }
    }
}

/// Runs every case on both routes.
pub(crate) async fn hold(cases: Vec<Case>) {
    let validated = cases.iter().map(Case::validated);
    run(cases.iter().cloned().chain(validated).collect()).await;
}

/// Runs the cases, some at a time, and fails with all that is wrong.
pub(crate) async fn run(cases: Vec<Case>) {
    let many = cases.len();
    let cases = Arc::new(cases);
    let mut pairs = tokio::task::JoinSet::new();
    for pair in 0..PAIRS.min(many) {
        let cases = Arc::clone(&cases);
        pairs.spawn(async move {
            let own = Pair::start().await;
            let mut wrong = Vec::new();
            for case in cases.iter().skip(pair).step_by(PAIRS) {
                wrong.extend(own.complaint(case).await);
            }
            wrong
        });
    }
    let wrong: Vec<String> = pairs.join_all().await.into_iter().flatten().collect();
    eprintln!("{many} cases, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An app and a proxy before it, which have one case at a time.
struct Pair {
    app: Listener,
    proxy: Sidecar,
}

impl Pair {
    async fn start() -> Self {
        let app = Listener::start().await;
        let proxy = Sidecar::before_address(app.address)
            .workers(1)
            .routes(ROUTES)
            .server("header_timeout = \"400ms\"")
            .defaults("deadline = \"700ms\"")
            .start()
            .await;
        Self { app, proxy }
    }

    /// What is wrong with a case, if anything.
    async fn complaint(&self, case: &Case) -> Option<String> {
        let mut client = Client::connect(self.proxy.address).await;
        client.send(&case.bytes).await;
        let responses = self.responses(&mut client, case).await;
        let seen = self.app.take();
        let result = match right(&case.right, &responses, &seen) {
            Ok(()) => self.next(client, case, responses.last()).await,
            wrong => wrong,
        };
        let result = result.and_then(|()| has_status(case, &responses));
        let why = result.err()?;
        // A long one is told by its beginning.
        let shown = case.bytes[..case.bytes.len().min(2000)].escape_ascii();
        Some(format!(
            "{} {shown}\n    {why}; responses {responses:?}; the app saw {seen:?}",
            case.name
        ))
    }

    async fn responses(&self, client: &mut Client, case: &Case) -> Vec<Response> {
        let many = match &case.right {
            Right::Requests(wanted) => wanted.len(),
            Right::Refused | Right::Either(_) | Right::OneAtMost => 1,
        };
        let mut responses = Vec::new();
        while responses.len() < many
            && let Some(response) = client.response().await
        {
            responses.push(response);
        }
        responses
    }

    /// What comes behind a case on its connection is answered as itself, or not at all.
    async fn next(
        &self,
        mut client: Client,
        case: &Case,
        last: Option<&Response>,
    ) -> Result<(), String> {
        let keeps = last.is_some_and(|last| last.keeps_alive);
        if case.closes && keeps {
            return Err("its connection goes on".to_owned());
        }
        if !keeps {
            return Ok(());
        }
        client.send(NEXT.as_bytes()).await;
        let response = client.response().await;
        let seen = self.app.take();
        let must_serve = matches!(case.right, Right::Requests(_));
        match (&response, &seen[..]) {
            (Some(response), [seen]) if is_next(seen) && response.is_for("GET", b"/pass/next") => {
                Ok(())
            }
            // Left-overs of the case stand before it, for every reader.
            (Some(response), [Seen::Request(one)])
                if !must_serve && response.is_for(&one.method, &one.target) =>
            {
                Ok(())
            }
            (None, []) if !must_serve => Ok(()),
            (Some(response), []) if response.is_refusal() && !must_serve => Ok(()),
            _ => Err(format!("the next got {response:?}, as {seen:?}")),
        }
    }
}

fn is_next(seen: &Seen) -> bool {
    matches!(seen, Seen::Request(request) if matches(request, &Wanted::new("GET", "/pass/next").host("next.example")).is_ok())
}

/// Whether a case came out right, as far as its own responses go.
fn right(right: &Right, responses: &[Response], seen: &[Seen]) -> Result<(), String> {
    match right {
        Right::Refused => refused(responses, seen),
        Right::Requests(wanted) => requests(wanted, responses, seen),
        Right::Either(wanted) => {
            let mut ways = wanted.iter().map(std::slice::from_ref);
            let one = ways.any(|wanted| requests(wanted, responses, seen).is_ok());
            if one {
                Ok(())
            } else {
                refused(responses, seen)
            }
        }
        Right::OneAtMost => match (seen, responses) {
            ([Seen::Request(one)], [response]) if response.is_for(&one.method, &one.target) => {
                Ok(())
            }
            _ => refused(responses, seen),
        },
    }
}

fn refused(responses: &[Response], seen: &[Seen]) -> Result<(), String> {
    match (responses, seen) {
        ([response], []) if response.is_refusal() && !response.keeps_alive => Ok(()),
        ([response], []) if response.is_refusal() => Err("its connection goes on".to_owned()),
        _ => Err("it is not refused".to_owned()),
    }
}

/// Whether a refusal has a status that the case allows.
fn has_status(case: &Case, responses: &[Response]) -> Result<(), String> {
    let refusal = responses.first().filter(|first| first.is_refusal());
    match refusal {
        Some(refusal) if !case.statuses.is_empty() && !case.statuses.contains(&refusal.status) => {
            Err(format!("it is not refused with {:?}", case.statuses))
        }
        _ => Ok(()),
    }
}

fn requests(wanted: &[Wanted], responses: &[Response], seen: &[Seen]) -> Result<(), String> {
    if wanted.len() != seen.len() || wanted.len() != responses.len() {
        return Err(format!("it is not {} requests", wanted.len()));
    }
    for ((wanted, seen), response) in wanted.iter().zip(seen).zip(responses) {
        let Seen::Request(request) = seen else {
            return Err("the app can't read it".to_owned());
        };
        matches(request, wanted)?;
        if !response.is_for(&wanted.method, &wanted.target) {
            return Err("the response is another's".to_owned());
        }
    }
    Ok(())
}

fn matches(request: &Request, wanted: &Wanted) -> Result<(), String> {
    let host = request.values("host").next().unwrap_or_default();
    let same_host = wanted
        .host
        .as_ref()
        .is_none_or(|wanted| wanted.as_bytes() == host);
    if request.method != wanted.method || request.target != wanted.target || !same_host {
        return Err("its line or host is another".to_owned());
    }
    if request.body != wanted.body {
        return Err("its body is another".to_owned());
    }
    for (name, value) in &wanted.has {
        if !request.values(name).any(|own| own == value) {
            return Err(format!("{name} was not forwarded"));
        }
    }
    // A body that was here whole goes on with its own length.
    let own_length = request.body.len().to_string();
    let is_own =
        |name: &str, value: &[u8]| name == "content-length" && value == own_length.as_bytes();
    let forwarded = |name: &str| request.values(name).any(|value| !is_own(name, value));
    match wanted.lacks.iter().find(|name| forwarded(name)) {
        Some(name) => Err(format!("{name} was forwarded")),
        None => Ok(()),
    }
}

impl Response {
    /// Whether it is ours, and no good one.
    fn is_refusal(&self) -> bool {
        self.seen.is_none() && (400..600).contains(&self.status)
    }

    fn is_for(&self, method: &str, target: &[u8]) -> bool {
        self.status == 200 && self.seen == Some(seen_as(method, target))
    }
}
