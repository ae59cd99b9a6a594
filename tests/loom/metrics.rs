//! The metrics of a route, without the registry of the process.

#[path = "../../src/metrics/histogram.rs"]
mod histogram;

#[path = "../../src/metrics/route.rs"]
mod route;

pub use route::RouteMetrics;
