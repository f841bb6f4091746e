//! What could not be read: kept for the report, and no reason to drop what is known of a photo.
//!
//! A photo may be unreadable for now: its folder lost a permission, its disk fails, a decoder is not
//! installed. Its faces and its row stay as they are, and the problem is told beside them.

use std::path::PathBuf;

use muster_actors::domain::image::{ImageRecord, ImageState, Locator, RejectReason, Rejection};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::LibraryError;
use super::key::Places;
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
    let Some((ImageState::Indexed, model)) = stored else { return Ok(false) };
    match rejection.reason {
        RejectReason::Forgotten => return Ok(false),
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
    places: &Places,
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
