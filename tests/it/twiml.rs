//! The judge against what others wrote: Twilio's own samples and what its SDKs emit, documents with Twilio's verdict on
//! them, the W3C's XML suite, and the table of what six SDKs know. Other people's documents are read in place from beside the
//! checkout; where they are missing these tests say so and pass.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
};

use serde_json::Value;
use understudy::twiml::{
    Fact, Finding, Kind, Level, Rules, Schema, Strictness, Twiml, judge, well_formed,
};
use zip::ZipArchive;

use support::{corpus, json_fixture};

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

fn line(finding: &Finding) -> String {
    format!(
        "{}[{}] {} {}: {finding}",
        finding.level(),
        finding.code(),
        finding.place(),
        finding.path()
    )
}

#[test]
fn nothing_that_twilio_or_its_sdks_wrote_is_rejected() {
    for document in ["api-snippets", "sdk-tests", "sdk-fragments"]
        .iter()
        .flat_map(|file| documents(file))
    {
        let is_twiml = document["well_formed"] == true
            && document["templated"] == false
            && document["root"] == "Response";
        let page = word(&document, "document");
        for &kind in kinds(&document).iter().filter(|_| is_twiml) {
            let parsed = Twiml::parse(
                page.to_owned().into(),
                None,
                &Rules::new(kind, Strictness::Twilio),
            );
            let fault = parsed.err().map(|fault| line(fault.finding()));
            assert_eq!(fault, None, "{} as {kind}\n{page}", word(&document, "name"));
        }
    }
}

#[test]
fn what_is_said_to_be_well_formed_is() {
    for document in ["api-snippets", "sdk-tests", "sdk-fragments"]
        .iter()
        .flat_map(|file| documents(file))
    {
        let page = word(&document, "document");
        let judged = well_formed(page.as_bytes(), None);
        // The corpus was sorted by a parser that knows namespaces, which TwiML does not.
        let only_a_prefix = page.contains("<amazon:");
        if !only_a_prefix {
            assert_eq!(
                judged.is_ok(),
                document["well_formed"] == true,
                "{} {judged:?}\n{page}",
                word(&document, "name")
            );
        }
    }
}

#[test]
fn every_verdict_is_twilios() {
    for document in documents("oracle") {
        let Some(page) = document["document"].as_str() else {
            continue;
        }; // about a status or a content type
        let (code, level) = (word(&document, "twilio_code"), word(&document, "level"));
        if document["content_type"] == "text/plain" {
            continue; // never judged: it is texted or read aloud
        }
        for &kind in kinds(&document) {
            let name = format!("{} as {kind}", word(&document, "file"));
            let judgement = judge(page.as_bytes(), None, &Rules::new(kind, Strictness::Twilio));
            let findings: Vec<_> = judgement.findings().iter().map(line).collect();
            let wanted = format!("{}[{code}]", level.to_lowercase());
            match code {
                "" => assert!(findings.is_empty(), "{name}: {findings:#?}"),
                _ => assert!(
                    findings.iter().any(|f| f.starts_with(&wanted)),
                    "{name}: {wanted} {findings:#?}"
                ),
            }
            assert_eq!(
                judgement.is_valid(Strictness::Twilio),
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
            let judged = well_formed(bytes, None);
            assert_eq!(
                judged.is_ok(),
                *is_well_formed,
                "{path} {judged:?}\n{}",
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

    /// Where our table says more than the SDKs and the dictionary's pages on single attributes do.
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

    /// The tags from the root down to each definition, by its name.
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

    /// A page that leads down to the innermost tag and ends with this.
    fn page(way: &[&str], end: &str) -> String {
        let open: String = way.iter().map(|tag| format!("<{tag}>")).collect();
        let close: String = way.iter().rev().map(|tag| format!("</{tag}>")).collect();
        format!("{open}{end}{close}")
    }

    fn with_attribute(way: &[&str], name: &str, value: &str) -> String {
        let (tag, above) = way.split_last().expect("leads somewhere");
        if above.is_empty() {
            format!("<{tag} {name}='{value}'/>")
        } else {
            page(above, &format!("<{tag} {name}='{value}'/>"))
        }
    }

    /// The codes found at exactly this path.
    fn found(kind: Kind, page: &str, path: &str) -> Vec<(u64, Level)> {
        let judgement = judge(page.as_bytes(), None, &Rules::new(kind, Strictness::Twilio));
        let here = judgement
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
                        !is_strange(kind, &page(way, &format!("<{child}/>")), &path),
                        "{path}"
                    );
                }
            }
        }
    }

    /// Whether the element or attribute at this path is one that the table does not have there.
    fn is_strange(kind: Kind, page: &str, path: &str) -> bool {
        let judgement = judge(page.as_bytes(), None, &Rules::new(kind, Strictness::Twilio));
        let mut here = judgement
            .findings()
            .iter()
            .filter(|finding| finding.path() == path);
        here.any(|finding| {
            matches!(
                finding.fact(),
                Fact::Schema(
                    Schema::UnknownElement { .. }
                        | Schema::UnknownAttribute { .. }
                        | Schema::MisplacedElement { .. }
                        | Schema::OtherKind { .. }
                )
            )
        })
    }

    #[test]
    fn has_every_attribute_with_its_code_and_never_a_harsher_level() {
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
        let page = with_attribute(way, name, &good_value(attribute));
        assert!(!is_strange(kind, &page, &path), "{path}");
        let is_closed = !attribute["enum_values"][0].is_null() || attribute["type"] == "method";
        assert!(!is_closed || found(kind, &page, &path).is_empty(), "{path}");
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
                "{path} is too harsh"
            );
        }
    }
}
