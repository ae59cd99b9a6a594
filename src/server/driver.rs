//! Limits the time of a connection, the same for both protocols, and ends it gracefully.
//!
//! | If the connection | for | then |
//! |---|---|---|
//! | reads a request's head | `header_timeout` | it is rejected |
//! | is idle, or the client takes nothing of its responses | `keep_alive` | it is closed gracefully |
//! | is idle, and another one needs its place | – | it is closed |
//! | is being closed, and nothing happens | [`CLOSE_TIMEOUT`] | it is dropped |
//!
//! While a request waits for the upstream, the route's deadline limits it. At shutdown the request under way is the last one.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::activity::{Activity, State};
use super::client_stream::WatchedStream;
use super::places::Phase;
use super::settings::Settings;
use crate::tls::Protocol;

/// How long an idle connection of HTTP/1.1 is kept open at shutdown, for a request that is already on its way. HTTP/2 needs no
/// such time: it tells the client which request was the last.
pub(super) const DRAIN_GRACE: Duration = Duration::from_millis(250);

/// How long a connection may take to close.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How HTTP on a connection has ended.
pub(super) enum End {
    /// hyper has closed it.
    Closed(hyper::Result<()>),
    /// A request's head took too long.
    HeadTimeout,
    /// The client takes nothing of its response, not even the close.
    Stalled,
    /// It was idle, and another one needs its place.
    Evicted,
    /// The client has closed the connection before its response.
    ClientLeft,
}

/// Lets hyper serve a connection until it ends by itself, lasts too long, or has drained. `shut_down` is hyper's graceful
/// shutdown.
pub(super) async fn drive<H>(
    http: Pin<&mut H>,
    shut_down: fn(Pin<&mut H>),
    activity: &Activity,
    settings: &Settings,
    stream: Option<WatchedStream>,
) -> End
where
    H: Future<Output = hyper::Result<()>>,
{
    let mut driver = Driver {
        http,
        shut_down,
        activity,
        settings,
        stream,
        timer: pin!(sleep(settings.keep_alive)),
        draining_since: None,
        closing_since: None,
    };
    std::future::poll_fn(|cx| driver.poll(cx)).await
}

/// A connection that hyper serves, with the time limits that hyper lacks.
struct Driver<'a, H> {
    http: Pin<&'a mut H>,
    shut_down: fn(Pin<&mut H>),
    activity: &'a Activity,
    settings: &'a Settings,
    /// To see whether the client leaves, where hyper doesn't.
    stream: Option<WatchedStream>,
    /// Fires when the state is due or before. It is not reset for each request, only when it fires too early.
    timer: Pin<&'a mut Sleep>,
    /// Since when the next request has been the last one.
    draining_since: Option<Instant>,
    /// When the graceful shutdown began.
    closing_since: Option<Instant>,
}

impl<H: Future<Output = hyper::Result<()>>> Driver<'_, H> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            self.activity.place.watch(cx);
            self.close_in_shutdown();
            if let Poll::Ready(result) = self.http.as_mut().poll(cx) {
                return Poll::Ready(End::Closed(result));
            }
            if self.close_in_shutdown() {
                continue;
            }
            if self.poll_client_left(cx).is_ready() {
                return Poll::Ready(End::ClientLeft);
            }
            let is_evicted = self.activity.place.is_evicted();
            if is_evicted && self.is_surely_idle() {
                return Poll::Ready(End::Evicted);
            }
            if is_evicted && self.closing_since.is_none() {
                self.close();
                continue;
            }
            ready!(self.poll_timer(cx));
            if self.activity.alarm.has_rung() {
                self.activity.alarm.clear();
                continue;
            }
            if self.activity.state() == State::ReadingHead {
                return Poll::Ready(End::HeadTimeout);
            }
            if self.closing_since.is_some() {
                return Poll::Ready(End::Stalled);
            }
            self.close();
        }
    }

    /// Whether the client has left before its response.
    fn poll_client_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        match (&self.stream, self.activity.state()) {
            (Some(stream), State::Processing | State::Sending) => stream.poll_client_left(cx),
            (Some(_), State::Idle | State::ReadingHead) | (None, _) => Poll::Pending,
        }
    }

    /// Whether it may be closed without a word. A request may have come first; and a client of HTTP/2 that had requests may
    /// still be reading a response.
    fn is_surely_idle(&self) -> bool {
        let is_idle = matches!(self.activity.state(), State::Idle | State::ReadingHead);
        let is_http1 = self.activity.protocol == Protocol::Http1;
        is_idle && (is_http1 || !self.activity.place.had_request())
    }

    /// At shutdown the request in flight is the last one. A connection that never had one may have it for as long as new
    /// connections are accepted. Returns whether it has begun to close.
    fn close_in_shutdown(&mut self) -> bool {
        let place = &self.activity.place;
        let is_last = match place.phase() {
            Phase::Running => false,
            Phase::Closing => place.had_request(),
            Phase::Draining => true,
        };
        if !is_last || self.closing_since.is_some() {
            return false;
        }
        self.draining_since.get_or_insert_with(Instant::now);
        let may_get_request = matches!(self.activity.state(), State::Idle | State::ReadingHead);
        if may_get_request && self.activity.protocol == Protocol::Http1 {
            return false;
        }
        self.close();
        true
    }

    fn close(&mut self) {
        (self.shut_down)(self.http.as_mut());
        let now = Instant::now();
        self.closing_since = Some(now);
        self.timer.as_mut().reset(now + CLOSE_TIMEOUT);
    }

    /// Ready when the state has lasted too long.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = [self.due(), self.activity.alarm.at()];
            let due = due.into_iter().flatten().min();
            if let Some(due) = due.filter(|due| *due < self.timer.deadline()) {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(cx));
            match due {
                Some(due) if due <= Instant::now() => return Poll::Ready(()),
                Some(due) => self.timer.as_mut().reset(due),
                // Requests of HTTP/2 end without waking this task. So the timer fires before they could be due.
                None => {
                    let closing = self.closing_since.map(|_| CLOSE_TIMEOUT);
                    let limit = closing.unwrap_or(self.settings.keep_alive);
                    self.timer.as_mut().reset(Instant::now() + limit);
                }
            }
        }
    }

    /// When the state will have lasted too long. A request that is processed has a deadline of its own.
    fn due(&self) -> Option<Instant> {
        let (state, since) = (self.activity.state(), self.activity.since());
        if state == State::Processing {
            return None;
        }
        if let Some(closing_since) = self.closing_since {
            return Some(since.max(closing_since) + CLOSE_TIMEOUT);
        }
        let due = match state {
            State::ReadingHead => since + self.settings.header_timeout,
            State::Idle | State::Processing | State::Sending => since + self.settings.keep_alive,
        };
        match self.draining_since {
            Some(draining_since) if state == State::Idle => {
                Some(due.min(draining_since + DRAIN_GRACE))
            }
            Some(_) | None => Some(due),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::super::activity::ActiveRequest;
    use super::super::places::{Connections, Place, Places};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> Settings {
        let address = ([127, 0, 0, 1], 0).into();
        Settings {
            listen: vec![address],
            tls: None,
            admin: address,
            admin_token: None,
            workers: std::num::NonZeroUsize::MIN,
            shutdown_delay: Duration::ZERO,
            drain: 20 * SECOND,
            max_connections: 1,
            proxy_protocol: false,
            header_timeout: 10 * SECOND,
            keep_alive: 75 * SECOND,
            tunnel_idle_timeout: 3600 * SECOND,
        }
    }

    fn activity(protocol: Protocol) -> Rc<Activity> {
        Activity::new(protocol, Place::new(&connections()))
    }

    fn connections() -> Rc<Connections> {
        let evicted = prometheus::IntCounter::new("evicted", "Evicted.").expect("a counter");
        let (_, mut workers) = Places::new(1, 1, evicted);
        workers.remove(0).start().0
    }

    /// Drives a connection that does nothing and never closes: how it ends, and after what time.
    async fn drive_forever(activity: &Activity) -> (End, Duration) {
        let began = Instant::now();
        let http = pin!(std::future::pending());
        let end = drive(http, |_| {}, activity, &settings(), None).await;
        (end, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_and_an_endless_head_end_in_time() {
        let activity = activity(Protocol::Http1);
        let (end, time) = drive_forever(&activity).await;
        assert!(matches!(end, End::Stalled));
        assert_eq!(time, 75 * SECOND + CLOSE_TIMEOUT);
        assert!(activity.add_read(1));
        let (end, time) = drive_forever(&activity).await;
        assert!(matches!(end, End::HeadTimeout));
        assert_eq!(time, 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_time_begins_when_the_last_request_ends_also_in_another_task() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let activity = activity(protocol);
            let first = ActiveRequest::start(&activity);
            let second = ActiveRequest::start(&activity);
            let ends = async move {
                sleep(20 * SECOND).await;
                drop(first);
                sleep(80 * SECOND).await;
                drop(second);
            };
            let tasks = LocalSet::new();
            tasks.spawn_local(ends);
            let driven = tasks.spawn_local(async move { drive_forever(&activity).await });
            tasks.await;
            let (end, time) = driven.await.expect("no panic");
            assert!(matches!(end, End::Stalled));
            assert_eq!(time, 175 * SECOND + CLOSE_TIMEOUT);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_not_waited_for_though_the_upstream_is() {
        let activity = activity(Protocol::Http1);
        let _request = ActiveRequest::start(&activity);
        sleep(SECOND).await;
        activity.set_write_blocked(true);
        let (end, time) = drive_forever(&activity).await;
        assert!(matches!(end, End::Stalled));
        assert_eq!(time, 75 * SECOND + CLOSE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_leaves_http_1_a_moment_for_a_request_on_its_way() {
        for phase in [Phase::Closing, Phase::Draining] {
            for (protocol, grace) in [
                (Protocol::Http1, DRAIN_GRACE),
                (Protocol::Http2, Duration::ZERO),
            ] {
                let connections = connections();
                let activity = Activity::new(protocol, Place::new(&connections));
                drop(ActiveRequest::start(&activity));
                connections.set_phase(phase);
                let (end, time) = drive_forever(&activity).await;
                assert!(matches!(end, End::Stalled));
                assert_eq!(time, grace + CLOSE_TIMEOUT);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_new_connections_are_accepted_they_have_time_for_a_request() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let connections = connections();
            connections.set_phase(Phase::Closing);
            let activity = Activity::new(protocol, Place::new(&connections));
            let tasks = LocalSet::new();
            let driven = tasks.spawn_local(async move { drive_forever(&activity).await });
            tasks
                .run_until(async move {
                    sleep(20 * SECOND).await;
                    connections.set_phase(Phase::Draining);
                    let (end, time) = driven.await.expect("no panic");
                    assert!(matches!(end, End::Stalled));
                    assert!(time >= 20 * SECOND + CLOSE_TIMEOUT);
                    assert!(time <= 20 * SECOND + DRAIN_GRACE + CLOSE_TIMEOUT);
                })
                .await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_holds_up_a_shutdown_until_its_response_streams() {
        let connections = connections();
        let activity = Activity::new(Protocol::Http1, Place::new(&connections));
        assert!(!connections.has_requests());
        assert!(activity.add_read(1));
        assert!(connections.has_requests(), "its head may be on its way");
        sleep(2 * SECOND).await;
        assert!(!connections.has_requests(), "its head never comes");
        let mut request = ActiveRequest::start(&activity);
        sleep(30 * SECOND).await;
        assert!(connections.has_requests() && connections.has_requests_of(30 * SECOND));
        request.respond();
        assert!(connections.has_requests());
        sleep(3 * SECOND).await;
        assert!(!connections.has_requests() && !connections.has_requests_of(Duration::ZERO));
        let _second = ActiveRequest::start(&activity);
        assert!(connections.has_requests() && !connections.has_requests_of(SECOND));
    }
}
