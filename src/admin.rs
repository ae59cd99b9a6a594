//! The admin listener, which is never the public one:
//!
//! - `GET /metrics`: Prometheus's text format.
//! - `GET /healthz`: the process is alive.
//! - `GET /readyz`: the configuration is loaded and requests are accepted; it doesn't depend on the app.
//! - `GET /`: the status page for a browser, and for a program a list of these paths.
//! - `GET /api/status`: routes with their counts and drills, the last failures, and the configuration's state, as JSON. With
//!   `routes=N`, `match=TEXT` and `history=yes` only some of the routes, and their last ten minutes.
//! - `GET /api/drills`, `PUT` and `DELETE /api/drills/ROUTE`: drills on live routes.
//! - `GET /api/queue`, `GET /api/queue/ID`, `POST /api/queue/retry` and `/drop`: the queued callbacks.
//! - `POST /api/reload`: reads the configuration again.
//!
//! A request that changes something needs `Content-Type: application/json`, which a browser sends for another site's page only
//! after asking here, and a listener on loopback or the token.

mod drills;
mod guard;
mod history;
mod page;
mod query;
mod queue;
mod request_body;
mod response;
mod route_status;
mod status;

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::proxy::Snapshot;
use crate::recent_failures::now;
use crate::reload::{self, Reloader};
use crate::server::Settings;
use guard::Guard;
use history::History;
use page::Page;
use query::StatusQuery;
use response::Response;

/// The content type of Prometheus's text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "understudy\n\nGET  /            (in a browser: the status page)\nGET  /metrics\nGET  /healthz\nGET  /readyz\nGET  /api/status\nGET  /api/drills\nPUT, DELETE /api/drills/ROUTE\nGET  /api/queue\nGET  /api/queue/ID\nPOST /api/queue/retry\nPOST /api/queue/drop\nPOST /api/reload\n";

/// The state that the admin listener shows and changes.
pub struct Admin {
    /// The configuration in force, with its routes.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Reloads the configuration.
    pub reloader: Arc<Reloader>,
    /// Whether requests are accepted: false once a shutdown has begun.
    pub ready: Arc<AtomicBool>,
    /// The listener's own address.
    pub address: SocketAddr,
    /// The server's settings in force, with the admin token.
    pub settings: Arc<ArcSwap<Settings>>,
}

impl Admin {
    /// Serves the connections of a listener, for ever.
    pub async fn serve(self: Rc<Self>, listener: TcpListener) {
        let handler = Rc::new(AdminHandler {
            admin: self,
            history: History::new().into(),
            page: Page::new(),
            started_at_seconds: now(),
            scrape: Mutex::default(),
        });
        tokio::task::spawn_local(Rc::clone(&handler).record_history());
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(Rc::clone(&handler).serve_connection(stream));
                }
                Err(error) => {
                    debug!(%error, "admin accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn guard<T>(&self, check: impl FnOnce(&Guard<'_>) -> T) -> T {
        let settings = self.settings.load();
        check(&Guard {
            address: self.address,
            token: settings.admin_token.as_ref(),
        })
    }
}

/// Handles the requests of the admin listener.
struct AdminHandler {
    admin: Rc<Admin>,
    history: RefCell<History>,
    page: Page,
    /// In seconds since 1970.
    started_at_seconds: f64,
    /// Held by the one request that has the metrics written.
    scrape: Mutex<()>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Error {
    Guard(#[from] guard::Error),
    Drill(#[from] drills::Error),
    Query(#[from] query::Error),
    Queue(#[from] queue::Error),
}

impl AdminHandler {
    /// Adds to the history every ten seconds, for ever.
    async fn record_history(self: Rc<Self>) {
        let mut ticks = interval(history::SLOT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let snapshot = self.admin.snapshot.load();
            let routes = snapshot.all_routes();
            let routes = routes.map(|route| (route.settings.name.as_str(), &*route.metrics));
            self.history.borrow_mut().sample(routes);
        }
    }

    async fn serve_connection(self: Rc<Self>, stream: TcpStream) {
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(self.handle(request).await) });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = served.await {
            debug!(%error, "admin connection failed");
        }
    }

    async fn handle(&self, request: Request<Incoming>) -> Response {
        let result = self.try_handle(request).await;
        result.unwrap_or_else(|error| error.to_response())
    }

    async fn try_handle(&self, request: Request<Incoming>) -> Result<Response, Error> {
        let admin = &*self.admin;
        admin.guard(|guard| guard.check(&request))?;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        Ok(match request.uri().path() {
            "/api/reload" => self.reload(&request).await?,
            path if path.starts_with(drills::PATH) => self.change_drill(request).await?,
            path if queue::is_path(path) => self.queue(request).await?,
            "/metrics" | "/healthz" | "/readyz" | "/api/status" | "/api/drills" | "/"
                if !is_read =>
            {
                response::method_not_allowed("GET, HEAD")
            }
            "/api/drills" => response::json(StatusCode::OK, &drills::list(&admin.snapshot.load())),
            "/metrics" => self.metrics().await,
            "/healthz" => response::text(StatusCode::OK, "ok\n"),
            "/readyz" if admin.ready.load(Relaxed) => response::text(StatusCode::OK, "ready\n"),
            "/readyz" => response::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/api/status" => self.status(request.uri().query().unwrap_or_default())?,
            "/" => self.index(request.headers()),
            _ => response::text(StatusCode::NOT_FOUND, INDEX),
        })
    }

    /// Writes the metrics on another thread: with ten thousand routes it takes a part of a second, which must delay nothing here,
    /// least of all systemd's watchdog. One scrape at a time, since each needs memory for the whole text.
    async fn metrics(&self) -> Response {
        let _scrape = self.scrape.lock().await;
        let snapshot = self.admin.snapshot.load_full();
        match tokio::task::spawn_blocking(move || snapshot.render_metrics()).await {
            Ok(text) => response::new(StatusCode::OK, PROMETHEUS_TEXT, text),
            Err(error) => response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn status(&self, query: &str) -> Result<Response, query::Error> {
        let query = StatusQuery::parse(query)?;
        let sources = status::Sources {
            snapshot: &self.admin.snapshot.load(),
            reloader: &self.admin.reloader,
            history: &self.history.borrow(),
            ready: self.admin.ready.load(Relaxed),
            started_at_seconds: self.started_at_seconds,
        };
        Ok(response::json(
            StatusCode::OK,
            &status::to_json(&sources, &query),
        ))
    }

    /// The status page for a browser, the list of paths for a program.
    fn index(&self, headers: &HeaderMap) -> Response {
        let mut index = if page::is_wanted(headers) {
            self.page.to_response()
        } else {
            response::text(StatusCode::OK, INDEX)
        };
        let vary = HeaderValue::from_static("accept");
        index.headers_mut().insert(header::VARY, vary);
        index
    }

    async fn reload(&self, request: &Request<Incoming>) -> Result<Response, Error> {
        if request.method() != Method::POST {
            return Ok(response::method_not_allowed("POST"));
        }
        self.admin.guard(|guard| guard.check_change(request))?;
        let Err(refused) = self.admin.reloader.reload().await else {
            return Ok(response::json(StatusCode::OK, &json!({ "reloaded": true })));
        };
        let status = match refused {
            reload::Error::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            reload::Error::NoFile
            | reload::Error::Invalid(_)
            | reload::Error::RestartRequired(_)
            | reload::Error::AdminExposed(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let errors: Vec<_> = refused.to_string().lines().map(str::to_owned).collect();
        let document = json!({ "reloaded": false, "errors": errors });
        Ok(response::json(status, &document))
    }

    /// A response with callers' data is guarded as a change is.
    async fn queue(&self, request: Request<Incoming>) -> Result<Response, Error> {
        let (path, query) = (request.uri().path(), request.uri().query());
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match queue::is_change(path) {
            true if request.method() != Method::POST => {
                return Ok(response::method_not_allowed("POST"));
            }
            false if !is_read => return Ok(response::method_not_allowed("GET, HEAD")),
            true | false => {}
        }
        let operation = queue::Operation::parse(path, query.unwrap_or_default())?;
        if operation.is_guarded() {
            self.admin.guard(|guard| guard.check_change(&request))?;
        }
        let store = self.admin.snapshot.load().shared.queue().cloned();
        let store = store.ok_or(queue::Error::NotConfigured)?;
        let document = queue::execute(&*store, operation, request.into_body()).await?;
        Ok(response::json(StatusCode::OK, &document))
    }

    async fn change_drill(&self, request: Request<Incoming>) -> Result<Response, Error> {
        if !matches!(*request.method(), Method::PUT | Method::DELETE) {
            return Ok(response::method_not_allowed("PUT, DELETE"));
        }
        self.admin.guard(|guard| guard.check_change(&request))?;
        let (status, document) = drills::change(&self.admin.snapshot, request).await?;
        Ok(response::json(status, &document))
    }
}

impl Error {
    fn to_response(&self) -> Response {
        let mut response = response::json(self.status(), &json!({ "error": self.to_string() }));
        if let Self::Guard(guard::Error::Unauthorized) = self {
            let challenge = HeaderValue::from_static("Bearer realm=\"understudy\"");
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Guard(error) => error.status(),
            Self::Drill(error) => error.status(),
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::Queue(error) => error.status(),
        }
    }
}
