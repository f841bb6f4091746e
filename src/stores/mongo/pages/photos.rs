//! Lists the photos of a gallery.

use std::collections::{BTreeSet, HashMap};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageId, ImageState, RejectReason};
use muster_gallery::copies::{Copies, HashedPhoto};
use muster_gallery::pages::PageRows;
use muster_gallery::view::ImageRow;

use super::{by_id, by_word, strange};
use crate::mongo::documents::{self, capture, fraction, image_id, signed, taken, text, unsigned, uuid, word};
use crate::mongo::{MongoError, MongoFaces, names};

/// Number of photos in one batch of a cursor.
const BATCH: u32 = 5_000;

/// Returns at most `limit` photos behind a bucket and key, ascending by these.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote.
pub async fn photos(
    store: &MongoFaces,
    of: &GalleryId,
    state: Option<ImageState>,
    after: Option<(String, String)>,
    limit: usize,
) -> Result<PageRows<ImageRow>, MongoError> {
    let images = store.collection(names::IMAGES);
    let mut filter = doc! { "gallery": &of.0 };
    filter.extend(state.map(|state| ("state".to_owned(), Bson::String(word(&state)))));
    let total = images.count_documents(filter.clone()).await?;
    if let Some((bucket, key)) = after {
        let behind = doc! { "bucket": &bucket, "key": { "$gt": key } };
        filter.insert("$or", vec![doc! { "bucket": { "$gt": &bucket } }, behind]);
    }
    let found = images.find(filter).sort(doc! { "bucket": 1, "key": 1 }).limit(signed(limit as u64)).await?;
    let found: Vec<Document> = found.try_collect().await?;
    Ok(PageRows { rows: found.iter().map(image).collect::<Result<_, _>>()?, total })
}

/// Returns all photos with a perceptual hash, ascending by key. The search for copies compares
/// them.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote.
pub async fn hashed_photos(store: &MongoFaces, of: &GalleryId) -> Result<Vec<HashedPhoto>, MongoError> {
    let mut fields = documents::capture_fields();
    fields.extend(doc! { "width": 1, "height": 1, "bytes": 1, "face_count": 1 });
    let filter = doc! { "gallery": &of.0, documents::PICTURE: { "$type": "long" } };
    let images = store.collection(names::IMAGES);
    let found = images.find(filter).projection(fields).sort(doc! { "bucket": 1, "key": 1 });
    let mut found = found.allow_disk_use(true).batch_size(BATCH).await?;
    let mut photos = Vec::new();
    while found.advance().await? {
        let image = found.deserialize_current()?;
        let Some(picture) = capture(&image)?.picture else { continue };
        photos.push(HashedPhoto {
            id: image_id(&image, "_id")?,
            picture,
            width: side(&image, "width")?,
            height: side(&image, "height")?,
            bytes: unsigned(&image, "bytes")?,
            faces: unsigned(&image, "face_count")?,
            taken: taken(&image)?,
        });
    }
    Ok(photos)
}

/// Adds to listed photos the path of the photo that each is a copy of.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote.
pub async fn note_copies(store: &MongoFaces, copies: &Copies, rows: &mut [ImageRow]) -> Result<(), MongoError> {
    let originals: BTreeSet<[u8; 16]> = rows.iter().filter_map(|row| Some(copies.original(row.id)?.0)).collect();
    if originals.is_empty() {
        return Ok(());
    }
    let mut path_of = HashMap::new();
    for image in by_id(store, names::IMAGES, originals, doc! { "key": 1 }).await? {
        path_of.insert(image_id(&image, "_id")?, text(&image, "key")?.to_owned());
    }
    copies.note(rows, &path_of);
    Ok(())
}

/// Returns one photo; `None` if the gallery does not have it.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote.
pub async fn photo(store: &MongoFaces, of: &GalleryId, id: ImageId) -> Result<Option<ImageRow>, MongoError> {
    let found = store.collection(names::IMAGES).find_one(doc! { "_id": uuid(id.0), "gallery": &of.0 }).await?;
    found.as_ref().map(image).transpose()
}

fn side(found: &Document, side: &str) -> Result<u32, MongoError> {
    Ok(u32::try_from(unsigned(found, side)?).unwrap_or(u32::MAX))
}

fn image(found: &Document) -> Result<ImageRow, MongoError> {
    let key = text(found, "key")?.to_owned();
    let orientation = found.get_i32("orientation").ok().and_then(|value| u8::try_from(value).ok()).unwrap_or(1);
    Ok(ImageRow {
        id: image_id(found, "_id")?,
        path: key.clone(),
        bucket: text(found, "bucket")?.to_owned(),
        key,
        bytes: unsigned(found, "bytes")?,
        width: side(found, "width")?,
        height: side(found, "height")?,
        orientation,
        capture: capture(found)?,
        taken_in_file: taken(found)?,
        copy_of: None,
        state: by_word(text(found, "state")?).ok_or_else(|| strange("state"))?,
        reason: found.get_str("reason").ok().and_then(by_word::<RejectReason>),
        detail: found.get_str("detail").ok().map(str::to_owned),
        quality: fraction(found, "quality").ok(),
        face_count: unsigned(found, "face_count")?,
        model: text(found, "model")?.to_owned(),
    })
}
