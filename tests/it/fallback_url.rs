//! A fallback URL is requested as Twilio requests one, its response is validated like any other, and a document is sent if it fails too.

use std::fs;

use support::{FakeUpstream, Script, Sidecar, Webhook, millis, response, understudy};

/// A proxy before this app, whose fallback for everything below `/voice/` is at the other one.
async fn before(app: &FakeUpstream, other: &FakeUpstream, more: &str) -> Sidecar {
    let address = other.address();
    let route = format!(
        "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\ndeadline = \"1500ms\"\n\
         fallback = {{ url = \"http://{address}/backup?x=1\", budget = \"500ms\", inline = \"<Response><Say>document</Say></Response>\" }}\n"
    );
    Sidecar::before(app)
        .server(more)
        .defaults("breaker = { failures = 0 }")
        .routes(&route)
        .start()
        .await
}

fn broken() -> FakeUpstream {
    FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"))
}

fn says(what: &'static str) -> FakeUpstream {
    FakeUpstream::start(move |_| Script::twiml(format!("<Response><Say>{what}</Say></Response>")))
}

#[tokio::test]
async fn it_gets_what_went_wrong_and_where_and_its_document_goes_back() {
    let (app, other) = (broken(), says("other app"));
    let sidecar = before(&app, &other, "").await;
    let webhook = Webhook::voice("/voice/menu?step=1")
        .header("Authorization", "Basic eDp5")
        .header("Cookie", "a=b");

    let got = sidecar.request(&webhook).await;

    assert_eq!((got.status, got.reason()), (200, Some("status_5xx")));
    assert!(got.text().contains("other app"));
    let asked = &other.requests()[0];
    assert_eq!((asked.method(), asked.target()), ("POST", "/backup?x=1"));
    let form = String::from_utf8(asked.payload()).expect("a form");
    let expected =
        "&ErrorCode=11217&ErrorUrl=http%3A%2F%2Fhooks.example.com%2Fvoice%2Fmenu%3Fstep%3D1";
    assert!(
        form.starts_with("AccountSid=") && form.contains("CallSid=") && form.ends_with(expected),
        "{form}"
    );
    assert_eq!(
        asked.header("host"),
        Some(other.address().to_string().as_str())
    );
    assert!(asked.header("i-twilio-idempotency-token").is_some());
    for secret in ["authorization", "cookie"] {
        assert_eq!(asked.header(secret), None, "{secret}");
    }
    let labels = [("route", "voice"), ("reason", "status_5xx")];
    sidecar
        .wait_for_metric("understudy_fallback_activations_total", &labels, 1.0)
        .await;
}

#[tokio::test]
async fn a_get_is_asked_by_its_query_and_the_public_url_is_named() {
    let (app, other) = (broken(), says("other app"));
    let sidecar = before(&app, &other, "public_url = \"https://public.example.com/\"").await;
    let got = sidecar.request(Webhook::voice("/voice/x").get()).await;
    assert!(got.text().contains("other app"));
    let asked = &other.requests()[0];
    assert!(
        asked.target().starts_with("/backup?x=1&AccountSid="),
        "{}",
        asked.target()
    );
    assert!(
        asked
            .target()
            .contains("&ErrorUrl=https%3A%2F%2Fpublic.example.com%2Fvoice%2Fx%3F"),
        "{}",
        asked.target()
    );
}

#[tokio::test]
async fn whatever_goes_wrong_there_the_document_behind_it_is_sent() {
    let app = broken();
    for script in [
        Script::response("500 Oops", "text/html", "no"),
        Script::twiml("<Response>"),
        Script::twiml(""),
        Script::new().reset(),
        Script::new().stall(),
        Script::new().send("nonsense\r\n\r\n").close(),
        Script::twiml("<Response/>".repeat(10_000)),
    ] {
        let played = script.clone();
        let other = FakeUpstream::start(move |_| played.clone());
        let sidecar = before(&app, &other, "").await;
        let got = sidecar.request(Webhook::voice("/voice/x")).await;
        assert_eq!(
            (got.status, got.reason()),
            (200, Some("status_5xx")),
            "{script:?}"
        );
        assert!(got.text().contains("document"), "{script:?}: {got:?}");
    }
    let other = says("other app");
    let sidecar = before(&app, &other, "").await;
    other.refuse().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert!(got.text().contains("document"));
}

#[tokio::test]
async fn an_app_that_is_silent_leaves_it_its_budget_within_the_deadline() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let other = FakeUpstream::start(|_| {
        let script = response(
            "200 OK",
            &[("Content-Type", "text/xml")],
            "<Response><Say>other app</Say></Response>",
        );
        Script::new().pause(millis(100)).send(script)
    });
    let sidecar = before(&app, &other, "").await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("deadline"));
    assert!(got.text().contains("other app"), "{got:?}");
    assert!(String::from_utf8_lossy(&other.requests()[0].payload()).contains("ErrorCode=11203"));
}

#[tokio::test]
async fn it_is_asked_for_nothing_while_the_app_is_well() {
    let (app, other) = (says("app"), says("other app"));
    let sidecar = before(&app, &other, "").await;
    assert!(
        sidecar
            .request(Webhook::voice("/voice/x"))
            .await
            .text()
            .contains("app")
    );
    assert_eq!(other.connections(), 0);
}

/// The form that the other app was sent, in its order.
fn form_of(request: &support::Request) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.payload())
        .into_owned()
        .collect()
}

/// The values of a parameter, in their order.
fn values<'p>(parameters: &'p [(String, String)], name: &str) -> Vec<&'p str> {
    let named = parameters
        .iter()
        .filter(|(own, _)| own.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn its_content_type_says_what_its_body_is() {
    const FORM: &str = "application/x-www-form-urlencoded";
    let (app, other) = (broken(), says("other app"));
    let sidecar = before(&app, &other, "").await;
    let request = |method: &str, content_type: &str, body: &str| {
        let length = body.len();
        format!(
            "{method} /voice/x HTTP/1.1\r\nHost: a\r\n{content_type}Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let json = r#"{"ErrorCode":1,"CallSid":"CA1"}"#;
    let charset = "application/x-www-form-urlencoded; charset=UTF-8";
    for (method, content_type, body, expected) in [
        ("POST", "application/json", json, Some(FORM)),
        (
            "POST",
            "multipart/form-data; boundary=x",
            "--x--\r\n",
            Some(FORM),
        ),
        ("POST", "", "", Some(FORM)),
        ("POST", charset, "CallSid=CA1", Some(charset)),
        ("PUT", "application/json", json, None),
        ("GET", "application/json", json, None),
        ("GET", charset, "CallSid=CA1", None),
    ] {
        let line = match content_type {
            "" => String::new(),
            _ => format!("Content-Type: {content_type}\r\n"),
        };
        let got = sidecar.request(request(method, &line, body)).await;
        assert!(
            got.text().contains("other app"),
            "{method} {content_type}: {got:?}"
        );
        let asked = other.requests().pop().expect("it was asked");
        assert_eq!(
            asked.header("content-type"),
            expected,
            "{method} {content_type}"
        );
        let parameters = match method {
            "POST" => form_of(&asked),
            _ => query_of(asked.target()),
        };
        assert_eq!(values(&parameters, "ErrorCode"), ["11217"]);
        let is_form = content_type == charset && method == "POST";
        assert_eq!(values(&parameters, "CallSid").len(), usize::from(is_form));
    }
}

/// The parameters of a target's query, in their order.
fn query_of(target: &str) -> Vec<(String, String)> {
    let (_, query) = target.split_once('?').expect("a query");
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

#[tokio::test]
async fn a_query_that_is_too_long_to_be_carried_is_left_out_and_nothing_else() {
    let (app, other) = (broken(), says("other app"));
    let sidecar = before(&app, &other, "").await;
    let url = "http://a/voice/x";
    for (query, has_own, error_url) in [
        ("q=".to_owned() + &"z".repeat(20_000), true, None),
        ("q=".to_owned() + &"z".repeat(40_000), false, None),
        // Each of these is three characters in a form.
        ("q=".to_owned() + &"/".repeat(30_000), false, Some(url)),
        ("q=".to_owned() + &"/".repeat(60_000), false, Some(url)),
    ] {
        let got = sidecar
            .request(format!("GET /voice/x?{query} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        assert!(got.text().contains("other app"), "{}: {got:?}", query.len());
        let asked = other.requests().pop().expect("it was asked");
        let parameters = query_of(asked.target());
        assert_eq!(asked.path(), "/backup", "{}", query.len());
        assert_eq!(values(&parameters, "x"), ["1"]);
        assert_eq!(values(&parameters, "q").len(), usize::from(has_own));
        assert_eq!(values(&parameters, "ErrorCode"), ["11217"]);
        let whole = format!("{url}?{query}");
        let expected = error_url.unwrap_or(&whole);
        assert!(
            values(&parameters, "ErrorUrl") == [expected],
            "{}",
            query.len()
        );
    }
    // A path can be as long.
    let path = "/".repeat(40_000);
    let got = sidecar
        .request(format!("GET /voice/{path} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .await;
    assert!(got.text().contains("other app"), "{got:?}");
    let asked = other.requests().pop().expect("it was asked");
    let parameters = query_of(asked.target());
    assert_eq!(
        (asked.path(), values(&parameters, "x")),
        ("/backup", vec!["1"])
    );
    assert_eq!(values(&parameters, "ErrorCode"), ["11217"]);
    assert_eq!(values(&parameters, "ErrorUrl"), ["http://a"]);
}

#[tokio::test]
async fn only_our_word_for_the_error_reaches_it() {
    let (app, other) = (broken(), says("other app"));
    let sidecar = before(&app, &other, "").await;
    let forged = "ErrorCode=1&a=%41+b&&ErrorUrl=http%3A%2F%2Fevil&Error%43ode=2&errorcode=3&ErrorUrl&c=%zz&Error+Code=4";
    let kept = "a=%41+b&&c=%zz&Error+Code=4&ErrorCode=11217&ErrorUrl=";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let length = forged.len();
    let post = format!(
        "POST /voice/x HTTP/1.1\r\nHost: a\r\n{form}Content-Length: {length}\r\n\r\n{forged}"
    );
    let got = sidecar.request(post).await;
    assert!(got.text().contains("other app"), "{got:?}");
    let asked = other.requests().pop().expect("it was asked");
    assert_eq!(asked.target(), "/backup?x=1");
    let sent = String::from_utf8(asked.payload()).expect("a form");
    assert_eq!(sent, format!("{kept}http%3A%2F%2Fa%2Fvoice%2Fx"));

    let get = format!("GET /voice/x?{forged} HTTP/1.1\r\nHost: a\r\n\r\n");
    let got = sidecar.request(get).await;
    assert!(got.text().contains("other app"), "{got:?}");
    let asked = other.requests().pop().expect("it was asked");
    let expected = format!("/backup?x=1&{kept}http%3A%2F%2Fa%2Fvoice%2Fx%3F");
    assert!(asked.target().starts_with(&expected), "{}", asked.target());
    assert_eq!(values(&query_of(asked.target()), "ErrorCode"), ["11217"]);
}

#[tokio::test]
async fn what_it_says_of_us_or_to_caches_does_not_go_back() {
    let app = broken();
    let other = FakeUpstream::start(|_| {
        let fields = [
            ("Content-Type", "text/xml"),
            ("Understudy-Fallback", "forged"),
            ("Understudy-Queued", "forged"),
            ("Cache-Control", "max-age=3600"),
            ("X-Own", "1"),
        ];
        Script::new().send(response("200 OK", &fields, "<Response/>"))
    });
    let sidecar = before(&app, &other, "").await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    let own: Vec<_> = got
        .headers
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().starts_with("understudy-"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!((own, got.header("x-own")), (vec!["status_5xx"], Some("1")));
    assert_eq!(got.header("cache-control"), Some("no-store"));
}

#[test]
fn one_that_leads_back_to_us_or_leaves_no_time_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    let route = |name: &str, fallback: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\npath = \"/{name}\"\nkind = \"voice\"\nfallback = {{ {fallback} }}\n"
        )
    };
    let text = [
        "[server]\nlisten = \"0.0.0.0:8080\"\n[upstream]\nurl = \"http://127.0.0.1:3000\"\n"
            .to_owned(),
        route("a", "url = \"http://localhost:8080/backup\""),
        route(
            "b",
            "url = \"http://127.0.0.1:4000/backup\", budget = \"8s\"",
        ),
        route("c", "url = \"ftp://127.0.0.1/backup\""),
        route("d", "url = \"http://127.0.0.1/a b\""),
        route(
            "e",
            "url = \"http://127.0.0.1:4000\", file = \"nowhere.xml\"",
        ),
    ];
    fs::write(&path, text.concat()).expect("a file");
    let output = understudy(&["check", "--config", &path.to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    let wanted = [
        ":9:12: route[0].fallback: the fallback URL leads back to understudy",
        ":14:12: route[1].fallback: the fallback URL's budget of 8s leaves the app no time",
        ":19:20: route[2].fallback.url: \"ftp://127.0.0.1\"",
        ":24:20: route[3].fallback.url: ",
        "nowhere.xml",
    ];
    for wanted in wanted {
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}");
    }
}
