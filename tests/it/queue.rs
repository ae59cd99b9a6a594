//! Queued callbacks: what every store does, and what happens to the embedded one's files.

mod crash;
mod embedded;
mod model;
pub(crate) mod suite;
mod upgrade;
