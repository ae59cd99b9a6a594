//! An invalid drill is refused with what is wrong and what is valid.

use super::{admin, before, delete, drills, json, put, with_routes};
use support::{Client, FakeUpstream, Response, Webhook};

const GOOD: &str = r#"{"for":"5m"}"#;

fn error(response: &Response) -> String {
    let document = json(response);
    document["error"].as_str().expect("words").to_owned()
}

#[tokio::test]
async fn bad_values_and_unknown_keys_are_refused() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = before(&app).await;
    for (body, words) in [
        (r#"{}"#, r#"add "for":"5m""#),
        (r#"{"for":"0s"}"#, "longer than 0"),
        (r#"{"for":"0"}"#, "longer than 0"),
        (r#"{"for":"24h 1s"}"#, "24h at most"),
        (r#"{"for":"soon"}"#, "such as 5m"),
        (r#"{"for":5}"#, "expected a string"),
        (r#"{"for":"5m","percent":0}"#, "from 1 to 100"),
        (r#"{"for":"5m","percent":101}"#, "from 1 to 100"),
        (r#"{"for":"5m","percent":-1}"#, "from 1 to 100"),
        (
            r#"{"for":"5m","fault":"slow"}"#,
            "deadline, status_5xx, malformed or root",
        ),
        (r#"{"for":"5m","faults":"root"}"#, "unknown field `faults`"),
        (r#"{"for":"5m""#, "EOF"),
        ("", "EOF"),
        ("for=5m", "the drill can't be read"),
    ] {
        let got = put(&sidecar, "voice", body).await;
        assert_eq!(got.status, 400, "{body}");
        let error = error(&got);
        assert!(error.contains(words), "{body}: {error}");
    }
    assert!(drills(&sidecar).await.is_empty());
}

#[tokio::test]
async fn an_unknown_route_is_refused_with_the_known_ones() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = before(&app).await;
    let known = r#"the routes are "voice", "messaging", "callback", "auto", "unmatched""#;
    for route in ["vioce", "", "voice/", "Voice", "%ff"] {
        for got in [
            put(&sidecar, route, GOOD).await,
            delete(&sidecar, route).await,
        ] {
            assert_eq!(got.status, 404, "{route}");
            assert!(error(&got).contains(known), "{got:?}");
        }
    }
    let got = delete(&sidecar, "voice").await;
    assert_eq!(got.status, 404);
    assert_eq!(error(&got), r#"no drill runs on the route "voice""#);
}

#[tokio::test]
async fn a_drill_that_would_show_nothing_is_refused() {
    let app = FakeUpstream::with_document("<Response/>");
    let routes = "[[route]]\nname = \"observed\"\npath = \"/o\"\nkind = \"voice\"\nmode = \"observe\"\n\
                  [[route]]\nname = \"unjudged\"\npath = \"/u\"\nkind = \"voice\"\nvalidate = \"off\"\n\
                  [[route]]\nname = \"callback\"\npath = \"/c\"\nkind = \"callback\"\n";
    let sidecar = with_routes(&app, routes).await;
    let root = r#"{"for":"5m","fault":"root"}"#;
    let dry = r#"{"dry":true}"#;
    for (route, body, status, words) in [
        ("observed", GOOD, 409, "mode enforce"),
        ("unjudged", root, 409, "deadline or status_5xx"),
        ("callback", root, 409, "deadline or status_5xx"),
        ("callback", dry, 422, "no fallback document"),
        ("unmatched", dry, 422, "no fallback document"),
    ] {
        let got = put(&sidecar, route, body).await;
        assert_eq!(got.status, status, "{route} {body}: {got:?}");
        assert!(error(&got).contains(words), "{got:?}");
    }
    assert_eq!(put(&sidecar, "observed", dry).await.status, 200);
    assert!(drills(&sidecar).await.is_empty());
    assert_eq!(sidecar.request(Webhook::voice("/o")).await.reason(), None);
}

#[tokio::test]
async fn requests_that_a_web_page_could_send_and_large_ones_are_refused() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = before(&app).await;
    for method in ["PUT", "DELETE"] {
        let request = format!(
            "{method} /api/drills/voice HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n{GOOD}"
        );
        let got = Client::connect(sidecar.admin).await.request(request).await;
        assert_eq!(
            (got.status, error(&got).as_str()),
            (415, "send Content-Type: application/json")
        );
    }
    let got = put(&sidecar, "voice", &format!("{GOOD}{}", " ".repeat(5000))).await;
    assert_eq!(got.status, 413);
    for (method, path, allow) in [
        ("GET", "/api/drills/voice", "PUT, DELETE"),
        ("POST", "/api/drills/voice", "PUT, DELETE"),
        ("POST", "/api/drills", "GET, HEAD"),
        ("PUT", "/api/drills", "GET, HEAD"),
    ] {
        let got = admin(&sidecar, method, path, GOOD).await;
        assert_eq!((got.status, got.header("allow")), (405, Some(allow)));
    }
    assert!(drills(&sidecar).await.is_empty());
}
