//! What is good is forwarded byte for byte, in both directions.

use std::collections::BTreeMap;

use support::{Client, FakeUpstream, Script, Sidecar, Webhook, response};

const DOCUMENT: &str = "<?xml version='1.0'?>\r\n<!-- hello -->\r\n<Response ><Say\tvoice='alice'>h\u{e9}</Say ></Response>\n";

#[tokio::test]
async fn a_good_document_goes_back_byte_for_byte_with_its_status_headers_and_cookies() {
    let app = FakeUpstream::start(|_| {
        let fields = [
            ("Content-Type", "Text/XML; Charset=\"utf-8\""),
            ("Set-Cookie", "a=1; Path=/"),
            ("Set-Cookie", "b=2"),
            ("X-Powered-By", "PHP/5.3"),
            ("ETag", "\"x\""),
            ("Keep-Alive", "timeout=5"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
        ];
        Script::new().send(response("201 Created", &fields, DOCUMENT))
    });
    let sidecar = Sidecar::before(&app).start().await;

    let got = sidecar.request(Webhook::voice("/voice/in")).await;

    assert_eq!(
        (got.status, got.body.as_slice()),
        (201, DOCUMENT.as_bytes())
    );
    let cookies: Vec<_> = values(&got.headers, "set-cookie");
    assert_eq!(cookies, ["a=1; Path=/", "b=2"]);
    assert_eq!(
        got.header("content-type"),
        Some("Text/XML; Charset=\"utf-8\"")
    );
    assert_eq!(got.header("x-powered-by"), Some("PHP/5.3"));
    assert_eq!(got.header("etag"), Some("\"x\""));
    for hop in ["keep-alive", "x-hop", "transfer-encoding"] {
        assert_eq!(got.header(hop), None, "{hop}");
    }
    sidecar
        .wait_for_metric(
            "understudy_requests_total",
            &[("route", "voice"), ("outcome", "upstream")],
            1.0,
        )
        .await;
}

#[tokio::test]
async fn a_request_reaches_the_app_as_twilio_sent_it() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let target = "/voice/a%2Fb//c;p=1?x=%41+b&y=a%20b&empty=&'q'=%27&%7B%7D=[]|^";
    let webhook = Webhook::voice(target)
        .with("CallToken", "%7B%22a%22%3A1%7D")
        .with("CallerCity", "K\u{f6}ln")
        .with("ToCity", "")
        .host("Hooks.Example.com:8443")
        .header("Cookie", "a=b; c=\"d\"")
        .header("Authorization", "Basic aG9vazpzM2NyZXQ=");

    sidecar.request(webhook.clone()).await;

    let request = &app.requests()[0];
    assert_eq!((request.method(), request.target()), ("POST", target));
    let sent = webhook.bytes();
    assert!(sent.ends_with(&request.body) && request.body.len() > 200);
    let mut came = fields_of(&request.head);
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "Hooks.Example.com:8443"),
    ] {
        assert_eq!(came.remove(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(came, fields_of(&sent));
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_kept_and_what_others_say_is_replaced() {
    let app = FakeUpstream::with_document("<Response/>");
    let webhook = Webhook::voice("/voice/in")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "public.example.com");
    for (trusted, wanted) in [
        (
            "trusted_proxies = [\"127.0.0.0/8\"]",
            ["203.0.113.9, 127.0.0.1", "https", "public.example.com"],
        ),
        (
            "trusted_proxies = []",
            ["127.0.0.1", "http", "hooks.example.com"],
        ),
    ] {
        let sidecar = Sidecar::before(&app).server(trusted).start().await;
        sidecar.request(webhook.clone()).await;
        let requests = app.requests();
        let request = requests.last().expect("it came");
        let names = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"];
        assert_eq!(
            names.map(|name| request.header(name).unwrap_or_default()),
            wanted,
            "{trusted}"
        );
    }
}

#[tokio::test]
async fn a_body_streams_to_the_app_while_it_arrives() {
    let app = FakeUpstream::start(|_| {
        Script::new().send(response(
            "200 OK",
            &[("Content-Type", "text/xml")],
            "<Response/>",
        ))
    });
    let sidecar = Sidecar::before(&app).start().await;
    let mut client = sidecar.connect().await;

    client
        .send(
            "POST /voice/in HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        )
        .await;
    // The app has the head before the body is whole.
    support::wait_for("the head at the app", async {
        while app.requests().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    client
        .send_more("4\r\ndefg\r\n0\r\n\r\n")
        .await
        .expect("it is open");

    assert_eq!(client.response().await.status, 200);
    assert_eq!(app.requests()[0].payload(), b"abcdefg");
}

#[tokio::test]
async fn callback_and_pass_stream_both_ways_without_a_limit() {
    let echo = "x".repeat(3_000_000);
    let app =
        FakeUpstream::start(move |_| Script::response("200 OK", "application/octet-stream", &echo));
    let sidecar = Sidecar::before(&app).start().await;
    let body = "y".repeat(2_000_000);
    for path in ["/callback/x", "/pass/x", "/nothing/here"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let got = sidecar.request(request).await;
        assert_eq!(
            (got.status, got.body.len(), got.whole),
            (200, 3_000_000, true),
            "{path}"
        );
    }
    assert!(
        app.requests()
            .iter()
            .all(|request| request.body.len() == body.len())
    );
    let labels = [("outcome", "upstream")];
    sidecar
        .wait_for_metric("understudy_requests_total", &labels, 3.0)
        .await;
    assert_eq!(
        sidecar
            .metric("understudy_requests_total", &[("route", "unmatched")])
            .await,
        1.0
    );
}

#[tokio::test]
async fn audio_streams_to_a_call_beyond_the_limit_of_a_document() {
    let app = FakeUpstream::start(|_| Script::response("200 OK", "audio/mpeg", vec![7; 200_000]));
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.request(Webhook::voice("/voice/hold.mp3")).await;
    assert_eq!((got.status, got.body), (200, vec![7; 200_000]));
}

#[tokio::test]
async fn head_and_options_go_through_on_any_route() {
    let app = FakeUpstream::start(|request| match request.method() {
        "HEAD" => Script::new()
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 99\r\n\r\n"),
        _ => Script::new().send("HTTP/1.1 204 No Content\r\nAllow: POST\r\n\r\n"),
    });
    let sidecar = Sidecar::before(&app).start().await;
    let mut client = sidecar.connect().await;
    for _ in 0..2 {
        let head = client
            .request("HEAD /voice/x HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(
            (head.status, head.header("content-length")),
            (200, Some("99"))
        );
        let options = client
            .request("OPTIONS /voice/x HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(
            (options.status, options.header("allow")),
            (204, Some("POST"))
        );
    }
    sidecar
        .wait_for_metric(
            "understudy_requests_total",
            &[("route", "voice"), ("outcome", "upstream")],
            4.0,
        )
        .await;
}

#[tokio::test]
async fn what_an_app_says_in_our_name_does_not_go_back() {
    const OURS: &str = "Understudy-Fallback: deadline\r\nunderstudy-queued: x\r\nUNDERSTUDY-X: y\r\nUnderstudied: 1\r\n";
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{OURS}{more}\r\n");
    let xml = "Content-Type: text/xml\r\n";
    let whole = head("200 OK", &format!("{xml}Content-Length: 11\r\n")) + "<Response/>";
    let chunked = format!("{xml}Transfer-Encoding: chunked\r\n");
    let streamed =
        head("200 OK", &chunked) + "b\r\n<Response/>\r\n0\r\nUnderstudy-Fallback: z\r\n\r\n";
    let audio = head(
        "200 OK",
        "Content-Type: audio/mpeg\r\nContent-Length: 2\r\n",
    ) + "\u{1}\u{2}";
    let empty = head("204 No Content", "");
    let moved = head("302 Found", "Location: /x\r\nContent-Length: 0\r\n");
    let switched = head(
        "101 Switching Protocols",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    );
    let app = FakeUpstream::start(move |request| {
        let sent = match request.path().rsplit('/').next() {
            Some("streamed") => &streamed,
            Some("audio") => &audio,
            Some("empty") => &empty,
            Some("moved") => &moved,
            Some("switched") => &switched,
            _ => &whole,
        };
        Script::new().send(sent.clone())
    });
    let sidecar = Sidecar::before(&app).start().await;
    let ask = async |path: &str, upgrade: &str| {
        let mut client = sidecar.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n");
        client.send(request).await;
        let got = client.head().await;
        let ours = got
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase());
        let ours: Vec<_> = ours.filter(|name| name.starts_with("underst")).collect();
        assert_eq!(ours, ["understudied"], "{path}");
        got.status
    };
    for (route, kinds) in [
        ("voice", &["whole", "streamed", "audio", "moved"][..]),
        ("messaging", &["whole", "streamed", "empty", "moved"]),
        ("callback", &["whole", "streamed", "empty"]),
        ("pass", &["whole", "streamed", "audio", "empty", "moved"]),
        ("auto", &["whole", "streamed"]),
        ("unmatched", &["whole", "streamed"]),
    ] {
        for kind in kinds {
            let status = ask(&format!("/{route}/{kind}"), "").await;
            assert!(status < 400, "{route} {kind}");
        }
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";
        assert_eq!(ask(&format!("/{route}/switched"), upgrade).await, 101);
    }
    assert_eq!(
        sidecar
            .metric("understudy_fallback_activations_total", &[])
            .await,
        0.0
    );
}

#[tokio::test]
async fn a_document_in_a_declared_legacy_charset_goes_back_as_it_was() {
    let latin =
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><Response><Say>\xe9t\xe9</Say></Response>";
    let app = FakeUpstream::start(move |_| Script::response("200 OK", "text/xml", latin));
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!((got.reason(), got.body.as_slice()), (None, &latin[..]));
}

#[tokio::test]
async fn plain_text_to_a_message_passes_with_a_warning() {
    let app = FakeUpstream::start(|_| Script::response("200 OK", "text/plain", "see you"));
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.request(Webhook::sms("/messaging/x")).await;
    assert_eq!((got.reason(), got.text().as_str()), (None, "see you"));
    let labels = [("route", "messaging"), ("code", "12300")];
    sidecar
        .wait_for_metric("understudy_twiml_warnings_total", &labels, 1.0)
        .await;
}

#[tokio::test]
async fn html_that_is_no_markup_passes_to_a_message_since_twilio_only_warns_of_it() {
    let app = FakeUpstream::start(|_| Script::response("200 OK", "text/html", "OK"));
    let sidecar = Sidecar::before(&app).start().await;
    let got = sidecar.request(Webhook::sms("/messaging/x")).await;
    assert_eq!((got.reason(), got.text().as_str()), (None, "OK"));
    let got = sidecar.request(Webhook::voice("/voice/x")).await;
    assert_eq!(got.reason(), Some("malformed"));
}

#[tokio::test]
async fn the_kind_of_an_auto_route_follows_from_the_request() {
    let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"));
    let sidecar = Sidecar::before(&app).start().await;
    for (webhook, says) in [
        (Webhook::voice("/auto/x"), Some("<Say>")),
        (Webhook::voice("/auto/x").get(), Some("<Say>")),
        (Webhook::sms("/auto/x"), Some("<Message>")),
        (Webhook::sms("/auto/x").get(), Some("<Message>")),
        (Webhook::sms("/auto/x").with("SmsStatus", "delivered"), None),
        (Webhook::status_callback("/auto/x"), None),
    ] {
        let got = sidecar.request(&webhook).await;
        match says {
            Some(says) => assert!(
                got.status == 200 && got.text().contains(says),
                "{webhook:?}: {got:?}"
            ),
            None => assert_eq!(
                (got.status, got.text().as_str()),
                (500, "no"),
                "{webhook:?}"
            ),
        }
    }
    let got = sidecar
        .request("GET /auto/page HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(got.status, 500);
}

#[tokio::test]
async fn an_opt_out_gets_an_empty_response_for_a_fallback() {
    let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"));
    let sidecar = Sidecar::before(&app).start().await;
    for (webhook, silent) in [
        (Webhook::sms("/messaging/x").with("Body", " Stop"), true),
        (
            Webhook::sms("/messaging/x").with("OptOutType", "STOP"),
            true,
        ),
        (Webhook::sms("/auto/x").with("Body", "UNSUBSCRIBE"), true),
        (Webhook::sms("/messaging/x").with("Body", "stop it"), false),
    ] {
        let got = sidecar.request(&webhook).await;
        assert_eq!(got.reason(), Some("status_5xx"));
        assert_eq!(
            !got.text().contains("Message"),
            silent,
            "{webhook:?}: {}",
            got.text()
        );
    }
}

#[tokio::test]
async fn routes_are_found_by_host_method_and_the_longest_path() {
    let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"));
    let route = |name: &str, rest: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nkind = \"voice\"\n{rest}\nfallback = {{ inline = \"<Response><Say>{name}</Say></Response>\" }}\n"
        )
    };
    let routes = [
        route("exact", "path = \"/v\""),
        route("below", "path = \"/v/*\""),
        route("deeper", "path = \"/v/menu/*\""),
        route("get", "path = \"/v\"\nmethods = [\"GET\"]"),
        route("host", "path = \"/v\"\nhost = \"fr.example.com\""),
    ];
    let sidecar = Sidecar::before(&app).routes(&routes.concat()).start().await;
    for (webhook, name) in [
        (Webhook::voice("/v"), "exact"),
        (Webhook::voice("/v?x=/v/menu/"), "exact"),
        (Webhook::voice("/v").get(), "get"),
        (Webhook::voice("/v").host("FR.example.com:443"), "host"),
        (Webhook::voice("/v/x"), "below"),
        (Webhook::voice("/v/menu/x"), "deeper"),
    ] {
        let got = sidecar.request(&webhook).await;
        assert!(
            got.text().contains(&format!("<Say>{name}</Say>")),
            "{webhook:?}: {}",
            got.text()
        );
        let labels = [("route", name), ("reason", "status_5xx")];
        assert!(
            sidecar
                .metric("understudy_fallback_activations_total", &labels)
                .await
                >= 1.0
        );
    }
    let got = sidecar.request(Webhook::voice("/other")).await;
    assert_eq!((got.status, got.text().as_str()), (500, "no"));
}

#[tokio::test]
async fn pipelined_requests_get_their_responses_in_order() {
    let app = FakeUpstream::start(|request| {
        Script::twiml(format!(
            "<Response><Say>{}</Say></Response>",
            request.path()
        ))
    });
    let sidecar = Sidecar::before(&app).start().await;
    let mut client: Client = sidecar.connect().await;
    let both = [
        Webhook::voice("/voice/1").bytes(),
        Webhook::voice("/voice/2").bytes(),
    ]
    .concat();
    client.send(both).await;
    assert!(client.response().await.text().contains("/voice/1"));
    assert!(client.response().await.text().contains("/voice/2"));
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_and_the_app_is_not_asked() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Sidecar::before(&app).start().await;
    let mut client = sidecar.connect().await;
    client
        .send("POST /voice/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let interim = client.bytes("HTTP/1.1 100 Continue\r\n\r\n".len()).await;
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    client.send_more("a=b").await.expect("it is open");
    assert_eq!(client.response().await.status, 200);
    assert_eq!(app.requests()[0].header("expect"), None);
}

fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields
        .iter()
        .filter(|(own, _)| own == name)
        .map(|(_, value)| value.as_str())
        .collect()
}

fn fields_of(request: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(request);
    let head = text.split("\r\n\r\n").next().expect("a head");
    let lines = head
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    lines
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect()
}
