//! The process is killed at any moment under load, again and again: every callback that was acknowledged reaches the app, and those of
//! one key in their order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use support::{Sidecar, wait_for, wait_until};
use tokio::task::JoinSet;

use super::account::{Account, KEYS, app_of};
use super::{before_with, folder, wait_until_empty};

/// How often it is killed, unless this variable says otherwise.
const KILLS: usize = 10;
const VARIABLE: &str = "UNDERSTUDY_TEST_KILLS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_at_any_moment_loses_no_acknowledged_callback() {
    let kills = std::env::var(VARIABLE).map_or(KILLS, |kills| kills.parse().expect("a number"));
    let account = Arc::new(Account::default());
    let app = app_of(&account);
    let folder = folder();
    for round in 0..kills {
        account.is_down.store(true, Relaxed);
        let sidecar = before_with(&app, folder.path(), "", "1GiB").start().await;
        let before = account.acknowledgements.load(Relaxed);
        let mut clients = JoinSet::new();
        for key in 0..KEYS {
            clients.spawn(send_until_killed(
                key,
                sidecar.address,
                Arc::clone(&account),
            ));
        }
        let target = 10 + round * 37 % 80;
        let reach = async |more: usize| {
            wait_until("acknowledgements", async || {
                account.acknowledgements.load(Relaxed) >= before + more
            })
            .await;
        };
        reach(target / 2).await;
        account.is_down.store(round % 4 == 0, Relaxed);
        reach(target).await;
        // With SIGKILL.
        drop(sidecar);
        wait_for("the clients", clients.join_all()).await;
    }
    account.is_down.store(false, Relaxed);
    let sidecar = before_with(&app, folder.path(), "", "1GiB").start().await;
    wait_until_empty(&sidecar).await;
    account.check_none_lost();
    account.check_order(&account.taken());
}

/// Sends callbacks of a key one after the other, until a connection fails.
async fn send_until_killed(key: usize, address: SocketAddr, account: Arc<Account>) {
    while account.send_next(key, address).await.is_some() {}
}

/// Ends the process that has taken over from this one.
pub(super) async fn end_successor(sidecar: &Sidecar) {
    let line = sidecar
        .wait_for_log(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("upgraded"))
        })
        .await;
    let pid = line["pid"].as_u64().expect("a process id");
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("kill -TERM {pid}")])
        .status();
    assert!(status.expect("a shell runs").success());
}
