//! An app that accepts connections and never answers.

use std::net::{SocketAddr, TcpListener};

use crate::Error;

pub(crate) fn run(address: SocketAddr) -> Result<(), Error> {
    let listener = TcpListener::bind(address)?;
    let mut connections = Vec::new();
    for connection in listener.incoming() {
        connections.push(connection?);
    }
    Ok(())
}
