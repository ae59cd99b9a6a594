//! The text of `/metrics`, parsed.

use std::collections::BTreeMap;

/// Every series of `/metrics`.
#[derive(Clone, Debug)]
pub struct Metrics(Vec<Series>);

/// One series and its value.
#[derive(Clone, Debug)]
pub struct Series {
    /// The name of the metric.
    pub name: String,
    /// Values of labels by their names.
    pub labels: BTreeMap<String, String>,
    /// The current value.
    pub value: f64,
}

impl Metrics {
    /// Reads the text.
    ///
    /// # Panics
    ///
    /// If it is not in the text format of Prometheus.
    pub fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        Self(lines.map(Series::parse).collect())
    }

    /// Every series.
    pub fn series(&self) -> &[Series] {
        &self.0
    }

    /// The sum of a metric's series that have all these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |series: &&Series| {
            let label = |(key, value): &(&str, &str)| {
                series.labels.get(*key).is_some_and(|own| own == value)
            };
            series.name == name && labels.iter().all(label)
        };
        self.0.iter().filter(has).map(|series| series.value).sum()
    }
}

impl Series {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a series and its value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        // No label of ours has a comma or a quotation mark in its value.
        let labels = labels.trim_end_matches('}').split(',');
        let labels = labels.filter_map(|label| label.split_once('='));
        Self {
            name: name.to_owned(),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
                .collect(),
            value: value.parse().expect("a number"),
        }
    }
}
