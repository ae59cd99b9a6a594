//! The validator against documents that others wrote: Twilio's samples, what its SDKs write, documents for which Twilio's result
//! is known, the W3C's XML suite, and the elements of six SDKs. Other people's documents are read from beside the checkout; where
//! they are missing these tests say so and pass.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
};

use serde_json::Value;
use understudy::fallback::check_with_second_parser;
use understudy::twiml::{
    Finding, Kind, Level, Problem, Rules, SchemaError, Strictness, check_well_formed, decode_lossy,
    lint, validate,
};
use zip::ZipArchive;

use support::{corpus, fixture, json_fixture};

/// The documents of a file with one JSON object a line.
fn documents(file: &str) -> Vec<Value> {
    let Some(path) = corpus(&format!("{file}.jsonl")) else {
        return Vec::new();
    };
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("is JSON"))
        .collect();
    assert!(!lines.is_empty(), "{} holds no document", path.display());
    lines
}

fn word<'v>(document: &'v Value, key: &str) -> &'v str {
    document[key].as_str().unwrap_or_default()
}

/// The kinds that a document may be of.
fn kinds(document: &Value) -> &'static [Kind] {
    match word(document, "kind") {
        "voice" | "voice?" => &[Kind::Voice],
        "messaging" => &[Kind::Messaging],
        _ => &[Kind::Voice, Kind::Messaging],
    }
}

/// What our scanner accepts the second parser must accept too.
fn check_with_both_parsers(document: &[u8]) {
    if check_well_formed(document, None).is_ok() {
        let text = decode_lossy(document, None);
        assert_eq!(check_with_second_parser(&text), Ok(()), "{text}");
    }
}

#[test]
fn both_parsers_accept_the_fixtures() {
    let mut accepted = 0;
    for entry in fs::read_dir(fixture("reports")).expect("there are fixtures") {
        let document = fs::read(entry.expect("it can be read").path()).expect("it can be read");
        check_with_both_parsers(&document);
        accepted += usize::from(check_well_formed(&document, None).is_ok());
    }
    assert!(accepted > 3, "only {accepted} fixtures are XML");
}

fn line(finding: &Finding) -> String {
    format!(
        "{}[{}] {} {}: {finding}",
        finding.level(),
        finding.code(),
        finding.position(),
        finding.path()
    )
}

#[test]
fn documents_by_twilio_and_its_sdks_are_valid() {
    for document in ["api-snippets", "sdk-tests", "sdk-fragments"]
        .iter()
        .flat_map(|file| documents(file))
    {
        let is_twiml = document["well_formed"] == true
            && document["templated"] == false
            && document["root"] == "Response";
        let text = word(&document, "document");
        for &kind in kinds(&document).iter().filter(|_| is_twiml) {
            let parsed = validate(
                text.to_owned().into(),
                None,
                &Rules::new(kind, Strictness::Twilio),
            );
            let error = parsed.err().map(|error| line(error.finding()));
            assert_eq!(error, None, "{} as {kind}\n{text}", word(&document, "name"));
        }
    }
}

#[test]
fn well_formedness_is_what_the_corpus_says() {
    for document in ["api-snippets", "sdk-tests", "sdk-fragments"]
        .iter()
        .flat_map(|file| documents(file))
    {
        let text = word(&document, "document");
        let result = check_well_formed(text.as_bytes(), None);
        check_with_both_parsers(text.as_bytes());
        // The corpus was sorted by a parser that knows namespaces, which TwiML does not.
        let only_a_prefix = text.contains("<amazon:");
        if !only_a_prefix {
            assert_eq!(
                result.is_ok(),
                document["well_formed"] == true,
                "{} {result:?}\n{text}",
                word(&document, "name")
            );
        }
    }
}

#[test]
fn results_are_those_of_twilio() {
    for document in documents("oracle") {
        let Some(text) = document["document"].as_str() else {
            continue;
        }; // about a status or a content type
        let (code, level) = (word(&document, "twilio_code"), word(&document, "level"));
        if document["content_type"] == "text/plain" {
            continue; // never validated: it is texted or read aloud
        }
        for &kind in kinds(&document) {
            let name = format!("{} as {kind}", word(&document, "file"));
            let report = lint(text.as_bytes(), None, &Rules::new(kind, Strictness::Twilio));
            let findings: Vec<_> = report.findings().iter().map(line).collect();
            let wanted = format!("{}[{code}]", level.to_lowercase());
            match code {
                "" => assert!(findings.is_empty(), "{name}: {findings:#?}"),
                _ => assert!(
                    findings.iter().any(|f| f.starts_with(&wanted)),
                    "{name}: {wanted} {findings:#?}"
                ),
            }
            assert_eq!(
                report.is_valid(Strictness::Twilio),
                level != "ERROR",
                "{name}: {findings:#?}"
            );
        }
    }
}

mod w3c {
    use super::*;

    /// One of the suite's documents.
    struct Document {
        path: String,
        is_well_formed: bool,
        bytes: Vec<u8>,
    }

    /// The suite's documents without a DOCTYPE that are for XML 1.0 in its fifth edition.
    fn suite() -> Vec<Document> {
        let Some(path) = corpus("xmlts20130923.zip") else {
            return Vec::new();
        };
        let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut files = unpacked(ZipArchive::new(file).expect("is a zip"));
        let catalogues: Vec<_> = files
            .iter()
            .filter(|(_, bytes)| contains(bytes, b"<TEST "))
            .collect();
        let tests: Vec<_> = catalogues
            .into_iter()
            .flat_map(|(path, bytes)| tests_of(path, bytes))
            .collect();
        let wanted = tests.into_iter().filter(|test| test.is_wanted());
        let documents = wanted.filter_map(|test| {
            let bytes = files.remove(&test.path)?;
            (!has_doctype(&bytes)).then(|| Document {
                is_well_formed: test.kind != "not-wf",
                path: test.path,
                bytes,
            })
        });
        documents.collect()
    }

    fn unpacked(mut zip: ZipArchive<File>) -> HashMap<String, Vec<u8>> {
        let mut files = HashMap::new();
        for i in 0..zip.len() {
            let mut entry = zip.by_index(i).expect("is listed");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("can be unpacked");
            let name = entry.name().expect("has a name").into_owned();
            files.insert(name, bytes);
        }
        files
    }

    /// A `<TEST …>` of a catalogue.
    struct Test {
        path: String,
        kind: String,
        recommendation: String,
        edition: String,
    }

    impl Test {
        fn is_wanted(&self) -> bool {
            let fifth =
                self.edition.is_empty() || self.edition.split(' ').any(|edition| edition == "5");
            let first = self.recommendation.is_empty() || self.recommendation.starts_with("XML1.0");
            // "error": a processor may report it or not.
            fifth && first && self.kind != "error"
        }
    }

    fn tests_of(catalogue: &str, bytes: &[u8]) -> Vec<Test> {
        let text = String::from_utf8_lossy(bytes);
        let folder = catalogue.rsplit_once('/').map_or("", |(folder, _)| folder);
        let tests = text.split("<TEST ").skip(1).map(|test| {
            let attributes = test.split('>').next().unwrap_or_default();
            Test {
                path: format!("{folder}/{}", attribute(attributes, "URI")),
                kind: attribute(attributes, "TYPE").into(),
                recommendation: attribute(attributes, "RECOMMENDATION").into(),
                edition: attribute(attributes, "EDITION").into(),
            }
        });
        tests.collect()
    }

    /// The value of an attribute, between either quotes.
    fn attribute<'t>(tag: &'t str, name: &str) -> &'t str {
        let after = tag.split(&format!("{name}=")).nth(1).unwrap_or_default();
        after
            .get(1..)
            .and_then(|value| value.split(&after[..1]).next())
            .unwrap_or_default()
    }

    fn has_doctype(bytes: &[u8]) -> bool {
        let wide: Vec<u8> = "<!DOCTYPE"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        contains(bytes, b"<!DOCTYPE") || contains(bytes, &wide) || contains(bytes, &wide[1..])
    }

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn what_is_not_well_formed_is_rejected_and_the_rest_accepted() {
        let suite = suite();
        for Document {
            path,
            is_well_formed,
            bytes,
        } in &suite
        {
            let result = check_well_formed(bytes, None);
            check_with_both_parsers(bytes);
            assert_eq!(
                result.is_ok(),
                *is_well_formed,
                "{path} {result:?}\n{}",
                String::from_utf8_lossy(bytes)
            );
        }
        let good = suite
            .iter()
            .filter(|document| document.is_well_formed)
            .count();
        assert!(
            suite.is_empty() || good > 50 && suite.len() - good > 200,
            "{good} of {} are good",
            suite.len()
        );
    }
}

mod table {
    use super::*;

    /// Codes that are neither in the SDKs nor in the dictionary's pages on single attributes.
    const OURS: &[(&str, &str, u64)] = &[
        ("Say", "language", 13512),
        ("Conference", "coach", 13240),
        ("Stream", "url", 31922),
        ("Stream", "track", 31941),
        ("Response", "version", 12101),
    ];

    /// What the table lacks although SDKs had it: the live schema refuses it ("Attribute 'interruptByDtmf' is not allowed to
    /// appear in element 'ConversationRelay'", 12200, in Twilio's debugger).
    const REFUSED: &[(&str, &str)] = &[("ConversationRelay", "interruptByDtmf")];

    fn schema(kind: Kind) -> Vec<Value> {
        let mut schema = json_fixture("twiml-schema.json");
        let elements = schema["kinds"][kind.to_string().to_lowercase()]["elements"].take();
        elements.as_array().expect("is a list").clone()
    }

    /// The tags from the root down to each definition, by the name of the definition.
    fn ways(elements: &[Value]) -> HashMap<&str, Vec<&str>> {
        let Some(root) = elements.first() else {
            return HashMap::new();
        };
        let mut ways = HashMap::from([(word(root, "name"), vec!["Response"])]);
        let by_name: HashMap<_, _> = elements.iter().map(|e| (word(e, "name"), e)).collect();
        let mut next = vec![word(root, "name")];
        while let Some(name) = next.pop() {
            for child in by_name[name]["children_ref"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let (child, tag) = (word(child, "name"), word(child, "tag"));
                if !ways.contains_key(child) {
                    ways.insert(child, ways[name].iter().copied().chain([tag]).collect());
                    next.push(child);
                }
            }
        }
        ways
    }

    /// A document that leads down to the innermost tag and ends with this.
    fn document(way: &[&str], end: &str) -> String {
        let open: String = way.iter().map(|tag| format!("<{tag}>")).collect();
        let close: String = way.iter().rev().map(|tag| format!("</{tag}>")).collect();
        format!("{open}{end}{close}")
    }

    fn with_attribute(way: &[&str], name: &str, value: &str) -> String {
        let (tag, above) = way.split_last().expect("leads somewhere");
        if above.is_empty() {
            format!("<{tag} {name}='{value}'/>")
        } else {
            document(above, &format!("<{tag} {name}='{value}'/>"))
        }
    }

    /// The codes found at exactly this path.
    fn found(kind: Kind, text: &str, path: &str) -> Vec<(u64, Level)> {
        let report = lint(text.as_bytes(), None, &Rules::new(kind, Strictness::Twilio));
        let here = report
            .findings()
            .iter()
            .filter(|finding| finding.path() == path);
        here.map(|finding| (finding.code().into(), finding.level()))
            .collect()
    }

    fn good_value(attribute: &Value) -> String {
        let first = |key: &str| attribute[key][0].as_str().map(str::to_owned);
        let sample = match word(attribute, "type") {
            "boolean" => "true",
            "integer" | "number" => "1",
            "method" => "GET",
            "url" => "/x",
            _ => "",
        };
        first("enum_values")
            .or_else(|| first("extra_values"))
            .unwrap_or_else(|| sample.into())
    }

    #[test]
    fn has_every_child_that_the_sdks_have() {
        for kind in [Kind::Voice, Kind::Messaging] {
            let elements = schema(kind);
            let ways = ways(&elements);
            for element in &elements {
                let way = &ways[word(element, "name")];
                for child in element["children"].as_array().into_iter().flatten() {
                    let child = child.as_str().expect("is a name");
                    let path = format!("{}/{child}", way.join("/"));
                    assert!(
                        !is_unlisted(kind, &document(way, &format!("<{child}/>")), &path),
                        "{path}"
                    );
                }
            }
        }
    }

    /// Whether the element or attribute at this path is one that the table does not have there.
    fn is_unlisted(kind: Kind, text: &str, path: &str) -> bool {
        let report = lint(text.as_bytes(), None, &Rules::new(kind, Strictness::Twilio));
        let mut here = report
            .findings()
            .iter()
            .filter(|finding| finding.path() == path);
        here.any(|finding| {
            matches!(
                finding.problem(),
                Problem::Schema(
                    SchemaError::UnknownElement { .. }
                        | SchemaError::UnknownAttribute { .. }
                        | SchemaError::MisplacedElement { .. }
                        | SchemaError::OtherKind { .. }
                )
            )
        })
    }

    #[test]
    fn has_every_attribute_with_its_code_and_no_higher_level() {
        for kind in [Kind::Voice, Kind::Messaging] {
            let elements = schema(kind);
            let ways = ways(&elements);
            for element in &elements {
                let way = &ways[word(element, "name")];
                for key in ["attributes", "legacy_attributes"] {
                    for (name, attribute) in element[key].as_object().into_iter().flatten() {
                        check(kind, way, name, attribute);
                        for alias in attribute["aliases"].as_array().into_iter().flatten() {
                            check(kind, way, alias.as_str().expect("is a name"), attribute);
                        }
                    }
                }
            }
        }
    }

    fn check(kind: Kind, way: &[&str], name: &str, attribute: &Value) {
        let path = format!("{}@{name}", way.join("/"));
        let tag = *way.last().expect("leads somewhere");
        if REFUSED.contains(&(tag, name)) {
            return;
        }
        let text = with_attribute(way, name, &good_value(attribute));
        assert!(!is_unlisted(kind, &text, &path), "{path}");
        let is_closed = !attribute["enum_values"][0].is_null() || attribute["type"] == "method";
        assert!(!is_closed || found(kind, &text, &path).is_empty(), "{path}");
        let ours = OURS
            .iter()
            .find(|(element, attribute, _)| *element == tag && *attribute == name);
        let code = attribute["invalid_code"]
            .as_u64()
            .or_else(|| ours.map(|(.., code)| *code))
            .unwrap_or(12200);
        for (found, level) in found(kind, &with_attribute(way, name, "?bad value?"), &path) {
            assert_eq!(found, code, "{path}");
            assert!(
                level == Level::Warning || attribute["invalid_level"] == "ERROR" || ours.is_some(),
                "{path} has too high a level"
            );
        }
    }
}
