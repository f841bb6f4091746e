//! The files of the page of people: the page itself and, where that would be too large, further pages.
//!
//! `people.html` is the first page. The further ones lie in a folder beside it that is named after its
//! stem: `people/2.html` and so on. All of them show faces, so [`forget`](super::forget) deletes them.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::LibraryError;

/// The element in the head of every page that tells it from other people's files.
pub const MARK: &str = "<meta name=\"generator\" content=\"muster\">";
/// The mark lies in so many bytes at the beginning.
const HEAD_BYTES: u64 = 512;
const PART: &str = ".part";

/// The folder of further pages.
pub fn folder(page: &Path) -> PathBuf {
    match (page.file_stem(), page.extension()) {
        (Some(stem), Some(_)) => page.with_file_name(stem),
        // The page itself has that name.
        _ => {
            let mut name = page.file_name().unwrap_or_default().to_owned();
            name.push("-pages");
            page.with_file_name(name)
        }
    }
}

/// Where a page lies, counted from 1.
pub fn file(page: &Path, number: usize) -> PathBuf {
    if number > 1 { folder(page).join(format!("{number}.html")) } else { page.to_path_buf() }
}

/// Where this process writes a file before it is whole and moves to its place.
pub fn part(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}{PART}", std::process::id()));
    file.with_file_name(name)
}

/// Whether a page's place is taken by a file that is not a page.
pub fn is_taken(file: &Path) -> Result<bool, LibraryError> {
    match has_mark(file) {
        Ok(is_page) => Ok(!is_page),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LibraryError::io(file, &error)),
    }
}

/// Deletes the pages of an earlier, longer run, and what writers that were killed left of a page.
pub fn remove_stale(page: &Path, pages: usize) -> Result<(), LibraryError> {
    remove(page, |found| match found {
        PageFile::Page(number) => number > pages,
        PageFile::Part(process) => !Path::new("/proc").join(process).exists(),
    })?;
    Ok(())
}

/// Deletes the page with all its further pages. Returns what was there, relative to the page's folder.
pub fn remove_all(page: &Path) -> Result<Vec<String>, LibraryError> {
    let mut removed = Vec::new();
    match fs::remove_file(page) {
        Ok(()) => removed.push(shown(page, page)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(LibraryError::io(page, &error)),
    }
    removed.extend(remove(page, |_| true)?);
    Ok(removed)
}

/// Whether a path in a library's folder is a further page, by its name.
pub(super) fn is_further(page: &Path, path: &Path) -> bool {
    path.file_name().is_some_and(|name| number(name).is_some()) && path.parent() == Some(&folder(page))
}

/// Whether a folder is one of further pages, and holds nothing else.
pub(super) fn is_folder(page: &Path, path: &Path) -> bool {
    let is_known = |name: &OsStr| number(name).is_some() || part_of(name, |name| number(name).is_some()).is_some();
    path == folder(page)
        && fs::read_dir(path).is_ok_and(|mut entries| entries.all(|e| e.is_ok_and(|e| is_known(&e.file_name()))))
}

/// What a name in a page's folders says.
enum PageFile<'a> {
    /// A further page.
    Page(usize),
    /// A part of a page, by the id of the process that wrote it.
    Part(&'a str),
}

/// Deletes further pages and parts, by number, and the folder if nothing is left in it.
fn remove(page: &Path, is_unwanted: impl Fn(PageFile<'_>) -> bool) -> Result<Vec<String>, LibraryError> {
    let mut removed = Vec::new();
    for (name, path) in entries(page.parent().unwrap_or(Path::new("/")))? {
        if part_of(&name, |name| page.file_name() == Some(name))
            .is_some_and(|process| is_unwanted(PageFile::Part(process)))
        {
            delete(page, &path, &mut removed)?;
        }
    }
    let folder = folder(page);
    // A link may lead to anybody's files.
    if !fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(removed);
    }
    let mut pages = Vec::new();
    for (name, path) in entries(&folder)? {
        if let Some(process) = part_of(&name, |name| number(name).is_some()) {
            if is_unwanted(PageFile::Part(process)) {
                delete(page, &path, &mut removed)?;
            }
        } else if let Some(number) = number(&name)
            && is_unwanted(PageFile::Page(number))
            && has_mark(&path).map_err(|error| LibraryError::io(&path, &error))?
        {
            pages.push((number, path));
        }
    }
    pages.sort();
    for (_, path) in pages {
        delete(page, &path, &mut removed)?;
    }
    if !removed.is_empty() {
        // It stays where anything else lies in it.
        let _ = fs::remove_dir(&folder);
    }
    Ok(removed)
}

fn entries(folder: &Path) -> Result<Vec<(std::ffi::OsString, PathBuf)>, LibraryError> {
    let io = |error: std::io::Error| LibraryError::io(folder, &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_file() {
            found.push((entry.file_name(), entry.path()));
        }
    }
    Ok(found)
}

fn delete(page: &Path, path: &Path, removed: &mut Vec<String>) -> Result<(), LibraryError> {
    match fs::remove_file(path) {
        Ok(()) => removed.push(shown(page, path)),
        // Its writer was quicker.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(LibraryError::io(path, &error)),
    }
    Ok(())
}

fn shown(page: &Path, path: &Path) -> String {
    let folder = page.parent().unwrap_or(Path::new("/"));
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned()
}

/// The number of a further page: `2.html` and so on.
fn number(name: &OsStr) -> Option<usize> {
    let digits = name.to_str()?.strip_suffix(".html")?;
    let number: usize = digits.parse().ok()?;
    (number >= 2 && digits == number.to_string()).then_some(number)
}

/// The process that wrote a part of a file whose name is one of the page's.
fn part_of(name: &OsStr, is_page: impl Fn(&OsStr) -> bool) -> Option<&str> {
    let (file, process) = name.to_str()?.strip_suffix(PART)?.rsplit_once('.')?;
    (process.parse::<u32>().is_ok() && is_page(OsStr::new(file))).then_some(process)
}

fn has_mark(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    fs::File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head.windows(MARK.len()).any(|window| window == MARK.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_this_program_are_deleted() {
        let base = tempfile::tempdir().unwrap();
        let page = base.path().join("people.html");
        let further = base.path().join("people");
        fs::create_dir(&further).unwrap();
        let marked = format!("<!DOCTYPE html><head>{MARK}");
        let ours = ["2.html", "3.html", "12.html", "4.html.4194305.part"];
        let others = ["1.html", "02.html", "+5.html", "7.html", "a.jpg", "a.html.1.part", "2.html.x.part"];
        fs::write(&page, &marked).unwrap();
        fs::write(base.path().join("people.html.4194305.part"), "").unwrap();
        ours.iter().chain(&others).for_each(|name| fs::write(further.join(name), &marked).unwrap());
        fs::write(further.join("7.html"), "somebody's").unwrap();
        let own_part = part(&further.join("5.html"));
        fs::write(&own_part, "").unwrap();
        assert!(is_taken(&further.join("7.html")).unwrap() && !is_taken(&further.join("3.html")).unwrap());
        assert!(!is_taken(&further.join("99.html")).unwrap() && !is_folder(&page, &further));

        remove_stale(&page, 3).unwrap();
        let there = |name: &str| further.join(name).exists();
        assert_eq!(ours.map(there), [true, true, false, false]);
        assert!(own_part.exists(), "its process lives");
        assert!(!base.path().join("people.html.4194305.part").exists());
        let removed = remove_all(&page).unwrap();
        assert_eq!(removed.len(), 4, "{removed:?}");
        assert_eq!((&removed[0][..], &removed[3][..]), ("people.html", "people/3.html"));
        assert!(others.iter().all(|name| there(name)) && fs::read_dir(&further).unwrap().count() == others.len());

        fs::remove_dir_all(&further).unwrap();
        fs::create_dir(&further).unwrap();
        fs::write(further.join("2.html"), &marked).unwrap();
        assert!(is_folder(&page, &further) && is_further(&page, &further.join("2.html")));
        assert_eq!(remove_all(&page).unwrap(), ["people/2.html"]);
        assert!(!further.exists(), "an empty folder goes");
        assert!(remove_all(&page).unwrap().is_empty());
    }

    #[test]
    fn a_page_without_an_extension_has_its_folder_beside_it() {
        assert_eq!(folder(Path::new("/a/people.html")), Path::new("/a/people"));
        assert_eq!(folder(Path::new("/a/people")), Path::new("/a/people-pages"));
        assert_eq!(file(Path::new("/a/b.c.html"), 2), Path::new("/a/b.c/2.html"));
        assert_eq!(file(Path::new("/a/b.html"), 1), Path::new("/a/b.html"));
    }
}
