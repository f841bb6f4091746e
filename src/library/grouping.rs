//! Grouping with the figures a library was grouped with before, so that a correction moves only what it says.

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GallerySnapshot, Reconciled};
use muster_actors::grouping::explain::{Explanation, explain};
use muster_actors::grouping::{Params, reconcile};
use muster_actors::ports::index::IndexError;

use super::{Library, LibraryError, SqliteFaces};
use muster_index::FlatFactory;

const NOTE: &str = "grouping";

/// Leaves the figures in the library.
pub fn remember(store: &SqliteFaces, params: &Params) -> Result<(), LibraryError> {
    let text = serde_json::to_string(params).map_err(|error| unreadable(&error))?;
    store.run(move |library| library.set_note(NOTE, &text)).wait()
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

/// Why two faces are together or apart.
pub fn why(snapshot: GallerySnapshot, params: &Params, a: FaceId, b: FaceId) -> Result<Explanation, IndexError> {
    explain(snapshot, params, &FlatFactory, a, b)
}
