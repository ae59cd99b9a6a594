//! The log: in the journal, with trace identifiers, and the access log.

use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use support::{Bound, FakeUpstream, Script, Sidecar, Webhook, bound, millis, understudy, wait_for};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

/// An app that responds or fails as the path says.
fn app() -> FakeUpstream {
    FakeUpstream::start(|request| match request.path() {
        "/pass/stream" => Script::new()
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n")
            .send("halfway")
            .close(),
        path if path.ends_with("/broken") => {
            Script::response("500 Internal Server Error", "text/html", "no")
        }
        path if path.ends_with("/silent") => Script::new().stall(),
        _ => Script::twiml("<Response/>"),
    })
}

fn is_access(line: &Value) -> bool {
    line["target"] == "understudy::access"
}

#[tokio::test]
async fn the_trace_context_is_forwarded_unchanged_and_logged() {
    let app = app();
    let sidecar = Sidecar::before(&app).start().await;
    let webhook = Webhook::voice("/voice/broken")
        .header("traceparent", &traceparent())
        .header("tracestate", "congo=t61rcWkgMzE");
    assert_eq!(
        sidecar.request(webhook).await.reason(),
        Some("status_5xx"),
        "it fails"
    );
    let line = sidecar
        .wait_for_log(|line| line["reason"] == "status_5xx")
        .await;
    assert_eq!(
        (&line["trace_id"], &line["parent_id"]),
        (&json!(TRACE), &json!(SPAN))
    );
    let request = &app.requests()[0];
    assert_eq!(request.header("traceparent"), Some(traceparent().as_str()));
    assert_eq!(request.header("tracestate"), Some("congo=t61rcWkgMzE"));
}

#[tokio::test]
async fn every_request_of_a_route_with_an_access_log_is_a_line() {
    let app = app();
    let sidecar = Sidecar::before(&app)
        .deadline(millis(1500))
        .defaults("access_log = true")
        .start()
        .await;
    let trace = ("traceparent", traceparent());
    sidecar
        .request(Webhook::voice("/voice/good").header(trace.0, &trace.1))
        .await;
    let line = sidecar.wait_for_log(is_access).await;
    assert!(line["milliseconds"].is_u64(), "{line}");
    let said = |keys: &[&str]| keys.iter().map(|key| line[key].clone()).collect::<Vec<_>>();
    assert_eq!(
        said(&[
            "level",
            "route",
            "method",
            "status",
            "outcome",
            "upstream_status",
            "sid",
            "trace_id"
        ]),
        [
            json!("INFO"),
            json!("voice"),
            json!("POST"),
            json!(200),
            json!("upstream"),
            json!(200),
            json!(support::CALL),
            json!(TRACE)
        ]
    );
    assert_eq!(line["reason"], Value::Null);

    sidecar.request(Webhook::sms("/messaging/broken")).await;
    let line = sidecar
        .wait_for_log(|line| is_access(line) && line["outcome"] == "fallback")
        .await;
    assert_eq!(
        (&line["reason"], &line["status"], &line["upstream_status"]),
        (&json!("status_5xx"), &json!(200), &json!(500))
    );

    sidecar
        .request("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n")
        .await;
    let line = sidecar
        .wait_for_log(|line| is_access(line) && line["outcome"] == "rejected")
        .await;
    assert_eq!(line["status"], 413);

    let mut client = sidecar.connect().await;
    client.send(Webhook::voice("/voice/silent")).await;
    sidecar
        .wait_for_metric("understudy_in_flight_requests", &[("route", "voice")], 1.0)
        .await;
    drop(client);
    let line = sidecar
        .wait_for_log(|line| is_access(line) && line["outcome"] == "abandoned")
        .await;
    assert_eq!(
        (&line["sid"], &line["status"]),
        (&json!(support::CALL), &Value::Null)
    );

    sidecar.request(Webhook::voice("/pass/stream")).await;
    let line = sidecar
        .wait_for_log(|line| is_access(line) && line["route"] == "pass")
        .await;
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&json!("error"), &json!(200))
    );
}

#[tokio::test]
async fn the_access_log_is_off_until_a_reload_turns_it_on_for_one_route() {
    let app = app();
    let sidecar = Sidecar::before(&app).start().await;
    sidecar.request(Webhook::voice("/voice/early")).await;
    let on = "kind = \"messaging\"\naccess_log = true";
    sidecar.rewrite_config(&sidecar.config().replace("kind = \"messaging\"", on));
    assert_eq!(sidecar.admin_post("/api/reload").await.status, 200);
    sidecar.request(Webhook::voice("/voice/late")).await;
    sidecar.request(Webhook::sms("/messaging/late")).await;
    let first = sidecar.wait_for_log(is_access).await;
    assert_eq!(first["route"], "messaging");
}

#[tokio::test]
async fn an_invalid_level_is_reported_and_the_default_is_used() {
    let app = app();
    let sidecar = Sidecar::before(&app)
        .rust_log("understudy=loud=")
        .start()
        .await;
    let line = sidecar.wait_for_log(|line| line["level"] == "WARN").await;
    let message = line["message"].as_str().expect("a message");
    assert!(
        message.starts_with("RUST_LOG can't be read, so the level is info"),
        "{line}"
    );
    let error = line["error"].as_str().expect("an error");
    assert!(error.contains("error parsing level"), "{line}");
}

/// Starts the binary with one pipe as stdout and stderr, which it takes for the journal's.
fn in_journal(config: &std::path::Path) -> (Bound, Child, PipeReader) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let writer = OwnedFd::from(writer);
    let copy = File::from(writer.try_clone().expect("a second end"));
    let at = copy.metadata().expect("it is there");
    let child = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(["run", "--config"])
        .arg(config)
        .env("JOURNAL_STREAM", format!("{}:{}", at.dev(), at.ino()))
        .stdin(Stdio::null())
        .stdout(Stdio::from(copy))
        .stderr(Stdio::from(writer))
        .spawn()
        .expect("the binary runs");
    (bound(&child), child, reader)
}

#[test]
fn in_the_journal_every_line_has_its_priority() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    let config = "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
                  [upstream]\nurl = \"http://127.0.0.1:9\"\n";
    std::fs::write(&path, config).expect("a file");
    let (_bound, mut child, reader) = in_journal(&path);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
    let mut next = || lines.next().expect("a line").expect("it is text");
    let ready = std::iter::repeat_with(&mut next).find(|line| line.contains("listening"));
    assert!(ready.expect("a line").starts_with("<6>{\""));
    std::fs::write(&path, "[server]\nlissen = 1\n").expect("a file");
    let refused = std::iter::repeat_with(&mut next).find(|line| line.contains("lissen"));
    assert!(refused.expect("a line").starts_with("<3>{\""));
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
}

#[test]
fn in_the_journal_each_configuration_error_has_the_priority_of_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    std::fs::write(&path, "[server]\nlissen = 1\n").expect("a file");
    let (_bound, mut child, mut reader) = in_journal(&path);
    assert_eq!(child.wait().expect("it ends").code(), Some(78));
    let mut said = String::new();
    reader.read_to_string(&mut said).expect("it is text");
    assert!(said.lines().count() >= 2, "{said}");
    assert!(said.lines().all(|line| line.starts_with("<3>")), "{said}");
    // Other readers don't get priorities.
    let path = path.to_str().expect("it is text");
    let without_journal = understudy(&["run", "--config", path]);
    assert!(!String::from_utf8_lossy(&without_journal.stderr).contains("<3>"));
}

#[tokio::test]
async fn a_stalled_log_delays_nothing_and_dropped_lines_are_counted() {
    let app = app();
    let sidecar = Sidecar::before(&app)
        .defaults("access_log = true")
        .start()
        .await;
    sidecar.hold_log();
    let dropped = async {
        while sidecar
            .metric("understudy_log_lines_dropped_total", &[])
            .await
            == 0.0
        {
            // Each request is two lines. Soon the breaker is open, and the app gets no more requests.
            let reasons = sidecar.reasons(&Webhook::voice("/voice/broken"), 50).await;
            assert!(reasons.iter().all(Option::is_some), "{reasons:?}");
        }
    };
    wait_for("lines to be dropped", dropped).await;
}
