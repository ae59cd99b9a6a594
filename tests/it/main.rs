//! Tests of what the program promises, through its real binary on real sockets; a module per promise.

mod admin;
mod binary;
mod breaker;
mod config;
mod counting;
mod deadline;
mod demo;
mod drain;
mod drill;
mod elsewhere;
mod fallback;
mod faults;
mod lint;
mod malformed;
mod map;
mod observe;
mod passes;
mod readme;
mod reload;
mod second_try;
mod support;
mod twiml;
mod upgrade;
