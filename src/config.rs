//! The configuration: a TOML file, and the files that it names, become the settings of every module.
//!
//! The table is read by hand ([`reader`]), not by serde, so that every error is reported at once: each with its file, line, column
//! and key, and what would be right. Only files are opened here. No module that handles requests imports this one.

mod diagnostic;
mod fallback;
mod files;
mod grammar;
mod reader;
mod report;
mod route;
mod server;
mod signature;
mod tls;
mod upstream;
mod url;
mod value;

use std::path::Path;

pub use diagnostic::{Diagnostic, Position};
pub use files::{ReadError, SourceFile};
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
    /// Every file that was read: the configuration itself, then the others in the order in which they are named.
    pub files: Vec<SourceFile>,
    /// What is not an error, but may not be meant.
    pub notes: Vec<Diagnostic>,
}

/// Every error in a configuration, at least one, in the order of the file. Displayed one per line.
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
    /// Every error that was found, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        let mut files = Files::beside(path);
        let read = files.read(path);
        let content = read.as_deref().unwrap_or_default();
        // The text up to the first byte that is not UTF-8: all of it, if nothing is wrong.
        let text = content
            .utf8_chunks()
            .next()
            .map_or("", |chunk| chunk.valid());
        let report = Report::on_file(path, text);
        let config = match read {
            Ok(_) if text.len() == content.len() => Some(build(&report, &mut files)),
            Ok(_) => {
                let error = Diagnostic::new("this byte is not UTF-8");
                report.file_error(Some(text.len()), error.help("save the file as UTF-8"));
                None
            }
            Err(error) => {
                report.file_error(None, Diagnostic::new(error.to_string()));
                None
            }
        };
        finish(config, report, files.into_list())
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
                grammar: proxy::Grammar::default(),
                unmatched,
            },
            server,
            files: Vec::new(),
            notes: Vec::new(),
        });
        finish(config, report, Vec::new())
    }
}

/// Reads the whole file. The result is valid only if no error was reported.
fn build(report: &Report<'_>, files: &mut Files) -> Config {
    let document = report.parse();
    let mut file = Reader::of_file(report, document.get_ref());
    let server = server::read(&mut file, files);
    let upstreams = upstream::read_all(&mut file, files);
    let grammar = grammar::read(&mut file);
    let signatures = Signatures::read(&mut file, &server.public_url, files);
    let mut documents = DocumentReader::new(files, &grammar);
    let routes = Routes::read(&mut file, &mut documents, &signatures);
    routes.check(&upstreams, &server.settings.listen);
    file.finish();

    let routes_settings = routes.list.into_iter().map(|route| route.settings);
    let upstreams = upstreams.into_iter().map(|upstream| upstream.settings);
    Config {
        proxy: proxy::Settings {
            routes: routes_settings.collect(),
            upstreams: upstreams.collect(),
            trusted_proxies: server.trusted_proxies,
            public_url: server.public_url.url,
            unverified_timeout: server.settings.header_timeout,
            unmatched: routes.defaults,
            grammar,
        },
        server: server.settings,
        files: Vec::new(),
        notes: Vec::new(),
    }
}

/// The configuration with its files and notes, if no error was reported.
fn finish(
    config: Option<Config>,
    report: Report<'_>,
    files: Vec<SourceFile>,
) -> Result<Config, Errors> {
    let (mut errors, mut notes) = report.into_diagnostics();
    notes.sort_by_key(|note| note.position);
    match config {
        Some(config) if errors.is_empty() => Ok(Config {
            files,
            notes,
            ..config
        }),
        Some(_) | None => {
            errors.sort_by_key(|error| error.position);
            Err(Errors {
                diagnostics: errors,
                files,
            })
        }
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
