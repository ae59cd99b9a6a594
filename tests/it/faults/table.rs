//! Every fault, with what the contract (its reasons and its road) makes of it on each kind of route.

mod connections;
mod framing;
mod pages;

use std::time::Duration;

use super::Kind;
use support::{Script, millis};

/// One way to go wrong.
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) app: Behaviour,
    pub(super) deadline: Duration,
    voice: Ending,
    messaging: Ending,
    /// On routes without TwiML, through which bodies stream.
    streamed: Ending,
}

/// What the app does.
pub(super) enum Behaviour {
    Plays(Script),
    /// It is down: connections are refused.
    Refuses,
    /// It is overwhelmed: connections are neither taken nor refused.
    Overflows,
}

/// What the caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The app's own answer, as who asks the app directly gets it; or its page undone from its coding.
    Own {
        page: Option<&'static str>,
        warning: Option<&'static str>,
    },
    /// The fallback, for this reason.
    Fallback(&'static str),
    /// This status, and no TwiML.
    Error(u16),
    /// The app's head and a part of its body.
    BreaksOff,
    /// A body that goes on until the caller leaves.
    NeverEnds,
}

/// The app's own answer.
const OWN: Ending = Ending::Own {
    page: None,
    warning: None,
};

impl Ending {
    pub(super) fn is_by_deadline(self) -> bool {
        matches!(self, Self::Fallback("deadline") | Self::Error(504))
    }

    /// The app's own answer, of which Twilio warns.
    const fn warned(code: &'static str) -> Self {
        Self::Own {
            page: None,
            warning: Some(code),
        }
    }
}

impl Fault {
    /// What the app sends and does is no answer: the same reason for all TwiML, this for the rest.
    fn plays(name: &'static str, script: Script, reason: &'static str, streamed: Ending) -> Self {
        Self::new(name, Behaviour::Plays(script), reason, streamed)
    }

    /// What the app sends is no fault at all.
    fn harmless(name: &'static str, script: Script) -> Self {
        let fault = Self::plays(name, script, "", OWN);
        fault.on_voice(OWN).on_messaging(OWN)
    }

    fn new(name: &'static str, app: Behaviour, reason: &'static str, streamed: Ending) -> Self {
        let twiml = Ending::Fallback(reason);
        let by_deadline = twiml.is_by_deadline() || streamed.is_by_deadline();
        Self {
            name,
            app,
            // What doesn't wait for the deadline must not meet it either.
            deadline: millis(if by_deadline { 1000 } else { 10_000 }),
            voice: twiml,
            messaging: twiml,
            streamed,
        }
    }

    /// Voice routes end otherwise.
    fn on_voice(mut self, voice: Ending) -> Self {
        self.voice = voice;
        self
    }

    /// Messaging routes end otherwise.
    fn on_messaging(mut self, messaging: Ending) -> Self {
        self.messaging = messaging;
        self
    }

    pub(super) fn ending(&self, kind: Kind) -> Ending {
        match kind {
            Kind::Voice => self.voice,
            Kind::Messaging => self.messaging,
            Kind::Callback | Kind::Pass => self.streamed,
        }
    }
}

/// The whole table.
pub(super) fn all() -> Vec<Fault> {
    let mut all = connections::faults();
    all.extend(framing::faults());
    all.extend(pages::faults());
    all
}
