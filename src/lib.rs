//! A resilient reverse proxy for Twilio webhooks.
//!
//! # The life of a request
//!
//! 1. [`server`] accepts a connection and reads a request's head; [`deadline`] starts.
//! 2. [`proxy`] runs the steps below: `handle`, which never fails, around `try_handle`, which may.
//! 3. [`route`] says which route the request belongs to, [`webhook`] what its parameters say about it.
//! 4. [`signature`] makes it a `VerifiedRequest`, which alone can be forwarded.
//! 5. [`upstream`] sends it to the app while its [`body`] arrives.
//! 6. [`response`] decides by the head of what comes back, and [`twiml`] validates the document: a `Twiml`, or an error with its
//!    position.
//! 7. [`fallback`] has the document for every failure.
//! 8. [`failure`] names why there is no good response; [`metrics`] counts the request, once; [`recent_failures`] keeps the last ones.
//!
//! Beside these: [`twilio`] has the limits that Twilio sets, [`form`] decodes parameters, [`tls`] and [`tcp`] are for both sides, [`secret`]
//! is never printed, [`breaker`] and [`drill`] say why a request may be answered without a try, [`queue`] keeps the callbacks that the
//! app couldn't take, [`admin`] shows and steers,
//! [`config`] turns a file into every module's settings, [`reload`] swaps them in one step under running requests, [`command`] is
//! what a user types, [`log`] writes the log, [`notify`] talks to systemd.
//!
//! # Glossary
//!
//! - **App**, in code **upstream**: the webhook handler behind us.
//! - **Breaker**: after some failures in a row it opens, and requests are answered without asking the app, until a probe succeeds.
//! - **Callback**: a webhook to which Twilio needs no TwiML; a queued one is delivered later.
//! - **Claim**: the right to deliver one queued callback.
//! - **Dead letter**: a queued callback that isn't tried again.
//! - **Document**: a response body that is, or should be, TwiML.
//! - **Drill**: faults injected on purpose, to see the fallback work.
//! - **Failure**: why a request has no good response; one closed enum.
//! - **Fallback**: what is sent in place of the app's response: a document of the configuration, or the response of a fallback URL.
//! - **Kind**: what a route's responses must be: `voice`, `messaging`, `callback`, `pass` or `auto`.
//! - **Observe**: the mode in which responses are validated and counted, and go back as they are.
//! - **Outcome**: how a request ended; each request has exactly one.
//! - **Permit**: a guard that counts a request against a limit, or lets it pass a breaker.
//! - **Reason**: the label of a failure in metrics and logs.
//! - **Snapshot**: one configuration in force; a request keeps the one that it started with.
//! - **Worker**: one thread with its own runtime, listeners and upstream connections.

// The steps of a request, in their order.

pub mod server;

pub mod proxy;

pub mod route;

pub mod signature;

pub mod webhook;

pub mod form;

pub mod body;

pub mod upstream;

pub mod response;

pub mod twiml;

pub mod fallback;

pub mod failure;

pub mod metrics;

pub mod recent_failures;

// Beside them.

pub mod twilio;

pub mod deadline;

pub mod secret;

pub mod tls;

pub mod tcp;

pub mod breaker;

pub mod drill;

pub mod queue;

pub mod admin;

pub mod config;

pub mod reload;

pub mod log;

pub mod notify;

pub mod command;
