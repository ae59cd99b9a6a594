//! `understudy call`: sends one webhook as Twilio would, signed if there is a token or a SharedKey, and validates the response as
//! Twilio would. It needs no proxy.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, Request, response::Parts};
use http_body_util::Full;
use tokio::time::{Instant, timeout};

use super::exit_status;
use crate::config::{Config, Errors};
use crate::failure::Failure;
use crate::log::error_chain;
use crate::response::{self, Disposition, Expectations};
use crate::secret::Secret;
use crate::signature::{self, Algorithm};
use crate::twilio::{RESPONSE_LIMIT, WEBHOOK_TIMEOUT};
use crate::twiml::{Finding, Kind, Level, Rules, Strictness, lint};
use crate::upstream::{ConnectionStats, Upstream};

/// How long Twilio waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is sent, and where.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The webhook's URL, as it is configured for the number in Twilio's console.
    #[arg(long, value_name = "URL")]
    url: String,
    /// The kind of webhook.
    #[arg(long, value_enum, default_value_t = Kind::Voice)]
    kind: Kind,
    /// The account's auth token, which signs the request.
    #[arg(long, value_name = "T", value_parser = parse_token, env = "TWILIO_AUTH_TOKEN", hide_env_values = true)]
    token: Option<Secret>,
    /// The SharedKey that signs the request, instead of a token: its id and its secret.
    #[arg(long, value_name = "KEY=SECRET", value_parser = parse_shared_key)]
    shared_key: Option<SharedKey>,
    /// A parameter: replaces the default one of that name, or is added to them.
    #[arg(short, value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct SharedKey {
    id: String,
    secret: Secret,
}

fn parse_token(text: &str) -> Result<Secret, &'static str> {
    Secret::new(text).ok_or("a token is one word")
}

fn parse_shared_key(text: &str) -> Result<SharedKey, &'static str> {
    const EXPECTED: &str = "write KEY=SECRET, such as webhooks_sharedkey_01kabc=0123456789abcdef";
    let (id, secret) = text.split_once('=').ok_or(EXPECTED)?;
    let secret = Secret::new(secret).ok_or(EXPECTED)?;
    // The id is an item of a list in a header.
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    if id.is_empty() || !id.bytes().all(is_allowed) {
        return Err(EXPECTED);
    }
    let id = id.to_owned();
    Ok(SharedKey { id, secret })
}

fn parse_parameter(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text
        .split_once('=')
        .ok_or("write NAME=VALUE, such as -p From=+12025550147")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Why no request could be sent.
#[derive(Debug, thiserror::Error)]
enum Error {
    // The error names the argument as `run` does.
    #[error("{}", .0.to_string().replace("--upstream", "--url"))]
    Url(Errors),
    #[error("--url: the path has characters that a request can't hold; write it percent-encoded")]
    Target,
    #[error("the request can't be sent: {0}")]
    Runtime(io::Error),
}

/// Sends the webhook, and prints on `out` what Twilio would make of the response, or on `err` why nothing could be sent. The exit
/// status says whether Twilio would act on the response.
pub fn run(arguments: &Arguments, out: &mut dyn Write, err: &mut dyn Write) -> ExitCode {
    let report = match send(arguments) {
        Ok(result) => result.report(arguments.kind),
        Err(error) => {
            let _ = writeln!(err, "{error}");
            return ExitCode::from(exit_status::UNREADABLE);
        }
    };
    // If the output can't be written, the exit status still says how it went.
    let _ = writeln!(out, "{}", report.lines.join("\n"));
    if report.is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(exit_status::INVALID)
    }
}

/// The response to a webhook, or why there is none.
struct WebhookResult {
    took: Duration,
    response: Result<(Parts, Bytes), Failure>,
}

fn send(arguments: &Arguments) -> Result<WebhookResult, Error> {
    let url = arguments.url.split('#').next().unwrap_or_default();
    let (base, target) = split_url(url);
    let mut config = Config::for_upstream(base, None, None).map_err(Error::Url)?;
    let mut settings = config.proxy.upstreams.remove(0);
    settings.connect_timeout = CONNECT_TIMEOUT;
    let request = request(arguments, url, &target).ok_or(Error::Target)?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let upstream = Upstream::new(settings, Arc::new(ConnectionStats::default()));
    Ok(runtime.block_on(async {
        let began = Instant::now();
        let response = match timeout(WEBHOOK_TIMEOUT, upstream.ask(request, RESPONSE_LIMIT)).await {
            Ok(response) => response.map_err(Failure::from),
            Err(_) => Err(Failure::Deadline),
        };
        let took = began.elapsed();
        WebhookResult { took, response }
    }))
}

/// Scheme, host and port, and the target of the request.
fn split_url(url: &str) -> (&str, String) {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..]
        .find(['/', '?'])
        .map_or(url.len(), |at| authority + at);
    let (base, target) = url.split_at(end);
    let slash = if target.starts_with('/') { "" } else { "/" };
    (base, format!("{slash}{target}"))
}

/// The request as Twilio would send it.
fn request(arguments: &Arguments, url: &str, target: &str) -> Option<Request<Full<Bytes>>> {
    let form = Serializer::new(String::new())
        .extend_pairs(parameters(arguments))
        .finish();
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

/// The parameters of every webhook. The numbers are from the fictional 555-01xx range.
const COMMON_PARAMETERS: [(&str, &str); 4] = [
    ("AccountSid", "AC00000000000000000000000000000000"),
    ("ApiVersion", "2010-04-01"),
    ("From", "+12025550147"),
    ("To", "+14155550123"),
];

const VOICE_PARAMETERS: [(&str, &str); 3] = [
    ("CallSid", "CA00000000000000000000000000000000"),
    ("CallStatus", "ringing"),
    ("Direction", "inbound"),
];

const MESSAGE_PARAMETERS: [(&str, &str); 6] = [
    ("MessageSid", "SM00000000000000000000000000000000"),
    ("SmsSid", "SM00000000000000000000000000000000"),
    ("SmsStatus", "received"),
    ("NumMedia", "0"),
    ("NumSegments", "1"),
    ("Body", "Hello"),
];

/// The default parameters, replaced and extended by those of the arguments.
fn parameters(arguments: &Arguments) -> Vec<(String, String)> {
    let own: &[_] = match arguments.kind {
        Kind::Voice => &VOICE_PARAMETERS,
        Kind::Messaging => &MESSAGE_PARAMETERS,
    };
    let defaults = COMMON_PARAMETERS.iter().chain(own);
    let mut parameters: Vec<(String, String)> = defaults
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    for (name, value) in &arguments.parameters {
        match parameters.iter_mut().find(|(own, _)| own == name) {
            Some(parameter) => parameter.1.clone_from(value),
            None => parameters.push((name.clone(), value.clone())),
        }
    }
    parameters
}

/// What Twilio would make of a response.
struct Report {
    lines: Vec<String>,
    is_good: bool,
}

impl WebhookResult {
    fn report(&self, kind: Kind) -> Report {
        let milliseconds = self.took.as_secs_f64() * 1000.0;
        let (first, mut report) = match &self.response {
            Ok((head, body)) => {
                let content_type = head.headers.get(CONTENT_TYPE);
                let content_type = content_type.and_then(|value| value.to_str().ok());
                let first = format!(
                    "{} {}, {} bytes in {milliseconds:.1} ms",
                    head.status,
                    content_type.unwrap_or("no content type"),
                    body.len()
                );
                let report = validate(head, body, kind);
                (
                    first,
                    report.unwrap_or_else(|error| Report::bad(&error.into())),
                )
            }
            Err(failure) => {
                let first = format!("no response after {milliseconds:.1} ms");
                (first, Report::bad(failure))
            }
        };
        report.lines.insert(0, first);
        report
    }
}

impl Report {
    fn good(line: impl Into<String>) -> Self {
        Self {
            lines: vec![line.into()],
            is_good: true,
        }
    }

    /// Names the failure, with Twilio's code.
    fn bad(failure: &Failure) -> Self {
        let code = bracketed(failure.twilio_code());
        Self {
            lines: vec![format!("error{code} {}", error_chain(failure))],
            is_good: false,
        }
    }
}

fn validate(head: &Parts, body: &Bytes, kind: Kind) -> Result<Report, response::Error> {
    let expectations = Expectations {
        kind,
        strictness: Some(Strictness::Twilio),
        pass_status: &[],
        conditional: false,
    };
    let disposition = match response::plan_response(head, expectations) {
        // A response without a body needs no content type.
        Err(response::Error::ContentType) if body.is_empty() => return validate_empty(kind),
        disposition => disposition?,
    };
    if body.is_empty() && disposition != Disposition::Pass {
        return validate_empty(kind);
    }
    Ok(match disposition {
        Disposition::Pass => Report::good("Twilio accepts it as it is"),
        Disposition::Stream => Report::good("Twilio plays it"),
        Disposition::PassBody(_) => Report::good("Twilio accepts it as plain text"),
        Disposition::Validate { charset, .. } => {
            let (document, _) = response::decode_body(&head.headers, body.clone(), RESPONSE_LIMIT)?;
            validate_document(&document, charset.as_deref(), kind)
        }
    })
}

fn validate_empty(kind: Kind) -> Result<Report, response::Error> {
    let code = response::accept_empty(kind, Some(Strictness::Twilio))?;
    let code = bracketed(code);
    Ok(Report::good(format!(
        "warning{code} the response has no body: Twilio sends no message"
    )))
}

fn validate_document(document: &[u8], charset: Option<&str>, kind: Kind) -> Report {
    let report = lint(document, charset, &Rules::new(kind, Strictness::Twilio));
    let findings = report.findings();
    if findings.is_empty() {
        return Report::good(format!("Valid {kind} TwiML"));
    }
    let is_warning = |finding: &Finding| finding.level() == Level::Warning;
    Report {
        lines: findings.iter().map(finding_line).collect(),
        is_good: findings.iter().all(is_warning),
    }
}

fn finding_line(finding: &Finding) -> String {
    let (position, level, code) = (finding.position(), finding.level(), finding.code());
    let help = finding.help().map(|help| format!("; {help}"));
    format!(
        "{}:{}: {level}[{code}] {finding}{}",
        position.line,
        position.column,
        help.unwrap_or_default()
    )
}

fn bracketed(code: Option<u32>) -> String {
    code.map(|code| format!("[{code}]")).unwrap_or_default()
}
