//! How a reader finds what changed in a gallery since it looked last.
//!
//! - A face carries the server's time of the last commit that wrote it ([`CHANGED_AT`]). Whoever looks notes until when a
//!   majority had all writes, and begins there the next time; a little earlier, because a write takes a while ([`OVERLAP`]).
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

/// A write of a face takes effect so much later than the time that it carries, at most.
const OVERLAP: Duration = Duration::from_secs(15);
/// A majority has a write so much later, where the server does not say which writes it has.
const LAG: Duration = Duration::from_secs(300);

/// Lets an update of a face say when it was made.
pub(super) fn mark_face(update: &mut Document) {
    update.insert("$currentDate", doc! { CHANGED_AT: true });
}

/// The value of [`CHANGED`] in the transaction that brings a gallery to a generation.
pub(super) fn generation(generation: u64) -> Bson {
    Bson::Int64(signed(generation))
}

fn before(time: DateTime, by: Duration) -> DateTime {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    DateTime::from_millis(time.timestamp_millis().saturating_sub(by))
}

/// The condition that faces meet which were written since `looked`.
pub(super) fn since(looked: DateTime) -> Document {
    doc! { "$gte": before(looked, OVERLAP) }
}

/// Until when, by the server's clock, whoever reads what a majority has sees what was written.
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
