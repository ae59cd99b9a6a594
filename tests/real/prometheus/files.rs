//! The files that are given to Prometheus and Grafana, as far as a test reads them. They are read as text where they are YAML:
//! each is written in one way, and a rule stands between two lines that begin one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where one of them is.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(super) fn readme() -> String {
    read("../README.md")
}

/// The page that lists every metric.
pub(super) fn metrics_page() -> String {
    read("../docs/metrics.md")
}

/// Whether a page of `docs/` exists, and has the section that a link names, if it names one.
pub(super) fn has_section(link: &str) -> bool {
    let (page, section) = link.split_once('#').unwrap_or((link, ""));
    let Ok(text) = fs::read_to_string(path("..").join(page)) else {
        return false;
    };
    let mut titles = text.lines().filter_map(|line| line.strip_prefix("## "));
    let name = |title: &str| {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || *c == ' ');
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    page.starts_with("docs/") && (section.is_empty() || titles.any(|title| name(title) == section))
}

/// The example of how Prometheus is configured.
pub(super) fn scraping() -> String {
    read("prometheus/scrape.yml")
}

/// The lines that say something.
pub(super) fn without_comments(text: &str) -> String {
    let said = text.lines().map(|line| match line.split_once('#') {
        Some((said, _)) => said.trim_end(),
        None => line,
    });
    let said: Vec<_> = said.filter(|line| !line.trim().is_empty()).collect();
    said.join("\n")
}

/// What stands behind a key where it comes first.
pub(super) fn value<'t>(text: &'t str, key: &str) -> &'t str {
    let mut values = values(text, key).into_iter();
    values
        .next()
        .unwrap_or_else(|| panic!("no {key}in\n{text}"))
}

/// What stands behind a key, wherever it comes.
pub(super) fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let lines = text.lines().map(str::trim_start);
    lines.filter_map(|line| line.strip_prefix(key)).collect()
}

/// A file of rules.
pub(crate) struct Rules {
    pub(crate) text: String,
    /// How an alert begins.
    begin: &'static str,
}

/// Those of Prometheus.
pub(crate) fn rules() -> Rules {
    Rules {
        text: read("prometheus/understudy.rules.yml"),
        begin: "      - alert: ",
    }
}

/// Those of Grafana.
pub(super) fn alerts() -> Rules {
    Rules {
        text: read("grafana/alerts.yml"),
        begin: "      - uid: ",
    }
}

impl Rules {
    /// What each alert is called.
    pub(super) fn alerts(&self) -> Vec<String> {
        let lines = self.text.lines();
        let names = lines.filter_map(|line| line.strip_prefix(self.begin));
        names.map(str::to_owned).collect()
    }

    /// Each alert, to its end.
    pub(super) fn alert_blocks(&self) -> Vec<String> {
        let ends = "      - ".len();
        let blocks = self.text.split(self.begin).skip(1).map(|rest| {
            let of_it = |line: &&str| line.len() < ends || line.starts_with(&" ".repeat(ends));
            let (name, rest) = rest.split_once('\n').expect("a rule has lines");
            let lines: Vec<_> = rest.lines().take_while(of_it).collect();
            format!("{name}\n{}", lines.join("\n"))
        });
        blocks.collect()
    }

    /// The queries that stand in blocks of their own.
    pub(super) fn queries(&self) -> Vec<String> {
        let mut queries = Vec::new();
        let mut lines = self.text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(indent) = line.find("expr: |") else {
                continue;
            };
            let mut query = Vec::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(&" ".repeat(indent + 1))) {
                query.push(line);
            }
            queries.push(query.join("\n"));
        }
        assert!(!queries.is_empty());
        queries
    }

    /// The same rules, every time in them that was so many minutes being as many seconds.
    pub(super) fn sixty_times_as_fast(&self) -> String {
        let lines = self.text.lines().map(|line| {
            let mut line = line.replace("15 * 60", "15");
            for key in ["for: ", "interval: "] {
                if let Some((before, time)) = line.split_once(key) {
                    line = format!("{before}{key}{}", sixtieth(time));
                }
            }
            let mut parts = line.split('[');
            let mut fast = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (time, rest) = part.split_once(']').expect("a range ends");
                fast = format!("{fast}[{}]{rest}", sixtieth(time));
            }
            fast
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// A sixtieth of a time like `5m`.
fn sixtieth(time: &str) -> String {
    let (number, unit) = time.split_at(time.len() - 1);
    let number: u32 = number.parse().expect("a whole number");
    match unit {
        "m" => format!("{number}s"),
        "h" => format!("{number}m"),
        "d" => format!("{}m", number * 24),
        _ => panic!("{time} is in minutes, hours or days"),
    }
}

/// What is expected of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Fires,
    Silent,
}

/// The cases of promtool's tests, with the alert that each names.
pub(super) fn cases() -> Vec<(String, Case)> {
    let text = read("prometheus/understudy.test.yml");
    let cases = text.split("      - ").filter_map(|case| {
        let (_, rest) = case
            .split_once("expr: 'count")?
            .1
            .split_once("alertname=\"")?;
        let (alert, rest) = rest.split_once('"')?;
        let (_, expected) = rest.split_once("exp_samples:")?;
        let is_silent = expected.trim_start().starts_with("[]");
        let case = if is_silent { Case::Silent } else { Case::Fires };
        Some((alert.to_owned(), case))
    });
    cases.collect()
}

/// The dashboard.
pub(super) fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/understudy.json")).expect("JSON")
}

/// Its panels, those of its rows included.
pub(super) fn panels(dashboard: &Value) -> Vec<Value> {
    let own = |value: &Value| value["panels"].as_array().cloned().unwrap_or_default();
    let panels = own(dashboard).into_iter();
    panels
        .flat_map(|panel| [own(&panel), vec![panel]].concat())
        .collect()
}

/// Each panel with each later one.
pub(super) fn pairs(panels: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    let each = panels.iter().enumerate();
    each.flat_map(|(at, one)| panels[at + 1..].iter().map(move |other| (one, other)))
}

/// Whether two panels lie on the same place.
pub(super) fn overlap(one: &Value, other: &Value) -> bool {
    let of = |panel: &Value, key: &str| panel["gridPos"][key].as_u64().expect("a place");
    let along = |at: &str, size: &str| {
        let (one, other) = (
            (of(one, at), of(one, size)),
            (of(other, at), of(other, size)),
        );
        one.0 < other.0 + other.1 && other.0 < one.0 + one.1
    };
    along("x", "w") && along("y", "h")
}

/// The data sources that it names, wherever it does.
pub(super) fn data_sources(value: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "datasource" {
                    found.extend(value["uid"].as_str());
                }
                found.extend(data_sources(value));
            }
        }
        Value::Array(values) => found.extend(values.iter().flat_map(data_sources)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

/// Its queries, of panels and annotations, for every instance and route.
pub(super) fn queries(dashboard: &Value) -> Vec<String> {
    let panels = panels(dashboard);
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let annotations = dashboard["annotations"]["list"].as_array();
    let sources = targets.chain(annotations.into_iter().flatten());
    sources
        .filter_map(|source| source["expr"].as_str())
        .map(filled)
        .collect()
}

/// What a panel that isn't a table shows of a query's series.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) query: String,
    legend: String,
}

impl Target {
    /// What a series with these labels is called.
    pub(crate) fn name(&self, labels: &Value) -> String {
        let labels = labels.as_object().expect("labels").iter();
        labels.fold(self.legend.clone(), |legend, (label, value)| {
            let value = value.as_str().expect("a label's value");
            legend.replace(&format!("{{{{{label}}}}}"), value)
        })
    }
}

/// Every such query of the dashboard.
pub(crate) fn targets() -> Vec<Target> {
    let panels = panels(&dashboard());
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let targets = targets.filter(|target| target["format"] != "table");
    let targets = targets.map(|target| Target {
        query: filled(target["expr"].as_str().expect("a query")),
        legend: target["legendFormat"].as_str().unwrap_or_default().into(),
    });
    targets.collect()
}

/// Its variables that are asked for: label, selector, and how many values there are at least.
pub(super) fn variables(dashboard: &Value) -> Vec<(String, String, usize)> {
    let list = dashboard["templating"]["list"].as_array();
    let asked = list.into_iter().flatten().filter_map(|variable| {
        let query = variable["query"]["query"].as_str()?;
        let inner = query.strip_prefix("label_values(")?.strip_suffix(')')?;
        let (selector, label) = inner.rsplit_once(", ")?;
        Some((label.to_owned(), filled(selector), 2))
    });
    asked.collect()
}

/// As Grafana would send it for all instances and routes.
fn filled(query: &str) -> String {
    let query = query.replace("$instance", ".*").replace("$route", ".*");
    ["$__rate_interval", "$__interval", "$__range"]
        .iter()
        .fold(query, |query, variable| query.replace(variable, "5m"))
}
