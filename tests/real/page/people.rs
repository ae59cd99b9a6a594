//! Everybody can read the page and use it, and it doesn't get in anybody's way.

use fantoccini::key::Key;
use serde_json::json;

use super::browser::{Browser, installed};
use super::{HEALTHY, before, half_broken, row};
use support::{FakeUpstream, Webhook, millis};

#[tokio::test]
async fn everybody_can_read_it_in_the_light_in_the_dark_and_on_a_phone() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::start(half_broken);
    let sidecar = before(&app).deadline(millis(300)).start().await;
    let browser = Browser::on(&sidecar).await;
    browser.reads("#headline", &[HEALTHY]).await;
    for scheme in ["light", "dark"] {
        browser.prefers("prefers-color-scheme", scheme).await;
        browser
            .expect_accessible(&format!("all healthy, {scheme}"))
            .await;
    }
    for _ in 0..2 {
        sidecar.request(Webhook::voice("/voice/broken")).await;
        sidecar.request(Webhook::sms("/sms/x")).await;
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
        .reads("#headline", &["No response from understudy since "])
        .await;
    for scheme in ["light", "dark"] {
        browser.prefers("prefers-color-scheme", scheme).await;
        browser
            .expect_accessible(&format!("no response, {scheme}"))
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
    let app = FakeUpstream::start(half_broken);
    let sidecar = before(&app).start().await;
    sidecar.request(Webhook::voice("/voice/broken")).await;
    let browser = Browser::on(&sidecar).await;
    browser
        .reads("#failures tr", &["not well-formed XML"])
        .await;
    browser.resize(1440, 500).await;
    browser
        .value("document.querySelector('#failures pre').focus()")
        .await;
    browser
        .value("getSelection().selectAllChildren(document.querySelector('#failures pre code'))")
        .await;
    browser.value("scrollTo(0, 120)").await;
    let watch = "(() => { window.spoken = 0; window.moved = 0; \
         new MutationObserver(() => window.spoken++).observe(document.querySelector('#announcement'), { childList: true, characterData: true, subtree: true }); \
         new MutationObserver(() => window.moved++).observe(document.querySelector('#routes'), { childList: true }); })()";
    browser.value(watch).await;
    // Another route comes to the top of the list, and the one with the focus stays the same.
    browser.polled(2).await;
    assert_eq!(
        browser
            .value("[window.spoken, window.moved, scrollY]")
            .await,
        json!([0, 0, 120])
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
    sidecar.request(Webhook::sms("/sms/x")).await;
    browser
        .value(&format!(
            "document.querySelector({}).focus()",
            json!(row("survey"))
        ))
        .await;
    app.refuse().await;
    sidecar.request(Webhook::sms("/sms/x")).await;
    sidecar.request(Webhook::voice("/survey/x")).await;
    browser
        .reads("#headline", &["incoming-call and incoming-message"])
        .await;
    browser.reads("#routes tr:nth-child(3)", &["survey"]).await;
    assert!(browser.has_focus(&row("survey")).await);
}
