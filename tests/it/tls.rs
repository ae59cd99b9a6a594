//! TLS on both sides: what the app may show us, what we show to clients, and how certificates are renewed.

mod client;
mod http2;
mod in_front;
mod pki;
mod renewal;
mod terminator;
mod to_app;
