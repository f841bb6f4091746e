//! A fingerprint of the data that the page in a library was written from, so that it is written again only where that changed.

use std::fmt::Write as _;

use muster_actors::domain::gallery::GalleryId;
use muster_gallery::LIBRARY_GALLERY;
use muster_library::library::REPORT;
use muster_library::{Library, LibraryError, groups, report, view};
use sha2::{Digest, Sha256};

use super::frame::{SCRIPT, STYLE};

/// Name of the note in the library.
const NOTE: &str = "page";

/// A digest of all that the page depends on: faces, facts and groups by their generation, the counts
/// and what was rejected, the program, and the folder that links to photos start from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageFingerprint(String);

impl PageFingerprint {
    /// Computes the fingerprint of a page that would be written now.
    pub(super) fn of(library: &Library) -> Result<Self, LibraryError> {
        let db = library.db();
        let generation = groups::generation(db, &GalleryId(LIBRARY_GALLERY.to_owned()))?;
        let mut digest = Sha256::new();
        let mut add = |text: &str| {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text.as_bytes());
        };
        [env!("CARGO_PKG_VERSION"), STYLE, SCRIPT].into_iter().for_each(&mut add);
        add(&format!("{generation} {:?} {:?}", library.folder(), view::totals(db)?));
        for rejected in view::rejected(db)? {
            [&rejected.path, &rejected.reason, &rejected.detail].into_iter().for_each(|text| add(text));
        }
        let mut text = String::new();
        for byte in digest.finalize() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// Whether the page in the library was written from the same, and its files are all there.
    pub(super) fn is_current(&self, library: &Library) -> Result<bool, LibraryError> {
        let Some(note) = library.note(NOTE)? else { return Ok(false) };
        let Some((stamp, pages)) = note.split_once(' ') else { return Ok(false) };
        let Ok(pages) = pages.parse::<usize>() else { return Ok(false) };
        let page = library.folder().join(REPORT);
        Ok(stamp == self.0 && (1..=pages).all(|number| report::file(&page, number).is_file()))
    }

    /// Leaves a note that the page with so many files was written from this.
    pub(super) fn leave(&self, library: &Library, pages: usize) {
        let note = format!("{} {pages}", self.0);
        let left = if library.is_writer() {
            library.set_note(NOTE, &note)
        } else {
            // What reads a library cannot write to it.
            Library::amend(library.folder()).and_then(|library| library.set_note(NOTE, &note))
        };
        // Without a note the page is written again the next time, and is no worse.
        let _ = left;
    }
}
