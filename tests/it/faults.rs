//! Whatever the app does wrong, the caller gets what the contract says, in time, counted once; and the next call on the same
//! connection gets its own answer.
//!
//! Each fault of the [table](table) is played over a fresh and over a reused connection to the app, to a route of each kind.

mod table;
mod unread;

use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::Semaphore;
use tokio::task::{JoinSet, LocalSet};
use understudy::fallback::{BUILT_IN_MESSAGING, BUILT_IN_VOICE};

use support::{Answer, App, Client, Request, Script, Sidecar, Webhook, soon};
use table::{Behaviour, Ending, Fault};

/// How many faults are played at once, each before a proxy of its own.
const AT_ONCE: usize = 12;

/// The counters that tell how a call ended.
const COUNTERS: [&str; 5] = [
    "understudy_requests_total",
    "understudy_fallback_activations_total",
    "understudy_observed_failures_total",
    "understudy_twiml_warnings_total",
    "understudy_retries_total",
];

/// A counter's name and labels, in one line.
type Counts = BTreeMap<String, f64>;

#[tokio::test]
async fn every_fault_has_its_answer_on_every_kind_of_route_and_connection() {
    let faults = table::all();
    let many = faults.len();
    let at_once = Rc::new(Semaphore::new(AT_ONCE));
    let local = LocalSet::new();
    let mut playing = JoinSet::new();
    for fault in faults {
        let at_once = Rc::clone(&at_once);
        let name = fault.name;
        let play = async move {
            let _permit = at_once.acquire().await;
            play_everywhere(fault).await;
        };
        let play = local.spawn_local(play);
        playing.spawn(async move { (name, play.await) });
    }
    let ended = local.run_until(playing.join_all()).await;
    let failed = ended.iter().filter(|(_, end)| end.is_err());
    let failed: Vec<_> = failed.map(|(name, _)| name).collect();
    assert!(
        failed.is_empty(),
        "{} of {many} faults: {failed:#?}",
        failed.len()
    );
}

/// What an app plays in each fault, by the fault's name.
pub(crate) fn scripts() -> Vec<(&'static str, Script)> {
    let played = |fault: Fault| match fault.app {
        Behaviour::Plays(script) => Some((fault.name, script)),
        Behaviour::Refuses | Behaviour::Overflows => None,
    };
    table::all().into_iter().filter_map(played).collect()
}

/// The kinds of routes, each by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Voice,
    Messaging,
    Callback,
    Pass,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Voice, Self::Messaging, Self::Callback, Self::Pass];

    fn label(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Messaging => "messaging",
            Self::Callback => "callback",
            Self::Pass => "pass",
        }
    }

    /// What Twilio sends to such a route.
    fn webhook(self, page: &str) -> Webhook {
        let target = format!("/{}/{page}", self.label());
        match self {
            Self::Voice | Self::Pass => Webhook::voice(&target),
            Self::Messaging => Webhook::sms(&target),
            Self::Callback => Webhook::status_callback(&target),
        }
    }

    fn fallback(self) -> &'static str {
        match self {
            Self::Messaging => BUILT_IN_MESSAGING,
            Self::Voice | Self::Callback | Self::Pass => BUILT_IN_VOICE,
        }
    }
}

/// One fault before one proxy, in every way.
async fn play_everywhere(fault: Fault) {
    let script = match &fault.app {
        Behaviour::Plays(script) => script.clone(),
        Behaviour::Refuses | Behaviour::Overflows => Script::new(),
    };
    let app = App::start(move |request| match request.path().ends_with("/healthy") {
        true => healthy(request),
        false => script.clone(),
    });
    // Where it is not what is tested, a machine that is busy with something else must not bring it about.
    let connect_timeout = match fault.app {
        Behaviour::Overflows => "500ms",
        Behaviour::Plays(_) | Behaviour::Refuses => "1s",
    };
    let sidecar = Sidecar::before(&app)
        .deadline(fault.deadline)
        .upstream(&format!("connect_timeout = \"{connect_timeout}\""))
        .start()
        .await;
    let mut case = Case {
        fault,
        app,
        sidecar,
        calls: 0,
        counts: Counts::new(),
    };
    for kind in Kind::ALL {
        for reused in [false, true] {
            let _said = Said(format!("{}: {kind:?}, reused: {reused}", case.fault.name));
            case.play(kind, reused).await;
        }
    }
    let all = case.sidecar.metric("understudy_requests_total", &[]).await;
    assert_eq!(all, case.calls as f64, "no call was counted twice");
}

/// Says where it is, if it is where the test fails.
struct Said(String);

impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("=== {}", self.0);
        }
    }
}

/// A page that names the target it is for.
fn healthy(request: &Request) -> Script {
    Script::twiml(own_page(request.target()))
}

fn own_page(target: &str) -> String {
    format!("<Response><Redirect>{target}</Redirect></Response>")
}

/// A fault, the app that plays it, the proxy before it.
struct Case {
    fault: Fault,
    app: App,
    sidecar: Sidecar,
    /// How many calls the proxy has had.
    calls: usize,
    /// The counters after the last of them.
    counts: Counts,
}

impl Case {
    async fn play(&mut self, kind: Kind, reused: bool) {
        self.app.recover().await;
        let own = self.own_answer(kind).await;
        let mut expected = Counts::new();
        let ending = self.fault.ending(kind);

        let mut client = self.sidecar.connect().await;
        if reused {
            self.call_healthy(&mut client, kind, &mut expected).await;
        }
        self.misbehave().await;
        self.call_fault(&mut client, kind, own.as_ref()).await;
        self.expect(ending, kind, &mut expected);
        self.check_connection(reused);

        if matches!(ending, Ending::BreaksOff | Ending::NeverEnds) {
            client = self.sidecar.connect().await;
            // That the client has left is to be noticed before the app leaves.
            let all = self.calls as f64;
            self.sidecar.counted(COUNTERS[0], &[], all).await;
        }
        self.app.recover().await;
        self.call_healthy(&mut client, kind, &mut expected).await;
        self.check_counts(expected).await;
    }

    /// What the app answers to who asks it directly, where that is what the caller should get.
    async fn own_answer(&self, kind: Kind) -> Option<Answer> {
        match self.fault.ending(kind) {
            Ending::Own { .. } => {
                let mut client = Client::connect(self.app.address()).await;
                Some(client.ask(kind.webhook("fault")).await)
            }
            Ending::Fallback(_) | Ending::Error(_) | Ending::BreaksOff | Ending::NeverEnds => None,
        }
    }

    async fn misbehave(&self) {
        match self.fault.app {
            Behaviour::Plays(_) => {}
            Behaviour::Refuses => self.app.refuse().await,
            Behaviour::Overflows => self.app.overflow().await,
        }
    }

    async fn call_fault(&mut self, client: &mut Client, kind: Kind, own: Option<&Answer>) {
        self.calls += 1;
        let ending = self.fault.ending(kind);
        client.send(kind.webhook("fault")).await;
        if ending == Ending::NeverEnds {
            let head = client.head().await;
            assert_eq!(head.status, 200);
            client.bytes(1).await;
            return;
        }
        let answer = client.answer().await;
        self.check_answer(&answer, ending, kind, own);
        self.check_time(&answer, ending);
    }

    fn check_answer(&self, answer: &Answer, ending: Ending, kind: Kind, own: Option<&Answer>) {
        match ending {
            Ending::Own { page, .. } => {
                let own = own.expect("it was asked directly");
                let page = page.map_or(own.body.as_slice(), str::as_bytes);
                assert_eq!(answer.status, own.status, "{answer:?}");
                assert_eq!(answer.reason(), None, "{answer:?}");
                assert!(answer.body == page, "{answer:?}");
                assert!(answer.whole && answer.keeps_alive, "{answer:?}");
                check_fields(answer, own);
            }
            Ending::Fallback(reason) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                assert_eq!(answer.reason(), Some(reason), "{answer:?}");
                assert_eq!(answer.text(), kind.fallback());
                let content_type = answer.field("content-type");
                assert_eq!(content_type, Some("text/xml; charset=utf-8"));
                assert!(answer.field("content-length").is_some(), "{answer:?}");
                assert!(answer.whole && answer.keeps_alive, "{answer:?}");
            }
            Ending::Error(status) => {
                assert_eq!(answer.status, status, "{answer:?}");
                assert_eq!(answer.reason(), None, "{answer:?}");
                assert!(!answer.text().contains('<'), "no TwiML: {answer:?}");
                assert!(answer.whole && answer.keeps_alive, "{answer:?}");
            }
            Ending::BreaksOff => {
                assert_eq!(answer.status, 200, "{answer:?}");
                assert!(!answer.whole, "{answer:?}");
            }
            Ending::NeverEnds => unreachable!("there is no whole answer"),
        }
    }

    /// What the deadline ends isn't ended before it.
    fn check_time(&self, answer: &Answer, ending: Ending) {
        if ending.is_by_deadline() {
            assert!(answer.took >= self.fault.deadline, "{answer:?}");
        }
    }

    /// The call met the app on the kind of connection that it was to meet it on.
    fn check_connection(&self, reused: bool) {
        if matches!(self.fault.app, Behaviour::Plays(_)) {
            let requests = self.app.requests();
            let last = requests.last().expect("the app was asked");
            assert_eq!(last.number, if reused { 2 } else { 1 }, "{last:?}");
        }
    }

    async fn call_healthy(&mut self, client: &mut Client, kind: Kind, expected: &mut Counts) {
        self.calls += 1;
        let page = format!("healthy?n={}", self.calls);
        let answer = client.ask(kind.webhook(&page)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let target = format!("/{}/{page}", kind.label());
        assert_eq!(answer.text(), own_page(&target), "it is its own answer");
        count(expected, COUNTERS[0], kind, ("outcome", "upstream"));
    }

    /// What is to be counted for the fault.
    fn expect(&self, ending: Ending, kind: Kind, expected: &mut Counts) {
        let outcome = match ending {
            Ending::Own { .. } => "upstream",
            Ending::Fallback(_) => "fallback",
            Ending::Error(_) | Ending::BreaksOff => "error",
            Ending::NeverEnds => "abandoned",
        };
        count(expected, COUNTERS[0], kind, ("outcome", outcome));
        if let Ending::Fallback(reason) = ending {
            count(expected, COUNTERS[1], kind, ("reason", reason));
        }
        if let Ending::Own {
            warning: Some(code),
            ..
        } = ending
        {
            count(expected, COUNTERS[3], kind, ("code", code));
        }
        if !matches!(self.fault.app, Behaviour::Plays(_)) {
            count(expected, COUNTERS[4], kind, ("result", "failure"));
        }
    }

    async fn check_counts(&mut self, expected: Counts) {
        let all = self.calls as f64;
        let counted = async {
            loop {
                let (counts, many) = self.counts().await;
                assert!(many <= all, "{many} calls are counted, not {all}");
                if many == all {
                    return counts;
                }
            }
        };
        let counts = soon("every call to be counted", counted).await;
        let mut grown = counts.clone();
        for (series, value) in std::mem::replace(&mut self.counts, counts) {
            *grown.entry(series).or_default() -= value;
        }
        grown.retain(|_, grown| *grown != 0.0);
        assert_eq!(grown, expected, "each call is counted once");
    }

    /// Every counter, and how many calls were counted.
    async fn counts(&self) -> (Counts, f64) {
        let metrics = self.sidecar.metrics().await;
        let counters = metrics
            .series()
            .iter()
            .filter(|series| COUNTERS.contains(&series.name.as_str()));
        let counts = counters
            .map(|series| (format!("{} {:?}", series.name, series.labels), series.value))
            .collect();
        (counts, metrics.sum(COUNTERS[0], &[]))
    }
}

fn count(counts: &mut Counts, name: &str, kind: Kind, label: (&str, &str)) {
    let labels = BTreeMap::from([("route", kind.label()), label]);
    *counts.entry(format!("{name} {labels:?}")).or_default() += 1.0;
}

/// Fields about the message cross unchanged, and none is added but those that a server adds.
fn check_fields(answer: &Answer, own: &Answer) {
    const OF_ONE_CONNECTION: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "date"];
    let about_message = |answer: &Answer| {
        let mut fields: Vec<_> = answer
            .fields
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .filter(|(name, _)| !OF_ONE_CONNECTION.contains(&name.as_str()))
            .filter(|(name, _)| name != "content-length" && name != "content-encoding")
            .collect();
        fields.sort();
        fields
    };
    assert_eq!(about_message(answer), about_message(own));
}
