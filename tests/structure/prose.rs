//! Rules of the documents: width, tables, links, commands and the form of decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use walkdir::WalkDir;

/// Columns of a line of prose. Tables, code, and lines of one long word are free.
const WIDTH: usize = 100;
/// Characters of a cell of a table. What is longer is a paragraph, and belongs in a section or a list.
const CELL: usize = 160;

/// Every Markdown file of the repository with its text, by its path from the root.
fn documents() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tops = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs"];
    let files = tops.iter().flat_map(|top| WalkDir::new(root.join(top)).into_iter().filter_map(Result::ok));
    let markdown = files.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "md"));
    let read = |path: &Path| (path.strip_prefix(root).unwrap().to_owned(), fs::read_to_string(path).unwrap());
    markdown.map(|entry| read(entry.path())).collect()
}

/// The lines of a document, and whether each is code.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut in_code = false;
    text.lines().enumerate().map(move |(number, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (number + 1, line, in_code || is_fence)
    })
}

fn too_wide(text: &str) -> impl Iterator<Item = usize> {
    let is_free = |line: &str| line.trim_start().starts_with('|') || line.split_whitespace().count() < 3;
    let wide = move |(number, line, is_code): (usize, &str, bool)| {
        (!is_code && line.chars().count() > WIDTH && !is_free(line)).then_some(number)
    };
    lines(text).filter_map(wide)
}

/// A cell's text as a reader sees it: without the targets of links.
fn shown(cell: &str) -> String {
    let mut parts = cell.trim().split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, rest| text + rest.split_once(')').map_or(rest, |(_, after)| after))
}

/// The lines with a table's cell that carries a paragraph.
fn full_cells(text: &str) -> impl Iterator<Item = usize> {
    let is_full = |line: &str| line.split('|').any(|cell| shown(cell).chars().count() > CELL);
    let full = move |(number, line, is_code): (usize, &str, bool)| {
        (!is_code && line.starts_with('|') && is_full(line)).then_some(number)
    };
    lines(text).filter_map(full)
}

/// The targets of links, without those of other sites.
fn links(text: &str) -> Vec<String> {
    let prose: String = lines(text).filter(|(.., is_code)| !is_code).map(|(_, line, _)| format!("{line}\n")).collect();
    let ends = prose.match_indices("](").map(|(at, _)| &prose[at + 2..]);
    let targets = ends.filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The anchors of a document's headings, as GitHub makes them: small letters, spaces as hyphens, without punctuation; a
/// repeated one is numbered.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut anchors, mut seen) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
    for (_, line, _) in lines(text).filter(|(_, line, is_code)| !is_code && line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let count = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

/// The words that follow `word` where a command begins with it: in code blocks, after `$ `, and in code spans.
fn commands<'a>(text: &'a str, word: &str) -> BTreeSet<&'a str> {
    let blocks = lines(text).filter(|(.., is_code)| *is_code).map(|(_, line, _)| line.trim_start_matches("$ "));
    let prose = lines(text).filter(|(.., is_code)| !is_code);
    let spans = prose.flat_map(|(_, line, _)| line.split('`').skip(1).step_by(2));
    let next = |code: &'a str| code.strip_prefix(word)?.strip_prefix(' ')?.split_whitespace().next();
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !name.starts_with('-');
    blocks.chain(spans).filter_map(next).filter(is_name).collect()
}

#[test]
fn prose_is_no_wider_than_a_page() {
    let faults: Vec<String> = documents()
        .iter()
        .flat_map(|(path, text)| too_wide(text).map(|line| format!("{}:{line}", path.display())))
        .collect();
    assert!(faults.is_empty(), "wrap these at {WIDTH} columns: {faults:#?}");
}

#[test]
fn no_cell_of_a_table_carries_a_paragraph() {
    let faults: Vec<String> = documents()
        .iter()
        .flat_map(|(path, text)| full_cells(text).map(|line| format!("{}:{line}", path.display())))
        .collect();
    assert!(faults.is_empty(), "make lists or sections of cells over {CELL} characters: {faults:#?}");
}

#[test]
fn every_decision_has_its_form_and_its_row() {
    let folder = Path::new("docs/adr");
    let documents = documents();
    let table = &documents[&folder.join("README.md")];
    let parts = ["\n- Date: 20", "\n- Status: ", "\n## Context\n", "\n## Decision\n", "\n## Consequences\n"];
    let (mut found, mut faults) = (0, Vec::new());
    for (path, text) in &documents {
        if path.parent() != Some(folder) || path.ends_with("README.md") {
            continue;
        }
        found += 1;
        let name = path.file_name().unwrap().to_string_lossy();
        let number = name.split('-').next().unwrap_or_default().trim_start_matches('0');
        let heading = text.lines().next().unwrap_or_default();
        let title = heading.strip_prefix(format!("# {number}. ").as_str()).unwrap_or_default();
        let places: Vec<Option<usize>> = parts.iter().map(|part| text.find(*part)).collect();
        let is_whole = places.iter().all(Option::is_some) && places.is_sorted();
        if title.is_empty() || !is_whole || !table.contains(format!("| {number} | [{title}]({name}) |").as_str()) {
            faults.push(path.display().to_string());
        }
    }
    assert!(found > 20, "only {found} decisions were found");
    assert!(
        faults.is_empty(),
        "docs/adr/README.md has the form of a decision, and its table a row of each: {faults:#?}"
    );
}

#[test]
fn every_link_and_anchor_leads_somewhere() {
    let documents = documents();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut faults) = (0, Vec::new());
    for (path, text) in &documents {
        for link in links(text) {
            found += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { root.join(path) } else { root.join(path).with_file_name(file) };
            let Ok(target) = target.canonicalize() else {
                faults.push(format!("{}: {link}", path.display()));
                continue;
            };
            let inside = target.strip_prefix(root.canonicalize().unwrap()).ok().and_then(|path| documents.get(path));
            if !anchor.is_empty() && !inside.is_some_and(|text| anchors(text).contains(anchor)) {
                faults.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(found > 100, "only {found} links were found: is `links` broken?");
    assert!(faults.is_empty(), "these links lead nowhere: {faults:#?}");
}

#[test]
fn every_command_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = fs::read_to_string(root.join("Makefile")).unwrap();
    let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let is_command = |name: &str| {
        let asked = Command::new(env!("CARGO_BIN_EXE_muster")).args([name, "--help"]).output().unwrap();
        asked.status.success()
    };
    let (mut known, mut faults) = (BTreeMap::<String, bool>::new(), Vec::new());
    for (path, text) in documents().iter().filter(|(path, _)| !path.ends_with("CHANGELOG.md")) {
        let missing = commands(text, "make").into_iter().filter(|name| !targets.contains(name));
        faults.extend(missing.map(|name| format!("{}: make {name}", path.display())));
        for name in commands(text, "muster") {
            if !*known.entry(name.to_owned()).or_insert_with(|| is_command(name)) {
                faults.push(format!("{}: muster {name}", path.display()));
            }
        }
    }
    assert!(known.len() > 15, "only {known:?} were found: is `commands` broken?");
    assert!(faults.is_empty(), "there are no such commands: {faults:#?}");
}

#[test]
fn what_the_rules_look_for_is_found() {
    let text = "# A b, c!\n## A b, c\n[x](gone.md#a) and [y](https://a.b) `make it` and `muster go --x`.\n```sh\n$ make all\n```\n";
    assert_eq!(links(text), ["gone.md#a"]);
    assert_eq!(anchors(text), ["a-b-c", "a-b-c-1"].map(str::to_owned).into());
    assert_eq!(commands(text, "make"), ["all", "it"].into());
    assert_eq!(commands(text, "muster"), ["go"].into());
    let wide = format!("{}\n| {0} |\n```\n{0}\n```\n", "word ".repeat(30));
    assert_eq!(too_wide(&wide).collect::<Vec<_>>(), [1]);
    let long = "word ".repeat(40);
    assert_eq!(full_cells(&format!("| a | {long} |\n| a | [b]({long}) |\n")).collect::<Vec<_>>(), [1]);
}
