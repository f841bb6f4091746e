//! `muster report` writes a page of all people, to be opened in a browser. Where it would be larger than
//! [`MAX_BYTES`], it goes on in further files.
//!
//! ```text
//! library ─► section.rs, figure.rs ─► pages.rs ─► body.rs ─► files.rs ─► people.html, people/2.html, …
//!            a person, a face         what goes   a page     frame.rs: what is around it
//!                                     where
//! ```

mod body;
mod figure;
mod files;
mod frame;
mod href;
mod page_fingerprint;
mod pages;
mod section;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use maud::html;

use self::figure::figure;
use self::files::PageFiles;
use self::frame::Frame;
use self::href::PageLinks;
use self::page_fingerprint::PageFingerprint;
use self::pages::{MAX_BYTES, Pages};
use self::section::{Item, Section};
use super::library::LibraryArgs;
use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::count;
use muster_library::library::REPORT;
use muster_library::view::{self, FaceSelection};
use muster_library::{Library, LibraryError};

/// Arguments of `muster report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The page holds everything it shows, asks nothing of any network, and links to the photos on this disk.
Where it would be larger than 5 MB it goes on in further files, in a folder beside it: people/2.html
and so on. Hidden people are left out.

Examples:
  muster report
  muster report --output ~/people.html")]
pub struct Args {
    #[command(flatten)]
    library: LibraryArgs,
    /// Write here [default: people.html in the library]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, CliError> {
        let place = write(&self.library.read()?, self.output.as_deref())?;
        print(|out| Ok(writeln!(out, "{}", place.display())?))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the page into the library where it would show anything else than it does; returns where it is.
pub fn refresh(library: &Library) -> Result<PathBuf, CliError> {
    if is_current(library)? { Ok(library.folder().join(REPORT)) } else { write(library, None) }
}

/// Whether the page in the library shows what it would if it were written now.
pub fn is_current(library: &Library) -> Result<bool, CliError> {
    Ok(PageFingerprint::of(library)?.is_current(library)?)
}

/// Writes the page, by default into the library; returns where it is.
pub fn write(library: &Library, place: Option<&Path>) -> Result<PathBuf, CliError> {
    write_limited(library, place, MAX_BYTES)
}

fn write_limited(library: &Library, place: Option<&Path>, max_bytes: usize) -> Result<PathBuf, CliError> {
    let given = place.map_or_else(|| library.folder().join(REPORT), Path::to_path_buf);
    let whole = std::path::absolute(&given)?;
    let no_name = || CliError::Usage(format!("{} is no file name", given.display()));
    let (folder, name) = (whole.parent().ok_or_else(no_name)?, whole.file_name().ok_or_else(no_name)?);
    let page = folder.canonicalize().map_err(|e| LibraryError::io(folder, &e))?.join(name);
    // One moment for all pages, also while somebody indexes. A writer is alone anyway.
    let moment = !library.is_writer();
    if moment {
        library.db().execute_batch("BEGIN").map_err(LibraryError::from)?;
    }
    let stamp = PageFingerprint::of(library);
    let written = pages(library, &page, max_bytes);
    if moment {
        library.db().execute_batch("COMMIT").map_err(LibraryError::from)?;
    }
    let pages = written?;
    if place.is_none() {
        stamp?.leave(library, pages);
    }
    Ok(whole)
}

/// Writes the pages; returns how many there are.
fn pages(library: &Library, page: &Path, max_bytes: usize) -> Result<usize, LibraryError> {
    let db = library.db();
    let folder = page.parent().unwrap_or(Path::new("/"));
    let (mut people, totals, rejected) = (view::people(db)?, view::totals(db)?, view::rejected(db)?);
    let copies = view::copies(db)?;
    let all = people.len();
    people.retain(|person| !person.is_hidden);
    let hidden = all - people.len();
    let frame = Frame { totals, people: people.len(), links: PageLinks::new(page) };
    let mut pages = Pages::new(&frame, PageFiles::new(page), max_bytes);
    for person in &people {
        pages.begin(Section::person(library, person)?)?;
        view::faces(db, FaceSelection::Group(person.id), |face| {
            pages.item(&figure(library, folder, &copies, &face, face.id == person.cover)?)
        })?;
        pages.end();
    }
    if totals.ungrouped > 0 {
        pages.begin(Section::ungrouped(totals.ungrouped))?;
        view::faces(db, FaceSelection::Ungrouped, |face| pages.item(&figure(library, folder, &copies, &face, false)?))?;
        pages.end();
    }
    if hidden > 0 {
        let is = if hidden == 1 { "person is" } else { "people are" };
        let text = html! {
            p.hint #hidden { (hidden) " " (is) " hidden: " code { "muster people list --hidden" } " lists them too." }
        };
        pages.paragraph(&text.into_string())?;
    }
    if totals.non_faces > 0 {
        let text = html! {
            p.hint #not-faces {
                (count(totals.non_faces, "detection")) " that looked like a face and "
                @if totals.non_faces == 1 { "is none" } @else { "are none" }
                ": not shown here. " code { "muster people not-faces" } " lists them, " code { "muster people is-face FACE" }
                " brings one back."
            }
        };
        pages.paragraph(&text.into_string())?;
    }
    if !rejected.is_empty() {
        pages.begin(Section::rejected(rejected.len()))?;
        for rejected in &rejected {
            pages.item(&Item::rejected(rejected))?;
        }
        pages.end();
    }
    pages.finish()
}
