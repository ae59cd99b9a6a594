//! One call, from its head to its answer: [`Proxy::answer`], which never fails, around `attempt`, which may.
//!
//! This is the one room on the road that knows the others.

mod body;
mod fallback_url;
mod grammar;
mod inject;
mod report;
mod request;
mod run;
mod snapshot;
mod validate;
mod verify;

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use arc_swap::ArcSwap;
use http::{Request, Response, StatusCode, response};
use hyper::body::Incoming;
use tracing::{info, warn};

pub use body::ResponseBody;
pub use grammar::Grammar;
pub use inject::DrillRefused;
pub use snapshot::{AfterDeadline, Mode, Route, RouteSettings, Settings, SharedState, Snapshot};

use crate::breaker::Opened;
use crate::deadline::Deadline;
use crate::failure::{Failure, Outcome};
use crate::upstream::headers::{self, Peer};
use crate::upstream::{Pool, Tunnel, UpstreamBody};
use run::Run;

/// The most that a page may hold, in bytes (error 11750).
pub const PAGE_LIMIT: usize = 64 * 1024;

/// What answers the calls of one worker.
pub struct Proxy {
    site: Arc<ArcSwap<Snapshot>>,
    pool: Rc<Pool>,
}

/// An answer, and the app's side of the connection if it switched protocols.
pub struct Answered {
    /// What goes back.
    pub response: Response<ResponseBody>,
    /// To be joined with the client's side once the response is out.
    pub tunnel: Option<Tunnel>,
    /// Part of the request was not read.
    pub leaves_unread: bool,
}

impl From<Response<ResponseBody>> for Answered {
    fn from(response: Response<ResponseBody>) -> Self {
        Self {
            response,
            tunnel: None,
            leaves_unread: false,
        }
    }
}

impl Proxy {
    /// What answers by this site, which may be swapped at any time, over these connections.
    pub fn new(site: Arc<ArcSwap<Snapshot>>, pool: Rc<Pool>) -> Self {
        Self { site, pool }
    }

    /// Answers one call. Whatever goes wrong becomes an answer, so this can't fail.
    pub async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Answered {
        let site = self.site.load_full();
        let (mut head, body) = request.into_parts();
        let plain = request::made_plain(&mut head);
        let route = site.route(&head);
        let policy = site.policy(route, &head).clone();
        let deadline = Deadline::after(route.budget());
        let mut run = Run::new(Arc::clone(route), policy, &head, body);
        let attempted = match plain {
            Ok(()) => {
                self.in_time(
                    deadline.less(route.settings.fallback.kept()),
                    &site,
                    head,
                    peer,
                    &mut run,
                )
                .await
            }
            Err(fault) => Err(fault.into()),
        };
        let attempted = attempted.map_err(|cause| run.attribute(cause));
        if let Some(opened) = run.tell_breaker(&attempted) {
            self.probe(opened, route);
        }
        match attempted {
            Ok(Attempted::Whole(response)) => {
                run.read_rest(deadline).await;
                let outcome = run.settle(&site.shared);
                run.end(outcome, Some(response.status()));
                run.answered(response)
            }
            Ok(Attempted::Stream(head, download, slot)) => {
                let outcome = run.settle(&site.shared);
                let response = run.streamed(head, download, slot, outcome);
                run.answered(response)
            }
            Ok(Attempted::Tunnel(response, tunnel)) => {
                run.end(Outcome::Upstream, Some(response.status()));
                Answered {
                    tunnel: Some(tunnel),
                    ..response.into()
                }
            }
            Err(cause) => {
                // Whoever did wrong is told at once, however much is still to come.
                if !cause.is_refusal() {
                    run.read_rest(deadline).await;
                }
                // Boxed like all that few calls come to: no other call is to carry it about.
                let elsewhere = Box::pin(run.elsewhere(&cause, deadline, &site)).await;
                let (outcome, response) = run.answer_for(&cause, elsewhere, &site.shared);
                run.end(outcome, Some(response.status()));
                run.answered(response)
            }
        }
    }

    /// Probes the app in the background, wherever the configuration has it by then, until one call may try it again.
    fn probe(&self, _: Opened, route: &Arc<Route>) {
        let (site, route) = (Arc::clone(&self.site), Arc::clone(route));
        warn!(
            route = route.settings.name,
            "breaker opened: requests get the fallback at once"
        );
        tokio::task::spawn_local(async move {
            let settings = &route.settings.breaker;
            let path = settings.health_path.as_deref();
            let probe = async || {
                let upstream = Arc::clone(&site.load().upstream);
                upstream.is_there(path).await
            };
            route.breaker.probe_until_there(settings, probe).await;
            info!(
                route = route.settings.name,
                "breaker half-open: one request may try the app"
            );
        });
    }

    /// Counts a request whose head was not HTTP, or took too long: it never became a call on a route.
    pub fn refused(&self) {
        self.site
            .load()
            .unmatched
            .metrics
            .begin()
            .finish(Outcome::Rejected);
    }

    /// How calls are answered now.
    pub fn site(&self) -> Arc<Snapshot> {
        self.site.load_full()
    }

    /// The attempt under its deadline. Where bodies stream without a limit, the budget
    /// counts from the last bytes that the client sent; not so where they are read first, to be checked.
    async fn in_time(
        &self,
        deadline: Deadline,
        site: &Snapshot,
        head: http::request::Parts,
        peer: &Peer,
        run: &mut Run,
    ) -> Result<Attempted, Failure> {
        let upload = run.upload.clone();
        let patient = !run.may_be_twiml() && !run.policy.checks();
        let mut attempt = pin!(unwound(self.attempt(site, head, peer, run, deadline)));
        let mut moved = deadline;
        loop {
            if let Ok(attempted) = moved.bound(attempt.as_mut()).await {
                return attempted;
            }
            let last = upload.last_arrival().filter(|_| patient);
            match last.and_then(|last| deadline.counted_from(last)) {
                Some(later) => moved = later,
                None if upload.waits_for_client() => return Err(Failure::SlowClient),
                None => return Err(Failure::Deadline),
            }
        }
    }

    /// The road. Each line is one room; each `?` is one kind of [`Failure`].
    async fn attempt(
        &self,
        site: &Snapshot,
        mut head: http::request::Parts,
        peer: &Peer,
        run: &mut Run,
        deadline: Deadline,
    ) -> Result<Attempted, Failure> {
        headers::toward_app(&mut head.headers, peer, run.may_be_twiml(), run.websocket);
        run.keep(&head.headers);
        // Before any answer but a refusal, and before any place is taken.
        let call = run.verify(head, deadline, site).await?;
        inject::inject_fault(run).await?;
        run.permit = run.route.permit()?;
        let slot = run.route.admit(&site.upstream)?;
        let answer = site
            .upstream
            .forward(&self.pool, call, &mut run.in_flight, &mut run.retried)
            .await
            .map_err(|failure| run.blame(failure))?;
        run.status = Some(answer.status);
        if answer.status == StatusCode::SWITCHING_PROTOCOLS {
            return run.switched(answer).await;
        }
        match run.twiml_kind().await? {
            Some(kind) => validate::validate_response(answer, kind, run, slot).await,
            None => run.download(answer, slot),
        }
    }
}

/// What an attempt can come to.
enum Attempted {
    /// An answer that is whole.
    Whole(Response<ResponseBody>),
    /// An answer whose body is still to come.
    Stream(response::Parts, UpstreamBody, snapshot::ConcurrencyPermit),
    /// An answer behind which HTTP ends.
    Tunnel(Response<ResponseBody>, Tunnel),
}

/// The future, a panic of which is a [`Failure`] like any other: the caller still gets an answer.
async fn unwound<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx| {
        let poll = AssertUnwindSafe(|| future.as_mut().poll(cx));
        std::panic::catch_unwind(poll).unwrap_or(Poll::Ready(Err(Failure::Panic)))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_an_attempt_is_a_cause_like_any_other() {
        let attempt = unwound(async {
            tokio::task::yield_now().await;
            if true {
                panic!("a bug");
            }
            Ok(())
        });
        assert!(matches!(attempt.await, Err(Failure::Panic)));
    }
}
