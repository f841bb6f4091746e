//! What people say of a fleet's gallery: noted, taken back, brought over from a release before, and forgotten. Over
//! MongoDB alone, without workers.

mod conversion;
pub(crate) mod copies;
mod corrections;
mod forgetting;

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Document, doc};
use muster_actors::domain::capture::PictureHash;
use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, Group, GroupId, Partition, Reconciled};
use muster_actors::domain::image::{ImageRecord, ImageState, Locator, digest};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::grouping::picture::{Member, picture};
use muster_actors::people::Author;
use muster_actors::ports::faces::{Commit, Faces};
use muster_stores::mongo::{Connection, MongoFaces};

/// Numbers that look random, the same each time.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// So many seeds, or the one that `MUSTER_SEED` names.
pub(crate) fn seeds(n: u64) -> Vec<u64> {
    std::env::var("MUSTER_SEED").ok().map_or_else(|| (0..n).collect(), |seed| vec![seed.parse().unwrap()])
}

pub(crate) fn gallery() -> GalleryId {
    GalleryId("trip".to_owned())
}

pub(crate) fn author(at_ms: u64) -> Author {
    Author { by: "somebody".to_owned(), at_ms }
}

/// A photo with some faces beside each other, of which every seventh face of all is doubtful.
pub(crate) fn photo(n: usize, faces: usize) -> Commit {
    let locator = Locator { gallery: gallery(), bucket: "photos".to_owned(), key: format!("{n:05}.jpg") };
    let (id, content) = (locator.id(), *blake3::hash(&n.to_le_bytes()).as_bytes());
    let face = |at: usize| {
        let bbox = BBox { x: 100.0 * at as f32, y: 3.0, width: 80.0, height: 90.0 };
        let direction = (n * 7 + at) as f32;
        let face = if (n + at).is_multiple_of(7) { 0.1 } else { 0.9 };
        Face {
            id: FaceId::new(id, "test@1", &bbox),
            image: id,
            bbox,
            landmarks: [[1.5, 2.5]; 5],
            quality: Quality { overall: 0.2 + (n % 50) as f32 / 100.0, face, ..Quality::default() },
            embedding: vec![direction.sin(), direction.cos(), 0.0, 0.0],
            thumbnail: Vec::new(),
        }
    };
    let faces: Vec<Face> = (0..faces).map(face).collect();
    let image = ImageRecord {
        id,
        locator,
        etag: "1".to_owned(),
        bytes: 1,
        width: 1000,
        height: 800,
        orientation: 1,
        taken: None,
        picture: Some(PictureHash(u64::from_le_bytes(content[..8].try_into().unwrap()))),
        state: if faces.is_empty() { ImageState::NoFaces } else { ImageState::Indexed },
        rejection: None,
        quality: None,
        face_count: u32::try_from(faces.len()).unwrap(),
        model: "test@1".to_owned(),
    };
    Commit { image, faces, content: Some(content), version: ObjectVersion::default(), timings: Timings::default() }
}

pub(crate) async fn commit(store: &MongoFaces, photos: Vec<Commit>) {
    for outcome in store.commit(photos).await.unwrap() {
        outcome.unwrap();
    }
}

/// A group of some faces, as a grouping makes it.
fn group(snapshot: &GallerySnapshot, id: GroupId, faces: &BTreeSet<FaceId>, name: Option<&str>) -> Group {
    let members: Vec<Member<'_>> = snapshot
        .faces
        .iter()
        .filter(|face| faces.contains(&face.id))
        .map(|face| (face.id, face.embedding.as_slice(), face.quality))
        .collect();
    let (cover, centroid) = picture(&members).unwrap();
    Group { id, faces: faces.iter().copied().collect(), cover, centroid, name: name.map(str::to_owned) }
}

/// Puts all faces but the last few into groups of about `size`.
async fn grouped(store: &MongoFaces, size: usize, named: impl Fn(usize) -> Option<&'static str>) -> GallerySnapshot {
    let now = store.gallery(&gallery()).await.unwrap();
    let faces: Vec<FaceId> = now.faces.iter().map(|face| face.id).collect();
    let rest = faces.len().saturating_sub(5);
    let groups = faces[..rest].chunks(size).enumerate().map(|(n, faces)| {
        let id = GroupId(digest("group", &[&n.to_le_bytes()]));
        group(&now, id, &faces.iter().copied().collect(), named(n))
    });
    let mut groups: Vec<Group> = groups.collect();
    groups.sort_by_key(|group| group.id);
    let partition = Partition { groups, ..Partition::default() };
    let made = Reconciled { partition, ..Reconciled::default() };
    store.save(&gallery(), now.version, &made).await.unwrap();
    store.gallery(&gallery()).await.unwrap()
}

/// Where each face is.
fn homes(snapshot: &GallerySnapshot) -> BTreeMap<FaceId, GroupId> {
    let groups = &snapshot.previous.groups;
    groups.iter().flat_map(|group| group.faces.iter().map(|face| (*face, group.id))).collect()
}

/// All documents of a database, by collection.
async fn dump(connection: &Connection) -> Vec<(String, Document)> {
    let mut all = Vec::new();
    for name in connection.faces.list_collection_names().await.unwrap() {
        let mut found = connection.faces.collection::<Document>(&name).find(doc! {}).await.unwrap();
        while found.advance().await.unwrap() {
            all.push((name.clone(), found.deserialize_current().unwrap()));
        }
    }
    all
}
