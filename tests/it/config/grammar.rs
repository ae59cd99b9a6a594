//! What a configuration adds to Twilio's grammar, and which documents that concerns.

use std::path::Path;

use understudy::twiml::{Kind, Strictness, lint};

use super::{APP, loads, loads_text};
use support::{FakeUpstream, Sidecar, Webhook};

const FIXTURE: &str = "tests/it/config/valid/grammar.toml";

#[test]
fn each_kind_of_document_has_its_own_extensions() {
    let grammar = loads(Path::new(FIXTURE)).proxy.grammar;
    for (kind, document, is_good) in [
        (
            Kind::Voice,
            "<Teleport to='' amazon:speed='1'><Say mood='x'>y</Say></Teleport>",
            true,
        ),
        (
            Kind::Voice,
            "<Gather><Beam colour=''>x</Beam></Gather>",
            true,
        ),
        (Kind::Voice, "<Beam/>", false),
        (Kind::Voice, "<Teleport from=''/>", false),
        (Kind::Messaging, "<Beam colour=''/>", true),
        (Kind::Messaging, "<Beam>x</Beam>", false),
        (Kind::Messaging, "<Message>x<Sticker/></Message>", true),
        (Kind::Messaging, "<Teleport/>", false),
    ] {
        let document = format!("<Response>{document}</Response>");
        let rules = grammar.rules(kind, Strictness::Strict);
        let report = lint(document.as_bytes(), None, &rules);
        assert_eq!(
            report.is_valid(Strictness::Strict),
            is_good,
            "{document} {report:?}"
        );
    }
}

#[test]
fn only_an_entry_that_adds_nothing_is_noted() {
    let element = |more: &str| {
        let text = format!("{APP}[[grammar.element]]\nkind = \"voice\"\n{more}");
        loads_text(&text).notes.len()
    };
    for (more, notes) in [
        ("name = \"Say\"", 1),
        ("name = \"Say\"\nparents = [\"Response\", \"Gather\"]", 1),
        ("name = \"Say\"\nparents = [\"Response\", \"Dial\"]", 0),
        (
            "name = \"Dial\"\nchildren = [\"Number\", \"Sip\"]\nattributes = [\"record\"]",
            1,
        ),
        ("name = \"Dial\"\nchildren = [\"Number\", \"Say\"]", 0),
        ("name = \"Dial\"\nattributes = [\"record\", \"colour\"]", 0),
        ("name = \"Say\"\ntext = true", 1),
        ("name = \"Gather\"\ntext = true", 0),
        ("name = \"Response\"", 1),
        ("name = \"Response\"\nattributes = \"colour\"", 0),
        ("name = \"Teleport\"", 0),
        ("name = \"Teleport\"\nparents = \"Teleport\"", 0),
    ] {
        assert_eq!(element(more), notes, "{more}");
    }
}

#[tokio::test]
async fn a_route_validates_by_the_extended_grammar() {
    let app = FakeUpstream::with_document("<Response><Teleport mood='good'/></Response>");
    let routes = "[[route]]\nname = \"voice\"\npath = \"/*\"\nkind = \"voice\"\n";
    let added =
        "[[grammar.element]]\nkind = \"voice\"\nname = \"Teleport\"\nattributes = \"mood\"\n";
    for (grammar, reason) in [("", Some("schema")), (added, None)] {
        let sidecar = Sidecar::before(&app)
            .defaults("validate = \"strict\"")
            .routes(&format!("{routes}{grammar}"))
            .start()
            .await;
        let response = sidecar.request(Webhook::voice("/").bytes()).await;
        assert_eq!(response.reason(), reason);
    }
}
