//! Thousands of connections at once.

use std::io;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::{Error, Target};

/// Holds connections on which one request was answered, one after another.
pub(crate) fn idle(target: &Target, count: usize) -> Result<(), Error> {
    let mut connections = open(target, count)?;
    for connection in &mut connections {
        connection.exchange(target)?;
    }
    hold(&connections)
}

/// Holds connections on which one request was answered, all at once.
pub(crate) fn busy(target: &Target, count: usize) -> Result<(), Error> {
    let mut connections = open(target, count)?;
    for connection in &mut connections {
        connection.send(target)?;
    }
    for connection in &mut connections {
        connection.receive()?;
    }
    hold(&connections)
}

/// Holds connections on which a request waits for its answer.
pub(crate) fn waiting(target: &Target, count: usize) -> Result<(), Error> {
    let mut connections = open(target, count)?;
    for connection in &mut connections {
        connection.send(target)?;
    }
    hold(&connections)
}

/// Sends a request on each connection at once, and prints how long the slowest answer took, in microseconds. The answers are read
/// in the order of their requests, so a time may be too long by the reading of those before it, and never too short.
pub(crate) fn at_once(target: &Target, count: usize) -> Result<(), Error> {
    let mut connections = open(target, count)?;
    let mut sent = Vec::with_capacity(count);
    for connection in &mut connections {
        sent.push(Instant::now());
        connection.send(target)?;
    }
    let mut slowest = Duration::ZERO;
    for (connection, sent) in connections.iter_mut().zip(sent) {
        connection.receive()?;
        slowest = slowest.max(sent.elapsed());
    }
    println!("slowest {}", slowest.as_micros());
    Ok(())
}

fn open(target: &Target, count: usize) -> Result<Vec<Connection>, Error> {
    (0..count).map(|_| Connection::open(target)).collect()
}

/// Says that the connections are there, and keeps them until standard input ends.
fn hold(_connections: &[Connection]) -> Result<(), Error> {
    println!("ready");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
