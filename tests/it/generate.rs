//! Man pages and completions: every command has them, and they say what `--help` says.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory};
use understudy::command::Arguments;

use support::understudy;

fn generated() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("new");
    let output = understudy(&["generate", "--to", &to.to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    folder
}

fn read(folder: &Path, name: &str) -> String {
    let path = folder.join("new").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every command that isn't hidden, from the top.
fn commands() -> Vec<Command> {
    let mut top = Arguments::command().disable_help_subcommand(true);
    top.build();
    let mut all = vec![top];
    let mut at = 0;
    while let Some(command) = all.get(at) {
        let below = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set());
        let below: Vec<_> = below.cloned().collect();
        all.extend(below);
        at += 1;
    }
    assert!(all.len() > 8, "{}", all.len());
    all
}

fn name(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

/// As a reader of the page sees it, or nearly so.
fn plain(page: &str) -> String {
    let page = page.replace("\\-", "-").replace("\\*(Aq", "'");
    page.replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
}

#[test]
fn every_command_has_a_man_page_with_all_that_its_help_says() {
    let folder = generated();
    for command in commands() {
        let page = plain(&read(folder.path(), &format!("man/{}.1", name(&command))));
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"SEE ALSO\""] {
            let heading = format!(".SH {section}\n");
            assert_eq!(page.matches(&heading).count(), 1, "{section} in\n{page}");
        }
        for argument in command.get_arguments() {
            if let Some(long) = argument.get_long() {
                assert!(page.contains(&format!("--{long}")), "--{long} in\n{page}");
            }
        }
        let help = command.get_after_help().map(ToString::to_string);
        for line in help
            .unwrap_or_default()
            .lines()
            .filter(|line| line.starts_with("  "))
        {
            assert!(
                page.lines().any(|own| own == line.trim()),
                "{line} in\n{page}"
            );
        }
    }
}

#[test]
fn a_man_page_leads_to_those_above_and_below_it() {
    let folder = generated();
    for command in commands() {
        let own = name(&command);
        let Some((above, _)) = own.rsplit_once('-') else {
            continue;
        };
        for (from, to) in [(above, own.as_str()), (&own, above)] {
            let page = plain(&read(folder.path(), &format!("man/{from}.1")));
            let (_, others) = page.split_once(".SH \"SEE ALSO\"").expect("others");
            assert!(others.contains(&format!("{to}(1)")), "{to} in\n{page}");
        }
    }
}

#[test]
fn the_exit_statuses_are_in_the_man_pages() {
    let folder = generated();
    for command in ["run", "check", "lint", "call", "demo", "drill-start"] {
        let page = read(folder.path(), &format!("man/understudy-{command}.1"));
        let (_, statuses) = page.split_once(".SH \"EXIT STATUS\"\n").expect("statuses");
        assert!(statuses.starts_with("0 "), "{page}");
    }
}

#[test]
fn the_man_pages_list_the_files() {
    let folder = generated();
    for command in ["understudy", "understudy-run", "understudy-check"] {
        let page = plain(&read(folder.path(), &format!("man/{command}.1")));
        let (_, files) = page.split_once(".SH FILES\n").expect("files");
        assert!(files.contains("/etc/understudy/understudy.toml"), "{page}");
    }
}

#[test]
fn completions_have_every_command_and_its_options() {
    let folder = generated();
    for file in ["understudy.bash", "_understudy", "understudy.fish"] {
        let completion = read(folder.path(), &format!("completions/{file}"));
        for command in commands().iter().skip(1) {
            assert!(
                completion.contains(command.get_name()),
                "{command} in {file}"
            );
            for argument in command.get_arguments() {
                let long = argument.get_long().unwrap_or_default();
                assert!(completion.contains(long), "--{long} of {command} in {file}");
            }
        }
        assert!(!completion.contains("generate"), "{file}");
    }
}

#[test]
fn the_command_for_packagers_is_hidden() {
    let folder = generated();
    let help = understudy(&["--help"]).stdout;
    let help = String::from_utf8(help).expect("text");
    let page = read(folder.path(), "man/understudy.1");
    assert!(!help.contains("generate") && !page.contains("generate"));
    assert!(!folder.path().join("new/man/understudy-generate.1").exists());
}

#[test]
fn a_folder_that_can_not_be_created_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let output = understudy(&["generate", "--to", &file.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("file/man: the folder can't be created: "),
        "{said}"
    );
}
