//! The benchmark beside other proxies is as docs/benchmarks.md describes it, and says what it lacks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(top().join("docs/benchmarks.md")).expect("a page")
}

/// Where Python is. If it is nowhere, that is said loudly; where `UNDERSTUDY_REAL` is `required`, it fails.
fn python() -> Option<PathBuf> {
    let script = "import sys; print(sys.executable)";
    let output = Command::new("python3").args(["-c", script]).output();
    match output {
        Ok(output) if output.status.success() => {
            let path = String::from_utf8(output.stdout).expect("a path");
            Some(PathBuf::from(path.trim_end()))
        }
        Ok(_) | Err(_) => {
            support::skip("python3");
            None
        }
    }
}

fn run(python: &Path, script: &str, arguments: &[&str]) -> Output {
    let script = top().join("benches/proxy").join(script);
    let mut command = Command::new(python);
    command.arg(script).args(arguments).env("COLUMNS", "120");
    command.output().expect("Python runs")
}

fn help(python: &Path) -> String {
    let output = run(python, "run", &["--help"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("a help")
}

/// The words that begin with two dashes.
fn options(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let words = text.split(|c: char| !is_part(c));
    words
        .filter(|word| word.starts_with("--") && *word != "--" && !word.starts_with("---"))
        .collect()
}

/// The names in the first column of the table below a heading.
fn names<'t>(page: &'t str, heading: &str) -> BTreeSet<&'t str> {
    let section = page.split(heading).nth(1).expect("the heading");
    let section = section.split("\n## ").next().expect("an end");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().expect("an end"))
        .collect()
}

#[test]
fn the_page_has_every_option_and_every_measurement_and_no_others() {
    let Some(python) = python() else { return };
    let help = help(&python);
    let page = page();
    let command = page.split("## What is compared").next().expect("a top");
    let mut documented = options(command);
    // Of cargo and of pip, in the commands beside it.
    for other in ["--release", "--no-deps"] {
        assert!(documented.remove(other), "{other}");
    }
    documented.insert("--help");
    assert_eq!(documented, options(&help));

    let listed = help.split("measurements:\n").nth(1).expect("a list");
    let listed = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let listed: BTreeSet<_> = listed.collect();
    assert!(listed.len() >= 10, "{listed:?}");
    assert_eq!(names(&page, "## What is measured"), listed);
}

#[test]
fn the_examples_of_options_are_accepted() {
    let Some(python) = python() else { return };
    let page = page();
    let rows = names(&page, "| option |");
    assert!(rows.len() >= 5, "{rows:?}");
    for example in rows {
        // The help comes after the options before it were read.
        let arguments: Vec<_> = example.split(' ').chain(["--help"]).collect();
        let output = run(&python, "run", &arguments);
        assert!(output.status.success(), "{example}: {output:?}");
    }
}

/// Runs this with the scripts' modules.
fn run_script(python: &Path, script: &str) -> String {
    let script = format!("import sys; sys.dont_write_bytecode = True\n{script}");
    let mut command = Command::new(python);
    let folder = top().join("benches/proxy");
    let output = command.current_dir(folder).args(["-c", &script]).output();
    let output = output.expect("Python runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("a text")
}

#[test]
fn the_last_table_has_its_place_in_the_page() {
    let Some(python) = python() else { return };
    let markers = run_script(
        &python,
        "from bench import report; print(report.BEGIN); print(report.END)",
    );
    let page = page();
    assert_eq!(markers.lines().count(), 2);
    for marker in markers.lines() {
        assert_eq!(page.matches(marker).count(), 1, "{marker}");
    }
}

#[test]
fn more_instructions_than_the_baseline_are_a_failure_and_fewer_are_told() {
    let Some(python) = python() else { return };
    let script = r#"
from bench.baseline import Baseline
before = Baseline(100000, "1.95.0")
for now in (106000, "1.95.0"), (104000, "1.95.0"), (94000, "1.95.0"), (100000, "1.96.0"):
    print(*before.compare(Baseline(*now)))
"#;
    let said = run_script(&python, script);
    let lines: Vec<_> = said.lines().collect();
    let [above, within, below, other] = lines[..] else {
        panic!("{said}")
    };
    assert!(
        above.starts_with("False 106000 instructions per request, +6.0 %"),
        "{above}"
    );
    assert!(
        above.ends_with("write it down: .ci/instructions --update"),
        "{above}"
    );
    assert_eq!(
        within,
        "True 104000 instructions per request, +4.0 % to the baseline of 100000"
    );
    assert!(
        below.starts_with("True ") && below.contains("more than 5 % below"),
        "{below}"
    );
    assert!(
        other.ends_with("taken with rustc 1.95.0, and this is 1.96.0"),
        "{other}"
    );
}

#[test]
fn a_machine_without_the_app_is_told_what_is_missing() {
    let Some(python) = python() else { return };
    let script = top().join("benches/proxy/run");
    let output = Command::new(python)
        .arg(script)
        .env("NGINX", "/nowhere/nginx")
        .env("HAPROXY", "/nowhere/haproxy")
        .output()
        .expect("Python runs");
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).expect("a text");
    for line in [
        "missing: nginx (",
        "missing: haproxy (",
        "nothing is measured: nginx is the app",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn the_baseline_of_instructions_is_as_it_is_written() {
    let Some(python) = python() else { return };
    let path = top().join("benches/proxy/instructions.baseline");
    let text = fs::read_to_string(path).expect("a baseline");
    let read = run_script(
        &python,
        "from bench.baseline import Baseline; print(Baseline.read(), end='')",
    );
    assert_eq!(read, text);
}
