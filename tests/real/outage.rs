//! An app that crashes, hangs or is gone: the route serves from fallback, and from the app again as soon as it responds.

use std::net::TcpListener;
use std::time::Duration;

use crate::proxy::{AUTO, NAMED, assert_same, before, behind, directly, lenient};
use crate::real_app::{App, Kind};
use crate::requests::{self, Purpose};
use support::{Response, Sidecar, Webhook};

#[tokio::test]
async fn while_an_app_is_killed_the_fallback_is_sent_until_it_runs_again() {
    for kind in Kind::all() {
        let mut app = App::start(kind);
        let sidecar = before(&app).await;
        let call = requests::named("voice-incoming.http").behind_tls();
        let before_the_kill = directly(&app, &call).await;
        assert_same(
            &behind(&sidecar, &call).await,
            &before_the_kill,
            &kind.to_string(),
        );

        app.kill();
        assert_is_fallback(&behind(&sidecar, &call).await, "connect");

        app.start_again();
        assert_same(
            &behind(&sidecar, &call).await,
            &before_the_kill,
            &kind.to_string(),
        );
    }
}

#[tokio::test]
async fn while_an_app_hangs_the_fallback_is_sent_at_the_deadline() {
    const DEADLINE: Duration = Duration::from_millis(1000);
    for kind in Kind::all() {
        let app = App::start(kind);
        let sidecar = Sidecar::before_address(app.address).routes(NAMED);
        let sidecar = sidecar.deadline(DEADLINE).start().await;
        let call = requests::named("voice-incoming.http").behind_tls();

        app.freeze();
        let response = behind(&sidecar, &call).await;
        app.thaw();

        assert_is_fallback(&response, "deadline");
        assert!(response.took >= DEADLINE, "{kind}: {:?}", response.took);
        let direct = directly(&app, &call).await;
        assert_same(&behind(&sidecar, &call).await, &direct, &kind.to_string());
    }
}

/// What frameworks say when the app's own code fails: a page for developers, with status 500, or, in PHP, with 200.
#[tokio::test]
async fn an_error_page_never_reaches_the_caller() {
    let cases = [
        (Kind::Flask, "/voice/fatal", "status_5xx"),
        (Kind::Express, "/voice/fatal", "status_5xx"),
        (Kind::Legacy, "/voice/fatal", "malformed"),
        (Kind::Legacy, "/voice/warning", "malformed"),
    ];
    for kind in Kind::all() {
        let app = App::start(kind);
        let sidecar = before(&app).await;
        for (_, path, reason) in cases.iter().filter(|(of, ..)| *of == kind) {
            assert_is_fallback(&sidecar.request(Webhook::voice(path)).await, reason);
        }
    }
}

#[tokio::test]
async fn without_an_app_every_webhook_gets_what_it_is_sent_for() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    for routes in [NAMED, AUTO] {
        let sidecar = lenient(nobody.as_ref().copied().expect("a port"), routes).await;
        for webhook in requests::all() {
            let response = behind(&sidecar, &webhook).await;
            let text = response.text();
            let got = (response.status, response.reason().is_some());
            let fits = match webhook.purpose {
                Purpose::Voice => got == (200, true) && text.contains("<Say"),
                Purpose::Messaging if webhook.name == "sms-incoming-stop.http" => {
                    got == (200, true) && text.ends_with("<Response/>")
                }
                Purpose::Messaging => got == (200, true) && text.contains("<Message"),
                Purpose::Callback | Purpose::Stream => got == (502, false),
            };
            assert!(fits, "{}: {response:?}", webhook.name);
        }
    }
}

#[track_caller]
fn assert_is_fallback(response: &Response, reason: &str) {
    assert_eq!(
        (response.status, response.reason()),
        (200, Some(reason)),
        "{response:?}"
    );
    assert!(response.text().contains("We are sorry"), "{response:?}");
}
