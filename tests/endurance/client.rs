//! Clients: each session is one, which sends its requests as their plans say and gives an account of each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use support::Webhook;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::account::{Account, Got};
use crate::accountant::{Accountant, Verdict, trace_id};
use crate::app::NUMBER;
use crate::instance::Instance;
use crate::plan::{
    AppDoes, ClientDoes, DEADLINE, Door, Kind, PER_SESSION, Plan, Planner, Session, Signature,
    Style,
};
use crate::promise;
use crate::wire::{self, HOST, NoResponse, PATIENCE, Response, Wire};

/// How often a client asks again before it gives up.
const TRIES: u64 = 5;

/// Everything that clients need.
pub(crate) struct World {
    pub(crate) planner: Arc<Planner>,
    pub(crate) accountant: Arc<Accountant>,
    pub(crate) instances: HashMap<Door, Arc<Instance>>,
    pub(crate) http1: Arc<ClientConfig>,
    pub(crate) http2: Arc<ClientConfig>,
    /// Closed while an instance is audited: a session holds it for reading.
    pub(crate) gates: HashMap<Door, RwLock<()>>,
}

/// A request's bytes.
struct Built {
    bytes: Vec<u8>,
    head: usize,
}

impl World {
    /// Runs a session to its end.
    pub(crate) async fn run_session(&self, number: u64) {
        let session = self.planner.session(number);
        let _gate = self.gates[&session.door].read().await;
        match session.style {
            Style::KeepAlive | Style::Close => self.run_in_turn(session).await,
            Style::Pipelined => self.run_pipelined(session).await,
            Style::Http2 => self.run_http2(session).await,
            Style::Tunnel => self.run_tunnels(session).await,
        }
    }

    fn plans(&self, session: Session) -> impl Iterator<Item = Plan> {
        let first = session.number * PER_SESSION;
        (first..first + PER_SESSION).map(|number| self.planner.plan(number))
    }

    fn instance(&self, plan: &Plan) -> &Instance {
        &self.instances[&plan.session.door]
    }

    async fn connect(&self, plan: &Plan) -> Result<Wire, NoResponse> {
        let tls = (plan.session.door == Door::Tls).then_some(&self.http1);
        Wire::connect(self.instance(plan).address, tls).await
    }

    async fn run_in_turn(&self, session: Session) {
        let mut wire = None;
        for plan in self.plans(session) {
            wire = self.request(plan, wire, 0).await;
        }
        if let Some(wire) = wire {
            wire.close().await;
        }
    }

    /// Sends a request until it has its response. Gives the connection back if it can be used again.
    async fn request(&self, plan: Plan, mut wire: Option<Wire>, first: u64) -> Option<Wire> {
        for attempt in first..TRIES {
            let (account, left) = self.exchange(plan.clone(), attempt, wire.take()).await;
            wire = left;
            if self.accountant.judge(account) == Verdict::Settled {
                return wire;
            }
        }
        let problem = format!("request {} got no response in {TRIES} tries", plan.number);
        self.accountant.tell(&problem, None);
        None
    }

    /// One try.
    async fn exchange(
        &self,
        plan: Plan,
        attempt: u64,
        wire: Option<Wire>,
    ) -> (Account, Option<Wire>) {
        let built = self.build(&plan, attempt);
        let mut account = Account::new(plan, attempt);
        let mut wire = match wire {
            Some(wire) => wire,
            None => match self.connect(&account.plan).await {
                Ok(wire) => {
                    account.note("client: connected");
                    wire
                }
                Err(error) => return (account.end(Got::Nothing(error)), None),
            },
        };
        account.is_reused = wire.responses > 0;
        account.before = wire.last_began.replace(account.began);
        account.events.extend(wire.history.iter().cloned());
        let plan = account.plan.clone();
        match plan.client {
            ClientDoes::LeaveInRequest {
                thousandths,
                pause,
                how,
            } => {
                let cut = built.bytes.len() * thousandths as usize / 1000;
                self.send(&mut wire, &mut account, &built, 0, cut).await;
                sleep(pause).await;
                account.note(format!("client: leaves after {cut} bytes, {how:?}"));
                let response = match wire.leave(how).await {
                    Some(mut wire) => wire.response().await.ok(),
                    None => None,
                };
                return (account.end(Got::Left(response)), None);
            }
            ClientDoes::LeaveAfterRequest { pause, how } => {
                let all = built.bytes.len();
                self.send(&mut wire, &mut account, &built, 0, all).await;
                let _ = timeout(pause, wire.readable()).await;
                account.note(format!("client: leaves, {how:?}"));
                let response = match wire.leave(how).await {
                    Some(mut wire) => wire.beginning(1).await.ok(),
                    None => None,
                };
                return (account.end(Got::Left(response)), None);
            }
            ClientDoes::LeaveInResponse { how } => {
                let all = built.bytes.len();
                self.send(&mut wire, &mut account, &built, 0, all).await;
                let got = match wire.beginning(1).await {
                    Ok(response) => Got::Left(Some(response)),
                    Err(error) => Got::Nothing(error),
                };
                account.note(format!("client: leaves in the response, {how:?}"));
                drop(wire.leave(how).await);
                return (account.end(got), None);
            }
            ClientDoes::Slowly { parts, pause } => {
                let all = built.bytes.len();
                for part in 0..parts {
                    if part > 0 {
                        sleep(pause).await;
                    }
                    let (from, to) = (all * part / parts, all * (part + 1) / parts);
                    self.send(&mut wire, &mut account, &built, from, to).await;
                }
            }
            ClientDoes::TooSlowly => {
                let all = built.bytes.len();
                let half = (built.head + all) / 2;
                self.send(&mut wire, &mut account, &built, 0, half).await;
                let pause = DEADLINE + Duration::from_millis(500);
                if timeout(pause, wire.readable()).await.is_err() {
                    self.send(&mut wire, &mut account, &built, half, all).await;
                }
            }
            ClientDoes::Well | ClientDoes::Garbage | ClientDoes::WithoutHost => {
                let all = built.bytes.len();
                self.send(&mut wire, &mut account, &built, 0, all).await;
            }
        }
        let response = match promise::may_be_endless(&self.planner, &plan) {
            true => wire.beginning(1).await,
            false => wire.response().await,
        };
        match response {
            Ok(response) => {
                let number = plan.number;
                let (status, headers) = (response.status, response.headers.len());
                wire.history.extend([
                    (account.began, format!("before: request {number} began")),
                    (response.head_at, format!("before: the head of its response, {status}, with {headers} headers, keeps alive: {}", response.keeps_alive)),
                    (response.end_at, "before: the end of its response".to_owned()),
                ]);
                let goes_on = response.keeps_alive
                    && account.all_sent.is_some()
                    && plan.session.style == Style::KeepAlive;
                let account = account.end(Got::Response(response));
                (account, goes_on.then_some(wire))
            }
            Err(error) => (account.end(Got::Nothing(error)), None),
        }
    }

    /// Sends these bytes of a request. That it is not read to its end is no failure yet: a response may have come.
    async fn send(
        &self,
        wire: &mut Wire,
        account: &mut Account,
        built: &Built,
        from: usize,
        to: usize,
    ) {
        if let Err(error) = wire.send(&built.bytes[from..to]).await {
            account.note(format!("client: could not send: {error}"));
        }
        account.note(format!("client: sent bytes {from} to {to}"));
        let now = Instant::now();
        if to >= built.head && account.head_sent.is_none() {
            account.head_sent = Some(now);
        }
        if to == built.bytes.len() {
            account.all_sent = Some(now);
        }
    }

    fn webhook(&self, plan: &Plan, attempt: u64) -> Webhook {
        let target = format!("/{}/{}", plan.route.name, plan.number);
        let webhook = match plan.kind {
            Kind::Voice | Kind::Pass => Webhook::voice(&target),
            Kind::Messaging => Webhook::sms(&target),
            Kind::Callback => Webhook::status_callback(&target),
        };
        let sid = promise::sid_of(plan);
        let webhook = match plan.kind {
            Kind::Messaging => webhook.with("MessageSid", &sid).with("SmsSid", &sid),
            Kind::Voice | Kind::Callback | Kind::Pass => webhook.with("CallSid", &sid),
        };
        let trace = trace_id(self.planner.seed, plan.number);
        let webhook = webhook
            .header(
                "traceparent",
                &format!("00-{trace}-{:016x}-01", attempt + 1),
            )
            .header(NUMBER, &plan.number.to_string());
        let webhook = match plan.is_get {
            true => webhook.get(),
            false => webhook,
        };
        match plan.signature {
            Signature::Good => {
                webhook.signed(&format!("https://{HOST}"), &self.instance(plan).token())
            }
            // The one that it has is nobody's.
            Signature::Forged => webhook,
            Signature::Missing => webhook.unsigned(),
        }
    }

    fn build(&self, plan: &Plan, attempt: u64) -> Built {
        if plan.client == ClientDoes::Garbage {
            let bytes = b"this is not HTTP\r\n\r\n".to_vec();
            let head = bytes.len();
            return Built { bytes, head };
        }
        let mut webhook = self.webhook(plan, attempt);
        if plan.session.style == Style::Close {
            webhook = webhook.header("Connection", "close");
        }
        if plan.app == AppDoes::Echo {
            webhook = webhook
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket");
        }
        let mut bytes = webhook.bytes();
        if plan.client == ClientDoes::WithoutHost {
            let host = format!("Host: {HOST}\r\n");
            let at = memchr::memmem::find(&bytes, host.as_bytes()).expect("it has one");
            bytes.drain(at..at + host.len());
        }
        let head = memchr::memmem::find(&bytes, b"\r\n\r\n").expect("a head has an end") + 4;
        Built { bytes, head }
    }

    async fn run_pipelined(&self, session: Session) {
        let plans: Vec<_> = self.plans(session).collect();
        let mut wire = match self.connect(&plans[0]).await {
            Ok(wire) => wire,
            Err(error) => {
                let account = Account::new(plans[0].clone(), 0);
                self.accountant.judge(account.end(Got::Nothing(error)));
                return;
            }
        };
        let bytes: Vec<_> = plans.iter().map(|plan| self.build(plan, 0).bytes).collect();
        let began = Instant::now();
        let _ = wire.send(&bytes.concat()).await;
        let mut sent = Instant::now();
        let mut is_over = false;
        for (at, plan) in plans.into_iter().enumerate() {
            let mut account = Account::new(plan, 0);
            account.began = began;
            account.is_reused = at > 0;
            account.note("client: all were sent at once");
            (account.head_sent, account.all_sent) = (Some(sent), Some(sent));
            let account = match is_over {
                true => account.end(Got::NotServed),
                false => match wire.response().await {
                    Ok(response) => {
                        sent = response.end_at;
                        is_over = !response.keeps_alive;
                        account.end(Got::Response(response))
                    }
                    Err(error) => {
                        is_over = true;
                        account.end(Got::Nothing(error))
                    }
                },
            };
            let plan = account.plan.clone();
            if self.accountant.judge(account) == Verdict::AskAgain {
                self.request(plan, None, 1).await;
            }
        }
    }

    async fn run_tunnels(&self, session: Session) {
        for plan in self.plans(session) {
            for attempt in 0..TRIES {
                let account = self.tunnel(plan.clone(), attempt).await;
                if self.accountant.judge(account) == Verdict::Settled {
                    break;
                }
            }
        }
    }

    async fn tunnel(&self, plan: Plan, attempt: u64) -> Account {
        let built = self.build(&plan, attempt);
        let mut account = Account::new(plan, attempt);
        let mut wire = match self.connect(&account.plan).await {
            Ok(wire) => wire,
            Err(error) => return account.end(Got::Nothing(error)),
        };
        let all = built.bytes.len();
        self.send(&mut wire, &mut account, &built, 0, all).await;
        match wire.response().await {
            Ok(response) if response.status == 101 => {}
            Ok(response) => return account.end(Got::Response(response)),
            Err(error) => return account.end(Got::Nothing(error)),
        }
        let number = account.plan.number;
        for round in 0..3 {
            let said = format!("media {number} {round}").repeat(1 + number as usize % 7);
            sleep(Duration::from_millis(number % 50)).await;
            let sent = wire.send(said.as_bytes()).await;
            let heard = match sent {
                Ok(()) => wire.bytes(said.len()).await,
                Err(error) => Err(error),
            };
            match heard {
                Ok(heard) if heard == said.as_bytes() => {}
                Ok(_) => return account.end(Got::Tunnel(Err("other bytes came back".to_owned()))),
                Err(error) => {
                    let problem = format!("round {round}: {error}");
                    return account.end(Got::Tunnel(Err(problem)));
                }
            }
        }
        account.note("client: the tunnel ends");
        wire.close().await;
        account.end(Got::Tunnel(Ok(())))
    }

    async fn run_http2(&self, session: Session) {
        let mut plans: Vec<_> = self.plans(session).map(|plan| (plan, 0)).collect();
        let mut tries = 0;
        while let Some((first, _)) = plans.first() {
            tries += 1;
            if tries > TRIES {
                let problem = format!("request {} got no response in {TRIES} tries", first.number);
                return self.accountant.tell(&problem, None);
            }
            let address = self.instance(first).address;
            let sender = match wire::connect(address, Some(&self.http2)).await {
                Ok(stream) => {
                    let stream = TokioIo::new(stream);
                    let connected = http2::handshake(TokioExecutor::new(), stream);
                    match timeout(PATIENCE, connected).await {
                        Ok(Ok((sender, driver))) => {
                            tokio::spawn(async move {
                                // Its streams tell what went wrong.
                                let _ = driver.await;
                            });
                            Ok(sender)
                        }
                        Ok(Err(error)) => Err(NoResponse::Connect(error.to_string())),
                        Err(_) => Err(NoResponse::Silence),
                    }
                }
                Err(error) => Err(error),
            };
            let sender = match sender {
                Ok(sender) => sender,
                Err(error) => {
                    let account = Account::new(first.clone(), 0);
                    self.accountant.judge(account.end(Got::Nothing(error)));
                    return;
                }
            };
            let mut streams = JoinSet::new();
            for (plan, attempt) in plans.drain(..) {
                let webhook = self.build(&plan, attempt).bytes;
                streams.spawn(stream(sender.clone(), webhook, Account::new(plan, attempt)));
            }
            drop(sender);
            while let Some(account) = streams.join_next().await {
                let account = account.expect("no client panics");
                let again = (account.plan.clone(), account.attempt + 1);
                if self.accountant.judge(account) == Verdict::AskAgain {
                    plans.push(again);
                }
            }
        }
    }
}

/// One stream of an HTTP/2 connection.
async fn stream(
    mut sender: http2::SendRequest<Full<Bytes>>,
    webhook: Vec<u8>,
    mut account: Account,
) -> Account {
    let request = as_http2(&webhook);
    // Others were sent on the connection.
    account.is_reused = true;
    if let Err(error) = sender.ready().await {
        return account.end(Got::Nothing(ended(&error)));
    }
    let now = Instant::now();
    (account.head_sent, account.all_sent) = (Some(now), Some(now));
    account.note("client: sent");
    let sent = sender.send_request(request);
    let response = match account.plan.client {
        ClientDoes::LeaveAfterRequest { pause, .. } => match timeout(pause, sent).await {
            Ok(response) => response,
            Err(_) => return account.end(Got::Left(None)),
        },
        _ => match timeout(PATIENCE, sent).await {
            Ok(response) => response,
            Err(_) => return account.end(Got::Nothing(NoResponse::Silence)),
        },
    };
    let response = match response {
        Ok(response) => response,
        Err(error) => return account.end(Got::Nothing(ended(&error))),
    };
    let head_at = Instant::now();
    let (head, body) = response.into_parts();
    let (body, is_whole) = match timeout(PATIENCE, body.collect()).await {
        Ok(Ok(body)) => (body.to_bytes().to_vec(), true),
        Ok(Err(_)) | Err(_) => (Vec::new(), false),
    };
    let headers = head.headers.iter();
    let response = Response {
        status: head.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect(),
        body,
        is_whole,
        keeps_alive: true,
        head_at,
        end_at: Instant::now(),
    };
    account.end(Got::Response(response))
}

fn ended(error: &hyper::Error) -> NoResponse {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    NoResponse::Ended {
        error: Some(text),
        begun: false,
    }
}

/// The same request for HTTP/2.
fn as_http2(bytes: &[u8]) -> http::Request<Full<Bytes>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let head = parsed.parse(bytes).expect("it is HTTP").unwrap();
    let target = parsed.path.expect("a target");
    let mut request = http::Request::builder()
        .method(parsed.method.expect("a method"))
        .uri(format!("https://{HOST}{target}"));
    for header in parsed.headers {
        if !header.name.eq_ignore_ascii_case("host") {
            request = request.header(header.name, header.value);
        }
    }
    let body = Bytes::copy_from_slice(&bytes[head..]);
    request.body(Full::new(body)).expect("a request")
}
