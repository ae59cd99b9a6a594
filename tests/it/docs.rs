//! What the pages in `docs/` say is so, and their links and those of the README lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use understudy::config::Config;
use understudy::signature::Tokens;
use understudy::twiml::Kind;
use understudy::webhook::Parameters;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Each page with its text: the README, and all in `docs/`.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(top().join("docs")).expect("a folder");
    let docs = docs.map(|entry| entry.expect("it can be read").path());
    let all = docs.chain([top().join("README.md")]);
    all.map(|path| {
        let text = fs::read_to_string(&path).expect("a page");
        (path, text)
    })
    .collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(top().join("docs").join(name)).expect("a page")
}

fn blocks<'t>(text: &'t str, language: &str) -> impl Iterator<Item = &'t str> {
    let fence = format!("```{language}\n");
    let blocks: Vec<_> = text.split(&*fence).skip(1).collect();
    blocks
        .into_iter()
        .map(|rest| rest.split("```").next().expect("an end"))
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_exist() {
    for (path, text) in pages() {
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().expect("an end");
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("a folder").join(file),
            };
            let target = fs::read_to_string(&target)
                .unwrap_or_else(|error| panic!("{}: {link}: {error}", path.display()));
            let mut headings = target.lines().filter(|line| line.starts_with('#'));
            let found = heading.is_empty() || headings.any(|line| anchor(line) == heading);
            assert!(found, "{}: {link}", path.display());
        }
    }
}

/// The name by which a heading is linked to.
#[test]
fn the_changelog_has_an_entry_for_this_version_with_its_date() {
    let changelog = fs::read_to_string(top().join("CHANGELOG.md")).expect("a changelog");
    let heading = format!("\n## {} (", env!("CARGO_PKG_VERSION"));
    let (_, rest) = changelog.split_once(&heading).expect("an entry");
    let (date, _) = rest.split_once(")\n").expect("a date");
    humantime::parse_rfc3339(&format!("{date}T00:00:00Z")).expect("a day");
}

fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_configuration_is_good() {
    let folder = tempfile::tempdir().expect("a folder");
    for document in ["voice.en.xml", "voice.fr.xml"] {
        let from = top().join("config/fallback").join(document);
        fs::copy(from, folder.path().join(document)).expect("a document");
    }
    let certified = rcgen::generate_simple_self_signed(["app.internal".to_owned()]);
    let certificate = certified.expect("a certificate").cert.pem();
    fs::write(folder.path().join("app.pem"), certificate).expect("a file");
    for entry in fs::read_dir(top().join("docs")).expect("a folder") {
        let path = entry.expect("it can be read").path();
        let text = fs::read_to_string(&path).expect("a page");
        for block in blocks(&text, "toml") {
            let whole = format!("{block}\n[upstream]\nurl = \"http://127.0.0.1:3000\"\n");
            let file = folder.path().join("understudy.toml");
            fs::write(&file, whole).expect("a file");
            Config::load(&file).unwrap_or_else(|errors| panic!("{}: {errors}", path.display()));
        }
    }
}

#[test]
fn the_tokens_file_is_good() {
    let text = page("twilio.md");
    let file = text.split("```\n").nth(1).expect("a block");
    assert!(file.contains("webhooks_sharedkey_"));
    Tokens::parse(file.as_bytes()).expect("good lines");
}

#[test]
fn every_mark_of_a_callback_in_the_table_of_auto_is_one() {
    let text = page("twilio.md");
    let row = text
        .lines()
        .find(|line| line.starts_with("| `CallbackSource`"));
    let row = row.expect("a row").split('|').nth(1).expect("a column");
    let marks: Vec<_> = row.split('`').skip(1).step_by(2).collect();
    assert!(marks.len() >= 8, "{marks:?}");
    let call = "CallSid=CA1&CallStatus=in-progress";
    let kind = |form: &str| Parameters::new(b"", form.as_bytes()).twiml_kind();
    assert_eq!(kind(call), Some(Kind::Voice));
    for mark in marks {
        assert_eq!(kind(&format!("{call}&{mark}=x")), None, "{mark}");
    }
}
