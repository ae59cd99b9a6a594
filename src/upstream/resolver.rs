//! The addresses of an upstream's name.
//!
//! Every new connection asks the system's resolver, so that a name that moves is followed. While the resolver fails or is silent,
//! the last addresses that it gave are used.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::log::describe_error;

/// Resolves one name, for all workers.
#[derive(Debug)]
pub(super) struct Resolver {
    name: String,
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    last_known: Vec<SocketAddr>,
    /// The resolver failed or was silent when it was last asked.
    is_failing: bool,
    /// The lookup that is under way, if there is one: everyone waits for the same.
    lookup: Option<watch::Receiver<Option<Lookup>>>,
}

/// What a lookup came to.
type Lookup = Result<Vec<SocketAddr>, Arc<io::Error>>;

impl Resolver {
    pub(super) fn new(name: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            port,
            state: Arc::default(),
        }
    }

    /// The addresses of the name: those that the resolver gives within `limit`, else the last that it gave.
    ///
    /// # Errors
    ///
    /// The resolver's error, if it never gave an address.
    pub(super) async fn resolve(&self, limit: Duration) -> io::Result<Vec<SocketAddr>> {
        let (mut lookup, wait) = {
            let mut state = self.lock();
            let wait = match (state.last_known.is_empty(), state.is_failing) {
                (true, _) => limit,
                (false, false) => limit / 2,
                // The lookup goes on, so that it is noticed when the resolver works again.
                (false, true) => Duration::ZERO,
            };
            (self.join_lookup(&mut state), wait)
        };
        let found = timeout(wait, lookup.wait_for(Option::is_some)).await;
        let found = match found {
            Ok(Ok(found)) => (*found).clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        match found {
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(error)) => self.last_known(&error),
            None => self.last_known(&io::Error::from(io::ErrorKind::TimedOut)),
        }
    }

    /// The lookup that is under way, or a new one.
    fn join_lookup(&self, state: &mut State) -> watch::Receiver<Option<Lookup>> {
        if let Some(lookup) = &state.lookup
            && lookup.has_changed().is_ok()
        {
            return lookup.clone();
        }
        let (sender, receiver) = watch::channel(None);
        state.lookup = Some(receiver.clone());
        let (name, port, state) = (self.name.clone(), self.port, Arc::clone(&self.state));
        tokio::spawn(async move {
            let found = look_up(&name, port).await;
            keep(&mut lock(&state), &name, &found);
            // Nobody may be waiting any more.
            let _ = sender.send(Some(found));
        });
        receiver
    }

    fn last_known(&self, error: &io::Error) -> io::Result<Vec<SocketAddr>> {
        let mut state = self.lock();
        if state.last_known.is_empty() {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        if !state.is_failing {
            state.is_failing = true;
            warn!(
                name = self.name,
                error = describe_error(error),
                "name not resolved: its last known addresses are used"
            );
        }
        Ok(state.last_known.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

async fn look_up(name: &str, port: u16) -> Lookup {
    let found = tokio::net::lookup_host((name, port)).await?;
    let addresses: Vec<_> = found.collect();
    if addresses.is_empty() {
        let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        return Err(Arc::new(error));
    }
    Ok(addresses)
}

fn keep(state: &mut State, name: &str, found: &Lookup) {
    state.lookup = None;
    if let Ok(addresses) = found {
        state.last_known.clone_from(addresses);
        if std::mem::take(&mut state.is_failing) {
            info!(name, "name resolved again");
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A resolver of a name whose label is too long for DNS, so that it fails without asking anyone.
    fn failing() -> Resolver {
        Resolver::new(&"a".repeat(64), 80)
    }

    #[tokio::test]
    async fn while_the_resolver_fails_the_last_known_addresses_are_used() {
        let resolver = failing();
        let known = vec![SocketAddr::from(([192, 0, 2, 1], 80))];
        resolver.lock().last_known.clone_from(&known);
        for _ in 0..3 {
            assert_eq!(resolver.resolve(MINUTE).await.ok(), Some(known.clone()));
            assert!(resolver.lock().is_failing);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_is_silent_is_given_half_of_the_time_while_addresses_are_known() {
        let resolver = failing();
        let (_silent, lookup) = watch::channel(None);
        let known = vec![SocketAddr::from(([192, 0, 2, 1], 80))];
        {
            let mut state = resolver.lock();
            state.last_known.clone_from(&known);
            state.lookup = Some(lookup);
        }
        let begun = tokio::time::Instant::now();
        assert_eq!(resolver.resolve(MINUTE).await.ok(), Some(known.clone()));
        assert_eq!(begun.elapsed(), MINUTE / 2);
        assert_eq!(resolver.resolve(MINUTE).await.ok(), Some(known));
        assert_eq!(begun.elapsed(), MINUTE / 2, "and none after that");
    }

    #[tokio::test]
    async fn a_name_that_never_had_an_address_is_an_error() {
        assert!(failing().resolve(MINUTE).await.is_err());
    }

    #[tokio::test]
    async fn an_address_that_is_found_is_remembered_and_ends_the_failure() {
        let resolver = Resolver::new("localhost", 80);
        resolver.lock().is_failing = true;
        let found = resolver
            .resolve(MINUTE)
            .await
            .expect("every machine has it");
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        let state = resolver.lock();
        assert_eq!((&state.last_known, state.is_failing), (&found, false));
    }
}
