//! Tests of what the program promises, through its real binary on real sockets; a module per promise.

mod config;
mod map;
mod support;
