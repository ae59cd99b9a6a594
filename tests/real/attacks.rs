//! `slowhttptest` in its four modes, for some seconds each: its connections end, and healthy callers are answered throughout.

use std::io::{self};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::{Output, Stdio};

use tokio::process::Command;

use support::{Builder, FakeUpstream, Script, Sidecar, Step, Webhook, wait_for};

/// How many connections an attack makes, all at once.
const CONNECTIONS: &str = "200";

/// The attacker gives up after so many seconds, if its connections live that long.
const TIMEOUT: &str = "20";

/// A program that is needed here.
#[derive(Clone, Copy)]
struct Tool {
    name: &'static str,
    /// What it does at once.
    probe: &'static str,
}

const SLOWHTTPTEST: Tool = Tool {
    name: "slowhttptest",
    probe: "-h",
};
const CURL: Tool = Tool {
    name: "curl",
    probe: "--version",
};

impl Tool {
    /// Whether it is here. If not, it is skipped, loudly; where `UNDERSTUDY_REAL` is `required`, that fails.
    async fn is_installed(self) -> bool {
        let probe = self.run(&[self.probe]).await;
        if probe.is_ok() {
            return true;
        }
        support::skip(self.name);
        false
    }

    async fn run(self, arguments: &[&str]) -> io::Result<Output> {
        let mut command = Command::new(self.name);
        command.args(arguments).stdin(Stdio::null());
        wait_for("the program's end", command.kill_on_drop(true).output()).await
    }
}

fn attacked(app: &FakeUpstream) -> Builder {
    Sidecar::before(app)
        .server("header_timeout = \"1s\"")
        .server("keep_alive = \"1s\"")
        .defaults("deadline = \"1s\"")
}

fn app() -> FakeUpstream {
    FakeUpstream::start(|request| match request.path() {
        "/pass/big" => Script::new()
            .send(
                "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 900000000\r\n\r\n",
            )
            .then(Step::Endless(vec![7; 65536].into())),
        _ => Script::twiml("<Response/>"),
    })
}

/// What the attacker says at its end.
async fn attack(address: SocketAddr, path: &str, mode: &[&str]) -> String {
    let url = format!("http://{address}{path}");
    let extent = ["-c", CONNECTIONS, "-r", CONNECTIONS, "-l", TIMEOUT];
    let arguments = [mode, &extent, &["-u", &url, "-v", "1"]].concat();
    let output = SLOWHTTPTEST.run(&arguments).await.expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A healthy caller gets the app's own response, and so is answered within the deadline.
async fn is_answered(sidecar: &Sidecar) {
    let response = sidecar.request(Webhook::voice("/voice/healthy")).await;
    assert_eq!((response.status, response.reason()), (200, None));
}

/// Runs an attack to its end, while healthy callers are answered one after another.
async fn withstands(mode: &[&str]) {
    if !SLOWHTTPTEST.is_installed().await {
        return;
    }
    let app = app();
    let sidecar = attacked(&app).start().await;
    let mut attack = Box::pin(attack(sidecar.address, "/voice/x", mode));
    let mut answered = 0;
    let said = loop {
        tokio::select! {
            said = &mut attack => break said,
            () = is_answered(&sidecar) => answered += 1,
        }
    };
    assert!(said.contains("No open connections left"), "{said}");
    assert!(answered > 0, "no request was sent in that time");
}

#[tokio::test]
async fn slow_heads_are_timed_out() {
    withstands(&["-H", "-i", "1", "-x", "10"]).await;
}

#[tokio::test]
async fn slow_bodies_are_timed_out() {
    let mode = ["-B", "-i", "1", "-s", "8192", "-x", "10"];
    withstands(&mode).await;
}

#[tokio::test]
async fn ranges_without_number_are_only_a_field() {
    withstands(&["-R", "-a", "5", "-b", "2000"]).await;
}

/// The attacker seldom notices, busy as it is with reading what it has; but nothing is held for it any more.
#[tokio::test]
async fn slow_readers_are_left() {
    if !SLOWHTTPTEST.is_installed().await {
        return;
    }
    let app = app();
    // On a busy machine two hundred heads at once take their time; it is the bodies that are slow here.
    let unhurried = attacked(&app)
        .defaults("deadline = \"10s\"")
        .server("keep_alive = \"4s\"");
    let sidecar = unhurried.start().await;
    let mode = [
        "-X", "-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "3",
    ];
    let attack = attack(sidecar.address, "/pass/big", &mode);
    let left = async {
        let abandoned = [("outcome", "abandoned")];
        let many = CONNECTIONS.parse().expect("a number");
        let requests = "understudy_requests_total";
        while sidecar.metric(requests, &abandoned).await < many {
            is_answered(&sidecar).await;
        }
        // The attacker may have opened others since, which remain as well.
        while sidecar.metric("understudy_in_flight_requests", &[]).await >= 2.0 {
            is_answered(&sidecar).await;
        }
    };
    let mut left = pin!(left);
    tokio::select! {
        said = attack => {
            // On a busy machine it may notice first, and has nothing left to do.
            assert!(said.contains("No open connections left"), "{said}");
            wait_for("the slow readers to be left", left).await;
        }
        () = &mut left => {}
    }
}

#[tokio::test]
async fn curl_gets_through_with_what_it_can_say_oddly() {
    if !CURL.is_installed().await {
        return;
    }
    let app = app();
    let sidecar = attacked(&app).start().await;
    let url = format!("http://{}/voice/x", sidecar.address);
    let cases: [(&[&str], &str); 7] = [
        (&["-d", "CallSid=CA1"], "200"),
        (&["-d", "a=b", "-H", "Transfer-Encoding: chunked"], "200"),
        (&["-d", "a=b", "-H", "Expect: 100-continue"], "200"),
        (&["--http1.0", "-d", "a=b"], "200"),
        (&["-d", "a=b", "-H", "Content-Length: 7"], "408"),
        (&["-H", "Host: a b"], "400"),
        (
            &["-H", "Transfer-Encoding: gzip, chunked", "-d", "a=b"],
            "501",
        ),
    ];
    for (odd, status) in cases {
        let common = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "10"];
        let output = CURL.run(&[&common, odd, &[&url]].concat()).await;
        let said = output.expect("it runs").stdout;
        assert_eq!(String::from_utf8_lossy(&said), status, "{odd:?}");
    }
}
