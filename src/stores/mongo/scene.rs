//! Reads the part of a gallery that a correction concerns.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::{BBox, FaceId, LEAST_FACE};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::ImageId;
use muster_actors::people::scene::SceneGroup;
use muster_actors::people::{Scene, Topic};

use super::documents::{self, face_id, group_id, image_id, uuid};
use super::facts::{self, CHUNK};
use super::photos::{self, Photos};
use super::pointer::PartitionPointer;
use super::transaction::read;
use super::{MongoError, MongoFaces, names, non_faces};

/// A face of a scene.
struct Found {
    image: ImageId,
    bbox: BBox,
    group: Option<GroupId>,
    doubted: bool,
}

/// Reads within one transaction.
struct Reader<'a> {
    store: &'a MongoFaces,
    session: &'a mut ClientSession,
    of: &'a GalleryId,
    pointer: PartitionPointer,
}

/// Reads the scene of a topic: its groups, faces, photos and facts.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is
/// not what muster wrote.
pub async fn scene(
    store: &MongoFaces,
    session: &mut ClientSession,
    (of, pointer): (&GalleryId, PartitionPointer),
    topic: &Topic,
) -> Result<Scene, MongoError> {
    let mut reader = Reader { store, session, of, pointer };
    let mut ids: BTreeSet<GroupId> = topic.groups.clone();
    let redirects = reader.redirects(&ids).await?;
    ids.extend(redirects.values());
    let mut faces = reader.faces("_id", topic.faces.iter().map(|face| face.0)).await?;
    ids.extend(faces.values().filter_map(|face| face.group));
    // A person may have been merged into another without a redirect between groups.
    let named: BTreeSet<[u8; 16]> = ids.iter().map(|id| id.0).collect();
    let became = facts::about(reader.store, reader.session, of, &named).await?.became;
    ids.extend(became.iter().filter(|(from, _)| topic.groups.contains(from)).map(|(_, into)| *into));
    faces.extend(reader.faces(pointer.field(), ids.iter().map(|id| id.0)).await?);

    let mut groups: BTreeMap<GroupId, SceneGroup> = BTreeMap::new();
    for (face, found) in &faces {
        if let Some(group) = found.group {
            groups.entry(group).or_default().faces.insert(*face);
        }
    }
    for (id, cover) in reader.covers(groups.keys()).await? {
        groups.entry(id).or_default().cover = Some(cover);
    }
    let photos = reader.photos(faces.values().map(|face| face.image)).await?;
    let place = |found: &Found| photos.get(&found.image).map(|photo| photo.place(found.bbox)).unwrap_or_default();
    let places = faces.iter().map(|(face, found)| (*face, place(found))).collect();
    let doubted = faces.iter().filter(|(_, found)| found.doubted).map(|(face, _)| *face).collect();
    let named = faces.keys().chain(&topic.faces).map(|face| face.0).chain(ids.iter().map(|id| id.0));
    let facts = facts::about(reader.store, reader.session, of, &named.collect()).await?;
    Ok(Scene { groups, places, doubted, facts, redirects })
}

impl Reader<'_> {
    /// Returns the documents of a collection whose field `key` is one of some ids.
    async fn read(
        &mut self,
        collection: &str,
        key: &str,
        ids: impl Iterator<Item = [u8; 16]>,
        projection: Document,
    ) -> Result<Vec<Document>, MongoError> {
        let ids: Vec<Bson> = ids.map(uuid).collect();
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let filter = doc! { "gallery": &self.of.0, key: { "$in": ids } };
            found.extend(read(self.store, self.session, collection, filter, projection.clone(), doc! {}).await?);
        }
        Ok(found)
    }

    async fn redirects(&mut self, ids: &BTreeSet<GroupId>) -> Result<BTreeMap<GroupId, GroupId>, MongoError> {
        let found = self.read(self.pointer.groups(), "_id", ids.iter().map(|id| id.0), doc! { "into": 1 }).await?;
        let redirect = |group: &Document| match (group_id(group, "_id")?, group_id(group, "into")?) {
            (Some(from), Some(into)) => Ok(Some((from, into))),
            _ => Ok(None),
        };
        found.iter().filter_map(|group| redirect(group).transpose()).collect()
    }

    async fn faces(
        &mut self,
        key: &str,
        ids: impl Iterator<Item = [u8; 16]>,
    ) -> Result<BTreeMap<FaceId, Found>, MongoError> {
        let projection = doc! { "image": 1, "box": 1, self.pointer.field(): 1, non_faces::PROBABILITY: 1 };
        let found = self.read(names::FACES, key, ids, projection).await?;
        let field = self.pointer.field();
        let face = |face: &Document| {
            let found = Found {
                image: image_id(face, "image")?,
                bbox: documents::bbox(face)?,
                group: group_id(face, field)?,
                doubted: non_faces::probability(face)? < LEAST_FACE,
            };
            Ok((face_id(face, "_id")?, found))
        };
        found.iter().map(face).collect()
    }

    async fn covers(&mut self, ids: impl Iterator<Item = &GroupId>) -> Result<Vec<(GroupId, FaceId)>, MongoError> {
        let found = self.read(self.pointer.groups(), "_id", ids.map(|id| id.0), doc! { "cover": 1 }).await?;
        let mut covers = Vec::new();
        for group in found.iter().filter(|group| group.contains_key("cover")) {
            covers.extend(group_id(group, "_id")?.zip(Some(face_id(group, "cover")?)));
        }
        Ok(covers)
    }

    async fn photos(&mut self, ids: impl Iterator<Item = ImageId>) -> Result<Photos, MongoError> {
        let ids: BTreeSet<[u8; 16]> = ids.map(|id| id.0).collect();
        let found = self.read(names::IMAGES, "_id", ids.into_iter(), photos::projection()).await?;
        found.iter().map(photos::read).collect()
    }
}
