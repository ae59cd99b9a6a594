//! Tokens files: tokens are rotated under load and never shown, and a file that is not valid is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use understudy::config::Config;

use super::{ACCOUNT, PUBLIC_URL, TOKEN, checks, with_token, with_tokens};
use support::{FakeUpstream, Sidecar, Webhook, run, understudy, wait_for};

async fn reloads(sidecar: &Sidecar, result: &str, many: f64) {
    let labels = [("result", result)];
    sidecar
        .wait_for_metric("understudy_config_reloads_total", &labels, many)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_rotated_under_load_and_no_request_is_lost() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = Arc::new(
        with_tokens(&app, "enforce", &format!("{ACCOUNT}=old\n"))
            .start()
            .await,
    );
    let (promoted, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let moved = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (sidecar, moved) = (Arc::clone(&sidecar), Arc::clone(&moved));
            let (promoted, done) = (Arc::clone(&promoted), Arc::clone(&done));
            tokio::spawn(async move {
                let mut client = sidecar.connect().await;
                let mut token = "old";
                while !done.load(Relaxed) {
                    if token == "old" && promoted.load(Relaxed) {
                        token = "new";
                        moved.fetch_add(1, Relaxed);
                    }
                    let webhook = Webhook::voice("/voice/x").signed(PUBLIC_URL, token);
                    assert_eq!(client.request(&webhook).await.status, 200, "{token}");
                }
            })
        })
        .collect();
    // Both are valid while Twilio changes from one to the other.
    sidecar.rewrite("tokens", format!("{ACCOUNT}=old\n{ACCOUNT}=new\n"));
    reloads(&sidecar, "success", 1.0).await;
    promoted.store(true, Relaxed);
    wait_for("every caller to sign with the new token", async {
        while moved.load(Relaxed) < callers.len() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    sidecar.rewrite("tokens", format!("{ACCOUNT}=new\n"));
    reloads(&sidecar, "success", 2.0).await;
    done.store(true, Relaxed);
    for caller in callers {
        caller.await.expect("no request was lost");
    }
    assert_eq!(checks(&sidecar, "invalid").await, 0.0);
    let late = Webhook::voice("/voice/x").signed(PUBLIC_URL, "old");
    assert_eq!(sidecar.request(&late).await.status, 403);
}

#[tokio::test]
async fn an_account_is_checked_with_its_own_tokens_and_those_of_any_account() {
    let other = "ACffffffffffffffffffffffffffffffff";
    let app = FakeUpstream::with_document("<Response/>");
    let tokens = format!("# ours\n{ACCOUNT}=one\n{ACCOUNT}=two\n\n{other}=three\n*=four\n");
    let sidecar = with_tokens(&app, "enforce", &tokens).start().await;
    for (account, token, status) in [
        (ACCOUNT, "one", 200),
        (ACCOUNT, "two", 200),
        (ACCOUNT, "three", 403),
        (ACCOUNT, "four", 200),
        (other, "three", 200),
        (other, "one", 403),
        ("AC00000000000000000000000000000009", "four", 200),
        ("AC00000000000000000000000000000009", "one", 403),
    ] {
        for webhook in [Webhook::voice("/voice/x"), Webhook::voice("/voice/x").get()] {
            let webhook = webhook
                .with("AccountSid", account)
                .signed(PUBLIC_URL, token);
            assert_eq!(
                sidecar.request(&webhook).await.status,
                status,
                "{account} {token}"
            );
        }
    }
}

#[tokio::test]
async fn tokens_that_are_not_valid_leave_the_old_ones_in_force_and_are_not_repeated() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = with_token(&app, "enforce").start().await;
    let good = Webhook::voice("/voice/x").signed(PUBLIC_URL, TOKEN);
    for (at, (tokens, complaint)) in [
        (format!("{ACCOUNT} {TOKEN}\n"), "line 1 has no `=`"),
        (format!("\n{ACCOUNT}= {TOKEN}\n"), "line 2 has blanks"),
        (format!("{TOKEN}={ACCOUNT}\n"), "line 1 has no AccountSid"),
        (format!("# {TOKEN}\n"), "holds no token"),
    ]
    .into_iter()
    .enumerate()
    {
        sidecar.rewrite("tokens", tokens);
        reloads(&sidecar, "failure", (at + 1) as f64).await;
        let is_it = |problem: &str| problem.contains("tokens_file") && problem.contains(complaint);
        sidecar
            .wait_for_log(|line| line["error"].as_str().is_some_and(is_it))
            .await;
        assert_eq!(sidecar.request(&good).await.status, 200, "{complaint}");
    }
    assert_token_is_hidden(&sidecar).await;
}

#[tokio::test]
async fn tokens_and_data_are_never_shown() {
    let app = FakeUpstream::with_document("<Response><Say>half");
    for policy in ["enforce", "report"] {
        let sidecar = with_token(&app, policy).start().await;
        let webhook = Webhook::voice("/voice/x");
        sidecar
            .request(&webhook.clone().signed(PUBLIC_URL, TOKEN))
            .await;
        sidecar.request(&webhook).await;
        sidecar.request(&webhook.unsigned()).await;
        let error = "the request has no X-Twilio-Signature";
        sidecar.wait_for_log(|line| line["error"] == error).await;
        assert_token_is_hidden(&sidecar).await;
        let log = sidecar.log_lines().join("\n");
        assert!(!log.contains("20255501"), "{log}");
    }
}

async fn assert_token_is_hidden(sidecar: &Sidecar) {
    let mut shown = sidecar.log_lines();
    for path in ["/metrics", "/", "/api/status"] {
        shown.push(sidecar.admin_get(path).await.text());
    }
    let config = Config::load(&sidecar.config_path());
    shown.push(match &config {
        Ok(config) => format!("{config:?} {config:#?}"),
        Err(errors) => format!("{errors} {errors:?} {errors:#?}"),
    });
    for text in shown {
        assert!(!text.contains(TOKEN) && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn without_tokens_or_public_url_it_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    let text = "[upstream]\nurl = \"http://127.0.0.1:3000\"\n[defaults]\nsignature = \"enforce\"\n";
    fs::write(&path, text).expect("a file");
    for command in ["run", "check"] {
        let output = understudy(&[command, "--config", path.to_str().expect("UTF-8")]);
        assert_eq!(output.status.code(), Some(78), "{command}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("public_url = ") && said.contains("tokens_file = "),
            "{said}"
        );
    }
}

#[test]
fn tokens_may_be_a_credential_of_systemds() {
    let folder = tempfile::tempdir().expect("a folder");
    let credentials = folder.path().join("credentials");
    fs::create_dir(&credentials).expect("a folder");
    fs::write(credentials.join("tokens"), format!("{ACCOUNT}={TOKEN}")).expect("a file");
    let path = folder.path().join("understudy.toml");
    let text = format!(
        "[server]\npublic_url = \"{PUBLIC_URL}\"\n[upstream]\nurl = \"http://127.0.0.1:3000\"\n[defaults]\nsignature = \"enforce\"\n[signature]\ntokens_file = \"$CREDENTIALS_DIRECTORY/tokens\"\n"
    );
    fs::write(&path, text).expect("a file");
    let check = |directory: Option<&std::path::Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        command.args(["check", "--config"]).arg(&path);
        match directory {
            Some(directory) => command.env("CREDENTIALS_DIRECTORY", directory),
            None => command.env_remove("CREDENTIALS_DIRECTORY"),
        };
        let output = run(&mut command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    assert_eq!(check(Some(&credentials)), (Some(0), String::new()));
    let (code, said) = check(None);
    assert_eq!(code, Some(78));
    assert!(said.contains("LoadCredential="), "{said}");
}

#[test]
fn a_file_that_others_may_read_is_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("understudy.toml");
    let text =
        "[upstream]\nurl = \"http://127.0.0.1:3000\"\n[signature]\ntokens_file = \"tokens\"\n";
    fs::write(&path, text).expect("a file");
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, format!("{ACCOUNT}={TOKEN}")).expect("a file");
    let is_roots = fs::metadata(&tokens).expect("a file").uid() == 0;
    for (mode, noted) in [
        (0o600, false),
        (0o640, !is_roots),
        (0o604, true),
        (0o400, false),
    ] {
        fs::set_permissions(&tokens, fs::Permissions::from_mode(mode)).expect("our own file");
        let notes = Config::load(&path).expect("good").notes;
        assert_eq!(notes.len(), usize::from(noted), "{mode:o}: {notes:?}");
        let said = notes.iter().map(ToString::to_string);
        assert!(
            said.into_iter()
                .all(|note| note.contains(&format!("mode {mode:o}")))
        );
    }
}
