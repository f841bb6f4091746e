//! Pages of a bounded size; sections that do not fit on one continue on the next.

use super::body::{MAX_HINT, PageBody};
use super::files::PageFiles;
use super::frame::{Frame, Outline};
use super::section::{Item, Section, SectionKind};
use muster_library::LibraryError;

/// No file is larger.
pub(super) const MAX_BYTES: usize = 5_000_000;
/// What is around the sections of a page, at most: style, script, tiles and two page lists.
pub(super) const FRAME_BYTES: usize = 40_000;

/// Pages that are being written, one after another. The first is kept in memory until the end, when
/// the page list is known.
pub(super) struct Pages<'a> {
    frame: &'a Frame,
    files: PageFiles,
    /// Bytes for the sections of a page.
    room: usize,
    first: Option<PageBody>,
    body: PageBody,
    section: Option<Section>,
    outline: Outline,
}

impl<'a> Pages<'a> {
    /// No page yet. No file gets larger than `max_bytes`, if no single item is.
    pub(super) fn new(frame: &'a Frame, files: PageFiles, max_bytes: usize) -> Self {
        let room = max_bytes.saturating_sub(FRAME_BYTES);
        let outline = Outline { pages: 1, ..Outline::default() };
        Self { frame, files, room, first: None, body: PageBody::default(), section: None, outline }
    }

    /// Begins a section.
    pub(super) fn begin(&mut self, section: Section) -> Result<(), LibraryError> {
        let opening = section.tag.len() + section.summary.len() + section.list.len() + end_bytes(&section);
        if !self.body.is_empty() && self.body.len() + opening > self.room {
            self.turn()?;
        }
        self.note(section.kind);
        self.body.begin(&section, section.is_open, "");
        self.section = Some(section);
        Ok(())
    }

    /// Adds an item to the section, on this page or the next.
    pub(super) fn item(&mut self, item: &Item) -> Result<(), LibraryError> {
        let Some(section) = self.section.take() else { return Ok(()) };
        if !self.fits(&section, item) && self.body.is_shared() && self.moves(&section, item) {
            self.move_section(&section)?;
        }
        let (_, items) = self.body.section_size();
        if !self.fits(&section, item) && items > 0 {
            self.continue_section(&section)?;
        }
        self.body.item(item);
        self.section = Some(section);
        Ok(())
    }

    /// Ends the section.
    pub(super) fn end(&mut self) {
        if let Some(section) = self.section.take() {
            self.body.end(&section, "");
        }
    }

    /// Adds a paragraph between sections.
    pub(super) fn paragraph(&mut self, text: &str) -> Result<(), LibraryError> {
        if !self.body.is_empty() && self.body.len() + text.len() > self.room {
            self.turn()?;
        }
        self.body.paragraph(text);
        Ok(())
    }

    /// Puts all pages in their places. Returns how many there are.
    pub(super) fn finish(mut self) -> Result<usize, LibraryError> {
        let mut body = std::mem::take(&mut self.body);
        body.close();
        let first = match self.first.take() {
            None => body,
            Some(first) => {
                self.files.write_further(self.frame, self.outline.pages, &body)?;
                first
            }
        };
        self.files.finish(self.frame, &self.outline, &first)?;
        Ok(self.outline.pages)
    }

    fn fits(&self, section: &Section, item: &Item) -> bool {
        // Three bytes for the link: see `PageBody::write`.
        self.body.len() + item.text.len() + 3 + end_bytes(section) <= self.room
    }

    /// Whether a section that does not fit goes to the next page as a whole. Of a person's faces up to
    /// half a page does; what is not of a person begins on a page of its own.
    fn moves(&self, section: &Section, item: &Item) -> bool {
        let (bytes, items) = self.body.section_size();
        section.kind != SectionKind::Person || items == 0 || bytes + item.text.len() <= self.room / 2
    }

    fn move_section(&mut self, section: &Section) -> Result<(), LibraryError> {
        let tail = self.body.take_section();
        self.turn()?;
        self.note(section.kind);
        self.body.begin(section, section.is_open || section.kind != SectionKind::Person, "");
        self.body.append(&tail);
        Ok(())
    }

    fn continue_section(&mut self, section: &Section) -> Result<(), LibraryError> {
        let (page, next) = (self.outline.pages, self.outline.pages + 1);
        self.body.end(section, &self.hint("Continued on", page, next));
        self.turn()?;
        let hint = self.hint("Continued from", next, page);
        self.body.begin(section, true, &hint);
        Ok(())
    }

    fn hint(&self, text: &str, page: usize, to: usize) -> String {
        let link = self.frame.links.link(page, to);
        format!("<p class=\"hint continued\">{text} <a href=\"{link}\">page {to}</a>.</p>")
    }

    /// Goes on on the next page.
    fn turn(&mut self) -> Result<(), LibraryError> {
        let mut body = std::mem::take(&mut self.body);
        body.close();
        match self.first {
            None => self.first = Some(body),
            Some(_) => self.files.write_further(self.frame, self.outline.pages, &body)?,
        }
        self.outline.pages += 1;
        Ok(())
    }

    /// Notes the page of a section that begins.
    fn note(&mut self, kind: SectionKind) {
        let page = Some(self.outline.pages);
        match kind {
            SectionKind::Person => {}
            SectionKind::Ungrouped => self.outline.ungrouped = page,
            SectionKind::Rejected => self.outline.rejected = page,
        }
    }
}

/// Bytes that end a section on a page, with hints of where it goes on and comes from.
fn end_bytes(section: &Section) -> usize {
    section.end.len() + 2 * MAX_HINT
}
