//! A partition into the database: one transaction, guarded by the gallery's revision; only what differs is written.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::UpdateModifications;
use mongodb::{ClientSession, Collection};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GalleryVersion, Group, GroupId, Lineage, Partition, Reconciled};

use super::documents::{self, group_id, signed, uuid};
use super::transaction::{Patience, advance, begin, end};
use super::{MongoError, MongoFaces, facts, gallery, history, names};

/// Faces that one statement moves.
const FACES: usize = 5_000;

/// What a partition changes in the database.
struct Difference {
    /// Faces by the group that they go into.
    moved: BTreeMap<Option<GroupId>, Vec<Bson>>,
    /// Documents of groups and redirects that are new, or not as they are stored.
    changed: Vec<(GroupId, Document)>,
    /// Groups and redirects that are no more.
    ended: Vec<Bson>,
}

impl Difference {
    /// Between what is stored and a partition.
    async fn read(store: &MongoFaces, gallery: &GalleryId, after: &Partition) -> Result<Self, MongoError> {
        let moved = moved(gallery::members(store, gallery).await?, after);
        let mut ended = Vec::new();
        let mut drawn = drawn(gallery, after);
        let mut stored = gallery::find(store, names::GROUPS, gallery, doc! {}, doc! { "_id": 1 }).await?;
        while stored.advance().await? {
            let mut document = stored.deserialize_current()?;
            let Some(id) = group_id(&document, "_id")? else { continue };
            document.remove("_id");
            match drawn.get(&id) {
                None => ended.push(uuid(id.0)),
                // As it is stored, not as its faces say: one of them may be gone that it counts.
                Some(drawing) if *drawing == document => {
                    drawn.remove(&id);
                }
                Some(_) => {}
            }
        }
        Ok(Self { moved, changed: drawn.into_iter().collect(), ended })
    }

    fn is_empty(&self) -> bool {
        self.moved.is_empty() && self.changed.is_empty() && self.ended.is_empty()
    }
}

/// Saves a partition that was made at `read`, if the gallery's revision still is that one.
///
/// # Errors
/// [`MongoError::Conflict`] when somebody changed more meanwhile than new faces.
pub async fn save(
    store: &MongoFaces,
    gallery: &GalleryId,
    read: GalleryVersion,
    reconciled: &Reconciled,
) -> Result<(), MongoError> {
    // Outside the transaction: a change after this raises the revision, and the transaction sees that.
    let difference = Difference::read(store, gallery, &reconciled.partition).await?;
    let mut patience = Patience::new();
    loop {
        let mut session = begin(store).await?;
        let saved = write(store, &mut session, gallery, read, (&difference, reconciled)).await;
        let saved = end(session, saved).await;
        // It may have lost against somebody who only added faces.
        if patience.ends(&saved).await {
            return if saved? { Ok(()) } else { Err(MongoError::Conflict) };
        }
    }
}

/// Whether it was written: the revision still is that of `read`.
async fn write(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    read: GalleryVersion,
    (difference, reconciled): (&Difference, &Reconciled),
) -> Result<bool, MongoError> {
    let Reconciled { lineage: events, recognised, renamed, .. } = reconciled;
    let unchanged = difference.is_empty() && events.is_empty() && recognised.is_empty() && renamed.is_empty();
    // Where there is nothing to tell anybody the generation stays, so that a repeated wake-up ends here.
    let Some(generation) = advance(store, session, gallery, read, u64::from(!unchanged)).await? else {
        return Ok(false);
    };
    if unchanged {
        return Ok(true);
    }
    // The revision guards what was said meanwhile.
    facts::apply(store, session, gallery, recognised).await?;
    history::rename(store, session, gallery, renamed).await?;
    put_faces(&store.collection(names::FACES), session, &difference.moved).await?;
    let groups = store.collection(names::GROUPS);
    if !difference.ended.is_empty() {
        groups.delete_many(doc! { "_id": { "$in": &difference.ended } }).session(&mut *session).await?;
    }
    for (id, document) in &difference.changed {
        groups.replace_one(doc! { "_id": uuid(id.0) }, document).upsert(true).session(&mut *session).await?;
    }
    lineage(store, session, gallery, generation, events).await?;
    Ok(true)
}

/// Notes events of a gallery's groups, which are those of one generation.
pub async fn lineage(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    generation: u64,
    events: &[Lineage],
) -> Result<(), MongoError> {
    let event = |(number, event): (i64, &Lineage)| {
        let mut document = doc! {
            "gallery": &gallery.0, "generation": signed(generation), "number": number, "at": DateTime::now(),
        };
        document.extend(documents::lineage(event));
        document
    };
    let events: Vec<Document> = (0i64..).zip(events).map(event).collect();
    if !events.is_empty() {
        store.collection(names::LINEAGE).insert_many(events).session(&mut *session).await?;
    }
    Ok(())
}

/// Groups and redirects as documents.
fn drawn(gallery: &GalleryId, partition: &Partition) -> BTreeMap<GroupId, Document> {
    let mut suggested: BTreeMap<GroupId, Vec<Document>> = BTreeMap::new();
    for (face, suggestion) in &partition.suggestions {
        let probability = f64::from(suggestion.probability);
        let one = doc! { "face": uuid(face.0), "probability": probability };
        suggested.entry(suggestion.group).or_default().push(one);
    }
    let group = |group: &Group| {
        let mut document = doc! {
            "gallery": &gallery.0,
            "count": signed(group.faces.len() as u64),
            "cover": uuid(group.cover.0),
            "centroid": documents::vector(&group.centroid),
            "name": group.name.as_deref(),
        };
        if let Some(faces) = suggested.get(&group.id) {
            document.insert(documents::SUGGESTIONS, faces);
        }
        (group.id, document)
    };
    let redirect = |(from, into): (&GroupId, &GroupId)| (*from, doc! { "gallery": &gallery.0, "into": uuid(into.0) });
    partition.groups.iter().map(group).chain(partition.redirects.iter().map(redirect)).collect()
}

/// The faces whose group is another in a partition than it is now.
fn moved(now: BTreeMap<GroupId, Vec<FaceId>>, after: &Partition) -> BTreeMap<Option<GroupId>, Vec<Bson>> {
    let mut left: BTreeMap<FaceId, GroupId> =
        now.into_iter().flat_map(|(group, faces)| faces.into_iter().map(move |face| (face, group))).collect();
    let mut moved: BTreeMap<Option<GroupId>, Vec<Bson>> = BTreeMap::new();
    for group in &after.groups {
        let new = group.faces.iter().filter(|face| left.remove(face) != Some(group.id));
        let new: Vec<Bson> = new.map(|face| uuid(face.0)).collect();
        if !new.is_empty() {
            moved.insert(Some(group.id), new);
        }
    }
    if !left.is_empty() {
        moved.insert(None, left.into_keys().map(|face| uuid(face.0)).collect());
    }
    moved
}

/// Puts faces into groups, or into none. A face that is no more stays away.
pub async fn put_faces(
    faces: &Collection<Document>,
    session: &mut ClientSession,
    moved: &BTreeMap<Option<GroupId>, Vec<Bson>>,
) -> Result<(), MongoError> {
    for (group, ids) in moved {
        let update: UpdateModifications = match group {
            Some(group) => doc! { "$set": { "group": uuid(group.0) } }.into(),
            None => doc! { "$unset": { "group": 1 } }.into(),
        };
        for ids in ids.chunks(FACES) {
            faces.update_many(doc! { "_id": { "$in": ids } }, update.clone()).session(&mut *session).await?;
        }
    }
    Ok(())
}
