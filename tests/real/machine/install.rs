//! What a fresh installation is like.

use super::boot::on_a_machine;
use super::service::{DOCUMENT, PUBLIC, at, call};
use support::FakeUpstream;

#[test]
fn a_fresh_installation_serves_from_fallback_until_there_is_an_app() {
    on_a_machine(async |machine| {
        machine.install().await;
        let enabled = machine
            .run("systemctl is-enabled understudy.socket understudy.service")
            .await;
        assert_eq!(enabled, "enabled\nenabled\n");
        let status = machine.run("systemctl status understudy").await;
        assert!(
            status.contains("Status: \"1 route, serving from app\""),
            "{status}"
        );

        let response = call(PUBLIC).await;
        assert_eq!((response.status, response.reason()), (200, Some("connect")));
        let document = machine.read("/etc/understudy/fallback/voice.en.xml");
        assert_eq!(response.text(), document);
        machine
            .becomes("StatusText", "serving from fallback: webhooks")
            .await;

        let app = FakeUpstream::with_document(DOCUMENT);
        machine.point_to(&app);
        machine.run("systemctl reload understudy").await;
        machine.responds_with(DOCUMENT).await;
    });
}

#[test]
fn the_journal_knows_the_priority_of_each_line() {
    on_a_machine(async |machine| {
        machine.install().await;
        assert_eq!(call(PUBLIC).await.reason(), Some("connect"));
        machine.wait_for_log(&["\"reason\":\"connect\""]).await;
        let warnings = machine
            .run("journalctl --no-pager --output=cat --priority=warning -u understudy.service")
            .await;
        assert!(
            warnings.contains("upstream response rejected"),
            "{warnings}"
        );
        assert!(!warnings.contains("listening"), "{warnings}");
        // The journal takes the priorities off.
        assert!(warnings.starts_with('{'), "{warnings}");
    });
}

#[test]
fn what_is_installed_is_all_there_and_as_it_was_packed() {
    on_a_machine(async |machine| {
        machine.install().await;
        assert_eq!(machine.run("dpkg --verify understudy").await, "");
        let conffiles = machine
            .run("dpkg-query -f '${Conffiles}' -W understudy")
            .await;
        assert_eq!(
            conffiles.matches("/etc/understudy/").count(),
            5,
            "{conffiles}"
        );
        machine
            .run("cd /usr/share/doc/understudy/examples && understudy check --config understudy.toml && understudy check --config minimal.toml")
            .await;
        for file in [
            "/usr/share/man/man1/understudy-run.1.gz",
            "/usr/share/bash-completion/completions/understudy",
            "/usr/share/zsh/vendor-completions/_understudy",
            "/usr/share/fish/vendor_completions.d/understudy.fish",
            "/usr/share/doc/understudy/copyright",
            "/usr/share/doc/understudy/docs/reasons.md",
            "/usr/share/doc/understudy/examples/prometheus/understudy.rules.yml",
            "/usr/share/doc/understudy/examples/grafana/understudy.json",
        ] {
            assert!(machine.path(file).is_file(), "{file}");
        }
    });
}

#[test]
fn a_port_below_1024_takes_no_privilege() {
    on_a_machine(async |machine| {
        machine.install().await;
        machine
            .edit(
                "understudy.socket",
                "[Socket]\nListenStream=\nListenStream=127.0.0.1:443\n",
            )
            .await;
        machine.run("systemctl restart understudy.socket").await;
        machine.is_active().await;
        let response = call(at(443)).await;
        assert_eq!((response.status, response.reason()), (200, Some("connect")));
        let pid = machine.property("MainPID").await;
        let status = machine.read(&format!("/proc/{pid}/status"));
        for line in [
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
        ] {
            assert!(status.lines().any(|own| own == line), "{line} in\n{status}");
        }
    });
}
