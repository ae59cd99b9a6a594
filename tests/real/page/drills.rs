//! Drills, started and stopped on the page.

use fantoccini::key::Key;

use super::browser::{Browser, installed};
use super::{DOCUMENT, HEALTHY, before, row};
use support::FakeUpstream;

#[tokio::test]
async fn a_drill_is_started_and_stopped_by_the_keyboard_alone() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[HEALTHY]).await;

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
        .reads("#headline", &["A drill runs on incoming-message"])
        .await;
    browser.sees("!document.querySelector('#drill').open").await;
    assert!(browser.has_focus(&row("incoming-message")).await);
    browser
        .reads(
            "#routes tr.drill .countdown",
            &["4:", " left", "50 %", "0 of 0 requests failed on purpose"],
        )
        .await;
    let on = [("route", "incoming-message")];
    sidecar
        .wait_for_metric("understudy_drill_active", &on, 1.0)
        .await;

    browser.press(&[Key::Shift.into(), Key::Tab.into()]).await;
    assert!(browser.has_focus("#routes tr.drill button.stop").await);
    browser.press(&[Key::Enter.into()]).await;
    browser.reads("#headline", &[HEALTHY]).await;
    assert!(browser.has_focus(&row("incoming-message")).await);
    assert_eq!(sidecar.metric("understudy_drill_active", &on).await, 0.0);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_wrong_with_a_drill_is_shown_and_validation_touches_no_request() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[HEALTHY]).await;
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
            &["The fallback is valid Voice TwiML. No request was touched."],
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
    // The browser itself reports responses that are errors, and nothing else.
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|line| line.contains("/api/drills/")),
        "{complaints:?}"
    );
}
