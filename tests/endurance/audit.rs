//! An audit of one instance: its clients pause, and then its metrics must equal what its log has counted, which was compared with
//! every client's own account before; and nothing may be left of all the requests.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use support::Metrics;
use tokio::time::{sleep, timeout};

use crate::accountant::{Counts, Ended, counts_of_metrics};
use crate::client::World;
use crate::instance::{Instance, POLL_INTERVAL};

/// How long the last requests may take to be counted and their connections to be closed.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the log may take to say the last.
const LOG_LIMIT: Duration = Duration::from_secs(5);

/// What an instance was found to have at its last audit.
#[derive(Default)]
pub(crate) struct Auditor {
    /// The process, and what it had counted.
    base: Option<(u32, Counts)>,
    /// Memory at each audit, in KiB.
    pub(crate) memory: Vec<u64>,
    /// Descriptors at the first audit, when no connection was left. A process that has only just said that it listens doesn't have
    /// all yet: its workers open some of their own.
    descriptors: Option<usize>,
    /// Whether descriptors are compared with these at the end.
    checks_leaks: bool,
}

impl Auditor {
    pub(crate) fn new(checks_leaks: bool) -> Self {
        Self {
            checks_leaks,
            ..Self::default()
        }
    }

    /// Pauses the clients of an instance, and counts.
    pub(crate) async fn audit(&mut self, world: &World, instance: &Instance) -> Result<(), String> {
        let _closed = world.gates[&instance.door].write().await;
        instance.wait_for_old().await?;
        let (accountant, door) = (&world.accountant, instance.door);
        let gone = instance.take_ended();
        let settled = async {
            while !accountant.is_settled(door) || accountant.ended(door).processes < gone {
                sleep(POLL_INTERVAL).await;
            }
        };
        // If not, each one that isn't is told of.
        let _ = timeout(LOG_LIMIT, settled).await;
        let metrics = quiet_metrics(instance).await?;
        accountant.close_books(door);
        let logged = accountant.take_counts(door);
        let ended = accountant.take_ended(door);
        let before = self.base.as_ref().map_or(0, |(_, base)| base.requests());
        self.compare(&metrics, &logged, instance.pid())?;
        if ended.processes != gone {
            let said = ended.processes;
            return Err(format!(
                "{gone} processes have ended, but {said} have said so"
            ));
        }
        check_sum(&metrics, &logged, ended, before)?;
        if self.checks_leaks && self.descriptors.is_none() {
            self.descriptors = Some(quiet_descriptors(instance).await?);
        }
        self.memory.push(instance.memory());
        world.accountant.totals.audits.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Metrics and log agree exactly if the process is still the same; else it has counted a part.
    fn compare(&mut self, metrics: &Metrics, logged: &Counts, pid: u32) -> Result<(), String> {
        let counted = counts_of_metrics(metrics);
        let (base, is_exact) = match self.base.take() {
            Some((before, base)) if before == pid => (base, true),
            Some(_) => (Counts::default(), false),
            None => (Counts::default(), true),
        };
        self.base = Some((pid, counted.clone()));
        let dropped = metrics.sum("understudy_log_lines_dropped_total", &[]);
        if dropped > 0.0 {
            return Err(format!("{dropped} lines of the log were dropped"));
        }
        let mut problems = Vec::new();
        for (name, now, before, log) in [
            (
                "requests_total",
                &counted.outcomes,
                &base.outcomes,
                &logged.outcomes,
            ),
            (
                "fallback_activations_total",
                &counted.reasons,
                &base.reasons,
                &logged.reasons,
            ),
            (
                "observed_failures_total",
                &counted.observed,
                &base.observed,
                &logged.observed,
            ),
        ] {
            for difference in differences(now, before, log, is_exact) {
                problems.push(format!("{name}{difference}"));
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "metrics and log differ (exact: {is_exact}): {}",
                problems.join("; ")
            )),
        }
    }

    /// At the very end: nothing is open that wasn't at the beginning.
    pub(crate) async fn check_leaks(&self, instance: &Instance) -> Result<(), String> {
        let Some(first) = self.descriptors else {
            return Ok(());
        };
        let mut last = (0, 0.0);
        let gone = async {
            loop {
                let metrics = instance.metrics().await?;
                let connections = metrics.sum("understudy_upstream_connections", &[]);
                last = (instance.descriptors(), connections);
                if last.0 <= first && connections == 0.0 {
                    return Ok::<_, String>(());
                }
                sleep(POLL_INTERVAL * 10).await;
            }
        };
        match timeout(LIMIT, gone).await {
            Ok(gone) => gone,
            Err(_) => Err(format!(
                "LEAK: {} descriptors, {first} at the first audit; {} connections to apps; open are {}",
                last.0,
                last.1,
                instance.describe_descriptors()
            )),
        }
    }
}

/// All processes together have counted as many requests as their logs have, those that have ended too.
fn check_sum(metrics: &Metrics, logged: &Counts, ended: Ended, before: u64) -> Result<(), String> {
    let counted = counts_of_metrics(metrics).requests() + ended.requests;
    match counted.checked_sub(before) {
        Some(counted) if counted == logged.requests() => Ok(()),
        counted => Err(format!(
            "requests are lost in a restart or an upgrade: the processes have counted {counted:?}, their logs {}; {ended:?}",
            logged.requests()
        )),
    }
}

/// How many descriptors are open when no connection to an app is left either.
async fn quiet_descriptors(instance: &Instance) -> Result<usize, String> {
    let quiet = async {
        while instance
            .metrics()
            .await?
            .sum("understudy_upstream_connections", &[])
            > 0.0
        {
            sleep(POLL_INTERVAL * 10).await;
        }
        // The connection over which this was asked may be there for another moment.
        let mut least = instance.descriptors();
        for _ in 0..10 {
            sleep(POLL_INTERVAL).await;
            least = least.min(instance.descriptors());
        }
        Ok(least)
    };
    match timeout(LIMIT, quiet).await {
        Ok(least) => least,
        Err(_) => Err("LEAK: no client is left, but connections to apps are".to_owned()),
    }
}

/// The metrics when no request and no client is left.
async fn quiet_metrics(instance: &Instance) -> Result<Metrics, String> {
    const GAUGES: [&str; 3] = [
        "understudy_in_flight_requests",
        "understudy_client_connections",
        "understudy_tunnels",
    ];
    let mut left = Vec::new();
    let quiet = async {
        loop {
            let metrics = instance.metrics().await?;
            left = GAUGES.map(|name| metrics.sum(name, &[])).to_vec();
            if left.iter().all(|value| *value == 0.0) {
                return Ok::<_, String>(metrics);
            }
            sleep(POLL_INTERVAL).await;
        }
    };
    match timeout(LIMIT, quiet).await {
        Ok(metrics) => metrics,
        Err(_) => Err(format!(
            "LEAK: no client is left, but {GAUGES:?} are {left:?}"
        )),
    }
}

fn differences(
    now: &BTreeMap<(String, String), u64>,
    before: &BTreeMap<(String, String), u64>,
    log: &BTreeMap<(String, String), u64>,
    is_exact: bool,
) -> Vec<String> {
    let of = |counts: &BTreeMap<(String, String), u64>, key: &(String, String)| {
        counts.get(key).copied().unwrap_or_default()
    };
    let keys = now.keys().chain(log.keys());
    let mut differences: Vec<_> = keys
        .filter_map(|key| {
            let grown = of(now, key).checked_sub(of(before, key));
            let logged = of(log, key);
            let agrees = match (grown, is_exact) {
                (Some(grown), true) => grown == logged,
                (Some(grown), false) => grown <= logged,
                (None, _) => false,
            };
            (!agrees).then(|| format!("{key:?} {grown:?}, in the log {logged}"))
        })
        .collect();
    differences.dedup();
    differences
}
