//! understudy between real programs: Twilio's webhooks, byte for byte, and apps as people have them, on Twilio's own
//! packages and on none.
//!
//! Each test is about every app that can run here; `.ci/run` installs what all of them need.

mod attacks;
mod balanced;
mod benchmarks;
mod currency;
mod dns;
mod gunicorn;
mod kubernetes;
mod machine;
mod outage;
mod package;
mod page;
mod prometheus;
mod proxy;
mod queue;
mod queued;
mod real_app;
mod replay;
mod requests;
mod shared_key;
mod stream;
mod suites;
mod systemd;
mod tls;
mod tunnels;
mod without_inotify;
