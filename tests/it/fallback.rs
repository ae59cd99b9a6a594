//! Fallback documents depend on the request: they contain its parameters, and variants can be in the caller's language. Nothing
//! that a caller sends makes them anything but TwiML.

use understudy::twiml::{Kind, Rules, Strictness, validate};

use support::{
    FakeUpstream, Response, Script, Sidecar, Signal, Webhook, millis, response, understudy,
    wait_for,
};

const ENGLISH: &str = "<Response><Say>hello {{From}}, {{CallerName}}!</Say></Response>";
const FRENCH: &str = "<Response><Say language=\"fr-FR\">bonjour {{ From }}</Say></Response>";

/// A route for calls, and one that takes its kind from the request.
const ROUTES: &str = r#"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
[route.fallback]
file = "en.xml"
when = [{ param = "To", is = "+33*", file = "fr.xml" }, { param = "Digits", is = "1", inline = "<Response><Say>one</Say></Response>" }]

[[route]]
name = "quoted"
path = "/quoted/*"
kind = "voice"
fallback.inline = """<Response><Dial callerId="{{a}}" action='/x?a={{a}}'>1{{a}}</Dial></Response>"""

[[route]]
name = "auto"
path = "/auto/*"
kind = "auto"
[route.fallback]
voice = { file = "en.xml", when = [{ param = "FromCountry", is = "FR", file = "fr.xml" }] }
[route.fallback.messaging]
inline = "<Response><Message>you wrote {{Body}}</Message></Response>"
when = [{ param = "From", is = "whatsapp:*", inline = "<Response><Message>on WhatsApp</Message></Response>" }]
"#;

/// A proxy with those routes before an app that always fails.
async fn sidecar() -> (FakeUpstream, Sidecar) {
    let app = FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"));
    let sidecar = Sidecar::before(&app)
        .routes(ROUTES)
        .file("en.xml", ENGLISH)
        .file("fr.xml", FRENCH)
        .start()
        .await;
    (app, sidecar)
}

/// A POST with this form, not encoded any further.
fn posted(target: &str, form: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

/// The document that was sent, which must be TwiML.
fn document(response: &Response, kind: Kind) -> String {
    assert!(
        response.status == 200 && response.reason().is_some(),
        "{response:?}"
    );
    let rules = Rules::new(kind, Strictness::Twilio);
    let document = validate(response.body.clone().into(), None, &rules).expect("TwiML");
    String::from_utf8(document.bytes().to_vec()).expect("UTF-8")
}

fn english(words: &str) -> String {
    format!("<Response><Say>hello {words}!</Say></Response>")
}

#[tokio::test]
async fn the_variant_depends_on_the_request() {
    let (_app, sidecar) = sidecar().await;
    let french = "<Response><Say language=\"fr-FR\">bonjour +12025550147</Say></Response>";
    let call = Webhook::voice("/voice/x").with("CallerName", "Ann");
    let one = "<Response><Say>one</Say></Response>";
    for (webhook, expected) in [
        (call.clone(), english("+12025550147, Ann")),
        (call.clone().with("To", "+33155500100"), french.into()),
        (call.clone().with("To", "+33155500100").get(), french.into()),
        (
            call.clone().with("To", "+33155500100").with("Digits", "1"),
            french.into(),
        ),
        (call.clone().with("Digits", "1"), one.into()),
        (
            call.clone().with("Digits", "11"),
            english("+12025550147, Ann"),
        ),
        (
            call.clone().with("To", "0033155500100"),
            english("+12025550147, Ann"),
        ),
    ] {
        let got = sidecar.request(&webhook).await;
        assert_eq!(document(&got, Kind::Voice), expected, "{webhook:?}");
    }
}

#[tokio::test]
async fn the_variant_is_the_same_while_the_breaker_is_open() {
    let (_app, sidecar) = sidecar().await;
    let call = Webhook::voice("/auto/x").with("FromCountry", "FR");
    let reason = async || {
        let got = sidecar.request(&call).await;
        assert!(document(&got, Kind::Voice).contains("bonjour +12025550147"));
        got.reason().map(str::to_owned)
    };
    wait_for("the breaker to open", async {
        while reason().await.as_deref() != Some("breaker_open") {}
    })
    .await;
}

#[tokio::test]
async fn an_auto_route_chooses_for_calls_and_for_messages() {
    let (_app, sidecar) = sidecar().await;
    let (call, message) = (Webhook::voice("/auto/x"), Webhook::sms("/auto/x"));
    let texted = |words: &str| format!("<Response><Message>{words}</Message></Response>");
    for (webhook, kind, expected) in [
        (call.clone(), Kind::Voice, english("+12025550147, ")),
        (
            call.with("FromCountry", "FR"),
            Kind::Voice,
            "<Response><Say language=\"fr-FR\">bonjour +12025550147</Say></Response>".into(),
        ),
        (
            message.clone(),
            Kind::Messaging,
            texted("you wrote Hello &amp; good-bye"),
        ),
        (
            message.clone().get(),
            Kind::Messaging,
            texted("you wrote Hello &amp; good-bye"),
        ),
        (
            message.clone().with("From", "whatsapp:+12025550147"),
            Kind::Messaging,
            texted("on WhatsApp"),
        ),
    ] {
        let got = sidecar.request(&webhook).await;
        assert_eq!(document(&got, kind), expected, "{webhook:?}");
    }
    let stop = message
        .with("From", "whatsapp:+12025550147")
        .with("Body", "STOP");
    let got = sidecar.request(stop).await;
    assert!(
        document(&got, Kind::Messaging).ends_with("<Response/>"),
        "an opt-out gets the empty response"
    );
}

#[tokio::test]
async fn parameters_are_escaped_in_text_and_in_attributes() {
    let (_app, sidecar) = sidecar().await;
    for (sent, said) in [
        ("%3C%3E%26%22%27", "&lt;&gt;&amp;&quot;&apos;"),
        ("<>\"'", "&lt;&gt;&quot;&apos;"),
        ("a+b%20c%2Bd", "a b c+d"),
        ("%F0%9F%8D%B0+K%C3%B6ln", "\u{1F370} K\u{f6}ln"),
        ("]]%3E%3C/Dial%3E", "&#93;&#93;&gt;&lt;/Dial&gt;"),
        ("%00%1B%0A%EF%BF%BF", "&#10;"),
        ("%FF%C3", "\u{FFFD}\u{FFFD}"),
        ("%257B%2522", "%7B%22"),
        ("{{a}}", "{{a}}"),
        ("", ""),
    ] {
        let expected = format!(
            "<Response><Dial callerId=\"{said}\" action='/x?a={said}'>1{said}</Dial></Response>"
        );
        let form = format!("CallSid=CA1&a={sent}&a=second");
        let got = sidecar.request(posted("/quoted/x", &form)).await;
        assert_eq!(document(&got, Kind::Voice), expected, "POST {sent}");
        let sent = sent
            .replace('<', "%3C")
            .replace('>', "%3E")
            .replace('"', "%22");
        let got = sidecar
            .request(format!(
                "GET /quoted/x?b=1&a={sent} HTTP/1.1\r\nHost: a\r\n\r\n"
            ))
            .await;
        assert_eq!(document(&got, Kind::Voice), expected, "GET {sent}");
    }
}

#[tokio::test]
async fn a_missing_parameter_is_empty() {
    let (_app, sidecar) = sidecar().await;
    let nothing = english(", ");
    for request in [
        posted("/voice/x", ""),
        posted("/voice/x", "from=%2B1202&From"),
        posted("/voice/x", "From=&CallerName"),
        // Not a form, whatever it looks like.
        posted("/voice/x", "From=1&To=%2B33").replace("x-www-form-urlencoded", "json"),
        "GET /voice/x HTTP/1.1\r\nHost: a\r\nFrom: 1\r\n\r\n".into(),
    ] {
        let got = sidecar.request(request.clone()).await;
        assert_eq!(document(&got, Kind::Voice), nothing, "{request}");
    }
    let got = sidecar
        .request(posted("/voice/x?From=q", "From=f&CallerName=g"))
        .await;
    assert_eq!(
        document(&got, Kind::Voice),
        english("q, g"),
        "the query goes first"
    );
}

#[tokio::test]
async fn a_form_over_the_memory_limit_has_no_parameters() {
    let (_app, sidecar) = sidecar().await;
    let form = |filler: usize| format!("From=1&To=%2B33&x={}", "x".repeat(filler));
    let room = 65_536 - form(0).len();
    let got = sidecar.request(posted("/voice/x", &form(room))).await;
    assert!(document(&got, Kind::Voice).contains("bonjour 1"));
    let got = sidecar
        .request(posted("/voice/x?CallerName=Ann", &form(room + 1)))
        .await;
    assert_eq!(document(&got, Kind::Voice), english(", Ann"));
}

#[tokio::test]
async fn values_that_would_make_the_document_too_large_are_left_out() {
    let (_app, sidecar) = sidecar().await;
    let form = format!("From={}&CallerName=Ann", "<".repeat(20_000));
    let got = sidecar.request(posted("/voice/x", &form)).await;
    assert_eq!(document(&got, Kind::Voice), english(", "));
}

#[tokio::test]
async fn an_incomplete_form_has_no_parameters() {
    let app = FakeUpstream::start(|_| {
        let oops = response("500 Oops", &[("Content-Type", "text/html")], "no");
        Script::unread().send(oops).stall()
    });
    let sidecar = Sidecar::before(&app)
        .deadline(millis(400))
        .routes(ROUTES)
        .file("en.xml", ENGLISH)
        .file("fr.xml", FRENCH)
        .start()
        .await;
    let mut client = sidecar.connect().await;
    let request = posted("/voice/x?CallerName=Ann", "From=%2B12025550147&To=%2B33");
    client.send(&request.as_bytes()[..request.len() - 12]).await;
    let got = client.response().await;
    assert_eq!(document(&got, Kind::Voice), english(", Ann"));
}

#[tokio::test]
async fn a_reload_replaces_templates_but_not_by_an_invalid_one() {
    let (_app, sidecar) = sidecar().await;
    let until = async |document: &str| {
        wait_for(document, async {
            while sidecar.request(Webhook::voice("/voice/x")).await.text() != document {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    until(&english("+12025550147, ")).await;
    sidecar.rewrite("en.xml", "<Response><Say>now to {{To}}</Say></Response>");
    until("<Response><Say>now to +14155550123</Say></Response>").await;

    sidecar.rewrite("en.xml", "<Response><Say>\n{{#if To}}</Say></Response>");
    let labels = [("result", "failure")];
    sidecar
        .wait_for_metric("understudy_config_reloads_total", &labels, 1.0)
        .await;
    assert!(
        sidecar
            .log_lines()
            .iter()
            .any(|line| line.contains("en.xml:2:1: this is not a valid placeholder"))
    );
    until("<Response><Say>now to +14155550123</Say></Response>").await;

    let config = sidecar.config().replace("\"+33*\"", "\"+1*\"");
    sidecar.rewrite("en.xml", ENGLISH);
    sidecar.rewrite_config(&config);
    until("<Response><Say language=\"fr-FR\">bonjour +12025550147</Say></Response>").await;
}

#[test]
fn check_says_where_a_template_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    for (name, document) in [
        (
            "if.xml",
            "<Response>\n  <Say>{{#if From}}hi{{/if}}</Say>\n</Response>",
        ),
        (
            "open.xml",
            "<Response>\n  <Say>h\u{e9} {{From</Say>\n</Response>",
        ),
        (
            "comment.xml",
            "<Response>\n  <!-- {{From}} -->\n</Response>",
        ),
        (
            "method.xml",
            "<Response><Dial action='/{{a}}' method='{{b}}'>1</Dial></Response>",
        ),
    ] {
        std::fs::write(file(name), document).expect("written");
    }
    let config = "[upstream]\nurl = \"http://127.0.0.1:1\"\n[[route]]\nname = \"x\"\npath = \"/x\"\nkind = \"voice\"\n\
                  [route.fallback]\nfile = \"if.xml\"\nwhen = [\n\
                  { param = \"To\", is = \"1\", file = \"open.xml\" },\n\
                  { param = \"To\", is = \"2\", file = \"comment.xml\" },\n\
                  { param = \"To\", is = \"3\", file = \"method.xml\" },\n\
                  { param = \"To\", is = \"4*4\", inline = \"<Response>{{{x}}}</Response>\" },\n]\n";
    std::fs::write(file("u.toml"), config).expect("written");

    let output = understudy(&["check", "--config", &file("u.toml")]);

    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let said = said.replace(&file(""), "");
    let wrong: Vec<_> = said
        .lines()
        .filter_map(|line| line.split("; ").next())
        .collect();
    assert_eq!(
        wrong,
        [
            "u.toml:8:8: route[0].fallback.file: if.xml:2:8: this is not a valid placeholder: a fallback document has no logic, only parameters of the request",
            "u.toml:10:34: route[0].fallback.when[0].file: open.xml:2:11: no `}}` closes this `{{`",
            "u.toml:11:34: route[0].fallback.when[1].file: comment.xml:2:8: a value can't stand here, only in text or in an attribute's value: not in a name, a comment or CDATA",
            "u.toml:12:34: route[0].fallback.when[2].file: method.xml:1:41: not valid Voice TwiML with `1` for each value: bad value for `method` on `<Dial>`: expected `GET` or `POST`",
            "u.toml:13:22: route[0].fallback.when[3].is: \"4*4\" has a `*` before its end",
            "u.toml:13:38: route[0].fallback.when[3].inline: line 1, column 11 of the document: `{{{` is not a valid placeholder: what comes from a request is always escaped",
        ]
    );
}

/// Twilio and what stands before it cache what they may: then callers would hear the fallback when the app is well again.
#[tokio::test]
async fn a_fallback_is_never_stored_by_a_cache() {
    let (_app, sidecar) = sidecar().await;
    let post = posted("/voice/x", "From=a");
    let get = "GET /voice/x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
    for request in [post, get] {
        let got = sidecar.request(request).await;
        assert_eq!(got.reason(), Some("status_5xx"));
        assert_eq!(got.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_form_that_came_while_the_machine_stood_still_has_its_parameters() {
    let app = FakeUpstream::start(|_| Script::new().stall());
    let sidecar = Sidecar::before(&app)
        .deadline(millis(500))
        .routes(ROUTES)
        .file("en.xml", ENGLISH)
        .file("fr.xml", FRENCH)
        .start()
        .await;
    let request = posted("/voice/x", "From=%2B12025550147&CallerName=Ann");
    let (head, body) = request.split_at(request.len() - 10);
    let mut client = sidecar.connect().await;
    client.send(head).await;
    sidecar
        .wait_for_metric("understudy_in_flight_requests", &[("route", "voice")], 1.0)
        .await;
    sidecar.signal(Signal::Stop);
    client.send_more(body).await.expect("the kernel takes it");
    tokio::time::sleep(millis(600)).await;
    sidecar.signal(Signal::Continue);
    let got = client.response().await;
    assert_eq!(got.reason(), Some("deadline"));
    assert_eq!(document(&got, Kind::Voice), english("+12025550147, Ann"));
}
