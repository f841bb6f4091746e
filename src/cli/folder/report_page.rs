//! The page of people: markup, one group at a time, so that a large library needs no large memory.

use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use muster_actors::domain::face::QualityReason;
use sha2::{Digest, Sha256};

use crate::cli::CliError;
use crate::cli::text::{count, short};
use muster_gallery::copies::Copies;
use muster_gallery::view::{FaceRow, Person, Totals};
use muster_library::view::{self, Rejected, Which};
use muster_library::{Library, LibraryError};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// Writes the page; `folder` is where it will lie, for links to photos.
pub(super) fn page(library: &Library, folder: &Path, out: &mut dyn Write) -> Result<(), CliError> {
    let db = library.db();
    let (people, totals, rejected) = (view::people(db)?, view::totals(db)?, view::rejected(db)?);
    let copies = view::copies(db)?;
    let mut put = |markup: Markup| out.write_all(markup.into_string().as_bytes());
    put(head(&totals))?;
    put(html! {
        section #people aria-labelledby="people-title" {
            div.bar {
                h2 #people-title { "People " span.tally { (people.len()) } }
                div.tools #tools hidden {
                    label.search {
                        span.unseen { "Find a name, an id or a photo" }
                        input #find type="search" placeholder="Find a name or photo" autocomplete="off" spellcheck="false";
                    }
                    button #toggle type="button" aria-pressed="false" { "Open all" }
                }
            }
            p #found role="status" aria-live="polite" class="unseen" {}
            @if people.is_empty() { p.none { "No groups yet." } }
        }
    })?;
    put(PreEscaped("<div class=\"grid\" id=\"grid\">".to_owned()))?;
    for person in &people {
        put(PreEscaped(opening(db, person)?))?;
        view::faces(db, Which::Group(person.id), |face| {
            let shown = figure(library, folder, &copies, &face, face.id == person.cover)?;
            put(shown).map_err(|e| LibraryError::io(folder, &e))
        })?;
        put(PreEscaped("</div></details>".to_owned()))?;
    }
    put(PreEscaped("</div>".to_owned()))?;
    if totals.ungrouped > 0 {
        let summary = html! {
            summary { h2 { "Faces in no group " span.tally { (totals.ungrouped) } } }
            p.hint { "Seen once, or too poor to be sure. `muster people merge GROUP FACE` puts one where it belongs." }
        };
        put(PreEscaped(format!(
            "<details class=\"more\" id=\"alone\">{}<div class=\"faces\">",
            summary.into_string()
        )))?;
        view::faces(db, Which::Ungrouped, |face| {
            put(figure(library, folder, &copies, &face, false)?).map_err(|e| LibraryError::io(folder, &e))
        })?;
        put(PreEscaped("</div></details>".to_owned()))?;
    }
    if totals.non_faces > 0 {
        put(html! {
            p.hint #not-faces {
                (count(totals.non_faces, "detection")) " that looked like a face and "
                @if totals.non_faces == 1 { "is none" } @else { "are none" }
                ": not shown here. " code { "muster people not-faces" } " lists them, " code { "muster people is-face FACE" }
                " brings one back."
            }
        })?;
    }
    put(tail(&rejected))?;
    Ok(())
}

/// `'sha256-…'` of an inline block: the page's policy allows these two and nothing else.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn head(totals: &Totals) -> Markup {
    let policy = format!(
        "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let tiles = [
        (totals.groups, "people", "#people"),
        (totals.faces, "faces", "#people"),
        (totals.images, "photos", "#people"),
        (totals.no_faces, "without a face", ""),
        (totals.low_quality, "too poor to look at", ""),
        (totals.rejected, "not usable", "#rejected"),
    ];
    let start = html! {
        meta charset="utf-8";
        meta http-equiv="Content-Security-Policy" content=(policy);
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        meta name="referrer" content="no-referrer";
        meta name="robots" content="noindex";
        title { "People in these photos" }
        style { (PreEscaped(STYLE)) }
    };
    let body = html! {
        a.skip href="#people" { "Skip to the people" }
        header {
            h1 { "People in these photos" }
            ul.tiles {
                @for (n, what, link) in tiles.into_iter().filter(|(n, what, _)| *n > 0 || *what == "people") {
                    li {
                        @if link.is_empty() { b { (n) } " " (what) }
                        @else { a href=(link) { b { (n) } " " (what) } }
                    }
                }
            }
        }
    };
    html! {
        (DOCTYPE)
        (PreEscaped("<html lang=\"en\"><head>")) (start) (PreEscaped("</head><body>")) (body) (PreEscaped("<main>"))
    }
}

fn opening(db: &rusqlite::Connection, person: &Person) -> Result<String, LibraryError> {
    let mut cover = None;
    view::faces(db, Which::One(person.cover), |face| {
        cover = Some(face.n);
        Ok(())
    })?;
    let cover = cover.map(|n| view::thumbnail(db, n)).transpose()?;
    let title = person.name.as_deref().unwrap_or("No name");
    let summary = html! {
        summary {
            (image(cover.as_deref(), "", 96))
            span.who {
                span.name.nameless[person.name.is_none()] { bdi { (title) } }
                span.counts { (count(person.faces, "face")) " · " (count(person.photos, "photo")) }
                code { (short(person.id)) }
            }
        }
        p.hint { "Rename: " code { "muster people name " (short(person.id)) " 'Name'" } }
    };
    let id = short(person.id);
    Ok(format!("<details class=\"person\" id=\"g-{id}\">{}<div class=\"faces\">", summary.into_string()))
}

fn image(jpeg: Option<&[u8]>, alt: &str, side: u32) -> Markup {
    html! {
        @match jpeg {
            Some(jpeg) if !jpeg.is_empty() => img src={ "data:image/jpeg;base64," (STANDARD.encode(jpeg)) } alt=(alt)
                width=(side) height=(side) loading="lazy" decoding="async";,
            _ => span.blank aria-hidden="true" {},
        }
    }
}

fn figure(
    library: &Library,
    folder: &Path,
    copies: &Copies,
    face: &FaceRow,
    cover: bool,
) -> Result<Markup, LibraryError> {
    let jpeg = view::thumbnail(library.db(), face.n)?;
    let link = library.places().path(&face.bucket, &face.key).map(|photo| relative(folder, &photo)).ok();
    let percent = (face.quality.overall * 100.0).clamp(0.0, 100.0);
    let name = face.path.rsplit('/').next().unwrap_or(&face.path);
    Ok(html! {
        figure {
            (image(Some(&jpeg), &format!("Face in {}", face.path), 112))
            figcaption {
                a.photo href=[link] title=(face.path) { bdi { (name) } }
                span.quality {
                    meter min="0" max="100" low="35" high="65" optimum="100" value=(format!("{percent:.0}")) aria-label="Quality" {}
                    " " (format!("{percent:.0} %"))
                    @if cover { " " span.chip.best { "cover" } }
                    @if copies.original(face.image).is_some() {
                        " " span.chip title="The same picture is here in another size or encoding" { "copy" }
                    }
                }
                @if !face.quality.reasons.is_empty() {
                    ul.reasons { @for reason in &face.quality.reasons { li.chip { (words(*reason)) } } }
                }
                code { (short(face.id)) }
            }
        }
    })
}

fn tail(rejected: &[Rejected]) -> Markup {
    html! {
        @if !rejected.is_empty() {
            details.more #rejected open[rejected.len() <= 20] {
                summary { h2 { "Not usable " span.tally { (rejected.len()) } } }
                div.scroll tabindex="0" role="region" aria-label="Photos and folders that could not be used" {
                    table {
                        thead { tr { th scope="col" { "Photo or folder" } th scope="col" { "Reason" } th scope="col" { "What happened" } } }
                        tbody {
                            @for r in rejected {
                                tr { td.path { bdi { (r.path) } } td { span.chip { (r.reason) } } td { (r.detail) } }
                            }
                        }
                    }
                }
            }
        }
        (PreEscaped("</main>"))
        footer { p { "Made by muster on this computer. Nothing on this page is loaded from a network." } }
        script { (PreEscaped(SCRIPT)) }
        (PreEscaped("</body></html>\n"))
    }
}

/// What is wrong with a face, for people.
fn words(reason: QualityReason) -> &'static str {
    use QualityReason as R;
    match reason {
        R::TooSmall => "too small",
        R::Blurred => "blurred",
        R::TooDark => "too dark",
        R::TooBright => "too bright",
        R::LowContrast => "low contrast",
        R::UnevenLight => "uneven light",
        R::ExtremePose => "turned away",
        R::Occluded => "covered",
        R::LowScore => "unsure if a face",
        R::LowNorm => "hard to recognise",
        R::NotAFace => "probably not a face",
    }
}

/// A relative link between absolute paths, percent-encoded.
fn relative(from: &Path, to: &Path) -> String {
    let (a, b): (Vec<Component<'_>>, Vec<Component<'_>>) = (from.components().collect(), to.components().collect());
    let shared = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let mut link = "../".repeat(a.len() - shared);
    for (at, part) in b[shared..].iter().enumerate() {
        if at > 0 {
            link.push('/');
        }
        for &byte in part.as_os_str().as_bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                link.push(char::from(byte));
            } else {
                // Writing to a String cannot fail.
                let _ = write!(link, "%{byte:02X}");
            }
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_the_page_to_the_photo() {
        for (from, to, link) in [
            ("/p/.muster", "/p/a b/c.jpg", "../a%20b/c.jpg"),
            ("/p/.muster", "/q/ü:.jpg", "../../q/%C3%BC%3A.jpg"),
            ("/p", "/p/javascript:alert(1).jpg", "javascript%3Aalert%281%29.jpg"),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), link);
        }
    }

    #[test]
    fn style_and_script_hold_nothing_that_ends_them_or_leaves_the_page() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && !text.contains("http") && !text.contains("url("));
        }
    }
}
