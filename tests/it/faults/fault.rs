//! One fault of the upstream, with what the contract (its reasons, and the life of a request) makes of it on each kind of route.

use std::time::Duration;

use support::{Script, millis};
use understudy::fallback::{BUILT_IN_MESSAGING, BUILT_IN_VOICE};

/// The kinds of routes, each by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Voice,
    Messaging,
    Callback,
    Pass,
}

/// How the proxy reaches the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    UnixSocket,
}

/// One way to go wrong.
#[derive(Clone)]
pub(super) struct Fault {
    pub(super) behaviour: Behaviour,
    pub(super) deadline: Duration,
    voice: Expected,
    messaging: Expected,
    /// On routes without TwiML, through which bodies stream.
    streamed: Expected,
}

/// What the upstream does.
#[derive(Clone)]
pub(super) enum Behaviour {
    Script(Script),
    /// It is down: connections are refused.
    Refuses,
    /// It is overwhelmed: connections are neither accepted nor refused.
    Overflows,
}

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The upstream's own response, as a client gets it that asks the upstream directly; or with its document decoded.
    Upstream {
        document: Option<&'static str>,
        warning: Option<&'static str>,
    },
    /// The fallback, for this reason.
    Fallback(&'static str),
    /// This status, and no TwiML.
    Error(u16),
    /// The upstream's head and a part of its body.
    Truncated,
    /// A body that goes on until the client leaves.
    Endless,
}

/// The upstream's own response.
pub(super) const UNCHANGED: Expected = Expected::Upstream {
    document: None,
    warning: None,
};

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Voice, Self::Messaging, Self::Callback, Self::Pass];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Messaging => "messaging",
            Self::Callback => "callback",
            Self::Pass => "pass",
        }
    }

    pub(super) fn fallback(self) -> &'static str {
        match self {
            Self::Messaging => BUILT_IN_MESSAGING,
            Self::Voice | Self::Callback | Self::Pass => BUILT_IN_VOICE,
        }
    }
}

impl Expected {
    pub(super) fn is_by_deadline(self) -> bool {
        matches!(self, Self::Fallback("deadline") | Self::Error(504))
    }

    /// The upstream's own response, of which Twilio warns.
    pub(super) const fn with_warning(code: &'static str) -> Self {
        Self::Upstream {
            document: None,
            warning: Some(code),
        }
    }
}

impl Fault {
    /// What the upstream sends and does is of no use: the same reason for all TwiML, this for the rest.
    pub(super) fn scripted(script: Script, reason: &'static str, streamed: Expected) -> Self {
        Self::new(Behaviour::Script(script), reason, streamed)
    }

    /// What the upstream sends is no fault at all.
    pub(super) fn harmless(script: Script) -> Self {
        let fault = Self::scripted(script, "", UNCHANGED);
        fault.on_voice(UNCHANGED).on_messaging(UNCHANGED)
    }

    pub(super) fn new(behaviour: Behaviour, reason: &'static str, streamed: Expected) -> Self {
        let twiml = Expected::Fallback(reason);
        let by_deadline = twiml.is_by_deadline() || streamed.is_by_deadline();
        Self {
            behaviour,
            // What doesn't wait for the deadline must not meet it either.
            deadline: millis(if by_deadline { 1000 } else { 10_000 }),
            voice: twiml,
            messaging: twiml,
            streamed,
        }
    }

    /// Voice routes expect something else.
    pub(super) fn on_voice(mut self, voice: Expected) -> Self {
        self.voice = voice;
        self
    }

    /// Messaging routes expect something else.
    pub(super) fn on_messaging(mut self, messaging: Expected) -> Self {
        self.messaging = messaging;
        self
    }

    pub(super) fn expected(&self, kind: Kind) -> Expected {
        match kind {
            Kind::Voice => self.voice,
            Kind::Messaging => self.messaging,
            Kind::Callback | Kind::Pass => self.streamed,
        }
    }

    /// The ways to an upstream that can go wrong like this. A Unix socket has no resets.
    pub(super) fn transports(&self) -> &'static [Transport] {
        match self.script() {
            Some(script) if script.resets() => &[Transport::Tcp],
            _ => &[Transport::Tcp, Transport::UnixSocket],
        }
    }

    /// The script of an upstream that accepts connections.
    pub(super) fn script(&self) -> Option<&Script> {
        match &self.behaviour {
            Behaviour::Script(script) => Some(script),
            Behaviour::Refuses | Behaviour::Overflows => None,
        }
    }
}
