//! Lists the people of a gallery.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_gallery::view::Person;

use super::{IDS, all};
use crate::mongo::documents::{face_id, group_id, unsigned, uuid};
use crate::mongo::pointer::{PartitionPointer, PartitionRead};
use crate::mongo::{MongoError, MongoFaces, facts, names};

/// Greatest number of photos in which a search looks for people.
const FOUND: i64 = 20_000;

/// Returns all people, the largest groups first, then by id.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote, [`MongoError::Conflict`] when the partition in force changes all the
/// time.
pub async fn people(store: &MongoFaces, of: &GalleryId) -> Result<Vec<Person>, MongoError> {
    let mut reading = PartitionRead::begin(store, of).await?;
    loop {
        let people = people_in(store, of, reading.head().pointer).await?;
        if reading.is_whole().await? {
            return Ok(people);
        }
    }
}

async fn people_in(store: &MongoFaces, of: &GalleryId, pointer: PartitionPointer) -> Result<Vec<Person>, MongoError> {
    let group = format!("${}", pointer.field());
    let counts = [
        doc! { "$match": { "gallery": &of.0, pointer.field(): { "$ne": null } } },
        doc! { "$group": { "_id": { "group": &group, "image": "$image" }, "faces": { "$sum": 1 } } },
        doc! { "$group": { "_id": "$_id.group", "faces": { "$sum": "$faces" }, "photos": { "$sum": 1 } } },
    ];
    let mut sizes = BTreeMap::new();
    for size in all(store, names::FACES, counts.to_vec()).await? {
        if let Some(id) = group_id(&size, "_id")? {
            sizes.insert(id, (unsigned(&size, "faces")?, unsigned(&size, "photos")?));
        }
    }
    let groups = store.collection(pointer.groups());
    let live = groups.find(doc! { "gallery": &of.0, "into": null });
    let mut cursor = live.projection(doc! { "name": 1, "cover": 1 }).await?;
    let mut persons = facts::of_kinds(store, of, &["person"], None).await?.persons;
    let mut people = Vec::with_capacity(sizes.len());
    while cursor.advance().await? {
        let group = cursor.deserialize_current()?;
        let Some(id) = group_id(&group, "_id")? else { continue };
        // All of its faces were forgotten in the meantime.
        let Some((faces, photos)) = sizes.get(&id).copied() else { continue };
        let (name, cover) = (name(&group), face_id(&group, "cover")?);
        let record = persons.remove(&id);
        let is_person = record.is_some();
        let record = record.unwrap_or_default();
        let (is_hidden, born, notes) = (record.is_hidden, record.born, record.notes);
        let cover_path = String::new();
        people.push(Person { id, name, faces, photos, cover, cover_path, is_person, is_hidden, born, notes });
    }
    people.sort_unstable_by_key(|person| (u64::MAX - person.faces, person.id));
    Ok(people)
}

/// Returns the group that an id stands for: the group into which it was merged, or itself. `None`
/// if there is no such group.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote, [`MongoError::Conflict`] when the partition in force changes all the
/// time.
pub async fn group(store: &MongoFaces, of: &GalleryId, id: GroupId) -> Result<Option<GroupId>, MongoError> {
    let mut reading = PartitionRead::begin(store, of).await?;
    loop {
        let groups = store.collection(reading.head().pointer.groups());
        let found = groups.find_one(doc! { "_id": uuid(id.0), "gallery": &of.0 }).await?;
        if reading.is_whole().await? {
            return found.map(|group| Ok(group_id(&group, "into")?.unwrap_or(id))).transpose();
        }
    }
}

/// Returns the groups with a face in a photo whose key contains this text, without regard to case.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote, [`MongoError::Conflict`] when the partition in force changes all the
/// time.
pub async fn groups_in(store: &MongoFaces, of: &GalleryId, part: &str) -> Result<BTreeSet<GroupId>, MongoError> {
    let escaped: String =
        part.chars().flat_map(|c| [(!c.is_alphanumeric()).then_some('\\'), Some(c)]).flatten().collect();
    let holds = doc! { "gallery": &of.0, "key": { "$regex": escaped, "$options": "i" } };
    let images = store.collection(names::IMAGES);
    let found = images.find(holds).projection(doc! { "_id": 1 }).limit(FOUND).await?;
    let images: Vec<Document> = found.try_collect().await?;
    let mut reading = PartitionRead::begin(store, of).await?;
    loop {
        let field = reading.head().pointer.field();
        let mut groups = BTreeSet::new();
        for images in images.chunks(IDS) {
            let ids: Vec<Bson> = images.iter().filter_map(|image| image.get("_id").cloned()).collect();
            for group in store.collection(names::FACES).distinct(field, doc! { "image": { "$in": ids } }).await? {
                groups.extend(group_id(&doc! { "group": group }, "group")?);
            }
        }
        if reading.is_whole().await? {
            return Ok(groups);
        }
    }
}

/// Returns the name of a group, where it has one.
pub(super) fn name(group: &Document) -> Option<String> {
    group.get_str("name").ok().map(str::to_owned)
}
