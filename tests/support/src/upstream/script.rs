//! What the app does with a request, one step after another.

use std::time::Duration;

use bytes::Bytes;

/// One thing that an app can do on its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reads the request's body.
    Read,
    /// Sends these bytes.
    Send(Bytes),
    /// Does nothing for so long.
    Pause(Duration),
    /// Sends these bytes one by one, with a pause before each.
    Trickle(Bytes, Duration),
    /// Sends these bytes again and again, until the peer has gone.
    Endless(Bytes),
    /// Does nothing until the peer has gone.
    Stall,
    /// Sends back whatever comes, until the peer has ended.
    Echo,
    /// Ends the connection in good order (FIN).
    Close,
    /// Breaks the connection (RST).
    Reset,
}

/// The steps for one request. A connection that no step has ended waits for the next request, if the body was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub(super) steps: Vec<Step>,
}

impl Script {
    /// Reads the request; what follows is done afterwards.
    pub fn new() -> Self {
        Self::unread().then(Step::Read)
    }

    /// Leaves the request's body unread, unless a step says otherwise.
    pub fn unread() -> Self {
        Self::default()
    }

    /// Reads the request, then sends a response with this status, content type and body.
    pub fn response(status: &str, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new().send(response(status, &[("Content-Type", content_type)], body))
    }

    /// Reads the request, then sends this document as an app should.
    pub fn twiml(document: impl AsRef<[u8]>) -> Self {
        Self::response("200 OK", "text/xml", document)
    }

    /// One more step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Sends these bytes.
    #[must_use]
    pub fn send(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Send(bytes.into()))
    }

    /// Does nothing for so long.
    #[must_use]
    pub fn pause(self, time: Duration) -> Self {
        self.then(Step::Pause(time))
    }

    /// Sends these bytes one by one, with a pause before each.
    #[must_use]
    pub fn trickle(self, bytes: impl Into<Bytes>, pause: Duration) -> Self {
        self.then(Step::Trickle(bytes.into(), pause))
    }

    /// Sends these bytes again and again, until the peer has gone.
    #[must_use]
    pub fn endless(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Endless(bytes.into()))
    }

    /// Does nothing until the peer has gone.
    #[must_use]
    pub fn stall(self) -> Self {
        self.then(Step::Stall)
    }

    /// Sends back whatever comes, until the peer has ended.
    #[must_use]
    pub fn echo(self) -> Self {
        self.then(Step::Echo)
    }

    /// Ends the connection in good order (FIN).
    #[must_use]
    pub fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// Breaks the connection (RST).
    #[must_use]
    pub fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    /// Whether it breaks the connection.
    pub fn resets(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Reset))
    }
}

/// A response's bytes, with its length.
pub fn response(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Bytes {
    let body = body.as_ref();
    let mut response = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        response.push_str(&format!("{name}: {value}\r\n"));
    }
    response.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [response.as_bytes(), body].concat().into()
}
