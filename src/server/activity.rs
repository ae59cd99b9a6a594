//! What a client connection is doing, and since when. hyper doesn't tell, but the stream and the requests see it and report it
//! here. The connection's driver reads it to end what lasts too long.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::control_frames::ControlFrameBudget;
use super::places::Place;
use crate::body::FramingBytes;
use crate::deadline::Alarm;
use crate::proxy::ResponseBody;
use crate::tls::Protocol;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No request is under way.
    Idle,
    /// Part of a request's head has come. HTTP/1.1 only.
    ReadingHead,
    /// A request waits for us or for the upstream.
    Processing,
    /// Every request under way waits for the client to take more of its response.
    Sending,
}

/// The state of one connection.
pub(super) struct Activity {
    pub(super) protocol: Protocol,
    /// Its place, which it may have to give away while it is idle.
    pub(super) place: Rc<Place>,
    /// How many control frames of HTTP/2 may still come.
    pub(super) control_frames: ControlFrameBudget,
    /// When the request has to be polled again, whatever comes.
    pub(super) alarm: Rc<Alarm>,
    /// When the state last changed, or the client last took part of a response.
    since: Cell<Instant>,
    /// The number of requests under way.
    requests: Cell<usize>,
    /// How many of them wait for us or for the upstream.
    processing: Cell<usize>,
    is_reading_head: Cell<bool>,
    /// The client doesn't take what is written to it. HTTP/1.1 only.
    is_write_blocked: Cell<bool>,
    /// The client may have sent something that nobody reads.
    has_unread: Cell<bool>,
    /// Counts the bytes of the last request's body that weren't content, if the body was chunked.
    framing: RefCell<Option<FramingBytes>>,
}

impl Activity {
    pub(super) fn new(protocol: Protocol, place: Rc<Place>) -> Rc<Self> {
        Rc::new(Self {
            protocol,
            place,
            control_frames: ControlFrameBudget::new(),
            alarm: Rc::default(),
            since: Cell::new(Instant::now()),
            requests: Cell::new(0),
            processing: Cell::new(0),
            is_reading_head: Cell::new(false),
            is_write_blocked: Cell::new(false),
            // Clients of HTTP/2 send frames about the connection itself at any time.
            has_unread: Cell::new(protocol == Protocol::Http2),
            framing: RefCell::new(None),
        })
    }

    pub(super) fn state(&self) -> State {
        if self.is_reading_head.get() {
            State::ReadingHead
        } else if self.requests.get() == 0 {
            State::Idle
        } else if self.processing.get() == 0 || self.is_write_blocked.get() {
            State::Sending
        } else {
            State::Processing
        }
    }

    /// Since when the connection is in its state. While it sends: when the client last took something.
    pub(super) fn since(&self) -> Instant {
        self.since.get()
    }

    fn restart_timer(&self) {
        self.since.set(Instant::now());
    }

    /// Counts bytes that came. Returns whether the framing of a chunked body is still within its limit.
    pub(super) fn add_read(&self, bytes: usize) -> bool {
        if self.state() == State::Idle && self.protocol == Protocol::Http1 {
            self.is_reading_head.set(true);
            self.restart_timer();
            self.place.set_reading_head(self.since());
        }
        let framing = self.framing.borrow();
        framing.as_ref().is_none_or(|count| count.add_read(bytes))
    }

    /// Notes whether the client takes what is written to it. Under HTTP/2 that says nothing about a single response; only
    /// [`TrackedBody`] does.
    pub(super) fn set_write_blocked(&self, is_blocked: bool) {
        if self.protocol == Protocol::Http1
            && self.is_write_blocked.replace(is_blocked) != is_blocked
        {
            self.place.set_write_blocked(is_blocked);
            if self.requests.get() > 0 {
                self.restart_timer();
            }
        }
    }

    /// Counts the bytes of the request's body that aren't content, until the next request: hyper may go on reading it behind
    /// the response.
    pub(super) fn count_framing(&self) -> FramingBytes {
        let mut framing = self.framing.borrow_mut();
        framing.insert(FramingBytes::default()).clone()
    }

    /// A response goes out before its request was read.
    pub(super) fn set_unread(&self) {
        self.has_unread.set(true);
    }

    /// Whether closing now could destroy the last response: the kernel resets a connection on which bytes are unread.
    pub(super) fn has_unread(&self) -> bool {
        self.has_unread.get() || self.is_reading_head.get()
    }

    /// Whether the client is waited for when the connection is closed, on which there may be unread bytes. It isn't where another
    /// one waits for the place.
    pub(super) fn closes_lingering(&self, has_unread_bytes: bool) -> bool {
        (self.has_unread() || has_unread_bytes) && !self.place.is_evicted()
    }
}

/// One request under way; it has ended when this is dropped.
pub(super) struct ActiveRequest {
    activity: Rc<Activity>,
    has_response: bool,
    is_processing: bool,
}

impl ActiveRequest {
    pub(super) fn start(activity: &Rc<Activity>) -> Self {
        // Under HTTP/1.1 it began with its head.
        let began = match activity.is_reading_head.replace(false) {
            true => activity.since(),
            false => Instant::now(),
        };
        activity.framing.take();
        if activity.requests.replace(activity.requests.get() + 1) == 0 {
            activity.place.set_busy();
        }
        activity.processing.update(|count| count + 1);
        activity.place.add_request(began);
        Self {
            activity: Rc::clone(activity),
            has_response: false,
            is_processing: true,
        }
    }

    /// The head of its response is there.
    pub(super) fn respond(&mut self) {
        self.wait_for_client();
        if !std::mem::replace(&mut self.has_response, true) {
            self.activity.alarm.clear();
            self.activity.place.add_response(self.activity.since());
        }
    }

    /// The request waits for the client now. Called again, the client has taken something.
    fn wait_for_client(&mut self) {
        if std::mem::take(&mut self.is_processing) {
            self.activity.processing.update(|count| count - 1);
        }
        self.activity.restart_timer();
    }

    /// The request waits for the upstream now.
    fn wait_for_upstream(&mut self) {
        if !std::mem::replace(&mut self.is_processing, true) {
            self.activity.processing.update(|count| count + 1);
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        if self.has_response {
            self.wait_for_client();
        } else {
            self.respond();
        }
        self.activity.requests.update(|count| count - 1);
        if self.activity.requests.get() == 0 {
            self.activity.place.set_idle(self.activity.since());
        }
    }
}

/// A response body that reports whom it waits for. hyper polls it when the client can take more, and drops it at its end.
pub(super) struct TrackedBody {
    body: ResponseBody,
    request: ActiveRequest,
}

impl TrackedBody {
    pub(super) fn new(body: ResponseBody, mut request: ActiveRequest) -> Self {
        request.respond();
        Self { body, request }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = <ResponseBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending => self.request.wait_for_upstream(),
            Poll::Ready(frame) => {
                self.request.wait_for_client();
                if let Some(Ok(frame)) = frame {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    self.request.activity.control_frames.add_sent(length);
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
