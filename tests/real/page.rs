//! The status page in a real Chromium: what it says at the top, what it shows of a failure, and that it can be read and used
//! by anybody: without a mouse, in the dark, on a phone, by a screen reader.

mod browser;
mod drills;
mod hostile;
mod people;
mod queue;

use browser::{Browser, installed};
use support::{Builder, FakeUpstream, Request, Script, Sidecar, Webhook};

const DOCUMENT: &str = "<Response><Say>hello</Say></Response>";

/// A page that breaks in its third line, full of a caller's data.
const BROKEN: &str = "<?xml version=\"1.0\"?>\n<Response>\n  <Say voice=\"alice\">Dear Ann Smith, call +15550199</Gather>\n</Response>";

/// Routes as people have them.
const ROUTES: &str = r#"
[[route]]
name = "incoming-call"
path = "/voice/*"
kind = "voice"
[[route]]
name = "incoming-message"
path = "/sms/*"
kind = "messaging"
[[route]]
name = "call-status"
path = "/status/*"
kind = "callback"
[[route]]
name = "survey"
path = "/survey/*"
kind = "voice"
mode = "observe"
"#;

const HEALTHY: &str = "Serving from app on all 4 routes";

/// The row of a route.
fn row(name: &str) -> String {
    format!("#routes button.start[aria-label=\"Start a drill on \u{2068}{name}\u{2069}\"]")
}

fn before(app: &FakeUpstream) -> Builder {
    Sidecar::before(app).routes(ROUTES)
}

/// An app that answers calls badly below `/voice/broken`, and well elsewhere.
fn half_broken(request: &Request) -> Script {
    Script::twiml(if request.path() == "/voice/broken" {
        BROKEN
    } else {
        DOCUMENT
    })
}

#[tokio::test]
async fn the_headline_tells_the_fallback_and_its_end_without_a_reload() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::start(half_broken);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[HEALTHY]).await;
    browser
        .sees("document.title === '● Serving from app on all 4 routes – understudy'")
        .await;
    let healthy = browser.value("document.querySelector('#icon').href").await;
    browser.value("window.isSame = true").await;

    sidecar.request(Webhook::voice("/voice/broken")).await;
    browser
        .reads(
            "#headline",
            &[
                "Serving from fallback on incoming-call since ",
                ": malformed",
            ],
        )
        .await;
    browser
        .sees("document.title.startsWith('▲ Serving from fallback on ')")
        .await;
    browser
        .sees(
            "document.querySelector('#announcement').textContent.startsWith('Serving from fallback on ')",
        )
        .await;
    let plotted = browser
        .value("document.querySelector('#routes tr .plot.failed').getAttribute('aria-label')")
        .await;
    assert_eq!(
        plotted,
        "1 of 1 request in the last 10 minutes without a good response from the app: 100 %"
    );
    let trouble = browser.value("document.querySelector('#icon').href").await;
    assert_ne!(healthy, trouble);
    browser
        .sees("document.querySelector('#routes tr').className === 'fallback'")
        .await;
    browser
        .reads(
            "#routes tr",
            &["incoming-call", "fallback", "100 %", "malformed"],
        )
        .await;

    sidecar.request(Webhook::voice("/voice/x")).await;
    browser.reads("#headline", &[HEALTHY]).await;
    assert_eq!(browser.value("window.isSame").await, true);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failure_shows_its_line_with_a_caret_and_nothing_that_was_said() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::start(half_broken);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    let webhook = Webhook::voice("/voice/broken");
    for _ in 0..3 {
        sidecar.request(&webhook).await;
    }
    let row = browser
        .reads(
            "#failures tr",
            &[
                "the document is not well-formed XML",
                "Twilio 12100",
                "Line 3, column 52.",
                "2 more like it",
            ],
        )
        .await;
    for part in ["CA", "200", " ms", "Close <Say> first."] {
        assert!(row.contains(part), "{part} is not in {row}");
    }
    let shown = browser
        .value("document.querySelector('#failures pre').textContent")
        .await;
    let line = "  <Say voice=\"•••••\">•••• ••• •••••, •••• +••••••••</Gather>";
    assert_eq!(shown, format!("{line}\n{}^", " ".repeat(51)));
    let places = "((pre) => { const range = document.createRange(); range.setStart(pre.querySelector('code').firstChild, 51); \
                  return range.getBoundingClientRect().left - pre.querySelector('.caret').getBoundingClientRect().left; })(document.querySelector('#failures pre'))";
    let off = browser.value(places).await.as_f64().expect("a number");
    assert!(
        off.abs() < 1.0,
        "the caret is {off} pixels beside what it is about"
    );
    let link = browser
        .value("((link) => [link.href, link.rel])(document.querySelector('#failures a'))")
        .await;
    assert_eq!(
        link,
        serde_json::json!(["https://www.twilio.com/docs/api/errors/12100", "noreferrer"])
    );
    let all = browser
        .value("document.documentElement.outerHTML")
        .await
        .to_string();
    for said in ["Ann", "Smith", "15550199"] {
        assert!(!all.contains(said), "{said}");
    }
}

#[tokio::test]
async fn an_error_of_the_configuration_is_shown_and_goes_when_it_is_mended() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[HEALTHY]).await;
    let good = sidecar.config();
    sidecar.rewrite_config(&good.replace("kind = \"callback\"", "kind = \"callbak\""));
    browser
        .reads(
            "#config-error",
            &["was not reloaded: the old one stays", "callbak", "callback"],
        )
        .await;
    browser.reads("#headline", &[HEALTHY]).await;
    browser.expect_accessible("a refused configuration").await;
    browser.click("#reload").await;
    browser.reads("#reload-result", &["callbak"]).await;
    sidecar.rewrite_config(&good);
    browser
        .sees("document.querySelector('#config-error').hidden")
        .await;
    browser.click("#reload").await;
    browser.reads("#reload-result", &["Reloaded at "]).await;
}

#[tokio::test]
async fn it_says_that_understudy_is_gone_and_goes_on_when_it_is_back() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).start().await;
    let admin = sidecar.admin;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[HEALTHY]).await;
    drop(sidecar);
    browser
        .reads("#headline", &["No response from understudy since "])
        .await;
    browser
        .sees("document.title.startsWith('✕ No response')")
        .await;
    browser
        .reads("#subline", &["The status below is from then."])
        .await;
    let _back = before(&app)
        .server(&format!("admin = \"{admin}\""))
        .start()
        .await;
    browser.reads("#headline", &[HEALTHY]).await;
}
