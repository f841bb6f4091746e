//! Reads the faces of a gallery with their groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mongodb::bson::{DateTime, doc};
use mongodb::options::ReadConcern;
use muster_actors::domain::face::{FaceId, LEAST_FACE};
use muster_actors::domain::gallery::{FaceVector, GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, ImageState};

use super::change_marks::{self, CHANGED_AT};
use super::documents::{self, digest_of, face_id, floats, group_id, image_id, uuid};
use super::gallery::{self, GalleryHead, head, query};
use super::photos::{self, Photos};
use super::pointer::PartitionPointer;
use super::{MongoError, MongoFaces, names, non_faces};
use crate::embeddings::{Digest, Embeddings};

/// Number of faces in one batch of a cursor that only reads ids and groups.
const HOMES: u32 = 50_000;
/// Number of ids in one filter.
const IDS: usize = 5_000;

/// A face of a gallery.
#[derive(Clone, Debug)]
pub struct StoredFace {
    pub vector: FaceVector,
    /// Whether the models take it for an object.
    pub is_doubted: bool,
    /// Its group in the partition that was read.
    pub group: Option<GroupId>,
}

/// Returns the faces of a gallery, ascending by id: all, or those that were written since a time. Embeddings are taken
/// from the cache where possible.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn read(
    store: &MongoFaces,
    gallery: &GalleryId,
    at: GalleryHead,
    since: Option<DateTime>,
) -> Result<Vec<StoredFace>, MongoError> {
    let mut projection =
        doc! { "image": 1, "overall": 1, at.pointer.field(): 1, "digest": 1, "box": 1, non_faces::PROBABILITY: 1 };
    if store.vectors.is_none() {
        projection.insert("embedding", 1);
    }
    let (mut filter, mut sort) = (doc! { "gallery": &gallery.0 }, doc! { "gallery": 1, "_id": 1 });
    if let Some(looked) = since {
        filter.insert(CHANGED_AT, change_marks::since(looked));
        sort = doc! {};
    }
    let mut cursor = query(store, names::FACES, filter, projection, sort).await?;
    let (mut faces, mut boxes, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    while cursor.advance().await? {
        let document = cursor.deserialize_current()?;
        boxes.push(documents::bbox(&document)?);
        digests.push(digest_of(&document)?);
        let vector = FaceVector {
            id: face_id(&document, "_id")?,
            image: image_id(&document, "image")?,
            embedding: if store.vectors.is_none() { floats(&document, "embedding")? } else { Vec::new() },
            quality: documents::fraction(&document, "overall")?,
            capture: Default::default(),
            place: None,
        };
        let is_doubted = non_faces::probability(&document)? < LEAST_FACE;
        faces.push(StoredFace { vector, is_doubted, group: group_id(&document, at.pointer.field())? });
    }
    // Images are read after the faces, so that the image of a face that was added in the meantime is included.
    let photos = photos(store, gallery, since.map(|_| &faces[..])).await?;
    for (face, bbox) in faces.iter_mut().zip(boxes) {
        let Some(photo) = photos.get(&face.vector.image) else { continue };
        (face.vector.capture, face.vector.place) = (photo.capture, Some(photo.place(bbox)));
    }
    if let Some(vectors) = store.vectors.as_deref() {
        let read = fill(store, vectors, gallery, &digests, &mut faces).await?;
        // Embeddings that another process deleted while they were read must not stay in the cache.
        let is_same = |now: GalleryHead| now.version.revision == at.version.revision;
        if read && !head(store, gallery).await?.is_some_and(is_same) {
            vectors.forget(gallery).await;
        }
    }
    faces.sort_unstable_by_key(|face| face.vector.id);
    Ok(faces)
}

/// Reads the images with faces: all, or those of some faces.
async fn photos(store: &MongoFaces, gallery: &GalleryId, of: Option<&[StoredFace]>) -> Result<Photos, MongoError> {
    let filters = match of {
        None => vec![doc! { "gallery": &gallery.0, "state": documents::word(&ImageState::Indexed) }],
        Some(faces) => {
            let ids: BTreeSet<ImageId> = faces.iter().map(|face| face.vector.image).collect();
            let ids: Vec<_> = ids.into_iter().map(|id| uuid(id.0)).collect();
            ids.chunks(IDS).map(|ids| doc! { "_id": { "$in": ids } }).collect()
        }
    };
    let mut found = Photos::new();
    for filter in filters {
        let mut cursor = query(store, names::IMAGES, filter, photos::projection(), doc! {}).await?;
        while cursor.advance().await? {
            let (id, photo) = photos::read(&cursor.deserialize_current()?)?;
            found.insert(id, photo);
        }
    }
    Ok(found)
}

/// Fills in the embeddings from the cache. Missing ones are read from the database and added to the cache. Tells
/// whether any were missing.
async fn fill(
    store: &MongoFaces,
    vectors: &dyn Embeddings,
    gallery: &GalleryId,
    digests: &[Digest],
    faces: &mut Vec<StoredFace>,
) -> Result<bool, MongoError> {
    for (face, embedding) in faces.iter_mut().zip(vectors.find(gallery, digests).await) {
        face.vector.embedding = embedding.unwrap_or_default();
    }
    let missing: Vec<usize> = (0..faces.len()).filter(|place| faces[*place].vector.embedding.is_empty()).collect();
    for places in missing.chunks(IDS) {
        let ids: Vec<_> = places.iter().map(|place| uuid(faces[*place].vector.id.0)).collect();
        let (filter, projection) = (doc! { "_id": { "$in": ids } }, doc! { "embedding": 1 });
        let mut cursor = query(store, names::FACES, filter, projection, doc! {}).await?;
        let mut read = BTreeMap::new();
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            read.insert(face_id(&document, "_id")?, floats(&document, "embedding")?);
        }
        for place in places {
            let face = &mut faces[*place].vector;
            face.embedding = read.remove(&face.id).unwrap_or_default();
        }
        let there = places.iter().map(|place| (digests[*place], &faces[*place].vector.embedding[..]));
        let kept: Vec<_> = there.filter(|(_, embedding)| !embedding.is_empty()).collect();
        vectors.keep(gallery, &kept).await;
    }
    // The face was deleted since the first read; the revision was raised, so that saving ends in a conflict.
    faces.retain(|face| !face.vector.embedding.is_empty());
    Ok(!missing.is_empty())
}

/// Returns the group of each face that is in one, or in one of `groups`. An index contains all fields that are read.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn homes(
    store: &MongoFaces,
    gallery: &GalleryId,
    pointer: PartitionPointer,
    groups: Option<&[GroupId]>,
) -> Result<HashMap<FaceId, GroupId>, MongoError> {
    let field = pointer.field();
    let conditions = match groups {
        None => vec![doc! { "$gte": uuid([0; 16]), "$lte": uuid([255; 16]) }],
        Some(groups) => {
            let ids: Vec<_> = groups.iter().map(|group| uuid(group.0)).collect();
            ids.chunks(IDS).map(|ids| doc! { "$in": ids }).collect()
        }
    };
    let mut homes = HashMap::new();
    for condition in conditions {
        let faces = store.collection(names::FACES);
        let found = faces.find(doc! { "gallery": &gallery.0, field: condition });
        let found = found.projection(doc! { "_id": 1, field: 1 }).batch_size(HOMES);
        let mut cursor = found.read_concern(ReadConcern::majority()).await?;
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            if let Some(group) = group_id(&document, field)? {
                homes.insert(face_id(&document, "_id")?, group);
            }
        }
    }
    Ok(homes)
}

/// Counts the faces of a gallery.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
pub async fn count(store: &MongoFaces, of: &GalleryId) -> Result<u64, MongoError> {
    gallery::count(store, names::FACES, doc! { "gallery": &of.0 }).await
}
