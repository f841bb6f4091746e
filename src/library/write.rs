//! Writes of whole images: an image, its faces and their thumbnails change together or not at all.

use std::collections::BTreeSet;

use muster_actors::domain::face::Face;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageId, ImageRecord, ImageState};
use muster_actors::ports::faces::Commit;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::rows::{self, signed};
use super::{LibraryError, problems, tombstones};

/// The number of a gallery, which is made where it is new.
pub(super) fn gallery_number(db: &Connection, gallery: &GalleryId) -> Result<i64, LibraryError> {
    db.prepare_cached("INSERT INTO galleries (name) VALUES (?1) ON CONFLICT DO NOTHING")?.execute([&gallery.0])?;
    Ok(db.prepare_cached("SELECT n FROM galleries WHERE name = ?1")?.query_row([&gallery.0], |row| row.get(0))?)
}

/// Says that faces, facts or groups of a gallery changed: groups made before do not fit any more.
pub(super) fn bump(db: &Connection, gallery: i64) -> Result<(), LibraryError> {
    db.prepare_cached("UPDATE galleries SET generation = generation + 1 WHERE n = ?1")?.execute([gallery])?;
    Ok(())
}

/// Says that faces of a gallery came, or were found again, and none went.
pub(super) fn bump_added(db: &Connection, gallery: i64) -> Result<(), LibraryError> {
    let sql = "UPDATE galleries SET generation = generation + 1, additions = additions + 1 WHERE n = ?1";
    db.prepare_cached(sql)?.execute([gallery])?;
    Ok(())
}

/// Writes results in one transaction; one outcome a result, in order. A result that is not storable
/// fails alone; any other error fails all, and nothing of them is written.
pub fn commit(db: &mut Connection, batch: &[Commit]) -> Result<Vec<Result<(), LibraryError>>, LibraryError> {
    let mut whole = db.transaction()?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for result in batch {
        let part = whole.savepoint()?;
        let outcome = replace(&part, result);
        match outcome {
            Ok(()) => part.commit()?,
            Err(error) if error.is_fatal() => return Err(error),
            // Dropped: rolled back to where the part began.
            Err(_) => drop(part),
        }
        outcomes.push(outcome);
    }
    whole.commit()?;
    Ok(outcomes)
}

fn replace(db: &Connection, Commit { image, faces, content, .. }: &Commit) -> Result<(), LibraryError> {
    check(image, faces)?;
    let gallery = gallery_number(db, &image.locator.gallery)?;
    let forgotten = tombstones::of_image(db, &image.locator)?;
    if tombstones::covers(db, &image.locator)? {
        // Somebody forgot this photo while it was on its way: nothing of it is kept.
        return Ok(());
    }
    if problems::keep(db, image)? {
        return Ok(());
    }
    let mut seen = BTreeSet::new();
    let kept: Vec<&Face> = faces
        .iter()
        .filter(|face| seen.insert(face.id) && !forgotten.iter().any(|gone| gone.is_place_of(&face.bbox)))
        .collect();
    let state = if kept.is_empty() && image.state == ImageState::Indexed { ImageState::NoFaces } else { image.state };
    let number: i64 = db
        .prepare_cached(
            "INSERT INTO images (id, gallery, bucket, key, etag, bytes, width, height, orientation, state, reason, \
             detail, quality, face_count, model, taken_local_ms, taken_offset, picture, content) VALUES \
             (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19) \
             ON CONFLICT (id) DO UPDATE SET etag = ?5, bytes = ?6, width = ?7, height = ?8, orientation = ?9, \
             state = ?10, reason = ?11, detail = ?12, quality = ?13, face_count = ?14, model = ?15, \
             taken_local_ms = ?16, taken_offset = ?17, picture = ?18, content = ?19 RETURNING n",
        )?
        .query_row(
            params![
                image.id.0,
                gallery,
                image.locator.bucket,
                image.locator.key,
                image.etag,
                signed(image.bytes),
                image.width,
                image.height,
                image.orientation,
                rows::word(&state)?,
                image.rejection.as_ref().map(|r| r.reason.as_str()),
                image.rejection.as_ref().map(|r| &r.detail),
                image.quality,
                signed(kept.len() as u64),
                image.model,
                image.taken.map(|taken| taken.local_ms),
                image.taken.and_then(|taken| taken.offset_minutes),
                image.picture.map(|picture| picture.0.cast_signed()),
                content,
            ],
            |row| row.get(0),
        )?;
    let before: Vec<[u8; 16]> = db
        .prepare_cached("DELETE FROM faces WHERE image = ?1 RETURNING id")?
        .query_map([number], |row| rows::id(row, 0))?
        .collect::<Result<_, _>>()?;
    for face in &kept {
        insert(db, gallery, number, face)?;
    }
    if before.iter().any(|id| !kept.iter().any(|face| face.id.0 == *id)) {
        bump(db, gallery)
    } else if kept.is_empty() {
        Ok(())
    } else {
        bump_added(db, gallery)
    }
}

pub(super) fn insert(db: &Connection, gallery: i64, image: i64, face: &Face) -> Result<(), LibraryError> {
    let q = &face.quality;
    let number: i64 = db
        .prepare_cached(
            "INSERT INTO faces (id, image, gallery, bbox, landmarks, sharpness, level, contrast, unevenness, yaw, \
             pitch, roll, occlusion, size, score, norm, overall, reasons, embedding, face) VALUES \
             (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20) RETURNING n",
        )?
        .query_row(
            params![
                face.id.0,
                image,
                gallery,
                rows::bbox_to_bytes(&face.bbox),
                rows::landmarks_to_bytes(&face.landmarks),
                q.sharpness,
                q.level,
                q.contrast,
                q.unevenness,
                q.yaw,
                q.pitch,
                q.roll,
                q.occlusion,
                q.size,
                q.score,
                q.norm,
                q.overall,
                rows::reasons_to_text(&q.reasons)?,
                rows::floats_to_bytes(&face.embedding),
                q.face,
            ],
            |row| row.get(0),
        )?;
    db.prepare_cached("INSERT INTO thumbnails (face, jpeg) VALUES (?1, ?2)")?
        .execute(params![number, face.thumbnail])?;
    Ok(())
}

/// SQLite stores NaN as NULL, so what is not finite could never be read back.
fn check(image: &ImageRecord, faces: &[Face]) -> Result<(), LibraryError> {
    if image.id != image.locator.id() {
        return Err(LibraryError::Invalid("the image's id is not its locator's".to_owned()));
    }
    for face in faces {
        if face.image != image.id {
            return Err(LibraryError::Invalid(format!("face {} is of another image", face.id)));
        }
        check_figures(face)?;
    }
    Ok(())
}

/// Refuses a face that could not be read back.
pub(super) fn check_figures(face: &Face) -> Result<(), LibraryError> {
    if face.embedding.is_empty() || !face.is_finite() {
        return Err(LibraryError::Invalid(format!("face {} has a figure that is not finite", face.id)));
    }
    Ok(())
}

/// Removes images with their faces. Ids that are not stored are passed over. Returns how many were.
pub fn remove(db: &mut Connection, images: &[ImageId]) -> Result<usize, LibraryError> {
    let whole = db.transaction()?;
    let removed = remove_in(&whole, images)?;
    whole.commit()?;
    Ok(removed)
}

pub(super) fn remove_in(db: &Transaction<'_>, images: &[ImageId]) -> Result<usize, LibraryError> {
    let mut removed = 0;
    let mut changed = BTreeSet::new();
    for image in images {
        let gallery: Option<i64> = db
            .prepare_cached("DELETE FROM images WHERE id = ?1 RETURNING gallery")?
            .query_row([image.0], |row| row.get(0))
            .optional()?;
        removed += usize::from(gallery.is_some());
        changed.extend(gallery);
    }
    for gallery in changed {
        bump(db, gallery)?;
    }
    Ok(removed)
}
