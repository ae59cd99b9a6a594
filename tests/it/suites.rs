//! Other people's suites, their cases written afresh: h1spec, Http11Probe and h2spec. `docs/security.md` says what came out.
//!
//! The suites themselves are in no registry that CI can reach. Peers that are (Autobahn, httplint, testssl.sh) are in `tests/real`.

mod h1spec;
mod h2spec;
mod http11probe;
