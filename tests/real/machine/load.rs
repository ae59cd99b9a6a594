//! Callers who never stop: some on a connection for each call, some on one for as long as it lasts, with and without pauses. Each
//! call has a number of its own, so that it is known whether it was answered, and whether the app saw it once.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::service::{DOCUMENT, PUBLIC};
use support::{FakeUpstream, Script, Webhook, millis, response, wait_for};

/// How many callers there are of each habit.
const CALLERS: usize = 4;

/// What the numbers of their calls begin with.
const OURS: &str = "CAf";

/// How a caller uses connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// One for each call.
    New,
    /// One for as long as it lasts, without a pause.
    Kept,
    /// The same, but it may be closed while it idles.
    Idle,
}

/// Callers at work.
pub(super) struct Load {
    callers: Vec<JoinHandle<()>>,
    shared: Rc<SharedState>,
}

#[derive(Default)]
struct SharedState {
    ends: Cell<bool>,
    answered: Cell<usize>,
    /// Calls whose connection was closed before they could get to it, and which were made again on another.
    again: Cell<usize>,
    lost: RefCell<Vec<String>>,
}

/// What became of the calls.
#[derive(Debug)]
pub(super) struct RequestRecord {
    pub(super) answered: usize,
    pub(super) again: usize,
    pub(super) lost: Vec<String>,
}

/// Why a call has no response.
enum Lost {
    /// Its connection, which had served others before, ended without a byte.
    Closed,
    Broken(String),
}

impl Load {
    /// Callers of every habit.
    pub(super) fn begin() -> Self {
        Self::of(&[Habit::New, Habit::Kept, Habit::Idle])
    }

    /// Callers who make a connection for each call.
    pub(super) fn of_new_connections() -> Self {
        Self::of(&[Habit::New])
    }

    fn of(habits: &[Habit]) -> Self {
        let shared = Rc::<SharedState>::default();
        let callers = habits.iter().flat_map(|habit| [*habit; CALLERS]);
        let callers = callers.enumerate().map(|(number, habit)| {
            let caller = Caller {
                number,
                habit,
                shared: Rc::clone(&shared),
            };
            tokio::task::spawn_local(caller.calls())
        });
        Self {
            callers: callers.collect(),
            shared,
        }
    }

    /// Waits until so many more calls were answered.
    pub(super) async fn answered(&self, more: usize) {
        let enough = self.shared.answered.get() + more;
        wait_for("responses", async {
            while self.shared.answered.get() < enough {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Lets every caller finish the call that it is at.
    pub(super) async fn end(self) -> RequestRecord {
        self.shared.ends.set(true);
        for caller in self.callers {
            wait_for("the last answer", caller).await.expect("no panic");
        }
        RequestRecord {
            answered: self.shared.answered.get(),
            again: self.shared.again.get(),
            lost: self.shared.lost.take(),
        }
    }
}

struct Caller {
    number: usize,
    habit: Habit,
    shared: Rc<SharedState>,
}

impl Caller {
    async fn calls(self) {
        let mut kept = None;
        let mut call = 0;
        while !self.shared.ends.get() {
            call += 1;
            let sid = format!("{OURS}{:07}{call:024}", self.number);
            let request = Webhook::voice("/voice").with("CallSid", &sid).bytes();
            if self.habit == Habit::Idle {
                // Now shorter, now longer than an idle connection is kept at shutdown.
                tokio::time::sleep(millis(call * 37 % 400)).await;
            }
            match self.call(&mut kept, &request).await {
                Ok(()) => self.shared.answered.set(self.shared.answered.get() + 1),
                Err(why) => self.shared.lost.borrow_mut().push(format!("{sid}: {why}")),
            }
        }
    }

    /// One call. As any client does (RFC 9112 §9.6), it goes to a new connection if the kept one was closed before a byte of an
    /// response; whether the app had seen it, [`seen_once`] tells.
    async fn call(&self, kept: &mut Option<TcpStream>, request: &[u8]) -> Result<(), String> {
        if let Some(stream) = kept.take() {
            match ask(stream, request, true).await {
                Ok(stream) => {
                    *kept = stream;
                    return Ok(());
                }
                Err(Lost::Broken(why)) => return Err(format!("on a kept connection: {why}")),
                Err(Lost::Closed) => self.shared.again.set(self.shared.again.get() + 1),
            }
        }
        let stream = TcpStream::connect(PUBLIC).await;
        let stream = stream.map_err(|error| format!("no connection: {error}"))?;
        match ask(stream, request, self.habit != Habit::New).await {
            Ok(stream) => {
                *kept = stream;
                Ok(())
            }
            Err(Lost::Broken(why)) => Err(why),
            Err(Lost::Closed) => Err("closed without a response".to_owned()),
        }
    }
}

/// Asks, and gives the connection back if it can be used again.
async fn ask(
    mut stream: TcpStream,
    request: &[u8],
    keeps: bool,
) -> Result<Option<TcpStream>, Lost> {
    let broken = |error: io::Error| {
        let ended = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        if ended.contains(&error.kind()) {
            Lost::Closed
        } else {
            Lost::Broken(error.to_string())
        }
    };
    stream.write_all(request).await.map_err(broken)?;
    let mut response = Vec::new();
    loop {
        if response.ends_with(DOCUMENT.as_bytes()) {
            let head = String::from_utf8_lossy(&response);
            let goes_on = keeps && !head.to_ascii_lowercase().contains("connection: close");
            return Ok(goes_on.then_some(stream));
        }
        match stream.read_buf(&mut response).await {
            Ok(0) if response.is_empty() => return Err(Lost::Closed),
            Err(error) if response.is_empty() => return Err(broken(error)),
            Ok(0) | Err(_) => {
                return Err(Lost::Broken(
                    String::from_utf8_lossy(&response).into_owned(),
                ));
            }
            Ok(_) => {}
        }
    }
}

/// An app that takes its time for one call in ten, so that there is always one under way.
pub(super) fn app() -> FakeUpstream {
    let document = response("200 OK", &[("Content-Type", "text/xml")], DOCUMENT);
    FakeUpstream::start(move |request| {
        let takes = if request.number % 10 == 0 { 300 } else { 0 };
        Script::new().pause(millis(takes)).send(document.clone())
    })
}

impl RequestRecord {
    /// Expects that every caller got the app's own document.
    #[track_caller]
    pub(super) fn nobody_was_lost(&self) {
        let Self {
            answered,
            again,
            lost,
        } = self;
        eprintln!("{answered} calls answered, {again} of them on a second connection");
        assert!(lost.is_empty() && *answered > 0, "{self:#?}");
    }
}

/// Expects that no call came to the app twice.
#[track_caller]
pub(super) fn seen_once(app: &FakeUpstream) {
    let mut seen = BTreeMap::<_, usize>::new();
    for request in app.requests() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let sid = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("CallSid="));
        *seen.entry(sid.expect("a call").to_owned()).or_default() += 1;
    }
    seen.retain(|sid, _| sid.starts_with(OURS));
    assert!(!seen.is_empty());
    seen.retain(|_, times| *times > 1);
    assert!(seen.is_empty(), "{seen:?}");
}
