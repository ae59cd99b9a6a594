//! Walks a table key by key. Each question names its key and how its value is read; a wrong answer is reported with its
//! place and the walk goes on. What was never asked for is unknown, and [`Reader::finish`] says so.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Place;
use super::problem::Problem;
use super::report::{Report, Spot};
use super::value;

/// One table of the file; an absent one has no keys.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    report: &'a Report<'a>,
    table: Option<&'a DeTable<'a>>,
    /// Where it begins, and the path to it.
    spot: Spot,
    known: Vec<&'static str>,
}

/// A value that has a short form and a long one.
#[derive(Debug)]
pub(super) enum Form<'a> {
    Text(&'a str),
    Table(Reader<'a>),
}

impl<'a> Reader<'a> {
    /// The whole file.
    pub(super) fn of_file(report: &'a Report<'a>, table: &'a DeTable<'a>) -> Self {
        let spot = Spot {
            at: 0,
            key: String::new(),
        };
        Self::new(report, Some(table), spot)
    }

    fn new(report: &'a Report<'a>, table: Option<&'a DeTable<'a>>, spot: Spot) -> Self {
        let known = Vec::new();
        Self {
            report,
            table,
            spot,
            known,
        }
    }

    /// The value of a key, if it is given and `read` can read it.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Option<T> {
        let value = self.entry(key)?;
        self.take(read(value.get_ref()), || self.spot(key))
    }

    /// The same of a key that must be given; `example` shows how.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        example: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Option<T> {
        self.expect(key, example);
        self.read(key, read)
    }

    /// One value, or a list of them.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        let value = self.entry(key)?;
        let Some(items) = value.get_ref().as_array() else {
            return self
                .take(read(value.get_ref()), || self.spot(key))
                .map(|one| vec![one]);
        };
        let read: Vec<_> = (items.iter().enumerate())
            .map(|(i, item)| self.take(read(item.get_ref()), || self.item(key, i, item)))
            .collect();
        read.into_iter().collect()
    }

    /// One value, or a list of at least one.
    pub(super) fn non_empty_list<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        let list = self.list(key, read)?;
        let some = if list.is_empty() {
            Err(Problem::EmptyList)
        } else {
            Ok(list)
        };
        self.take(some, || self.spot(key))
    }

    /// One of a few words, and what it stands for.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        self.read(key, |value| {
            let found = value::text(value)?;
            let expected = || words.iter().map(|(word, _)| *word).collect();
            match words.iter().find(|(word, _)| *word == found) {
                Some((_, meaning)) => Ok(*meaning),
                None => Err(Problem::Word {
                    found: found.into(),
                    words: expected(),
                }),
            }
        })
    }

    /// A table of its own; an absent one if it isn't given.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        let header = format!("[{}]", self.path(key));
        let table = self.read_ref(key, |value| as_table(value, header));
        Self::new(self.report, table, self.spot(key))
    }

    /// The same of a table that must be given.
    pub(super) fn require_table(
        &mut self,
        key: &'static str,
        example: &'static str,
    ) -> Option<Self> {
        self.expect(key, example);
        Some(self.table(key)).filter(|table| table.table.is_some())
    }

    /// A list of tables, as `[[key]]` makes it.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let header = format!("[[{}]]", self.path(key));
        self.tables_or(key, |value| Problem::no_table(value, header.clone()))
    }

    /// One table, or a list of at least one.
    pub(super) fn table_or_tables(&mut self, key: &'static str) -> Vec<Self> {
        let value = self.table.and_then(|table| table.get(key));
        match value.map(|value| value.get_ref().as_array()) {
            Some(Some(list)) if list.is_empty() => {
                self.skip(key);
                self.report(self.spot(key), Problem::EmptyList);
                Vec::new()
            }
            Some(Some(_)) => self.tables(key),
            Some(None) => {
                let table = self.table(key);
                Some(table)
                    .filter(|table| table.table.is_some())
                    .into_iter()
                    .collect()
            }
            None => {
                self.skip(key);
                Vec::new()
            }
        }
    }

    /// A list of at least one table, as it is written within a line.
    pub(super) fn non_empty_tables(
        &mut self,
        key: &'static str,
        wanted: &'static str,
    ) -> Vec<Self> {
        let list = self.table.and_then(|table| table.get(key));
        let list = list.and_then(|list| list.get_ref().as_array());
        if list.is_some_and(|list| list.is_empty()) {
            self.report(self.spot(key), Problem::EmptyList);
        }
        self.tables_or(key, |value| Problem::wrong_type(value, wanted))
    }

    /// The tables of a list; `wrong` says what is wrong with what is no list, or no table in it.
    fn tables_or(
        &mut self,
        key: &'static str,
        wrong: impl Fn(&DeValue<'_>) -> Problem,
    ) -> Vec<Self> {
        let list = self.read_ref(key, |value| value.as_array().ok_or_else(|| wrong(value)));
        let items = list.into_iter().flatten().enumerate();
        let tables = items.filter_map(|(i, item)| {
            let spot = || self.item(key, i, item);
            let table = item.get_ref().as_table();
            let table = self.take(table.ok_or_else(|| wrong(item.get_ref())), spot)?;
            Some(Self::new(self.report, Some(table), spot()))
        });
        tables.collect()
    }

    /// A text, or a table in its place.
    pub(super) fn text_or_table(&mut self, key: &'static str) -> Option<Form<'a>> {
        let spot = self.spot(key);
        let report = self.report;
        self.read_ref(key, |value| match (value.as_str(), value.as_table()) {
            (Some(text), _) => Ok(Form::Text(text)),
            (_, Some(table)) => Ok(Form::Table(Self::new(report, Some(table), spot.clone()))),
            (None, None) => Err(Problem::wrong_type(
                value,
                "a file's path in quotes, or a table",
            )),
        })
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let spot = Spot {
                at: key.span().start,
                key: self.spot.key.clone(),
            };
            let problem = Problem::UnknownKey {
                key: name.into(),
                known: self.known.clone(),
            };
            self.report.add(spot, problem);
        }
    }

    /// Takes note of a key that means something here, without reading it.
    pub(super) fn skip(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Whether a key is given, be it right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether nothing is given.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_none_or(|table| table.is_empty())
    }

    /// Whether it has no keys but these.
    pub(super) fn has_only(&self, keys: &[&str]) -> bool {
        let mut own = self.table.into_iter().flatten();
        own.all(|(key, _)| keys.contains(&key.get_ref().as_ref()))
    }

    /// Where a key's value stands, or else the table in which it would.
    pub(super) fn spot(&self, key: &str) -> Spot {
        let value = self.table.and_then(|table| table.get(key));
        let at = value.map_or(self.spot.at, |value| value.span().start);
        Spot {
            at,
            key: self.path(key),
        }
    }

    /// The line and column at which it begins, for who speaks of it elsewhere.
    pub(super) fn place(&self) -> Place {
        self.report.place(self.spot.at)
    }

    /// Where the table itself stands.
    pub(super) fn here(&self) -> Spot {
        self.spot.clone()
    }

    /// Adds a mistake.
    pub(super) fn report(&self, spot: Spot, problem: Problem) {
        self.report.add(spot, problem);
    }

    /// Adds what does no harm.
    pub(super) fn note(&self, spot: Spot, problem: Problem) {
        self.report.note(spot, problem);
    }

    /// Takes what is good; adds what is not as a mistake in that spot.
    pub(super) fn take<T>(&self, value: Result<T, Problem>, spot: impl Fn() -> Spot) -> Option<T> {
        value
            .map_err(|problem| self.report.add(spot(), problem))
            .ok()
    }

    /// Reports a key that must be given and is not.
    pub(super) fn expect(&self, key: &'static str, example: &'static str) {
        if !self.has(key) {
            self.report
                .add(self.here(), Problem::Missing { key, example });
        }
    }

    fn entry(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table?.get(key)
    }

    /// [`Self::read`] for what borrows from the file.
    fn read_ref<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'a DeValue<'a>) -> Result<T, Problem>,
    ) -> Option<T> {
        let value = self.entry(key)?;
        self.take(read(value.get_ref()), || self.spot(key))
    }

    fn item(&self, key: &str, i: usize, item: &Spanned<DeValue<'_>>) -> Spot {
        Spot {
            at: item.span().start,
            key: format!("{}[{i}]", self.path(key)),
        }
    }

    fn path(&self, key: &str) -> String {
        match self.spot.key.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

fn as_table<'a>(value: &'a DeValue<'a>, header: String) -> Result<&'a DeTable<'a>, Problem> {
    value
        .as_table()
        .ok_or_else(|| Problem::no_table(value, header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What is reported on a text if it is read like this.
    fn reported(text: &str, walk: impl Fn(&mut Reader<'_>)) -> String {
        let report = Report::on_file(Path::new("u"), text);
        let document = report.parse();
        let mut file = Reader::of_file(&report, document.get_ref());
        walk(&mut file);
        file.finish();
        let (found, _) = report.into_found();
        if found.is_empty() {
            return String::new();
        }
        super::super::Errors::new(found, Vec::new()).to_string()
    }

    #[test]
    fn what_was_asked_for_is_known_and_the_rest_is_not() {
        let said = reported("a = 'x'\nb = 1\n[c]\nd = 1\ne = 1\n", |file| {
            assert_eq!(
                file.read("a", |value| value::text(value).map(str::to_owned)),
                Some("x".into())
            );
            assert_eq!(file.read("absent", value::size), None);
            let mut table = file.table("c");
            assert_eq!(table.read("d", value::size), Some(1));
            table.finish();
        });
        assert_eq!(
            said,
            "u:2:1: unknown key `b`; did you mean `a`?\nu:5:1: c: unknown key `e`; did you mean `d`?"
        );
    }

    #[test]
    fn a_wrong_value_is_reported_and_the_walk_goes_on() {
        let said = reported("a = 'x'\nb = ['1s', 2, '3']\nc = 'red'\n", |file| {
            assert_eq!(file.read("a", value::size), None);
            assert_eq!(file.list("b", value::duration), None);
            assert_eq!(file.word("c", &[("blue", 1), ("green", 2)]), None);
        });
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "u:1:5: a: \"x\" is not a valid size; write a number of bytes, or one with its unit: \"256KiB\"",
                "u:2:12: b[1]: 2 has no unit; write \"2s\"",
                "u:2:15: b[2]: \"3\" is not a valid duration; write \"8s\" or \"250ms\"",
                "u:3:5: c: \"red\" is not a valid choice here; write \"blue\" or \"green\"",
            ]
        );
    }

    #[test]
    fn one_value_is_a_list_of_one() {
        let said = reported("a = 1\nb = [2, 3]\nc = []\n", |file| {
            assert_eq!(file.list("a", value::size), Some(vec![1]));
            assert_eq!(file.list("b", value::size), Some(vec![2, 3]));
            assert_eq!(file.list("c", value::size), Some(vec![]));
            assert_eq!(file.non_empty_list("c", value::size), None);
            assert_eq!(file.non_empty_list("absent", value::size), None);
        });
        assert_eq!(
            said,
            "u:3:5: c: an empty list; name at least one, or leave the key out"
        );
    }

    #[test]
    fn a_list_of_tables_numbers_them_from_nought() {
        let said = reported("[[a]]\nx = 1\n[[a]]\n[a.b]\ny = 1\n", |file| {
            for mut table in file.tables("a") {
                table.require("x", "x = 1", value::size);
                let mut inner = table.table("b");
                inner.skip("z");
                inner.finish();
                table.finish();
            }
        });
        assert_eq!(
            said,
            "u:3:1: a[1]: no `x` is given; write: x = 1\nu:5:1: a[1].b: unknown key `y`; did you mean `z`?"
        );
    }

    #[test]
    fn in_a_broken_text_only_what_is_sure_is_reported() {
        let said = reported("a = 1x\nb = 0\n[c\nd = 1\n", |file| {
            file.read("a", value::size);
            file.read("b", value::size);
            file.require("e", "e = 1", value::size);
        });
        let places: Vec<_> = said
            .lines()
            .map(|line| line.split(' ').next().unwrap_or(""))
            .collect();
        assert_eq!(places, ["u:1:5:", "u:2:5:", "u:3:3:"], "{said}");
    }
}
