//! The app behind us: how a request reaches it, and how its response comes back.
//!
//! Connections are kept per worker and never cross threads. What a failure means for the caller is not decided here.

mod body;
mod connect;
mod connection;
mod error;
pub mod headers;
mod in_flight;
mod names;
mod own_connections;
mod pool;
mod probe;
mod request;
mod request_head;
mod resolver;
mod reuse;
mod settings;
mod stats;
mod stream;
mod target;
mod tunnel;

pub use body::UpstreamBody;
pub use error::Error;
pub use names::Names;
pub use pool::Pool;
pub use probe::ProbeError;
pub use request::{Retry, UpstreamRequest};
pub use settings::{Address, Host, Settings};
pub use stats::ConnectionStats;
pub use target::Upstream;
pub use tunnel::Tunnel;

#[cfg(test)]
mod schedules;
