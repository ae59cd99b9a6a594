//! Reads a table key by key. The caller names the key and the function that reads its value. An error is reported with its position
//! and reading goes on. [`Reader::finish`] reports the keys that nobody has named.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, quote_key, suggest};
use super::report::{Location, Report};
use super::value;

/// One table of the file; a table that isn't given has no keys.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    table: Option<&'a DeTable<'a>>,
    /// Where the table begins.
    pub(super) location: Location<'a>,
    /// The keys that may stand here.
    known: Vec<&'static str>,
}

/// A value that has a short form and a long one.
#[derive(Debug)]
pub(super) enum TextOrTable<'a> {
    Text(&'a str),
    Table(Reader<'a>),
}

impl<'a> Reader<'a> {
    pub(super) fn of_file(report: &'a Report<'a>, table: &'a DeTable<'a>) -> Self {
        let location = Location {
            report,
            offset: 0,
            key: String::new(),
        };
        Self::new(Some(table), location)
    }

    fn new(table: Option<&'a DeTable<'a>>, location: Location<'a>) -> Self {
        Self {
            table,
            location,
            known: Vec::new(),
        }
    }

    /// The value of a key, if it is given and valid.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Diagnostic>,
    ) -> Option<T> {
        self.value(key)?.parse(parse)
    }

    /// Replaces a setting by the value of its key, if that is given and valid.
    pub(super) fn set<T>(
        &mut self,
        key: &'static str,
        setting: &mut T,
        parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Diagnostic>,
    ) {
        if let Some(value) = self.read(key, parse) {
            *setting = value;
        }
    }

    /// The value of a key that must be given; `example` shows how.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Diagnostic>,
    ) -> Option<T> {
        self.expect(key, example);
        self.read(key, parse)
    }

    /// One value, or a list of values.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&'a DeValue<'a>) -> Result<T, Diagnostic>,
    ) -> Option<Vec<T>> {
        let value = self.value(key)?;
        let Some(items) = value.items() else {
            return value.parse(parse).map(|one| vec![one]);
        };
        // All items are parsed, so that all their errors are reported.
        let items: Vec<_> = items.map(|item| item.parse(&parse)).collect();
        items.into_iter().collect()
    }

    /// One value or a list of values, each with its location. Those that are not valid are left out.
    pub(super) fn located_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&'a DeValue<'a>) -> Result<T, Diagnostic>,
    ) -> Vec<(Location<'a>, T)> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let items = value.items().map(Iterator::collect);
        let items: Vec<_> = items.unwrap_or_else(|| vec![value]);
        let parsed = items.into_iter().filter_map(|item| {
            let parsed = item.parse(&parse)?;
            Some((item.location, parsed))
        });
        parsed.collect()
    }

    /// One value, or a list of at least one.
    pub(super) fn non_empty_list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&'a DeValue<'a>) -> Result<T, Diagnostic>,
    ) -> Option<Vec<T>> {
        self.refuse_empty_list(key);
        self.list(key, parse).filter(|list| !list.is_empty())
    }

    /// The table of a key; an empty one if it isn't given.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        let location = self.at(key);
        let wanted = format!("the table as [{}]", location.key);
        let table = self.value(key).and_then(|value| value.table(&wanted));
        table.unwrap_or_else(|| Self::new(None, location))
    }

    /// A table that must be given.
    pub(super) fn require_table(&mut self, key: &'static str, example: &str) -> Option<Self> {
        self.expect(key, example);
        self.given_table(key)
    }

    fn given_table(&mut self, key: &'static str) -> Option<Self> {
        Some(self.table(key)).filter(|table| table.table.is_some())
    }

    /// The tables below a key, each under its own name.
    pub(super) fn named_tables(&mut self, key: &'static str) -> Vec<(&'a str, Self)> {
        let parent = self.table(key);
        let tables = parent.table.into_iter().flatten();
        let named = tables.filter_map(|(name, value)| {
            let name = name.get_ref().as_ref();
            let value = Value {
                value: value.get_ref(),
                location: parent.at(name),
            };
            let wanted = format!("the table as [{}]", value.location.key);
            Some((name, value.table(&wanted)?))
        });
        named.collect()
    }

    /// A list of tables, written as `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let wanted = format!("the table as [[{}]]", self.at(key).key);
        self.list_of_tables(key, &wanted)
    }

    /// One table, or a list of at least one.
    pub(super) fn table_or_tables(&mut self, key: &'static str) -> Vec<Self> {
        if self
            .get(key)
            .is_some_and(|value| value.get_ref().is_array())
        {
            self.refuse_empty_list(key);
            return self.tables(key);
        }
        self.given_table(key).into_iter().collect()
    }

    /// A list of at least one table, written in line.
    pub(super) fn inline_tables(&mut self, key: &'static str, wanted: &str) -> Vec<Self> {
        self.refuse_empty_list(key);
        self.list_of_tables(key, wanted)
    }

    fn list_of_tables(&mut self, key: &'static str, wanted: &str) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        match value.items() {
            Some(items) => items.filter_map(|item| item.table(wanted)).collect(),
            None => {
                value.location.add(value::wrong_type(value.value, wanted));
                Vec::new()
            }
        }
    }

    /// The path of a file, or a table in its place.
    pub(super) fn text_or_table(&mut self, key: &'static str) -> Option<TextOrTable<'a>> {
        let value = self.value(key)?;
        match value.value.as_str() {
            Some(text) => Some(TextOrTable::Text(text)),
            None => {
                let table = value.table("a file's path in quotes, or a table")?;
                Some(TextOrTable::Table(table))
            }
        }
    }

    /// Reports every key that has no meaning here.
    pub(super) fn finish(&self) {
        for (name, location) in self.unknown_keys() {
            let message = format!("unknown key {}", quote_key(name));
            let help = match name {
                // TOML takes what is written below a table for a key of that table.
                "include" => {
                    "write it at the top of the main file, before the first table".to_owned()
                }
                _ => suggest(name, &self.known, '`'),
            };
            location.key_error(message, help);
        }
    }

    /// Every key that nobody has named, and where it stands.
    pub(super) fn unknown_keys(&self) -> impl Iterator<Item = (&'a str, Location<'a>)> {
        let keys = self.table.into_iter().flatten().map(|(key, _)| key);
        let unknown = keys.filter(|key| !self.knows(key.get_ref()));
        unknown.map(|key| {
            let location = Location {
                offset: key.span().start,
                ..self.location.clone()
            };
            (key.get_ref().as_ref(), location)
        })
    }

    /// Accepts a key without reading it.
    pub(super) fn skip(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// Whether the caller has named a key.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.known.contains(&key)
    }

    /// Whether a key is given, valid or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.has(key))
    }

    /// Whether no keys but these are given.
    pub(super) fn has_only(&self, keys: &[&str]) -> bool {
        let mut own = self.table.into_iter().flatten();
        own.all(|(key, _)| keys.contains(&key.get_ref().as_ref()))
    }

    /// Where the value of a key stands; the table, if the key isn't given.
    pub(super) fn at(&self, key: &str) -> Location<'a> {
        let value = self.get(key);
        let path = self.location.key.as_str();
        let dot = if path.is_empty() { "" } else { "." };
        Location {
            report: self.location.report,
            offset: value.map_or(self.location.offset, |value| value.span().start),
            key: format!("{path}{dot}{key}"),
        }
    }

    /// Reports a key that must be given and isn't.
    pub(super) fn expect(&self, key: &'static str, example: &str) {
        if !self.has(key) {
            let message = format!("no `{key}` is given");
            (self.location).key_error(message, format!("write: {example}"));
        }
    }

    fn refuse_empty_list(&self, key: &str) {
        let list = self.get(key).and_then(|value| value.get_ref().as_array());
        if list.is_some_and(|list| list.is_empty()) {
            let help = "name at least one, or leave the key out";
            self.at(key).error("an empty list", help);
        }
    }

    fn value(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let value = self.get(key)?.get_ref();
        let location = self.at(key);
        Some(Value { value, location })
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.get(key)
    }
}

/// One value of the file.
struct Value<'a> {
    value: &'a DeValue<'a>,
    location: Location<'a>,
}

impl<'a> Value<'a> {
    fn parse<T>(&self, parse: impl FnOnce(&'a DeValue<'a>) -> Result<T, Diagnostic>) -> Option<T> {
        self.location.take(parse(self.value))
    }

    fn table(&self, wanted: &str) -> Option<Reader<'a>> {
        let table = self.value.as_table();
        let table = table.ok_or_else(|| value::wrong_type(self.value, wanted));
        let table = self.location.take(table)?;
        Some(Reader::new(Some(table), self.location.clone()))
    }

    /// The values of a list.
    fn items(&self) -> Option<impl Iterator<Item = Self>> {
        let items = self.value.as_array()?.iter().enumerate();
        Some(items.map(|(i, item)| Self {
            value: item.get_ref(),
            location: Location {
                report: self.location.report,
                offset: item.span().start,
                key: format!("{}[{i}]", self.location.key),
            },
        }))
    }
}
