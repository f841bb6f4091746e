//! Lists the faces of a gallery in pages.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::{FaceId, Landmarks, Quality, QualityReason};
use muster_actors::domain::gallery::GalleryId;
use muster_gallery::pages::{FaceFilter, PageCursor, PageRows};
use muster_gallery::view::FaceRow;

use super::people::name;
use super::{by_id, by_word, strange};
use crate::mongo::documents::{bbox, face_id, fraction, group_id, image_id, signed, text, uuid};
use crate::mongo::non_faces::{self, Words};
use crate::mongo::pointer::{PartitionPointer, PartitionRead};
use crate::mongo::{MongoError, MongoFaces, facts, names};

async fn filter(
    store: &MongoFaces,
    of: &GalleryId,
    pointer: PartitionPointer,
    which: FaceFilter,
) -> Result<Document, MongoError> {
    let mut filter = doc! { "gallery": &of.0 };
    match which {
        FaceFilter::All => {}
        FaceFilter::Group(id) => drop(filter.insert(pointer.field(), uuid(id.0))),
        FaceFilter::Grouped => drop(filter.insert(pointer.field(), doc! { "$ne": null })),
        FaceFilter::Ungrouped => drop(filter.insert(pointer.field(), Bson::Null)),
        FaceFilter::NonFaces => drop(filter.insert("$and", vec![non_faces::words(store, of).await?.condition()])),
        FaceFilter::Image(id) => drop(filter.insert("image", uuid(id.0))),
    }
    if matches!(which, FaceFilter::All | FaceFilter::Ungrouped) {
        filter.insert("$nor", vec![non_faces::words(store, of).await?.condition()]);
    }
    Ok(filter)
}

/// Returns at most `limit` faces behind a cursor, by descending quality and then by id.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote, [`MongoError::Conflict`] when the partition in force changes all the
/// time.
pub async fn faces(
    store: &MongoFaces,
    of: &GalleryId,
    which: FaceFilter,
    after: Option<PageCursor>,
    limit: usize,
) -> Result<PageRows<FaceRow>, MongoError> {
    let mut reading = PartitionRead::begin(store, of).await?;
    loop {
        let found = faces_in(store, (of, reading.head().pointer), which, after, limit).await?;
        if reading.is_whole().await? {
            return Ok(found);
        }
    }
}

async fn faces_in(
    store: &MongoFaces,
    (of, pointer): (&GalleryId, PartitionPointer),
    which: FaceFilter,
    after: Option<PageCursor>,
    limit: usize,
) -> Result<PageRows<FaceRow>, MongoError> {
    let (faces, mut filter) = (store.collection(names::FACES), filter(store, of, pointer, which).await?);
    let total = faces.count_documents(filter.clone()).await?;
    if let Some((overall, last)) = after {
        let overall = f64::from(overall);
        let behind = doc! { "overall": overall, "_id": { "$gt": uuid(last.0) } };
        filter.insert("$or", vec![doc! { "overall": { "$lt": overall } }, behind]);
    }
    let found = faces.find(filter).projection(doc! { "embedding": 0 }).sort(doc! { "overall": -1, "_id": 1 });
    let found = found.allow_disk_use(true).limit(signed(limit as u64)).await?;
    Ok(PageRows { rows: rows(store, (of, pointer), found.try_collect().await?).await?, total })
}

/// Returns one face; `None` if the gallery does not have it.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote, [`MongoError::Conflict`] when the partition in force changes all the
/// time.
pub async fn face(store: &MongoFaces, of: &GalleryId, id: FaceId) -> Result<Option<FaceRow>, MongoError> {
    let mut reading = PartitionRead::begin(store, of).await?;
    loop {
        let faces = store.collection(names::FACES);
        let found = faces.find_one(doc! { "_id": uuid(id.0), "gallery": &of.0 });
        let found = found.projection(doc! { "embedding": 0 }).await?;
        let mut rows = rows(store, (of, reading.head().pointer), found.into_iter().collect()).await?;
        if reading.is_whole().await? {
            return Ok(rows.pop());
        }
    }
}

/// Adds the photos' locations and the groups' names to faces.
async fn rows(
    store: &MongoFaces,
    (of, pointer): (&GalleryId, PartitionPointer),
    faces: Vec<Document>,
) -> Result<Vec<FaceRow>, MongoError> {
    let ids = faces.iter().filter_map(|face| face.get("_id").cloned()).collect();
    let said = facts::of_kinds(store, of, &["is_face", "confirmed"], Some(ids)).await?;
    let words = Words(said.are_faces);
    let images: BTreeSet<[u8; 16]> =
        faces.iter().map(|face| Ok(image_id(face, "image")?.0)).collect::<Result<_, MongoError>>()?;
    let mut places = BTreeMap::new();
    for image in by_id(store, names::IMAGES, images, doc! { "bucket": 1, "key": 1 }).await? {
        let place = (text(&image, "bucket")?.to_owned(), text(&image, "key")?.to_owned());
        places.insert(image_id(&image, "_id")?, place);
    }
    let mut groups = BTreeSet::new();
    for face in &faces {
        groups.extend(group_id(face, pointer.field())?.map(|group| group.0));
    }
    let mut called = BTreeMap::new();
    for group in by_id(store, pointer.groups(), groups, doc! { "name": 1 }).await? {
        called.insert(group_id(&group, "_id")?, name(&group));
    }
    let mut rows = Vec::with_capacity(faces.len());
    for face in &faces {
        let (image, group) = (image_id(face, "image")?, group_id(face, pointer.field())?);
        // The photo of this face is being forgotten, so the row has no location.
        let (bucket, key) = places.get(&image).cloned().unwrap_or_default();
        let (id, quality) = (face_id(face, "_id")?, quality(face)?);
        rows.push(FaceRow {
            n: 0,
            id,
            image,
            path: key.clone(),
            bucket,
            key,
            bbox: bbox(face)?,
            landmarks: landmarks(face).ok_or_else(|| strange("list of landmarks"))?,
            is_face: words.is_face(id, quality.face),
            quality,
            group,
            is_confirmed: group.is_some() && said.confirmed.get(&id).copied() == group,
            name: group.and_then(|group| called.get(&Some(group)).cloned().flatten()),
        });
    }
    Ok(rows)
}

fn landmarks(face: &Document) -> Option<Landmarks> {
    let points = face.get_array("landmarks").ok()?.iter().map(|point| {
        let [x, y] = point.as_array()?.as_slice() else { return None };
        Some([x.as_f64()? as f32, y.as_f64()? as f32])
    });
    points.collect::<Option<Vec<_>>>()?.try_into().ok()
}

fn quality(face: &Document) -> Result<Quality, MongoError> {
    let parts = face.get_document("quality").map_err(|_| strange("quality"))?;
    let part = |key| fraction(parts, key);
    let reasons = parts.get_array("reasons").map_err(|_| strange("list of reasons"))?.iter();
    let reasons: Vec<QualityReason> = reasons.filter_map(|reason| by_word(reason.as_str()?)).collect();
    Ok(Quality {
        sharpness: part("sharpness")?,
        level: part("level")?,
        contrast: part("contrast")?,
        unevenness: part("unevenness")?,
        yaw: part("yaw")?,
        pitch: part("pitch")?,
        roll: part("roll")?,
        occlusion: part("occlusion")?,
        size: part("size")?,
        score: fraction(face, "score")?,
        norm: fraction(face, "norm")?,
        overall: fraction(face, "overall")?,
        reasons,
        face: non_faces::probability(face)?,
    })
}
