//! Another model for a library: all photos are looked at anew in a library of its own, the stage, while the old answers
//! stay; then the rows are exchanged in one transaction, and the groups with them.
//!
//! ```text
//! library.db  (model A)  ── people, export, serve, corrections, until the end
//! .muster-next/library.db  (model B) ◄── index; stopped or killed, the next run goes on
//!         └── exchange: images, faces, crops, groups of B; what people said stays and finds its faces by their places
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use muster_actors::domain::facts::Facts;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GroupId, Reconciled};
use muster_actors::domain::image::ImageState;
use muster_actors::grouping::Params;
use muster_gallery::LIBRARY_GALLERY;
use rusqlite::{Connection, TransactionBehavior, params};
use serde::Serialize;

use super::overview::overview;
use super::problems::may_pass;
use super::write::{bump, gallery_number};
use super::{Library, LibraryError, grouping, groups};

/// The folder of the stage in a library's.
pub(super) const FOLDER: &str = ".muster-next";
/// The files of a stage.
const FILES: [&str; 4] = ["library.db", "library.db-wal", "library.db-shm", "writer.lock"];
/// How often the exchange is tried while somebody corrects.
const ATTEMPTS: usize = 10;
/// Columns of tables that are exchanged, without their own numbers.
const IMAGES: &str = "id, gallery, bucket, key, etag, bytes, width, height, orientation, state, reason, detail, quality, \
                      face_count, model, taken_local_ms, taken_offset, picture, content";
const FACES: &str = "id, gallery, bbox, landmarks, sharpness, level, contrast, unevenness, yaw, pitch, roll, occlusion, \
                     size, score, norm, overall, reasons, embedding, face";

/// What came of another model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exchanged {
    /// The model before.
    pub from: String,
    /// The model now.
    pub to: String,
    /// Faces before, and now.
    pub faces: (u64, u64),
    /// Persons with a name, each of which has a face now as before.
    pub people: u64,
    /// Names of persons who have no face any more: the new model found none at the places that were confirmed.
    pub without_faces: Vec<String>,
    /// Faces that somebody had confirmed, and how many of them are with their person now.
    pub confirmed: (u64, u64),
    /// Enrolled faces, whose photos are not kept: they stay those of the old model, and are not recognised.
    pub enrolled: u64,
}

impl fmt::Display for Exchanged {
    /// Says what came of another model, one sentence a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, faces, people, without_faces, confirmed, enrolled } = self;
        writeln!(f, "The model is {to} now, and was {from}: {} faces before, {} now.", faces.0, faces.1)?;
        write!(
            f,
            "{people} people with names stay; of {} faces that somebody confirmed, {} are with their person.",
            confirmed.0, confirmed.1
        )?;
        for name in without_faces {
            write!(f, "\n{name} has no face any more: the new model found none where it was confirmed.")?;
        }
        if *enrolled > 0 {
            write!(
                f,
                "\n{enrolled} enrolled faces, whose photos are not kept, are of the old model: enrol them again."
            )?;
        }
        Ok(())
    }
}

/// The model of most photos of a library, where it is another than `model`.
///
/// # Errors
/// The library cannot be read.
pub fn other_model(library: &Library, model: &str) -> Result<Option<String>, LibraryError> {
    Ok(model_of(library)?.filter(|most| most != model))
}

/// The model that found the faces of most photos of a library; `None` where it has no faces.
///
/// # Errors
/// The library cannot be read.
pub fn model_of(library: &Library) -> Result<Option<String>, LibraryError> {
    let sql = format!(
        "SELECT model FROM images WHERE gallery = {} AND bucket <> '{}' AND face_count > 0 \
         GROUP BY model ORDER BY count(*) DESC, model LIMIT 1",
        super::view::MINE,
        muster_gallery::ENROLLED
    );
    let mut select = library.db().prepare(&sql)?;
    let mut found = select.query([])?;
    Ok(found.next()?.map(|row| row.get(0)).transpose()?)
}

/// Opens the stage of a library: a new one, or the one where an earlier run was stopped. What people asked to forget
/// holds there too.
///
/// # Errors
/// The stage cannot be made or written.
pub fn open(library: &Library) -> Result<Library, LibraryError> {
    let mut stage = Library::create(&folder(library))?;
    stage.db_mut().execute("ATTACH DATABASE ?1 AS main_library", [text(library)?])?;
    let copied = stage.db().execute_batch(
        "DELETE FROM forgotten_paths; DELETE FROM forgotten_faces;
         INSERT INTO forgotten_paths SELECT * FROM main_library.forgotten_paths;
         INSERT INTO forgotten_faces (bucket, key, image, bbox) SELECT bucket, key, image, bbox FROM \
           main_library.forgotten_faces;",
    );
    stage.db().execute_batch("DETACH DATABASE main_library")?;
    copied?;
    Ok(stage)
}

/// Deletes the stage of a library, where there is one: it holds faces that nobody waits for any more.
///
/// # Errors
/// The folder cannot be deleted.
pub fn discard(library: &Library) -> Result<(), LibraryError> {
    let folder = folder(library);
    if !super::library::is_there(&folder) {
        return Ok(());
    }
    // Nothing but its own files, whatever else somebody put there.
    for file in FILES.map(|name| folder.join(name)) {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(LibraryError::io(&file, &error)),
            _ => {}
        }
    }
    let _ = fs::remove_dir(&folder);
    Ok(())
}

/// Photos of a library that are below none of some folders: with another model, they must be named, too.
///
/// # Errors
/// The library cannot be read.
pub fn elsewhere(library: &Library, roots: &[PathBuf]) -> Result<Vec<PathBuf>, LibraryError> {
    let mut outside = BTreeSet::new();
    let sql = format!(
        "SELECT bucket, key FROM images WHERE gallery = {} AND bucket <> '{}'",
        super::view::MINE,
        muster_gallery::ENROLLED
    );
    let mut select = library.db().prepare(&sql)?;
    let mut found = select.query([])?;
    while let Some(row) = found.next()? {
        let (bucket, key): (String, String) = (row.get(0)?, row.get(1)?);
        let Ok(path) = library.places().path(&bucket, &key) else { continue };
        if !roots.iter().any(|root| path.starts_with(root)) {
            outside.extend(path.parent().map(Path::to_path_buf));
        }
    }
    Ok(super::roots::outermost(outside))
}

/// Exchanges the rows of a library for those of its stage, with the groups that follow, in one transaction; then the
/// stage is deleted.
///
/// # Errors
/// The library cannot be written. It is as it was, and the stage is kept for another attempt.
pub fn exchange(
    library: &mut Library,
    params: &Params,
    model: &str,
    accept_removals: bool,
) -> Result<Exchanged, LibraryError> {
    let folder = folder(library);
    let mut stage = Library::open(&folder)?;
    let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
    let staged = groups::snapshot(stage.db_mut(), &gallery)?;
    stage.checkpoint()?;
    drop(stage);
    let path = folder.join("library.db").to_str().map(str::to_owned).ok_or_else(|| not_text(&folder))?;
    library.db().execute("ATTACH DATABASE ?1 AS stage", [path])?;
    let mut result = if accept_removals { Ok(()) } else { check(library) }.and(Err(LibraryError::Conflict));
    for _ in 0..ATTEMPTS {
        if !matches!(result, Err(LibraryError::Conflict)) {
            break;
        }
        result = attempt(library.db_mut(), &gallery, &staged, params, model);
    }
    library.db().execute_batch("DETACH DATABASE stage")?;
    let exchanged = result?;
    discard(library)?;
    Ok(exchanged)
}

/// Whether the stage has the photos that the library knows, but for a few that were deleted.
fn check(library: &Library) -> Result<(), LibraryError> {
    let sql = format!(
        "SELECT i.bucket, i.key, s.id IS NOT NULL, i.state, s.state, s.reason FROM images i \
         LEFT JOIN stage.images s ON s.id = i.id WHERE i.gallery = {} AND i.bucket <> '{}' ORDER BY i.bucket, i.key",
        super::view::MINE,
        muster_gallery::ENROLLED
    );
    let mut select = library.db().prepare(&sql)?;
    let mut found = select.query([])?;
    let roots: Vec<PathBuf> = overview(library)?.roots.into_iter().map(|root| root.path).collect();
    let mut deleted: BTreeMap<Option<&PathBuf>, (u64, Vec<PathBuf>)> = BTreeMap::new();
    let mut missing: Vec<PathBuf> = Vec::new();
    while let Some(row) = found.next()? {
        let (bucket, key): (String, String) = (row.get(0)?, row.get(1)?);
        let Ok(path) = library.places().path(&bucket, &key) else { continue };
        let below = deleted.entry(roots.iter().find(|root| path.starts_with(root))).or_default();
        below.0 += 1;
        if row.get::<_, bool>(2)? {
            let was_read = super::rows::state(row, 3)? != ImageState::Rejected;
            let is_rejected = super::rows::state(row, 4)? == ImageState::Rejected;
            if was_read && is_rejected && super::rows::reject_reason(row, 5)?.is_none_or(may_pass) {
                missing.push(path);
            }
        } else if super::roots::is_gone(&path) {
            below.1.push(path);
        } else {
            missing.push(path);
        }
    }
    // As in an index: below each root, a few deleted photos are nothing to ask about.
    for (all, gone) in deleted.into_values() {
        let count = gone.len() as u64;
        if count == all || count > 10 && count * 10 > all {
            missing.extend(gone);
        }
    }
    match missing.first() {
        Some(path) => Err(LibraryError::Unread { photos: missing.len() as u64, path: path.clone() }),
        None => Ok(()),
    }
}

fn attempt(
    db: &mut Connection,
    gallery: &GalleryId,
    staged: &GallerySnapshot,
    params: &Params,
    model: &str,
) -> Result<Exchanged, LibraryError> {
    let before = groups::snapshot(db, gallery)?;
    // Grouping takes a while: a correction meanwhile is not lost, but taken in by another attempt.
    let snapshot = GallerySnapshot {
        version: before.version,
        facts: before.facts.clone(),
        previous: before.previous.clone(),
        ..staged.clone()
    };
    let after = grouping::group(snapshot, params).map_err(|error| LibraryError::Broken(error.to_string()))?;
    let whole = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = gallery_number(&whole, gallery)?;
    if groups::generation(&whole, gallery)? != before.version.generation {
        return Err(LibraryError::Conflict);
    }
    let from = whole
        .query_row(
            "SELECT model FROM images WHERE gallery = ?1 GROUP BY model ORDER BY count(*) DESC, model LIMIT 1",
            [number],
            |row| row.get(0),
        )
        .unwrap_or_default();
    let enrolled = replace(&whole, number)?;
    groups::save_in(&whole, number, &after)?;
    bump(&whole, number)?;
    let generation = groups::generation(&whole, gallery)?;
    groups::note_grouped(&whole, Some(generation))?;
    whole.commit()?;
    Ok(tell(from, model, &before, staged, &after, enrolled))
}

/// Replaces the rows of photos; how many enrolled faces stay.
fn replace(db: &Connection, gallery: i64) -> Result<u64, LibraryError> {
    let kept = muster_gallery::ENROLLED;
    db.execute_batch(
        "CREATE TEMP TABLE written AS SELECT i.id, w.regions FROM written_names w JOIN images i ON i.n = w.image",
    )?;
    db.execute("DELETE FROM images WHERE gallery = ?1 AND bucket <> ?2", params![gallery, kept])?;
    let images = IMAGES.replace("gallery", "?1");
    db.execute(&format!("INSERT INTO images ({IMAGES}) SELECT {images} FROM stage.images"), [gallery])?;
    let faces = FACES
        .split(", ")
        .map(|column| if column.trim() == "gallery" { "?1".to_owned() } else { format!("f.{}", column.trim()) })
        .collect::<Vec<_>>()
        .join(", ");
    db.execute(
        &format!(
            "INSERT INTO faces (image, {FACES}) SELECT i.n, {faces} FROM stage.faces f \
             JOIN stage.images s ON s.n = f.image JOIN images i ON i.id = s.id"
        ),
        [gallery],
    )?;
    db.execute(
        "INSERT INTO thumbnails (face, jpeg) SELECT f.n, t.jpeg FROM stage.thumbnails t \
         JOIN stage.faces s ON s.n = t.face JOIN faces f ON f.id = s.id",
        [],
    )?;
    db.execute_batch(
        "INSERT INTO written_names SELECT i.n, w.regions FROM written w JOIN images i ON i.id = w.id; DROP TABLE written;",
    )?;
    let sql = "SELECT count(*) FROM faces f JOIN images i ON i.n = f.image WHERE i.gallery = ?1 AND i.bucket = ?2";
    Ok(db.query_row(sql, params![gallery, kept], |row| super::rows::unsigned(row, 0))?)
}

fn tell(
    from: String,
    to: &str,
    before: &GallerySnapshot,
    staged: &GallerySnapshot,
    after: &Reconciled,
    enrolled: u64,
) -> Exchanged {
    let mut now: Facts = before.facts.clone();
    after.recognised.iter().for_each(|edit| now.apply(edit));
    let count = |facts: &Facts, gallery: &GallerySnapshot| {
        let mut persons: BTreeMap<GroupId, u64> = BTreeMap::new();
        let owners = gallery.faces.iter().filter_map(|face| facts.person_of(face.id));
        owners.for_each(|person| *persons.entry(person).or_default() += 1);
        persons
    };
    let (old, new) = (count(&before.facts, before), count(&now, staged));
    let kept = old.iter().map(|(person, faces)| new.get(person).copied().unwrap_or(0).min(*faces)).sum();
    let groups: BTreeSet<GroupId> = after.partition.groups.iter().map(|group| group.id).collect();
    let had: BTreeSet<GroupId> = before.previous.groups.iter().map(|group| group.id).collect();
    let named = before.facts.persons.iter().filter_map(|(id, person)| Some((id, person.name.clone()?)));
    let (there, gone): (Vec<_>, Vec<_>) =
        named.filter(|(id, _)| had.contains(id)).partition(|(id, _)| groups.contains(id));
    Exchanged {
        from,
        to: to.to_owned(),
        faces: (before.faces.len() as u64, staged.faces.len() as u64),
        people: there.len() as u64,
        without_faces: gone.into_iter().map(|(_, name)| name).collect(),
        confirmed: (old.values().sum(), kept),
        enrolled,
    }
}

fn folder(library: &Library) -> PathBuf {
    library.folder().join(FOLDER)
}

fn text(library: &Library) -> Result<String, LibraryError> {
    let path = library.folder().join("library.db");
    path.to_str().map(str::to_owned).ok_or_else(|| not_text(&path))
}

fn not_text(path: &Path) -> LibraryError {
    LibraryError::Broken(format!("{} is not UTF-8: move the library to a folder with such a name", path.display()))
}
