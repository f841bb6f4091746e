//! Marks on documents by which a reader finds what changed in a gallery since its last read.
//!
//! - A face carries the server's time of the last commit that wrote it ([`CHANGED_AT`]). A reader notes the time until
//!   which a majority of servers had all writes. It begins there the next time, or a little earlier, because a write
//!   takes a while ([`OVERLAP`]).
//! - A group carries the generation of the gallery at which it was written ([`CHANGED`]).
//! - A gallery counts the generations that marked every change and deleted no face ([`MARKED`]). The other generations
//!   deleted faces or come from an older release; when their number grew, the whole gallery is read again.

use std::time::Duration;

use mongodb::bson::{Bson, DateTime, Document, doc};

use super::documents::signed;
use super::{MongoError, MongoFaces};

/// Field of a face with the server's time of its last write.
pub(super) const CHANGED_AT: &str = "changed_at";
/// Field of a group with the gallery's generation at which it was written.
pub(super) const CHANGED: &str = "changed";
/// Field of a gallery with the number of its generations that marked every change and deleted no face.
pub(super) const MARKED: &str = "marked";

/// Longest time between the moment that a face's mark names and the moment at which the write takes effect.
const OVERLAP: Duration = Duration::from_secs(15);
/// Time after which a majority of servers is assumed to have a write, where the server does not report it.
const LAG: Duration = Duration::from_secs(300);

/// Adds the server's time to an update of a face.
pub(super) fn mark_face(update: &mut Document) {
    update.insert("$currentDate", doc! { CHANGED_AT: true });
}

/// Renders the value of [`CHANGED`] for a transaction that brings a gallery to a generation.
pub(super) fn generation(generation: u64) -> Bson {
    Bson::Int64(signed(generation))
}

fn before(time: DateTime, by: Duration) -> DateTime {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(time.timestamp_millis().saturating_sub(by))
}

/// Builds the condition for faces that were written since `looked`, with [`OVERLAP`] to spare.
pub(super) fn since(looked: DateTime) -> Document {
    doc! { "$gte": before(looked, OVERLAP) }
}

/// Returns the time, by the server's clock, until which a reader with read concern "majority" sees all writes.
pub(super) async fn seen_until(store: &MongoFaces) -> Result<DateTime, MongoError> {
    until(&store.faces.run_command(doc! { "hello": 1 }).await?)
}

fn until(hello: &Document) -> Result<DateTime, MongoError> {
    if let Ok(last) = hello.get_document("lastWrite").and_then(|last| last.get_datetime("majorityWriteDate")) {
        return Ok(*last);
    }
    let strange = |_| MongoError::Unfit("the server's hello does not say what time it is".to_owned());
    Ok(before(*hello.get_datetime("localTime").map_err(strange)?, LAG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_majority_has_is_seen_and_else_what_is_old_enough() {
        let at = |seconds: i64| DateTime::from_millis(1_000 * seconds);
        let whole = doc! { "localTime": at(2_000), "lastWrite": { "lastWriteDate": at(1_999), "majorityWriteDate": at(1_990) } };
        assert_eq!(until(&whole).unwrap(), at(1_990));
        assert_eq!(until(&doc! { "localTime": at(2_000) }).unwrap(), at(1_700));
        assert!(until(&doc! {}).is_err());
        assert_eq!(since(at(1_990)), doc! { "$gte": at(1_975) });
    }
}
