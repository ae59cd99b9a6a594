//! `understudy generate`: man pages and completions for shells, for packages. They are made from the commands' definitions, so
//! they say what `--help` says.

mod man;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Where the files go.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder, which is created if it doesn't exist: man pages go to `man` in it, completions to `completions`.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

/// What can't be written.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{path}: the folder can't be created: {1}", path = .0.display())]
    Folder(PathBuf, io::Error),
    #[error("{path}: the man page can't be written: {1}", path = .0.display())]
    ManPage(PathBuf, io::Error),
    #[error("the completion for {0} can't be written: {1}")]
    Completion(Shell, io::Error),
}

/// Writes all man pages and completions of this command.
pub fn run(arguments: &Arguments, command: &Command, err: &mut dyn Write) -> ExitCode {
    match generate(command, &arguments.to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(err, "{error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(command: &Command, folder: &Path) -> Result<(), Error> {
    let mut command = without_hidden(command);
    command.build();
    write_man_pages(&command, &create_folder(folder.join("man"))?)?;
    let completions = create_folder(folder.join("completions"))?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut command, "understudy", &completions)
            .map_err(|error| Error::Completion(shell, error))?;
    }
    Ok(())
}

/// The command without hidden subcommands, which completions would show.
fn without_hidden(whole: &Command) -> Command {
    let visible: Vec<_> = man::visible_subcommands(whole).cloned().collect();
    Command::new("understudy")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .args(whole.get_arguments().cloned())
        .subcommands(visible)
        .subcommand_required(true)
        .disable_help_subcommand(true)
}

fn create_folder(folder: PathBuf) -> Result<PathBuf, Error> {
    match fs::create_dir_all(&folder) {
        Ok(()) => Ok(folder),
        Err(error) => Err(Error::Folder(folder, error)),
    }
}

/// Writes a page for this command, and for each below it.
fn write_man_pages(command: &Command, folder: &Path) -> Result<(), Error> {
    let path = folder.join(format!("{}.1", man::name(command)));
    man::page(command)
        .and_then(|page| fs::write(&path, page))
        .map_err(|error| Error::ManPage(path, error))?;
    man::visible_subcommands(command).try_for_each(|below| write_man_pages(below, folder))
}
