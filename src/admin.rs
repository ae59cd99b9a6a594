//! The admin listener, never the public one:
//!
//! - `GET /metrics`: Prometheus's text format.
//! - `GET /healthz`: the process is alive.
//! - `GET /readyz`: the configuration is loaded and calls are taken; not tied to the app.
//! - `GET /`: the status page for a browser; for a program these lines.
//! - `GET /api/status`: routes, their counts and drills, the last failures, the configuration's state, as JSON; with
//!   `?routes=N`, `match=TEXT` and `history=yes` only some of the routes, and their last ten minutes.
//! - `GET /api/drills`, `PUT` and `DELETE /api/drills/ROUTE`: drills on live routes.
//! - `POST /api/reload`: reads the configuration again.
//!
//! What changes something needs `Content-Type: application/json`, which no web page can send here unasked, and a listener on
//! loopback.

mod drills;
mod guard;
mod history;
mod page;
mod stage;
mod status;
mod view;

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
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
use view::View;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// As Prometheus's exposition formats have it.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "understudy\n\nGET  /            (in a browser: the status page)\nGET  /metrics\nGET  /healthz\nGET  /readyz\nGET  /api/status\nGET  /api/drills\nPUT, DELETE /api/drills/ROUTE\nPOST /api/reload\n";

/// What the admin listener shows and steers.
pub struct Admin {
    /// How calls are answered now.
    pub site: Arc<ArcSwap<Snapshot>>,
    /// What reloads it.
    pub reloader: Arc<Reloader>,
    /// Whether calls are taken.
    pub ready: Arc<AtomicBool>,
    /// Where it listens.
    pub address: SocketAddr,
    /// What opens it, as the configuration in force has it.
    pub settings: Arc<ArcSwap<Settings>>,
}

type Answer = Response<Full<Bytes>>;

/// The admin listener at work.
struct Desk {
    admin: Rc<Admin>,
    history: RefCell<History>,
    page: Page,
    /// In seconds since 1970.
    started: f64,
    /// Whoever holds it is having the series written.
    scrapes: Mutex<()>,
}

impl Admin {
    /// Serves every connection, for ever.
    pub async fn serve(self: Rc<Self>, listener: TcpListener) {
        let desk = Rc::new(Desk {
            admin: self,
            history: History::new().into(),
            page: Page::new(),
            started: now(),
            scrapes: Mutex::default(),
        });
        tokio::task::spawn_local(Rc::clone(&desk).remember());
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::task::spawn_local(Rc::clone(&desk).connection(stream));
                }
                Err(error) => {
                    debug!(%error, "admin accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Desk {
    /// Keeps the last minutes of every route, for ever.
    async fn remember(self: Rc<Self>) {
        let mut ticks = interval(history::SLOT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let site = self.admin.site.load();
            let routes = site.all_routes();
            let routes = routes.map(|route| (route.settings.name.as_str(), &*route.metrics));
            self.history.borrow_mut().sample(routes);
        }
    }

    /// Every series, written elsewhere than here: with thousands of routes it takes seconds, for which nobody else is to wait,
    /// systemd's watchdog least of all. One at a time, for each takes its memory.
    async fn metrics(&self) -> Answer {
        let _turn = self.scrapes.lock().await;
        let site = self.admin.site.load_full();
        match tokio::task::spawn_blocking(move || site.render_metrics()).await {
            Ok(text) => answer(StatusCode::OK, EXPOSITION, text),
            Err(error) => answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                format!("{error}\n"),
            ),
        }
    }

    async fn connection(self: Rc<Self>, stream: TcpStream) {
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = served.await {
            debug!(%error, "admin connection failed");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let admin = &*self.admin;
        if let Some(refusal) = admin.guarded(|guard| guard.refusal(&request)) {
            return refusal;
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/api/reload" if request.method() == Method::POST => admin.reload(&request).await,
            "/api/reload" => not_allowed("POST"),
            path if path.starts_with(drills::PATH) => admin.drill(request).await,
            "/metrics" | "/healthz" | "/readyz" | "/api/status" | "/api/drills" | "/" if !reads => {
                not_allowed("GET, HEAD")
            }
            "/api/drills" => json_answer(StatusCode::OK, &drills::list(&admin.site.load())),
            "/metrics" => self.metrics().await,
            "/healthz" => answer(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" if admin.ready.load(Relaxed) => answer(StatusCode::OK, TEXT, "ready\n"),
            "/readyz" => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n"),
            "/api/status" => self.status(request.uri().query().unwrap_or_default()),
            "/" => self.index(request.headers()),
            _ => answer(StatusCode::NOT_FOUND, TEXT, INDEX),
        }
    }

    fn status(&self, query: &str) -> Answer {
        let view = match View::read(query) {
            Ok(view) => view,
            Err(unknown) => return refused(StatusCode::BAD_REQUEST, &unknown.to_string()),
        };
        let sources = status::Sources {
            site: &self.admin.site.load(),
            reloader: &self.admin.reloader,
            history: &self.history.borrow(),
            ready: self.admin.ready.load(Relaxed),
            started: self.started,
        };
        json_answer(StatusCode::OK, &status::of(&sources, &view))
    }

    /// The page, or for a program what there is.
    fn index(&self, fields: &HeaderMap) -> Answer {
        let mut index = if page::is_wanted(fields) {
            self.page.answer()
        } else {
            answer(StatusCode::OK, TEXT, INDEX)
        };
        let vary = HeaderValue::from_static("accept");
        index.headers_mut().insert(header::VARY, vary);
        index
    }
}

impl Admin {
    async fn reload(&self, request: &Request<Incoming>) -> Answer {
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let Err(refused) = self.reloader.reload().await else {
            return json_answer(StatusCode::OK, &json!({ "reloaded": true }));
        };
        let status = match refused {
            reload::Error::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            reload::Error::NoFile
            | reload::Error::Invalid(_)
            | reload::Error::RestartRequired(_)
            | reload::Error::AdminExposed(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let errors: Vec<_> = refused.to_string().lines().map(str::to_owned).collect();
        json_answer(status, &json!({ "reloaded": false, "errors": errors }))
    }

    /// Why this request may change nothing, if so.
    fn refusal(&self, request: &Request<Incoming>) -> Option<Answer> {
        self.guarded(|guard| guard.refusal_of_change(request))
    }

    /// What the guard says, who goes by the token of the configuration in force.
    fn guarded<T>(&self, ask: impl FnOnce(&Guard<'_>) -> T) -> T {
        let settings = self.settings.load();
        ask(&Guard {
            address: self.address,
            token: settings.admin_token.as_ref(),
        })
    }
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut refusal = answer(
        StatusCode::METHOD_NOT_ALLOWED,
        TEXT,
        format!("use {methods}\n"),
    );
    refusal
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(methods));
    refusal
}

/// Why nothing was changed, in words.
fn refused(status: StatusCode, words: &str) -> Answer {
    json_answer(status, &json!({ "error": words }))
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    answer(status, JSON, format!("{value}\n"))
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}
