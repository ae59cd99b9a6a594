//! The command line: arguments become a command, its result an exit status.

mod admin_client;
pub mod call;
pub mod check;
pub mod demo;
pub mod drill;
mod exit_status;
pub mod generate;
mod http_client;
mod kind;
pub mod lint;
pub mod queue;
pub mod run;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use exit_status::EX_CONFIG;

/// A resilient reverse proxy for Twilio webhooks: each request goes to your app under one strict deadline; if the app does not
/// respond with good TwiML in time, the caller gets the route's fallback.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the proxy.
    #[command(
        after_help = "Examples:\n  understudy run --config /etc/understudy/understudy.toml\n  understudy run --upstream http://127.0.0.1:3000 --listen 127.0.0.1:8080\n\nSignals: SIGHUP reloads the configuration; SIGTERM and SIGINT stop accepting requests and let those in flight finish; SIGUSR1 and SIGUSR2 do nothing.\n\nEnvironment: RUST_LOG is the level of the log (error, warn, info, debug).\n\nExit status: 0 after SIGTERM or SIGINT; 1 if an address is still in use or not there after ten seconds, which a restart may fix; 78 if the configuration is wrong or a port is not allowed, which a restart won't fix."
    )]
    Run(RunArguments),
    /// Reads the configuration and every fallback document as `run` would, and prints every error at once.
    #[command(
        after_help = "Examples:\n  understudy check --config /etc/understudy/understudy.toml\n  understudy check --probe --config /etc/understudy/understudy.toml\n\nExit status: 0 if `run` would start, 78 if not; 1 if an upstream does not respond to its probe."
    )]
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Asks every upstream once, as its breaker would.
        #[arg(long)]
        probe: bool,
    },
    /// Validates TwiML documents as Twilio would: `Valid Voice TwiML`, or what is wrong, where, and how to correct it.
    #[command(
        after_help = "Examples:\n  understudy lint voice.xml sms.xml\n  curl -s http://127.0.0.1:3000/voice | understudy lint --kind voice -\n\nIn CI:\n  understudy lint --strict --format github twiml/*.xml\n  understudy lint --format sarif twiml/*.xml > twiml.sarif\n\nExit status: 0 if every document is valid (with warnings, too, unless --strict), 1 if one is not, 2 if one can't be read."
    )]
    Lint(lint::Arguments),
    /// Sends one webhook as Twilio would, signed if there is a token, and validates the response as Twilio would.
    #[command(
        after_help = "Examples:\n  understudy call --url http://127.0.0.1:3000/voice\n  TWILIO_AUTH_TOKEN=… understudy call --url https://hooks.example.com/sms --kind messaging -p Body=Hello\n\nExit status: 0 if Twilio would act on the response, 1 if not, 2 if no request could be sent."
    )]
    Call(call::Arguments),
    /// Starts a misbehaving app and the proxy before it, and shows for each fault what Twilio gets without and with understudy.
    #[command(
        after_help = "Examples:\n  understudy demo\n  understudy demo --stay\n\nExit status: 0 if every caller behind understudy got valid TwiML, 1 if one did not."
    )]
    Demo {
        /// Keeps everything running with traffic until Ctrl-C.
        #[arg(long)]
        stay: bool,
    },
    /// Makes requests on a live route fail in a chosen way for a while; their callers get its fallback.
    #[command(
        after_help = "Examples:\n  understudy drill start incoming-call --for 5m\n  understudy drill list\n  understudy drill stop incoming-call"
    )]
    Drill {
        #[command(subcommand)]
        arguments: drill::Arguments,
    },
    /// Lists, shows, retries and drops the callbacks that a running proxy has queued.
    #[command(
        after_help = "Examples:\n  understudy queue list\n  understudy queue list --state dead\n  understudy queue show 17\n  understudy queue retry 17 18\n  understudy queue drop 17"
    )]
    Queue {
        #[command(subcommand)]
        arguments: queue::Arguments,
    },
    /// Writes man pages, and completions for shells.
    #[command(hide = true)]
    Generate(generate::Arguments),
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The configuration.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "upstream",
        conflicts_with = "upstream"
    )]
    config: Option<PathBuf>,
    /// The app, for a start without a file: every route is of kind `auto`, with the built-in fallback documents.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// The public address [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR", requires = "upstream")]
    listen: Option<String>,
    /// The admin address [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDR", requires = "upstream")]
    admin: Option<String>,
}

impl Arguments {
    /// Runs the command.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run(RunArguments {
                config: Some(path), ..
            }) => run::with_file(&path),
            Command::Run(RunArguments {
                upstream,
                listen,
                admin,
                ..
            }) => run::for_upstream(
                &upstream.unwrap_or_default(),
                listen.as_deref(),
                admin.as_deref(),
            ),
            Command::Check { config, probe } => {
                check::run(&config, probe, &mut io::stdout(), &mut io::stderr())
            }
            Command::Lint(arguments) => lint::run(
                &arguments,
                &mut io::stdin(),
                &mut io::BufWriter::new(io::stdout()),
                &mut io::stderr(),
            ),
            Command::Call(arguments) => call::run(&arguments, &mut io::stdout(), &mut io::stderr()),
            Command::Demo { stay } => demo::run(stay),
            Command::Drill { arguments } => {
                drill::run(&arguments, &mut io::stdout(), &mut io::stderr())
            }
            Command::Queue { arguments } => {
                queue::run(&arguments, &mut io::stdout(), &mut io::stderr())
            }
            Command::Generate(arguments) => {
                generate::run(&arguments, &Self::command(), &mut io::stderr())
            }
        }
    }
}
