//! Reads the part of a library that a correction concerns, without the rest.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::face::{FaceId, LEAST_FACE};
use muster_actors::domain::face_place::FacePlace;
use muster_actors::domain::gallery::GroupId;
use muster_actors::people::scene::SceneGroup;
use muster_actors::people::{Scene, Topic};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{LibraryError, facts, rows};

/// Columns that [`place`] reads, of a photo `i` and a face `f`.
pub(super) const PLACE: &str =
    "i.content, i.picture, i.taken_local_ms, i.taken_offset, i.width, i.height, f.bbox, i.bucket, i.key";

/// Reads where a face is, from the columns of [`PLACE`] from `first` on.
pub(super) fn place(row: &Row<'_>, first: usize) -> rusqlite::Result<FacePlace> {
    let picture: Option<i64> = row.get(first + 1)?;
    let capture = muster_actors::domain::capture::Capture::new(
        rows::taken(row, first + 2)?,
        None,
        &row.get::<_, String>(first + 7)?,
        &row.get::<_, String>(first + 8)?,
    );
    Ok(FacePlace {
        content: row.get(first)?,
        picture: picture.map(|bits| muster_actors::domain::capture::PictureHash(bits.cast_unsigned())),
        taken: capture.taken,
        width: row.get(first + 4)?,
        height: row.get(first + 5)?,
        bbox: rows::bbox(row, first + 6)?,
    })
}

/// Reads the scene of a topic.
pub(super) fn read(db: &Connection, gallery: i64, topic: &Topic) -> Result<Scene, LibraryError> {
    let mut scene = Scene::default();
    let mut named: BTreeSet<GroupId> = BTreeSet::new();
    let mut redirect = db.prepare_cached("SELECT target FROM redirects WHERE gallery = ?1 AND source = ?2")?;
    let mut became = db.prepare_cached("SELECT b FROM facts WHERE gallery = ?1 AND kind = 'became' AND a = ?2")?;
    for id in &topic.groups {
        let into = redirect.query_row(params![gallery, id.0], |row| Ok(GroupId(rows::id(row, 0)?))).optional()?;
        let became = became.query_row(params![gallery, id.0], |row| Ok(GroupId(rows::id(row, 0)?))).optional()?;
        scene.redirects.extend(into.map(|into| (*id, into)));
        named.insert(became.or(into).unwrap_or(*id));
    }
    let mut home = db.prepare_cached("SELECT grp FROM members WHERE gallery = ?1 AND face = ?2")?;
    for face in &topic.faces {
        let group = home.query_row(params![gallery, face.0], |row| Ok(GroupId(rows::id(row, 0)?))).optional()?;
        named.extend(group);
    }
    let mut cover = db.prepare_cached("SELECT cover FROM groups WHERE gallery = ?1 AND id = ?2")?;
    let of_group = "JOIN members m ON m.gallery = f.gallery AND m.face = f.id WHERE m.gallery = ?1 AND m.grp = ?2";
    let mut members = db.prepare_cached(&face_sql(of_group))?;
    for id in named {
        let mut group = SceneGroup {
            cover: cover.query_row(params![gallery, id.0], |row| Ok(FaceId(rows::id(row, 0)?))).optional()?,
            ..SceneGroup::default()
        };
        let mut found = members.query(params![gallery, id.0])?;
        while let Some(row) = found.next()? {
            group.faces.insert(take(&mut scene, row)?);
        }
        if !group.faces.is_empty() {
            scene.groups.insert(id, group);
        }
    }
    let mut one = db.prepare_cached(&face_sql("WHERE f.gallery = ?1 AND f.id = ?2"))?;
    for face in topic.faces.iter().filter(|face| !scene.places.contains_key(face)).copied().collect::<Vec<_>>() {
        let mut found = one.query(params![gallery, face.0])?;
        while let Some(row) = found.next()? {
            take(&mut scene, row)?;
        }
    }
    let groups = scene.groups.keys().chain(&topic.groups).map(|id| id.0);
    let faces = scene.places.keys().chain(&topic.faces).map(|id| id.0);
    scene.facts = facts::about(db, gallery, &groups.chain(faces).collect())?;
    Ok(scene)
}

fn face_sql(filter: &str) -> String {
    format!("SELECT f.id, f.face, {PLACE} FROM faces f JOIN images i ON i.n = f.image {filter}")
}

fn take(scene: &mut Scene, row: &Row<'_>) -> Result<FaceId, LibraryError> {
    let face = FaceId(rows::id(row, 0)?);
    if row.get::<_, f32>(1)? < LEAST_FACE {
        scene.doubted.insert(face);
    }
    scene.places.insert(face, place(row, 2)?);
    Ok(face)
}

/// The places of all faces of a gallery.
pub(super) fn places(db: &Connection, gallery: i64) -> Result<BTreeMap<FaceId, FacePlace>, LibraryError> {
    let mut select = db.prepare(&face_sql("WHERE f.gallery = ?1"))?;
    let places = select.query_map([gallery], |row| Ok((FaceId(rows::id(row, 0)?), place(row, 2)?)))?;
    Ok(places.collect::<Result<_, _>>()?)
}
