//! Why a document was rejected.

use super::{
    excerpt::Excerpt,
    finding::{Finding, Problem, Reason},
    position::Position,
};

/// Why a document was rejected: the finding that decided, and the line that it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{finding}")]
pub struct Error {
    finding: Box<Finding>,
    excerpt: Box<Excerpt>,
}

impl Error {
    pub(super) fn new(finding: Finding, excerpt: Excerpt) -> Self {
        Self {
            finding: finding.into(),
            excerpt: excerpt.into(),
        }
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        self.finding.problem()
    }

    /// The class of the problem.
    pub fn reason(&self) -> Reason {
        self.problem().reason()
    }

    /// Twilio's code.
    pub fn code(&self) -> u32 {
        self.finding.code()
    }

    /// Where the problem begins.
    pub fn position(&self) -> Position {
        self.finding.position()
    }

    /// The path from the root, such as `Response/Gather/Say@voice`; empty outside the root.
    pub fn path(&self) -> &str {
        self.finding.path()
    }

    /// The line that the finding is about, masked.
    pub fn excerpt(&self) -> &Excerpt {
        &self.excerpt
    }

    /// The finding that decided.
    pub fn finding(&self) -> &Finding {
        &self.finding
    }
}
