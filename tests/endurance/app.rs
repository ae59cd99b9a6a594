//! The apps behind understudy: they do with request N what its plan says, and remember for a while what they saw and did.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use support::{Event, FakeUpstream, Request, Script, Step, response};

use crate::pki::Authority;
use crate::plan::{App, AppDoes, DEADLINE, Kind, Plan, Planner};
use crate::terminator::Terminator;

/// The header with a request's number.
pub(crate) const NUMBER: &str = "X-Request-Number";

/// The header with a fault's place in the table, for a request that asks an app directly.
pub(crate) const FAULT: &str = "X-Fault";

/// What the fallback URL responds.
pub(crate) const FROM_URL: &str = "<Response><Say>from the fallback URL</Say></Response>";

/// For how long what apps did is remembered.
const REMEMBERED: Duration = Duration::from_secs(40);

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// What the apps saw and did lately.
#[derive(Default)]
pub(crate) struct Diary(Mutex<VecDeque<(Instant, u64, Entry)>>);

#[derive(Clone, Copy, Debug)]
enum Entry {
    Head {
        app: App,
        connection: usize,
        number: usize,
    },
    Step(&'static str),
    End {
        is_complete: bool,
    },
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head {
                app,
                connection,
                number,
            } => write!(
                f,
                "app {app:?}: the head came, request {number} on connection {connection}"
            ),
            Self::Step(step) => write!(f, "app: {step}"),
            Self::End { is_complete: true } => f.write_str("app: done"),
            Self::End { is_complete: false } => f.write_str("app: the connection ended before"),
        }
    }
}

impl Diary {
    fn note(&self, number: u64, entry: Entry) {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while entries
            .front()
            .is_some_and(|(at, ..)| now - *at > REMEMBERED)
        {
            entries.pop_front();
        }
        entries.push_back((now, number, entry));
    }

    /// What was seen and done with this request.
    pub(crate) fn of(&self, number: u64) -> Vec<(Instant, String)> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = entries.iter().filter(|(_, of, _)| *of == number);
        own.map(|(at, _, entry)| (*at, format!("app: {entry:?}")))
            .collect()
    }
}

/// Every app.
pub(crate) struct Apps {
    pub(crate) tcp: FakeUpstream,
    pub(crate) unix: FakeUpstream,
    pub(crate) child: ChildApp,
    refused: FakeUpstream,
    full: FakeUpstream,
    secure: Terminator,
    pub(crate) diary: Arc<Diary>,
}

impl Apps {
    /// Starts them. To be called within a runtime.
    pub(crate) async fn start(planner: &Arc<Planner>, authority: &Authority) -> Self {
        let diary = Arc::<Diary>::default();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let in_process = |app| {
            let (planner, diary) = (Arc::clone(planner), Arc::clone(&diary));
            let choose = move |request: &Request| script(&planner, request);
            let observe = move |request: &Request, event: Event<'_>| {
                if let Some((number, entry)) = entry(app, request, event) {
                    diary.note(number, entry);
                }
            };
            match app {
                App::Unix => FakeUpstream::observed_on_unix_socket(choose, observe),
                _ => FakeUpstream::observed_at(any, choose, observe),
            }
        };
        let (tcp, unix) = (in_process(App::Tcp), in_process(App::Unix));
        let (refused, full) = (in_process(App::Refused), in_process(App::Full));
        refused.refuse().await;
        full.overflow().await;
        let secure = Terminator::before(&tcp, &authority.issue(&["127.0.0.1"])).await;
        Self {
            child: ChildApp::start(planner.seed, &diary),
            tcp,
            unix,
            refused,
            full,
            secure,
            diary,
        }
    }

    pub(crate) fn url(&self, app: App) -> String {
        match app {
            App::Tcp => self.tcp.url(),
            App::Unix => self.unix.url(),
            App::Refused => self.refused.url(),
            App::Full => self.full.url(),
            App::Secure => format!("https://{}", self.secure.address),
            App::Child => format!("http://{}", self.child.address),
        }
    }
}

/// What the app does with this request.
pub(crate) fn script(planner: &Planner, request: &Request) -> Script {
    let number = |name| request.header(name).and_then(|text| text.parse().ok());
    if let Some(fault) = number(FAULT) {
        return planner.faults[fault as usize].script.clone();
    }
    match number(NUMBER) {
        Some(number) => script_of(planner, &planner.plan(number)),
        None if request.path() == "/fallback" => Script::twiml(FROM_URL),
        None => Script::response("500 Who?", "text/plain", "a request without a number"),
    }
}

fn script_of(planner: &Planner, plan: &Plan) -> Script {
    let content_type = match plan.kind {
        Kind::Voice | Kind::Messaging => "text/xml",
        Kind::Callback | Kind::Pass => "text/plain",
    };
    let good = response("200 OK", &[("Content-Type", content_type)], document(plan));
    match plan.app {
        AppDoes::Well => Script::new().send(good),
        AppDoes::Slowly(pause) => Script::new().pause(pause).send(good),
        AppDoes::AtDeadline { microseconds } => {
            let micros = DEADLINE.as_micros() as i64 + microseconds;
            Script::new()
                .pause(Duration::from_micros(micros.unsigned_abs()))
                .send(good)
        }
        AppDoes::Fault(index) => planner.faults[index].script.clone(),
        AppDoes::Echo => Script::new().send(SWITCH).echo(),
    }
}

/// The document of a good response: nobody else's.
pub(crate) fn document(plan: &Plan) -> String {
    let number = plan.number;
    match plan.kind {
        Kind::Voice => format!("<Response><Say>{number}</Say></Response>"),
        Kind::Messaging => format!("<Response><Message>{number}</Message></Response>"),
        Kind::Callback | Kind::Pass => number.to_string(),
    }
}

fn entry(app: App, request: &Request, event: Event<'_>) -> Option<(u64, Entry)> {
    let number = request.header(NUMBER)?.parse().ok()?;
    let entry = match event {
        Event::Head => Entry::Head {
            app,
            connection: request.connection,
            number: request.number,
        },
        Event::Step(step) => Entry::Step(name_of(step)),
        Event::End { is_complete } => Entry::End { is_complete },
    };
    Some((number, entry))
}

fn name_of(step: &Step) -> &'static str {
    match step {
        Step::Read => "read the body",
        Step::Send(_) => "send",
        Step::Pause(_) => "pause",
        Step::Trickle(..) => "trickle",
        Step::Endless(_) => "send without end",
        Step::Stall => "stall",
        Step::Echo => "echo",
        Step::Close => "close",
        Step::Reset => "reset",
    }
}

/// An app in a process of its own, so that it can be killed. Its address stays the same.
pub(crate) struct ChildApp {
    pub(crate) address: SocketAddr,
    /// Keeps the port from others while the process is dead.
    _reserved: socket2::Socket,
    seed: u64,
    diary: Arc<Diary>,
    process: Mutex<Child>,
}

impl ChildApp {
    fn start(seed: u64, diary: &Arc<Diary>) -> Self {
        let reserved = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a socket");
        reserved.set_reuse_port(true).expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        reserved.bind(&any.into()).expect("a port");
        let address = reserved.local_addr().expect("an address").as_socket();
        let address = address.expect("an Internet address");
        Self {
            address,
            _reserved: reserved,
            seed,
            process: Mutex::new(spawn(address, seed, diary)),
            diary: Arc::clone(diary),
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Child> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process().id()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&self) {
        let mut process = self.process();
        let _ = process.kill();
        let _ = process.wait();
    }

    /// Starts it again; when this returns, it listens.
    pub(crate) fn start_again(&self) {
        *self.process() = spawn(self.address, self.seed, &self.diary);
    }
}

impl Drop for ChildApp {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts the process, and waits until it listens.
fn spawn(address: SocketAddr, seed: u64, diary: &Arc<Diary>) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--app", &address.to_string(), "--seed", &seed.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let _ready = lines.next();
    let diary = Arc::clone(diary);
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let mut words = line.split(' ');
            let mut number = || words.next().and_then(|word| word.parse::<usize>().ok());
            let (Some(of), Some(what)) = (number(), number()) else {
                continue;
            };
            let entry = match what {
                0 => Entry::Head {
                    app: App::Child,
                    connection: number().unwrap_or_default(),
                    number: number().unwrap_or_default(),
                },
                1 => Entry::Step("a step"),
                _ => Entry::End {
                    is_complete: what == 3,
                },
            };
            diary.note(of as u64, entry);
        }
    });
    child
}

/// The process of [`ChildApp`]: it runs until it is killed, or whoever started it is gone.
pub(crate) async fn be_child(address: SocketAddr, seed: u64) {
    let planner = Arc::new(Planner::new(seed));
    let choose = move |request: &Request| script(&planner, request);
    let observe = |request: &Request, event: Event<'_>| {
        let Some((of, entry)) = entry(App::Child, request, event) else {
            return;
        };
        let line = match entry {
            Entry::Head {
                connection, number, ..
            } => format!("{of} 0 {connection} {number}\n"),
            Entry::Step(_) => format!("{of} 1\n"),
            Entry::End { is_complete } => format!("{of} {}\n", 2 + u8::from(is_complete)),
        };
        let _ = std::io::stdout().write_all(line.as_bytes());
    };
    let _app = FakeUpstream::observed_at(address, choose, observe);
    let _ = std::io::stdout().write_all(b"ready\n");
    // Its other end closes with whoever holds it.
    let end = tokio::task::spawn_blocking(|| std::io::stdin().lines().count());
    let _ = end.await;
}
