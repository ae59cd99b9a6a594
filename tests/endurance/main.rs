//! The endurance run: clients and apps that do everything wrong on either side of the real binary, while that is reloaded,
//! restarted and upgraded; and an accountant that checks every single request.
//!
//! - `cargo test --test endurance -- --requests 1000000 --reloads 1000 --restarts 100 --upgrades 100 --kills 100`: the long run.
//! - `--duration 2m`: for so long instead. Without anything, for a few seconds.
//! - `--soak`: an hour at half load, in which memory must stay flat.
//! - `--seed S`: what is drawn. `--only N`: request N of that seed again, alone.

// Most of what can happen doesn't matter to most of the rules; there are too many combinations to list them.
#![allow(clippy::wildcard_enum_match_arm)]

mod account;
mod accountant;
mod app;
mod audit;
mod client;
mod disturb;
mod faults;
mod instance;
#[path = "../it/tls/pki.rs"]
#[allow(dead_code)] // what only the tests there need
mod pki;
mod plan;
mod promise;
#[path = "../it/tls/terminator.rs"]
#[allow(dead_code)] // what only the tests there need
mod terminator;
mod windows;
mod wire;
mod witness;

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use rustls::ClientConfig;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use accountant::Accountant;
use app::{Apps, FAULT};
use audit::Auditor;
use client::World;
use disturb::{Disturber, Quotas, disturb_app};
use faults::Promise;
use instance::Instance;
use pki::{Authority, provider};
use plan::{Door, Kind, PER_SESSION, Planner, Random};
use promise::Direct;
use witness::Witness;

/// How long a run is that nobody has asked for.
const SHORT: Duration = Duration::from_secs(3);

/// More memory than this, in MiB, is a leak.
const MEMORY_LIMIT: u64 = 256;

/// Clients and apps that do everything wrong, on either side of understudy.
#[derive(Parser, Clone, Debug)]
struct Options {
    /// What is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs until so many requests have been sent
    #[arg(long)]
    requests: Option<u64>,
    /// Runs for so long
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// How often the configuration is reloaded
    #[arg(long)]
    reloads: Option<u64>,
    /// How often understudy is restarted
    #[arg(long)]
    restarts: Option<u64>,
    /// How often understudy is upgraded in place
    #[arg(long)]
    upgrades: Option<u64>,
    /// How often an app is killed
    #[arg(long)]
    kills: Option<u64>,
    /// The binary
    #[arg(long, default_value = env!("CARGO_BIN_EXE_understudy"))]
    understudy: PathBuf,
    /// Clients at once
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Requests a second at most; 0: as many as there can be
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Half load, an hour unless --duration says otherwise, memory flat
    #[arg(long)]
    soak: bool,
    /// Lateness is measured, but no discrepancy: for a machine that is busy with something else
    #[arg(long)]
    lenient: bool,
    /// Only the client of this request, again and again, and its story
    #[arg(long)]
    only: Option<u64>,
    /// An app on this address: what the program starts itself as
    #[arg(long, hide = true)]
    app: Option<SocketAddr>,
    /// What the test runner of Rust understands
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(hide = true)]
    filter: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list || !options.filter.is_empty() {
        // Somebody looks for tests of that name, and this is none.
        return ExitCode::SUCCESS;
    }
    let _ = rlimit::increase_nofile_limit(rlimit::INFINITY);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let code = runtime.block_on(async {
        match options.app {
            Some(address) => {
                app::be_child(address, options.seed).await;
                ExitCode::SUCCESS
            }
            None => Run::prepare(options).await.run().await,
        }
    });
    runtime.shutdown_background();
    code
}

impl Options {
    /// Whether somebody wants a run of some length.
    fn is_asked_for(&self) -> bool {
        self.requests.is_some() || self.duration.is_some() || self.soak
    }
}

/// One run, with everything that takes part in it.
struct Run {
    options: Options,
    world: Arc<World>,
    apps: Arc<Apps>,
    limit: Limit,
    next_session: AtomicU64,
    began: Instant,
    /// No new session begins.
    is_over: AtomicBool,
}

/// When a run has been long enough.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Requests(u64),
    Duration(Duration),
}

impl Run {
    async fn prepare(options: Options) -> Self {
        let planner = Arc::new(Planner::new(options.seed));
        let authority = Arc::new(Authority::new());
        let apps = Arc::new(Apps::start(&planner, &authority).await);
        let witness = Witness::start();
        // A run that nobody asked for is one of `cargo test`, with many other tests beside it.
        let is_asked_for = options.requests.is_some() || options.duration.is_some() || options.soak;
        let is_lenient = options.lenient || !is_asked_for;
        let tells_all = options.only.is_some();
        let accountant = Accountant::new(&planner, &witness, &apps.diary, is_lenient, tells_all);
        let accountant = Arc::new(accountant);
        let directs = ask_directly(&planner, &apps).await;
        let _ = accountant.directs.set(directs);
        let instances = [Door::Plain, Door::Tls].map(|door| {
            let instance = Instance::new(door, &options.understudy, &apps, &authority, &accountant);
            (door, Arc::new(instance))
        });
        let world = World {
            planner,
            accountant,
            instances: HashMap::from(instances),
            http1: client_config(&authority, "http/1.1"),
            http2: client_config(&authority, "h2"),
            gates: [Door::Plain, Door::Tls]
                .into_iter()
                .map(|door| (door, RwLock::new(())))
                .collect(),
        };
        let limit = match (options.requests, options.duration) {
            (Some(requests), _) => Limit::Requests(requests),
            (None, Some(duration)) => Limit::Duration(duration),
            (None, None) if options.soak => Limit::Duration(Duration::from_secs(3600)),
            (None, None) => Limit::Duration(SHORT),
        };
        Self {
            options,
            world: Arc::new(world),
            apps,
            limit,
            next_session: AtomicU64::new(0),
            began: Instant::now(),
            is_over: AtomicBool::new(false),
        }
    }

    /// How much of the run is done, from 0 to 1 and beyond.
    fn progress(&self) -> f64 {
        match self.limit {
            Limit::Requests(all) => {
                let sent = self.next_session.load(Relaxed) * PER_SESSION;
                sent as f64 / all as f64
            }
            Limit::Duration(all) => self.began.elapsed().as_secs_f64() / all.as_secs_f64(),
        }
    }

    /// How often each disturbance comes, where nobody has said it.
    fn quotas(&self) -> Quotas {
        let seconds = match self.limit {
            Limit::Requests(all) => all / 1000,
            Limit::Duration(all) => all.as_secs(),
        };
        let options = &self.options;
        Quotas {
            reloads: options.reloads.unwrap_or(seconds * 3 / 2),
            restarts: options.restarts.unwrap_or_else(|| seconds.div_ceil(5)),
            upgrades: options.upgrades.unwrap_or_else(|| seconds.div_ceil(5)),
            kills: options.kills.unwrap_or_else(|| seconds.div_ceil(5)),
            audits: 2 + seconds / 20,
        }
    }

    async fn run(mut self) -> ExitCode {
        for instance in self.world.instances.values() {
            let edition = instance.write_config();
            if let Err(problem) = instance.start().await {
                self.world.accountant.tell(&problem, None);
                return ExitCode::FAILURE;
            }
            instance.confirm(edition);
        }
        self.began = Instant::now();
        let run = Arc::new(self);
        match run.options.only {
            Some(number) => run.replay(number).await,
            None => run.campaign().await,
        }
    }

    async fn campaign(self: Arc<Self>) -> ExitCode {
        let mut clients = JoinSet::new();
        for _ in 0..self.options.clients {
            clients.spawn(Arc::clone(&self).client());
        }
        let progress = tokio::spawn(Arc::clone(&self).show_progress());
        let mut auditors = Vec::new();
        {
            let mut disturbers = JoinSet::new();
            for instance in self.world.instances.values() {
                disturbers.spawn(Arc::clone(&self).disturb(Arc::clone(instance)));
            }
            let apps = tokio::spawn(Arc::clone(&self).disturb_apps());
            while let Some(auditor) = disturbers.join_next().await {
                auditors.push(auditor.expect("no disturber panics"));
            }
            apps.await.expect("no disturber panics");
        }
        while self.progress() < 1.0 {
            sleep(Duration::from_millis(20)).await;
        }
        self.is_over.store(true, Relaxed);
        while let Some(client) = clients.join_next().await {
            if let Err(error) = client {
                let problem = format!("a client failed: {error}");
                self.world.accountant.tell(&problem, None);
            }
        }
        progress.abort();
        let took = self.began.elapsed();
        for (instance, mut auditor) in auditors {
            let world = &self.world;
            let audited = async {
                auditor.audit(world, &instance).await?;
                auditor.check_leaks(&instance).await?;
                self.check_memory(&auditor)?;
                instance.stop().await
            };
            if let Err(problem) = audited.await {
                let problem = format!("the last audit of {:?}: {problem}", instance.door);
                world.accountant.tell(&problem, None);
            }
            let mebibytes = |kib: Option<&u64>| kib.copied().unwrap_or_default() / 1024;
            say(&format!(
                "{:?}: memory at the first audit {} MiB, at most {} MiB, at the last {} MiB",
                instance.door,
                mebibytes(auditor.memory.first()),
                mebibytes(auditor.memory.iter().max()),
                mebibytes(auditor.memory.last()),
            ));
        }
        self.summarize(took)
    }

    fn check_memory(&self, auditor: &Auditor) -> Result<(), String> {
        let memory = &auditor.memory;
        let most = memory.iter().max().copied().unwrap_or_default() / 1024;
        if most > MEMORY_LIMIT {
            return Err(format!("LEAK: {most} MiB, more than {MEMORY_LIMIT} MiB"));
        }
        if self.options.soak && memory.len() >= 9 {
            let third = memory.len() / 3;
            let early = memory[third..2 * third].iter().max().copied();
            let late = memory[2 * third..].iter().max().copied();
            if late > early.map(|early| early + early / 10 + 4096) {
                return Err(format!("LEAK: memory grows, in KiB: {memory:?}"));
            }
        }
        Ok(())
    }

    fn summarize(&self, took: Duration) -> ExitCode {
        let accountant = &self.world.accountant;
        let totals = &accountant.totals;
        let of = |count: &AtomicU64| count.load(Relaxed);
        let quotas = self.quotas();
        say(&format!("got: {}", accountant.summary()));
        let discrepancies = of(&totals.discrepancies);
        say(&format!(
            "endurance, seed {}: {} requests in {:.0?} ({:.0}/s): {} responses, {} of them fallbacks, {} clients that left, {} tunnels, \
             {} asked again on another connection, {} reset by the app before it saw them; {} reloads, {} restarts, {} upgrades, {} kills, {} audits; {} lost, {} late, {} excused by a stall of this machine \
             (longest {:?}), longest wait beyond a deadline in a restart {} ms; {} discrepancies",
            self.options.seed,
            of(&totals.requests),
            took,
            of(&totals.requests) as f64 / took.as_secs_f64(),
            of(&totals.responses),
            of(&totals.fallbacks),
            of(&totals.left),
            of(&totals.tunnels),
            of(&totals.retried),
            of(&totals.closed_by_app),
            quotas.reloads,
            quotas.restarts,
            quotas.upgrades,
            quotas.kills,
            of(&totals.audits),
            of(&totals.lost),
            of(&totals.late),
            of(&totals.excused),
            accountant.witness.longest(),
            of(&totals.waited_in_restart),
            discrepancies
        ));
        match discrepancies {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    /// A client after another, until the run is over.
    async fn client(self: Arc<Self>) {
        let rate = match self.options.rate {
            0 if self.options.soak => 500,
            rate => rate,
        };
        while !self.is_over.load(Relaxed) {
            let number = self.next_session.fetch_add(1, Relaxed);
            if rate > 0 {
                let due = Duration::from_secs_f64((number * PER_SESSION) as f64 / rate as f64);
                sleep_until((self.began + due).into()).await;
            }
            self.world.run_session(number).await;
        }
    }

    async fn disturb(self: Arc<Self>, instance: Arc<Instance>) -> (Arc<Instance>, Auditor) {
        let mut random = Random::new(self.options.seed, instance.door as u64, 0xd157);
        let actions = self.quotas().actions(instance.door, &mut random);
        let auditor = Auditor::new(self.options.is_asked_for());
        let mut disturber = Disturber {
            world: &self.world,
            instance: Arc::clone(&instance),
            auditor,
            random,
        };
        let all = actions.len() + 1;
        for (at, action) in actions.into_iter().enumerate() {
            if !self.wait_for_progress((at + 1) as f64 / all as f64).await {
                break;
            }
            disturber.act(action).await;
        }
        (instance, disturber.auditor)
    }

    async fn disturb_apps(self: Arc<Self>) {
        let mut random = Random::new(self.options.seed, 0, 0xa44);
        let actions = self.quotas().app_actions(&mut random);
        let all = actions.len() + 1;
        for (at, action) in actions.into_iter().enumerate() {
            if !self.wait_for_progress((at + 1) as f64 / all as f64).await {
                return;
            }
            disturb_app(&self.world, &self.apps, action, &mut random).await;
        }
    }

    /// Whether there is time for what is to be done at this part of the run. With a number of requests, there always is.
    async fn wait_for_progress(&self, part: f64) -> bool {
        while self.progress() < part {
            sleep(Duration::from_millis(10)).await;
        }
        matches!(self.limit, Limit::Requests(_)) || self.progress() < 1.0
    }

    async fn show_progress(self: Arc<Self>) {
        let totals = &self.world.accountant.totals;
        let mut last = 0;
        loop {
            sleep(Duration::from_secs(10)).await;
            let requests = totals.requests.load(Relaxed);
            say(&format!(
                "{:>5.0?}: {requests} requests, {}/s, {} discrepancies",
                self.began.elapsed(),
                (requests - last) / 10,
                totals.discrepancies.load(Relaxed)
            ));
            last = requests;
        }
    }

    /// The client of one request again and again, with nothing else going on, and what happened.
    async fn replay(self: Arc<Self>, number: u64) -> ExitCode {
        let accountant = &self.world.accountant;
        let plan = self.world.planner.plan(number);
        say(&format!("{plan:?}"));
        for _ in 0..5 {
            self.world.run_session(number / PER_SESSION).await;
            for instance in self.world.instances.values() {
                let mut auditor = Auditor::default();
                // It has counted the times before as well.
                if let Err(problem) = auditor.audit(&self.world, instance).await
                    && !problem.contains("differ")
                {
                    accountant.tell(&problem, None);
                }
            }
        }
        self.summarize(self.began.elapsed())
    }
}

/// What each fault's response is when the app is asked for it, where it goes back as it is.
async fn ask_directly(planner: &Planner, apps: &Apps) -> Vec<Option<Direct>> {
    const KINDS: [Kind; 4] = [Kind::Voice, Kind::Messaging, Kind::Callback, Kind::Pass];
    let mut directs = Vec::new();
    for (index, fault) in planner.faults.iter().enumerate() {
        let goes_back = |kind: &Kind| fault.promise(*kind) == Promise::Unchanged;
        directs.push(match KINDS.iter().any(goes_back) {
            true => {
                let request = format!(
                    "POST /x HTTP/1.1\r\nHost: a\r\n{FAULT}: {index}\r\nContent-Length: 0\r\n\r\n"
                );
                let response = apps.tcp.connect().await.request(request).await;
                Some(Direct {
                    status: response.status,
                    body: response.body,
                })
            }
            false => None,
        });
    }
    directs
}

fn client_config(authority: &Authority, protocol: &str) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(authority.roots())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    Arc::new(config)
}

fn say(text: &str) {
    // Nobody may listen.
    let _ = writeln!(std::io::stdout(), "{text}");
}
