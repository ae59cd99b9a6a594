//! A change of a file is taken up once the file is complete, whatever else happens around it.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use support::{Builder, FakeUpstream, Script, Sidecar, Webhook, millis, wait_until};

use crate::tls::client::{self, BOTH};
use crate::tls::pki::Authority;

const NAME: &str = "hooks.example.com";

fn says(word: &str) -> String {
    format!("<Response><Say>{word}</Say></Response>")
}

fn broken_app() -> FakeUpstream {
    FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"))
}

/// A proxy before an app that is no good, with one voice route whose fallback is a file in a folder.
fn with_document(app: &FakeUpstream) -> Builder {
    let route = "[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\nfallback = \"documents/document.xml\"\n";
    Sidecar::before(app)
        .routes(route)
        .file("documents/document.xml", says("one"))
}

fn path_of(sidecar: &Sidecar, name: &str) -> PathBuf {
    sidecar.config_path().with_file_name(name)
}

async fn until_it_says(sidecar: &Sidecar, word: &str) {
    wait_until(word, async || {
        let response = sidecar.request(Webhook::voice("/voice/x")).await;
        response.text().contains(word)
    })
    .await;
}

/// Waits until a change is noticed at once, since everything is watched.
async fn until_watched(sidecar: &Sidecar) {
    fs::write(path_of(sidecar, "documents/document.xml"), says("watched")).expect("a file");
    until_it_says(sidecar, "watched").await;
}

async fn failures(sidecar: &Sidecar) -> f64 {
    sidecar
        .metric("understudy_config_reloads_total", &[("result", "failure")])
        .await
}

#[tokio::test]
async fn a_log_that_is_written_all_the_time_holds_up_nothing() {
    let app = broken_app();
    let sidecar = with_document(&app).start().await;
    let done = Arc::new(AtomicBool::new(false));
    let (logs, is_done) = (
        ["app.log", "documents/app.log"].map(|name| path_of(&sidecar, name)),
        Arc::clone(&done),
    );
    let writer = thread::spawn(move || {
        let mut logs = logs.map(|path| File::create(path).expect("a file"));
        while !is_done.load(Relaxed) {
            for log in &mut logs {
                log.write_all(b"a line\n").expect("written");
            }
            thread::sleep(millis(50));
        }
    });
    for word in ["two", "three"] {
        fs::write(path_of(&sidecar, "documents/document.xml"), says(word)).expect("a file");
        until_it_says(&sidecar, word).await;
    }
    done.store(true, Relaxed);
    writer.join().expect("it wrote");
}

#[tokio::test]
async fn a_file_that_is_written_slowly_is_taken_up_when_it_is_closed() {
    let app = broken_app();
    let sidecar = with_document(&app).start().await;
    until_watched(&sidecar).await;
    let document = says("slowly");
    let mut file = File::create(path_of(&sidecar, "documents/document.xml")).expect("a file");
    for part in document.as_bytes().chunks(4) {
        file.write_all(part).expect("written");
        tokio::time::sleep(millis(200)).await;
        let response = sidecar.request(Webhook::voice("/voice/x")).await;
        assert!(response.text().contains("watched"), "{response:?}");
    }
    drop(file);
    until_it_says(&sidecar, "slowly").await;
    assert_eq!(failures(&sidecar).await, 0.0);
}

#[tokio::test]
async fn a_folder_that_is_moved_away_and_comes_back_changed_is_followed() {
    let app = broken_app();
    let sidecar = with_document(&app).start().await;
    let (here, away) = (path_of(&sidecar, "documents"), path_of(&sidecar, "away"));
    fs::rename(&here, &away).expect("moved");
    sidecar.wait_for_log(|line| line["level"] == "ERROR").await;
    until_it_says(&sidecar, "one").await;
    fs::write(away.join("document.xml"), says("two")).expect("a file");
    fs::rename(&away, &here).expect("moved");
    until_it_says(&sidecar, "two").await;
    fs::write(here.join("document.xml"), says("three")).expect("a file");
    until_it_says(&sidecar, "three").await;

    fs::remove_dir_all(&here).expect("removed");
    fs::create_dir(&here).expect("a folder");
    fs::write(here.join("document.xml"), says("four")).expect("a file");
    until_it_says(&sidecar, "four").await;
    fs::write(here.join("document.xml"), says("five")).expect("a file");
    until_it_says(&sidecar, "five").await;
}

#[tokio::test]
async fn a_reload_that_fails_while_a_file_is_missing_for_a_moment_is_not_logged() {
    let app = broken_app();
    let sidecar = with_document(&app).start().await;
    until_watched(&sidecar).await;
    let document = path_of(&sidecar, "documents/document.xml");
    for _ in 0..5 {
        fs::remove_file(&document).expect("it was there");
        tokio::time::sleep(millis(150)).await;
        fs::write(&document, says("back")).expect("a file");
        until_it_says(&sidecar, "back").await;
    }
    assert_eq!(failures(&sidecar).await, 0.0);
}

#[tokio::test]
async fn tokens_are_taken_up() {
    let app = FakeUpstream::with_document("<Response/>");
    let route = "[signature]\ntokens_file = \"secrets/tokens\"\n[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\nsignature = \"enforce\"\n";
    let (old, new) = (
        "0123456789abcdef0123456789abcdef",
        "fedcba9876543210fedcba9876543210",
    );
    let url = format!("https://{NAME}");
    let sidecar = Sidecar::before(&app)
        .server(&format!("public_url = \"{url}\""))
        .routes(route)
        .file("secrets/tokens", format!("*={old}\n"))
        .start()
        .await;
    let status = async |token| {
        let webhook = Webhook::voice("/voice/x").signed(&url, token);
        sidecar.request(webhook).await.status
    };
    assert_eq!(status(old).await, 200);
    assert_eq!(status(new).await, 403);
    fs::write(path_of(&sidecar, "secrets/tokens"), format!("*={new}\n")).expect("a file");
    wait_until("the new token", async || status(new).await == 200).await;
    assert_eq!(status(old).await, 403);
}

#[tokio::test]
async fn a_certificate_and_its_key_are_taken_up_together() {
    let app = broken_app();
    let authority = Authority::new();
    let (old, new) = (authority.issue(&[NAME]), authority.issue(&[NAME]));
    let sidecar = Sidecar::before(&app)
        .server("tls = { cert = \"cert.pem\", key = \"key.pem\" }")
        .file("cert.pem", &old.cert)
        .file("key.pem", &old.key)
        .start()
        .await;
    let shown = async || {
        let config = client::config(&authority, BOTH, &[]);
        let stream = client::connect(&config, sidecar.address, NAME).await;
        let stream = stream.expect("TLS");
        let (_, session) = stream.get_ref();
        session.peer_certificates().expect("one").to_vec()
    };
    let before = shown().await;
    // In between the key belongs to another certificate, which is nobody's mistake.
    fs::write(path_of(&sidecar, "cert.pem"), &new.cert).expect("a file");
    tokio::time::sleep(millis(300)).await;
    fs::write(path_of(&sidecar, "key.pem"), &new.key).expect("a file");
    wait_until("the new certificate", async || shown().await != before).await;
    let failures = sidecar
        .log_lines()
        .iter()
        .filter(|line| line.contains("not reloaded"))
        .count();
    assert_eq!(failures, 0);
}

/// A route whose fallback says its name, for a file that is included.
fn route(name: &str) -> String {
    format!(
        "[[route]]\nname = \"{name}\"\npath = \"/{name}\"\nkind = \"voice\"\n\
         fallback = {{ inline = \"{}\" }}\n",
        says(name)
    )
}

/// A proxy before an app that is no good, whose routes are in files that it includes.
fn with_included(app: &FakeUpstream) -> Builder {
    let address = "127.0.0.1:0";
    Sidecar::before(app).config(&format!(
        "include = [\"routes.d/*.toml\"]\n\
         [server]\nlisten = \"{address}\"\nadmin = \"{address}\"\n[upstream]\nurl = \"{}\"\n",
        app.url()
    ))
}

async fn until_route(sidecar: &Sidecar, name: &str, is_there: bool) {
    wait_until(name, async || {
        let response = sidecar.request(Webhook::voice(&format!("/{name}"))).await;
        response.text().contains(&says(name)) == is_there
    })
    .await;
}

/// Includes files that change, come and go, in a folder that is there from the beginning or not.
async fn follow_included(sidecar: &Sidecar) {
    let path = |name| path_of(sidecar, &format!("routes.d/{name}"));
    fs::create_dir_all(path_of(sidecar, "routes.d")).expect("a folder");
    fs::write(path("a.toml"), route("one")).expect("a file");
    until_route(sidecar, "one", true).await;
    fs::write(path("b.toml"), route("two")).expect("a file");
    until_route(sidecar, "two", true).await;
    fs::write(path("b.toml"), route("three")).expect("a file");
    until_route(sidecar, "three", true).await;
    until_route(sidecar, "two", false).await;
    fs::rename(path("a.toml"), path("a.toml.off")).expect("renamed");
    until_route(sidecar, "one", false).await;
    fs::write(path(".c.toml"), route("four")).expect("a file");
    fs::rename(path(".c.toml"), path("c.toml")).expect("renamed");
    until_route(sidecar, "four", true).await;
    fs::remove_file(path("b.toml")).expect("it was there");
    until_route(sidecar, "three", false).await;
    until_route(sidecar, "four", true).await;
}

#[tokio::test]
async fn included_files_that_change_come_and_go_are_taken_up() {
    let app = broken_app();
    let sidecar = with_included(&app)
        .file("routes.d/a.toml", "")
        .start()
        .await;
    follow_included(&sidecar).await;
    assert_eq!(failures(&sidecar).await, 0.0);
}

#[tokio::test]
async fn the_folder_of_included_files_may_come_later() {
    let app = broken_app();
    let sidecar = with_included(&app).start().await;
    follow_included(&sidecar).await;
    fs::remove_dir_all(path_of(&sidecar, "routes.d")).expect("removed");
    until_route(&sidecar, "four", false).await;
    follow_included(&sidecar).await;
    assert_eq!(failures(&sidecar).await, 0.0);
}

#[tokio::test]
async fn an_error_in_an_included_file_is_logged_with_its_place_and_the_old_routes_stay() {
    let app = broken_app();
    let sidecar = with_included(&app)
        .file("routes.d/a.toml", route("one"))
        .start()
        .await;
    let other = path_of(&sidecar, "routes.d/b.toml");
    fs::write(&other, route("two").replace("voice", "vioce")).expect("a file");
    let expected = format!("{}:4:8: route[0].kind: ", other.display());
    let is_error = |line: &serde_json::Value| {
        let error = line["error"].as_str();
        error.is_some_and(|error| error.starts_with(&expected))
    };
    sidecar.wait_for_log(is_error).await;
    until_route(&sidecar, "one", true).await;
    fs::write(&other, route("two")).expect("a file");
    until_route(&sidecar, "two", true).await;
}
