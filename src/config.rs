//! As written → as meant: a TOML file, and the pages that it names, turned into every room's settings.
//!
//! The file is walked by hand ([`reader`]), not by serde, so that one look finds every mistake: each with its file, line,
//! column and key, what is wrong and what would be right. Nothing is opened here but files; no room imports this one.

mod error;
mod files;
mod grammar;
mod host;
mod page;
mod problem;
mod reader;
mod report;
mod route;
mod server;
mod signature;
mod tls;
mod upstream;
mod value;
mod variant;
mod words;

use std::path::Path;

pub use error::{Error, Errors, Place};
pub use files::{SourceFile, Unreadable};
pub use grammar::GrammarProblem;
pub use host::{HostProblem, UrlProblem};
pub use page::{PageFault, PageProblem};
pub use problem::Problem;
pub use server::{AdminExposed, check_admin_socket};
pub use signature::SignatureProblem;
pub use tls::TlsProblem;
pub use variant::VariantProblem;
pub use words::{Key, Text};

use crate::{proxy, server as listeners};
use files::Files;
use page::Pages;
use reader::Reader;
use report::Report;
use route::Inherited;
use tls::Found;

/// Every room's settings, and the files that they came from.
#[derive(Clone, Debug)]
pub struct Config {
    /// How we listen.
    pub server: listeners::Settings,
    /// How calls are answered.
    pub site: proxy::Settings,
    /// Every file that was read: the configuration itself, then the pages in the order in which they are named.
    pub files: Vec<SourceFile>,
    /// What does no harm, and no good either.
    pub notes: Vec<Error>,
}

impl Config {
    /// Reads a configuration and every page that it names. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// Every mistake that was found, in the order in which they stand in the file.
    pub fn load(path: &Path) -> Result<Self, Errors> {
        let mut files = Files::default();
        let read = files.read(path);
        let content = read.as_deref().unwrap_or_default();
        // The text up to the first byte that is not UTF-8: all of it, if nothing is wrong.
        let text = content
            .utf8_chunks()
            .next()
            .map_or("", |chunk| chunk.valid());
        let report = Report::on_file(path, text);
        let built = match read {
            Ok(_) if text.len() == content.len() => build(path, &report, &mut files),
            Ok(_) => report.refuse(Some(text.len()), Problem::NotUtf8),
            Err(why) => report.refuse(None, Problem::Unreadable(why)),
        };
        settle(built, report, files.into_list())
    }

    /// The configuration of `run --upstream URL`: one route `default` of kind `auto` takes every request to that app, with
    /// the built-in pages; whatever isn't given has its default.
    ///
    /// # Errors
    ///
    /// What is wrong with the arguments, each by its name on the command line.
    pub fn for_upstream(
        url: &str,
        listen: Option<&str>,
        admin: Option<&str>,
    ) -> Result<Self, Errors> {
        let report = Report::on_arguments();
        let url = report.argument("--upstream", host::url_of(url));
        let server = server::of_arguments(listen, admin, &report);
        let secured = url.and_then(|url| {
            let tls = report.argument("--upstream", tls::of_place(&url))?;
            Some(upstream::at(url, tls))
        });
        let built = secured.map(|upstream| Self {
            server,
            site: proxy::Settings {
                routes: vec![route::catch_all()],
                upstreams: vec![upstream],
                trusted_proxies: server::trusted_proxies(),
                public_url: None,
                unverified_timeout: server::defaults().header_timeout,
                grammar: proxy::Grammar::default(),
                unmatched: route::unmatched(&Inherited::default()),
            },
            files: Vec::new(),
            notes: Vec::new(),
        });
        settle(built, report, Vec::new())
    }
}

/// Walks the whole text. What comes of it is good only if nothing was reported.
fn build(path: &Path, report: &Report<'_>, files: &mut Files) -> Option<Config> {
    let document = report.parse();
    let mut file = Reader::of_file(report, document.get_ref());
    let folder = path.parent().unwrap_or_else(|| Path::new(""));

    let server = file.table("server");
    let has_url = server.has("public_url");
    let (server, trusted_proxies, public_url) = server::read(server, folder, files);
    let mut found = Found { folder, files };
    let upstream = upstream::read(&mut file, &mut found);
    let grammar = grammar::read(&mut file, report);
    let signatures = signature::read(
        file.table("signature"),
        (public_url.as_deref(), has_url),
        folder,
        files,
        report,
    );
    let mut pages = Pages::beside(path, files, &grammar);
    let (inherited, routes) = route::read(&mut file, &mut pages, &signatures);
    route::check(
        &routes,
        &inherited,
        upstream.as_ref(),
        &server.listen,
        report,
    );
    file.finish();

    let site = proxy::Settings {
        unmatched: route::unmatched(&inherited),
        routes: routes
            .into_iter()
            .filter_map(|route| route.settings)
            .collect(),
        upstreams: vec![upstream?.settings],
        trusted_proxies,
        public_url,
        unverified_timeout: server.header_timeout,
        grammar,
    };
    Some(Config {
        server,
        site,
        files: Vec::new(),
        notes: Vec::new(),
    })
}

/// What was built, if nothing is wrong with it.
fn settle(
    built: Option<Config>,
    report: Report<'_>,
    files: Vec<SourceFile>,
) -> Result<Config, Errors> {
    let (found, mut notes) = report.into_found();
    notes.sort_by_key(|note| note.place);
    match built {
        Some(config) if found.is_empty() => Ok(Config {
            files,
            notes,
            ..config
        }),
        _ => Err(Errors::new(found, files)),
    }
}
