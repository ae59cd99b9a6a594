//! Files that can't be watched, since the system has no inotify instance or no watch left: a change is taken up all the same.
//!
//! The proxy runs in a user namespace of its own, which has limits of its own.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{Builder, FakeUpstream, Script, Sidecar, Webhook, millis, skip, wait_until};

const NO_INSTANCES: &str = "echo 0 > /proc/sys/user/max_inotify_instances";
const NO_WATCHES: &str = "echo 1 > /proc/sys/user/max_inotify_watches";

#[tokio::test]
async fn without_inotify_a_document_and_the_configuration_are_taken_up() {
    let Some((_app, sidecar)) = start(NO_INSTANCES, with_document()).await else {
        return;
    };
    let message = "inotify can't be used; files are looked at twice a second";
    sidecar
        .wait_for_log(|line| line["message"] == message)
        .await;
    let mut file = File::create(path_of(&sidecar, "document.xml")).expect("a file");
    for part in says("two").as_bytes().chunks(8) {
        file.write_all(part).expect("written");
        tokio::time::sleep(millis(200)).await;
    }
    drop(file);
    until_it_says(&sidecar, "two").await;
    let failures = [("result", "failure")];
    let failures = sidecar
        .metric("understudy_config_reloads_total", &failures)
        .await;
    assert_eq!(failures, 0.0, "a part of the document was never taken up");

    sidecar.rewrite_config(&sidecar.config().replace("document.xml", "other.xml"));
    fs::write(path_of(&sidecar, "other.xml"), says("other")).expect("a file");
    until_it_says(&sidecar, "other").await;
}

#[tokio::test]
async fn without_watches_a_change_is_taken_up() {
    let Some((_app, sidecar)) = start(NO_WATCHES, with_document()).await else {
        return;
    };
    let message = "folder can't be watched; its files are looked at twice a second";
    sidecar
        .wait_for_log(|line| line["message"] == message)
        .await;
    fs::write(path_of(&sidecar, "document.xml"), says("two")).expect("a file");
    until_it_says(&sidecar, "two").await;
}

#[tokio::test]
async fn without_inotify_included_files_that_come_and_go_are_taken_up() {
    let app = broken_app();
    let address = "127.0.0.1:0";
    let config = format!(
        "include = [\"routes.d/*.toml\"]\n[server]\nlisten = \"{address}\"\nadmin = \"{address}\"\n\
         [upstream]\nurl = \"{}\"\n",
        app.url()
    );
    let builder = Sidecar::before(&app).config(&config);
    let Some((_app, sidecar)) = start(NO_INSTANCES, (app, builder)).await else {
        return;
    };
    let folder = path_of(&sidecar, "routes.d");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("voice.toml");
    for word in ["one", "two"] {
        let fallback = format!("fallback = {{ inline = \"{}\" }}", says(word));
        fs::write(&file, route(&fallback)).expect("a file");
        until_it_says(&sidecar, word).await;
    }
    fs::remove_file(&file).expect("it was there");
    wait_until("the route to be gone", async || {
        sidecar.request(Webhook::voice("/voice/x")).await.status == 500
    })
    .await;
}

/// Starts a proxy in a user namespace in which a shell runs this before. None where nobody may make one.
async fn start(
    script: &str,
    (app, builder): (FakeUpstream, Builder),
) -> Option<(FakeUpstream, Sidecar)> {
    let namespace = ["unshare", "--user", "--map-root-user"];
    let probe = Command::new(namespace[0])
        .args(&namespace[1..])
        .args(["sh", "-c", script])
        .stdin(Stdio::null())
        .output();
    if !probe.is_ok_and(|output| output.status.success()) {
        skip("user namespaces, and unshare (Debian's package util-linux)");
        return None;
    }
    let script = format!("{script} && exec \"$@\"");
    let command = [&namespace[..], &["sh", "-c", &script, "sh"]].concat();
    Some((app, builder.within(&command).start().await))
}

/// A proxy before an app that is no good, with one voice route whose fallback is a file.
fn with_document() -> (FakeUpstream, Builder) {
    let app = broken_app();
    let builder = Sidecar::before(&app)
        .routes(&route("fallback = \"document.xml\""))
        .file("document.xml", says("one"));
    (app, builder)
}

fn broken_app() -> FakeUpstream {
    FakeUpstream::start(|_| Script::response("500 Oops", "text/html", "no"))
}

fn route(fallback: &str) -> String {
    format!("[[route]]\nname = \"voice\"\npath = \"/voice/*\"\nkind = \"voice\"\n{fallback}\n")
}

fn says(word: &str) -> String {
    format!("<Response><Say>{word}</Say></Response>")
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
