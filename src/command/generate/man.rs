//! One man page: what clap knows of a command, and what its help says below its options, as the sections that man(7) has for it.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

const VERSION: &str = concat!("understudy ", env!("CARGO_PKG_VERSION"));

const FILES: [(&str, &str); 4] = [
    ("/etc/understudy/understudy.toml", "The configuration."),
    (
        "/etc/understudy/fallback/",
        "The pages that stand in for the app.",
    ),
    (
        "/usr/share/doc/understudy/examples/understudy.toml",
        "Every key of the configuration with its default and its reason.",
    ),
    (
        "/usr/lib/systemd/system/understudy.service, understudy.socket",
        "The service, and the public address that systemd listens on for it.",
    ),
];

/// What a command is called from top to bottom: `understudy-drill-start`.
pub(super) fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

/// The commands below this one that a user is told of.
pub(super) fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
}

/// The page of a command that has been built.
pub(super) fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .source(VERSION)
        .manual("understudy");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::default();
    if let Some(help) = command.get_after_help() {
        after_help(&help.to_string(), &mut rest);
    }
    let reads_files = command.get_arguments().any(|own| own.get_id() == "config");
    if reads_files || !name(command).contains('-') {
        files(&mut rest);
    }
    see_also(command, &mut rest);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// Each block of a help's end begins with its title: a section of its own, but for more examples.
fn after_help(help: &str, roff: &mut Roff) {
    for block in help.split("\n\n") {
        let (title, rest) = block.split_once(':').unwrap_or(("Notes", block));
        match title {
            "Example" | "Examples" => roff.control("SH", ["EXAMPLES"]),
            title if title.starts_with("In ") => roff.control("SS", [title]),
            title => roff.control("SH", [title.to_uppercase().as_str()]),
        };
        match rest.strip_prefix('\n') {
            Some(lines) => literally(lines, roff),
            None => drop(roff.text([roman(rest.trim_start())])),
        }
    }
}

/// Lines that someone may type, as they are.
fn literally(lines: &str, roff: &mut Roff) {
    roff.control("PP", []);
    roff.control("RS", ["4"]);
    roff.control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line.trim_start())]);
    }
    roff.control("fi", []);
    roff.control("RE", []);
}

fn files(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    for (path, what) in FILES {
        roff.control("TP", []);
        roff.text([bold(path)]);
        roff.text([roman(what)]);
    }
}

/// The pages above and below, and what runs it.
fn see_also(command: &Command, roff: &mut Roff) {
    let own = name(command);
    let above = own.match_indices('-').map(|(end, _)| &own[..end]);
    let below = shown(command).map(name);
    let pages = above.chain(below).map(|page| format!("{page}(1)"));
    let others = ["systemd.socket(5)", "systemctl(1)"].map(str::to_owned);
    let pages: Vec<_> = pages.chain(others).collect();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
}
