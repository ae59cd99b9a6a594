//! Whatever the upstream does wrong, the client gets what the contract says, in time, counted once; and the next request on the
//! same connection gets its own response.
//!
//! Each fault is a test, which runs it over a fresh and over a reused connection to the upstream, over TCP and over a
//! Unix socket, on a route of each kind.

/// Declares faults: each becomes a test of its name, and all of them a list for others.
macro_rules! faults {
    ($($name:ident: $fault:expr,)*) => {
        pub(super) fn all() -> Vec<Fault> {
            vec![$($fault),*]
        }

        $(
            #[tokio::test]
            async fn $name() {
                super::run_everywhere($fault).await;
            }
        )*
    };
}

mod case;
mod connections;
mod documents;
mod fault;
mod framing;
mod unread;

use std::rc::Rc;

use tokio::task::{JoinSet, LocalSet};

use case::Case;
use fault::{Fault, Kind, Transport};
use support::Script;

/// What an upstream does in each fault.
pub(crate) fn scripts() -> Vec<Script> {
    let faults = [connections::all(), framing::all(), documents::all()].into_iter();
    let scripts = faults.flatten().map(|fault| fault.script().cloned());
    scripts.flatten().collect()
}

fn cases(fault: &Fault) -> impl Iterator<Item = (Kind, Transport)> {
    let transports = fault.transports().iter();
    transports.flat_map(|transport| Kind::ALL.map(|kind| (kind, *transport)))
}

/// Runs a fault on a route of each kind, over TCP and over a Unix socket, each behind a proxy of its own.
async fn run_everywhere(fault: Fault) {
    let fault = Rc::new(fault);
    let mut running = JoinSet::new();
    let local = LocalSet::new();
    for (kind, transport) in cases(&fault) {
        let fault = Rc::clone(&fault);
        running.spawn_local_on(
            async move { Case::start(fault, kind, transport).await.run().await },
            &local,
        );
    }
    let ended = local.run_until(async {
        let mut ended = Vec::new();
        while let Some(end) = running.join_next().await {
            ended.push(end);
        }
        ended
    });
    let failed = ended.await.iter().filter(|end| end.is_err()).count();
    assert_eq!(failed, 0, "failed on so many kinds of routes");
}
