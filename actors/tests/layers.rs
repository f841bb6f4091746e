//! The folders of `actors/` are layers: which may import which is a table, and it has no cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Every folder, and the folders that it imports. Nothing else is allowed, and nothing is in here that no file needs.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("errors", &["domain"]),
    ("ports", &["domain", "errors"]),
    ("runtime", &["domain"]),
    ("flow", &["domain", "errors", "ports", "runtime"]),
    ("pipeline", &["domain", "errors", "flow", "ports", "runtime"]),
    ("people", &["domain"]),
    ("grouping", &["domain", "people", "ports"]),
    ("scaler", &["domain", "errors", "ports"]),
    ("cutover", &["domain", "errors", "ports"]),
    ("sim", &["domain", "errors", "flow", "grouping", "pipeline", "ports", "runtime", "scaler"]),
];

type Edges = BTreeMap<String, BTreeSet<String>>;

/// How many bytes of a string there are up to its closing quote, that one included.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|c| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes
    });
    end.map_or(text.len(), |end| end + 1)
}

/// The text without its comments and its strings.
fn code(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    let up_to = |rest: &str, end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            up_to(rest, "*/")
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            3 + up_to(raw, "\"#")
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else if let Some(string) = rest.strip_prefix('"') {
            1 + closing_quote(string)
        } else {
            code.push(next);
            next.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// The first names of a path or of a tree in braces: `a::b` has `a`, `{a::b, c::{d, e}}` has `a` and `c`.
fn first_names(tree: &str) -> Vec<String> {
    let name = |path: &str| path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(inner) = tree.trim_start().strip_prefix('{') else { return vec![name(tree)] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&inner[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The names right below the root of the crate that a file uses. `depth` is how many modules its own lies below the root. A
/// path with as many `super` reaches the root too, unless it stands in a module within the file.
fn imports(text: &str, depth: usize, folders: &BTreeSet<&str>) -> BTreeSet<String> {
    let code = code(text);
    let mut names = BTreeSet::new();
    for (at, start) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            names.extend(first_names(&code[at + start.len()..]));
        }
    }
    let up = "super::".repeat(depth);
    for (at, _) in code.match_indices(&up) {
        let rest = code[at + up.len()..].trim_start_matches("super::");
        names.extend(first_names(rest).into_iter().filter(|name| folders.contains(name.as_str())));
    }
    names
}

/// A cycle among the edges, if there is one: its members in order.
fn cycle(edges: &Edges) -> Option<Vec<String>> {
    fn visit(edges: &Edges, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
        let here = path.last()?.clone();
        for next in edges.get(&here).into_iter().flatten() {
            if let Some(at) = path.iter().position(|other| other == next) {
                return Some(path[at..].to_vec());
            }
            if !done.contains(next) {
                path.push(next.clone());
                if let Some(cycle) = visit(edges, path, done) {
                    return Some(cycle);
                }
                path.pop();
            }
        }
        done.insert(here);
        None
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| visit(edges, &mut vec![start.clone()], &mut done))
}

/// Every Rust file below a folder, with how many modules its own lies below it.
fn files(folder: &Path, depth: usize, found: &mut Vec<(usize, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_module = path.file_name().is_some_and(|name| name == "mod.rs");
        if path.is_dir() {
            files(&path, depth + 1, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((depth + usize::from(!is_module), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn folders() -> BTreeSet<&'static str> {
    ALLOWED.iter().map(|(folder, _)| *folder).collect()
}

fn allowed() -> Edges {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ALLOWED.iter().map(|(folder, others)| ((*folder).to_owned(), owned(others))).collect()
}

/// What each folder imports, itself left out.
fn found() -> Edges {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut edges = Edges::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let folder = entry.file_name().into_string().unwrap();
        if folder == "tests" {
            continue;
        }
        let mut texts = Vec::new();
        files(&entry.path(), 1, &mut texts);
        let mut names: BTreeSet<String> =
            texts.iter().flat_map(|(depth, text)| imports(text, *depth, &folders())).collect();
        names.remove(&folder);
        edges.insert(folder, names);
    }
    edges
}

#[test]
fn each_folder_imports_what_the_table_allows_and_all_of_it() {
    let (allowed, found) = (allowed(), found());
    assert_eq!(found.keys().collect::<Vec<_>>(), allowed.keys().collect::<Vec<_>>(), "every folder is in the table");
    for (folder, others) in &found {
        let more: Vec<_> = others.difference(&allowed[folder]).collect();
        assert!(
            more.is_empty(),
            "actors/{folder} imports {more:?}, which the table does not allow (or which is no folder)"
        );
        let unused: Vec<_> = allowed[folder].difference(others).collect();
        assert!(unused.is_empty(), "actors/{folder} imports nothing of {unused:?} any more: take it out of the table");
    }
}

#[test]
fn no_folders_import_each_other() {
    for edges in [allowed(), found()] {
        assert_eq!(cycle(&edges), None);
    }
}

#[test]
fn imports_are_found_however_they_are_written() {
    let folders = BTreeSet::from(["a", "b", "c"]);
    for (depth, text, expected) in [
        (2, "use crate::a::X;", vec!["a"]),
        (2, "use crate::{a::X, b::{Y, c::Z}, c};", vec!["a", "b", "c"]),
        (2, "use crate::{\n    a::{self, X},\n    b,\n};", vec!["a", "b"]),
        (2, "pub(crate) use crate::a::{X, Y};", vec!["a"]),
        (2, "fn f() -> crate::a::X { crate::b::y::<crate::c::Z>() }", vec!["a", "b", "c"]),
        (2, "macro_rules! m { () => { $crate::a::X } }", vec!["a"]),
        (2, "#[cfg(test)]\nmod tests {\n    use crate::a::X;\n}", vec!["a"]),
        (2, "use crate::start;", vec!["start"]),
        (2, "/// See [`X`](crate::a::X).\n//! crate::b\n// crate::c\nfn f() {}", vec![]),
        (2, "/* crate::a */ use crate::b::X; /* crate::c */", vec!["b"]),
        (2, "let s = \"crate::a \\\" crate::b\"; use crate::c::X;", vec!["c"]),
        (2, "let s = r#\"crate::a \" \"#; use crate::c::X;", vec!["c"]),
        (2, "let quote = '\"'; use crate::a::X; let other = '\\\"'; use crate::b::X;", vec!["a", "b"]),
        (2, "use other_crate::a::X; use muster_actors::b::X;", vec![]),
        (1, "use super::a::X;", vec!["a"]),
        (2, "use super::a::X; use super::super::b::X;", vec!["b"]),
        (2, "use super::super::{a::X, c::Y};", vec!["a", "c"]),
        (3, "use super::super::a::X;", vec![]),
        (1, "mod tests { use super::*; use super::X; }", vec![]),
    ] {
        assert_eq!(imports(text, depth, &folders).into_iter().collect::<Vec<_>>(), expected, "{text}");
    }
}

#[test]
fn a_cycle_is_found_wherever_it_is() {
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges = Edges::new();
        for (from, to) in pairs {
            edges.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        edges
    };
    for (pairs, expected) in [
        (&[][..], None),
        (&[("a", "b"), ("b", "c"), ("a", "c")], None),
        (&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")], None),
        (&[("a", "a")], Some(vec!["a"])),
        (&[("a", "b"), ("b", "a")], Some(vec!["a", "b"])),
        (&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")], Some(vec!["b", "c", "d"])),
        (&[("a", "b"), ("c", "d"), ("d", "c")], Some(vec!["c", "d"])),
    ] {
        let found = cycle(&edges(pairs));
        assert_eq!(found.as_ref().map(|names| names.iter().map(String::as_str).collect()), expected, "{pairs:?}");
    }
}
