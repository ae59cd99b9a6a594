//! Inputs from public reports with a clear right value: documents, and webhooks with the app's response.

use std::fs;

use serde_json::Value;

use support::{FakeUpstream, Script, Sidecar, fixture, json_fixture, understudy};

/// A document of the reports, and what `lint` finds in it: the level and code of each finding, and words of the first.
fn lint(name: &str, strict: bool) -> (Option<i32>, Vec<String>, String) {
    let path = fixture(&format!("reports/{name}.xml"));
    let path = path.to_str().expect("text");
    let mut arguments = vec!["lint", "--kind", "voice", "--format", "json"];
    if strict {
        arguments.push("--strict");
    }
    arguments.push(path);
    let output = understudy(&arguments);
    let line: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = line["findings"].as_array().expect("a list");
    let show = |finding: &Value| {
        format!(
            "{} {}",
            finding["level"].as_str().unwrap_or_default(),
            finding["code"]
        )
    };
    let first = findings
        .first()
        .map(|finding| finding["message"].to_string());
    (
        output.status.code(),
        findings.iter().map(show).collect(),
        first.unwrap_or_default(),
    )
}

#[test]
fn documents_that_twilio_takes_have_nothing_to_find_even_if_strict() {
    for name in [
        "01-start-mediafilter",
        "03-conversationrelay-attributes-of-november-2026",
        "05-stream-audioformat-samplerate",
        "08-xmlserializer-namespaces",
    ] {
        assert_eq!(
            lint(name, true),
            (Some(0), Vec::new(), String::new()),
            "{name}"
        );
    }
}

#[test]
fn a_document_with_another_first_element_is_said_to_have_that() {
    let (status, findings, first) = lint("15-head-before-response", false);
    assert_eq!((status, &*findings[0]), (Some(1), "error 12102"));
    assert!(first.contains("the root element is `<head>`"), "{first}");
    let (status, findings, first) = lint("22-nginx-502-page", false);
    assert_eq!((status, &*findings[0]), (Some(1), "error 12102"));
    assert!(first.contains("an HTML page, not TwiML"), "{first}");
}

/// On a route of kind `auto`.
#[tokio::test]
async fn a_webhook_that_asks_for_no_twiml_gets_the_apps_own_response() {
    for name in [
        "40-conference-status-callback",
        "41-conversations-post-webhook",
        "45-stream-status-callback",
    ] {
        let (got, report) = played(name).await;
        let status = report["answer"]["status"].as_str().expect("a status");
        assert!(
            status.starts_with(&got.status.to_string()),
            "{name}: {got:?}"
        );
        assert_eq!(got.reason(), None, "{name}: {got:?}");
        let body = report["answer"]["body"].as_str().unwrap_or_default();
        assert_eq!(got.text(), body, "{name}");
    }
}

#[tokio::test]
async fn a_message_sent_within_a_call_asks_for_voice_twiml() {
    let (got, _) = played("48-voice-sms-action").await;
    assert_eq!((got.status, got.reason()), (200, Some("status_5xx")));
    assert!(got.text().contains("<Response>"), "{got:?}");
}

/// The one before an event is answered with an error status to reject the event.
#[tokio::test]
async fn a_rejected_event_of_a_conversation_stays_rejected() {
    let app = FakeUpstream::start(|_| Script::response("403 Forbidden", "application/json", "{}"));
    let sidecar = Sidecar::before(&app).start().await;
    for form in [
        "EventType=onMessageAdd&ConversationSid=CH0&Body=hi&Author=a",
        "EventType=onMessageSend&ChannelSid=CH0&Body=hi&From=a",
        "EventType=onMessageUpdate&ConversationSid=CH0&MessageSid=IM0&Body=hi",
    ] {
        let got = sidecar.request(post("/auto/x", form)).await;
        assert_eq!((got.status, got.text().as_ref()), (403, "{}"), "{form}");
    }
}

fn post(path: &str, form: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

/// A webhook of the reports, sent through a route of kind `auto` to an app that answers as it did there.
async fn played(name: &str) -> (support::Response, Value) {
    let report = json_fixture(&format!("reports/{name}.json"));
    let text = |part: &str, key: &str| report[part][key].as_str().unwrap_or_default().to_owned();
    let body = text("answer", "body");
    let mut response = format!("HTTP/1.1 {}\r\n", text("answer", "status"));
    for field in report["answer"]["headers"].as_array().expect("a list") {
        response += &format!("{}\r\n", field.as_str().expect("text"));
    }
    if report["answer"]["content_length"] != false {
        response += &format!("Content-Length: {}\r\n", body.len());
    }
    let response = format!("{response}\r\n{body}");
    let app = FakeUpstream::start(move |_| Script::new().send(response.clone()));
    let sidecar = Sidecar::before(&app).start().await;
    let path = format!("/auto{}", text("request", "path"));
    let got = sidecar.request(post(&path, &text("request", "body"))).await;
    (got, report)
}

#[test]
fn every_document_of_the_reports_is_tried_here() {
    let files = fs::read_dir(fixture("reports")).expect("a folder");
    assert_eq!(files.count(), 10);
}
