//! The frame around the sections of a page: head, tiles, search box, page list and foot.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::href::PageLinks;
use muster_gallery::view::Totals;
use muster_library::report::MARK;

pub(super) const STYLE: &str = include_str!("page.css");
pub(super) const SCRIPT: &str = include_str!("page.js");

/// Pages on either side of the present one in the page list.
const NEIGHBOURS: usize = 2;

/// How many pages there are, and on which the last sections begin.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outline {
    /// All pages.
    pub(super) pages: usize,
    /// The page of the first face in no group.
    pub(super) ungrouped: Option<usize>,
    /// The page of the first photo that could not be used.
    pub(super) rejected: Option<usize>,
}

/// The frame of all pages of a report.
pub(super) struct Frame {
    /// Counts of the library.
    pub(super) totals: Totals,
    /// People that are shown.
    pub(super) people: usize,
    /// Links between the pages.
    pub(super) links: PageLinks,
}

impl Frame {
    /// Begins a page, up to its main part. Only the first page has an outline, and the tiles.
    pub(super) fn head(&self, page: usize, outline: Option<&Outline>) -> String {
        let policy = format!(
            "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        let start = html! {
            meta charset="utf-8";
            (PreEscaped(MARK))
            meta http-equiv="Content-Security-Policy" content=(policy);
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="referrer" content="no-referrer";
            meta name="robots" content="noindex";
            title { "People in these photos" @if page > 1 { ", page " (page) } }
            style { (PreEscaped(STYLE)) }
        };
        let body = html! {
            @if outline.is_some() { a.skip href="#people" { "Skip to the people" } }
            header {
                h1 { "People in these photos" }
                @if let Some(outline) = outline { (self.tiles(outline)) }
            }
        };
        let markup = html! {
            (DOCTYPE)
            (PreEscaped("<html lang=\"en\"><head>")) (start) (PreEscaped("</head><body>")) (body) (PreEscaped("<main>"))
        };
        markup.into_string()
    }

    fn tiles(&self, outline: &Outline) -> Markup {
        let totals = &self.totals;
        let rejected = match outline.rejected {
            Some(page) if page > 1 => format!("{}#rejected", self.links.link(1, page)),
            _ => "#rejected".to_owned(),
        };
        let tiles = [
            (self.people as u64, "people", "#people"),
            (totals.faces, "faces", "#people"),
            (totals.images, "photos", "#people"),
            (totals.no_faces, "without a face", ""),
            (totals.low_quality, "too poor to look at", ""),
            (totals.rejected, "not usable", &rejected),
        ];
        html! {
            ul.tiles {
                @for (n, what, link) in tiles.into_iter().filter(|(n, what, _)| *n > 0 || *what == "people") {
                    li {
                        @if link.is_empty() { b { (n) } " " (what) }
                        @else { a href=(link) { b { (n) } " " (what) } }
                    }
                }
            }
        }
    }

    /// The heading of the people on a page, with its search box.
    pub(super) fn toolbar(&self, page: usize, is_paged: bool) -> String {
        let (label, placeholder) = match is_paged {
            true => ("Find a name, an id or a photo on this page", "Find on this page"),
            false => ("Find a name, an id or a photo", "Find a name or photo"),
        };
        let markup = html! {
            section #people aria-labelledby="people-title" {
                div.bar {
                    h2 #people-title {
                        "People " span.tally { @if page > 1 { "page " (page) } @else { (self.people) } }
                    }
                    div.tools #tools hidden {
                        label.search {
                            span.unseen { (label) }
                            input #find type="search" placeholder=(placeholder) autocomplete="off" spellcheck="false";
                        }
                        button #toggle type="button" aria-pressed="false" { "Open all" }
                    }
                }
                @if is_paged { p.hint { "The people with the most faces come first. The search looks through this page only." } }
                p #found role="status" aria-live="polite" class="unseen" {}
                @if self.people == 0 { p.none { "No groups yet." } }
            }
        };
        markup.into_string()
    }

    /// The page list, for the top of a page or for its end.
    pub(super) fn navigation(&self, page: usize, outline: &Outline, label: &str) -> String {
        let pages = outline.pages;
        let link = |to| self.links.link(page, to);
        let markup = html! {
            nav.pages aria-label=(label) {
                span { "Page " (page) " of " (pages) }
                @if page > 1 { a rel="prev" href=(link(page - 1)) { "Previous" } }
                ol {
                    @for entry in window(page, pages) {
                        @match entry {
                            Some(to) if to == page => li { span aria-current="page" { (to) } },
                            Some(to) => li { a href=(link(to)) { (to) } },
                            None => li aria-hidden="true" { "…" },
                        }
                    }
                }
                @if page < pages { a rel="next" href=(link(page + 1)) { "Next" } }
                @if let Some(to) = outline.ungrouped { a href={ (link(to)) "#alone" } { "Faces in no group" } }
                @if let Some(to) = outline.rejected { a href={ (link(to)) "#rejected" } { "Not usable" } }
            }
        };
        markup.into_string()
    }
}

/// Ends a page.
pub(super) fn tail() -> String {
    let markup = html! {
        (PreEscaped("</main>"))
        footer { p { "Made by muster on this computer. Nothing on this page is loaded from a network." } }
        script { (PreEscaped(SCRIPT)) }
        (PreEscaped("</body></html>\n"))
    };
    markup.into_string()
}

/// `'sha256-…'` of an inline block: the page's policy allows these two and nothing else.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// The pages that a page list shows: the first, the last, and those near the present one. `None` is a gap.
fn window(page: usize, pages: usize) -> Vec<Option<usize>> {
    let mut shown = Vec::new();
    let mut last = 0;
    for to in (1..=pages).filter(|to| *to == 1 || *to == pages || to.abs_diff(page) <= NEIGHBOURS) {
        if to > last + 1 {
            shown.push(None);
        }
        shown.push(Some(to));
        last = to;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_hold_nothing_that_ends_them_or_leaves_the_page() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("http") && !text.contains("url("));
        }
    }

    #[test]
    fn the_page_list_stays_small() {
        let s = Some;
        assert_eq!(window(1, 2), [s(1), s(2)]);
        assert_eq!(window(1, 900), [s(1), s(2), s(3), None, s(900)]);
        assert_eq!(window(4, 6), [s(1), s(2), s(3), s(4), s(5), s(6)]);
        assert_eq!(window(500, 900), [s(1), None, s(498), s(499), s(500), s(501), s(502), None, s(900)]);
    }
}
