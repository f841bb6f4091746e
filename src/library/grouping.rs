//! Groups with the parameters that a library was grouped with before, so that a correction moves only the faces that it names.

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, Reconciled};
use muster_actors::grouping::explain::{Explanation, explain};
use muster_actors::grouping::{Params, reconcile};
use muster_actors::ports::index::IndexError;

use super::{Library, LibraryError, SqliteFaces, groups};
use muster_gallery::LIBRARY_GALLERY;
use muster_index::FlatFactory;

const NOTE: &str = "grouping";

/// Leaves the figures in the library.
pub fn remember(store: &SqliteFaces, params: &Params) -> Result<(), LibraryError> {
    let text = serde_json::to_string(params).map_err(|error| unreadable(&error))?;
    store
        .run(move |library| {
            if library.note(NOTE)?.as_deref() != Some(text.as_str()) {
                library.set_note(NOTE, &text)?;
                // Other figures may give other groups of the same faces.
                groups::note_grouped(library.db(), None)?;
            }
            Ok(())
        })
        .wait()
}

/// The figures that the library was grouped with last.
pub fn recall(library: &Library) -> Result<Params, LibraryError> {
    Ok(match library.note(NOTE)? {
        Some(note) => serde_json::from_str(&note).map_err(|error| unreadable(&error))?,
        None => Params::default(),
    })
}

fn unreadable(error: &serde_json::Error) -> LibraryError {
    LibraryError::Broken(format!("the note of grouping figures: {error}"))
}

/// Groups a gallery anew.
pub fn group(snapshot: GallerySnapshot, params: &Params) -> Result<Reconciled, IndexError> {
    reconcile(snapshot, params, &FlatFactory)
}

/// Groups a library anew and saves the groups.
///
/// # Errors
/// The library cannot be read or written, or changed meanwhile.
pub fn regroup(library: &mut Library, params: &Params) -> Result<(), LibraryError> {
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    let snapshot = groups::snapshot(library.db_mut(), &gallery)?;
    let read = snapshot.version;
    let after = group(snapshot, params).map_err(|error| LibraryError::Broken(error.to_string()))?;
    groups::save(library.db_mut(), &gallery, read, &after)
}

/// Why two faces are together or apart.
pub fn why(snapshot: GallerySnapshot, params: &Params, a: FaceId, b: FaceId) -> Result<Explanation, IndexError> {
    explain(snapshot, params, &FlatFactory, a, b)
}
