//! `understudy demo`: a misbehaving upstream, the proxy before it, and a table of what each misbehaviour does to callers without
//! and with the proxy, for somebody who has half a minute.
//!
//! The proxy is the real one, on its own threads. It logs nothing here: the table says everything.

mod scenario;
mod table;
mod upstream;
mod webhook;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};

use self::scenario::{Scenario, refusal, scenarios};
use self::table::{Row, Served, Table};
use self::upstream::{Step, Upstream, response};
use self::webhook::{deliver, form};
use super::run::Instance;
use crate::config::Config;
use crate::failure::{Outcome, Reason};
use crate::metrics::RouteMetrics;
use crate::route::{Kind, Path, Pattern};
use crate::twiml;

/// The deadline of the demo's routes: nobody who looks at a demo wants to wait for the default one.
const DEADLINE: Duration = Duration::from_secs(1);

/// After this time the next scenario starts beside one that is still running.
const NEXT_SCENARIO: Duration = Duration::from_millis(100);

/// `--stay` sends a request this often.
const TRAFFIC_INTERVAL: Duration = Duration::from_millis(250);

/// `--stay` sends so many healthy requests for each that meets a fault.
const HEALTHY_PER_FAULT: usize = 4;

const NEXT_STEPS: &str = "
Watch it at work:         understudy demo --stay
Before an app of yours:   understudy run --upstream http://127.0.0.1:3000";

/// Runs every scenario and prints what its callers got; with `stay` everything then goes on, with traffic, until Ctrl-C. Succeeds
/// if every caller got valid TwiML in time.
pub fn run(stay: bool) -> ExitCode {
    let colored = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match demo(stay, &mut io::stdout().lock(), colored) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the demo can't run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(stay: bool, out: &mut dyn Write, colored: bool) -> Result<bool, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let upstream = listener.local_addr()?;
    let instance = Instance::start(config(upstream)?, None)?;
    let proxy = instance.addresses[0];
    let all_served = instance.run_blocking(async {
        let mut app = Upstream::start(listener, script)?;
        let mut table = Table::start(out, colored, DEADLINE)?;
        play_all(upstream, proxy, &mut app, &mut table).await?;
        let all_served = table.finish(served(&instance))?;
        if stay {
            app.restart().await?;
            print_addresses(proxy, instance.admin_address, out)?;
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => interrupted?,
                () = send_traffic(proxy) => {}
            }
        } else {
            writeln!(out, "{NEXT_STEPS}")?;
        }
        Ok::<_, io::Error>(all_served)
    });
    instance.stop();
    Ok(all_served?)
}

/// A proxy before this upstream, on ports that the kernel chooses, with a route for calls and one for messages.
fn config(upstream: SocketAddr) -> Result<Config, crate::config::Errors> {
    let any_port = Some("127.0.0.1:0");
    let mut config = Config::for_upstream(&format!("http://{upstream}"), any_port, any_port)?;
    config.server.drain = DEADLINE;
    let defaults = config.proxy.unmatched.clone();
    let route = |name: &str, kind| {
        let mut route = defaults.clone();
        name.clone_into(&mut route.name);
        route.kind = kind;
        route.deadline = DEADLINE;
        // With the breaker, only the first five faults would reach the upstream.
        route.breaker.failures = 0;
        route.pattern = Pattern {
            path: Path::Prefix(format!("/{name}/")),
            host: None,
            methods: Vec::new(),
        };
        route
    };
    config.proxy.routes = vec![route("voice", Kind::Voice), route("sms", Kind::Messaging)];
    Ok(config)
}

/// The upstream's response for a path: that of the scenario that the path names.
fn script(path: &str) -> Vec<Step> {
    let scenario = scenarios()
        .into_iter()
        .find(|scenario| scenario.path() == path);
    scenario.map_or_else(
        || vec![Step::Send(response("404 Not Found", &[], ""))],
        |scenario| scenario.script,
    )
}

/// Runs the scenarios one after another, but lets slow ones run beside the next. For the last one the upstream is stopped.
async fn play_all(
    upstream: SocketAddr,
    proxy: SocketAddr,
    app: &mut Upstream,
    table: &mut Table<'_>,
) -> io::Result<()> {
    let mut slow = Vec::new();
    for scenario in scenarios() {
        let mut row = tokio::task::spawn_local(run_scenario(scenario, upstream, proxy));
        match timeout(NEXT_SCENARIO, &mut row).await {
            Ok(row) => table.add(&row?)?,
            Err(_) => slow.push(row),
        }
    }
    for row in slow {
        table.add(&row.await?)?;
    }
    app.stop().await;
    table.add(&run_scenario(refusal(), upstream, proxy).await)
}

/// Sends a webhook to the upstream, and the same to the proxy.
async fn run_scenario(scenario: Scenario, upstream: SocketAddr, proxy: SocketAddr) -> Row {
    let (kind, path) = (scenario.kind, scenario.path());
    let (without, with) = tokio::join!(deliver(upstream, kind, &path), deliver(proxy, kind, &path));
    Row {
        name: scenario.name,
        kind,
        without,
        with,
    }
}

/// What the proxy's own metrics say.
fn served(instance: &Instance) -> Served {
    let snapshot = instance.snapshot.load();
    let sum = |count: &dyn Fn(&RouteMetrics) -> u64| {
        let routes = snapshot.routes.iter();
        routes.map(|route| count(&route.metrics)).sum()
    };
    Served {
        by_app: sum(&|route| route.requests(Outcome::Upstream)),
        by_fallback: sum(&|route| {
            Reason::ALL
                .map(|reason| route.fallbacks(reason))
                .iter()
                .sum()
        }),
    }
}

fn print_addresses(proxy: SocketAddr, admin: SocketAddr, out: &mut dyn Write) -> io::Result<()> {
    let form = form(twiml::Kind::Voice);
    let form = form.split('&').next().unwrap_or_default();
    writeln!(
        out,
        "\nRunning, with a request every {} ms, until Ctrl-C:\n\n  \
           proxy    http://{proxy}\n  \
           metrics  http://{admin}/metrics\n  \
           status   http://{admin}/\n\n\
         Send a webhook to an app that is silent:\n\n  \
           curl -i -d {form} http://{proxy}/voice/silent\n",
        TRAFFIC_INTERVAL.as_millis()
    )?;
    out.flush()
}

/// Sends requests, most of them to healthy paths, for ever.
async fn send_traffic(proxy: SocketAddr) {
    let mut ticks = interval(TRAFFIC_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (healthy, faults): (Vec<_>, Vec<_>) =
        scenarios().into_iter().partition(Scenario::is_healthy);
    for number in 0.. {
        ticks.tick().await;
        let scenario = match number % (HEALTHY_PER_FAULT + 1) {
            HEALTHY_PER_FAULT => &faults[number / (HEALTHY_PER_FAULT + 1) % faults.len()],
            _ => &healthy[number % healthy.len()],
        };
        let (kind, path) = (scenario.kind, scenario.path());
        // The proxy counts the result.
        tokio::task::spawn_local(async move { deliver(proxy, kind, &path).await });
    }
}
