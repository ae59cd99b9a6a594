//! Restarts, upgrades and a violent end, while calls come in without a pause.

use super::boot::{Machine, POLL_INTERVAL, on_a_machine};
use super::load::{self, Load, seen_once};
use super::service::{CONFIG, DOCUMENT, PUBLIC, call};
use support::{Client, FakeUpstream, Webhook, wait_for};

#[test]
fn restarts_lose_no_call() {
    on_a_machine(async |machine| {
        let app = load::app();
        machine.install_before(&app).await;
        let load = Load::begin();
        for _ in 0..5 {
            load.answered(200).await;
            let before = machine.property("MainPID").await;
            machine.run("systemctl restart understudy").await;
            assert_ne!(machine.property("MainPID").await, before);
        }
        load.answered(200).await;
        load.end().await.nobody_was_lost();
        seen_once(&app);
    });
}

#[test]
fn an_upgrade_loses_no_call_and_keeps_what_was_edited() {
    on_a_machine(async |machine| {
        let app = load::app();
        machine.install_before(&app).await;
        let edited = machine.read(CONFIG);
        newer(machine).await;
        let load = Load::begin();
        load.answered(200).await;
        let before = machine.property("MainPID").await;
        machine.run("dpkg --force-confold -i /root/newer.deb").await;
        assert_ne!(
            machine.property("MainPID").await,
            before,
            "the new version runs"
        );
        load.answered(200).await;
        load.end().await.nobody_was_lost();
        seen_once(&app);

        machine.is_active().await;
        assert_eq!(machine.read(CONFIG), edited);
        assert_eq!(
            machine.read("/etc/understudy/fallback/voice.en.xml"),
            "<Response/>"
        );
        let version = machine
            .run("dpkg-query -f '${Version}' -W understudy")
            .await;
        assert_eq!(version, "999.0-1");
    });
}

#[test]
fn an_upgrade_to_a_version_that_refuses_the_configuration_leaves_the_old_one_running() {
    on_a_machine(async |machine| {
        let app = FakeUpstream::with_document(DOCUMENT);
        machine.install_before(&app).await;
        newer(machine).await;
        let before = machine.property("MainPID").await;
        machine.write(CONFIG, "[upstream]\nurl = 3000\n");
        let said = machine.run("dpkg --force-confold -i /root/newer.deb").await;
        assert!(said.contains("the one before goes on running"), "{said}");
        machine.is_active().await;
        assert_eq!(machine.property("MainPID").await, before);
        assert_eq!(call(PUBLIC).await.text(), DOCUMENT);
    });
}

#[test]
fn what_an_operator_has_disabled_stays_so_over_an_upgrade() {
    on_a_machine(async |machine| {
        machine.install().await;
        newer(machine).await;
        machine
            .run("systemctl disable --now understudy.socket understudy.service")
            .await;
        machine.run("dpkg --force-confold -i /root/newer.deb").await;
        let state = machine
            .output("systemctl is-active understudy.socket understudy.service")
            .await;
        assert_eq!(
            String::from_utf8_lossy(&state.stdout),
            "inactive\ninactive\n"
        );
        let state = machine
            .output("systemctl is-enabled understudy.socket understudy.service")
            .await;
        assert_eq!(
            String::from_utf8_lossy(&state.stdout),
            "disabled\ndisabled\n"
        );
    });
}

/// The same package with a higher version and another configuration, at which dpkg asks an operator who has edited his own.
async fn newer(machine: &Machine) {
    let steps = "cd /root && dpkg-deb -R understudy.deb newer && sed -i 's/^Version: .*/Version: 999.0-1/' newer/DEBIAN/control && \
                 sed -i '1i # Another comment.' newer/etc/understudy/understudy.toml && printf '<Response/>' >newer/etc/understudy/fallback/voice.en.xml && dpkg-deb -Znone -b newer newer.deb";
    machine.run(steps).await;
}

#[test]
fn after_a_kill_it_is_back_by_itself_and_answers_whoever_waited() {
    on_a_machine(async |machine| {
        let app = FakeUpstream::with_document(DOCUMENT);
        machine.install_before(&app).await;
        // Long enough for somebody to wait.
        machine
            .edit("understudy.service", "[Service]\nRestartSec=1s\n")
            .await;
        let load = Load::of_new_connections();
        load.answered(100).await;
        let before = machine.property("MainPID").await;
        machine.run(&format!("kill -KILL {before}")).await;
        wait_for("its end", async {
            while machine.path(&format!("/proc/{before}")).exists() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        })
        .await;

        let mut waiting = Vec::new();
        for _ in 0..20 {
            let mut caller = Client::connect(PUBLIC).await;
            caller.send(Webhook::voice("/voice")).await;
            waiting.push(caller);
        }
        for caller in &mut waiting {
            assert_eq!(caller.response().await.text(), DOCUMENT);
        }
        load.answered(100).await;
        let tally = load.end().await;
        // What it was at when it was killed is lost with it, and nothing else is.
        assert!(
            tally
                .lost
                .iter()
                .all(|why| why.ends_with("closed without a response")),
            "{tally:#?}"
        );
        assert!(
            tally.lost.len() <= 4,
            "a call of each caller at most: {tally:#?}"
        );
        assert_eq!(machine.property("NRestarts").await, "1");
        machine.is_active().await;
    });
}
