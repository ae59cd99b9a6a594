//! Starts that can't go well: they end with status 78, are not tried again, and the journal says in a line what would be right.

use super::boot::{Machine, on_a_machine};
use super::service::{CONFIG, PUBLIC};
use support::{Client, Webhook};

/// Starts it, and expects that it is refused for good.
async fn is_refused(machine: &Machine) {
    machine.fails("systemctl restart understudy").await;
    machine.becomes("ActiveState", "failed").await;
    for (name, wanted) in [
        ("ExecMainStatus", "78"),
        ("Result", "exit-code"),
        ("NRestarts", "0"),
    ] {
        assert_eq!(machine.property(name).await, wanted, "{name}");
    }
}

#[test]
fn a_wrong_configuration_is_not_tried_again() {
    on_a_machine(async |machine| {
        machine.install().await;
        machine.write(CONFIG, "[upstream]\nurl = 3000\n");
        is_refused(machine).await;
        machine
            .wait_for_log(&[CONFIG, ":2:7: upstream.url: "])
            .await;

        machine.write(CONFIG, "[upstream]\nurl = \"http://127.0.0.1:3000\"\n");
        machine.run("systemctl start understudy").await;
        machine.is_active().await;
    });
}

#[test]
fn callers_who_come_to_a_wrong_configuration_are_turned_away_at_once() {
    on_a_machine(async |machine| {
        machine.install().await;
        machine.write(CONFIG, "[upstream]\nurl = 3000\n");
        is_refused(machine).await;
        // systemd starts it for whoever waits, and soon sees that this is in vain.
        let mut caller = Client::connect(PUBLIC).await;
        caller.send(Webhook::voice("/voice")).await;
        assert_eq!(caller.closed().await, b"");
        let socket = machine
            .output("systemctl is-failed understudy.socket")
            .await;
        assert!(
            socket.status.success(),
            "Twilio asks its own fallback URL when a connection is refused"
        );

        machine.write(CONFIG, "[upstream]\nurl = \"http://127.0.0.1:3000\"\n");
        machine.run("systemctl start understudy").await;
        machine.is_active().await;
    });
}

#[test]
fn a_configuration_that_may_not_be_read_is_said() {
    on_a_machine(async |machine| {
        machine.install().await;
        machine.run(&format!("chmod 600 {CONFIG}")).await;
        is_refused(machine).await;
        machine
            .wait_for_log(&[
                CONFIG,
                "permission denied",
                "let the user that understudy runs as read it",
            ])
            .await;
    });
}

#[test]
fn a_watchdog_that_cannot_be_pinged_is_logged() {
    on_a_machine(async |machine| {
        machine.install().await;
        machine
            .edit(
                "understudy.service",
                "[Service]\nUnsetEnvironment=NOTIFY_SOCKET\n",
            )
            .await;
        is_refused(machine).await;
        machine
            .wait_for_log(&["NOTIFY_SOCKET isn't set", "WatchdogSec="])
            .await;
    });
}

#[test]
fn a_socket_of_another_type_is_said() {
    on_a_machine(async |machine| {
        machine.install().await;
        machine.run("systemctl stop understudy.socket").await;
        for wrong in [
            "ListenDatagram=127.0.0.1:8080",
            "ListenStream=/run/understudy.sock",
        ] {
            let lines = format!("[Socket]\nListenStream=\n{wrong}\nNoDelay=no\n");
            machine.edit("understudy.socket", &lines).await;
            machine.run("systemctl restart understudy.socket").await;
            is_refused(machine).await;
            machine
                .wait_for_log(&["\"http\"", "is not for TCP", "ListenStream="])
                .await;
            machine
                .run("systemctl stop understudy.socket; journalctl --rotate --vacuum-time=1s")
                .await;
        }
    });
}
