//! What happens to request N: which route it is for, how its client sends it, what the app does with it. All of that is a pure
//! function of the seed and the number, so that client and app agree without a word, and a request can be replayed alone.

use std::time::Duration;

use crate::faults::{self, Fault};

/// So many requests with consecutive numbers share a client, and where they can, a connection.
pub(crate) const PER_SESSION: u64 = 8;

/// The deadline of every route.
pub(crate) const DEADLINE: Duration = Duration::from_millis(500);

/// What Twilio expects in response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Voice,
    Messaging,
    Callback,
    Pass,
}

impl Kind {
    pub(crate) fn is_twiml(self) -> bool {
        matches!(self, Self::Voice | Self::Messaging)
    }
}

/// Which of the apps a route is before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum App {
    /// In this process, over TCP.
    Tcp,
    /// In this process, on a Unix socket, which goes and comes back.
    Unix,
    /// The same as `Tcp`, behind TLS.
    Secure,
    /// A process of its own, which is killed, stopped and started.
    Child,
    /// Refuses every connection.
    Refused,
    /// Neither accepts nor refuses connections.
    Full,
}

/// What is special about a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Nothing,
    /// The kind is read from each request.
    Auto,
    /// Two failures in a row open its breaker.
    Breaker,
    /// Few requests at once.
    Narrow,
    /// Signatures are enforced.
    Signed,
    /// Responses are validated, and go back whatever is found.
    Observed,
    /// A fallback URL is asked first.
    FallbackUrl,
    /// Drills run here.
    Drilled,
    /// It is in no configuration: requests for it match no route.
    Unmatched,
}

/// One route of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) app: App,
    pub(crate) special: Special,
    /// How many of a hundred requests it gets, about.
    weight: u64,
}

const fn route(name: &'static str, kind: Kind, app: App, special: Special, weight: u64) -> Route {
    Route {
        name,
        kind,
        app,
        special,
        weight,
    }
}

/// Every route, and what stands for no route.
pub(crate) static ROUTES: &[Route] = &[
    route("voice", Kind::Voice, App::Tcp, Special::Nothing, 16),
    route("messaging", Kind::Messaging, App::Tcp, Special::Nothing, 12),
    route("callback", Kind::Callback, App::Tcp, Special::Nothing, 8),
    route("pass", Kind::Pass, App::Tcp, Special::Nothing, 4),
    route("auto", Kind::Voice, App::Tcp, Special::Auto, 6),
    route("unix-voice", Kind::Voice, App::Unix, Special::Nothing, 6),
    route(
        "unix-messaging",
        Kind::Messaging,
        App::Unix,
        Special::Nothing,
        4,
    ),
    route("unix-pass", Kind::Pass, App::Unix, Special::Nothing, 2),
    route("child-voice", Kind::Voice, App::Child, Special::Nothing, 6),
    route(
        "child-messaging",
        Kind::Messaging,
        App::Child,
        Special::Nothing,
        4,
    ),
    route(
        "child-callback",
        Kind::Callback,
        App::Child,
        Special::Nothing,
        2,
    ),
    route(
        "refused-voice",
        Kind::Voice,
        App::Refused,
        Special::Nothing,
        2,
    ),
    route(
        "refused-callback",
        Kind::Callback,
        App::Refused,
        Special::Nothing,
        1,
    ),
    route("full-voice", Kind::Voice, App::Full, Special::Nothing, 1),
    route(
        "secure-voice",
        Kind::Voice,
        App::Secure,
        Special::Nothing,
        3,
    ),
    route("fragile-voice", Kind::Voice, App::Tcp, Special::Breaker, 3),
    route(
        "narrow-messaging",
        Kind::Messaging,
        App::Tcp,
        Special::Narrow,
        3,
    ),
    route("signed-voice", Kind::Voice, App::Tcp, Special::Signed, 4),
    route(
        "observed-voice",
        Kind::Voice,
        App::Tcp,
        Special::Observed,
        3,
    ),
    route("url-voice", Kind::Voice, App::Tcp, Special::FallbackUrl, 3),
    route("drilled-voice", Kind::Voice, App::Tcp, Special::Drilled, 3),
    route(
        "drilled-messaging",
        Kind::Messaging,
        App::Tcp,
        Special::Drilled,
        2,
    ),
    route("unmatched", Kind::Pass, App::Tcp, Special::Unmatched, 2),
];

/// Which instance a session is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Door {
    /// Plain HTTP, behind a load balancer as it were.
    Plain,
    /// TLS, which understudy itself ends.
    Tls,
}

/// How the requests of a session share connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One after another on a connection that is kept.
    KeepAlive,
    /// A connection each, which the request asks to be closed.
    Close,
    /// All sent at once on one connection.
    Pipelined,
    /// All at once as streams of an HTTP/2 connection.
    Http2,
    /// A connection each, which becomes a WebSocket.
    Tunnel,
}

/// A client, and what its requests have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) door: Door,
    pub(crate) style: Style,
}

/// What the app does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppDoes {
    /// It responds with a document of which the number is a part.
    Well,
    /// The same after a while.
    Slowly(Duration),
    /// The same at the deadline, or so many microseconds after it.
    AtDeadline { microseconds: i64 },
    /// A fault, by its place in the table.
    Fault(usize),
    /// It switches protocols and sends back whatever comes.
    Echo,
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It ends its side (FIN) and reads what comes.
    Fin,
    /// It closes the connection.
    Close,
    /// It breaks the connection (RST).
    Reset,
}

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientDoes {
    /// It sends the request at once and reads the response.
    Well,
    /// It sends the request in so many parts with a pause before each but the first.
    Slowly { parts: usize, pause: Duration },
    /// It stops within the body for longer than the deadline.
    TooSlowly,
    /// It leaves when it has sent so many thousandths of the request, after a while.
    LeaveInRequest {
        thousandths: u64,
        pause: Duration,
        how: Leave,
    },
    /// It leaves so long after the whole request, if no response has come.
    LeaveAfterRequest { pause: Duration, how: Leave },
    /// It leaves at the response's first bytes.
    LeaveInResponse { how: Leave },
    /// It sends something that isn't HTTP.
    Garbage,
    /// It leaves out `Host`.
    WithoutHost,
}

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signature {
    Good,
    Forged,
    Missing,
}

/// Everything about one request.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) session: Session,
    pub(crate) route: &'static Route,
    pub(crate) kind: Kind,
    pub(crate) app: AppDoes,
    pub(crate) client: ClientDoes,
    pub(crate) signature: Signature,
    /// The parameters are in the query.
    pub(crate) is_get: bool,
}

/// Makes plans.
pub(crate) struct Planner {
    pub(crate) seed: u64,
    pub(crate) faults: Vec<Fault>,
}

impl Planner {
    pub(crate) fn new(seed: u64) -> Self {
        let faults = faults::all();
        Self { seed, faults }
    }

    pub(crate) fn session(&self, number: u64) -> Session {
        let mut random = Random::new(self.seed, number, 0x5e55);
        let door = random.choose(&[(Door::Plain, 70), (Door::Tls, 30)]);
        let style = match door {
            Door::Plain => random.choose(&[
                (Style::KeepAlive, 60),
                (Style::Close, 20),
                (Style::Pipelined, 15),
                (Style::Tunnel, 5),
            ]),
            Door::Tls => random.choose(&[
                (Style::KeepAlive, 35),
                (Style::Close, 5),
                (Style::Pipelined, 10),
                (Style::Http2, 46),
                (Style::Tunnel, 4),
            ]),
        };
        Session {
            number,
            door,
            style,
        }
    }

    pub(crate) fn plan(&self, number: u64) -> Plan {
        let session = self.session(number / PER_SESSION);
        let mut random = Random::new(self.seed, number, 0x9e4);
        if session.style == Style::Tunnel {
            return self.tunnel(number, session, &mut random);
        }
        let weights: Vec<_> = ROUTES.iter().map(|route| (route, route.weight)).collect();
        let route = loop {
            let route: &Route = random.choose(&weights);
            let fits = match session.style {
                // A response that ends the connection would end those behind it.
                Style::Pipelined => {
                    route.kind.is_twiml() && !matches!(route.special, Special::Signed)
                }
                Style::KeepAlive | Style::Close | Style::Http2 | Style::Tunnel => true,
            };
            if fits {
                break route;
            }
        };
        let kind = match route.special {
            Special::Auto => random.choose(&[
                (Kind::Voice, 5),
                (Kind::Messaging, 4),
                (Kind::Callback, u64::from(session.style != Style::Pipelined)),
            ]),
            _ => route.kind,
        };
        let app = self.app(route, kind, session, &mut random);
        let client = client(session, app, &mut random);
        let signature = match route.special {
            Special::Signed => random.choose(&[
                (Signature::Good, 6),
                (Signature::Forged, 2),
                (Signature::Missing, 1),
            ]),
            _ => Signature::Missing,
        };
        let is_get = random.below(10) == 0 && client == ClientDoes::Well;
        Plan {
            number,
            session,
            route,
            kind,
            app,
            client,
            signature,
            is_get,
        }
    }

    fn tunnel(&self, number: u64, session: Session, random: &mut Random) -> Plan {
        let name = random.choose(&[("voice", 3), ("pass", 1), ("child-voice", 1)]);
        let route = ROUTES.iter().find(|route| route.name == name);
        let route = route.expect("it is in the list");
        Plan {
            number,
            session,
            route,
            // No TwiML is expected for it, on whatever route.
            kind: Kind::Pass,
            app: AppDoes::Echo,
            client: ClientDoes::Well,
            signature: Signature::Missing,
            is_get: true,
        }
    }

    fn app(&self, route: &Route, kind: Kind, session: Session, random: &mut Random) -> AppDoes {
        if matches!(route.app, App::Refused | App::Full) {
            return AppDoes::Well;
        }
        match random.below(100) {
            0..50 => return AppDoes::Well,
            50..55 => return AppDoes::Slowly(Duration::from_millis(5 + random.below(150))),
            // What is kept from the deadline for the fallback URL is not part of the app's time.
            55..57 if route.special != Special::FallbackUrl => {
                let microseconds = random.below(10_001) as i64 - 5_000;
                return AppDoes::AtDeadline { microseconds };
            }
            _ => {}
        }
        loop {
            let index = random.below(self.faults.len() as u64) as usize;
            if self.fits(&self.faults[index], route, kind, session) {
                return AppDoes::Fault(index);
            }
        }
    }

    fn fits(&self, fault: &Fault, route: &Route, kind: Kind, session: Session) -> bool {
        use faults::Promise;
        let promise = fault.promise(kind);
        let streams = !kind.is_twiml();
        // Over TLS an app's reset comes through the terminator as an end, or as a reset, as it happens.
        if fault.resets && matches!(route.app, App::Unix | App::Secure) {
            return false;
        }
        let is_document = matches!(
            promise,
            Promise::Unchanged | Promise::Document(_) | Promise::Fallback(_)
        );
        match route.special {
            // What would be replaced has a response that can go back.
            Special::Observed => {
                fault.promise(Kind::Callback) == Promise::Unchanged
                    && is_document
                    && !matches!(
                        promise,
                        Promise::Fallback("deadline" | "too_large") | Promise::Document(_)
                    )
            }
            Special::Unmatched => promise == Promise::Unchanged,
            _ if session.style == Style::Http2 && streams => promise == Promise::Unchanged,
            _ if route.app == App::Secure => {
                matches!(promise, Promise::Unchanged | Promise::Document(_))
                    || promise == Promise::Fallback("status_5xx")
                    || promise == Promise::Fallback("malformed")
            }
            _ => true,
        }
    }
}

fn client(session: Session, app: AppDoes, random: &mut Random) -> ClientDoes {
    if session.style == Style::Pipelined {
        return ClientDoes::Well;
    }
    let how = random.choose(&[(Leave::Fin, 1), (Leave::Close, 1), (Leave::Reset, 1)]);
    let longer = random.below(60);
    let pause = Duration::from_millis(random.choose(&[(0, 3), (1, 1), (longer, 2)]));
    let drawn = random.below(1000);
    if session.style == Style::Http2 {
        return match drawn {
            0..80 => ClientDoes::LeaveAfterRequest { pause, how },
            _ => ClientDoes::Well,
        };
    }
    match drawn {
        0..720 => ClientDoes::Well,
        720..850 => {
            let parts = 2 + random.below(6) as usize;
            let pause = Duration::from_millis(random.below(12));
            ClientDoes::Slowly { parts, pause }
        }
        850..853 if app == AppDoes::Well => ClientDoes::TooSlowly,
        853..930 => {
            let thousandths = random.below(1001);
            ClientDoes::LeaveInRequest {
                thousandths,
                pause,
                how,
            }
        }
        930..965 => ClientDoes::LeaveAfterRequest { pause, how },
        965..985 => ClientDoes::LeaveInResponse { how },
        985..990 => ClientDoes::Garbage,
        990..995 => ClientDoes::WithoutHost,
        _ => ClientDoes::Well,
    }
}

/// Numbers that look random (SplitMix64): the same for the same seed, and spread however close the seeds are.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, number: u64, purpose: u64) -> Self {
        let mut random = Self(seed ^ purpose.rotate_left(48));
        random.0 = random.next() ^ number;
        random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One of these, by their weights.
    pub(crate) fn choose<T: Copy>(&mut self, weighted: &[(T, u64)]) -> T {
        let all = weighted.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.below(all);
        for (value, weight) in weighted {
            match drawn.checked_sub(*weight) {
                Some(rest) => drawn = rest,
                None => return *value,
            }
        }
        unreachable!("a number below the sum is in one of the weights")
    }
}
