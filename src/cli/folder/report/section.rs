//! Sections of the page, each a list that may continue on the next page: a person, the faces in no group,
//! and photos that were rejected.

use maud::{Markup, html};

use super::figure::image;
use crate::cli::text::{count, short};
use muster_gallery::view::Person;
use muster_library::view::{self, FaceSelection, RejectedPhoto};
use muster_library::{Library, LibraryError};

/// Lists that are no longer than this are shown open.
const SHORT: usize = 20;

/// What a section shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SectionKind {
    /// The faces of a person.
    Person,
    /// The faces in no group.
    Ungrouped,
    /// Photos and folders that could not be used.
    Rejected,
}

/// A section without its items, in the order of its markup.
#[derive(Clone, Debug)]
pub(super) struct Section {
    /// What it shows.
    pub(super) kind: SectionKind,
    /// A `details` element whose opening tag is left unfinished: ` open>` or `>` follows.
    pub(super) tag: String,
    /// Whether it is open where it begins.
    pub(super) is_open: bool,
    /// What stands above the items, on each page.
    pub(super) summary: String,
    /// Begins the list.
    pub(super) list: String,
    /// Ends the list.
    pub(super) end: &'static str,
}

/// An item of a section.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its markup.
    pub(super) text: String,
    /// Where in it a link to a photo begins, relative to the first page.
    pub(super) link: Option<usize>,
}

impl Section {
    /// A person's section.
    pub(super) fn person(library: &Library, person: &Person) -> Result<Self, LibraryError> {
        let db = library.db();
        let mut cover = None;
        view::faces(db, FaceSelection::One(person.cover), |face| {
            cover = Some(face.n);
            Ok(())
        })?;
        let cover = cover.map(|n| view::thumbnail(db, n)).transpose()?;
        let title = person.name.as_deref().unwrap_or("No name");
        let id = short(person.id);
        let summary = html! {
            summary {
                (image(cover.as_deref(), "", 96))
                span.who {
                    span.name.nameless[person.name.is_none()] { bdi { (title) } }
                    span.counts { (count(person.faces, "face")) " · " (count(person.photos, "photo")) }
                    code { (id) }
                }
            }
            p.hint { "Rename: " code { "muster people name " (id) " 'Name'" } }
        };
        let tag = format!("<details class=\"person\" id=\"g-{id}\"");
        Ok(Self::of(SectionKind::Person, tag, summary, "<div class=\"faces\">", "</div>"))
    }

    /// The section of so many faces in no group.
    pub(super) fn ungrouped(faces: u64) -> Self {
        let summary = html! {
            summary { h2 { "Faces in no group " span.tally { (faces) } } }
            p.hint { "Seen once, or too poor to be sure. `muster people merge GROUP FACE` puts one where it belongs." }
        };
        let tag = "<details class=\"more\" id=\"alone\"".to_owned();
        Self::of(SectionKind::Ungrouped, tag, summary, "<div class=\"faces\">", "</div>")
    }

    /// The section of so many photos and folders that could not be used.
    pub(super) fn rejected(count: usize) -> Self {
        let summary = html! { summary { h2 { "Not usable " span.tally { (count) } } } };
        let header = html! {
            thead { tr { th scope="col" { "Photo or folder" } th scope="col" { "Reason" } th scope="col" { "What happened" } } }
        };
        let list = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
             aria-label=\"Photos and folders that could not be used\"><table>{}<tbody>",
            header.into_string()
        );
        let tag = "<details class=\"more\" id=\"rejected\"".to_owned();
        let section = Self::of(SectionKind::Rejected, tag, summary, &list, "</tbody></table></div>");
        Self { is_open: count <= SHORT, ..section }
    }

    fn of(kind: SectionKind, tag: String, summary: Markup, list: &str, end: &'static str) -> Self {
        Self { kind, tag, is_open: false, summary: summary.into_string(), list: list.to_owned(), end }
    }
}

impl Item {
    /// A photo or folder that could not be used.
    pub(super) fn rejected(rejected: &RejectedPhoto) -> Self {
        let row = html! {
            tr { td.path { bdi { (rejected.path) } } td { span.chip { (rejected.reason) } } td { (rejected.detail) } }
        };
        Self { text: row.into_string(), link: None }
    }
}
