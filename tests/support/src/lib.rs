//! What the tests have in common: a fake upstream that misbehaves, the real binary in front of it, Twilio's requests, a client
//! that sees bytes.
//!
//! Nothing here sleeps to let something happen: it waits for the thing, within [`TIMEOUT`]. When a test fails, each part prints
//! what it saw.

mod client;
mod fixtures;
mod log;
mod metrics;
mod process;
mod sidecar;
mod skip;
mod stream;
mod time;
mod twilio;
mod upstream;

pub use client::{Client, Response};
pub use fixtures::{corpus, fixture, json_fixture};
pub use metrics::{Metrics, Series};
pub use process::{Bound, bound, run, understudy};
pub use sidecar::{Builder, Sidecar, Signal};
pub use skip::skip;
pub use time::{TIMEOUT, millis, run_on_paused_clock, wait_for, wait_until};
pub use twilio::{CALL, MESSAGE, Webhook, sign};
pub use upstream::{Event, FakeUpstream, Request, Script, Step, response};
