//! More than one: three instances behind a real HAProxy, by the file that we give to people. Together they response and are
//! counted as one; whichever stops or dies, what the others can take is never lost, and the app takes no call twice.

mod haproxy;
mod load;

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::prometheus::Prometheus;
pub(crate) use haproxy::own_address;
use haproxy::{Haproxy, NAMES, address, certificate, installed};
use load::{Call, Load, webhook};
use support::{Client, FakeUpstream, Script, Sidecar, Signal, Webhook, millis, wait_for};

const DOCUMENT: &str = "<Response><Say>the app's own</Say></Response>";

/// As in the file; the deadline is the longest, so that a call that is held is held through it all.
const SHUTDOWN_DELAY: &str = "shutdown_delay = \"5s\"";
const DEADLINE: Duration = Duration::from_secs(14);

/// The number of the first call that the app holds.
const HELD: usize = 1 << 40;

/// HAProxy's own port, the instances', and their admin listeners'.
type Ports = [u16; 3];

#[test]
fn haproxy_takes_the_file_as_it_is() {
    if !installed() {
        return;
    }
    let output = Command::new(haproxy::program())
        .args(["-c", "-f", "config/haproxy/haproxy.cfg"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[tokio::test]
async fn three_instances_response_and_are_counted_as_one() {
    const PORTS: Ports = [8000, 8080, 9464];
    if !installed() || !crate::prometheus::installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let instances = three(&app, PORTS).await;
    let haproxy = Haproxy::start(PORTS, &certificate().0).await;
    let admins: Vec<_> = instances.iter().map(|instance| instance.admin).collect();
    let prometheus = Prometheus::start(&admins, &crate::prometheus::rules().text).await;

    let load = Load::begin(haproxy.address, 6);
    load.answered(300).await;
    let calls = load.end().await;

    assert!(calls.iter().all(Call::is_well), "{calls:?}");
    for instance in &instances {
        let own = instance.metric("understudy_requests_total", &[]).await;
        assert!(own > 0.0 && own < 300.0, "{own} of {}", calls.len());
    }
    let sum = "sum(understudy_requests_total{outcome=\"upstream\"})";
    wait_for("the sum of all calls", async {
        while prometheus.query(sum).await != [calls.len() as f64] {
            tokio::time::sleep(millis(100)).await;
        }
    })
    .await;
    for target in crate::prometheus::targets() {
        let names = prometheus.legend(&target).await;
        let once: HashSet<_> = names.iter().collect();
        assert_eq!(once.len(), names.len(), "{names:?} of {target:?}");
    }
}

#[tokio::test]
async fn the_app_learns_from_haproxy_who_asked_and_how() {
    const PORTS: Ports = [8100, 8180, 9564];
    if !installed() {
        return;
    }
    let app = FakeUpstream::with_document(DOCUMENT);
    let _instance = instance(&app, 1, PORTS).await;
    let (both, cert) = certificate();
    let haproxy = Haproxy::start(PORTS, &both).await;
    let forged = Webhook::voice("/voice/x")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "attacker.example");
    let plain = Client::connect(haproxy.address).await.request(forged).await;
    assert_eq!((plain.status, plain.reason()), (200, None));

    std::fs::write(haproxy.folder.path().join("cert.pem"), cert).expect("a file");
    let port = PORTS[0] + 1;
    let within_tls = tokio::process::Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--cacert",
            "cert.pem",
            "--data",
            "CallSid=CA1",
        ])
        .args([
            "--resolve",
            &format!("hooks.example.com:{port}:{}", haproxy.address.ip()),
        ])
        .arg(format!("https://hooks.example.com:{port}/voice/x"))
        .current_dir(haproxy.folder.path())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("curl runs");
    assert_eq!(
        String::from_utf8_lossy(&within_tls.stdout),
        DOCUMENT,
        "{within_tls:?}"
    );

    let host = format!("hooks.example.com:{port}");
    let requests = app.requests();
    for (request, proto, host) in [
        (&requests[0], "http", "hooks.example.com"),
        (&requests[1], "https", host.as_str()),
    ] {
        let said = |name: &str| request.headers(name).collect::<Vec<_>>().join(", ");
        let of = said("x-forwarded-for");
        assert!(
            of.starts_with("127.") && !of.contains("203.0.113.9"),
            "{request:?}"
        );
        assert_eq!(
            (
                said("x-forwarded-proto").as_str(),
                said("x-forwarded-host").as_str()
            ),
            (proto, host)
        );
        assert_eq!(said("host"), host);
    }
}

/// HAProxy forwards TCP here, with or without TLS in it, and names its clients in PROXY headers of either version.
#[tokio::test]
async fn the_app_learns_from_proxy_headers_who_asked() {
    const PORTS: [u16; 2] = [8400, 8480];
    if !installed() {
        return;
    }
    let (both, cert) = certificate();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("cert.pem"), cert).expect("a file");
    for (scheme, tls, check) in [
        ("http", "", ""),
        (
            "https",
            "tls = { cert = \"both.pem\", key = \"key.pem\" }",
            "check-ssl verify none",
        ),
    ] {
        let app = FakeUpstream::with_document(DOCUMENT);
        let key = &both[both.find("-----BEGIN PRIVATE").expect("a key")..];
        let instance = Sidecar::before(&app)
            .server(&format!("listen = \"{}\"", address(1, PORTS[1])))
            .server("proxy_protocol = true")
            .server("trusted_proxies = [\"127.0.0.1\"]")
            .server(tls)
            .file("both.pem", both.replace(key, ""))
            .file("key.pem", key)
            .start()
            .await;
        for option in ["send-proxy", "send-proxy-v2"] {
            let before = app.requests().len();
            let haproxy = Haproxy::forwarding_tcp(PORTS, &format!("{option} {check}")).await;
            let requests_to = |path: &str| {
                let requests = app.requests().into_iter().skip(before);
                requests
                    .filter(|request| request.path() == path)
                    .map(|request| {
                        ["x-forwarded-for", "x-forwarded-proto"]
                            .map(|name| request.headers(name).collect::<Vec<_>>().join(", "))
                    })
                    .collect::<Vec<_>>()
            };
            let resolve = format!("hooks.example.com:{}:{}", PORTS[0], haproxy.address.ip());
            let client = own_address(2).to_string();
            let output = tokio::process::Command::new("curl")
                .args(["--silent", "--show-error", "--fail", "--cacert", "cert.pem"])
                .args(["--interface", &client, "--resolve", &resolve])
                .args(["--header", "X-Forwarded-For: 203.0.113.9"])
                .args(["--data", "CallSid=CA1"])
                .arg(format!("{scheme}://hooks.example.com:{}/voice/x", PORTS[0]))
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .output()
                .await
                .expect("curl runs");
            let got = String::from_utf8_lossy(&output.stdout);
            assert_eq!(got, DOCUMENT, "{option} {scheme}: {output:?}");
            assert_eq!(requests_to("/voice/x"), [[client.as_str(), scheme]]);

            wait_for("a health check", async {
                while requests_to("/pass/health").is_empty() {
                    tokio::time::sleep(millis(20)).await;
                }
            })
            .await;
            assert_eq!(requests_to("/pass/health")[0], ["127.0.0.1", scheme]);
            haproxy.sees("one", "UP").await;
        }
        let rejected = [("outcome", "rejected")];
        let rejected = instance.metric("understudy_requests_total", &rejected);
        assert_eq!(rejected.await, 0.0);
    }
}

/// A rolling restart, under load: nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_stops_loses_no_call() {
    const PORTS: Ports = [8200, 8280, 9664];
    if !installed() {
        return;
    }
    let app = FakeUpstream::start(|_| Script::new().pause(millis(10)).send(document()));
    let mut instances = three(&app, PORTS).await;
    let haproxy = Haproxy::start(PORTS, &certificate().0).await;
    let load = Load::begin(haproxy.address, 8);
    load.answered(100).await;
    for ((stopped, name), place) in instances.iter_mut().zip(NAMES).zip(1..) {
        stopped.signal(Signal::Terminate);
        haproxy.sees(name, "DOWN").await;
        assert_eq!(stopped.wait().await.code(), Some(0));
        let line = stopped.wait_for_log(|line| line["message"] == "stopped");
        assert_eq!(line.await["cut_off"], 0);
        *stopped = instance(&app, place, PORTS).await;
        haproxy.sees(name, "UP").await;
        takes_calls(stopped).await;
    }
    let calls = load.end().await;
    assert!(calls.iter().all(Call::is_well), "{calls:?}");
    assert_taken_once(&app);
}

/// A machine that is gone: the calls that it held get a 502, for which Twilio has the fallback URL, and no other does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_loses_only_the_calls_that_it_held() {
    const PORTS: Ports = [8300, 8380, 9764];
    if !installed() {
        return;
    }
    let app = FakeUpstream::start(|request| match request.path() {
        "/voice/held" => Script::new().stall(),
        _ => Script::new().pause(millis(10)).send(document()),
    });
    let mut instances = three(&app, PORTS).await;
    let haproxy = Haproxy::start(PORTS, &certificate().0).await;
    let load = Load::begin(haproxy.address, 8);
    load.answered(100).await;
    let mut held = Vec::new();
    while holding(&instances).await[1] < 2.0 {
        let mut client = Client::connect(haproxy.address).await;
        client.send(webhook("/voice/held", HELD + held.len())).await;
        held.push(client);
        assert!(held.len() < 1000, "the second instance gets none");
        let all = held.len() as f64;
        wait_for("the call to be held", async {
            while holding(&instances).await.iter().sum::<f64>() < all {}
        })
        .await;
    }

    let on_two = holding(&instances).await[1];
    drop(instances.remove(1)); // kill -9
    let died = Instant::now();
    haproxy.sees("two", "DOWN").await;
    load.answered(100).await;
    instances.push(instance(&app, 2, PORTS).await);
    haproxy.sees("two", "UP").await;
    takes_calls(&instances[2]).await;
    let calls = load.end().await;

    app.hang_up().await;
    let mut lost_while_held = 0_usize;
    for mut client in held {
        let response = client.response().await;
        match response.status {
            502 => lost_while_held += 1,
            _ => assert!(
                response.status == 200 && response.reason().is_some(),
                "{response:?}"
            ),
        }
    }
    assert_eq!(lost_while_held as f64, on_two);
    let (well, lost): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.is_well());
    assert!(lost.iter().all(|call| call.began < died), "{lost:?}");
    // A 502; or, on a connection that has had a response before, its end, for the client to call again.
    assert!(
        lost.iter()
            .all(|call| matches!(call.status, Some(502) | None))
    );
    // HAProxy counts a retry more than once and some ends not at all; but it counts none on those that lived.
    let [one, two, three] = NAMES.map(|name| haproxy.failures_of(name));
    assert!(
        two >= lost_while_held,
        "{two} of {lost_while_held} and {lost:?}"
    );
    assert_eq!((one, three), (0, 0));
    assert!(well.len() > 200, "{} of {}", well.len(), calls.len());
    for instance in &instances {
        let abandoned = [("outcome", "abandoned")];
        let abandoned = instance.metric("understudy_requests_total", &abandoned);
        assert_eq!(abandoned.await, 0.0, "none was lost on those that lived");
    }
    assert_taken_once(&app);
}

async fn three(app: &FakeUpstream, ports: Ports) -> Vec<Sidecar> {
    let mut instances = Vec::new();
    for place in 1..=3 {
        instances.push(instance(app, place, ports).await);
    }
    instances
}

/// One of three, at the address that HAProxy knows.
async fn instance(app: &FakeUpstream, place: u32, [_, calls, admin]: Ports) -> Sidecar {
    let route = |name: &str, path: &str| {
        format!("[[route]]\nname = \"{name}\"\npath = \"{path}\"\nkind = \"voice\"\n")
    };
    Sidecar::before(app)
        .server(&format!("listen = \"{}\"", address(place, calls)))
        .server(&format!("admin = \"{}\"", address(place, admin)))
        .server(SHUTDOWN_DELAY)
        .deadline(DEADLINE)
        .routes(&[route("held", "/voice/held"), route("voice", "/voice/*")].concat())
        .start()
        .await
}

/// How many calls each holds.
async fn holding(instances: &[Sidecar]) -> Vec<f64> {
    let mut holding = Vec::new();
    for instance in instances {
        let held = instance.metric("understudy_in_flight_requests", &[("route", "held")]);
        holding.push(held.await);
    }
    holding
}

/// Waits until HAProxy sends it calls.
async fn takes_calls(instance: &Sidecar) {
    wait_for("calls", async {
        while instance.metric("understudy_requests_total", &[]).await == 0.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn document() -> Bytes {
    support::response("200 OK", &[("Content-Type", "text/xml")], DOCUMENT)
}

#[track_caller]
fn assert_taken_once(app: &FakeUpstream) {
    let mut taken = HashMap::<_, usize>::new();
    for request in app.requests() {
        let form = form_urlencoded::parse(&request.body).into_owned();
        let sid = form.into_iter().find(|(name, _)| name == "CallSid");
        *taken.entry(sid.expect("every call has one").1).or_default() += 1;
    }
    let twice: Vec<_> = taken.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
