//! The page of people of a library that is too large for one file.

use crate::support;

use std::path::Path;

use muster_library::Library;
use muster_library::library::REPORT;
use support::people_page::{Contents, check, library, pages};
use support::{muster, run};

/// No file is larger.
const MAX_BYTES: usize = 5_000_000;

fn report(library: &Path) {
    run(muster().args(["report", "--library"]).arg(library), 0);
}

#[test]
fn a_large_library_has_many_small_pages_and_each_face_is_on_one() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let mut groups = vec![1_200];
    groups.extend((0..150).map(|n| 2 + n % 13));
    // Fat crops: 200 of them fill a page.
    let contents = Contents { groups, ungrouped: 900, rejected: 20_000, crop_bytes: 18_000 };
    let (writer, _) = library(&base, &contents);
    let place = writer.folder().to_path_buf();
    drop(writer);
    report(&place);
    let first = place.join(REPORT);
    let written = pages(&first);
    let faces = contents.groups.iter().sum::<usize>() + contents.ungrouped;
    assert!(written.len() > faces / 200, "{}", written.len());
    let photos = check(&written, MAX_BYTES);
    assert_eq!((photos.len(), photos.values().sum::<usize>()), (faces, faces));
    let rejected: usize = written.iter().map(|page| page.count("<td class=\"path\">")).sum();
    assert_eq!(rejected, contents.rejected);

    // Most of it is forgotten: its pages go, and nobody else's file does.
    let notes = place.join("people/notes.txt");
    std::fs::write(&notes, "somebody's").unwrap();
    for photos in [base.join("0"), base.join(contents.groups.len().to_string()), base.join("broken")] {
        run(muster().args(["forget", "--library"]).arg(&place).arg(photos), 0);
    }
    std::fs::remove_file(&notes).unwrap();
    let shorter = pages(&first);
    assert!(shorter.len() > 1 && shorter.len() < written.len() / 2, "{}", shorter.len());
    assert_eq!(check(&shorter, MAX_BYTES).len(), faces - contents.groups[0] - contents.ungrouped);
    assert!(Library::read(&place).unwrap().note("page").unwrap().is_some());
}
