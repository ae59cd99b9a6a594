//! One fault on one kind of route: healthy requests before and after it, and what the proxy counts of all.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::fault::{Behaviour, Expected, Fault, Kind, Transport};
use support::{Client, FakeUpstream, Request, Response, Script, Sidecar, Webhook, wait_for};

const REQUESTS: &str = "understudy_requests_total";
const FALLBACKS: &str = "understudy_fallback_activations_total";
const WARNINGS: &str = "understudy_twiml_warnings_total";
const RETRIES: &str = "understudy_retries_total";

/// The counters that tell how a request ended.
const COUNTERS: [&str; 5] = [
    REQUESTS,
    FALLBACKS,
    "understudy_observed_failures_total",
    WARNINGS,
    RETRIES,
];

/// Values of counters, each by its name and labels in one line.
type Counts = BTreeMap<String, f64>;

/// A fault, the upstream that has it, the proxy in front of it.
pub(super) struct Case {
    fault: Rc<Fault>,
    kind: Kind,
    transport: Transport,
    upstream: FakeUpstream,
    proxy: Sidecar,
    /// How many requests the proxy has had.
    requests: usize,
    /// The counters after the last of them.
    counts: Counts,
}

/// Prints where the test is if it fails there.
struct Trace(String);

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("=== {}", self.0);
        }
    }
}

impl Case {
    pub(super) async fn start(fault: Rc<Fault>, kind: Kind, transport: Transport) -> Self {
        let script = fault.script().cloned().unwrap_or_default();
        let choose = move |request: &Request| match request.path().ends_with("/healthy") {
            true => healthy(request),
            false => script.clone(),
        };
        let upstream = match transport {
            Transport::Tcp => FakeUpstream::start(choose),
            Transport::UnixSocket => FakeUpstream::start_on_unix_socket(choose),
        };
        // Where it is not what is tested, a busy machine must not bring it about.
        let connect_timeout = match fault.behaviour {
            Behaviour::Overflows => "500ms",
            Behaviour::Script(_) | Behaviour::Refuses => "1s",
        };
        let proxy = Sidecar::before(&upstream)
            .deadline(fault.deadline)
            .upstream(&format!("connect_timeout = \"{connect_timeout}\""))
            .start()
            .await;
        Self {
            fault,
            kind,
            transport,
            upstream,
            proxy,
            requests: 0,
            counts: Counts::new(),
        }
    }

    /// Runs the fault over a fresh and over a reused connection to the upstream.
    pub(super) async fn run(mut self) {
        for reused in [false, true] {
            let _trace = Trace(format!(
                "{:?}, {:?}, reused: {reused}",
                self.kind, self.transport
            ));
            self.run_over(reused).await;
        }
        let all = self.proxy.metric(REQUESTS, &[]).await;
        assert_eq!(all, self.requests as f64, "no request was counted twice");
    }

    async fn run_over(&mut self, reused: bool) {
        self.upstream.recover().await;
        let own = self.own_response().await;
        let mut expected = Counts::new();

        let mut client = self.proxy.connect().await;
        if reused {
            self.request_healthy(&mut client, &mut expected).await;
        }
        self.misbehave().await;
        self.request_fault(&mut client, own.as_ref()).await;
        self.count_fault(&mut expected);
        self.check_connection(reused);

        if matches!(self.expected(), Expected::Truncated | Expected::Endless) {
            client = self.proxy.connect().await;
            // The proxy is to notice that the client has left before the upstream leaves.
            let all = self.requests as f64;
            self.proxy.wait_for_metric(REQUESTS, &[], all).await;
        }
        self.upstream.recover().await;
        self.request_healthy(&mut client, &mut expected).await;
        self.check_counts(expected).await;
    }

    fn expected(&self) -> Expected {
        self.fault.expected(self.kind)
    }

    fn webhook(&self, path: &str) -> Webhook {
        let target = format!("/{}/{path}", self.kind.label());
        match self.kind {
            Kind::Voice | Kind::Pass => Webhook::voice(&target),
            Kind::Messaging => Webhook::sms(&target),
            Kind::Callback => Webhook::status_callback(&target),
        }
    }

    /// What the upstream answers without the proxy, where that is what the client should get.
    async fn own_response(&self) -> Option<Response> {
        match self.expected() {
            Expected::Upstream { .. } => {
                let mut client = self.upstream.connect().await;
                Some(client.request(self.webhook("fault")).await)
            }
            Expected::Fallback(_)
            | Expected::Error(_)
            | Expected::Truncated
            | Expected::Endless => None,
        }
    }

    async fn misbehave(&self) {
        match self.fault.behaviour {
            Behaviour::Script(_) => {}
            Behaviour::Refuses => self.upstream.refuse().await,
            Behaviour::Overflows => self.upstream.overflow().await,
        }
    }

    async fn request_fault(&mut self, client: &mut Client, own: Option<&Response>) {
        self.requests += 1;
        let expected = self.expected();
        client.send(self.webhook("fault")).await;
        if expected == Expected::Endless {
            let head = client.head().await;
            assert_eq!(head.status, 200);
            client.bytes(1).await;
            return;
        }
        let response = client.response().await;
        self.check_response(&response, own);
        self.check_time(&response);
    }

    fn check_response(&self, response: &Response, own: Option<&Response>) {
        match self.expected() {
            Expected::Upstream { document, .. } => {
                let own = own.expect("it was asked directly");
                let document = document.map_or(own.body.as_slice(), str::as_bytes);
                assert_eq!(response.status, own.status, "{response:?}");
                assert_eq!(response.reason(), None, "{response:?}");
                assert!(response.body == document, "{response:?}");
                assert!(response.whole && response.keeps_alive, "{response:?}");
                check_fields(response, own);
            }
            Expected::Fallback(reason) => {
                assert_eq!(response.status, 200, "{response:?}");
                assert_eq!(response.reason(), Some(reason), "{response:?}");
                assert_eq!(response.text(), self.kind.fallback());
                let content_type = response.header("content-type");
                assert_eq!(content_type, Some("text/xml; charset=utf-8"));
                assert!(response.header("content-length").is_some(), "{response:?}");
                assert!(response.whole && response.keeps_alive, "{response:?}");
            }
            Expected::Error(status) => {
                assert_eq!(response.status, status, "{response:?}");
                assert_eq!(response.reason(), None, "{response:?}");
                assert!(!response.text().contains('<'), "no TwiML: {response:?}");
                assert!(response.whole && response.keeps_alive, "{response:?}");
            }
            Expected::Truncated => {
                assert_eq!(response.status, 200, "{response:?}");
                assert!(!response.whole, "{response:?}");
            }
            Expected::Endless => unreachable!("there is no whole answer"),
        }
    }

    /// What the deadline ends isn't ended before it.
    fn check_time(&self, response: &Response) {
        if self.expected().is_by_deadline() {
            assert!(response.took >= self.fault.deadline, "{response:?}");
        }
    }

    /// The request came over the kind of connection to the upstream that it was to come over.
    fn check_connection(&self, reused: bool) {
        if matches!(self.fault.behaviour, Behaviour::Script(_)) {
            let requests = self.upstream.requests();
            let last = requests.last().expect("the app was asked");
            assert_eq!(last.number, if reused { 2 } else { 1 }, "{last:?}");
        }
    }

    async fn request_healthy(&mut self, client: &mut Client, expected: &mut Counts) {
        self.requests += 1;
        let path = format!("healthy?n={}", self.requests);
        let response = client.request(self.webhook(&path)).await;
        assert_eq!(response.status, 200, "{response:?}");
        let target = format!("/{}/{path}", self.kind.label());
        assert_eq!(
            response.text(),
            document_for(&target),
            "it is its own response"
        );
        self.count(expected, REQUESTS, ("outcome", "upstream"));
    }

    /// What is to be counted for the fault.
    fn count_fault(&self, counts: &mut Counts) {
        let expected = self.expected();
        let outcome = match expected {
            Expected::Upstream { .. } => "upstream",
            Expected::Fallback(_) => "fallback",
            Expected::Error(_) | Expected::Truncated => "error",
            Expected::Endless => "abandoned",
        };
        self.count(counts, REQUESTS, ("outcome", outcome));
        if let Expected::Fallback(reason) = expected {
            self.count(counts, FALLBACKS, ("reason", reason));
        }
        if let Expected::Upstream {
            warning: Some(code),
            ..
        } = expected
        {
            self.count(counts, WARNINGS, ("code", code));
        }
        if !matches!(self.fault.behaviour, Behaviour::Script(_)) {
            self.count(counts, RETRIES, ("result", "failure"));
        }
    }

    async fn check_counts(&mut self, expected: Counts) {
        let all = self.requests as f64;
        let counted = async {
            loop {
                let (counts, count) = self.counts().await;
                assert!(count <= all, "{count} requests are counted, not {all}");
                if count == all {
                    return counts;
                }
            }
        };
        let counts = wait_for("every request to be counted", counted).await;
        let mut grown = counts.clone();
        for (series, value) in std::mem::replace(&mut self.counts, counts) {
            *grown.entry(series).or_default() -= value;
        }
        grown.retain(|_, grown| *grown != 0.0);
        assert_eq!(grown, expected, "each request is counted once");
    }

    /// Every counter, and how many requests were counted.
    async fn counts(&self) -> (Counts, f64) {
        let metrics = self.proxy.metrics().await;
        let counters = metrics
            .series()
            .iter()
            .filter(|series| COUNTERS.contains(&series.name.as_str()));
        let counts = counters
            .map(|series| (format!("{} {:?}", series.name, series.labels), series.value))
            .collect();
        (counts, metrics.sum(REQUESTS, &[]))
    }
    fn count(&self, counts: &mut Counts, name: &str, label: (&str, &str)) {
        let labels = BTreeMap::from([("route", self.kind.label()), label]);
        *counts.entry(format!("{name} {labels:?}")).or_default() += 1.0;
    }
}

/// A document that names the target it is for.
fn healthy(request: &Request) -> Script {
    Script::twiml(document_for(request.target()))
}

fn document_for(target: &str) -> String {
    format!("<Response><Redirect>{target}</Redirect></Response>")
}

/// Fields about the message cross unchanged, and none is added but those that a server adds.
fn check_fields(response: &Response, own: &Response) {
    const OF_ONE_CONNECTION: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "date"];
    let about_message = |response: &Response| {
        let mut fields: Vec<_> = response
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .filter(|(name, _)| !OF_ONE_CONNECTION.contains(&name.as_str()))
            .filter(|(name, _)| name != "content-length" && name != "content-encoding")
            .collect();
        fields.sort();
        fields
    };
    assert_eq!(about_message(response), about_message(own));
}
