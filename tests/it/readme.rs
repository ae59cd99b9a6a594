//! What the README says is so, and what `docs/` says of reasons and metrics.

use std::fs;

use understudy::config::Config;
use understudy::failure::{Outcome, Reason};

use support::{FakeUpstream, Sidecar, Webhook};

fn readme() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("a README")
}

/// The blocks of one language, without their indentation.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let fence = format!("```{language}\n");
    let blocks = readme.split(&fence).skip(1).map(|rest| {
        let block = rest.split("```").next().expect("an end");
        block
            .lines()
            .map(|line| line.strip_prefix("   ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n")
    });
    blocks.collect()
}

#[test]
fn its_configurations_are_good() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("fallback")).expect("a folder");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/config/fallback/voice.en.xml");
    fs::copy(page, folder.path().join("fallback/voice.en.xml")).expect("a page");
    let blocks = blocks("toml");
    assert!(!blocks.is_empty());
    for (at, block) in blocks.iter().enumerate() {
        let path = folder.path().join(format!("{at}.toml"));
        fs::write(&path, block).expect("a file");
        let config = Config::load(&path).unwrap_or_else(|errors| panic!("{errors}\n{block}"));
        assert_eq!(config.proxy.routes.len(), 3);
    }
}

fn page(name: &str) -> String {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    fs::read_to_string(format!("{docs}/{name}")).expect("a page")
}

#[test]
fn it_is_short_enough_for_five_minutes() {
    let words = readme().split_whitespace().count();
    assert!(words <= 1000, "{words} words");
}

#[test]
fn the_page_of_reasons_names_every_reason_and_every_outcome() {
    let reasons = page("reasons.md");
    for word in Reason::ALL
        .map(Reason::label)
        .iter()
        .chain(&Outcome::ALL.map(Outcome::label))
    {
        assert!(reasons.contains(&format!("`{word}`")), "{word}");
    }
}

#[tokio::test]
async fn the_page_of_metrics_has_what_is_served() {
    let app = FakeUpstream::with_document("<Response/>");
    let folder = tempfile::tempdir().expect("a folder");
    let queue = folder.path().join("queue");
    let sidecar = Sidecar::before(&app)
        .routes(&format!(
            "[queue]\npath = {queue:?}\n\
             [[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\nmode = \"observe\"\n\
             [[route]]\nname = \"status\"\npath = \"/status/*\"\nkind = \"callback\"\nwhen_down = \"queue\"\n"
        ))
        .start()
        .await;
    // A histogram is there from its first observation.
    assert_eq!(
        sidecar.request(Webhook::voice("/voice/x")).await.reason(),
        None
    );
    let requests = "understudy_requests_total";
    sidecar.wait_for_metric(requests, &[], 1.0).await;
    let served = sidecar.admin_get("/metrics").await.text();
    let mut served: Vec<_> = served
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE understudy_")?.split(' ').next())
        .collect();
    // This one is there once there is a certificate.
    let certificate = "tls_certificate_not_after_timestamp_seconds";
    served.push(certificate);
    served.sort_unstable();
    let metrics = page("metrics.md");
    let rows = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("| `understudy_")?.split('`').next());
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    assert_eq!(rows, served);
}

#[test]
fn its_two_commands_stand_at_the_top() {
    let readme = readme();
    let top = readme.split("## ").next().expect("a top");
    for command in ["    cargo run --release -- demo\n", "    cargo test\n"] {
        assert!(top.contains(command), "{command}");
    }
}
