//! `understudy call`: sends one webhook as Twilio would, signed if there is a token or a SharedKey, and judges the answer as Twilio would: useful
//! before there is any proxy.

use std::error::Error as _;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use form_urlencoded::Serializer;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, Request};
use http_body_util::Full;
use tokio::time::{Instant, timeout};

use crate::config::{Config, Errors};
use crate::failure::Failure;
use crate::response::{self, Disposition, Expectations};
use crate::secret::Secret;
use crate::signature::{self, Algorithm};
use crate::twiml::{Kind, Level, Rules, Strictness, lint};
use crate::upstream::{ConnectionStats, Upstream};

/// Twilio's own patience (error 11205).
const PATIENCE: Duration = Duration::from_secs(15);

/// Twilio's own patience for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// The most that Twilio takes (error 11750).
const LIMIT: usize = 64 * 1024;

/// What is sent, and where.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The webhook's URL, as it stands at the number in Twilio's console.
    #[arg(long, value_name = "URL")]
    url: String,
    /// What happens: a call comes in, or a message does.
    #[arg(long, value_enum, default_value_t = What::Voice)]
    kind: What,
    /// The account's auth token, which signs the request.
    #[arg(long, value_name = "T", value_parser = token, env = "TWILIO_AUTH_TOKEN", hide_env_values = true)]
    token: Option<Secret>,
    /// The SharedKey that signs the request, instead of a token: its id and its secret.
    #[arg(long, value_name = "KEY=SECRET", value_parser = shared_key)]
    shared_key: Option<SharedKey>,
    /// A parameter, for the usual one of that name or beside the others.
    #[arg(short, value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
}

/// What a webhook is about.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// A call.
    Voice,
    /// A message.
    Messaging,
}

fn token(text: &str) -> Result<Secret, &'static str> {
    Secret::new(text).ok_or("a token is one word")
}

/// A SharedKey's id and secret.
#[derive(Clone, Debug)]
struct SharedKey {
    id: String,
    secret: Secret,
}

fn shared_key(text: &str) -> Result<SharedKey, &'static str> {
    const RIGHT: &str = "write KEY=SECRET, such as webhooks_sharedkey_01kabc=0123456789abcdef";
    let (id, secret) = text.split_once('=').ok_or(RIGHT)?;
    let secret = Secret::new(secret).ok_or(RIGHT)?;
    // What stands in the list that the field is can't have these.
    let is_id = !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',');
    let id = is_id.then(|| id.to_owned()).ok_or(RIGHT)?;
    Ok(SharedKey { id, secret })
}

fn parameter(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, such as -p From=+12025550147")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Why nothing could be asked.
#[derive(Debug)]
enum Error {
    Url(Errors),
    Target,
    Runtime(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It speaks of the argument as `run` calls it.
            Self::Url(errors) => f.write_str(&errors.to_string().replace("--upstream", "--url")),
            Self::Target => f.write_str(
                "--url: has a path that can't stand on the wire; write it percent-encoded",
            ),
            Self::Runtime(error) => write!(f, "nothing can be asked from here: {error}"),
        }
    }
}

/// What came of a call.
struct Answered {
    took: Duration,
    answer: Result<(http::response::Parts, Bytes), Failure>,
}

/// Sends the webhook; what came of it goes to `out`, why nothing could to `err`. Whether Twilio would act on it is the status.
pub fn run(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let answered = match asked(arguments) {
        Ok(answered) => answered,
        Err(failure) => {
            let _ = writeln!(err, "{failure}");
            return ExitCode::from(2);
        }
    };
    let (lines, good) = told(&answered, arguments.kind.twiml());
    // A reader that has gone away takes nothing from the verdict.
    let _ = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn asked(arguments: &Arguments) -> Result<Answered, Error> {
    let url = arguments.url.split('#').next().unwrap_or_default();
    let path = url.find("://").map_or(0, |at| at + 3);
    let path = url[path..]
        .find(['/', '?'])
        .map_or(url.len(), |at| path + at);
    let mut config = Config::for_upstream(&url[..path], None, None).map_err(Error::Url)?;
    let mut settings = config.site.upstreams.remove(0);
    settings.connect_timeout = CONNECT;
    let target = if url[path..].starts_with('/') {
        url[path..].to_owned()
    } else {
        format!("/{}", &url[path..])
    };
    let request = request(arguments, url, &target).ok_or(Error::Target)?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let upstream = Upstream::new(settings, Arc::new(ConnectionStats::default()));
    Ok(runtime.block_on(async {
        let began = Instant::now();
        let answer = timeout(PATIENCE, upstream.ask(request, LIMIT)).await;
        let answer = answer.map_or(Err(Failure::Deadline), |answer| {
            answer.map_err(Failure::from)
        });
        Answered {
            took: began.elapsed(),
            answer,
        }
    }))
}

/// The request as Twilio would send it.
fn request(arguments: &Arguments, url: &str, target: &str) -> Option<Request<Full<Bytes>>> {
    let mut form = Serializer::new(String::new());
    for (name, value) in parameters(arguments) {
        form.append_pair(&name, &value);
    }
    let form = form.finish();
    let mut request = Request::post(target)
        .header(USER_AGENT, "TwilioProxy/1.1")
        .header(ACCEPT, "*/*")
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=UTF-8",
        )
        .header(
            HeaderName::from_static("i-twilio-idempotency-token"),
            "00000000-0000-4000-8000-000000000000",
        );
    let signer = match (&arguments.shared_key, &arguments.token) {
        (Some(SharedKey { id, secret }), _) => {
            let algorithm = Algorithm::HmacSha256;
            let settings = format!("key={id},algorithm={}", algorithm.as_str());
            request = request.header(signature::SETTINGS_HEADER, settings);
            Some((algorithm, secret))
        }
        (None, token) => token.as_ref().map(|token| (Algorithm::HmacSha1, token)),
    };
    if let Some((algorithm, secret)) = signer {
        let signature = signature::sign(algorithm, secret, url, form.as_bytes());
        request = request.header(signature::HEADER, signature);
    }
    request.body(Full::from(form)).ok()
}

/// The usual parameters, with those that were given in their place or behind them. Numbers are of the 555-01xx range.
fn parameters(arguments: &Arguments) -> Vec<(String, String)> {
    let usual: &[(&str, &str)] = match arguments.kind {
        What::Voice => &[
            ("CallSid", "CA00000000000000000000000000000000"),
            ("CallStatus", "ringing"),
            ("Direction", "inbound"),
        ],
        What::Messaging => &[
            ("MessageSid", "SM00000000000000000000000000000000"),
            ("SmsSid", "SM00000000000000000000000000000000"),
            ("SmsStatus", "received"),
            ("NumMedia", "0"),
            ("NumSegments", "1"),
            ("Body", "Hello"),
        ],
    };
    let common = [
        ("AccountSid", "AC00000000000000000000000000000000"),
        ("ApiVersion", "2010-04-01"),
        ("From", "+12025550147"),
        ("To", "+14155550123"),
    ];
    let mut parameters: Vec<(String, String)> = Vec::new();
    let usual = common
        .iter()
        .chain(usual)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    for (name, value) in usual.chain(arguments.parameters.iter().cloned()) {
        match parameters.iter_mut().find(|(own, _)| *own == name) {
            Some(parameter) => parameter.1 = value,
            None => parameters.push((name, value)),
        }
    }
    parameters
}

/// What is to be said of an answer, and whether Twilio would act on it.
fn told(answered: &Answered, kind: Kind) -> (Vec<String>, bool) {
    let milliseconds = answered.took.as_secs_f64() * 1000.0;
    let (head, page) = match &answered.answer {
        Ok(answer) => answer,
        Err(cause) => {
            return (
                vec![
                    format!("no answer after {milliseconds:.1} ms"),
                    error(cause),
                ],
                false,
            );
        }
    };
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or("no content type");
    let first = format!(
        "{} {content_type}, {} bytes in {milliseconds:.1} ms",
        head.status,
        page.len()
    );
    let (mut lines, good) = judged(head, page, kind);
    lines.insert(0, first);
    (lines, good)
}

fn judged(head: &http::response::Parts, page: &Bytes, kind: Kind) -> (Vec<String>, bool) {
    let terms = Expectations {
        kind,
        strictness: Some(Strictness::Twilio),
        pass_status: &[],
        conditional: false,
    };
    let plan = match response::plan_response(head, terms) {
        Ok(plan) => plan,
        // What has no body needs no type.
        Err(response::Error::ContentType) if page.is_empty() => return empty(kind),
        Err(unfit) => return (vec![error(&unfit.into())], false),
    };
    if page.is_empty() && plan != Disposition::Pass {
        return empty(kind);
    }
    match plan {
        Disposition::Pass => (vec!["Twilio takes it as it is".to_owned()], true),
        Disposition::Stream => (vec!["Twilio plays it".to_owned()], true),
        Disposition::PassBody(_) => (vec!["Twilio takes it as plain text".to_owned()], true),
        Disposition::Validate { charset, .. } => {
            match response::decode_body(&head.headers, page.clone(), LIMIT) {
                Ok((page, _)) => findings(&page, charset.as_deref(), kind),
                Err(unfit) => (vec![error(&unfit.into())], false),
            }
        }
    }
}

fn empty(kind: Kind) -> (Vec<String>, bool) {
    match response::accept_empty(kind, Some(Strictness::Twilio)) {
        Ok(code) => {
            let code = code.map(|code| format!("[{code}]")).unwrap_or_default();
            let line = format!("warning{code} the response has no body: Twilio sends no message");
            (vec![line], true)
        }
        Err(unfit) => (vec![error(&unfit.into())], false),
    }
}

fn findings(page: &[u8], charset: Option<&str>, kind: Kind) -> (Vec<String>, bool) {
    let report = lint(page, charset, &Rules::new(kind, Strictness::Twilio));
    let findings = report.findings();
    if findings.is_empty() {
        return (vec![format!("Valid {kind} TwiML")], true);
    }
    let line = |finding: &crate::twiml::Finding| {
        let place = finding.position();
        let help = finding
            .help()
            .map(|help| format!("; {help}"))
            .unwrap_or_default();
        format!(
            "{}:{}: {}[{}] {finding}{help}",
            place.line,
            place.column,
            finding.level(),
            finding.code()
        )
    };
    let good = findings
        .iter()
        .all(|finding| finding.level() == Level::Warning);
    (findings.iter().map(line).collect(), good)
}

/// A cause in one line, with Twilio's code.
fn error(cause: &Failure) -> String {
    let code = cause
        .twilio_code()
        .map(|code| format!("[{code}]"))
        .unwrap_or_default();
    let mut words = format!("error{code} {cause}");
    let mut source = cause.source();
    while let Some(inner) = source {
        words = format!("{words}: {inner}");
        source = inner.source();
    }
    words
}

impl What {
    fn twiml(self) -> Kind {
        match self {
            Self::Voice => Kind::Voice,
            Self::Messaging => Kind::Messaging,
        }
    }
}
