//! Deletes photos or a group from a library so that no byte of them stays in its files, and returns a
//! receipt.

use std::collections::BTreeMap;
use std::path::Path;

use muster_actors::domain::fact::Fact;
use muster_actors::domain::gallery::{GalleryId, Group, GroupId};
use muster_actors::domain::image::ImageId;
use muster_actors::domain::person::Person;
use muster_actors::people::Author;
use muster_gallery::LIBRARY_GALLERY;
use muster_gallery::receipt::LibraryReceipt;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;

use super::library::{Library, REPORT};
use super::write::bump;
use super::{LibraryError, facts, groups, history, key, report, rows, stage, write};

/// The target of `muster forget`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForgetTarget {
    /// A photo, or a folder with all that is in it: an absolute path.
    Path(std::path::PathBuf),
    /// All faces of a group.
    Group(GroupId),
    /// A photo that was enrolled, and whose file is not kept.
    Image(ImageId),
}

/// Tells whether a library holds anything at or under an absolute path.
pub fn knows(library: &Library, path: &Path) -> Result<bool, LibraryError> {
    let mut select = library.db.prepare("SELECT bucket, key FROM images")?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let (bucket, key): (String, String) = (row.get(0)?, row.get(1)?);
        if library.places().path(&bucket, &key).is_ok_and(|photo| photo.starts_with(path)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets a target, and rewrites the library's file. It can be repeated.
pub fn forget(library: &mut Library, target: &ForgetTarget, author: &Author) -> Result<LibraryReceipt, LibraryError> {
    let mut receipt = LibraryReceipt { bytes_before: library.bytes(), ..LibraryReceipt::default() };
    let places = library.places().clone();
    let whole = library.db.transaction()?;
    let gallery = write::gallery_number(&whole, &GalleryId(LIBRARY_GALLERY.to_owned()))?;
    apply(&whole, &places, gallery, target, &mut receipt)?;
    receipt.changes = history::scrub(&whole, gallery, &receipt.forgotten)?;
    if receipt.images > 0 || receipt.faces > 0 || !receipt.forgotten.is_empty() {
        history::append_forgotten(&whole, gallery, author)?;
    }
    bump(&whole, gallery)?;
    whole.commit()?;
    // A model that is on its way may have looked at it already: it begins again.
    stage::discard(library)?;
    receipt.files = report::remove_all(&library.folder().join(REPORT))?;
    receipt.rewritten = rewrite(library)?;
    receipt.bytes_after = library.bytes();
    Ok(receipt)
}

/// A preview of what forgetting would delete, with the names that it affects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ForgetPreview {
    /// The path or the group.
    pub target: String,
    /// Photos that would be taken out, or lose faces.
    pub images: u64,
    /// Faces that would go.
    pub faces: u64,
    /// Groups that would end.
    pub groups: Vec<GroupId>,
    /// Names that would end.
    pub names_that_end: Vec<String>,
    /// Names of groups that would lose faces and keep the name.
    pub names_that_stay: Vec<String>,
}

/// Computes what [`forget`] would do, and changes nothing.
pub fn preview(library: &mut Library, target: &ForgetTarget) -> Result<ForgetPreview, LibraryError> {
    let mut receipt = LibraryReceipt::default();
    let places = library.places().clone();
    // Dropped at the end: rolled back.
    let whole = library.db.transaction()?;
    let gallery = write::gallery_number(&whole, &GalleryId(LIBRARY_GALLERY.to_owned()))?;
    let before = names(&whole, gallery)?;
    apply(&whole, &places, gallery, target, &mut receipt)?;
    let after = names(&whole, gallery)?;
    let of = |groups: &[GroupId], is_named: bool| {
        let named = groups.iter().filter(|group| after.contains_key(group) == is_named);
        named.filter_map(|group| before.get(group).cloned()).collect::<Vec<_>>()
    };
    let (ended, lessened) = (&receipt.groups, &receipt.recomputed);
    let mut names_that_end = of(ended, false);
    names_that_end.extend(of(lessened, false));
    let names_that_stay = of(lessened, true);
    let LibraryReceipt { target, images, faces, groups, .. } = receipt;
    Ok(ForgetPreview { target, images, faces, groups, names_that_end, names_that_stay })
}

fn names(db: &Connection, gallery: i64) -> Result<BTreeMap<GroupId, String>, LibraryError> {
    let groups = groups::partition(db, gallery)?.groups;
    Ok(groups.into_iter().filter_map(|group| Some((group.id, group.name?))).collect())
}

/// Deletes a target and writes tombstones, in the caller's transaction.
fn apply(
    db: &Transaction<'_>,
    places: &key::PathMap,
    gallery: i64,
    target: &ForgetTarget,
    receipt: &mut LibraryReceipt,
) -> Result<(), LibraryError> {
    let before = groups::partition(db, gallery)?.groups;
    match target {
        ForgetTarget::Path(path) => {
            let locator = places.locate(path);
            receipt.target = key::shown(&locator.bucket, &locator.key);
            forget_path(db, places, path, receipt)?;
            let sql = "INSERT INTO forgotten_paths (bucket, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            receipt.tombstones += db.execute(sql, params![locator.bucket, locator.key])? as u64;
        }
        ForgetTarget::Group(group) => {
            receipt.target = group.to_string();
            forget_group(db, gallery, *group, receipt)?;
        }
        ForgetTarget::Image(image) => {
            receipt.target = image.to_string();
            forget_images(db, &[*image], receipt)?;
        }
    }
    sweep(db, gallery, before, receipt)
}

/// Removes old pages from the journal, and free ones from the file.
fn rewrite(library: &Library) -> Result<bool, LibraryError> {
    if !library.checkpoint()? {
        return Ok(false);
    }
    match library.db.execute_batch("VACUUM").map_err(LibraryError::from) {
        Ok(()) => library.checkpoint(),
        Err(LibraryError::Busy) => Ok(false),
        Err(other) => Err(other),
    }
}

fn delete(
    db: &Connection,
    receipt: &mut LibraryReceipt,
    table: &str,
    filter: &str,
    id: [u8; 16],
) -> Result<u64, LibraryError> {
    let count = db.prepare_cached(&format!("DELETE FROM {table} WHERE {filter}"))?.execute([id])? as u64;
    if count > 0 {
        *receipt.rows.entry(table.to_owned()).or_default() += count;
    }
    Ok(count)
}

/// Deletes faces with everything that refers to them.
fn forget_faces(db: &Connection, faces: &[[u8; 16]], receipt: &mut LibraryReceipt) -> Result<(), LibraryError> {
    for &face in faces {
        let sizes = db
            .prepare_cached(
                "SELECT f.n, length(f.embedding), length(t.jpeg) FROM faces f LEFT JOIN thumbnails t ON t.face = f.n \
                 WHERE f.id = ?1",
            )?
            .query_row([face], |row| {
                Ok((rows::unsigned(row, 1)?, row.get::<_, Option<i64>>(2)?.map(|n| n.unsigned_abs())))
            })
            .optional()?;
        let Some((vector, crop)) = sizes else { continue };
        receipt.vectors += 1;
        receipt.vector_bytes += vector;
        receipt.crop_bytes += crop.unwrap_or(0);
        receipt.crops += delete(db, receipt, "thumbnails", "face = (SELECT n FROM faces WHERE id = ?1)", face)?;
        receipt.faces += delete(db, receipt, "faces", "id = ?1", face)?;
        delete(db, receipt, "members", "face = ?1", face)?;
        delete(db, receipt, "suggestions", "face = ?1", face)?;
        // What was said of the face; a person keeps name and record while a face is left.
        delete(db, receipt, "facts", "a = ?1 OR b = ?1", face)?;
        receipt.forgotten.insert(face);
    }
    Ok(())
}

fn face_ids(db: &Connection, sql: &str, id: [u8; 16]) -> Result<Vec<[u8; 16]>, LibraryError> {
    let mut select = db.prepare_cached(sql)?;
    Ok(select.query_map([id], |row| rows::id(row, 0))?.collect::<Result<_, _>>()?)
}

fn forget_path(
    db: &Transaction<'_>,
    places: &key::PathMap,
    path: &Path,
    receipt: &mut LibraryReceipt,
) -> Result<(), LibraryError> {
    let mut images: Vec<ImageId> = Vec::new();
    let mut under = |sql: &str| -> Result<Vec<(String, String)>, LibraryError> {
        let mut select = db.prepare(sql)?;
        let mut found = Vec::new();
        let names = select
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, rows::maybe_id(row, 2)?)))?;
        for name in names {
            let (bucket, key, id) = name?;
            if places.path(&bucket, &key).is_ok_and(|photo| photo.starts_with(path)) {
                images.extend(id.map(ImageId));
                found.push((bucket, key));
            }
        }
        Ok(found)
    };
    under("SELECT bucket, key, id FROM images ORDER BY bucket, key")?;
    for (table, locators) in [
        ("problems", under("SELECT bucket, key, NULL FROM problems")?),
        // The path's own mark says more than marks of what is in it.
        ("forgotten_paths", under("SELECT bucket, key, NULL FROM forgotten_paths")?),
        ("forgotten_faces", under("SELECT DISTINCT bucket, key, NULL FROM forgotten_faces")?),
    ] {
        for (bucket, key) in locators {
            let sql = format!("DELETE FROM {table} WHERE bucket = ?1 AND key = ?2");
            let count = db.execute(&sql, params![bucket, key])? as u64;
            *receipt.rows.entry(table.to_owned()).or_default() += count;
        }
    }
    forget_images(db, &images, receipt)
}

fn forget_images(db: &Connection, images: &[ImageId], receipt: &mut LibraryReceipt) -> Result<(), LibraryError> {
    for &ImageId(image) in images {
        let sql = "SELECT f.id FROM faces f JOIN images i ON i.n = f.image WHERE i.id = ?1";
        let faces = face_ids(db, sql, image)?;
        forget_faces(db, &faces, receipt)?;
        receipt.images += delete(db, receipt, "images", "id = ?1", image)?;
    }
    Ok(())
}

fn forget_group(
    db: &Transaction<'_>,
    gallery: i64,
    group: GroupId,
    receipt: &mut LibraryReceipt,
) -> Result<(), LibraryError> {
    let faces = face_ids(db, "SELECT face FROM members WHERE grp = ?1 ORDER BY face", group.0)?;
    for &face in &faces {
        // The place in the photo, so that the same face is not stored again when the photo is.
        let sql = "INSERT INTO forgotten_faces (bucket, key, image, bbox) SELECT i.bucket, i.key, i.id, f.bbox \
                   FROM faces f JOIN images i ON i.n = f.image WHERE f.id = ?1";
        receipt.tombstones += db.prepare_cached(sql)?.execute([face])? as u64;
        // The note of what was written to the photo's sidecar names the person.
        let noted = "image = (SELECT image FROM faces WHERE id = ?1)";
        delete(db, receipt, "written_names", noted, face)?;
    }
    let sql = "SELECT count(DISTINCT f.image) FROM faces f JOIN members m ON m.face = f.id WHERE m.grp = ?1";
    receipt.images = db.query_row(sql, [group.0], |row| rows::unsigned(row, 0))?;
    forget_faces(db, &faces, receipt)?;
    // The persons that turned out to be this one are forgotten with it.
    for merged in face_ids(db, "SELECT a FROM facts WHERE kind = 'became' AND b = ?1", group.0)? {
        delete(db, receipt, "facts", "a = ?1 OR b = ?1", merged)?;
        receipt.forgotten.insert(merged);
    }
    // The person's record, and what was said of its faces that went earlier, with their photos.
    for place in face_ids(db, "SELECT a FROM facts WHERE kind = 'confirmed' AND b = ?1", group.0)? {
        delete(db, receipt, "facts", "a = ?1 OR b = ?1", place)?;
        receipt.forgotten.insert(place);
    }
    delete(db, receipt, "facts", "a = ?1 OR b = ?1", group.0)?;
    receipt.forgotten.insert(group.0);
    delete(db, receipt, "members", "grp = ?1", group.0)?;
    delete(db, receipt, "suggestions", "grp = ?1", group.0)?;
    db.execute(
        "UPDATE images SET face_count = (SELECT count(*) FROM faces WHERE image = images.n) WHERE gallery = ?1",
        [gallery],
    )?;
    db.execute(
        "UPDATE images SET state = 'no_faces' WHERE gallery = ?1 AND state = 'indexed' AND face_count = 0",
        [gallery],
    )?;
    Ok(())
}

/// Deletes groups without faces, and computes those that lost some again: a centroid is a mean of
/// embeddings, so an old one would still contain the forgotten ones.
fn sweep(
    db: &Transaction<'_>,
    gallery: i64,
    before: Vec<Group>,
    receipt: &mut LibraryReceipt,
) -> Result<(), LibraryError> {
    clear_covers(db, gallery, receipt)?;
    for group in before {
        let mut select = db.prepare_cached(
            "SELECT f.id, f.embedding, f.overall FROM members m JOIN faces f ON f.id = m.face \
             WHERE m.gallery = ?1 AND m.grp = ?2 ORDER BY f.overall DESC, f.id",
        )?;
        let left: Vec<([u8; 16], Vec<f32>, f32)> = select
            .query_map(params![gallery, group.id.0], |row| Ok((rows::id(row, 0)?, rows::floats(row, 1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        let Some((best, ..)) = left.first() else {
            // A person is kept while a face of it may come back: one that was deleted, and not forgotten.
            let waits = "SELECT EXISTS (SELECT 1 FROM facts WHERE kind = 'confirmed' AND b = ?1)";
            if !db.query_row(waits, [group.id.0], |row| row.get::<_, bool>(0))? {
                for merged in face_ids(db, "SELECT a FROM facts WHERE kind = 'became' AND b = ?1", group.id.0)? {
                    receipt.forgotten.insert(merged);
                }
                delete(db, receipt, "facts", "a = ?1 OR b = ?1", group.id.0)?;
                receipt.forgotten.insert(group.id.0);
            }
            delete(db, receipt, "groups", "id = ?1", group.id.0)?;
            delete(db, receipt, "members", "grp = ?1", group.id.0)?;
            delete(db, receipt, "redirects", "source = ?1 OR target = ?1", group.id.0)?;
            delete(db, receipt, "lineage", "subject = ?1 OR other = ?1", group.id.0)?;
            delete(db, receipt, "suggestions", "grp = ?1", group.id.0)?;
            receipt.groups.push(group.id);
            continue;
        };
        if left.len() == group.faces.len()
            && left.iter().any(|(id, ..)| *id == group.cover.0)
            && !group.faces.is_empty()
        {
            continue;
        }
        let cover = if left.iter().any(|(id, ..)| *id == group.cover.0) { group.cover.0 } else { *best };
        let centroid = mean(left.iter().map(|(_, embedding, quality)| (embedding.as_slice(), *quality)));
        db.execute(
            "UPDATE groups SET cover = ?3, centroid = ?4 WHERE gallery = ?1 AND id = ?2",
            params![gallery, group.id.0, cover, rows::floats_to_bytes(&centroid)],
        )?;
        // Members whose face is gone already.
        db.execute(
            "DELETE FROM members WHERE gallery = ?1 AND grp = ?2 AND face NOT IN (SELECT id FROM faces)",
            params![gallery, group.id.0],
        )?;
        receipt.recomputed.push(group.id);
    }
    Ok(())
}

/// Removes forgotten faces as covers of persons.
fn clear_covers(db: &Connection, gallery: i64, receipt: &LibraryReceipt) -> Result<(), LibraryError> {
    for (id, person) in facts::persons(db)? {
        if person.cover.is_some_and(|cover| receipt.forgotten.contains(&cover.0)) {
            facts::set(db, gallery, &Fact::Person { id, person: Person { cover: None, ..person } })?;
        }
    }
    Ok(())
}

/// Computes the mean of unit length, weighted by quality (evenly where all is 0).
fn mean<'a>(faces: impl Iterator<Item = (&'a [f32], f32)> + Clone) -> Vec<f32> {
    let weightless = faces.clone().all(|(_, weight)| weight <= 0.0);
    let mut sum: Vec<f32> = Vec::new();
    for (embedding, weight) in faces {
        let weight = if weightless { 1.0 } else { weight.max(0.0) };
        sum.resize(sum.len().max(embedding.len()), 0.0);
        sum.iter_mut().zip(embedding).for_each(|(sum, value)| *sum += value * weight);
    }
    let length = sum.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 0.0 {
        sum.iter_mut().for_each(|v| *v /= length);
    }
    sum
}
