//! What Prometheus and Grafana are given: rules whose alerts fire when they should and then only, a dashboard of which every
//! query finds what it asks for, and an alert that comes when the app breaks and goes when it is mended.

mod files;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Instant;

use serde_json::Value;
use understudy::failure::Reason;

use files::{Case, alerts, dashboard};
pub(crate) use files::{rules, targets};
use server::{POLL_INTERVAL, promtool};
pub(crate) use server::{Prometheus, installed};
use support::{
    Client, FakeUpstream, Request, Response, Script, Sidecar, TIMEOUT, Webhook, millis, wait_for,
};

const DOCUMENT: &str = "<Response><Say>hello</Say></Response>";

/// A route of each kind that has something to show.
const ROUTES: &str = r#"
[signature]
tokens_file = "tokens"
[[route]]
name = "voice"
path = "/voice/*"
kind = "voice"
signature = "report"
[[route]]
name = "messaging"
path = "/messaging/*"
kind = "messaging"
[[route]]
name = "callback"
path = "/callback/*"
kind = "callback"
[[route]]
name = "tried"
path = "/tried/*"
kind = "voice"
mode = "observe"
[[route]]
name = "status"
path = "/status/*"
kind = "callback"
when_down = "queue"
[[route]]
name = "refused"
path = "/refused/*"
kind = "callback"
when_down = "queue"
"#;

/// So little that a test can fill it, and so short that a callback becomes too old within a test.
const QUEUE: &str = "max_size = \"1MiB\"\nmax_age = \"3s\"\n";

#[test]
fn the_rules_and_the_scraping_are_as_prometheus_wants_them() {
    if installed() {
        promtool(&["check", "rules", "understudy.rules.yml"]);
        promtool(&["check", "config", "scrape.yml"]);
    }
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    if installed() {
        promtool(&["test", "rules", "understudy.test.yml"]);
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() {
    let alerts: BTreeSet<_> = rules().alerts().into_iter().collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    let cases = files::cases();
    for expected in [Case::Fires, Case::Silent] {
        let tested = cases.iter().filter(|(_, case)| *case == expected);
        let tested: BTreeSet<_> = tested.map(|(alert, _)| alert.clone()).collect();
        assert_eq!(tested, alerts, "{expected:?}");
    }
}

#[test]
fn every_alert_says_how_bad_it_is_what_to_do_and_where_to_read_on() {
    for file in [rules(), alerts()] {
        for rule in file.alert_blocks() {
            for key in ["severity: ", "summary: ", "description: ", "runbook: "] {
                assert_eq!(rule.matches(key).count(), 1, "{key} in\n{rule}");
            }
            let severity = files::value(&rule, "severity: ");
            assert!(matches!(severity, "page" | "ticket"), "{rule}");
            let runbook = files::value(&rule, "runbook: ");
            assert!(files::has_section(runbook), "{runbook} in\n{rule}");
        }
    }
}

#[test]
fn the_scraping_is_as_the_readme_has_it() {
    let ours = files::without_comments(&files::scraping());
    let readme = files::readme();
    let block = readme
        .split("```yaml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let block = files::without_comments(block.expect("an example"));
    let wanted: Vec<_> = block.lines().map(str::trim).collect();
    let lines: Vec<_> = ours.lines().map(str::trim).collect();
    assert!(
        lines.windows(wanted.len()).any(|part| part == wanted),
        "{block}\nis not in\n{ours}"
    );
}

#[test]
fn the_dashboard_is_one_that_grafana_takes_anywhere() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(39));
    let panels = files::panels(&dashboard);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "every id is of one panel");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let (title, defaults) = (&panel["title"], &panel["fieldConfig"]["defaults"]);
        assert!(defaults["unit"].is_string(), "{title} has no unit");
        assert!(panel["description"].is_string(), "{title} says nothing");
    }
    for (one, other) in files::pairs(&panels) {
        assert!(!files::overlap(one, other), "{one}\nlies on\n{other}");
    }
    for source in files::data_sources(&dashboard) {
        assert!(
            ["${datasource}", "-- Grafana --"].contains(&source),
            "{source}"
        );
    }
    let variables = dashboard["templating"]["list"].as_array();
    let names = variables.into_iter().flatten().map(|one| &one["name"]);
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["datasource", "instance", "route"]
    );
}

#[test]
fn every_reason_has_a_colour_of_its_own() {
    let panels = files::panels(&dashboard());
    let drill = Reason::Drill.label(); // nobody observes one
    for (title, without) in [
        ("Fallbacks by reason", ""),
        ("What observing would have replaced", drill),
    ] {
        let panel = panels.iter().find(|panel| panel["title"] == title);
        let overrides = panel.expect(title)["fieldConfig"]["overrides"].as_array();
        let colours: BTreeMap<_, _> = (overrides.into_iter().flatten())
            .map(|one| {
                let colour = &one["properties"][0]["value"]["fixedColor"];
                (one["matcher"]["options"].as_str(), colour.as_str())
            })
            .collect();
        let labels = Reason::ALL.map(|reason| Some(reason.label()));
        let wanted: BTreeSet<_> = (labels.into_iter())
            .filter(|label| *label != Some(without))
            .collect();
        assert_eq!(colours.keys().copied().collect::<BTreeSet<_>>(), wanted);
        let apart: BTreeSet<_> = colours.values().collect();
        assert_eq!(apart.len(), wanted.len(), "{title}");
    }
}

#[test]
fn nothing_of_ours_is_left_out_of_the_dashboard() {
    let page = files::metrics_page();
    let metrics = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `understudy_")?.split('`').next());
    let metrics: Vec<_> = metrics.collect();
    assert!(metrics.len() > 30, "{metrics:?}");
    let shown = fs::read_to_string(files::path("grafana/understudy.json")).expect("a dashboard");
    for metric in metrics {
        assert!(shown.contains(&format!("understudy_{metric}")), "{metric}");
    }
}

#[test]
fn grafanas_alerts_name_a_panel_of_the_dashboard_and_no_data_source_of_ours() {
    let (dashboard, alerts) = (dashboard(), alerts());
    let panels = files::panels(&dashboard);
    for rule in alerts.alert_blocks() {
        let at = (
            files::value(&rule, "dashboardUid: "),
            files::value(&rule, "panelId: "),
        );
        let shown =
            |panel: &Value| panel["id"].as_u64() == at.1.parse().ok() && panel["type"] != "row";
        assert!(
            dashboard["uid"] == at.0 && panels.iter().any(shown),
            "{rule}"
        );
        for source in files::values(&rule, "datasourceUid: ") {
            assert!(["${UNDERSTUDY_DATASOURCE_UID}", "__expr__"].contains(&source));
        }
    }
}

#[tokio::test]
async fn every_query_of_grafanas_finds_what_it_asks_for() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::start(misbehaving);
    let folder = tempfile::tempdir().expect("a folder");
    let queue = format!("[queue]\npath = {:?}\n{QUEUE}", folder.path().join("queue"));
    let proxy = Sidecar::before(&app)
        .deadline(millis(300))
        .server("public_url = \"https://hooks.example.com\"")
        .routes(&format!("{queue}{ROUTES}"))
        .file("tokens", "*=0123456789abcdef0123456789abcdef\n")
        .start()
        .await;
    let behind_tls = showing_a_certificate(&app).await;
    let prometheus = Prometheus::start(&[proxy.admin, behind_tls.admin], &rules().text).await;

    play_everything(&app, &proxy).await;
    app.recover().await;

    let dashboard = dashboard();
    let mut queries = files::queries(&dashboard);
    assert!(queries.len() > 30, "{queries:?}");
    queries.extend(alerts().queries());
    let asked = Instant::now();
    while !queries.is_empty() {
        assert!(asked.elapsed() < TIMEOUT, "no data for {queries:#?}");
        tokio::time::sleep(POLL_INTERVAL).await;
        // A histogram exists from its first observation, so that Prometheus sees only the second one increase it.
        call(&proxy).await;
        let mut without = Vec::new();
        for query in queries {
            let values = prometheus.query(&query).await;
            // What counts has something to count, and what shows a state at least shows one. The processor's seconds are whole
            // ones, and hardly one has passed.
            let counts = ["rate(understudy_", "increase(understudy_"];
            let counts = counts.iter().any(|counts| query.contains(counts));
            if !values.iter().any(|value| *value > 0.0 || !counts) {
                without.push(query);
            }
        }
        queries = without;
    }
    for (label, metric, least) in files::variables(&dashboard) {
        let values = prometheus.values_of(&label, &metric).await;
        assert!(values.len() >= least, "{label} of {metric}: {values:?}");
    }
}

/// A minute of the rules is a second here. Nothing else of them is changed.
#[tokio::test]
async fn the_alerts_come_when_the_app_breaks_and_go_when_it_is_mended() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let proxy = Sidecar::before(&app)
        .defaults("breaker = { failures = 3, probe_every = \"200ms\" }")
        .start()
        .await;
    let prometheus = Prometheus::start(&[proxy.admin], &rules().sixty_times_as_fast()).await;
    let broken = [
        "UnderstudyFallback",
        "UnderstudyFallbackBurn14x",
        "UnderstudyBreakerOpen",
        "UnderstudyOnFallback",
    ];
    calls_until(&proxy, "calls that are counted", async || {
        let counted = "rate(understudy_requests_total{outcome=\"upstream\"}[5s]) > 0";
        !prometheus.query(counted).await.is_empty()
    })
    .await;
    assert_eq!(prometheus.firing("voice").await, Vec::<String>::new());

    app.refuse().await;
    calls_until(&proxy, "the alerts of a broken app", async || {
        let firing = prometheus.firing("voice").await;
        broken
            .iter()
            .all(|alert| firing.iter().any(|one| one == alert))
    })
    .await;
    for text in prometheus.annotations().await {
        let raw = ["{{", "<error", "<no value>", "%!"];
        assert!(!raw.iter().any(|raw| text.contains(raw)), "{text}");
    }

    app.recover().await;
    calls_until(&proxy, "the app's own responses", async || {
        call(&proxy).await.reason().is_none()
    })
    .await;
    calls_until(&proxy, "the alerts to go", async || {
        let firing = prometheus.firing("voice").await;
        !broken
            .iter()
            .any(|alert| firing.iter().any(|one| one == alert))
    })
    .await;
}

#[tokio::test]
async fn the_alert_of_a_refused_configuration_goes_with_a_good_one() {
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let mut proxy = Sidecar::before(&app).start().await;
    let prometheus = Prometheus::start(&[proxy.admin], &rules().sixty_times_as_fast()).await;
    let good = proxy.config();

    proxy.rewrite_config(&good.replace("[upstream]", "[downstream]"));
    prometheus.fires("UnderstudyReloadFailed").await;
    proxy.rewrite_config(&good);
    prometheus.clears("UnderstudyReloadFailed").await;

    proxy.signal(support::Signal::Terminate);
    proxy.wait().await;
    prometheus.fires("UnderstudyDown").await;
}

/// An app with a fault for each path.
fn misbehaving(request: &Request) -> Script {
    match request.path() {
        "/voice/late" => Script::new().pause(millis(600)).send(support::response(
            "200 OK",
            &[("Content-Type", "text/xml")],
            DOCUMENT,
        )),
        "/voice/odd" => Script::twiml("<Response><Sing/></Response>"),
        "/refused/x" => Script::response("503 Busy", "text/plain", "busy"),
        "/tried/broken" => Script::response("500 Oops", "text/plain", "oops"),
        _ => Script::twiml(DOCUMENT),
    }
}

/// A proxy that speaks TLS to its clients.
async fn showing_a_certificate(app: &FakeUpstream) -> Sidecar {
    let names = ["hooks.example.com".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    Sidecar::before(app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", made.cert.pem())
        .file("key.pem", made.signing_key.serialize_pem())
        .start()
        .await
}

/// Everything that the dashboard can show; at the end the app is gone, and a drill is on.
async fn play_everything(app: &FakeUpstream, proxy: &Sidecar) {
    let drill = r#"{"for":"5m","fault":"status_5xx"}"#;
    let drill = format!(
        "PUT /api/drills/messaging HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{drill}",
        drill.len()
    );
    let begun = Client::connect(proxy.admin).await.request(drill).await;
    assert_eq!(begun.status, 201, "{begun:?}");
    assert_eq!(proxy.admin_post("/api/reload").await.status, 200);

    assert_eq!(
        proxy.request(Webhook::voice("/voice/odd")).await.reason(),
        None
    );
    assert_eq!(
        proxy.request(Webhook::voice("/voice/late")).await.reason(),
        Some("deadline")
    );
    let drilled = proxy.request(Webhook::sms("/messaging/x")).await;
    assert_eq!(drilled.reason(), Some("drill"));
    assert_eq!(
        proxy.request(Webhook::voice("/tried/broken")).await.status,
        500
    );
    // For the last of them there is no room, and the others are never taken.
    let mut statuses = Vec::new();
    for number in 0..6 {
        let large = Webhook::status_callback("/refused/x").with("CallSid", &format!("CA{number}"));
        let large = large.with("Large", &"x".repeat(200_000));
        statuses.push(proxy.request(large).await.status);
    }
    assert_eq!((statuses[0], statuses[5]), (204, 503), "{statuses:?}");
    let late = [("route", "voice")];
    proxy
        .wait_for_metric("understudy_late_answers_total", &late, 1.0)
        .await;

    app.refuse().await;
    for _ in 0..6 {
        assert!(call(proxy).await.reason().is_some());
    }
    let failed = proxy.request(Webhook::status_callback("/callback/x")).await;
    assert_eq!(failed.status, 502);
    let queued = proxy.request(Webhook::status_callback("/status/x")).await;
    assert_eq!(queued.status, 204);
}

async fn call(proxy: &Sidecar) -> Response {
    proxy.request(Webhook::voice("/voice/x")).await
}

/// Goes on calling until it is so.
async fn calls_until(proxy: &Sidecar, what: &str, is_so: impl AsyncFn() -> bool) {
    let calls = async {
        while !is_so().await {
            assert_eq!(call(proxy).await.status, 200);
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    wait_for(what, calls).await;
}
