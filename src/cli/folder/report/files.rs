//! Writes the files of the pages. Each is written beside its place, and all move there when the last is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::body::PageBody;
use super::frame::{Frame, Outline, tail};
use muster_library::{LibraryError, report};

/// Bytes kept free for a page list, which is known when the last page is.
const LIST_BYTES: usize = 4_000;
const TOP: &str = "Pages";
const END: &str = "Pages, at the end";

/// Files of a report that are not in their places yet. Dropped before that, they are deleted, and the
/// report is what it was.
pub(super) struct PageFiles {
    /// Where the first page lies.
    page: PathBuf,
    parts: Vec<PagePart>,
}

/// A further page that is not in its place yet.
struct PagePart {
    number: usize,
    part: PathBuf,
    place: PathBuf,
    /// Where its two page lists begin.
    lists: [u64; 2],
}

impl PageFiles {
    /// The report whose first page lies there.
    pub(super) fn new(page: &Path) -> Self {
        Self { page: page.to_path_buf(), parts: Vec::new() }
    }

    /// Writes a further page, without its page list.
    pub(super) fn write_further(&mut self, frame: &Frame, number: usize, body: &PageBody) -> Result<(), LibraryError> {
        let folder = report::folder(&self.page);
        match fs::create_dir(&folder) {
            Ok(()) => {}
            // Not a link, which leads to where relative links are others.
            Err(_) if fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) => {}
            Err(error) => return Err(LibraryError::io(&folder, &error)),
        }
        let place = report::file(&self.page, number);
        if report::is_taken(&place)? {
            let message = "a page of the report belongs here, and the file that is here is none: move it, or name \
                           another --output";
            return Err(LibraryError::Io { path: place, message: message.to_owned() });
        }
        let part = report::part(&place);
        self.parts.push(PagePart { number, part: part.clone(), place, lists: [0; 2] });
        let write = || -> io::Result<[u64; 2]> {
            let mut out = BufWriter::new(File::create(&part)?);
            let (head, free) = (frame.head(number, None), " ".repeat(LIST_BYTES));
            let bar = if body.has_people() { frame.toolbar(number, true) } else { String::new() };
            for text in [&head, &free, &bar] {
                out.write_all(text.as_bytes())?;
            }
            body.write(false, &mut out)?;
            out.flush()?;
            let second = out.get_ref().metadata()?.len();
            out.write_all(free.as_bytes())?;
            out.write_all(tail().as_bytes())?;
            out.flush()?;
            Ok([head.len() as u64, second])
        };
        let lists = write().map_err(|error| LibraryError::io(&part, &error))?;
        if let Some(part) = self.parts.last_mut() {
            part.lists = lists;
        }
        Ok(())
    }

    /// Writes the page lists and the first page, and moves all pages to their places, the first last.
    /// Then pages that an earlier report had more are deleted.
    pub(super) fn finish(mut self, frame: &Frame, outline: &Outline, first: &PageBody) -> Result<(), LibraryError> {
        for page in &self.parts {
            page.complete(frame, outline)?;
        }
        let part = report::part(&self.page);
        let written = self.write_first(&part, frame, outline, first).map_err(|error| LibraryError::io(&part, &error));
        let moved = written.and_then(|()| self.place(&part));
        if moved.is_err() {
            let _ = fs::remove_file(&part);
        }
        moved?;
        self.parts.clear();
        report::remove_stale(&self.page, outline.pages)
    }

    fn write_first(&self, part: &Path, frame: &Frame, outline: &Outline, body: &PageBody) -> io::Result<()> {
        let is_paged = outline.pages > 1;
        let list = |label| if is_paged { frame.navigation(1, outline, label) } else { String::new() };
        let mut out = BufWriter::new(File::create(part)?);
        for text in [frame.head(1, Some(outline)), list(TOP), frame.toolbar(1, is_paged)] {
            out.write_all(text.as_bytes())?;
        }
        body.write(true, &mut out)?;
        for text in [list(END), tail()] {
            out.write_all(text.as_bytes())?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    fn place(&self, first: &Path) -> Result<(), LibraryError> {
        for page in &self.parts {
            fs::rename(&page.part, &page.place).map_err(|error| LibraryError::io(&page.place, &error))?;
        }
        if !self.parts.is_empty() {
            let folder = report::folder(&self.page);
            File::open(&folder).and_then(|f| f.sync_all()).map_err(|error| LibraryError::io(&folder, &error))?;
        }
        fs::rename(first, &self.page).map_err(|error| LibraryError::io(&self.page, &error))
    }
}

impl PagePart {
    /// Writes the page lists.
    fn complete(&self, frame: &Frame, outline: &Outline) -> Result<(), LibraryError> {
        let write = || -> io::Result<()> {
            let file = File::options().write(true).open(&self.part)?;
            for (at, label) in self.lists.into_iter().zip([TOP, END]) {
                let list = frame.navigation(self.number, outline, label);
                if list.len() > LIST_BYTES {
                    return Err(io::Error::other("the page list is too long"));
                }
                file.write_all_at(list.as_bytes(), at)?;
            }
            file.sync_all()
        };
        write().map_err(|error| LibraryError::io(&self.part, &error))
    }
}

impl Drop for PageFiles {
    fn drop(&mut self) {
        for page in &self.parts {
            let _ = fs::remove_file(&page.part);
        }
    }
}
