//! Stores problems of reading photos, for the report. A problem is no reason to drop the data of a photo.
//!
//! A photo may be unreadable for now: its folder lost a permission, its disk fails, a decoder is not
//! installed. Its faces and its row stay as they are, and the problem is told beside them.

use std::path::PathBuf;

use muster_actors::domain::image::{ImageRecord, ImageState, Locator, RejectReason, Rejection};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::LibraryError;
use super::key::PathMap;
use super::rows::{self, signed};

/// A folder, link or photo that could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// As [`super::key::shown`].
    pub path: String,
    /// Why.
    #[serde(flatten)]
    pub rejection: Rejection,
}

/// Whether a rejection may end without the file changing: then it is tried again each time.
pub(super) fn may_pass(reason: RejectReason) -> bool {
    use RejectReason as R;
    match reason {
        R::Missing | R::Unreadable | R::DecoderMissing | R::Isolated | R::TooManyAttempts | R::BadMessage => true,
        R::Forgotten => true,                       // until it is taken back
        R::Removed => true,                         // of a bucket alone
        R::TooManyBytes | R::TooManyPixels => true, // the limits are settings
        R::Empty | R::UnknownFormat | R::Truncated | R::Corrupt | R::Crashed => false,
    }
}

/// Leaves a stored photo with its faces as it is where a result says only that it cannot be read now,
/// and notes the problem. Whether it did.
pub(super) fn keep(db: &Connection, image: &ImageRecord) -> Result<bool, LibraryError> {
    let Some(rejection) = image.rejection.as_ref().filter(|_| image.state == ImageState::Rejected) else {
        return Ok(false);
    };
    let stored = db
        .prepare_cached("SELECT state, model FROM images WHERE id = ?1")?
        .query_row([image.id.0], |row| Ok((rows::state(row, 0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let Some((state, model)) = stored else { return Ok(false) };
    match rejection.reason {
        RejectReason::Forgotten => return Ok(false),
        _ if state == ImageState::Rejected => return Ok(false),
        // Without faces there is nothing to lose to a limit; what says nothing of the picture replaces no record at all.
        reason if state != ImageState::Indexed && !reason.says_nothing_of_the_picture() => return Ok(false),
        // It kills its decoder, so it must not be tried again before it or the model changes.
        RejectReason::Crashed if model == image.model => {
            db.prepare_cached("UPDATE images SET etag = ?2, bytes = ?3 WHERE id = ?1")?.execute(params![
                image.id.0,
                image.etag,
                signed(image.bytes)
            ])?;
        }
        reason if may_pass(reason) => {}
        _ => return Ok(false),
    }
    note(db, &image.locator, rejection)?;
    Ok(true)
}

fn note(db: &Connection, locator: &Locator, rejection: &Rejection) -> Result<(), LibraryError> {
    db.prepare_cached("INSERT OR REPLACE INTO problems (bucket, key, reason, detail) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![locator.bucket, locator.key, rejection.reason.as_str(), rejection.detail])?;
    Ok(())
}

/// Keeps the problems of a walk for the report: those under the roots replace what was there.
pub(super) fn save(
    db: &mut Connection,
    places: &PathMap,
    roots: &[PathBuf],
    problems: &[(Locator, Rejection)],
) -> Result<(), LibraryError> {
    let whole = db.transaction()?;
    let old: Vec<(String, String)> = whole
        .prepare("SELECT bucket, key FROM problems")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (bucket, key) in old {
        if places.path(&bucket, &key).is_ok_and(|path| roots.iter().any(|root| path.starts_with(root))) {
            whole.execute("DELETE FROM problems WHERE bucket = ?1 AND key = ?2", params![bucket, key])?;
        }
    }
    for (locator, rejection) in problems {
        note(&whole, locator, rejection)?;
    }
    whole.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::gallery::GalleryId;
    use muster_gallery::LIBRARY_GALLERY;

    use super::*;
    use crate::schema;

    fn rejected(reason: RejectReason, etag: &str, model: &str) -> ImageRecord {
        let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
        let locator = Locator { gallery, bucket: ".".to_owned(), key: "a.jpg".to_owned() };
        ImageRecord {
            id: locator.id(),
            locator,
            etag: etag.to_owned(),
            bytes: 1,
            width: 0,
            height: 0,
            orientation: 1,
            taken: None,
            picture: None,
            state: ImageState::Rejected,
            rejection: Some(Rejection::new(reason, "why")),
            quality: None,
            face_count: 0,
            model: model.to_owned(),
        }
    }

    #[test]
    fn a_photo_with_faces_stays_where_a_rejection_may_pass() {
        use RejectReason as R;
        for (reason, state, model, kept, etag) in [
            (R::Missing, "indexed", "m@1", true, "old"),
            (R::Unreadable, "indexed", "m@1", true, "old"),
            (R::DecoderMissing, "indexed", "m@2", true, "old"),
            (R::Isolated, "indexed", "m@1", true, "old"),
            (R::TooManyAttempts, "indexed", "m@1", true, "old"),
            (R::BadMessage, "indexed", "m@1", true, "old"),
            (R::TooManyBytes, "indexed", "m@1", true, "old"),
            (R::TooManyPixels, "indexed", "m@1", true, "old"),
            // It is not to kill a decoder at each run.
            (R::Crashed, "indexed", "m@1", true, "new"),
            (R::Crashed, "indexed", "m@2", false, "old"),
            (R::Truncated, "indexed", "m@1", false, "old"),
            (R::Corrupt, "indexed", "m@1", false, "old"),
            (R::Empty, "indexed", "m@1", false, "old"),
            (R::UnknownFormat, "indexed", "m@1", false, "old"),
            (R::Forgotten, "indexed", "m@1", false, "old"),
            (R::Unreadable, "no_faces", "m@1", true, "old"),
            (R::Crashed, "low_quality", "m@1", true, "new"),
            (R::TooManyBytes, "no_faces", "m@1", false, "old"),
            (R::Unreadable, "rejected", "m@1", false, "old"),
        ] {
            let mut db = Connection::open_in_memory().unwrap();
            schema::migrate(&mut db).unwrap();
            let image = rejected(reason, "new", model);
            db.execute("INSERT INTO galleries (name) VALUES ('local')", []).unwrap();
            db.execute(
                "INSERT INTO images (id, gallery, bucket, key, etag, bytes, width, height, orientation, state, \
                 face_count, model) VALUES (?1, 1, '.', 'a.jpg', 'old', 1, 1, 1, 1, ?2, 1, 'm@1')",
                params![image.id.0, state],
            )
            .unwrap();
            assert_eq!(keep(&db, &image).unwrap(), kept, "{reason:?} {state} {model}");
            let stored: String = db.query_row("SELECT etag FROM images", [], |row| row.get(0)).unwrap();
            assert_eq!(stored, etag, "{reason:?} {state} {model}");
            let told: i64 = db.query_row("SELECT count(*) FROM problems", [], |row| row.get(0)).unwrap();
            assert_eq!(told, i64::from(kept), "{reason:?} {state} {model}");
        }
    }
}
