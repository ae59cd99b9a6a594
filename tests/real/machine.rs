//! The package on a Debian that a systemd of its own has booted: what an operator sees who installs it, edits it, breaks it and
//! throws it out; and that no caller is lost in that time.
//!
//! `.ci/machine` makes that Debian, `.ci/package` the package. Each test boots one for itself, which takes a second: it writes to
//! memory, and its network is nothing but a loopback of its own, so that every port is free.

mod boot;
mod install;
mod load;
mod needs;
mod queue;
mod refuse;
mod reload;
mod remove;
mod restart;
mod secrets;
mod service;
mod streams;
mod watchdog;

pub(crate) use needs::{newest, newest_package};
