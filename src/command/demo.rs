//! demo
use std::process::ExitCode;
/// x
pub fn run(_stay: bool) -> ExitCode {
    ExitCode::SUCCESS
}
