//! What a user types: arguments to a command, its outcome to an exit status.

pub mod call;
pub mod check;
pub mod demo;
pub mod drill;
pub mod generate;
pub mod lint;
pub mod run;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// The configuration is wrong (`EX_CONFIG` of BSD's sysexits): a restart won't help.
pub const EX_CONFIG: u8 = 78;

/// A resilient reverse proxy for Twilio webhooks: each call goes to your app under one strict deadline; if no good TwiML comes
/// back, the route's fallback does.
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
        after_help = "Examples:\n  understudy run --config /etc/understudy/understudy.toml\n  understudy run --upstream http://127.0.0.1:3000 --listen 127.0.0.1:8080\n\nSignals: SIGHUP reads the configuration anew; SIGTERM and SIGINT stop taking calls and let those under way finish.\n\nEnvironment: RUST_LOG is the level of the log (error, warn, info, debug).\n\nExit status: 0 after SIGTERM or SIGINT; 78 if the configuration is wrong or an address can't be had, which a restart won't mend."
    )]
    Run(RunArguments),
    /// Reads the configuration and every page as `run` would, and prints every error at once.
    #[command(
        after_help = "Example:\n  understudy check --config /etc/understudy/understudy.toml\n\nExit status: 0 if `run` would start, 78 if not."
    )]
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Judges TwiML documents as Twilio would: `Valid Voice TwiML`, or what is wrong, where, and what would be right.
    #[command(
        after_help = "Examples:\n  understudy lint voice.xml sms.xml\n  curl -s http://127.0.0.1:3000/voice | understudy lint --kind voice -\n\nIn CI:\n  understudy lint --strict --format github twiml/*.xml\n  understudy lint --format sarif twiml/*.xml > twiml.sarif\n\nExit status: 0 if every document is valid (warnings are, but for --strict), 1 if one is not, 2 if one can't be read."
    )]
    Lint(lint::Arguments),
    /// Sends one webhook as Twilio would, signed if there is a token, and judges the answer as Twilio would.
    #[command(
        after_help = "Examples:\n  understudy call --url http://127.0.0.1:3000/voice\n  TWILIO_AUTH_TOKEN=… understudy call --url https://hooks.example.com/sms --kind messaging -p Body=Hello\n\nExit status: 0 if Twilio would act on the answer, 1 if not, 2 if nothing could be asked."
    )]
    Call(call::Arguments),
    /// Starts a misbehaving app and the proxy before it, plays each fault, and shows what Twilio would have got without and with
    /// understudy.
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
    /// The app, for a start without a file: every route is of kind `auto`, with the built-in pages.
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
    /// Carries out what was asked for.
    pub fn carry_out(self) -> ExitCode {
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
            Command::Check { config } => check::run(&config, &mut io::stdout(), &mut io::stderr()),
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
            Command::Generate(arguments) => generate::run(&arguments, &mut io::stderr()),
        }
    }
}
