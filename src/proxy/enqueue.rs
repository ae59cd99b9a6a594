//! Queues a callback that the upstream can't take, and acknowledges it only when it is stored.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tokio::time::timeout_at;
use tracing::{info, warn};

use super::body::ResponseBody;
use super::context::RequestContext;
use crate::deadline::Deadline;
use crate::failure::{Failure, Outcome};
use crate::log::describe_error;
use crate::queue::{self, Callback, Store};
use crate::twilio::WEBHOOK_TIMEOUT;
use crate::upstream::headers::X_FORWARDED_FOR;

/// Says on a 204 why the callback was queued.
const UNDERSTUDY_QUEUED: HeaderName = HeaderName::from_static("understudy-queued");

/// Why a callback is queued although its upstream may be well.
const ORDER: &str = "order";

/// How long before Twilio's own timeout the response is sent.
const MARGIN: Duration = Duration::from_millis(500);

/// The result of an attempt to queue a callback.
pub(super) struct Queued {
    pub(super) response: Response<ResponseBody>,
    /// [`Outcome::Queued`] if it is stored, else [`Outcome::Error`].
    pub(super) outcome: Outcome,
    /// Why the callback was to be queued.
    pub(super) reason: &'static str,
}

/// Why a callback isn't stored.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Store(#[from] queue::Error),
    #[error("it could not be stored in time")]
    TimedOut,
}

impl Refused {
    /// Its label in metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Store(error) => error.reason(),
            Self::TimedOut => "timeout",
        }
    }
}

impl RequestContext {
    /// Reads the callback whole, and queues it if older ones of its key wait. None if the upstream may be asked.
    ///
    /// # Errors
    ///
    /// Why the body can't be read.
    pub(super) async fn queue_behind_older(
        &self,
        deadline: Deadline,
    ) -> Result<Option<Queued>, Failure> {
        let body = match self.body.whole() {
            Some(body) => body,
            None => self.read_whole(deadline).await?,
        };
        let body = self.callback_body.get_or_init(|| body);
        Ok(match self.is_behind_older(body).await {
            Ok(false) => None,
            Ok(true) => {
                let queued = self.queue(ORDER, body).await;
                if queued.outcome == Outcome::Queued {
                    info!(
                        target: "understudy::request",
                        route = self.route.settings.name,
                        outcome = queued.outcome.label(),
                        reason = ORDER,
                        sid = self.parameters(&self.form()).sid(),
                        "callback queued"
                    );
                }
                Some(queued)
            }
            Err(refused) => Some(self.refuse_callback(ORDER, &refused)),
        })
    }

    async fn is_behind_older(&self, body: &Bytes) -> Result<bool, Refused> {
        let key = self.key(body);
        let asked = self.store()?.is_waiting(&self.route.settings.name, &key);
        let asked = timeout_at(self.last_moment(), asked).await;
        Ok(asked.map_err(|_| Refused::TimedOut)??)
    }

    /// Queues the callback for this reason. It is acknowledged only if it is stored.
    pub(super) async fn queue(&self, reason: &'static str, body: &Bytes) -> Queued {
        match self.append(reason, body).await {
            Ok(()) => {
                self.route.metrics.queue().enqueued(reason);
                Queued {
                    response: acknowledgement(reason),
                    outcome: Outcome::Queued,
                    reason,
                }
            }
            Err(refused) => self.refuse_callback(reason, &refused),
        }
    }

    async fn append(&self, reason: &'static str, body: &Bytes) -> Result<(), Refused> {
        let store = Arc::clone(self.store()?);
        let callback = self.callback(reason, body);
        let last_moment = self.last_moment();
        // On a task of its own: it is stored even if the client leaves meanwhile.
        let appended = tokio::task::spawn_local(async move {
            let appended = timeout_at(last_moment, store.append(callback)).await;
            appended.map_err(|_| Refused::TimedOut)?.map(drop)?;
            Ok(())
        });
        appended
            .await
            .unwrap_or_else(|_| Err(queue::Error::Closed.into()))
    }

    fn refuse_callback(&self, reason: &'static str, refused: &Refused) -> Queued {
        self.route.metrics.queue().refused(refused.reason());
        warn!(
            target: "understudy::request",
            route = self.route.settings.name,
            outcome = Outcome::Error.label(),
            reason = refused.reason(),
            error = describe_error(refused),
            "callback not queued"
        );
        Queued {
            response: refusal(),
            outcome: Outcome::Error,
            reason,
        }
    }

    fn store(&self) -> Result<&Arc<dyn Store>, queue::Error> {
        let store = self.snapshot.shared.queue();
        store.ok_or(queue::Error::Closed)
    }

    /// The latest time for the response.
    fn last_moment(&self) -> tokio::time::Instant {
        self.worker.started + WEBHOOK_TIMEOUT.saturating_sub(MARGIN)
    }

    /// The callback as it is stored.
    fn callback(&self, reason: &str, body: &Bytes) -> Callback {
        let headers = self.headers.as_deref().cloned().unwrap_or_default();
        let target = self.uri.path_and_query();
        Callback {
            route: self.route.settings.name.clone(),
            key: self.key(body),
            reason: reason.to_owned(),
            received: SystemTime::now()
                .checked_sub(self.worker.started.elapsed())
                .unwrap_or(SystemTime::UNIX_EPOCH),
            client: client(&headers),
            method: self.method.clone(),
            target: target.map_or("/", |target| target.as_str()).to_owned(),
            headers,
            body: body.clone(),
        }
    }

    fn key(&self, body: &Bytes) -> String {
        let form = if self.has_form { &body[..] } else { &[] };
        queue::key_of(self.uri.path(), self.uri.query().unwrap_or_default(), form)
    }
}

/// Who sent a request with these headers: the last address that we have written.
fn client(headers: &HeaderMap) -> IpAddr {
    let chain = headers.get(&X_FORWARDED_FOR);
    let last = chain.and_then(|chain| chain.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.into())
}

fn acknowledgement(reason: &'static str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(UNDERSTUDY_QUEUED, HeaderValue::from_static(reason));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal() -> Response<ResponseBody> {
    let body = "503 Service Unavailable: the app can't take the callback, and it can't be queued\n";
    let mut response = Response::new(ResponseBody::Whole(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
