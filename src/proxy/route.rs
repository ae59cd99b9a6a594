//! One route, ready for its requests.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use strum::IntoStaticStr;

use super::permit::ConcurrencyPermit;
use super::shared_state::SharedState;
use crate::breaker::{self, Breaker, Permit, State};
use crate::drill::Drill;
use crate::failure::Failure;
use crate::fallback::Fallback;
use crate::metrics::RouteMetrics;
use crate::route::{Kind, Pattern};
use crate::signature::Policy;
use crate::twilio::WEBHOOK_TIMEOUT;
use crate::twiml::{self, Rules, Strictness};
use crate::upstream::Upstream;

/// One route as it is configured, every default filled in.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The `route` label.
    pub name: String,
    /// Which requests belong to it.
    pub pattern: Pattern,
    /// What its responses must be.
    pub kind: Kind,
    /// The name of its upstream.
    pub upstream: String,
    /// From the request's head to the last byte of the response.
    pub deadline: Duration,
    /// How strictly responses are validated; none: not at all.
    pub validate: Option<Strictness>,
    /// In bytes; for `callback` and `pass` only where signatures are checked.
    pub max_request_body: u64,
    /// How many requests at once; one more gets the fallback.
    pub max_in_flight: usize,
    /// Upstream statuses of 400 and over that go back as they are.
    pub pass_status: Vec<StatusCode>,
    /// What happens to the request at the upstream when nobody waits for its response any more.
    pub after_deadline: AfterDeadline,
    /// Whether a response that is not valid is replaced.
    pub mode: Mode,
    /// When requests are answered without asking the upstream.
    pub breaker: breaker::Settings,
    /// How signatures are checked.
    pub signature: Policy,
    /// Whether each request gets a line in the log.
    pub access_log: bool,
    /// What happens to a callback that the upstream can't take.
    pub when_down: WhenDown,
    /// The response when the upstream gives none that is good.
    pub fallback: Fallback,
}

/// Whether a response that is not valid is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    /// The fallback replaces it.
    Enforce,
    /// It is counted, and goes back as it is.
    Observe,
}

impl Mode {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What happens to the request at the upstream when nobody waits for its response any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeadline {
    /// The upstream may finish within 15 s; the response is counted as late.
    Drain,
    /// The connection is closed.
    Cancel,
}

/// What happens to a callback that the upstream can't take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenDown {
    /// Its sender gets an error.
    #[default]
    Error,
    /// It is queued, and delivered later.
    Queue,
}

/// The TwiML grammars by which responses and fallback documents are validated: Twilio's own, and what the configuration adds.
#[derive(Clone, Debug)]
pub struct Grammar {
    voice: Rules,
    messaging: Rules,
}

impl Grammar {
    /// The grammars of these rules, each for its own kind.
    pub fn new(voice: Rules, messaging: Rules) -> Self {
        debug_assert_eq!(
            (voice.kind(), messaging.kind()),
            (twiml::Kind::Voice, twiml::Kind::Messaging)
        );
        Self { voice, messaging }
    }

    /// The rules for one kind of document, at this strictness.
    pub fn rules(&self, kind: twiml::Kind, strictness: Strictness) -> Rules {
        match kind {
            twiml::Kind::Voice => self.voice.with_strictness(strictness),
            twiml::Kind::Messaging => self.messaging.with_strictness(strictness),
        }
    }
}

impl Default for Grammar {
    /// Twilio's own.
    fn default() -> Self {
        let own = |kind| Rules::new(kind, Strictness::Twilio);
        Self::new(own(twiml::Kind::Voice), own(twiml::Kind::Messaging))
    }
}

/// One route, ready for its requests.
pub struct Route {
    /// How it is configured.
    pub settings: RouteSettings,
    /// Its upstream.
    pub upstream: Arc<Upstream>,
    /// Its series.
    pub metrics: Arc<RouteMetrics>,
    /// Its circuit breaker.
    pub breaker: Arc<Breaker>,
    /// Its drill.
    pub drill: Arc<Drill>,
    voice: Rules,
    messaging: Rules,
}

impl Route {
    pub(super) fn new(
        settings: RouteSettings,
        upstream: Arc<Upstream>,
        grammar: &Grammar,
        shared: &SharedState,
    ) -> Self {
        let strictness = settings.validate.unwrap_or(Strictness::Twilio);
        let metrics = shared.metrics.route(&settings.name);
        if settings.when_down == WhenDown::Queue {
            metrics.queue();
        }
        if settings.mode == Mode::Observe {
            metrics.observed_failures();
        }
        Self {
            metrics,
            breaker: shared.breaker(&settings.name),
            drill: shared.drill(&settings.name),
            voice: grammar.rules(twiml::Kind::Voice, strictness),
            messaging: grammar.rules(twiml::Kind::Messaging, strictness),
            upstream,
            settings,
        }
    }

    /// Whether callbacks that the upstream can't take are queued. On a route that observes nothing is ever replaced.
    pub fn queues(&self) -> bool {
        self.settings.when_down == WhenDown::Queue && self.settings.mode == Mode::Enforce
    }

    /// The rules by which its documents are validated.
    pub(super) fn rules(&self, kind: twiml::Kind) -> &Rules {
        match kind {
            twiml::Kind::Voice => &self.voice,
            twiml::Kind::Messaging => &self.messaging,
        }
    }

    /// How long a request may take. On a route that observes it is as long as Twilio itself waits.
    pub(super) fn time_limit(&self) -> Duration {
        match self.settings.mode {
            Mode::Enforce => self.settings.deadline,
            Mode::Observe => WEBHOOK_TIMEOUT,
        }
    }

    /// Asks the breaker; a route that observes needs no permit, since nothing is ever replaced.
    pub(super) fn breaker_permit(&self) -> Result<Option<Permit>, Failure> {
        match self.settings.mode {
            Mode::Enforce => self
                .breaker
                .try_acquire()
                .map(Some)
                .ok_or(Failure::BreakerOpen),
            Mode::Observe => Ok(None),
        }
    }

    /// Whether the breaker lets every request through.
    pub(super) fn is_breaker_closed(&self) -> bool {
        self.breaker.state() == State::Closed
    }

    /// Counts a request against the limits of the route and the upstream.
    pub(super) fn admit(&self) -> Result<ConcurrencyPermit, Failure> {
        let limit = self.settings.max_in_flight;
        let (permit, is_within) = ConcurrencyPermit::take(&self.metrics, limit, &self.upstream);
        match self.settings.mode {
            Mode::Enforce if !is_within => Err(Failure::Overload),
            Mode::Enforce | Mode::Observe => Ok(permit),
        }
    }
}
