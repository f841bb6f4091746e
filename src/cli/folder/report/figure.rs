//! Renders a face with its crop, its photo and its quality.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use muster_actors::domain::face::QualityReason;

use super::href::relative;
use super::section::Item;
use crate::cli::text::short;
use muster_gallery::copies::Copies;
use muster_gallery::view::FaceRow;
use muster_library::view;
use muster_library::{Library, LibraryError};

/// A crop is a few kilobytes. One that is larger than this would take a page for itself: it is left blank.
const MAX_CROP: usize = 1_000_000;
const HREF: &str = " href=\"";

/// A crop as an image that needs no other file, or a blank.
pub(super) fn image(jpeg: Option<&[u8]>, alt: &str, side: u32) -> Markup {
    html! {
        @match jpeg {
            Some(jpeg) if !jpeg.is_empty() && jpeg.len() <= MAX_CROP => img src={ "data:image/jpeg;base64," (STANDARD.encode(jpeg)) } alt=(alt)
                width=(side) height=(side) loading="lazy" decoding="async";,
            _ => span.blank aria-hidden="true" {},
        }
    }
}

/// A face; `folder` is where the first page lies, for the link to its photo.
pub(super) fn figure(
    library: &Library,
    folder: &Path,
    copies: &Copies,
    face: &FaceRow,
    cover: bool,
) -> Result<Item, LibraryError> {
    let jpeg = view::thumbnail(library.db(), face.n)?;
    let link = library.places().path(&face.bucket, &face.key).map(|photo| relative(folder, &photo)).ok();
    let percent = (face.quality.overall * 100.0).clamp(0.0, 100.0);
    let name = face.path.rsplit('/').next().unwrap_or(&face.path);
    let markup = html! {
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
    };
    let text = markup.into_string();
    // The only link of a figure: in texts and other attributes quotation marks are escaped.
    let link = text.find(HREF).map(|at| at + HREF.len());
    Ok(Item { text, link })
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
