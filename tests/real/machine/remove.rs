//! How it goes: `remove` leaves what an operator may want again, `purge` leaves nothing.

use std::collections::BTreeSet;

use tokio::net::TcpStream;

use super::boot::{Machine, on_a_machine};
use super::service::{CONFIG, PUBLIC};

#[test]
fn a_removal_keeps_the_configuration_and_another_installation_takes_it_up() {
    on_a_machine(async |machine| {
        machine.install().await;
        let edited = machine.read(CONFIG).replace("\"webhooks\"", "\"mine\"");
        machine.write(CONFIG, &edited);
        machine.run("dpkg --remove understudy").await;
        assert_eq!(machine.read(CONFIG), edited);
        assert!(!machine.path("/usr/bin/understudy").exists());
        assert!(TcpStream::connect(PUBLIC).await.is_err(), "nobody listens");

        machine.install().await;
        assert_eq!(machine.read(CONFIG), edited);
    });
}

#[test]
fn a_purge_leaves_the_machine_as_it_was() {
    on_a_machine(async |machine| {
        let before = files(machine).await;
        machine.install().await;
        let with = files(machine).await;
        assert!(with.contains(CONFIG) && with.contains("/usr/bin/understudy"));
        assert!(with.contains("/var/lib/private/understudy"), "its state");
        machine
            .run("dpkg --purge understudy && rm /root/understudy.deb")
            .await;
        let after = files(machine).await;
        let left: Vec<_> = after.difference(&before).collect();
        assert!(left.is_empty(), "{left:#?}");
        let units = machine.run("systemctl list-unit-files --no-legend 'understudy*'; systemctl list-units --state=active,failed --no-legend 'understudy*'");
        assert_eq!(units.await, "");
        assert!(TcpStream::connect(PUBLIC).await.is_err(), "nobody listens");
    });
}

/// Every file there is but for logs and what dpkg keeps of its own last steps.
async fn files(machine: &Machine) -> BTreeSet<String> {
    let all = machine
        .run("find / -xdev -not -path '/var/log/*' -not -path '/var/lib/dpkg/*-old' -not -path '/var/cache/ldconfig/*'")
        .await;
    all.lines().map(str::to_owned).collect()
}
