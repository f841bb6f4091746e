//! How a reader finds what changed in a gallery since it looked last.
//!
//! - A face carries the server's time of the last commit that wrote it ([`CHANGED_AT`]). Commits are not transactions, so
//!   whoever looks again begins a while before it looked last ([`OVERLAP`]).
//! - A group carries the generation in whose transaction it was written ([`CHANGED`]).
//! - A gallery counts the generations that marked all they changed and deleted no face ([`MARKED`]). Where the others, by a
//!   deletion or by a release before this one, became more, the whole gallery is read again.

use std::time::Duration;

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::documents::signed;
use super::{MongoError, MongoFaces};

/// When a face was written last, by the clock of the server.
pub(super) const CHANGED_AT: &str = "changed_at";
/// The generation of the gallery in whose transaction a group was written.
pub(super) const CHANGED: &str = "changed";
/// How many of a gallery's generations marked all they changed and deleted no face.
pub(super) const MARKED: &str = "marked";

/// A write may be seen so much later than the time that it carries: until a majority has it, and the clocks of two servers agree.
const OVERLAP: Duration = Duration::from_secs(300);

/// Lets an update of a face say when it was made.
pub(super) fn mark_face(update: &mut Document) {
    update.insert("$currentDate", doc! { CHANGED_AT: true });
}

/// The value of [`CHANGED`] in the transaction that brings a gallery to a generation.
pub(super) fn generation(generation: u64) -> Bson {
    Bson::Int64(signed(generation))
}

/// The condition that faces meet which were written since `looked`.
pub(super) fn since(looked: DateTime) -> Document {
    let overlap = i64::try_from(OVERLAP.as_millis()).unwrap_or(i64::MAX);
    doc! { "$gte": DateTime::from_millis(looked.timestamp_millis().saturating_sub(overlap)) }
}

/// The time by the server's clock.
pub(super) async fn server_time(store: &MongoFaces) -> Result<DateTime, MongoError> {
    let hello = store.faces.run_command(doc! { "hello": 1 }).await?;
    let strange = |_| MongoError::Unfit("the server's hello does not say what time it is".to_owned());
    Ok(*hello.get_datetime("localTime").map_err(strange)?)
}
