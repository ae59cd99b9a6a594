//! `understudy demo`: a misbehaving app inside, the proxy before it, each fault played without and with it; a table for somebody
//! who has half a minute.
//!
//! The proxy is the real one, on its own threads. It logs nothing here: the table says it all.

pub mod app;
mod caller;
mod program;
mod table;
mod traffic;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;

use self::app::{Address, App, Script};
use self::caller::Heard;
use self::program::Fault;
use self::table::{Counted, Row, Table};
use super::run::Instance;
use crate::config::Config;
use crate::failure::{Outcome, Reason};
use crate::route::{Kind, Path, Pattern};

/// The deadline of the demo's routes: nobody who looks at a demo wants to wait for the usual one.
const DEADLINE: Duration = Duration::from_secs(1);

/// How long the next fault waits for one that takes its time.
const NEXT: Duration = Duration::from_millis(100);

/// Twilio waits for 15 s; here its silence is cut short.
const PATIENCE: Duration = Duration::from_secs(3);

const WHAT_NEXT: &str = "
Watch it at work:         understudy demo --stay
Before an app of yours:   understudy run --upstream http://127.0.0.1:3000";

/// Plays every fault and shows what became of its callers; then, if asked, keeps everything running with traffic. Succeeds if
/// every caller had valid TwiML in time.
pub fn run(stay: bool) -> ExitCode {
    let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match demo(stay, &mut io::stdout().lock(), coloured) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the demo can't be played: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo(stay: bool, out: &mut dyn Write, coloured: bool) -> Result<bool, Box<dyn Error>> {
    let address = Address::reserve()?;
    let instance = Instance::start(config(address.socket_address())?, None)?;
    let stage = Stage {
        app: address.socket_address(),
        proxy: instance.addresses[0],
        admin: instance.admin_address,
    };
    let served = instance.run_blocking(async {
        let app = App::at(address, script)?;
        let mut table = Table::begin(out, coloured)?;
        perform(&stage, &app, &mut table).await?;
        let served = table.end(counted(&instance))?;
        if stay {
            app.recover().await?;
            traffic::until_interrupted(&stage, out).await?;
        } else {
            writeln!(out, "{WHAT_NEXT}")?;
        }
        Ok::<_, io::Error>(served)
    });
    instance.stop();
    Ok(served?)
}

/// Who is where.
struct Stage {
    app: SocketAddr,
    proxy: SocketAddr,
    admin: SocketAddr,
}

/// A proxy before this app, on ports that the kernel chooses, with a route for calls and one for messages.
fn config(app: SocketAddr) -> Result<Config, crate::config::Errors> {
    let anywhere = Some("127.0.0.1:0");
    let mut config = Config::for_upstream(&format!("http://{app}"), anywhere, anywhere)?;
    config.server.drain = DEADLINE;
    let model = config.site.unmatched.clone();
    let route = |name: &str, kind| {
        let mut route = model.clone();
        name.clone_into(&mut route.name);
        route.kind = kind;
        route.deadline = DEADLINE;
        // Each fault is to be seen for what it is, not only the first five.
        route.breaker.failures = 0;
        route.pattern = Pattern {
            path: Path::Prefix(format!("/{name}/")),
            host: None,
            methods: Vec::new(),
        };
        route
    };
    config.site.routes = vec![route("voice", Kind::Voice), route("sms", Kind::Messaging)];
    Ok(config)
}

/// What the app does with a request: the fault that its path names.
fn script(request: &app::Request) -> Script {
    let called = |fault: &Fault| request.path() == fault.path();
    program::faults().into_iter().find(called).map_or_else(
        || Script::page("404 Not Found", "text/plain", ""),
        |fault| fault.script,
    )
}

/// Plays every fault, one after another; but who has to wait for one is called back later. Then the app goes down for the last.
async fn perform(stage: &Stage, app: &App, table: &mut Table<'_>) -> io::Result<()> {
    let mut waiting = Vec::new();
    for fault in program::faults() {
        let mut playing = tokio::task::spawn_local(play(fault, stage.app, stage.proxy));
        match timeout(NEXT, &mut playing).await {
            Ok(row) => table.row(&row?)?,
            Err(_) => waiting.push(playing),
        }
    }
    for playing in waiting {
        table.row(&playing.await?)?;
    }
    app.refuse().await;
    table.row(&play(program::refusal(), stage.app, stage.proxy).await)
}

/// Twilio calls the app, and calls it through the proxy.
async fn play(fault: Fault, app: SocketAddr, proxy: SocketAddr) -> Row {
    let (kind, path) = (fault.kind, fault.path());
    let (without, with) = tokio::join!(Heard::at(app, kind, &path), Heard::at(proxy, kind, &path));
    Row {
        name: fault.name,
        kind,
        without,
        with,
    }
}

/// How many callers the proxy's own counters know.
fn counted(instance: &Instance) -> Counted {
    let site = instance.site.load();
    let sum = |count: &dyn Fn(&crate::metrics::RouteMetrics) -> u64| {
        site.routes.iter().map(|route| count(&route.metrics)).sum()
    };
    let by_app = sum(&|route| route.requests(Outcome::Upstream));
    let by_fallback = sum(&|route| {
        Reason::ALL
            .iter()
            .map(|reason| route.fallbacks(*reason))
            .sum()
    });
    Counted {
        by_app,
        by_fallback,
    }
}
