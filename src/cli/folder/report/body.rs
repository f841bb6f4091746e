//! The body of one page: its sections as markup.

use std::io::{self, Write};

use super::section::{Item, Section, SectionKind};

const GRID: &str = "<div class=\"grid\" id=\"grid\">";
const GRID_END: &str = "</div>";
const SECTION_END: &str = "</details>";
/// Leads from a further page to the folder of the first.
const UP: &str = "../";
/// Bytes that a link to the page before or behind takes at most: names of files have up to 255, each of
/// which may be three in a link.
pub(super) const MAX_HINT: usize = 1_000;

/// Markup of people first, then of what is in no group. Its links to photos are relative to the first
/// page; on another page each gets a `../` in front, so sections can move from one page to the next.
#[derive(Debug, Default)]
pub(super) struct PageBody {
    text: String,
    /// Where links to photos begin, ascending.
    links: Vec<usize>,
    is_grid_open: bool,
    has_people: bool,
    /// The section that is being written.
    current: Option<OpenSection>,
}

/// A section that is being written.
#[derive(Debug)]
struct OpenSection {
    start: usize,
    /// Whether the grid of people was open before it.
    was_grid_open: bool,
    first_item: usize,
    first_link: usize,
    items: usize,
}

/// Items that were moved from the end of a page.
#[derive(Debug, Default)]
pub(super) struct PageTail {
    text: String,
    links: Vec<usize>,
    items: usize,
}

impl PageBody {
    /// Bytes that it takes on a page at most.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.links.len() * UP.len() + GRID.len() + GRID_END.len()
    }

    /// Whether any person is on it.
    pub(super) fn has_people(&self) -> bool {
        self.has_people
    }

    /// Whether nothing is on it.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether something stands before the section that is being written.
    pub(super) fn is_shared(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.start > 0)
    }

    /// Bytes and number of items of the section that is being written.
    pub(super) fn section_size(&self) -> (usize, usize) {
        self.current.as_ref().map_or((0, 0), |current| (self.text.len() - current.start, current.items))
    }

    /// Begins a section; `hint` stands above its items.
    pub(super) fn begin(&mut self, section: &Section, is_open: bool, hint: &str) {
        let (start, was_grid_open) = (self.text.len(), self.is_grid_open);
        self.grid(section.kind == SectionKind::Person);
        let end_of_tag = if is_open { " open>" } else { ">" };
        for part in [&section.tag, end_of_tag, &section.summary, hint, &section.list] {
            self.text.push_str(part);
        }
        let (first_item, first_link) = (self.text.len(), self.links.len());
        self.has_people |= section.kind == SectionKind::Person;
        self.current = Some(OpenSection { start, was_grid_open, first_item, first_link, items: 0 });
    }

    /// Adds an item to the section.
    pub(super) fn item(&mut self, item: &Item) {
        self.links.extend(item.link.map(|link| self.text.len() + link));
        self.text.push_str(&item.text);
        if let Some(current) = &mut self.current {
            current.items += 1;
        }
    }

    /// Ends the section; `hint` stands below its items.
    pub(super) fn end(&mut self, section: &Section, hint: &str) {
        for part in [section.end, hint, SECTION_END] {
            self.text.push_str(part);
        }
        self.current = None;
    }

    /// Takes the section that is being written off the page again, and returns its items.
    pub(super) fn take_section(&mut self) -> PageTail {
        let Some(current) = self.current.take() else { return PageTail::default() };
        let text = self.text.split_off(current.first_item);
        let mut links = self.links.split_off(current.first_link);
        links.iter_mut().for_each(|link| *link -= current.first_item);
        self.text.truncate(current.start);
        self.is_grid_open = current.was_grid_open;
        PageTail { text, links, items: current.items }
    }

    /// Adds items that were taken off another page to the section.
    pub(super) fn append(&mut self, tail: &PageTail) {
        let start = self.text.len();
        self.links.extend(tail.links.iter().map(|link| start + link));
        self.text.push_str(&tail.text);
        if let Some(current) = &mut self.current {
            current.items += tail.items;
        }
    }

    /// Adds a paragraph that belongs to no section.
    pub(super) fn paragraph(&mut self, text: &str) {
        self.grid(false);
        self.text.push_str(text);
    }

    /// Ends the page.
    pub(super) fn close(&mut self) {
        self.grid(false);
    }

    /// Writes it for the first page, or for a further one.
    pub(super) fn write(&self, is_first: bool, out: &mut dyn Write) -> io::Result<()> {
        if is_first {
            return out.write_all(self.text.as_bytes());
        }
        let mut from = 0;
        for &link in &self.links {
            out.write_all(&self.text.as_bytes()[from..link])?;
            out.write_all(UP.as_bytes())?;
            from = link;
        }
        out.write_all(&self.text.as_bytes()[from..])
    }

    fn grid(&mut self, is_open: bool) {
        if is_open != self.is_grid_open {
            self.text.push_str(if is_open { GRID } else { GRID_END });
            self.is_grid_open = is_open;
        }
    }
}
