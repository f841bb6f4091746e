//! A gallery as the grouper reads it.

use mongodb::Cursor;
use mongodb::bson::{Document, doc};
use mongodb::options::ReadConcern;
use muster_actors::domain::face::{FaceId, LEAST_FACE};
use muster_actors::domain::gallery::{
    FaceVector, GalleryId, GallerySnapshot, GalleryVersion, Group, GroupId, Partition, Suggestion,
};
use muster_actors::domain::image::ImageState;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::documents::{self, digest_of, face_id, floats, group_id, image_id, unsigned};
use super::photos::{self, Photos};
use super::pointer::{PartitionPointer, PartitionRead};
use super::{MongoError, MongoFaces, conversion, facts, names, non_faces};
use crate::embeddings::{Digest, Embeddings};

/// Faces that a cursor brings at once.
const BATCH: u32 = 5_000;
/// As many, of which only the ids and groups are read.
const HOMES: u32 = 50_000;

/// How far a gallery is, and where its groups are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GalleryHead {
    pub version: GalleryVersion,
    pub pointer: PartitionPointer,
}

impl GalleryHead {
    /// By a gallery's document.
    pub fn of(state: &Document) -> Result<Self, MongoError> {
        Ok(Self { version: version_of(state)?, pointer: PartitionPointer::of(state)? })
    }

    /// Whether groups that were read with the one are those of the other.
    pub fn has_groups_of(self, other: Self) -> bool {
        self.version.revision == other.version.revision && self.pointer == other.pointer
    }
}

/// Everything of a gallery. Its version is read first: what is written while the rest is read raises that. Faces that are
/// added meanwhile may be in it or not; anything else raises the revision, and saving ends in a conflict. A gallery nobody
/// wrote to is empty, generation 0.
pub async fn snapshot(store: &MongoFaces, gallery: &GalleryId) -> Result<GallerySnapshot, MongoError> {
    if conversion::convert(store, gallery).await?.is_none() {
        return Ok(GallerySnapshot::default());
    }
    let mut reading = PartitionRead::begin(store, gallery).await?;
    loop {
        let head = reading.head();
        let Read { faces, doubted, members } = faces(store, gallery, head).await?;
        let previous = partition(store, gallery, head.pointer, members).await?;
        let facts = facts::all(store, gallery).await?;
        if reading.is_whole().await? {
            return Ok(GallerySnapshot { version: head.version, faces, doubted, facts, previous });
        }
    }
}

/// How far a gallery is; `None` where nobody wrote to it.
pub async fn head(store: &MongoFaces, gallery: &GalleryId) -> Result<Option<GalleryHead>, MongoError> {
    let found = state(store, gallery).await?;
    found.as_ref().map(GalleryHead::of).transpose()
}

/// Where a gallery says how many of its generations only added faces. A release before knew of none: what it writes raises
/// the revision.
pub const ADDITIONS: &str = "additions";

/// Where a gallery says which generation's faces are all in its groups, and with which figures they were grouped.
pub const GROUPED: &str = "grouped";
pub const GROUPED_BY: &str = "grouped_by";

/// Whether a gallery's groups are those of its faces as `grouping` makes them.
pub fn is_grouped(state: &Document, grouping: &str) -> Result<bool, MongoError> {
    let is_same = state.get_str(GROUPED_BY).is_ok_and(|by| by == grouping);
    Ok(is_same && unsigned(state, GROUPED)? == unsigned(state, "generation")?)
}

/// How far a gallery is, by its document.
pub fn version_of(state: &Document) -> Result<GalleryVersion, MongoError> {
    let generation = unsigned(state, "generation")?;
    let additions = if state.contains_key(ADDITIONS) { unsigned(state, ADDITIONS)? } else { 0 };
    Ok(GalleryVersion { generation, revision: generation.saturating_sub(additions) })
}

/// What is noted of a gallery as a whole.
pub async fn state(store: &MongoFaces, gallery: &GalleryId) -> Result<Option<Document>, MongoError> {
    let galleries = store.collection(names::GALLERIES);
    let found = galleries.find_one(doc! { "_id": &gallery.0 }).read_concern(ReadConcern::majority());
    Ok(found.await?)
}

pub async fn find(
    store: &MongoFaces,
    collection: &str,
    gallery: &GalleryId,
    projection: Document,
    sort: Document,
) -> Result<Cursor<Document>, MongoError> {
    let cursor = store
        .collection(collection)
        .find(doc! { "gallery": &gallery.0 })
        .projection(projection)
        .sort(sort)
        .batch_size(BATCH)
        .read_concern(ReadConcern::majority())
        .await?;
    Ok(cursor)
}

type Members = BTreeMap<GroupId, Vec<FaceId>>;

/// The faces of a gallery.
struct Read {
    faces: Vec<FaceVector>,
    /// Those that the models take for objects.
    doubted: BTreeSet<FaceId>,
    /// Which group each is in.
    members: Members,
}

/// Embeddings that the cache has are not read from the database.
async fn faces(store: &MongoFaces, gallery: &GalleryId, at: GalleryHead) -> Result<Read, MongoError> {
    let mut projection =
        doc! { "image": 1, "overall": 1, at.pointer.field(): 1, "digest": 1, "box": 1, non_faces::PROBABILITY: 1 };
    if store.vectors.is_none() {
        projection.insert("embedding", 1);
    }
    let mut cursor = find(store, names::FACES, gallery, projection, doc! { "gallery": 1, "_id": 1 }).await?;
    let (mut faces, mut boxes, mut digests, mut members) = (Vec::new(), Vec::new(), Vec::new(), Members::new());
    let mut doubted = BTreeSet::new();
    while cursor.advance().await? {
        let document = cursor.deserialize_current()?;
        let id = face_id(&document, "_id")?;
        boxes.push(documents::bbox(&document)?);
        digests.push(digest_of(&document)?);
        faces.push(FaceVector {
            id,
            image: image_id(&document, "image")?,
            embedding: if store.vectors.is_none() { floats(&document, "embedding")? } else { Vec::new() },
            quality: documents::fraction(&document, "overall")?,
            capture: Default::default(),
            place: None,
        });
        if let Some(group) = group_id(&document, at.pointer.field())? {
            members.entry(group).or_default().push(id);
        }
        if non_faces::probability(&document)? < LEAST_FACE {
            doubted.insert(id);
        }
    }
    // After the faces, so that the image of a face that was added meanwhile is among them.
    let photos = photos(store, gallery).await?;
    for (face, bbox) in faces.iter_mut().zip(boxes) {
        let Some(photo) = photos.get(&face.image) else { continue };
        (face.capture, face.place) = (photo.capture, Some(photo.place(bbox)));
    }
    if let Some(vectors) = store.vectors.as_deref() {
        let read = fill(store, vectors, gallery, &digests, &mut faces).await?;
        // What was read and kept while somebody deleted it must not stay in the cache.
        let is_same = |now: GalleryHead| now.version.revision == at.version.revision;
        if read && !head(store, gallery).await?.is_some_and(is_same) {
            vectors.forget(gallery).await;
        }
    }
    Ok(Read { faces, doubted, members })
}

/// The images with faces.
async fn photos(store: &MongoFaces, gallery: &GalleryId) -> Result<Photos, MongoError> {
    let mut cursor = store
        .collection(names::IMAGES)
        .find(doc! { "gallery": &gallery.0, "state": documents::word(&ImageState::Indexed) })
        .projection(photos::projection())
        .batch_size(BATCH)
        .read_concern(ReadConcern::majority())
        .await?;
    let mut found = Photos::new();
    while cursor.advance().await? {
        let (id, photo) = photos::read(&cursor.deserialize_current()?)?;
        found.insert(id, photo);
    }
    Ok(found)
}

/// Brings the embeddings: from the cache, and the missing ones from the database into the cache. Whether any were missing.
async fn fill(
    store: &MongoFaces,
    vectors: &dyn Embeddings,
    gallery: &GalleryId,
    digests: &[Digest],
    faces: &mut Vec<FaceVector>,
) -> Result<bool, MongoError> {
    for (face, embedding) in faces.iter_mut().zip(vectors.find(gallery, digests).await) {
        face.embedding = embedding.unwrap_or_default();
    }
    let missing: Vec<usize> = (0..faces.len()).filter(|place| faces[*place].embedding.is_empty()).collect();
    for places in missing.chunks(BATCH as usize) {
        let ids: Vec<_> = places.iter().map(|place| documents::uuid(faces[*place].id.0)).collect();
        let mut cursor = store
            .collection(names::FACES)
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "embedding": 1 })
            .batch_size(BATCH)
            .read_concern(ReadConcern::majority())
            .await?;
        let mut read = BTreeMap::new();
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            read.insert(face_id(&document, "_id")?, floats(&document, "embedding")?);
        }
        for place in places {
            faces[*place].embedding = read.remove(&faces[*place].id).unwrap_or_default();
        }
        let there = places.iter().filter(|place| !faces[**place].embedding.is_empty());
        let kept: Vec<_> = there.map(|place| (digests[*place], &faces[*place].embedding[..])).collect();
        vectors.keep(gallery, &kept).await;
    }
    // Deleted since the first read: the revision says so, and saving ends in a conflict.
    faces.retain(|face| !face.embedding.is_empty());
    Ok(!missing.is_empty())
}

/// Which group each face is in that is in one: an index holds all that is read.
pub async fn homes(
    store: &MongoFaces,
    gallery: &GalleryId,
    pointer: PartitionPointer,
) -> Result<HashMap<FaceId, GroupId>, MongoError> {
    let field = pointer.field();
    let any = doc! { "$gte": documents::uuid([0; 16]), "$lte": documents::uuid([255; 16]) };
    let mut cursor = store
        .collection(names::FACES)
        .find(doc! { "gallery": &gallery.0, field: any })
        .projection(doc! { "_id": 1, field: 1 })
        .batch_size(HOMES)
        .read_concern(ReadConcern::majority())
        .await?;
    let mut homes = HashMap::new();
    while cursor.advance().await? {
        let document = cursor.deserialize_current()?;
        if let Some(group) = group_id(&document, field)? {
            homes.insert(face_id(&document, "_id")?, group);
        }
    }
    Ok(homes)
}

/// The partition that was saved last, of faces that still are.
pub async fn partition(
    store: &MongoFaces,
    gallery: &GalleryId,
    pointer: PartitionPointer,
    mut members: Members,
) -> Result<Partition, MongoError> {
    let mut cursor = find(store, pointer.groups(), gallery, doc! {}, doc! { "_id": 1 }).await?;
    let mut partition = Partition::default();
    while cursor.advance().await? {
        let document = cursor.deserialize_current()?;
        let Some(id) = group_id(&document, "_id")? else { continue };
        if let Some(into) = group_id(&document, "into")? {
            partition.redirects.insert(id, into);
            continue;
        }
        for (face, probability) in documents::suggestions(&document)? {
            partition.suggestions.insert(face, Suggestion { group: id, probability });
        }
        partition.groups.push(Group {
            id,
            faces: members.remove(&id).unwrap_or_default(),
            cover: face_id(&document, "cover")?,
            centroid: floats(&document, "centroid")?,
            name: document.get_str("name").ok().map(str::to_owned),
        });
    }
    Ok(partition)
}
