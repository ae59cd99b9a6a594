//! `--stay`: calls come in, good and bad, for whoever wants to look at the proxy at work.

use std::io::{self, Write};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::caller::{Heard, form};
use super::{Stage, program};
use crate::twiml::Kind;

/// A call comes every so often.
const EVERY: Duration = Duration::from_millis(250);

/// So many healthy calls come for one that meets a fault.
const HEALTHY_PER_FAULT: usize = 4;

/// Calls until somebody presses Ctrl-C.
pub(super) async fn until_interrupted(stage: &Stage, out: &mut dyn Write) -> io::Result<()> {
    introduce(stage, out)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        () = traffic(stage) => Ok(()),
    }
}

fn introduce(Stage { proxy, admin, .. }: &Stage, out: &mut dyn Write) -> io::Result<()> {
    let form = form(Kind::Voice).split('&').next().unwrap_or_default();
    writeln!(
        out,
        "\nIt stays, with a call every {} ms, until Ctrl-C:\n\n  \
           proxy    http://{proxy}\n  \
           metrics  http://{admin}/metrics\n  \
           status   http://{admin}/\n\n\
         Call a silent app yourself:\n\n  \
           curl -i -d {form} http://{proxy}/voice/silent\n",
        EVERY.as_millis()
    )?;
    out.flush()
}

async fn traffic(stage: &Stage) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (healthy, faults): (Vec<_>, Vec<_>) = program::faults()
        .into_iter()
        .partition(program::Fault::is_none);
    for call in 0.. {
        tick.tick().await;
        let fault = match call % (HEALTHY_PER_FAULT + 1) {
            HEALTHY_PER_FAULT => &faults[call / (HEALTHY_PER_FAULT + 1) % faults.len()],
            _ => &healthy[call % healthy.len()],
        };
        let (proxy, kind, path) = (stage.proxy, fault.kind, fault.path());
        // What comes of it is for the proxy to count.
        tokio::task::spawn_local(async move { Heard::at(proxy, kind, &path).await });
    }
}
