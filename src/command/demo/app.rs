//! A misbehaving app on raw sockets: for each request it plays a script, byte by byte, that no HTTP library would let it play.
//!
//! The demo and the tests stand it behind the proxy. It keeps every request as it came, so that who asks can compare bytes,
//! and its address stays the same while it takes connections, refuses them or lets them hang.

mod connection;
mod door;
mod request;
mod script;

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use door::Address;
pub use request::Request;
pub use script::{Script, Step, answer};

use door::Full;

/// A running app. It ends when it is dropped.
pub struct App {
    address: Address,
    house: Arc<House>,
    door: Mutex<Door>,
}

/// What every connection shares.
struct House {
    /// Chooses a script for a request, by its head.
    choose: Box<dyn Fn(&Request) -> Script + Send + Sync>,
    requests: Mutex<Vec<Request>>,
    /// How many requests are whole.
    whole: watch::Sender<usize>,
    /// How many connections were ever taken.
    opened: AtomicUsize,
    /// How many connections are open.
    open: watch::Sender<usize>,
    /// Every change ends all connections there are.
    hang_up: watch::Sender<()>,
}

/// How the app meets new connections.
enum Door {
    Open {
        listener: Arc<TcpListener>,
        accepting: JoinHandle<()>,
    },
    Refusing,
    /// Held for as long as nobody is to get in.
    Full {
        _full: Full,
    },
}

impl App {
    /// An app on an address of its own. `choose` gives the script for a request of which only the head is known yet; the body
    /// is read by the script. To be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If no address can be had.
    pub fn start(choose: impl Fn(&Request) -> Script + Send + Sync + 'static) -> io::Result<Self> {
        Self::at(Address::reserve()?, choose)
    }

    /// The same on an address that was reserved before.
    ///
    /// # Errors
    ///
    /// If it can't be listened on.
    pub fn at(
        address: Address,
        choose: impl Fn(&Request) -> Script + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let house = Arc::new(House {
            choose: Box::new(choose),
            requests: Mutex::default(),
            whole: watch::Sender::new(0),
            opened: AtomicUsize::new(0),
            open: watch::Sender::new(0),
            hang_up: watch::Sender::new(()),
        });
        let door = Mutex::new(Door::opened(&address, &house)?);
        Ok(Self {
            address,
            house,
            door,
        })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address.socket_address()
    }

    /// Every request so far, in the order in which their heads came.
    pub fn requests(&self) -> Vec<Request> {
        self.house.requests().clone()
    }

    /// Waits until so many requests have come whole, those included that came before.
    pub async fn received(&self, many: usize) {
        let mut whole = self.house.whole.subscribe();
        let enough = whole.wait_for(|whole| *whole >= many).await;
        drop(enough.expect("the app that is waited for has the sender"));
    }

    /// How many connections were ever taken.
    pub fn connections(&self) -> usize {
        self.house.opened.load(Relaxed)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        *self.house.open.borrow()
    }

    /// Closes every connection, whatever happens on it, and goes on listening.
    pub async fn hang_up(&self) {
        self.house.hang_up.send_replace(());
        let mut open = self.house.open.subscribe();
        let closed = open.wait_for(|open| *open == 0).await;
        drop(closed.expect("the app that is waited for has the sender"));
    }

    /// As if the app had crashed: every connection is closed, new ones are refused.
    pub async fn refuse(&self) {
        self.shut(Door::Refusing).await;
    }

    /// As if the app's machine were overwhelmed: every connection is closed, new ones are neither taken nor refused.
    ///
    /// # Errors
    ///
    /// If the address can't be listened on.
    pub async fn overflow(&self) -> io::Result<()> {
        self.shut(Door::Refusing).await;
        let full = self.address.overflow()?;
        *self.door() = Door::Full { _full: full };
        Ok(())
    }

    /// Takes connections again.
    ///
    /// # Errors
    ///
    /// If the address can't be listened on.
    pub async fn recover(&self) -> io::Result<()> {
        self.shut(Door::Refusing).await;
        *self.door() = Door::opened(&self.address, &self.house)?;
        Ok(())
    }

    async fn shut(&self, door: Door) {
        let before = std::mem::replace(&mut *self.door(), door);
        before.close();
        drop(before);
        self.hang_up().await;
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.door().close();
        self.house.hang_up.send_replace(());
    }
}

impl Door {
    fn opened(address: &Address, house: &Arc<House>) -> io::Result<Self> {
        let listener = Arc::new(TcpListener::from_std(address.listen()?)?);
        let accepting = tokio::spawn(accept(Arc::clone(&listener), Arc::clone(house)));
        Ok(Self::Open {
            listener,
            accepting,
        })
    }

    fn close(&self) {
        if let Self::Open {
            listener,
            accepting,
        } = self
        {
            accepting.abort();
            // Closing alone would leave it open while a process that is just being started has a copy of it.
            let _ = SockRef::from(listener.as_ref()).shutdown(Shutdown::Both);
        }
    }
}

impl House {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: Arc<TcpListener>, house: Arc<House>) {
    // An error ends it: what stands behind a demo or a test must not go on in half.
    while let Ok((stream, _)) = listener.accept().await {
        let number = house.opened.fetch_add(1, Relaxed) + 1;
        // Before it is counted: who hangs up waits for all that are.
        let mut hang_up = house.hang_up.subscribe();
        house.open.send_modify(|open| *open += 1);
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            connection::serve(stream, number, &house, async {
                let _ = hang_up.changed().await;
            })
            .await;
            house.open.send_modify(|open| *open -= 1);
        });
    }
}
