//! Runs the command that the arguments name and exits with its status.

use std::process::ExitCode;

use clap::Parser;
use understudy::command::Arguments;

fn main() -> ExitCode {
    Arguments::parse().run()
}
