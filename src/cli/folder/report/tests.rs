//! Reports of libraries that are made up, on pages of 60 kilobytes.

#![allow(dead_code)]

#[path = "../../../../tests/support/people_page.rs"]
mod people_page;

use std::path::{Path, PathBuf};

use muster_actors::domain::gallery::GroupId;
use muster_actors::people::correction::Details;
use muster_actors::people::{Author, Correction, Member};
use muster_library::correct::correct;
use muster_library::forget::{ForgetTarget, forget};
use muster_library::library::REPORT;
use muster_library::{Library, write as library_write};

use super::pages::FRAME_BYTES;
use super::{MAX_BYTES, is_current, refresh, write, write_limited};
use people_page::{Contents, Page, check, library, pages};

const SMALL: usize = FRAME_BYTES + 60_000;

fn hide(library: &mut Library, group: GroupId) {
    let details = Details { is_hidden: Some(true), ..Details::default() };
    let hidden = Correction::Details { member: Member::Group(group), details };
    correct(library.db_mut(), &hidden, &Author::default()).unwrap();
}

/// The photos of a folder that the pages link.
fn of(photos: &std::collections::BTreeMap<PathBuf, usize>, folder: &Path) -> usize {
    photos.keys().filter(|photo| photo.starts_with(folder)).count()
}

fn written(library: &Library, max_bytes: usize) -> Vec<Page> {
    let page = write_limited(library, None, max_bytes).unwrap();
    pages(&page)
}

#[test]
fn what_fits_is_one_file() {
    let base = tempfile::tempdir().unwrap();
    let contents = Contents { groups: vec![3, 2], ungrouped: 4, rejected: 2, crop_bytes: 2_000 };
    let (library, _) = library(base.path(), &contents);
    let pages = written(&library, MAX_BYTES);
    let photos = check(&pages, MAX_BYTES);
    assert_eq!((pages.len(), photos.len(), pages[0].count("<nav ")), (1, 9, 0));
    assert!(!base.path().join(".muster/people").exists());
    assert!(!pages[0].text.contains("this page only") && pages[0].text.contains("href=\"#rejected\""));
}

#[test]
fn nothing_at_all_is_a_page_too() {
    let base = tempfile::tempdir().unwrap();
    let (library, _) = library(base.path(), &Contents::default());
    let pages = written(&library, SMALL);
    assert!(check(&pages, SMALL).is_empty() && pages[0].text.contains("No groups yet."));
}

#[test]
fn pages_stay_small_and_show_each_face_once() {
    let base = tempfile::tempdir().unwrap();
    let sizes = [70, 9, 8, 7, 7, 6, 5, 4, 3, 2, 2, 2];
    let contents = Contents { groups: sizes.to_vec(), ungrouped: 60, rejected: 700, crop_bytes: 2_000 };
    let (mut library, groups) = library(base.path(), &contents);
    hide(&mut library, groups[5]);
    let pages = written(&library, SMALL);
    let photos = check(&pages, SMALL);
    let shown = sizes.iter().sum::<usize>() - sizes[5] + contents.ungrouped;
    assert_eq!((photos.len(), photos.values().sum::<usize>()), (shown, shown));
    assert_eq!(of(&photos, &base.path().join("5")), 0, "who is hidden is on no page");

    let counts = |text: &str| pages.iter().map(|page| page.count(text)).sum::<usize>();
    assert_eq!(counts("Continued on <a"), counts("Continued from <a"));
    assert!(pages[0].text.contains("Continued on <a href=\"people/2.html\">page 2</a>"));
    assert!(pages[1].text.contains("Continued from <a href=\"../people.html\">page 1</a>"));
    assert_eq!(counts("<td class=\"path\">"), 700);
    assert!(pages.iter().all(|page| page.count("<nav ") == 2 && page.count("<li>") < 20));
    let has_search = |page: &Page| page.text.contains("The search looks through this page only.");
    assert!(pages.iter().all(|page| has_search(page) == page.text.contains("class=\"person\"")));
    // Only the first, who fills pages, is divided: the others are moved.
    for group in &groups[1..] {
        assert!(counts(&format!("id=\"g-{}\"", &group.to_string()[..8])) <= 1, "{group}");
    }
    // What is in no group begins on a page of its own.
    let begins = |id: &str| pages.iter().position(|page| page.text.contains(id)).unwrap();
    let (alone, rejected) = (begins("id=\"alone\" open"), begins("id=\"rejected\" open"));
    assert!(!pages[alone].text.contains("class=\"person\"") && !pages[rejected].text.contains("id=\"alone\""));
    for page in &pages {
        let linked = |id: usize| page.links(" href=\"").contains(&pages[id].path) || page.path == pages[id].path;
        assert!(page.text.contains("#alone\"") && linked(alone) && linked(rejected), "{}", page.path.display());
    }
}

#[test]
fn who_fits_on_the_page_stays_there_and_so_do_faces_in_no_group() {
    let base = tempfile::tempdir().unwrap();
    let contents = Contents { groups: vec![25, 3], ungrouped: 2, rejected: 3, crop_bytes: 2_000 };
    let (library, _) = library(base.path(), &contents);
    let pages = written(&library, SMALL);
    assert_eq!((pages.len(), check(&pages, SMALL).len()), (2, 30));
    assert!(pages[1].text.contains("id=\"alone\">") && pages[1].text.contains("class=\"person\""));
    assert!(pages[1].text.contains("id=\"rejected\" open>"));
}

#[test]
fn pages_that_are_needed_no_more_go() {
    let base = tempfile::tempdir().unwrap();
    let (library, _) = library(base.path(), &Contents { groups: vec![90], crop_bytes: 2_000, ..Contents::default() });
    assert!(written(&library, SMALL).len() > 4);
    let longer = written(&library, SMALL * 2);
    assert_eq!((longer.len(), check(&longer, SMALL * 2).len()), (2, 90));
    let folder = base.path().join(".muster/people");
    std::fs::write(folder.join("notes.html"), "somebody's").unwrap();
    assert_eq!(written(&library, MAX_BYTES).len(), 1);
    assert!(folder.join("notes.html").exists() && !folder.join("2.html").exists());
}

#[test]
fn where_a_page_cannot_be_written_the_report_stays_as_it_was() {
    let base = tempfile::tempdir().unwrap();
    let (mut library, _) =
        library(base.path(), &Contents { groups: vec![60], rejected: 1, crop_bytes: 2_000, ..Contents::default() });
    let page = base.path().join("my people.html");
    write_limited(&library, Some(&page), SMALL * 2).unwrap();
    let before = pages(&page);
    assert_eq!((before.len(), check(&before, SMALL * 2).len()), (2, 60));
    let folder = base.path().join("my people");
    std::fs::write(folder.join("3.html"), "somebody's").unwrap();
    library_write::commit(library.db_mut(), &[people_page::rejected("other.jpg")]).unwrap()[0].clone().unwrap();
    let error = write_limited(&library, Some(&page), SMALL).unwrap_err().to_string();
    assert!(error.contains("3.html") && error.contains("--output"), "{error}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "no part is left");
    assert!(before.iter().zip(pages(&page)).all(|(a, b)| a.text == b.text));
    std::fs::remove_file(folder.join("3.html")).unwrap();
    write_limited(&library, Some(&page), SMALL).unwrap();
    assert_eq!(check(&pages(&page), SMALL).len(), 60);
}

#[test]
fn the_page_is_written_again_only_where_it_would_be_another() {
    let base = tempfile::tempdir().unwrap();
    let (mut library, groups) =
        library(base.path(), &Contents { groups: vec![40, 30], crop_bytes: 2_000, ..Contents::default() });
    assert!(!is_current(&library).unwrap(), "there is none");
    let page = write_limited(&library, None, SMALL).unwrap();
    assert!(is_current(&library).unwrap());
    let second = page.with_extension("").join("2.html");
    let time = || std::fs::metadata(&page).unwrap().modified().unwrap();
    let before = time();
    refresh(&library).unwrap();
    assert_eq!(time(), before);
    std::fs::remove_file(&second).unwrap();
    assert!(!is_current(&library).unwrap(), "a page is gone");
    refresh(&library).unwrap();
    assert!(is_current(&library).unwrap() && !second.exists() && time() > before, "all fit on one as it is");

    hide(&mut library, groups[0]);
    assert!(!is_current(&library).unwrap(), "somebody is hidden");
    write(&library, None).unwrap();
    library_write::commit(library.db_mut(), &[people_page::rejected("other.jpg")]).unwrap()[0].clone().unwrap();
    assert!(!is_current(&library).unwrap(), "a photo was rejected");
    write(&library, Some(&base.path().join("elsewhere.html"))).unwrap();
    assert!(!is_current(&library).unwrap(), "another file is not the library's");
    drop(library);
    // As the end of `muster index` does, beside the writer.
    let library = Library::read(&base.path().join(".muster")).unwrap();
    refresh(&library).unwrap();
    assert!(is_current(&library).unwrap(), "one that reads leaves a note too");
}

#[test]
fn who_forgets_deletes_all_pages() {
    let base = tempfile::tempdir().unwrap();
    let (mut library, groups) =
        library(base.path(), &Contents { groups: vec![60, 3], crop_bytes: 2_000, ..Contents::default() });
    let count = written(&library, SMALL).len();
    assert!(count > 2);
    let receipt = forget(&mut library, &ForgetTarget::Group(groups[1]), &Author::default()).unwrap();
    assert_eq!(
        (receipt.files.len(), &receipt.files[..2]),
        (count, &[REPORT.to_owned(), "people/2.html".to_owned()][..])
    );
    assert!(!library.folder().join(REPORT).exists() && !library.folder().join("people").exists());
    assert!(!is_current(&library).unwrap());
    let pages = written(&library, SMALL);
    assert_eq!(check(&pages, SMALL).len(), 60);
}
