//! Tests of what the program promises, through its real binary on real sockets; a module per promise.

mod binary;
mod config;
mod counting;
mod deadline;
mod drain;
mod faults;
mod malformed;
mod map;
mod passes;
mod readme;
mod reload;
mod second_try;
mod support;
mod upgrade;
