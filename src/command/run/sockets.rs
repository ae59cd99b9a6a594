//! The listening sockets that a process starts with.

use super::error::StartError;
use crate::server::{
    InheritedSockets, Listeners, PassedSocket, Predecessor, Purpose, Settings, bind_one,
    bind_with_retries,
};

/// The sockets that a process starts with: new ones, or those that were passed to it.
pub(super) struct OpenSockets {
    pub(super) listeners: Listeners,
    pub(super) admin: std::net::TcpListener,
    /// All of them once more, for the next process.
    pub(super) passable: Vec<PassedSocket>,
}

impl OpenSockets {
    pub(super) async fn open(
        server: &Settings,
        predecessor: Option<&Predecessor>,
    ) -> Result<Self, StartError> {
        let inherited = InheritedSockets::take(predecessor)?;
        let mut listeners = if inherited.public.is_empty() {
            let passed = &inherited.own_public;
            bind_with_retries(|| Listeners::bind(&server.listen, server.workers, passed)).await?
        } else {
            Listeners::share(inherited.public, server.workers)?
        };
        let own_admin = inherited.own_admin;
        let own_admin = own_admin.filter(|(configured, _)| *configured == server.admin);
        let (admin, purpose) = match (inherited.admin, own_admin) {
            (Some(admin), _) => (admin, Purpose::SystemdAdmin),
            (None, Some((configured, admin))) => (admin, Purpose::Admin(configured)),
            (None, None) => {
                let admin = bind_with_retries(|| bind_one(server.admin)).await?;
                (admin, Purpose::Admin(server.admin))
            }
        };
        let mut passable = std::mem::take(&mut listeners.sockets);
        let socket = admin.try_clone()?;
        passable.push(PassedSocket { purpose, socket });
        Ok(Self {
            listeners,
            admin,
            passable,
        })
    }
}
