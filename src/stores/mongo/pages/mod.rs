//! Lists galleries, faces, people and photos of a fleet's database in pages.

mod faces;
mod people;
mod photos;

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageState;
use muster_gallery::view::Totals;
use serde::de::DeserializeOwned;

use super::documents::{group_id, text, unsigned, uuid};
use super::pointer::PartitionRead;
use super::{MongoError, MongoFaces, names, non_faces};

pub use faces::{face, faces};
pub use people::{group, groups_in, people};
pub use photos::{hashed_photos, note_copies, photo, photos};

/// Number of ids in one filter.
const IDS: usize = 5_000;

async fn all(store: &MongoFaces, of: &str, pipeline: Vec<Document>) -> Result<Vec<Document>, MongoError> {
    Ok(store.collection(of).aggregate(pipeline).allow_disk_use(true).await?.try_collect().await?)
}

/// Returns the value that serde has for a word.
fn by_word<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

fn strange(what: &str) -> MongoError {
    MongoError::Document(format!("a document has a strange {what}"))
}

/// Returns the ids of all galleries, ascending.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote.
pub async fn galleries(store: &MongoFaces) -> Result<Vec<GalleryId>, MongoError> {
    let found: Vec<Document> = store
        .collection(names::GALLERIES)
        .find(doc! { "generation": { "$gt": 0 } })
        .projection(doc! { "_id": 1 })
        .sort(doc! { "_id": 1 })
        .await?
        .try_collect()
        .await?;
    found.iter().map(|gallery| Ok(GalleryId(text(gallery, "_id")?.to_owned()))).collect()
}

/// Counts the images, faces and groups of a gallery.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote, [`MongoError::Conflict`] when the partition in force changes all the
/// time.
pub async fn totals(store: &MongoFaces, of: &GalleryId) -> Result<Totals, MongoError> {
    let mut totals = Totals::default();
    let states = [doc! { "$match": { "gallery": &of.0 } }, doc! { "$group": { "_id": "$state", "n": { "$sum": 1 } } }];
    for state in all(store, names::IMAGES, states.to_vec()).await? {
        let count = unsigned(&state, "n")?;
        totals.images += count;
        match by_word(text(&state, "_id")?).ok_or_else(|| strange("state"))? {
            ImageState::Indexed => totals.indexed = count,
            ImageState::NoFaces => totals.no_faces = count,
            ImageState::LowQuality => totals.low_quality = count,
            ImageState::Rejected => totals.rejected = count,
        }
    }
    let no_face = non_faces::words(store, of).await?.condition();
    let faces = doc! { "$match": { "gallery": &of.0, "$nor": [&no_face] } };
    let mut reading = PartitionRead::begin(store, of).await?;
    let groups = loop {
        let group = format!("${}", reading.head().pointer.field());
        let groups = [faces.clone(), doc! { "$group": { "_id": group, "n": { "$sum": 1 } } }];
        let groups = all(store, names::FACES, groups.to_vec()).await?;
        if reading.is_whole().await? {
            break groups;
        }
    };
    for group in groups {
        let count = unsigned(&group, "n")?;
        totals.faces += count;
        match group_id(&group, "_id")? {
            Some(_) => totals.groups += 1,
            None => totals.ungrouped = count,
        }
    }
    let non_faces = doc! { "gallery": &of.0, "$and": [no_face] };
    totals.non_faces = store.collection(names::FACES).count_documents(non_faces).await?;
    Ok(totals)
}

/// Finds documents by their ids.
async fn by_id(
    store: &MongoFaces,
    collection: &str,
    ids: BTreeSet<[u8; 16]>,
    fields: Document,
) -> Result<Vec<Document>, MongoError> {
    let ids: Vec<Bson> = ids.into_iter().map(uuid).collect();
    let found = store.collection(collection).find(doc! { "_id": { "$in": ids } }).projection(fields).await?;
    Ok(found.try_collect().await?)
}
