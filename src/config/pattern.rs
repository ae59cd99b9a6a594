//! Patterns of file names, in which `*` stands for any characters.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A pattern of the names in one folder, such as `routes.d/*.toml`.
///
/// As in a shell, a `*` at its beginning doesn't match a name that begins with a dot: editors and Kubernetes give such names to files
/// that are not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern {
    folder: PathBuf,
    name: String,
}

impl NamePattern {
    /// A path whose last part has a `*`; none if it hasn't.
    pub fn of_path(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        name.contains('*').then(|| Self {
            folder: path.parent().map_or_else(PathBuf::new, Path::to_owned),
            name: name.to_owned(),
        })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub(super) fn in_folder(&self, name: &OsStr) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether the name of a file matches.
    pub fn matches(&self, name: &OsStr) -> bool {
        matches(&self.name, &name.to_string_lossy())
    }

    /// The names in the folder that match, in order; none if there is no such folder. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// If the folder can't be read.
    pub fn list(&self) -> io::Result<Vec<OsString>> {
        let folder = match self.folder.as_os_str() {
            folder if folder.is_empty() => Path::new("."),
            folder => Path::new(folder),
        };
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
        let matching = names.filter(|name| name.as_ref().map_or(true, |name| self.matches(name)));
        let mut names = matching.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return name == pattern;
    };
    if start.is_empty() && name.starts_with('.') {
        return false;
    }
    let Some(name) = name.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut name) = name.strip_suffix(end) else {
        return false;
    };
    // The first place where a part fits leaves the most for those behind it.
    middle.split('*').all(|part| {
        let found = name.split_once(part);
        name = found.map_or("", |(_, behind)| behind);
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_but_a_dot_at_the_beginning() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.toml.swp", false),
            ("*.toml", ".a.toml", false),
            ("*.toml", ".toml", false),
            (".*.toml", ".a.toml", true),
            ("a*.toml", "a.toml", true),
            ("a*.toml", "b.toml", false),
            ("*", "a", true),
            ("*", "..data", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-c", false),
            ("*1*2*", "x12", true),
            ("*1*2*", "x21", false),
            ("**.toml", "a.toml", true),
            ("é*", "été", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_names_in_a_folder_are_in_order_and_without_a_folder_there_are_none() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.toml", "a.toml", ".c.toml", "d.txt"] {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        let list = |path: &str| {
            let pattern = NamePattern::of_path(&folder.path().join(path)).expect("a pattern");
            pattern.list()
        };
        assert_eq!(list("*.toml").expect("a folder"), ["a.toml", "b.toml"]);
        assert!(list("none/*.toml").expect("no folder").is_empty());
        assert!(list("d.txt/*.toml").is_err());
        assert_eq!(NamePattern::of_path(&folder.path().join("a.toml")), None);
    }
}
