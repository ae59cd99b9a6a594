//! The configuration: a TOML file, and the files that it names, become the settings of every module.
//!
//! The table is read by hand ([`reader`]), not by serde, so that every error is reported at once: each with its file, line, column
//! and key, and what would be right. Only files are opened here. No module that handles requests imports this one.

mod diagnostic;
mod fallback;
mod files;
mod grammar;
mod include;
mod pattern;
mod queue;
mod reader;
mod report;
mod route;
mod server;
mod signature;
mod tls;
mod upstream;
mod url;
mod value;
mod variables;

use std::borrow::Borrow;
use std::path::Path;

pub use diagnostic::{Diagnostic, Position};
pub use files::{ReadError, SourceFile};
pub use pattern::NamePattern;
pub use server::check_admin_socket;

use crate::{proxy, server as listeners};
use fallback::DocumentReader;
use files::Files;
use reader::Reader;
use report::Report;
use route::Routes;
use signature::Signatures;

/// The settings of every module, and the files that they come from.
#[derive(Clone, Debug)]
pub struct Config {
    /// How we listen.
    pub server: listeners::Settings,
    /// How requests are handled.
    pub proxy: proxy::Settings,
    /// Every file that was read, and every pattern of names: the configuration itself, then the others in the order in which they
    /// are named.
    pub files: Vec<SourceFile>,
    /// What is not an error, but may not be meant.
    pub notes: Vec<Diagnostic>,
}

/// Every error in a configuration, at least one, in the order of its files. Displayed one per line.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", lines(.diagnostics))]
pub struct Errors {
    diagnostics: Vec<Diagnostic>,
    files: Vec<SourceFile>,
}

impl Config {
    /// Reads a configuration and every file that it names. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// Every error that was found: those of the file itself, then those of each included file, in their order.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        let mut files = Files::default();
        let content = files.read(path);
        let report = Report::on_file(&path.into(), content.as_deref().unwrap_or_default());
        let document = match &content {
            Ok(_) => report.parse(),
            Err(error) => {
                report.file_error(None, Diagnostic::new(error.to_string()));
                None
            }
        };
        let Some(document) = document else {
            return finish(None, &[report], files.into_list());
        };
        let mut main = Reader::of_file(&report, document.get_ref());
        let included = include::read_files(&mut main, path, &mut files);
        let reports: Vec<_> = (included.files.iter())
            .map(|file| Report::on_file(&file.path, &file.content))
            .collect();
        let documents: Vec<_> = (reports.iter())
            .filter_map(|report| Some((report, report.parse()?)))
            .collect();
        let readers = documents.iter();
        let readers = readers.map(|(report, document)| Reader::of_file(report, document.get_ref()));
        let reports: Vec<_> = [&report].into_iter().chain(&reports).collect();
        let is_complete = included.are_all_read && !reports.iter().any(|report| report.is_broken());
        let config = build(main, readers.collect(), is_complete, &mut files);
        finish(Some(config), &reports, files.into_list())
    }

    /// The configuration of `run --upstream URL`: one route named `default` of kind `auto` takes every request to that app,
    /// with the built-in fallback documents. Whatever isn't given has its default.
    ///
    /// # Errors
    ///
    /// What is wrong with the arguments, each under its name on the command line.
    pub fn for_upstream(
        url: &str,
        listen: Option<&str>,
        admin: Option<&str>,
    ) -> Result<Self, Errors> {
        let report = Report::on_arguments();
        let origin = report.argument("--upstream", url::parse_origin_text(url));
        let server = server::settings_from_arguments(listen, admin, &report);
        let upstream = origin.and_then(|origin| {
            let tls = report.argument("--upstream", tls::default_client(&origin))?;
            Some(upstream::default_settings(origin, tls))
        });
        let (unmatched, routes) = route::default_routes();
        let config = upstream.map(|upstream| Self {
            proxy: proxy::Settings {
                routes,
                upstreams: vec![upstream],
                trusted_proxies: server::default_trusted_proxies(),
                public_url: None,
                unverified_timeout: server.header_timeout,
                queue: None,
                grammar: proxy::Grammar::default(),
                unmatched,
            },
            server,
            files: Vec::new(),
            notes: Vec::new(),
        });
        finish(config, &[report], Vec::new())
    }
}

/// Reads the main file and those that it includes. The result is valid only if no error was reported. If they are not complete,
/// upstreams may be missing only because of that.
fn build<'a>(
    mut main: Reader<'a>,
    mut included: Vec<Reader<'a>>,
    is_complete: bool,
    files: &mut Files,
) -> Config {
    let server = server::read(&mut main, files);
    let upstreams = upstream::read_all(&mut main, &mut included, files);
    let grammar = grammar::read(&mut main);
    let signatures = Signatures::read(&mut main, &server.public_url, files);
    let queue = queue::read(&mut main);
    let mut documents = DocumentReader::new(files, &grammar);
    let routes = Routes::read(&mut main, &mut included, &mut documents, &signatures);
    routes.check(&upstreams, &server.settings.listen);
    routes.check_queue(&queue);
    if is_complete {
        routes.check_upstreams(&upstreams);
    }
    main.finish();
    (included.iter()).for_each(|file| include::finish(file, &main));

    let routes_settings = routes.list.into_iter().map(|route| route.settings);
    let upstreams = upstreams.into_iter().map(|upstream| upstream.settings);
    Config {
        proxy: proxy::Settings {
            routes: routes_settings.collect(),
            upstreams: upstreams.collect(),
            trusted_proxies: server.trusted_proxies,
            public_url: server.public_url.url,
            unverified_timeout: server.settings.header_timeout,
            queue: queue.settings,
            unmatched: routes.defaults,
            grammar,
        },
        server: server.settings,
        files: Vec::new(),
        notes: Vec::new(),
    }
}

/// The configuration with its files and notes, if no error was reported.
fn finish<'t>(
    config: Option<Config>,
    reports: &[impl Borrow<Report<'t>>],
    files: Vec<SourceFile>,
) -> Result<Config, Errors> {
    let reports = reports.iter().map(Borrow::borrow);
    let (errors, notes): (Vec<_>, Vec<_>) = reports.map(Report::take_diagnostics).unzip();
    let (errors, notes) = (errors.concat(), notes.concat());
    match config {
        Some(config) if errors.is_empty() => Ok(Config {
            files,
            notes,
            ..config
        }),
        Some(_) | None => Err(Errors {
            diagnostics: errors,
            files,
        }),
    }
}

impl Errors {
    /// Every file that was asked for, also those that couldn't be read: a change of one of them may make the configuration valid.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    let lines: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
