use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tempfile::TempDir;

use super::*;
use crate::queue::embedded::{Embedded, Settings};
use crate::queue::{Callback, Ending};

const SECRET: &str = "s3cret";

/// A queue in a folder of its own.
fn open() -> (TempDir, Embedded) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        folder: folder.path().join("queue"),
        max_size: 1 << 20,
        is_successor: false,
    };
    let store = Embedded::open(&settings).expect("a queue");
    (folder, store)
}

fn callback(route: &str, key: &str) -> Callback {
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert("content-type", form);
    headers.insert("x-twilio-signature", HeaderValue::from_static(SECRET));
    Callback {
        route: route.to_owned(),
        key: key.to_owned(),
        reason: "connect".to_owned(),
        received: SystemTime::now(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        method: Method::POST,
        target: format!("/status?token={SECRET}"),
        headers,
        body: Bytes::from(format!("CallSid={key}&From=%2B{SECRET}&{SECRET}+said")),
    }
}

async fn append(store: &Embedded, route: &str, key: &str) -> Id {
    store.append(callback(route, key)).await.expect("space")
}

fn page(query: &str) -> Page {
    match Operation::parse(PATH, query) {
        Ok(Operation::List(page)) => page,
        other => panic!("{other:?}"),
    }
}

async fn ids(store: &Embedded, query: &str) -> (Vec<String>, Value) {
    let listed = list(store, &page(query)).await.expect("a list");
    let ids = listed["callbacks"].as_array().expect("a list").iter();
    let ids = ids.map(|entry| entry["id"].as_str().expect("an id").to_owned());
    (ids.collect(), listed["next"].clone())
}

/// Makes the oldest callback of a route a dead letter, and gives back its new id.
async fn kill(store: &Embedded, route: &str) -> Id {
    let claim = store.claim(route, SystemTime::now()).await.expect("asked");
    let ending = Ending::Dead {
        at: SystemTime::now(),
        error: "the app responded with 404".to_owned(),
    };
    let claim = claim.expect("one is due");
    store.finish(claim, ending).await.expect("finished");
    let (ids, _) = ids(store, "state=dead").await;
    ids[0].parse().expect("an id")
}

#[tokio::test]
async fn callbacks_are_listed_by_route_state_and_page() {
    let (_folder, store) = open();
    let mut calls = Vec::new();
    for key in ["CA1", "CA2", "CA3"] {
        calls.push(append(&store, "calls", key).await.to_string());
    }
    let other = append(&store, "messages", "SM1").await.to_string();
    assert_eq!(
        ids(&store, "route=calls").await,
        (calls.clone(), Value::Null)
    );
    let (first, next) = ids(&store, "route=calls&limit=2").await;
    assert_eq!((&first[..], &next), (&calls[..2], &json!(calls[1])));
    let rest = ids(&store, &format!("route=calls&limit=2&after={}", calls[1])).await;
    assert_eq!(rest, (calls[2..].to_vec(), Value::Null));
    assert_eq!(ids(&store, "route=nowhere").await.0, [""; 0]);

    let dead = kill(&store, "messages").await.to_string();
    assert_eq!(ids(&store, "state=dead").await.0, [dead]);
    assert_eq!(ids(&store, "state=waiting").await.0, calls);
    let listed = list(&store, &page("state=dead")).await.expect("a list");
    let entry = &listed["callbacks"][0];
    assert_eq!(entry["state"], "dead", "{other} {entry}");
    assert_eq!(entry["last_error"], "the app responded with 404");
    assert_eq!(entry["attempts"], 1);
    assert_eq!(entry["next_try_seconds"], Value::Null);
}

#[tokio::test]
async fn what_a_caller_sent_is_shown_only_when_it_is_revealed() {
    let (_folder, store) = open();
    let id = append(&store, "calls", "CA1").await;
    let masked = show(&store, id, false).await.expect("a callback");
    assert!(!masked.to_string().contains(SECRET), "{masked}");
    let request = &masked["request"];
    assert_eq!(request["path"], "/status");
    assert_eq!(request["query"], json!([{ "name": "token", "value": "…" }]));
    assert_eq!(
        request["headers"][1],
        json!({ "name": "x-twilio-signature", "value": "…" })
    );
    assert_eq!(
        request["body"]["parameters"],
        json!([
            { "name": "CallSid", "value": "…" },
            { "name": "From", "value": "…" },
            { "name": "…", "value": "…" },
        ])
    );

    let revealed = show(&store, id, true).await.expect("a callback");
    let request = &revealed["request"];
    assert_eq!(request["query"][0]["value"], SECRET);
    assert_eq!(request["headers"][1]["value"], SECRET);
    assert_eq!(request["body"]["parameters"][1]["value"], "+s3cret");
    assert_eq!(
        request["body"]["text"],
        "CallSid=CA1&From=%2Bs3cret&s3cret+said"
    );
}

#[tokio::test]
async fn what_has_no_value_may_be_a_callers_words_and_is_not_shown_as_a_name() {
    let (_folder, store) = open();
    for (body, names) in [
        ("secretword", vec!["…"]),
        ("CallSid=CA1&secretword&From=", vec!["CallSid", "…", "From"]),
        ("&secretword&", vec!["…"]),
        ("=secretword", vec!["…"]),
        ("From%3Dsecretword", vec!["…"]),
        ("secret word=1", vec!["…"]),
    ] {
        let mut sent = callback("calls", "CA1");
        sent.target = format!("/status?{body}");
        sent.body = Bytes::from(body);
        let id = store.append(sent).await.expect("space");
        let masked = show(&store, id, false).await.expect("a callback");
        let request = &masked["request"];
        for parameters in [&request["query"], &request["body"]["parameters"]] {
            let parameters = parameters.as_array().expect("a list").iter();
            let shown: Vec<_> = parameters.map(|one| &one["name"]).collect();
            assert_eq!(shown, names, "{body}");
        }
        assert!(!masked.to_string().contains("secretword"), "{masked}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_a_form_is_only_a_size_until_it_is_revealed() {
    let (_folder, store) = open();
    let mut sent = callback("calls", "CA1");
    let binary = HeaderValue::from_static("application/octet-stream");
    sent.headers.insert("content-type", binary);
    sent.body = Bytes::from_static(b"\xff\0a");
    let id = store.append(sent).await.expect("space");
    let masked = show(&store, id, false).await.expect("a callback");
    let nothing = json!({ "bytes": 3, "parameters": null, "text": null, "base64": null });
    assert_eq!(masked["request"]["body"], nothing);
    let revealed = show(&store, id, true).await.expect("a callback");
    assert_eq!(revealed["request"]["body"]["base64"], "/wBh");
}

#[tokio::test]
async fn a_dead_letter_that_is_retried_waits_again() {
    let (_folder, store) = open();
    append(&store, "calls", "CA1").await;
    let dead = kill(&store, "calls").await;
    let done = retry(&store, &[dead]).await.expect("asked");
    assert_eq!(done, json!({ "found": 1 }));
    assert_eq!(ids(&store, "state=waiting").await.0.len(), 1);
    assert_eq!(ids(&store, "state=dead").await.0, [""; 0]);
}

#[tokio::test]
async fn a_dropped_callback_is_not_found_any_more() {
    let (_folder, store) = open();
    let id = append(&store, "calls", "CA1").await;
    let done = remove(&store, &[id, Id(999)]).await.expect("asked");
    assert_eq!(done, json!({ "found": 1 }));
    let error = show(&store, id, false).await.expect_err("it is gone");
    assert_eq!(error.status(), StatusCode::NOT_FOUND);
}

#[test]
fn only_changes_and_revealed_values_are_guarded() {
    for (path, query, is_guarded) in [
        ("/api/queue", "", false),
        ("/api/queue/17", "", false),
        ("/api/queue/17", "reveal=no", false),
        ("/api/queue/17", "reveal=yes", true),
        ("/api/queue/retry", "", true),
        ("/api/queue/drop", "", true),
    ] {
        let operation = Operation::parse(path, query).expect(path);
        assert_eq!(operation.is_guarded(), is_guarded, "{path}?{query}");
    }
}

#[test]
fn errors_say_what_is_valid() {
    for (path, query, words) in [
        (PATH, "dead=yes", "use route, state, after or limit"),
        (
            PATH,
            "state=gone",
            "state is \"gone\"; write waiting or dead",
        ),
        (PATH, "limit=0", "a whole number from 1 to 1000"),
        (PATH, "limit=1001", "a whole number from 1 to 1000"),
        (PATH, "after=x", "`x` is not a valid id of a callback"),
        ("/api/queue/x", "", "`x` is not a valid id of a callback"),
        (
            "/api/queue/17",
            "reveal=1",
            "reveal is \"1\"; write yes or no",
        ),
        (
            "/api/queue/17",
            "show=yes",
            "unknown parameter \"show\"; use reveal",
        ),
    ] {
        let error = Operation::parse(path, query).expect_err(query);
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert!(error.to_string().contains(words), "{error}");
    }
    for (body, words) in [
        ("", "the ids can't be read"),
        (r#"{"ids":[17]}"#, "the ids can't be read"),
        (r#"{"id":["17"]}"#, "unknown field"),
        (r#"{"ids":[]}"#, "send from 1 to 1000 ids"),
        (r#"{"ids":["x"]}"#, "`x` is not a valid id"),
    ] {
        let error = parse_ids(body.as_bytes()).expect_err(body);
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert!(error.to_string().contains(words), "{error}");
    }
    let twice = parse_ids(br#"{"ids":["2-17","17","17"]}"#).expect("ids");
    let texts: Vec<_> = twice.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["17", "2-17"]);
}
