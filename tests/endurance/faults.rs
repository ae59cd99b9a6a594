//! Every fault of the table in `tests/it/faults`, with what a caller is to get for it. The table is the same, so that a fault that
//! is added there is drawn here too.

/// Declares faults: a list of them with their names.
macro_rules! faults {
    ($($name:ident: $fault:expr,)*) => {
        pub(super) fn all() -> Vec<(&'static str, Fault)> {
            vec![$((stringify!($name), $fault)),*]
        }
    };
}

#[path = "../it/faults/connections.rs"]
mod connections;
#[path = "../it/faults/documents.rs"]
mod documents;
#[path = "../it/faults/fault.rs"]
#[allow(dead_code)] // what only the tests there need
mod fault;
#[path = "../it/faults/framing.rs"]
mod framing;

use fault::{Expected, Kind as TableKind};
use support::Script;

use crate::plan::Kind;

/// One way in which an app goes wrong, or is only unusual.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    /// It ends with a reset, which a Unix socket doesn't have.
    pub(crate) resets: bool,
    by_kind: [Promise; 4],
}

/// What the contract says that a caller gets for a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The app's own response, as it came.
    Unchanged,
    /// This document of the app, decoded.
    Document(&'static str),
    /// The fallback, for this reason.
    Fallback(&'static str),
    /// This status, and no TwiML.
    Error(u16),
    /// The app's head and a part of its body.
    Truncated,
    /// A body that goes on until the caller leaves.
    Endless,
}

impl Fault {
    pub(crate) fn promise(&self, kind: Kind) -> Promise {
        self.by_kind[kind as usize]
    }
}

/// Every fault of an app that accepts connections.
pub(crate) fn all() -> Vec<Fault> {
    let faults = [connections::all(), documents::all(), framing::all()];
    let faults = faults.into_iter().flatten();
    let faults = faults.filter_map(|(name, fault)| {
        let script = fault.script()?.clone();
        let kinds = [
            TableKind::Voice,
            TableKind::Messaging,
            TableKind::Callback,
            TableKind::Pass,
        ];
        Some(Fault {
            name,
            resets: script.resets(),
            script,
            by_kind: kinds.map(|kind| promise(fault.expected(kind))),
        })
    });
    faults.collect()
}

fn promise(expected: Expected) -> Promise {
    match expected {
        Expected::Upstream { document: None, .. } => Promise::Unchanged,
        Expected::Upstream {
            document: Some(document),
            ..
        } => Promise::Document(document),
        Expected::Fallback(reason) => Promise::Fallback(reason),
        Expected::Error(status) => Promise::Error(status),
        Expected::Truncated => Promise::Truncated,
        Expected::Endless => Promise::Endless,
    }
}
