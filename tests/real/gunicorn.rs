//! A Flask app under gunicorn with one worker on a Unix socket, as it is deployed most often: it restarts while callers come.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::proxy::{NAMED, assert_answered};
use crate::real_app::{APPS, SHARED_KEY_SECRET, python};
use crate::requests;
use support::{Bound, Client, Response, Sidecar, bound, skip, wait_until};

const CALLERS: usize = 4;
const RESTARTS: usize = 5;

#[tokio::test]
async fn no_caller_is_lost_while_it_reloads() {
    let Some(app) = Gunicorn::start(Socket::Own).await else {
        return;
    };
    let (sidecar, callers) = callers_before(&app).await;
    for _ in 0..RESTARTS {
        let worker = app.worker().await;
        app.signal("HUP");
        wait_until("a new worker", async || app.worker().await != worker).await;
        callers.wait_for_more().await;
    }
    callers.assert_answered(&sidecar, |_| false).await;
}

#[tokio::test]
async fn no_caller_is_lost_while_it_restarts_behind_systemds_socket() {
    let Some(mut app) = Gunicorn::start(Socket::OfSystemd).await else {
        return;
    };
    let (sidecar, callers) = callers_before(&app).await;
    for _ in 0..RESTARTS {
        app.restart().await;
        callers.wait_for_more().await;
    }
    callers.assert_answered(&sidecar, |_| false).await;
}

/// What gunicorn has not accepted by then it drops with its socket. Nobody can know that it never read them, so these are not
/// sent again.
#[tokio::test]
async fn while_it_restarts_with_its_own_socket_only_those_are_lost_that_it_drops() {
    let Some(mut app) = Gunicorn::start(Socket::Own).await else {
        return;
    };
    let (sidecar, callers) = callers_before(&app).await;
    for _ in 0..RESTARTS {
        app.restart().await;
        callers.wait_for_more().await;
    }
    callers
        .assert_answered(&sidecar, |response| response.reason() == Some("reset"))
        .await;
}

/// Whose the socket is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Socket {
    /// gunicorn makes it, and removes it at its end.
    Own,
    /// It stays, with the connections that wait in it (`gunicorn.socket`).
    OfSystemd,
}

/// gunicorn with one worker of the kind sync; it ends with this.
struct Gunicorn {
    process: Child,
    _bound: Bound,
    /// The listener that systemd would hold.
    listener: Option<UnixListener>,
    folder: TempDir,
}

impl Gunicorn {
    /// None where it isn't installed.
    async fn start(socket: Socket) -> Option<Self> {
        let mut probe = python();
        let probe = probe
            .args(["-c", "import gunicorn, flask, flask_sock, twilio"])
            .output();
        if !probe.is_ok_and(|output| output.status.success()) {
            skip("python3 with the packages gunicorn, twilio, flask, flask-sock");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gunicorn.sock");
        let listener = match socket {
            Socket::Own => None,
            Socket::OfSystemd => Some(UnixListener::bind(&path).expect("the path is free")),
        };
        let process = launch(&path, listener.as_ref());
        let app = Self {
            _bound: bound(&process),
            process,
            listener,
            folder,
        };
        app.worker().await;
        Some(app)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("gunicorn.sock")
    }

    /// Ends it as systemd does, and starts it again.
    async fn restart(&mut self) {
        self.signal("TERM");
        self.process.wait().expect("it can be waited for");
        self.process = launch(&self.path(), self.listener.as_ref());
        self._bound = bound(&self.process);
        self.worker().await;
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.process.id());
        let status = Command::new("sh").args(["-c", &kill]).status();
        assert!(status.is_ok_and(|status| status.success()), "{kill}");
    }

    /// The process that serves a request now.
    async fn worker(&self) -> String {
        let path = self.path();
        wait_until("gunicorn to listen", async || path.exists()).await;
        let mut client = Client::connect_unix(&path).await;
        let request = "GET /worker HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        client.request(request).await.text()
    }
}

impl Drop for Gunicorn {
    fn drop(&mut self) {
        self.signal("TERM");
        let _ = self.process.wait();
    }
}

fn launch(path: &Path, listener: Option<&UnixListener>) -> Child {
    let mut command = Command::new("sh");
    // The socket comes as the standard input, and is passed on as systemd does it.
    let script = match listener {
        Some(_) => r#"export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&0 0</dev/null"#,
        None => r#"exec "$@""#,
    };
    let input = match listener {
        Some(listener) => Stdio::from(OwnedFd::from(listener.try_clone().expect("a descriptor"))),
        None => Stdio::null(),
    };
    let bind = match listener {
        Some(_) => String::new(),
        None => format!("--bind unix:{}", path.display()),
    };
    let errors = File::create(path.with_extension("log")).expect("a file");
    command
        .args(["-c", script, "sh"])
        .arg(python().get_program())
        .args(["-m", "gunicorn", "flask_app:app"])
        .current_dir(APPS)
        .env(
            "GUNICORN_CMD_ARGS",
            format!("--workers 1 --log-level warning {bind}"),
        )
        .env("TWILIO_AUTH_TOKEN", requests::token())
        .env("TWILIO_SHARED_KEY_SECRET", SHARED_KEY_SECRET)
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(errors);
    command.spawn().expect("gunicorn starts")
}

/// Callers who call again and again.
struct Callers {
    tasks: JoinSet<Vec<Response>>,
    answered: Arc<std::sync::atomic::AtomicUsize>,
    stop: Arc<AtomicBool>,
}

async fn callers_before(app: &Gunicorn) -> (Arc<Sidecar>, Callers) {
    let url = format!("unix:{}", app.path().display());
    let sidecar = Sidecar::before_url(&url)
        .upstream("idle_timeout = \"0s\"")
        .upstream("retry_connect = \"60s\"")
        .deadline(std::time::Duration::from_secs(14))
        .routes(NAMED)
        .start()
        .await;
    let sidecar = Arc::new(sidecar);
    let mut callers = Callers {
        tasks: JoinSet::new(),
        answered: Arc::default(),
        stop: Arc::default(),
    };
    for _ in 0..CALLERS {
        let (sidecar, answered, stop) = (
            Arc::clone(&sidecar),
            Arc::clone(&callers.answered),
            Arc::clone(&callers.stop),
        );
        callers.tasks.spawn(async move {
            let webhook = requests::named("voice-incoming.http").behind_tls();
            let mut responses = Vec::new();
            while !stop.load(Relaxed) {
                responses.push(sidecar.request(webhook.bytes.clone()).await);
                answered.fetch_add(1, Relaxed);
            }
            responses
        });
    }
    callers.wait_for_more().await;
    (sidecar, callers)
}

impl Callers {
    /// Waits until each caller has been answered some more times.
    async fn wait_for_more(&self) {
        let enough = self.answered.load(Relaxed) + 5 * CALLERS;
        let answered = async || self.answered.load(Relaxed) >= enough;
        wait_until("callers to be answered", answered).await;
    }

    /// Expects that all have had the app's own response, except those that may be lost.
    async fn assert_answered(mut self, sidecar: &Sidecar, may_be_lost: impl Fn(&Response) -> bool) {
        self.stop.store(true, Relaxed);
        let mut own = 0;
        while let Some(responses) = self.tasks.join_next().await {
            for response in responses.expect("no caller panics") {
                assert_eq!(response.status, 200, "{response:?}");
                if response.reason().is_none() {
                    assert!(response.text().contains("Hello caller"), "{response:?}");
                    own += 1;
                } else {
                    assert!(may_be_lost(&response), "{response:?}");
                }
            }
        }
        assert_answered(sidecar, "voice", own).await;
    }
}
