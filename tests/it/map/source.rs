//! Which files of `src` refer to which, by the paths in their code. Code of tests is left out, since it may look at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

use proc_macro2::token_stream::IntoIter;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module's path, or an item's, from the root of the crate: `crate::a::b` is `["a", "b"]`.
pub(super) type Names = Vec<String>;

/// Every file by its module; `lib.rs` has the empty path.
pub(super) struct Source(BTreeMap<Names, File>);

/// What the code of one file refers to.
#[derive(Default)]
struct File {
    /// What it imports, by the name that it has here.
    imports: BTreeMap<String, Names>,
    /// Every path of two names or more.
    paths: Vec<Names>,
}

type Tokens = Peekable<IntoIter>;

impl Source {
    /// Reads every file of `src`.
    pub(super) fn read() -> Self {
        let folder = folder();
        let files = rust_files(&folder).into_iter().map(|path| {
            let module = module_of(path.strip_prefix(&folder).expect("it is in the folder"));
            (module, File::read(&path))
        });
        let is_test = |module: &Names| module.iter().any(|name| name == "tests");
        Self(files.filter(|(module, _)| !is_test(module)).collect())
    }

    pub(super) fn modules(&self) -> impl Iterator<Item = &Names> {
        self.0.keys()
    }

    /// What the code of a module refers to in this crate.
    pub(super) fn references(&self, module: &Names) -> impl Iterator<Item = Names> {
        let paths = self.0[module].paths.iter();
        paths.filter_map(|path| self.absolute(module, path))
    }

    /// The files that a module's file stands on: its children, and those that define what its code refers to.
    pub(super) fn stands_on(&self, module: &Names) -> BTreeSet<&Names> {
        let is_child = |other: &&Names| {
            other[..]
                .split_last()
                .is_some_and(|(_, parent)| parent == module)
        };
        let defining = self
            .references(module)
            .filter_map(|path| self.definer(&path));
        let files = defining.chain(self.modules().filter(is_child));
        files.filter(|file| *file != module).collect()
    }

    /// A path in a module's code, from the root of the crate; none if it leads to another crate or begins with an item.
    fn absolute(&self, module: &Names, path: &[String]) -> Option<Names> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => {
                let parent = module[..module.len().checked_sub(1)?].to_vec();
                let goes_on = rest.first().is_some_and(|name| name == "super");
                if goes_on {
                    return self.absolute(&parent, rest);
                }
                parent
            }
            name => self.local(module, name, path)?,
        };
        Some([&start[..], rest].concat())
    }

    /// What a name at the beginning of a path means in a module: a child, or what the module has imported.
    fn local(&self, module: &Names, name: &str, path: &[String]) -> Option<Names> {
        let child = join(module, name);
        if self.0.contains_key(&child) {
            return Some(child);
        }
        let imported = self.0[module].imports.get(name)?;
        // `use serde::…` says `serde` of itself.
        (imported[0] != path[0]).then(|| self.absolute(module, imported))?
    }

    /// The module whose file defines what this path leads to, also if it leads there by way of another that imports it.
    fn definer(&self, path: &[String]) -> Option<&Names> {
        let (mut module, _) = self.0.get_key_value(&Names::new())?;
        for (at, name) in path.iter().enumerate() {
            if let Some((child, _)) = self.0.get_key_value(&join(module, name)) {
                module = child;
            } else if let Some(imported) = self.0[module].imports.get(name) {
                let imported = self.absolute(module, imported)?;
                return self.definer(&[&imported[..], &path[at + 1..]].concat());
            } else {
                break;
            }
        }
        Some(module)
    }
}

impl File {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a readable file");
        let mut file = Self::default();
        file.add(text.parse().expect("Rust's tokens"), &[], false);
        file
    }

    /// Adds every path in these tokens; in a group of imports, all begin with the prefix.
    fn add(&mut self, tokens: TokenStream, prefix: &[String], mut in_use: bool) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == ';' => in_use = false,
                TokenTree::Punct(mark) if mark.as_char() == '#' => skip_attribute(&mut tokens),
                TokenTree::Ident(name) if name == "use" => in_use = true,
                TokenTree::Ident(name) => {
                    self.add_path(&name.to_string(), &mut tokens, prefix, in_use)
                }
                TokenTree::Group(group) => self.add(group.stream(), &[], false),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// Reads on from the first name of a path.
    fn add_path(&mut self, first: &str, tokens: &mut Tokens, prefix: &[String], in_use: bool) {
        let mut path = join(prefix, first);
        while let Some(token) = next_of_path(tokens) {
            if let Some(group) = braced(&token) {
                return self.add(group, &path, in_use);
            }
            path.push(token.to_string());
        }
        let alias = tokens.next_if(|token| token.to_string() == "as");
        let alias = alias
            .and_then(|_| tokens.next())
            .map(|name| name.to_string());
        // `use a::{self, B}`
        path.pop_if(|last| last == "self");
        if path.len() < 2 && prefix.is_empty() {
            return;
        }
        if in_use {
            let name = alias.or_else(|| path.last().cloned());
            self.imports.insert(name.expect("a name"), path.clone());
        }
        self.paths.push(path);
    }
}

/// What follows `::`, if that follows and isn't the beginning of generic arguments.
fn next_of_path(tokens: &mut Tokens) -> Option<TokenTree> {
    tokens.next_if(|token| is(token, ':'))?;
    tokens.next_if(|token| is(token, ':'))?;
    tokens.next_if(|token| !is(token, '<'))
}

/// Skips an attribute behind its `#`, and the item behind it if that is for tests only.
fn skip_attribute(tokens: &mut Tokens) {
    let attribute = tokens.next().map(|group| group.to_string());
    if attribute.is_some_and(|text| text.replace(' ', "") == "[cfg(test)]") {
        let ends = |token: &TokenTree| is(token, ';') || braced(token).is_some();
        let _ = tokens.find(ends);
    }
}

/// What stands within braces, if that is what the token is.
fn braced(token: &TokenTree) -> Option<TokenStream> {
    match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
        TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
            None
        }
    }
}

fn is(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn join(module: &[String], name: &str) -> Names {
    [module, &[name.to_owned()]].concat()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// `a/b.rs` is the module `a::b`.
fn module_of(path: &Path) -> Names {
    let path = path.with_extension("");
    let names = path.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "lib").collect()
}

/// The files of a top-level module.
pub(crate) fn files_of(module: &str) -> Vec<PathBuf> {
    let is_own = |path: &PathBuf| {
        let path = path.strip_prefix(folder()).expect("it is in the folder");
        module_of(path).first().is_some_and(|name| name == module)
    };
    let files: Vec<_> = rust_files(&folder()).into_iter().filter(is_own).collect();
    assert!(!files.is_empty(), "{module} has no file");
    files
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let files = paths.flat_map(|path| match path.is_dir() {
        true => rust_files(&path),
        false => vec![path],
    });
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files.filter(is_rust).collect()
}
