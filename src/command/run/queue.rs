//! The queue of callbacks of a running proxy: the store, and the thread that delivers what it has.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::error;

use super::error::StartError;
use crate::proxy::{Deliverer, Snapshot};
use crate::queue::embedded::{self, Embedded};
use crate::queue::nats::{self, Nats};
use crate::queue::{Place, Settings, Store};

/// The queue of a running proxy.
pub(super) struct Queue {
    store: Arc<dyn Store>,
    deliverer: Deliverer,
}

/// Opens the store that the settings name. A process that was started as an upgrade shares the folder with the old one.
pub(super) fn open(settings: &Settings, is_successor: bool) -> Result<Arc<dyn Store>, StartError> {
    match &settings.place {
        Place::Folder(folder) => {
            let store = Embedded::open(&embedded::Settings {
                folder: folder.clone(),
                max_size: settings.max_size,
                is_successor,
            })?;
            for file in store.set_aside() {
                error!(
                    file = %file.display(),
                    "a file of the queue is damaged and was set aside: what waited in it will not be delivered"
                );
            }
            Ok(Arc::new(store))
        }
        // The server may be away: calls don't need it, and callbacks get 503 until it is back.
        Place::Nats(url) => Ok(Arc::new(Nats::open(nats::Settings {
            url: url.clone(),
            name: nats::Settings::NAME.to_owned(),
            max_size: settings.max_size,
            lease: nats::Settings::LEASE,
        })?)),
    }
}

impl Queue {
    /// Starts to deliver what is stored.
    pub(super) fn start(
        store: Arc<dyn Store>,
        snapshot: &Arc<ArcSwap<Snapshot>>,
    ) -> std::io::Result<Self> {
        let deliverer = Deliverer::start(Arc::clone(snapshot), Arc::clone(&store))?;
        Ok(Self { store, deliverer })
    }

    /// Stops new deliveries.
    pub(super) fn stop(&self) {
        self.deliverer.stop();
    }

    /// Waits for the deliveries that run, but no longer than this, and closes the store. By then no request may still run
    /// that could be queued.
    pub(super) async fn close(self, limit: Duration) {
        let Self { store, deliverer } = self;
        // A panic has been logged.
        let _ = tokio::task::spawn_blocking(move || deliverer.wait(limit)).await;
        store.close().await;
    }
}
