//! Lists over a fleet's database, by pages.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::{FaceId, Landmarks, Quality, QualityReason};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, ImageState, RejectReason};
use serde::de::DeserializeOwned;

use super::documents::{
    bbox, capture, face_id, fraction, group_id, image_id, signed, taken, text, unsigned, uuid, word,
};
use super::{MongoError, MongoFaces, documents, names, non_faces};
use muster_gallery::copies::{Copies, Photo};
use muster_gallery::pages::{Faces, Part, Place};
use muster_gallery::view::{FaceRow, ImageRow, Person, Totals};

/// Photos that a text is found in at most.
const FOUND: i64 = 20_000;
/// Photos that a cursor brings at once.
const BATCH: u32 = 5_000;
/// Ids in one filter.
const IDS: usize = 5_000;

async fn all(store: &MongoFaces, of: &str, pipeline: Vec<Document>) -> Result<Vec<Document>, MongoError> {
    Ok(store.collection(of).aggregate(pipeline).allow_disk_use(true).await?.try_collect().await?)
}

/// A value by the word that serde has for it.
fn by_word<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
}

fn strange(what: &str) -> MongoError {
    MongoError::Document(format!("a document has a strange {what}"))
}

/// All galleries.
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

/// How many there are of everything.
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
    let groups = [faces, doc! { "$group": { "_id": "$group", "n": { "$sum": 1 } } }];
    for group in all(store, names::FACES, groups.to_vec()).await? {
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

/// All people, the largest groups first, then by id.
pub async fn people(store: &MongoFaces, of: &GalleryId) -> Result<Vec<Person>, MongoError> {
    let counts = [
        doc! { "$match": { "gallery": &of.0, "group": { "$ne": null } } },
        doc! { "$group": { "_id": { "group": "$group", "image": "$image" }, "faces": { "$sum": 1 } } },
        doc! { "$group": { "_id": "$_id.group", "faces": { "$sum": "$faces" }, "photos": { "$sum": 1 } } },
    ];
    let mut sizes = BTreeMap::new();
    for size in all(store, names::FACES, counts.to_vec()).await? {
        if let Some(id) = group_id(&size, "_id")? {
            sizes.insert(id, (unsigned(&size, "faces")?, unsigned(&size, "photos")?));
        }
    }
    let groups = store.collection(names::GROUPS);
    let live = groups.find(doc! { "gallery": &of.0, "into": null });
    let mut cursor = live.projection(doc! { "name": 1, "cover": 1 }).await?;
    let mut people = Vec::with_capacity(sizes.len());
    while cursor.advance().await? {
        let group = cursor.deserialize_current()?;
        let Some(id) = group_id(&group, "_id")? else { continue };
        // Its faces were all forgotten since.
        let Some((faces, photos)) = sizes.get(&id).copied() else { continue };
        let (name, cover) = (name(&group), face_id(&group, "cover")?);
        people.push(Person { id, name, faces, photos, cover, cover_path: String::new() });
    }
    people.sort_unstable_by_key(|person| (u64::MAX - person.faces, person.id));
    Ok(people)
}

fn name(group: &Document) -> Option<String> {
    group.get_str("name").ok().map(str::to_owned)
}

/// Where an id that went into another leads; itself where it is a group.
pub async fn group(store: &MongoFaces, of: &GalleryId, id: GroupId) -> Result<Option<GroupId>, MongoError> {
    let found = store.collection(names::GROUPS).find_one(doc! { "_id": uuid(id.0), "gallery": &of.0 }).await?;
    found.map(|group| Ok(group_id(&group, "into")?.unwrap_or(id))).transpose()
}

/// The groups that have a face in a photo whose key holds this text, whatever its case.
pub async fn groups_in(store: &MongoFaces, of: &GalleryId, part: &str) -> Result<BTreeSet<GroupId>, MongoError> {
    let escaped: String =
        part.chars().flat_map(|c| [(!c.is_alphanumeric()).then_some('\\'), Some(c)]).flatten().collect();
    let holds = doc! { "gallery": &of.0, "key": { "$regex": escaped, "$options": "i" } };
    let images = store.collection(names::IMAGES);
    let found = images.find(holds).projection(doc! { "_id": 1 }).limit(FOUND).await?;
    let images: Vec<Document> = found.try_collect().await?;
    let mut groups = BTreeSet::new();
    for images in images.chunks(IDS) {
        let ids: Vec<Bson> = images.iter().filter_map(|image| image.get("_id").cloned()).collect();
        for group in store.collection(names::FACES).distinct("group", doc! { "image": { "$in": ids } }).await? {
            groups.extend(group_id(&doc! { "group": group }, "group")?);
        }
    }
    Ok(groups)
}

async fn filter(store: &MongoFaces, of: &GalleryId, which: Faces) -> Result<Document, MongoError> {
    let mut filter = doc! { "gallery": &of.0 };
    match which {
        Faces::All => {}
        Faces::Group(id) => drop(filter.insert("group", uuid(id.0))),
        Faces::Grouped => drop(filter.insert("group", doc! { "$ne": null })),
        Faces::Ungrouped => drop(filter.insert("group", Bson::Null)),
        Faces::NonFaces => drop(filter.insert("$and", vec![non_faces::words(store, of).await?.condition()])),
        Faces::Image(id) => drop(filter.insert("image", uuid(id.0))),
    }
    if matches!(which, Faces::All | Faces::Ungrouped) {
        filter.insert("$nor", vec![non_faces::words(store, of).await?.condition()]);
    }
    Ok(filter)
}

/// At most `limit` faces behind a place, the best first.
pub async fn faces(
    store: &MongoFaces,
    of: &GalleryId,
    which: Faces,
    after: Option<Place>,
    limit: usize,
) -> Result<Part<FaceRow>, MongoError> {
    let (faces, mut filter) = (store.collection(names::FACES), filter(store, of, which).await?);
    let total = faces.count_documents(filter.clone()).await?;
    if let Some((overall, last)) = after {
        let overall = f64::from(overall);
        let behind = doc! { "overall": overall, "_id": { "$gt": uuid(last.0) } };
        filter.insert("$or", vec![doc! { "overall": { "$lt": overall } }, behind]);
    }
    let found = faces.find(filter).projection(doc! { "embedding": 0 }).sort(doc! { "overall": -1, "_id": 1 });
    let found = found.allow_disk_use(true).limit(signed(limit as u64)).await?;
    Ok(Part { rows: rows(store, of, found.try_collect().await?).await?, total })
}

/// One face.
pub async fn face(store: &MongoFaces, of: &GalleryId, id: FaceId) -> Result<Option<FaceRow>, MongoError> {
    let faces = store.collection(names::FACES);
    let found = faces.find_one(doc! { "_id": uuid(id.0), "gallery": &of.0 });
    let found = found.projection(doc! { "embedding": 0 }).await?;
    Ok(rows(store, of, found.into_iter().collect()).await?.pop())
}

/// Documents by their ids.
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

/// Faces with where their photos are and how their groups are called.
async fn rows(store: &MongoFaces, of: &GalleryId, faces: Vec<Document>) -> Result<Vec<FaceRow>, MongoError> {
    let words = non_faces::words(store, of).await?;
    let images: BTreeSet<[u8; 16]> =
        faces.iter().map(|face| Ok(image_id(face, "image")?.0)).collect::<Result<_, MongoError>>()?;
    let mut places = BTreeMap::new();
    for image in by_id(store, names::IMAGES, images, doc! { "bucket": 1, "key": 1 }).await? {
        let place = (text(&image, "bucket")?.to_owned(), text(&image, "key")?.to_owned());
        places.insert(image_id(&image, "_id")?, place);
    }
    let mut groups = BTreeSet::new();
    for face in &faces {
        groups.extend(group_id(face, "group")?.map(|group| group.0));
    }
    let mut called = BTreeMap::new();
    for group in by_id(store, names::GROUPS, groups, doc! { "name": 1 }).await? {
        called.insert(group_id(&group, "_id")?, name(&group));
    }
    let mut rows = Vec::with_capacity(faces.len());
    for face in &faces {
        let (image, group) = (image_id(face, "image")?, group_id(face, "group")?);
        // A photo that is being forgotten lies nowhere.
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

/// At most `limit` photos behind a bucket and key, by them.
pub async fn photos(
    store: &MongoFaces,
    of: &GalleryId,
    state: Option<ImageState>,
    after: Option<(String, String)>,
    limit: usize,
) -> Result<Part<ImageRow>, MongoError> {
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
    Ok(Part { rows: found.iter().map(image).collect::<Result<_, _>>()?, total })
}

/// All photos whose pictures have a hash, by key: what copies are found among.
pub async fn hashed_photos(store: &MongoFaces, of: &GalleryId) -> Result<Vec<Photo>, MongoError> {
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
        photos.push(Photo {
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

/// Says of listed photos what they are copies of.
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

/// One photo.
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
