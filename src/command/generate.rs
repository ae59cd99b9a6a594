//! `understudy generate`: man pages and completions for shells, for whoever makes a package of it. They are made of the commands
//! themselves, so they tell what `--help` tells.

mod man;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fmt, fs};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Where they are to be.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder, which is made if it isn't there: man pages go to `man` in it, completions to `completions`.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// What can't be written.
#[derive(Debug)]
enum Fault {
    Folder(PathBuf, io::Error),
    Page(PathBuf, io::Error),
    Completion(Shell, io::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path, error) => {
                write!(f, "{}: no such folder can be made: {error}", path.display())
            }
            Self::Page(path, error) => {
                write!(f, "{}: it can't be written: {error}", path.display())
            }
            Self::Completion(shell, error) => {
                write!(f, "the completion for {shell} can't be written: {error}")
            }
        }
    }
}

/// Writes them all: whether that went well.
pub fn run(arguments: &Arguments, err: &mut dyn Write) -> ExitCode {
    match generate(&arguments.to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            // Nobody is left to tell if that fails too.
            let _ = writeln!(err, "{fault}");
            ExitCode::FAILURE
        }
    }
}

fn generate(folder: &Path) -> Result<(), Fault> {
    let mut command = for_users(&super::Arguments::command());
    command.build();
    pages(&command, &made(folder.join("man"))?)?;
    let completions = made(folder.join("completions"))?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command, "understudy", &completions)
            .map_err(|error| Fault::Completion(shell, error))?;
    }
    Ok(())
}

/// The command without what is hidden, which completions would show all the same.
fn for_users(whole: &Command) -> Command {
    let shown: Vec<_> = man::shown(whole).cloned().collect();
    Command::new("understudy")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .args(whole.get_arguments().cloned())
        .subcommands(shown)
        .subcommand_required(true)
        .disable_help_subcommand(true)
}

fn made(folder: PathBuf) -> Result<PathBuf, Fault> {
    match fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(error) => Err(Fault::Folder(folder, error)),
    }
}

/// A page for this command, and for each below it.
fn pages(command: &Command, folder: &Path) -> Result<(), Fault> {
    let path = folder.join(format!("{}.1", man::name(command)));
    man::page(command)
        .and_then(|page| fs::write(&path, page))
        .map_err(|error| Fault::Page(path, error))?;
    man::shown(command).try_for_each(|below| pages(below, folder))
}
