//! A gallery as people look at it: its groups, and where each face is.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::doc;
use muster_actors::domain::face::{BBox, FaceId, LEAST_FACE};
use muster_actors::domain::gallery::{GalleryId, Group};
use muster_actors::domain::image::ImageId;
use muster_actors::grouping::non_faces::non_faces as set_aside;

use super::documents::{self, face_id, group_id, image_id, text};
use super::gallery::GalleryHead;
use super::packs::PackRange;
use super::pointer::PartitionPointer;
use super::{MongoError, MongoFaces, conversion, gallery, names, non_faces};

/// How often a gallery that changes meanwhile is read.
const ROUNDS: u32 = 8;

/// A gallery's groups.
#[derive(Clone, Debug, Default)]
pub struct Album {
    /// Of the gallery when the groups were read.
    pub generation: u64,
    /// Groups with their members' places, ascending by id.
    pub groups: Vec<(Group, Vec<Place>)>,
    /// Faces in no group, without what is no face.
    pub ungrouped: u64,
}

/// Where a face is.
#[derive(Clone, Debug)]
pub struct Place {
    /// The face.
    pub face: FaceId,
    /// Its image.
    pub image: ImageId,
    /// The image's bucket.
    pub bucket: String,
    /// The image's key.
    pub key: String,
    /// In pixels of the full upright image.
    pub bbox: BBox,
    /// Where its crop lies, where that is in a pack.
    pub crop: Option<PackRange>,
}

impl MongoFaces {
    async fn head(&self, of: &GalleryId) -> Result<GalleryHead, MongoError> {
        Ok(gallery::head(self, of).await?.unwrap_or_default())
    }

    /// The gallery's generation; 0 where nobody wrote to it.
    pub async fn generation(&self, of: &GalleryId) -> Result<u64, MongoError> {
        Ok(self.head(of).await?.version.generation)
    }

    /// Sees to it that what people said of a gallery is kept as facts; its generation, 0 where nobody wrote to it.
    pub async fn prepare(&self, of: &GalleryId) -> Result<u64, MongoError> {
        Ok(conversion::convert(self, of).await?.unwrap_or_default().generation)
    }

    /// The gallery's groups at one revision, and how many faces are in none: of those that are added while it is read, some.
    ///
    /// # Errors
    /// [`MongoError::Conflict`] when it changes all the time.
    pub async fn album(&self, of: &GalleryId) -> Result<Album, MongoError> {
        for _ in 0..ROUNDS {
            let head = self.head(of).await?;
            let (groups, ungrouped) = read(self, of, head.pointer).await?;
            // What was written meanwhile may be in there in part.
            if self.head(of).await?.has_groups_of(head) {
                return Ok(Album { generation: head.version.generation, groups, ungrouped });
            }
        }
        Err(MongoError::Conflict)
    }
}

async fn read(
    store: &MongoFaces,
    of: &GalleryId,
    pointer: PartitionPointer,
) -> Result<(Vec<(Group, Vec<Place>)>, u64), MongoError> {
    let mut images = BTreeMap::new();
    let mut cursor = gallery::find(store, names::IMAGES, of, doc! { "bucket": 1, "key": 1 }, doc! { "_id": 1 }).await?;
    while cursor.advance().await? {
        let document = cursor.deserialize_current()?;
        let place = (text(&document, "bucket")?.to_owned(), text(&document, "key")?.to_owned());
        images.insert(image_id(&document, "_id")?, place);
    }
    let mut members = BTreeMap::<_, Vec<Place>>::new();
    let (mut alone, mut doubted) = (BTreeSet::new(), BTreeSet::new());
    let projection = doc! { "image": 1, pointer.field(): 1, "box": 1, documents::CROP: 1, non_faces::PROBABILITY: 1 };
    let mut cursor = gallery::find(store, names::FACES, of, projection, doc! { "gallery": 1, "_id": 1 }).await?;
    while cursor.advance().await? {
        let document = cursor.deserialize_current()?;
        let image = image_id(&document, "image")?;
        let Some(group) = group_id(&document, pointer.field())? else {
            let face = face_id(&document, "_id")?;
            if non_faces::probability(&document)? < LEAST_FACE {
                doubted.insert(face);
            }
            alone.insert(face);
            continue;
        };
        let (bucket, key) = images.get(&image).cloned().unwrap_or_default();
        let (face, bbox) = (face_id(&document, "_id")?, documents::bbox(&document)?);
        let crop = PackRange::read(&document, documents::CROP)?;
        let place = Place { face, image, bucket, key, bbox, crop };
        members.entry(group).or_default().push(place);
    }
    let ungrouped = alone.difference(&set_aside(&doubted, &non_faces::words(store, of).await?.0)).count() as u64;
    let partition = gallery::partition(store, of, pointer, BTreeMap::new()).await?;
    let with = |group: Group| {
        let places = members.remove(&group.id).unwrap_or_default();
        (group, places)
    };
    Ok((partition.groups.into_iter().map(with).collect(), ungrouped))
}
