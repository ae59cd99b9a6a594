//! The metrics of a route, without the registry of the process.

#[path = "../../src/metrics/histogram.rs"]
mod histogram;

#[path = "../../src/metrics/number.rs"]
mod number;

#[path = "../../src/metrics/queue.rs"]
mod queue;

#[path = "../../src/metrics/route.rs"]
mod route;

pub use route::RouteMetrics;
