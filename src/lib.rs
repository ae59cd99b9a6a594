//! A resilient reverse proxy for Twilio webhooks.
//!
//! # The life of a call
//!
//! 1. [`server`] accepts a connection and reads a request's head; [`deadline`] starts.
//! 2. [`proxy`] walks the road: `answer`, which never fails, around `attempt`, which may.
//! 3. [`route`] says which route the request belongs to, [`webhook`] what its own parameters say of it.
//! 4. [`signature`] makes it a `Call`, which alone can be forwarded.
//! 5. [`upstream`] forwards it to the app while its [`body`] arrives.
//! 6. [`response`] judges the head of what comes back, [`twiml`] its page: a `Twiml`, or a fault with its place.
//! 7. [`fallback`] has the page for every failure.
//! 8. [`failure`] names how the call ended and why; [`metrics`] counts it, once; [`recent_failures`] keeps the last.
//!
//! Beside the road: [`twilio`] has the limits that Twilio sets.
//! [`tls`] is what both sides show and trust, [`secret`] is never printed, [`breaker`] and [`drill`] say why a
//! call may be answered without a try, [`admin`] shows and steers, [`config`] turns a file into every room's settings,
//! [`reload`] swaps them in one step under running calls, [`command`] is what a user types, [`log`] is what is said, [`notify`]
//! what is said to systemd.

// The road, in the order in which a call walks it.

pub mod server;

pub mod proxy;

pub mod route;

pub mod signature;

pub mod webhook;

pub mod body;

pub mod upstream;

pub mod response;

pub mod twiml;

pub mod fallback;

pub mod failure;

pub mod metrics;

pub mod recent_failures;

// Beside the road.

pub mod twilio;

pub mod deadline;

pub mod secret;

pub mod tls;

pub mod breaker;

pub mod drill;

pub mod admin;

pub mod config;

pub mod reload;

pub mod log;

pub mod notify;

pub mod command;
