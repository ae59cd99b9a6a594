//! An app's responses to Twilio's webhooks go back as they are, and the app's own checks still pass behind us.

use std::collections::BTreeMap;

use crate::proxy::{AUTO, NAMED, assert_answered, assert_same, before, behind, directly, lenient};
use crate::real_app::{App, Kind};
use crate::requests::{self, Purpose, Webhook};
use support::{Response, Sidecar};

/// Twilio signs its URL with the apostrophe as it is and sends it escaped; an app must try both, and not all do.
const APOSTROPHE: &str = "sms-incoming-get.http";

#[tokio::test]
async fn every_webhook_gets_the_apps_own_response() {
    for kind in Kind::all() {
        let app = App::start(kind);
        let sidecar = lenient(app.address, NAMED).await;
        let webhooks = twilio_to_app();
        for webhook in &webhooks {
            assert_gets_the_apps_own_response(&app, &sidecar, webhook, kind).await;
        }
        for (route, calls) in calls_of_each_route(&webhooks) {
            assert_answered(&sidecar, route, calls).await;
        }
        let series = "understudy_fallback_activations_total";
        assert_eq!(sidecar.metric(series, &[]).await, 0.0, "{kind}");
    }
}

#[tokio::test]
async fn so_it_does_where_the_proxy_sees_for_itself_what_a_webhook_is_for() {
    for kind in Kind::all() {
        let app = App::start(kind);
        let sidecar = lenient(app.address, AUTO).await;
        let webhooks = twilio_to_app();
        for webhook in &webhooks {
            assert_gets_the_apps_own_response(&app, &sidecar, webhook, kind).await;
        }
        assert_answered(&sidecar, "all", webhooks.len()).await;
    }
}

#[tokio::test]
async fn an_app_that_does_not_learn_of_tls_refuses_what_was_signed_for_https() {
    for kind in Kind::all() {
        let app = App::start(kind);
        let sidecar = lenient(app.address, NAMED).await;
        let response = behind(&sidecar, &requests::named("voice-incoming.http")).await;
        assert_eq!(response.status, 403, "{kind}: {response:?}");
    }
}

#[tokio::test]
async fn a_forged_call_gets_the_fallback_unless_403_may_pass() {
    for kind in Kind::all() {
        let app = App::start(kind);
        let sidecar = before(&app).await;
        let forged = requests::named("forged-signature.http").behind_tls();

        let response = behind(&sidecar, &forged).await;

        assert_eq!(
            (response.status, response.reason()),
            (200, Some("status_4xx")),
            "{kind}"
        );
        let labels = [("route", "voice"), ("reason", "status_4xx")];
        sidecar
            .wait_for_metric("understudy_fallback_activations_total", &labels, 1.0)
            .await;
        let direct = directly(&app, &forged).await;
        assert_eq!(direct.status, 403, "{kind}: {direct:?}");
        let passed = behind(&lenient(app.address, NAMED).await, &forged).await;
        assert_same(&passed, &direct, &kind.to_string());
    }
}

#[tokio::test]
async fn a_login_is_asked_for_and_given() {
    for kind in Kind::all() {
        let app = App::start_with_login(kind);
        let sidecar = before(&app).await;
        let without = requests::named("basic-auth-1-no-authorization.http").behind_tls();
        let with = requests::named("basic-auth-2-authorization.http").behind_tls();

        let challenge = behind(&sidecar, &without).await;
        let response = behind(&sidecar, &with).await;

        assert_eq!(challenge.status, 401, "{kind}: {challenge:?}");
        assert_eq!(
            challenge.header("www-authenticate"),
            Some("Basic realm=\"hooks\""),
            "{kind}"
        );
        assert_same(
            &challenge,
            &directly(&app, &without).await,
            &kind.to_string(),
        );
        assert_is_twiml(&response, &kind.to_string());
        assert_same(&response, &directly(&app, &with).await, &kind.to_string());
        assert_answered(&sidecar, "voice", 2).await;
    }
}

#[tokio::test]
async fn a_conversation_keeps_its_cookies() {
    for kind in Kind::all() {
        let app = App::start(kind);
        let sidecar = before(&app).await;
        let webhook = requests::named("sms-with-conversation-cookie.http").behind_tls();

        let response = behind(&sidecar, &webhook).await;

        let cookies = response
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        let cookies: Vec<_> = cookies
            .map(|(_, cookie)| cookie.split(';').next())
            .collect();
        assert_eq!(
            cookies,
            [Some("step=3"), Some("sid=8f1c2d")],
            "{kind}: {response:?}"
        );
    }
}

#[tokio::test]
async fn an_app_that_keeps_its_connections_needs_only_one() {
    for kind in Kind::installed([Kind::Express]) {
        let app = App::start(kind);
        let proxy = Sidecar::before_address(app.address).routes(NAMED);
        let sidecar = proxy.workers(1).start().await;
        for webhook in twilio_to_app() {
            behind(&sidecar, &webhook).await;
        }
        let opened = sidecar
            .metric("understudy_upstream_connections_opened_total", &[])
            .await;
        assert_eq!(opened, 1.0);
    }
}

/// Twilio keeps a response to a GET and asks whether it has changed.
#[tokio::test]
async fn a_response_that_has_not_changed_is_not_sent_again() {
    for kind in Kind::installed([Kind::Express]) {
        let app = App::start(kind);
        let sidecar = before(&app).await;
        let webhook = requests::named("voice-incoming-get.http").behind_tls();
        let first = behind(&sidecar, &webhook).await;
        let tag = first.header("etag").expect("Express sends ETags");

        let webhook = webhook.with_line(&format!("If-None-Match: {tag}"));
        let response = behind(&sidecar, &webhook).await;

        assert_eq!(response.status, 304, "{response:?}");
        assert_same(
            &response,
            &directly(&app, &webhook).await,
            "a response of 304",
        );
    }
}

/// What comes to the app's HTTP side, by way of a load balancer that ends TLS.
fn twilio_to_app() -> Vec<Webhook> {
    let webhooks = requests::all().into_iter();
    let webhooks = webhooks.filter(|webhook| webhook.purpose != Purpose::Stream);
    webhooks.map(|webhook| webhook.behind_tls()).collect()
}

fn calls_of_each_route(webhooks: &[Webhook]) -> BTreeMap<&str, usize> {
    let mut calls = BTreeMap::new();
    for webhook in webhooks {
        *calls.entry(webhook.route()).or_default() += 1;
    }
    calls
}

async fn assert_gets_the_apps_own_response(
    app: &App,
    sidecar: &Sidecar,
    webhook: &Webhook,
    kind: Kind,
) {
    let what = format!("{} to {kind}", webhook.name);
    let direct = directly(app, webhook).await;
    assert_is_what_is_asked_for(&direct, webhook, &what);
    let behind = behind(sidecar, webhook).await;
    assert_same(&behind, &direct, &what);
    let length = behind.header("content-length").map(str::parse);
    let expected = (direct.status != 204).then_some(Ok(direct.body.len()));
    assert_eq!(
        length, expected,
        "{what}: Twilio wants documents with their length"
    );
}

#[track_caller]
fn assert_is_what_is_asked_for(response: &Response, webhook: &Webhook, what: &str) {
    match webhook.purpose {
        _ if webhook.name == APOSTROPHE => {}
        _ if !webhook.signed => assert_eq!(response.status, 403, "{what}"),
        Purpose::Voice | Purpose::Messaging => assert_is_twiml(response, what),
        Purpose::Callback => assert_eq!(response.status, 204, "{what}"),
        Purpose::Stream => unreachable!("a stream is no HTTP call"),
    }
}

#[track_caller]
fn assert_is_twiml(response: &Response, what: &str) {
    let is_twiml = response.text().contains("<Response");
    assert!(response.status == 200 && is_twiml, "{what}: {response:?}");
}
