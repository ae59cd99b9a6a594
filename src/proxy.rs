//! One request, from its head to its response: [`Proxy::handle`], which never fails, around `try_handle`, which may.
//!
//! This is the only module that knows every step of a request.

mod body;
mod catch_panic;
mod context;
mod deliver;
mod drills;
mod enqueue;
mod fallback_url;
mod inject;
mod normalize;
mod permit;
mod probe;
mod receive;
mod record;
mod report;
mod respond;
mod route;
mod shared_state;
mod snapshot;
mod validate;
mod verify;

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::request;
use hyper::body::Incoming;

pub use body::ResponseBody;
pub use deliver::Deliverer;
pub use drills::DrillRefused;
pub use respond::Reply;
pub use route::{AfterDeadline, Grammar, Mode, Route, RouteSettings, WhenDown};
pub use shared_state::SharedState;
pub use snapshot::{Settings, Snapshot};

use crate::body::RequestBody;
use crate::breaker::Permit;
use crate::deadline::{Alarm, Deadline};
use crate::failure::{Failure, HeadError, Outcome, UpstreamHealth};
use crate::signature::VerifiedRequest;
use crate::twiml::KnownDocuments;
use crate::upstream::headers::Peer;
use crate::upstream::{Names, Pool, UpstreamRequest};
use catch_panic::catch_panic;
use context::{FromWorker, RequestContext};
use normalize::normalize_head;
use probe::probe_in_background;
use record::Record;
use respond::{Accepted, Rejected};

/// Handles the requests of one worker.
pub struct Proxy {
    snapshot: Arc<ArcSwap<Snapshot>>,
    pool: Rc<Pool>,
    known_documents: Rc<KnownDocuments>,
}

impl Proxy {
    /// A proxy with this configuration, which may be swapped at any time, over these connections to the upstream.
    pub fn new(snapshot: Arc<ArcSwap<Snapshot>>, pool: Rc<Pool>) -> Self {
        Self {
            snapshot,
            pool,
            known_documents: Rc::default(),
        }
    }

    /// The configuration in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Handles one request. Whatever goes wrong becomes a response, so this can't fail.
    ///
    /// With an alarm, whoever polls this has to poll it again when the alarm rings.
    pub async fn handle(
        &self,
        head: Box<request::Parts>,
        body: Incoming,
        peer: &Peer,
        alarm: Option<&Rc<Alarm>>,
    ) -> Reply {
        // Pinned where it is made, like every large future here: moving one costs as much as a header map.
        let routed = pin!(self.route(head, body, peer, alarm));
        let handled = catch_panic(async { Ok::<_, Failure>(routed.await) });
        handled.await.unwrap_or_else(|_| respond::internal_error())
    }

    async fn route(
        &self,
        mut head: Box<request::Parts>,
        body: Incoming,
        peer: &Peer,
        alarm: Option<&Rc<Alarm>>,
    ) -> Reply {
        let snapshot = self.snapshot.load_full();
        let names = Names::of(&head.headers);
        let normalized = match peer.is_ourselves() {
            true => Err(HeadError::Loop),
            false => normalize_head(&mut head, names),
        };
        let route = Arc::clone(snapshot.route(&head));
        let record = route.metrics.start();
        let deadline = Deadline::after(record.started(), route.time_limit());
        let worker = FromWorker {
            started: record.started(),
            alarm: alarm.cloned(),
            known_documents: Rc::clone(&self.known_documents),
        };
        let context = RequestContext::new(snapshot, route, &mut head, names, body, peer, worker);
        let record = Record::new(&context, record);
        let result = match normalized {
            Ok(()) => catch_panic(pin!(self.try_handle(&context, head, deadline))).await,
            Err(error) => Err(Failure::from(error).into()),
        };
        match result {
            Ok(accepted) => context.pass_on(accepted, record, deadline).await,
            // Boxed like everything that few requests need: the others don't carry it.
            Err(rejected) => Box::pin(context.respond_to(rejected, record, deadline)).await,
        }
    }

    /// The steps of a request in order. Each `?` is one kind of [`Failure`].
    async fn try_handle(
        &self,
        context: &RequestContext,
        head: Box<request::Parts>,
        deadline: Deadline,
    ) -> Result<Accepted, Rejected> {
        let deadline = deadline.shorten_by(context.route.settings.fallback.reserved_time());
        let request = context.verify(head, deadline).await?;
        if context.queues {
            // Boxed, so that requests which are never queued do not carry what these need.
            let queued = Box::pin(context.queue_behind_older(deadline)).await?;
            if let Some(queued) = queued {
                return Ok(Accepted::queued(queued));
            }
        }
        context.inject_fault(deadline).await?;
        let permit = context.route.breaker_permit()?;
        let result = self.ask_upstream(context, request, deadline).await;
        self.record_health(permit, &result, &context.route);
        result
    }

    /// Sends the request to the upstream, and validates the response, before the deadline.
    async fn ask_upstream(
        &self,
        context: &RequestContext,
        request: VerifiedRequest<RequestBody>,
        deadline: Deadline,
    ) -> Result<Accepted, Rejected> {
        let route = &context.route;
        let permit = route.admit()?;
        let mut upstream_request =
            UpstreamRequest::new(&route.upstream, &self.pool, route.drains());
        let received = {
            let receiving = pin!(context.receive(request, &mut upstream_request, deadline));
            context.bound(deadline, receiving).await
        };
        context.count_retry(&upstream_request);
        let upstream_status = upstream_request.status();
        let accepted = match received {
            Ok(received) => context.accept(received, &mut upstream_request, permit),
            Err(Failure::Deadline) => match upstream_request.take_connect_error() {
                Some(error) => Err(error.into()),
                None => {
                    upstream_request.finish_late(route.count_late());
                    Err(Failure::Deadline)
                }
            },
            Err(failure) => Err(failure),
        };
        accepted.map_err(|failure| Rejected {
            failure,
            upstream_status,
        })
    }

    /// Tells the breaker what the result says of the upstream.
    fn record_health(
        &self,
        permit: Option<Permit>,
        result: &Result<Accepted, Rejected>,
        route: &Arc<Route>,
    ) {
        let Some(permit) = permit else {
            return;
        };
        let health = match result {
            Ok(_) => UpstreamHealth::Up,
            Err(rejected) => rejected.failure.upstream_health(),
        };
        match health {
            UpstreamHealth::Up => permit.succeed(),
            UpstreamHealth::Down => {
                if let Some(opened) = permit.fail(&route.settings.breaker) {
                    probe_in_background(opened, &self.snapshot, route);
                }
            }
            UpstreamHealth::Unknown => {}
        }
    }

    /// Counts a request of which the head was not HTTP, or took too long: it belongs to no route.
    pub fn count_refused(&self) {
        let snapshot = self.snapshot.load();
        snapshot.unmatched.metrics.start().finish(Outcome::Rejected);
    }
}
