//! The load of `benches/proxy` that wrk and h2load don't make: requests at a fixed rate whatever the answers do, thousands of
//! connections that stay, and an app that never answers.
//!
//! Threads that block, since timers of event loops are late by up to a millisecond, which is more than a proxy adds.

mod connection;
mod crowd;
mod latency;
mod silent;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::{env, fs};

type Error = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "\
load latency ADDRESS REQUEST RATE SECONDS CONNECTIONS  the time of answers at a fixed rate of requests
load idle ADDRESS REQUEST COUNT                        connections that each made one request, until standard input ends
load busy ADDRESS REQUEST COUNT                        the same, with all requests at once
load waiting ADDRESS REQUEST COUNT                     connections that each wait for an answer, until standard input ends
load crowd ADDRESS REQUEST COUNT                       the slowest answer of requests that are sent at once
load silent ADDRESS                                    an app that accepts connections and never answers

REQUEST is a file that holds a request as it is sent.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Error> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["latency", address, request, rate, seconds, connections] => {
            let target = Target::new(address, request)?;
            latency::run(&target, parse(rate)?, parse(seconds)?, parse(connections)?)
        }
        ["idle", address, request, count] => {
            crowd::idle(&Target::new(address, request)?, parse(count)?)
        }
        ["busy", address, request, count] => {
            crowd::busy(&Target::new(address, request)?, parse(count)?)
        }
        ["waiting", address, request, count] => {
            crowd::waiting(&Target::new(address, request)?, parse(count)?)
        }
        ["crowd", address, request, count] => {
            crowd::at_once(&Target::new(address, request)?, parse(count)?)
        }
        ["silent", address] => silent::run(parse(address)?),
        _ => Err(USAGE.into()),
    }
}

/// What is requested, and where.
struct Target {
    address: SocketAddr,
    request: Vec<u8>,
}

impl Target {
    fn new(address: &str, request: &str) -> Result<Self, Error> {
        Ok(Self {
            address: parse(address)?,
            request: fs::read(request).map_err(|error| format!("{request}: {error}"))?,
        })
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|_| format!("{text} is not valid\n{USAGE}").into())
}
