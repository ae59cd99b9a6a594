//! One man page: what clap knows of a command, and its help's last part as sections of man(7).

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

const VERSION: &str = concat!("understudy ", env!("CARGO_PKG_VERSION"));

const FILES: [(&str, &str); 4] = [
    ("/etc/understudy/understudy.toml", "The configuration."),
    ("/etc/understudy/fallback/", "The fallback documents."),
    (
        "/usr/share/doc/understudy/examples/understudy.toml",
        "Every key of the configuration with its default and its reason.",
    ),
    (
        "/usr/lib/systemd/system/understudy.service, understudy.socket",
        "The service, and the public socket that systemd listens on for it.",
    ),
];

/// The full name of a command: `understudy-drill-start`.
pub(super) fn name(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

/// The subcommands that aren't hidden.
pub(super) fn visible_subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
}

/// The man page of a command after `build`.
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
        add_after_help(&help.to_string(), &mut rest);
    }
    let reads_files = command
        .get_arguments()
        .any(|argument| argument.get_id() == "config");
    if reads_files || !name(command).contains('-') {
        add_files(&mut rest);
    }
    add_see_also(command, &mut rest);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// Each block of the help's last part begins with its title and becomes a section; further examples become a subsection.
fn add_after_help(help: &str, roff: &mut Roff) {
    for block in help.split("\n\n") {
        let (title, rest) = block.split_once(':').unwrap_or(("Notes", block));
        match title {
            "Example" | "Examples" => roff.control("SH", ["EXAMPLES"]),
            title if title.starts_with("In ") => roff.control("SS", [title]),
            title => roff.control("SH", [title.to_uppercase().as_str()]),
        };
        match rest.strip_prefix('\n') {
            Some(lines) => add_literal(lines, roff),
            None => drop(roff.text([roman(rest.trim_start())])),
        }
    }
}

/// Lines that someone may type, unchanged.
fn add_literal(lines: &str, roff: &mut Roff) {
    roff.control("PP", []);
    roff.control("RS", ["4"]);
    roff.control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line.trim_start())]);
    }
    roff.control("fi", []);
    roff.control("RE", []);
}

fn add_files(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    for (path, description) in FILES {
        roff.control("TP", []);
        roff.text([bold(path)]);
        roff.text([roman(description)]);
    }
}

/// The pages of the commands above and below, and of systemd's parts.
fn add_see_also(command: &Command, roff: &mut Roff) {
    let own = name(command);
    let above = own.match_indices('-').map(|(end, _)| &own[..end]);
    let below = visible_subcommands(command).map(name);
    let pages = above.chain(below).map(|page| format!("{page}(1)"));
    let others = ["systemd.socket(5)", "systemctl(1)"].map(str::to_owned);
    let pages: Vec<_> = pages.chain(others).collect();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
}
