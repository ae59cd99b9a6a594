//! The formats that machines read.

use serde_json::Value;

use support::run;

use super::{Folder, MALFORMED, Said, WARNED};

#[test]
fn json_is_one_object_a_line() {
    let said =
        Folder::usual().lint("--format json --kind voice voice.xml warned.xml malformed.xml");
    assert_eq!((said.status, &*said.err), (Some(1), ""));
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"file":"voice.xml","kind":"voice","valid":true,"findings":[]}"#,
            r#"{"file":"warned.xml","kind":"voice","valid":true,"findings":[{"code":12200,"level":"warning","line":2,"column":3,"byte":13,"path":"Response/say","message":"unknown element `<say>` in `<Response>`; did you mean `<Say>`?"}]}"#,
            r#"{"file":"malformed.xml","kind":"voice","valid":false,"findings":[{"code":12100,"level":"error","line":3,"column":1,"byte":24,"path":"Response/Say","message":"`</Response>` closes `<Say>`; close `<Say>` first"}]}"#,
        ]
    );
    assert_eq!(said.objects().len(), 3);
}

#[test]
fn sarif_is_one_run_with_twilios_codes_for_rules() {
    let folder = Folder::with(&[
        ("a b.xml", WARNED.as_bytes()),
        ("bad.xml", MALFORMED.as_bytes()),
    ]);
    let mut command = folder.command("--format sarif bad.xml voice.xml");
    let said = Said::from(run(command.arg("a b.xml")));
    assert_eq!(said.status, Some(2), "voice.xml isn't there");
    let log: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    let [run] = log["runs"].as_array().expect("runs").as_slice() else {
        panic!("one run")
    };
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "understudy");
    let rules = driver["rules"].as_array().expect("rules");
    let ids: Vec<_> = rules.iter().map(|rule| &rule["id"]).collect();
    assert_eq!(ids, ["12100", "12200"]);
    let url = "https://www.twilio.com/docs/api/errors/12100";
    assert_eq!(rules[0]["helpUri"], url);
    assert_eq!(
        rules[0]["shortDescription"]["text"],
        "Document parse failure"
    );

    let results = run["results"].as_array().expect("results");
    let found: Vec<_> = results
        .iter()
        .map(|result| {
            let location = &result["locations"][0]["physicalLocation"];
            let uri = &location["artifactLocation"]["uri"];
            let region = &location["region"];
            let word = |value: &Value| value.as_str().expect("text").to_owned();
            (
                word(&result["ruleId"]),
                word(&result["level"]),
                word(uri),
                [
                    &region["startLine"],
                    &region["startColumn"],
                    &region["endColumn"],
                ]
                .map(|number| number.as_u64().expect("a number")),
            )
        })
        .collect();
    let of = |code: &str, level: &str, uri: &str, region| {
        (code.to_owned(), level.to_owned(), uri.to_owned(), region)
    };
    assert_eq!(
        found,
        [
            of("12100", "error", "bad.xml", [3, 1, 2]),
            of("12200", "warning", "a%20b.xml", [2, 3, 6]),
        ]
    );
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    let notified = invocation["toolExecutionNotifications"].as_array();
    assert_eq!(notified.map(Vec::len), Some(1));
}

#[test]
fn sarif_without_findings_is_a_run_without_results() {
    let said = Folder::usual().lint("--format sarif voice.xml");
    assert_eq!(said.status, Some(0));
    let log: Value = serde_json::from_str(&said.out).expect("JSON");
    let run = &log["runs"][0];
    assert_eq!(run["results"], Value::Array(Vec::new()));
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
}

#[test]
fn github_gets_commands_with_its_escapes() {
    let folder = Folder::with(&[("50%,a:b.xml", WARNED.as_bytes())]);
    let said = folder.lint("--format github --kind voice ./50%,a:b.xml");
    assert_eq!((said.status, &*said.err), (Some(0), ""));
    assert_eq!(
        said.out,
        "::warning file=50%25%2Ca%3Ab.xml,line=2,col=3,endColumn=6,title=12200 Schema validation \
         warning::unknown element `<say>` in `<Response>`; did you mean `<Say>`?\n"
    );
    let said = Folder::usual().lint("--format github malformed.xml voice.xml");
    assert_eq!(said.status, Some(1));
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("::error file=malformed.xml,line=3,col=1,"));
}
