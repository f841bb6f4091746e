//! A partition into the database: one transaction, guarded by the gallery's generation; only what differs is written.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::UpdateModifications;
use mongodb::{ClientSession, Collection};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, Group, GroupId, Lineage, Partition, Reconciled};

use super::documents::{self, signed, uuid};
use super::transaction::{begin, end, guard, raise};
use super::{MongoError, MongoFaces, facts, gallery, history, names};

/// Faces that one statement moves.
const FACES: usize = 5_000;

/// Saves a partition, if the gallery's generation still is `generation`.
///
/// # Errors
/// [`MongoError::Conflict`] when somebody else changed the gallery meanwhile.
pub async fn save(
    store: &MongoFaces,
    gallery: &GalleryId,
    generation: u64,
    reconciled: &Reconciled,
) -> Result<(), MongoError> {
    // Read outside the transaction: a change after this read raises the generation, and the transaction sees that.
    let members = gallery::members(store, gallery).await?;
    let before = gallery::partition(store, gallery, members).await?;
    let unchanged = before == reconciled.partition && reconciled.lineage.is_empty() && reconciled.recognised.is_empty();
    let mut session = begin(store).await?;
    let written = write(store, &mut session, gallery, generation, (!unchanged).then_some((&before, reconciled))).await;
    end(session, written).await
}

async fn write(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    generation: u64,
    change: Option<(&Partition, &Reconciled)>,
) -> Result<(), MongoError> {
    guard(store, session, gallery, generation).await?;
    // Nothing to tell anybody: the generation stays, so a repeated wake-up ends here.
    let Some((before, reconciled)) = change else { return Ok(()) };
    raise(store, session, gallery).await?;
    // The generation guards what was said meanwhile.
    facts::apply(store, session, gallery, &reconciled.recognised).await?;
    history::rename(store, session, gallery, &reconciled.renamed).await?;
    move_faces(&store.collection(names::FACES), session, before, &reconciled.partition).await?;
    let groups = store.collection(names::GROUPS);
    let (old, new) = (drawn(gallery, before), drawn(gallery, &reconciled.partition));
    let ended: Vec<Bson> = old.keys().filter(|id| !new.contains_key(id)).map(|id| uuid(id.0)).collect();
    if !ended.is_empty() {
        groups.delete_many(doc! { "_id": { "$in": ended } }).session(&mut *session).await?;
    }
    for (id, document) in new.iter().filter(|(id, document)| old.get(*id) != Some(*document)) {
        groups.replace_one(doc! { "_id": uuid(id.0) }, document).upsert(true).session(&mut *session).await?;
    }
    lineage(store, session, gallery, generation + 1, &reconciled.lineage).await
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

/// Says of every face whose group changed which it is in now.
async fn move_faces(
    faces: &Collection<Document>,
    session: &mut ClientSession,
    before: &Partition,
    after: &Partition,
) -> Result<(), MongoError> {
    let place = |partition: &Partition| -> BTreeMap<FaceId, GroupId> {
        partition.groups.iter().flat_map(|group| group.faces.iter().map(|face| (*face, group.id))).collect()
    };
    let (from, to) = (place(before), place(after));
    let mut moved: BTreeMap<Option<GroupId>, Vec<Bson>> = BTreeMap::new();
    for (face, group) in to.iter().filter(|(face, group)| from.get(*face) != Some(*group)) {
        moved.entry(Some(*group)).or_default().push(uuid(face.0));
    }
    for face in from.keys().filter(|face| !to.contains_key(face)) {
        moved.entry(None).or_default().push(uuid(face.0));
    }
    put_faces(faces, session, moved).await
}

/// Puts faces into groups, or into none.
pub async fn put_faces(
    faces: &Collection<Document>,
    session: &mut ClientSession,
    moved: BTreeMap<Option<GroupId>, Vec<Bson>>,
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
