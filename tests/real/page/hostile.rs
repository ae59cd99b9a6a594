//! Names that mean harm, readers without the token, more routes than anybody reads.

use fantoccini::key::Key;
use serde_json::json;

use super::browser::{Browser, installed};
use super::{BROKEN, DOCUMENT, HEALTHY, before, row};
use support::{FakeUpstream, Webhook};

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
        // Otherwise it would be a variable.
        let name = name.replace("${", "$${");
        format!("[[route]]\nname = \"{name}\"\npath = \"/{at}/*\"\nkind = \"voice\"\n")
    };
    let routes: String = names.iter().enumerate().map(route).collect();
    let app = FakeUpstream::with_document(BROKEN);
    let sidecar = before(&app).routes(&routes).start().await;
    for at in 0..names.len() {
        sidecar.request(Webhook::voice(&format!("/{at}/x"))).await;
    }
    let browser = Browser::on(&sidecar).await;
    browser
        .reads("#headline", &["Serving from fallback on 5 routes since "])
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
    browser.value("[...document.querySelectorAll('#routes tr')].find((row) => row.textContent.includes('a/b?c')).querySelector('.start').click()").await;
    browser.click("#drill button[type=submit]").await;
    browser.sees("!document.querySelector('#drill').open").await;
    sidecar
        .wait_for_metric("understudy_drill_active", &[], 1.0)
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.expect_accessible("hostile names").await;
}

#[tokio::test]
async fn beyond_loopback_it_asks_for_the_token_and_keeps_it_to_itself() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let sidecar = before(&app)
        .server("admin = \"0.0.0.0:0\"")
        .server("admin_token_file = \"admin.token\"")
        .file("admin.token", "a-token-of-the-page\n")
        .start()
        .await;
    let browser = Browser::on(&sidecar).await;
    browser
        .reads("#headline", &["This understudy asks for its token"])
        .await;
    browser.sees("document.activeElement.id === 'token'").await;
    browser.expect_accessible("asking for the token").await;
    browser.type_into("#token", "a-token-of-the-pag").await;
    browser.press(&[Key::Enter.into()]).await;
    browser
        .reads("#login-error", &["This is not the token."])
        .await;
    browser.type_into("#token", "a-token-of-the-page").await;
    browser.press(&[Key::Enter.into()]).await;
    browser.reads("#headline", &[HEALTHY]).await;
    browser.click(&row("incoming-call")).await;
    browser.click("#drill button[type=submit]").await;
    browser
        .reads("#headline", &["A drill runs on incoming-call"])
        .await;
    let kept = browser
        .value("[localStorage.length, sessionStorage.length, document.cookie]")
        .await;
    assert_eq!(kept, json!([0, 0, ""]));
    sidecar.rewrite("admin.token", "another-token-of-the-page\n");
    browser
        .reads("#headline", &["This understudy asks for its token"])
        .await;
    assert_eq!(browser.text("#status").await, "");
}

#[tokio::test]
async fn of_ten_thousand_routes_it_shows_those_in_trouble_and_finds_any() {
    if !installed() {
        return;
    }
    let route =
        |at| format!("[[route]]\nname = \"route-{at}\"\npath = \"/{at}/*\"\nkind = \"voice\"\n");
    let routes: String = (0..10_000).map(route).collect();
    let app = FakeUpstream::with_document(BROKEN);
    let sidecar = before(&app).routes(&routes).start().await;
    sidecar.request(Webhook::voice("/9876/x")).await;
    let browser = Browser::on(&sidecar).await;
    browser
        .reads("#headline", &["Serving from fallback on route-9876 since "])
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
