//! `understudy demo`, as its user sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use support::{TIMEOUT, bound, understudy};

#[test]
fn every_caller_is_served_and_the_table_says_how() {
    let output = understudy(&["demo"]);
    let table = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{table}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(
        !table.contains('\x1b'),
        "no colours where there is no terminal"
    );

    for (app, without, with, reason) in [
        (
            "answers a call well",
            "the app's TwiML",
            "the app's TwiML",
            "",
        ),
        (
            "answers a message well",
            "the app's reply",
            "the app's reply",
            "",
        ),
        (
            "answers 500 and a stack trace",
            "\"application error\" (11217)",
            "fallback TwiML",
            "status_5xx",
        ),
        (
            "answers a message with 503",
            "no reply (11217)",
            "fallback reply",
            "status_5xx",
        ),
        (
            "redirects to itself with 308",
            "\"application error\" (11216)",
            "fallback TwiML",
            "redirect",
        ),
        (
            "sends an error page with 200",
            "\"application error\" (12100)",
            "fallback TwiML",
            "malformed",
        ),
        (
            "writes <response>",
            "\"application error\" (12102)",
            "fallback TwiML",
            "root",
        ),
        (
            "leaves an element open",
            "\"application error\" (12100)",
            "fallback TwiML",
            "malformed",
        ),
        (
            "calls its TwiML JSON",
            "\"application error\" (12300)",
            "fallback TwiML",
            "content_type",
        ),
        (
            "sends an empty document",
            "\"application error\" (11770)",
            "fallback TwiML",
            "empty",
        ),
        (
            "sends a document of 100 KB",
            "\"application error\" (11750)",
            "fallback TwiML",
            "too_large",
        ),
        (
            "hangs up within a response",
            "\"application error\" (11206)",
            "fallback TwiML",
            "truncated",
        ),
        (
            "crashes before it answers",
            "no reply (11200)",
            "fallback reply",
            "reset",
        ),
        (
            "speaks another protocol",
            "\"application error\" (11206)",
            "fallback TwiML",
            "protocol",
        ),
        (
            "is silent",
            "15 s of silence, \"application error\" (11203)",
            "fallback TwiML",
            "deadline",
        ),
        (
            "stops within a reply",
            "no reply (11203)",
            "fallback reply",
            "deadline",
        ),
        (
            "sends one byte a second",
            "15 s of silence, \"application error\" (11203)",
            "fallback TwiML",
            "deadline",
        ),
        (
            "refuses connections",
            "\"application error\" (11202)",
            "fallback TwiML",
            "connect",
        ),
    ] {
        let line = table.lines().find(|line| line.starts_with(app));
        let line = line.unwrap_or_else(|| panic!("no line `{app}` in\n{table}"));
        let cells: Vec<_> = line[app.len()..].split("  ").map(str::trim).collect();
        let cells: Vec<_> = cells.into_iter().filter(|cell| !cell.is_empty()).collect();
        let expected: Vec<_> = [without, with, reason]
            .into_iter()
            .filter(|cell| !cell.is_empty())
            .collect();
        assert_eq!(cells[..cells.len() - 1], expected, "{line}");
        let millis = cells[cells.len() - 1].trim_start_matches('<');
        assert!(millis.parse::<u32>().is_ok(), "{line}");
    }
    assert!(
        table.contains("Of 19 callers, 2 had valid TwiML without understudy and 19 with it"),
        "{table}"
    );
    assert!(
        table.contains("Its metrics agree: 2 responses from the app, 17 from the fallback."),
        "{table}"
    );
}

#[test]
fn with_stay_traffic_goes_on_until_it_is_interrupted() {
    let child = Command::new(env!("CARGO_BIN_EXE_understudy"))
        .args(["demo", "--stay"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut demo = Demo(child.expect("the binary runs"));
    let _bound = bound(&demo.0);
    let (said, lines) = mpsc::channel();
    let out = BufReader::new(demo.0.stdout.take().expect("a pipe"));
    thread::spawn(move || {
        out.lines()
            .map_while(Result::ok)
            .try_for_each(|line| said.send(line))
    });

    let mut address = None;
    loop {
        let line = lines.recv_timeout(TIMEOUT).expect("it says where it is");
        if let Some(metrics) = line.trim().strip_prefix("metrics") {
            let host = metrics
                .trim()
                .trim_start_matches("http://")
                .trim_end_matches("/metrics");
            address = host.parse::<SocketAddr>().ok();
        }
        if line.trim().starts_with("curl") {
            break;
        }
    }
    let address = address.expect("it says where its metrics are");
    let first = requests(address);
    while requests(address) == first {
        thread::yield_now();
    }

    let tell = format!("kill -INT {}", demo.0.id());
    let sent = Command::new("sh").args(["-c", &tell]).status();
    assert!(sent.expect("a shell runs").success());
    assert_eq!(demo.0.wait().expect("a child").code(), Some(0));
}

/// Killed when the test ends, however it ends.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many requests the demo's proxy has counted.
fn requests(admin: SocketAddr) -> f64 {
    let mut stream = TcpStream::connect(admin).expect("the admin listener");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a patience");
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("it takes a request");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("it answers");
    let series = page
        .lines()
        .filter(|line| line.starts_with("understudy_requests_total{"));
    let values = series.filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}
