//! A fake upstream on raw sockets: for each request it sends what a script says, byte by byte, also what no HTTP library would send.
//!
//! It keeps every request as it came, so that a test can compare bytes, and its address stays the same while it accepts
//! connections, refuses them or lets them hang. When a test fails, it prints what it was sent.

mod address;
mod connection;
mod request;
mod script;
mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

pub use request::Request;
pub use script::{Script, Step, response};
pub use state::Event;

use crate::{Client, wait_for};
use address::{Address, FullListener, Listener};
use state::State;

/// A running upstream. It ends when it is dropped.
pub struct FakeUpstream {
    address: Address,
    state: Arc<State>,
    listening: Mutex<Listening>,
}

/// What happens to new connections.
enum Listening {
    Accepting {
        listener: Arc<Listener>,
        task: JoinHandle<()>,
    },
    Refusing,
    /// The listener is held for as long as connections are to hang.
    Full {
        _listener: FullListener,
    },
}

impl FakeUpstream {
    /// An upstream on an address of its own. `choose` gives the script for a request of which only the head is known yet; the
    /// script reads the body. To be called within a tokio runtime.
    pub fn start(choose: impl Fn(&Request) -> Script + Send + Sync + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), choose)
    }

    /// The same at this address; port 0 is any.
    pub fn start_at(
        address: SocketAddr,
        choose: impl Fn(&Request) -> Script + Send + Sync + 'static,
    ) -> Self {
        let address = Address::reserve_port(address).expect("the port is free");
        Self::on(address, State::new(choose))
    }

    /// The same, for load runs: it keeps no request, but shows an observer what happens to each. The observer waits for nothing.
    pub fn observed_at(
        address: SocketAddr,
        choose: impl Fn(&Request) -> Script + Send + Sync + 'static,
        observe: impl Fn(&Request, Event<'_>) + Send + Sync + 'static,
    ) -> Self {
        let address = Address::reserve_port(address).expect("the port is free");
        Self::on(address, State::new(choose).observed(observe))
    }

    /// The same on a Unix socket.
    pub fn observed_on_unix_socket(
        choose: impl Fn(&Request) -> Script + Send + Sync + 'static,
        observe: impl Fn(&Request, Event<'_>) + Send + Sync + 'static,
    ) -> Self {
        let address = Address::reserve_path().expect("a folder");
        Self::on(address, State::new(choose).observed(observe))
    }

    /// The same on a Unix socket.
    pub fn start_on_unix_socket(
        choose: impl Fn(&Request) -> Script + Send + Sync + 'static,
    ) -> Self {
        let address = Address::reserve_path().expect("a folder");
        Self::on(address, State::new(choose))
    }

    fn on(address: Address, state: State) -> Self {
        let state = Arc::new(state);
        let listening = Mutex::new(Listening::accept(&address, &state));
        Self {
            address,
            state,
            listening,
        }
    }

    /// An upstream that answers every request with this TwiML document.
    pub fn with_document(document: &'static str) -> Self {
        Self::start(move |_| Script::twiml(document))
    }

    /// Where it is, as a configuration names it.
    pub fn url(&self) -> String {
        self.address.to_string()
    }

    /// A new connection to it.
    pub async fn connect(&self) -> Client {
        let stream = wait_for("a connection", self.address.connect()).await;
        Client::on(stream.expect("the upstream takes connections"))
    }

    /// Its port on loopback.
    pub fn address(&self) -> SocketAddr {
        self.address.socket_address()
    }

    /// Every request so far, in the order in which their heads came.
    pub fn requests(&self) -> Vec<Request> {
        self.state.requests().clone()
    }

    /// Waits until so many requests have come whole, those included that came before.
    pub async fn wait_for_requests(&self, count: usize) {
        let mut complete = self.state.complete.subscribe();
        let enough = complete.wait_for(|complete| *complete >= count);
        drop(wait_for("requests to reach the upstream", enough).await);
    }

    /// How many bytes were ever sent; those of a write that has not ended are not counted.
    pub fn bytes_sent(&self) -> usize {
        self.state.sent.load(Relaxed)
    }

    /// How many connections were ever accepted.
    pub fn connections(&self) -> usize {
        self.state.accepted.load(Relaxed)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        *self.state.open.borrow()
    }

    /// Begins to close every connection there is, whatever happens on it.
    pub fn begin_to_hang_up(&self) {
        self.state.hang_up.send_replace(());
    }

    /// Closes every connection, whatever happens on it, and goes on listening. One that is being accepted is closed too.
    pub async fn hang_up(&self) {
        let mut open = self.state.open.subscribe();
        self.begin_to_hang_up();
        let closed = async {
            while *open.borrow_and_update() > 0 {
                open.changed().await.expect("the state has the sender");
                self.begin_to_hang_up();
            }
        };
        wait_for("the upstream's connections to close", closed).await;
    }

    /// As if the app had crashed: every connection is closed, new ones are refused.
    pub async fn refuse(&self) {
        let before = std::mem::replace(&mut *self.listening(), Listening::Refusing);
        before.close();
        drop(before);
        self.hang_up().await;
    }

    /// As if the app's machine were overwhelmed: every connection is closed, new ones are neither accepted nor refused.
    pub async fn overflow(&self) {
        self.refuse().await;
        let listener = self.address.overflow().expect("the address is ours");
        *self.listening() = Listening::Full {
            _listener: listener,
        };
    }

    /// Closes every connection and accepts new ones.
    pub async fn recover(&self) {
        self.refuse().await;
        *self.listening() = Listening::accept(&self.address, &self.state);
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.listening().close();
        self.state.hang_up.send_replace(());
        if std::thread::panicking() {
            eprintln!("--- requests to the upstream ---");
            for request in self.requests() {
                eprintln!("{request:?}");
            }
        }
    }
}

impl Listening {
    fn accept(address: &Address, state: &Arc<State>) -> Self {
        let listener = Arc::new(address.listen().expect("the address is ours"));
        let task = tokio::spawn(accept_connections(Arc::clone(&listener), Arc::clone(state)));
        Self::Accepting { listener, task }
    }

    fn close(&self) {
        if let Self::Accepting { listener, task } = self {
            task.abort();
            listener.close();
        }
    }
}

/// An error ends it, so that no test goes on with an upstream that is gone.
async fn accept_connections(listener: Arc<Listener>, state: Arc<State>) {
    while let Ok(stream) = listener.accept().await {
        let number = state.accepted.fetch_add(1, Relaxed) + 1;
        // Before the connection is counted, since `hang_up` waits for all that are.
        let mut hang_up = state.hang_up.subscribe();
        state.open.send_modify(|open| *open += 1);
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let hung_up = async {
                let _ = hang_up.changed().await;
            };
            connection::serve(stream, number, &state, hung_up).await;
            state.open.send_modify(|open| *open -= 1);
        });
    }
}
