//! Which drills a route can have, and whether its fallback documents are valid.

use thiserror::Error;

use super::route::{Mode, Route};
use crate::drill::{self, Progress, Settings};
use crate::route;
use crate::twiml::{self, Kind, Strictness};
use crate::webhook::Parameters;

/// Why a drill can't be started.
#[derive(Clone, Debug, Error)]
pub enum DrillRefused {
    /// The route only observes: nothing is ever replaced.
    #[error("its mode is observe, where nothing is ever replaced; drill it in mode enforce")]
    Observed,
    /// Responses are not validated, so a document that is not valid is no failure.
    #[error(
        "its responses are not validated, so a document that is not valid is not a failure there; \
         drill it with deadline or status_5xx"
    )]
    NotValidated,
    /// The route's responses are not TwiML, so it has no fallback document.
    #[error(
        "its responses are not TwiML, so it has no fallback document; \
         validate routes of kind voice, messaging or auto"
    )]
    NoDocument,
    /// The fallback document is not TwiML that Twilio acts on.
    #[error("the fallback is not valid {0} TwiML: {at}: {1}", at = at(.1))]
    InvalidDocument(Kind, Box<twiml::Error>),
}

fn at(error: &twiml::Error) -> String {
    let position = error.position();
    format!("{}:{}", position.line, position.column)
}

impl Route {
    /// Begins a drill, and returns the one that it replaces, if one was active.
    ///
    /// # Errors
    ///
    /// Why the drill would show nothing.
    pub fn begin_drill(&self, settings: Settings) -> Result<Option<Progress>, DrillRefused> {
        self.can_drill(settings.fault)?;
        self.validate_documents()?;
        Ok(self.drill.start(settings))
    }

    /// Whether a drill with this fault would show anything.
    pub(super) fn can_drill(&self, fault: drill::Fault) -> Result<(), DrillRefused> {
        let validates = self.settings.validate.is_some() && !self.kinds().is_empty();
        match self.settings.mode {
            Mode::Observe => Err(DrillRefused::Observed),
            Mode::Enforce if fault.needs_validation() && !validates => {
                Err(DrillRefused::NotValidated)
            }
            Mode::Enforce => Ok(()),
        }
    }

    /// The fault that a drill injects into the next request, if one is active and chooses it.
    pub(super) fn next_fault(&self) -> Option<drill::Fault> {
        match self.settings.mode {
            Mode::Enforce => self.drill.next_fault(),
            Mode::Observe => None,
        }
    }

    /// Validates the fallback documents, and returns the kinds for which there is one. A fallback URL isn't asked.
    ///
    /// # Errors
    ///
    /// What is wrong with one.
    pub fn validate_fallback(&self) -> Result<&'static [Kind], DrillRefused> {
        match self.kinds() {
            [] => Err(DrillRefused::NoDocument),
            kinds => self.validate_documents().map(|()| kinds),
        }
    }

    fn validate_documents(&self) -> Result<(), DrillRefused> {
        for &kind in self.kinds() {
            let parameters = Parameters::new(b"", b"");
            let document = self.settings.fallback.document(kind, &parameters);
            let rules = self.rules(kind).with_strictness(Strictness::Twilio);
            // Fallback documents are sent as UTF-8.
            twiml::validate(document, Some("utf-8"), &rules)
                .map_err(|error| DrillRefused::InvalidDocument(kind, error.into()))?;
        }
        Ok(())
    }

    /// The kinds of TwiML that its responses may have.
    fn kinds(&self) -> &'static [Kind] {
        match self.settings.kind {
            route::Kind::Voice => &[Kind::Voice],
            route::Kind::Messaging => &[Kind::Messaging],
            route::Kind::Auto => &[Kind::Voice, Kind::Messaging],
            route::Kind::Callback | route::Kind::Pass => &[],
        }
    }
}
