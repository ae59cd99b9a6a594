//! `systemctl reload`.

use super::boot::on_a_machine;
use super::service::{CONFIG, DOCUMENT, PUBLIC, call};
use support::{FakeUpstream, wait_for};

#[test]
fn a_reload_takes_up_a_good_configuration() {
    on_a_machine(async |machine| {
        let app = FakeUpstream::with_document(DOCUMENT);
        machine.install_before(&app).await;
        let pid = machine.property("MainPID").await;
        let config = machine.read(CONFIG);
        machine.write(CONFIG, &config.replace("\"webhooks\"", "\"all-there-is\""));
        machine.run("systemctl reload understudy").await;
        app.refuse().await;
        wait_for("the change to be in force", async {
            while call(PUBLIC).await.reason().is_none() {}
        })
        .await;
        machine
            .becomes("StatusText", "serving from fallback: all-there-is")
            .await;
        assert_eq!(
            machine.property("MainPID").await,
            pid,
            "nothing was restarted"
        );
    });
}

#[test]
fn a_reload_of_a_bad_configuration_fails_says_every_mistake_and_changes_nothing() {
    on_a_machine(async |machine| {
        let app = FakeUpstream::with_document(DOCUMENT);
        machine.install_before(&app).await;
        let pid = machine.property("MainPID").await;
        machine.write(
            CONFIG,
            "[upstream]\nurl = \"ftp://127.0.0.1\"\n[defaults]\ndeadline = \"20s\"\ndedline = \"8s\"\n",
        );
        machine.fails("systemctl reload understudy").await;
        for place in [
            ":2:7: upstream.url: ",
            ":4:12: defaults.deadline: ",
            ":5:1: defaults: unknown key `dedline`",
        ] {
            machine.wait_for_log(&[CONFIG, place]).await;
        }
        machine.is_active().await;
        assert_eq!(
            machine.property("MainPID").await,
            pid,
            "nothing was restarted"
        );
        assert_eq!(call(PUBLIC).await.text(), DOCUMENT);
    });
}

#[test]
fn what_only_root_may_read_fails_a_reload_as_it_would_fail_the_service() {
    on_a_machine(async |machine| {
        machine.install().await;
        machine.run(&format!("chmod 600 {CONFIG}")).await;
        machine.fails("systemctl reload understudy").await;
        machine.wait_for_log(&[CONFIG, "permission denied"]).await;
        machine.is_active().await;
    });
}
