//! `understudy drill` against a running proxy.

use std::net::TcpListener;

use super::{before, drills, send_webhook, with_routes};
use support::{FakeUpstream, Sidecar, Webhook, understudy};

/// The exit status, and the output on its stream: stdout for 0, else stderr. The other stream is empty.
fn drill(sidecar: &Sidecar, arguments: &[&str]) -> (i32, String) {
    said(&[arguments, &["--admin", &sidecar.admin.to_string()]].concat())
}

fn said(arguments: &[&str]) -> (i32, String) {
    let output = understudy(&[&["drill"], arguments].concat());
    let code = output.status.code().expect("no signal");
    let (said, silent) = match code {
        0 => (output.stdout, output.stderr),
        _ => (output.stderr, output.stdout),
    };
    assert!(silent.is_empty(), "{}", String::from_utf8_lossy(&silent));
    (code, String::from_utf8_lossy(&said).trim_end().to_owned())
}

#[tokio::test]
async fn a_drill_is_started_listed_and_stopped() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = before(&app).await;
    assert_eq!(drill(&sidecar, &["list"]), (0, "no drill runs".into()));
    let start = ["start", "voice", "--for", "5m"];
    let got = drill(&sidecar, &start);
    assert_eq!(
        got,
        (
            0,
            "voice: every request fails with status_5xx for 5m".into()
        )
    );
    assert_eq!(send_webhook(&sidecar).await.reason(), Some("drill"));

    let other = ["--fault", "deadline", "--percent", "1"];
    let got = drill(&sidecar, &[&start[..], &other].concat());
    let words = "voice: 1 request in 100 fails with deadline for 5m, instead of the drill before";
    assert_eq!(got, (0, words.into()));
    let (code, list) = drill(&sidecar, &["list"]);
    assert_eq!(code, 0);
    assert!(list.starts_with("voice: deadline, 1 %, "), "{list}");
    assert!(
        list.ends_with(" left, 0 of 0 requests were made to fail"),
        "{list}"
    );
    let (code, list) = drill(&sidecar, &["list", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!((code, &list["drills"][0]["fault"]), (0, &"deadline".into()));

    let got = drill(&sidecar, &["stop", "voice"]);
    assert_eq!(
        got,
        (
            0,
            "voice: stopped; 0 of 0 requests were made to fail".into()
        )
    );
    assert_eq!(send_webhook(&sidecar).await.reason(), None);
}

#[tokio::test]
async fn a_dry_drill_says_whether_the_fallback_is_valid() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = before(&app).await;
    let got = drill(&sidecar, &["start", "auto", "--dry"]);
    let words = "auto: the fallback is valid Voice and Messaging TwiML";
    assert_eq!(got, (0, words.into()));
    assert!(drills(&sidecar).await.is_empty());
    let (code, words) = drill(&sidecar, &["start", "callback", "--dry"]);
    assert_eq!(code, 1);
    assert!(words.contains("no fallback document"), "{words}");
}

#[tokio::test]
async fn any_name_of_a_route_can_be_given() {
    let app = FakeUpstream::with_document("<Response/>");
    let name = "50% à l'étage / #2?";
    let route = format!("[[route]]\nname = \"{name}\"\npath = \"/v\"\nkind = \"voice\"\n");
    let sidecar = with_routes(&app, &route).await;
    let (code, words) = drill(&sidecar, &["start", name, "--for", "5m", "--fault", "root"]);
    assert_eq!(code, 0, "{words}");
    assert_eq!(
        sidecar.request(Webhook::voice("/v")).await.reason(),
        Some("drill")
    );
    assert_eq!(drill(&sidecar, &["stop", name]).0, 0);
}

#[tokio::test]
async fn what_the_proxy_refuses_exits_1() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = before(&app).await;
    for (arguments, words) in [
        (
            &["start", "vioce", "--for", "5m"][..],
            "there is no route \"vioce\"; the routes are \"voice\",",
        ),
        (
            &["start", "callback", "--for", "5m", "--fault", "root"],
            "deadline or status_5xx",
        ),
        (&["stop", "voice"], "no drill runs on the route \"voice\""),
    ] {
        let (code, said) = drill(&sidecar, arguments);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn wrong_usage_exits_2() {
    let start = ["start", "voice"];
    for (more, words) in [
        (&[][..], "--for <TIME>"),
        (&["--for", "0s"], "longer than 0"),
        (&["--for", "25h"], "24h at most"),
        (&["--for", "5"], "such as 5m"),
        (&["--for", "5m", "--percent", "0"], "from 1 to 100"),
        (&["--for", "5m", "--percent", "101"], "from 1 to 100"),
        (
            &["--for", "5m", "--fault", "slow"],
            "[possible values: deadline, status_5xx, malformed, root]",
        ),
        (&["--for", "5m", "--admin", "127.0.0.1"], "HOST:PORT"),
    ] {
        let (code, said) = said(&[&start[..], more].concat());
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(said(&["dance"]).0, 2);
    assert_eq!(said(&[]).0, 2);
}

#[tokio::test]
async fn a_proxy_that_can_not_be_reached_exits_2() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = port.local_addr().expect("an address").to_string();
    drop(port);
    let (code, words) = said(&["list", "--admin", &nobody]);
    assert_eq!(code, 2);
    assert!(
        words.contains(&nobody) && words.contains("--admin ADDR"),
        "{words}"
    );
}

/// The app runs on this test's runtime, whose only thread the command would block.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_not_an_admin_listener_is_an_error() {
    let app = FakeUpstream::with_document("<Response/>");
    let sidecar = before(&app).await;
    let public = sidecar.address.to_string();
    let (code, words) = said(&["list", "--admin", &public]);
    assert_eq!(code, 2);
    assert!(words.contains("is not the admin listener"), "{words}");
}

#[test]
fn help_shows_examples() {
    for command in [&[][..], &["start"], &["stop"], &["list"]] {
        let (code, help) = said(&[command, &["--help"]].concat());
        assert_eq!(code, 0);
        assert!(
            help.contains("Example") && help.contains("understudy drill "),
            "{help}"
        );
    }
}
