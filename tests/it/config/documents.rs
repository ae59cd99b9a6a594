//! Fallback documents in the configuration: templates, and variants for some requests.

use std::fs;
use std::path::Path;

use understudy::twiml::Kind;

use super::{APP, document, fails, loads};

#[test]
fn the_parameters_of_a_request_choose_and_fill_the_document() {
    let config = loads(Path::new("tests/it/config/valid/variants.toml"));
    let [voice, auto] = config.proxy.routes.as_slice() else {
        panic!("two routes")
    };
    let said = |word: &str| format!("<Response><Say>{word}</Say></Response>");
    let texted = |word: &str| format!("<Response><Message>{word}</Message></Response>");
    for (route, kind, form, expected) in [
        (
            voice,
            Kind::Voice,
            "To=%2B33123&Digits=1",
            said("bonjour +33123"),
        ),
        (voice, Kind::Voice, "To=%2B32123&Digits=1", said("one")),
        (voice, Kind::Voice, "Digits=12", said("file") + "\n"),
        (auto, Kind::Voice, "FromCountry=FR", said("bonjour")),
        (auto, Kind::Voice, "FromCountry=GB", said("hello &lt;3")),
        (
            auto,
            Kind::Messaging,
            "From=%2B44123",
            texted("hello +44123"),
        ),
        (
            auto,
            Kind::Messaging,
            "From=%2B33123",
            texted("file") + "\n",
        ),
    ] {
        let form = format!("{form}&Body=%3C3");
        assert_eq!(
            document(&route.fallback, kind, &form),
            expected,
            "{} {form}",
            route.name
        );
    }
    let files = config.files.iter().map(|file| file.path.file_name());
    let files: Vec<_> = files.map(|name| name.expect("a name")).collect();
    assert_eq!(
        files,
        [
            "variants.toml",
            "voice.xml",
            "template.xml",
            "messaging.xml"
        ]
    );
}

#[test]
fn a_template_may_be_as_long_as_a_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, file) = (folder.path().join("u.toml"), folder.path().join("v.xml"));
    let route = "[[route]]\nname = \"x\"\npath = \"/x\"\nkind = \"voice\"\nfallback = \"v.xml\"\n";
    fs::write(&path, format!("{APP}{route}")).expect("written");
    let of_length = |bytes: usize| {
        let text = format!(
            "<Response><Say>{{{{a}}}}</Say>{}</Response>",
            " ".repeat(bytes - 37)
        );
        assert_eq!(text.len(), bytes);
        fs::write(&file, text).expect("written");
    };
    of_length(65_536);
    let config = loads(&path);
    let filled = |form| document(&config.proxy.routes[0].fallback, Kind::Voice, form).len();
    assert_eq!(filled("a=12345"), 65_536);
    assert_eq!(filled("a=123456"), 65_531, "the value is left out");
    of_length(65_537);
    assert!(
        fails(&path)
            .to_string()
            .contains("the document has 65537 bytes")
    );
}
