//! The status page in a real Chromium: what it says at the top, what it shows of a failure, and that it can be read and used
//! by anybody: without a mouse, in the dark, on a phone, by a screen reader.

mod browser;

use fantoccini::key::Key;

use crate::support::{App, Builder, Request, Script, Sidecar, Webhook};
use browser::{Browser, installed};

const PAGE: &str = "<Response><Say>hello</Say></Response>";

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

const CALM: &str = "The app is on stage on all 4 routes";

/// The row of a route.
fn row(name: &str) -> String {
    format!("#routes button.begin[aria-label=\"Rehearse the fallback on \u{2068}{name}\u{2069}\"]")
}

fn before(app: &App) -> Builder {
    Sidecar::before(app).routes(ROUTES)
}

/// An app that answers calls badly below `/voice/broken`, and well elsewhere.
fn half_broken(request: &Request) -> Script {
    Script::twiml(if request.path() == "/voice/broken" {
        BROKEN
    } else {
        PAGE
    })
}

#[tokio::test]
async fn the_headline_tells_the_fallback_and_its_end_without_a_reload() {
    if !installed() {
        return;
    }
    let app = App::start(half_broken);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[CALM]).await;
    browser
        .sees("document.title === '● The app is on stage on all 4 routes – understudy'")
        .await;
    let calm = browser.value("document.querySelector('#icon').href").await;
    browser.value("window.isSame = true").await;

    sidecar.ask(Webhook::voice("/voice/broken")).await;
    browser
        .reads(
            "#headline",
            &[
                "The fallback is on stage on incoming-call since ",
                ": malformed",
            ],
        )
        .await;
    browser
        .sees("document.title.startsWith('▲ The fallback is on stage on ')")
        .await;
    browser.sees("document.querySelector('#spoken').textContent.startsWith('The fallback is on stage on ')").await;
    let trouble = browser.value("document.querySelector('#icon').href").await;
    assert_ne!(calm, trouble);
    browser
        .sees("document.querySelector('#routes tr').className === 'fallback'")
        .await;
    browser
        .reads(
            "#routes tr",
            &["incoming-call", "fallback", "100 %", "malformed"],
        )
        .await;

    sidecar.ask(Webhook::voice("/voice/x")).await;
    browser.reads("#headline", &[CALM]).await;
    assert_eq!(browser.value("window.isSame").await, true);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failure_shows_its_line_with_a_caret_and_nothing_that_was_said() {
    if !installed() {
        return;
    }
    let app = App::start(half_broken);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    let webhook = Webhook::voice("/voice/broken");
    for _ in 0..3 {
        sidecar.ask(&webhook).await;
    }
    let row = browser
        .reads(
            "#failures tr",
            &[
                "the page is no well-formed XML",
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
async fn a_rehearsal_is_started_and_stopped_by_the_keyboard_alone() {
    if !installed() {
        return;
    }
    let app = App::with_page(PAGE);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[CALM]).await;

    browser.tab_to(&row("incoming-message")).await;
    browser.press(&[Key::Enter.into()]).await;
    browser
        .reads("#drill-meaning", &["For 5 minutes, all real callers of incoming-message will get the fallback, not the app."])
        .await;
    browser.tab_to("#drill-percent").await;
    browser.press(&[Key::Control.into(), 'a']).await;
    browser.press(&['5']).await;
    browser.press(&['0']).await;
    // What is typed, and where, stays while the page goes on.
    browser.polled(2).await;
    assert!(browser.has_focus("#drill-percent").await);
    browser
        .reads("#drill-meaning", &["50 % of the real callers"])
        .await;
    browser.tab_to("#drill button[type=submit]").await;
    browser.press(&[Key::Enter.into()]).await;

    browser
        .reads(
            "#headline",
            &["A rehearsal is on stage on incoming-message"],
        )
        .await;
    browser.sees("!document.querySelector('#drill').open").await;
    assert!(browser.has_focus(&row("incoming-message")).await);
    browser
        .reads(
            "#routes tr.drill .countdown",
            &["4:", " left", "50 %", "0 of 0 calls struck"],
        )
        .await;
    let on = [("route", "incoming-message")];
    sidecar.counted("understudy_drill_active", &on, 1.0).await;

    browser.press(&[Key::Shift.into(), Key::Tab.into()]).await;
    assert!(browser.has_focus("#routes tr.drill button.end").await);
    browser.press(&[Key::Enter.into()]).await;
    browser.reads("#headline", &[CALM]).await;
    assert!(browser.has_focus(&row("incoming-message")).await);
    assert_eq!(sidecar.metric("understudy_drill_active", &on).await, 0.0);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_wrong_with_a_rehearsal_is_shown_and_judging_touches_no_call() {
    if !installed() {
        return;
    }
    let app = App::with_page(PAGE);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[CALM]).await;
    browser.click(&row("incoming-call")).await;
    browser.type_into("#drill-for", "25h").await;
    browser.click("#drill button[type=submit]").await;
    browser
        .reads(
            "#drill-error",
            &["For is \"25h\": a drill lasts 24h at most."],
        )
        .await;
    browser.click("#drill-dry").await;
    browser
        .reads(
            "#drill-result",
            &["The fallback is good: valid Voice TwiML. No call was touched."],
        )
        .await;
    assert_eq!(browser.text("#drill-error").await, "");
    browser.click("#drill-cancel").await;

    browser.click(&row("survey")).await;
    browser.type_into("#drill-for", "1m").await;
    browser.click("#drill button[type=submit]").await;
    browser
        .reads(
            "#drill-error",
            &["its mode is observe, where nothing is ever replaced"],
        )
        .await;
    browser.press(&[Key::Escape.into()]).await;
    browser.click(&row("call-status")).await;
    browser
        .reads(
            "#drill-meaning",
            &["all real callers of call-status will get an error (502 or 504)"],
        )
        .await;
    assert_eq!(sidecar.metric("understudy_drill_active", &[]).await, 0.0);
    // The browser itself tells of answers that are errors; of nothing else.
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|line| line.contains("/api/drills/")),
        "{complaints:?}"
    );
}

#[tokio::test]
async fn an_error_of_the_configuration_is_shown_and_goes_when_it_is_mended() {
    if !installed() {
        return;
    }
    let app = App::with_page(PAGE);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[CALM]).await;
    let good = sidecar.config();
    sidecar.rewrite_config(&good.replace("kind = \"callback\"", "kind = \"callbak\""));
    browser
        .reads(
            "#refused",
            &["was not reloaded: the old one stays", "callbak", "callback"],
        )
        .await;
    browser.reads("#headline", &[CALM]).await;
    browser.expect_accessible("a refused configuration").await;
    browser.click("#reload").await;
    browser.reads("#reload-result", &["callbak"]).await;
    sidecar.rewrite_config(&good);
    browser
        .sees("document.querySelector('#refused').hidden")
        .await;
    browser.click("#reload").await;
    browser.reads("#reload-result", &["Reloaded at "]).await;
}

#[tokio::test]
async fn it_says_that_understudy_is_gone_and_goes_on_when_it_is_back() {
    if !installed() {
        return;
    }
    let app = App::with_page(PAGE);
    let sidecar = before(&app).start().await;
    let admin = sidecar.admin;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[CALM]).await;
    drop(sidecar);
    browser
        .reads("#headline", &["No answer from understudy since "])
        .await;
    browser
        .sees("document.title.startsWith('✕ No answer')")
        .await;
    browser
        .reads("#subline", &["What stands below is what it said then."])
        .await;
    let _back = before(&app)
        .server(&format!("admin = \"{admin}\""))
        .start()
        .await;
    browser.reads("#headline", &[CALM]).await;
}

#[tokio::test]
async fn hostile_names_do_no_harm() {
    if !installed() {
        return;
    }
    let names = [
        r#""><script>document.title = 'stolen'</script>"#,
        "<img src=x onerror=\"document.title = 'stolen'\">",
        "\u{202e}drawkcab 🎭 \u{5e9}\u{5dc}\u{5d5}\u{5dd}",
        "a/b?c#d%2e&e=f; \\ '`${alert(1)}",
        "{{style}} /* script */ __proto__",
    ];
    let route = |(at, name): (usize, &&str)| {
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("[[route]]\nname = \"{name}\"\npath = \"/{at}/*\"\nkind = \"voice\"\n")
    };
    let routes: String = names.iter().enumerate().map(route).collect();
    let app = App::with_page(BROKEN);
    let sidecar = before(&app).routes(&routes).start().await;
    for at in 0..names.len() {
        sidecar.ask(Webhook::voice(&format!("/{at}/x"))).await;
    }
    let browser = Browser::on(&sidecar).await;
    browser
        .reads(
            "#headline",
            &["The fallback is on stage on 5 routes since "],
        )
        .await;
    let shown = browser
        .value("[...document.querySelectorAll('#routes th bdi')].map((name) => name.textContent)")
        .await;
    for name in names {
        let found = shown
            .as_array()
            .expect("names")
            .iter()
            .any(|one| one == name);
        assert!(found, "{name} is not in {shown}");
    }
    for (selector, wanted) in [("script", 1), ("img", 0), ("style", 1)] {
        let many = browser
            .value(&format!("document.querySelectorAll('{selector}').length"))
            .await;
        assert_eq!(many, wanted, "{selector}");
    }
    // A name that would be more than one part of a path.
    browser.value("[...document.querySelectorAll('#routes tr')].find((row) => row.textContent.includes('a/b?c')).querySelector('.begin').click()").await;
    browser.click("#drill button[type=submit]").await;
    browser.sees("!document.querySelector('#drill').open").await;
    let on = [("route", names[3])];
    let _ = on;
    sidecar.counted("understudy_drill_active", &[], 1.0).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.expect_accessible("hostile names").await;
}

#[tokio::test]
async fn everybody_can_read_it_in_the_light_in_the_dark_and_on_a_phone() {
    if !installed() {
        return;
    }
    let app = App::start(half_broken);
    let sidecar = before(&app)
        .deadline(crate::support::millis(300))
        .start()
        .await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[CALM]).await;
    for scheme in ["light", "dark"] {
        browser.prefers("prefers-color-scheme", scheme).await;
        browser
            .expect_accessible(&format!("all calm, {scheme}"))
            .await;
    }
    for _ in 0..2 {
        sidecar.ask(Webhook::voice("/voice/broken")).await;
        sidecar.ask(Webhook::sms("/sms/x")).await;
    }
    browser.click(&row("incoming-message")).await;
    browser.click("#drill button[type=submit]").await;
    browser.sees("!document.querySelector('#drill').open").await;
    browser.reads("#routes", &["4:5", "fallback"]).await;
    for scheme in ["light", "dark"] {
        browser.prefers("prefers-color-scheme", scheme).await;
        browser
            .expect_accessible(&format!("trouble, {scheme}"))
            .await;
        browser.click(&row("incoming-call")).await;
        browser
            .expect_accessible(&format!("the dialog, {scheme}"))
            .await;
        browser.press(&[Key::Escape.into()]).await;
        browser.resize(360, 740).await;
        browser
            .expect_accessible(&format!("a phone, {scheme}"))
            .await;
        let wide = browser.value("document.documentElement.scrollWidth").await;
        assert_eq!(wide, 360, "a page that goes out at the side");
        browser.resize(1440, 1000).await;
    }
    drop(sidecar);
    browser
        .reads("#headline", &["No answer from understudy since "])
        .await;
    for scheme in ["light", "dark"] {
        browser.prefers("prefers-color-scheme", scheme).await;
        browser
            .expect_accessible(&format!("no answer, {scheme}"))
            .await;
    }
    let moves = "[...document.querySelectorAll('*')].filter((one) => { const style = getComputedStyle(one); \
                 return style.transitionDuration !== '0s' || style.animationName !== 'none'; }).length";
    assert_eq!(browser.value(moves).await, 0);
}

#[tokio::test]
async fn while_nothing_changes_nothing_is_touched() {
    if !installed() {
        return;
    }
    let app = App::start(half_broken);
    let sidecar = before(&app).start().await;
    sidecar.ask(Webhook::voice("/voice/broken")).await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#failures tr", &["no well-formed XML"]).await;
    browser.resize(1440, 500).await;
    browser
        .value("document.querySelector('#failures pre').focus()")
        .await;
    browser
        .value("getSelection().selectAllChildren(document.querySelector('#failures pre code'))")
        .await;
    browser.value("scrollTo(0, 120)").await;
    let watch = "(() => { window.spoken = 0; window.moved = 0; \
         new MutationObserver(() => window.spoken++).observe(document.querySelector('#spoken'), { childList: true, characterData: true, subtree: true }); \
         new MutationObserver(() => window.moved++).observe(document.querySelector('#routes'), { childList: true }); })()";
    browser.value(watch).await;
    // Another route comes to the top of the list, and the one with the focus stays the same.
    browser.polled(2).await;
    assert_eq!(
        browser
            .value("[window.spoken, window.moved, scrollY]")
            .await,
        serde_json::json!([0, 0, 120])
    );
    let selected = browser.value("getSelection().toString()").await;
    assert!(
        selected
            .as_str()
            .is_some_and(|text| text.contains("</Gather>")),
        "{selected}"
    );
    assert!(browser.has_focus("#failures pre").await);

    browser.tab_to("#filter").await;
    sidecar.ask(Webhook::sms("/sms/x")).await;
    browser
        .value(&format!(
            "document.querySelector({}).focus()",
            serde_json::json!(row("survey"))
        ))
        .await;
    app.refuse().await;
    sidecar.ask(Webhook::sms("/sms/x")).await;
    sidecar.ask(Webhook::voice("/survey/x")).await;
    browser
        .reads("#headline", &["incoming-call and incoming-message"])
        .await;
    browser.reads("#routes tr:nth-child(3)", &["survey"]).await;
    assert!(browser.has_focus(&row("survey")).await);
}

#[tokio::test]
async fn beyond_loopback_it_asks_for_the_token_and_keeps_it_to_itself() {
    if !installed() {
        return;
    }
    let app = App::with_page(PAGE);
    let sidecar = before(&app)
        .server("admin = \"0.0.0.0:0\"")
        .server("admin_token_file = \"admin.token\"")
        .file("admin.token", "t0ken\n")
        .start()
        .await;
    let browser = Browser::on(&sidecar).await;
    browser
        .reads("#headline", &["This understudy asks for its token"])
        .await;
    browser.sees("document.activeElement.id === 'token'").await;
    browser.expect_accessible("asking for the token").await;
    browser.type_into("#token", "t0ke").await;
    browser.press(&[Key::Enter.into()]).await;
    browser
        .reads("#entrance-error", &["This is not the token."])
        .await;
    browser.type_into("#token", "t0ken").await;
    browser.press(&[Key::Enter.into()]).await;
    browser.reads("#headline", &[CALM]).await;
    browser.click(&row("incoming-call")).await;
    browser.click("#drill button[type=submit]").await;
    browser
        .reads("#headline", &["A rehearsal is on stage on incoming-call"])
        .await;
    let kept = browser
        .value("[localStorage.length, sessionStorage.length, document.cookie]")
        .await;
    assert_eq!(kept, serde_json::json!([0, 0, ""]));
    sidecar.rewrite("admin.token", "other\n");
    browser
        .reads("#headline", &["This understudy asks for its token"])
        .await;
    assert_eq!(browser.text("#told").await, "");
}

#[tokio::test]
async fn of_ten_thousand_routes_it_shows_those_in_trouble_and_finds_any() {
    if !installed() {
        return;
    }
    let route =
        |at| format!("[[route]]\nname = \"route-{at}\"\npath = \"/{at}/*\"\nkind = \"voice\"\n");
    let routes: String = (0..10_000).map(route).collect();
    let app = App::with_page(BROKEN);
    let sidecar = before(&app).routes(&routes).start().await;
    sidecar.ask(Webhook::voice("/9876/x")).await;
    let browser = Browser::on(&sidecar).await;
    browser
        .reads(
            "#headline",
            &["The fallback is on stage on route-9876 since "],
        )
        .await;
    browser
        .reads("#routes-shown", &["Showing 200 of 10,001; trouble first"])
        .await;
    browser
        .reads("#routes tr", &["route-9876", "fallback"])
        .await;
    assert_eq!(
        browser
            .value("document.querySelectorAll('#routes tr').length")
            .await,
        200
    );
    browser.type_into("#filter", "ROUTE-123").await;
    browser.reads("#routes-shown", &["11 that match"]).await;
    assert_eq!(
        browser
            .value("document.querySelectorAll('#routes tr').length")
            .await,
        11
    );
    browser.reads("#headline", &["route-9876"]).await;
    browser.type_into("#filter", "nowhere").await;
    browser.reads("#routes-none", &["No route has this"]).await;
}
