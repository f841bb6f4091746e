//! Reads a gallery for the grouper, and writes its partition back.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::face::{FaceId, LEAST_FACE};
use muster_actors::domain::gallery::{
    FaceVector, GalleryId, GallerySnapshot, GalleryVersion, Group, GroupId, Lineage, Partition, Reconciled, Suggestion,
};
use muster_actors::domain::image::ImageId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::write::{bump, gallery_number};
use super::{Library, LibraryError, facts, repoint, rows, scene};

/// Everything of a gallery in one consistent read. A gallery nobody wrote to is empty, generation 0.
pub fn snapshot(db: &mut Connection, gallery: &GalleryId) -> Result<GallerySnapshot, LibraryError> {
    // One transaction: faces, facts and groups of one moment.
    let moment = db.transaction()?;
    let found = moment
        .query_row("SELECT n FROM galleries WHERE name = ?1", [&gallery.0], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(number) = found else { return Ok(GallerySnapshot::default()) };
    // In the order of the file, then sorted here: by id each row would be a seek. Vectors of two models cannot be
    // compared: those of most photos are grouped.
    let (mut faces, mut doubted) = (Vec::new(), BTreeSet::new());
    let mut select = moment.prepare_cached(&format!(
        "SELECT f.id, i.id, f.embedding, f.overall, f.face, i.key, i.taken_local_ms, i.taken_offset, i.picture, \
             i.bucket, {} FROM faces f JOIN images i ON i.n = f.image WHERE f.gallery = ?1 AND i.model = (\
               SELECT model FROM images WHERE gallery = ?1 AND face_count > 0 \
               GROUP BY model ORDER BY sum(bucket <> 'enrolled') DESC, count(*) DESC, model LIMIT 1)",
        scene::PLACE
    ))?;
    for face in select.query_map([number], |row| {
        let vector = FaceVector {
            id: FaceId(rows::id(row, 0)?),
            image: ImageId(rows::id(row, 1)?),
            embedding: rows::floats(row, 2)?,
            quality: row.get(3)?,
            capture: rows::capture(row, 9, 5)?,
            place: Some(scene::place(row, 10)?),
        };
        Ok((vector, row.get::<_, f32>(4)?))
    })? {
        let (face, probability) = face?;
        if probability < LEAST_FACE {
            doubted.insert(face.id);
        }
        faces.push(face);
    }
    faces.sort_unstable_by_key(|face| face.id);
    Ok(GallerySnapshot {
        version: version(&moment, number)?,
        faces,
        doubted,
        facts: facts::all(&moment, number)?,
        previous: partition(&moment, number)?,
    })
}

/// Changes whenever faces, facts or groups of a gallery do.
pub fn generation(db: &Connection, gallery: &GalleryId) -> Result<u64, LibraryError> {
    let mut select = db.prepare_cached("SELECT generation FROM galleries WHERE name = ?1")?;
    Ok(select.query_row([&gallery.0], |row| rows::unsigned(row, 0)).optional()?.unwrap_or(0))
}

fn version(db: &Connection, gallery: i64) -> Result<GalleryVersion, LibraryError> {
    let mut select = db.prepare_cached("SELECT generation, generation - additions FROM galleries WHERE n = ?1")?;
    let read =
        |row: &Row<'_>| Ok(GalleryVersion { generation: rows::unsigned(row, 0)?, revision: rows::unsigned(row, 1)? });
    Ok(select.query_row([gallery], read)?)
}

/// The partition that was saved last. May name faces that are gone since.
pub(super) fn partition(db: &Connection, gallery: i64) -> Result<Partition, LibraryError> {
    let mut members: BTreeMap<GroupId, Vec<FaceId>> = BTreeMap::new();
    for (face, group) in pairs(db, "SELECT face, grp FROM members WHERE gallery = ?1", gallery)? {
        members.entry(GroupId(group)).or_default().push(FaceId(face));
    }
    let mut select =
        db.prepare_cached("SELECT id, cover, centroid, name FROM groups WHERE gallery = ?1 ORDER BY id")?;
    let groups = select.query_map([gallery], |row| {
        let id = GroupId(rows::id(row, 0)?);
        let mut faces = members.remove(&id).unwrap_or_default();
        faces.sort_unstable();
        let cover = FaceId(rows::id(row, 1)?);
        Ok(Group { id, faces, cover, centroid: rows::floats(row, 2)?, name: row.get(3)? })
    })?;
    let groups = groups.collect::<Result<_, _>>()?;
    let redirects = pairs(db, "SELECT source, target FROM redirects WHERE gallery = ?1", gallery)?;
    Ok(Partition {
        groups,
        redirects: redirects.into_iter().map(|(a, b)| (GroupId(a), GroupId(b))).collect(),
        suggestions: suggested(db, gallery)?,
    })
}

/// The groups that faces in none most likely belong to, as of the last partition. Faces that are gone since, or of groups
/// that are, are left out.
pub fn suggestions(db: &mut Connection, gallery: &GalleryId) -> Result<BTreeMap<FaceId, Suggestion>, LibraryError> {
    let moment = db.transaction()?;
    let Some(number) =
        moment.query_row("SELECT n FROM galleries WHERE name = ?1", [&gallery.0], |row| row.get(0)).optional()?
    else {
        return Ok(BTreeMap::new());
    };
    let mut found = suggested(&moment, number)?;
    let mut is_there = moment.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM faces WHERE id = ?1) AND EXISTS (SELECT 1 FROM groups WHERE gallery = ?2 AND id = ?3)",
    )?;
    let mut gone = Vec::new();
    for (face, suggestion) in &found {
        if !is_there.query_row(params![face.0, number, suggestion.group.0], |row| row.get::<_, bool>(0))? {
            gone.push(*face);
        }
    }
    gone.iter().for_each(|face| {
        found.remove(face);
    });
    Ok(found)
}

fn suggested(db: &Connection, gallery: i64) -> Result<BTreeMap<FaceId, Suggestion>, LibraryError> {
    let mut select = db.prepare_cached("SELECT face, grp, probability FROM suggestions WHERE gallery = ?1")?;
    let read = |row: &Row<'_>| {
        let suggestion = Suggestion { group: GroupId(rows::id(row, 1)?), probability: row.get(2)? };
        Ok((FaceId(rows::id(row, 0)?), suggestion))
    };
    Ok(select.query_map([gallery], read)?.collect::<Result<_, _>>()?)
}

type Id = [u8; 16];

fn pairs(db: &Connection, sql: &str, gallery: i64) -> Result<Vec<(Id, Id)>, LibraryError> {
    let mut select = db.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok((rows::id(row, 0)?, rows::id(row, 1)?));
    Ok(select.query_map([gallery], read)?.collect::<Result<_, _>>()?)
}

/// Saves a partition that was made at `read`, if the gallery's revision still is that one; only what differs is written.
pub fn save(
    db: &mut Connection,
    gallery: &GalleryId,
    read: GalleryVersion,
    reconciled: &Reconciled,
) -> Result<(), LibraryError> {
    let whole = db.transaction()?;
    let number = gallery_number(&whole, gallery)?;
    let before = version(&whole, number)?;
    if before.revision != read.revision {
        return Err(LibraryError::Conflict);
    }
    if save_in(&whole, number, reconciled)? {
        bump(&whole, number)?;
    }
    note_grouped(&whole, Some(read.grouped(before, version(&whole, number)?)))?;
    whole.commit()?;
    Ok(())
}

/// The name of the note of the generation that was grouped last.
const GROUPED: &str = "grouped";

/// Whether the groups were computed from what the gallery holds now, with the figures that are in use.
pub(super) fn is_grouped(library: &Library, gallery: &GalleryId) -> Result<bool, LibraryError> {
    let grouped = library.note(GROUPED)?.and_then(|note| note.parse().ok());
    Ok(grouped == Some(generation(library.db(), gallery)?))
}

/// Notes which generation was grouped; `None` where the next round must group in any case.
pub(super) fn note_grouped(db: &Connection, generation: Option<u64>) -> Result<(), LibraryError> {
    let text = generation.map(|generation| generation.to_string()).unwrap_or_default();
    db.execute(
        "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
        [GROUPED, &text],
    )?;
    Ok(())
}

/// Saves a partition in the caller's transaction; whether anything differs from the one before.
pub(super) fn save_in(whole: &Connection, number: i64, reconciled: &Reconciled) -> Result<bool, LibraryError> {
    let before = partition(whole, number)?;
    if before == reconciled.partition && reconciled.lineage.is_empty() && reconciled.recognised.is_empty() {
        // Nothing to tell anybody: the generation stays, so a repeated wake-up ends here.
        return Ok(false);
    }
    save_groups(whole, number, &before, &reconciled.partition)?;
    let old: BTreeSet<_> = before.redirects.iter().map(|(a, b)| (*a, *b)).collect();
    let new: BTreeSet<_> = reconciled.partition.redirects.iter().map(|(a, b)| (*a, *b)).collect();
    for (source, _) in old.difference(&new) {
        whole.execute("DELETE FROM redirects WHERE gallery = ?1 AND source = ?2", params![number, source.0])?;
    }
    for (source, target) in new.difference(&old) {
        whole.execute("INSERT INTO redirects VALUES (?1, ?2, ?3)", params![number, source.0, target.0])?;
    }
    save_suggestions(whole, number, &before.suggestions, &reconciled.partition.suggestions)?;
    for event in &reconciled.lineage {
        append_event(whole, number, event)?;
    }
    // The generation guards what was said meanwhile.
    facts::apply(whole, number, &reconciled.recognised)?;
    if !reconciled.renamed.is_empty() {
        let ids = reconciled.renamed.iter().map(|(old, new)| (old.to_string(), new.to_string())).collect();
        repoint::rewrite_texts(whole, &ids)?;
    }
    Ok(true)
}

/// Notes how a group came about or went.
pub(super) fn append_event(db: &Connection, gallery: i64, event: &Lineage) -> Result<(), LibraryError> {
    let (name, subject, other) = match event {
        Lineage::Born { group } => ("born", group, None),
        Lineage::Merged { from, into } => ("merged", from, Some(into.0)),
        Lineage::Split { from, part } => ("split", from, Some(part.0)),
        Lineage::Died { group } => ("died", group, None),
    };
    db.prepare_cached("INSERT INTO lineage (gallery, event, subject, other) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![gallery, name, subject.0, other])?;
    Ok(())
}

fn save_suggestions(
    db: &Connection,
    gallery: i64,
    before: &BTreeMap<FaceId, Suggestion>,
    after: &BTreeMap<FaceId, Suggestion>,
) -> Result<(), LibraryError> {
    for face in before.keys().filter(|face| !after.contains_key(face)) {
        db.prepare_cached("DELETE FROM suggestions WHERE gallery = ?1 AND face = ?2")?
            .execute(params![gallery, face.0])?;
    }
    for (face, suggestion) in after.iter().filter(|(face, suggestion)| before.get(face) != Some(suggestion)) {
        db.prepare_cached(
            "INSERT OR REPLACE INTO suggestions (gallery, face, grp, probability) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![gallery, face.0, suggestion.group.0, suggestion.probability])?;
    }
    Ok(())
}

fn save_groups(db: &Connection, gallery: i64, before: &Partition, after: &Partition) -> Result<(), LibraryError> {
    let old: BTreeMap<GroupId, &Group> = before.groups.iter().map(|g| (g.id, g)).collect();
    let new: BTreeMap<GroupId, &Group> = after.groups.iter().map(|g| (g.id, g)).collect();
    let place = |groups: &BTreeMap<GroupId, &Group>| -> BTreeMap<FaceId, GroupId> {
        groups.values().flat_map(|g| g.faces.iter().map(|face| (*face, g.id))).collect()
    };
    let (from, to) = (place(&old), place(&new));
    for id in old.keys().filter(|id| !new.contains_key(id)) {
        db.prepare_cached("DELETE FROM groups WHERE gallery = ?1 AND id = ?2")?.execute(params![gallery, id.0])?;
    }
    for face in from.keys().filter(|face| !to.contains_key(face)) {
        db.prepare_cached("DELETE FROM members WHERE gallery = ?1 AND face = ?2")?.execute(params![gallery, face.0])?;
    }
    for (id, group) in new.iter().filter(|(id, group)| old.get(*id) != Some(*group)) {
        db.prepare_cached(
            "INSERT INTO groups (gallery, id, cover, centroid, name) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO UPDATE SET cover = ?3, centroid = ?4, name = ?5",
        )?
        .execute(params![gallery, id.0, group.cover.0, rows::floats_to_bytes(&group.centroid), group.name])?;
    }
    for (face, group) in to.iter().filter(|(face, group)| from.get(*face) != Some(*group)) {
        db.prepare_cached(
            "INSERT INTO members (gallery, face, grp) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET grp = ?3",
        )?
        .execute(params![gallery, face.0, group.0])?;
    }
    Ok(())
}
