//! Groups as JSON.

use bytes::Bytes;
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_stores::mongo::{FaceLocation, LocatedGroup};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::index::FORMAT;
use crate::fleet::objects::{crop_key, crop_place};

/// A group as readers see it.
#[derive(Serialize)]
struct PublishedGroup<'a> {
    id: GroupId,
    name: Option<&'a str>,
    cover: FaceId,
    count: usize,
    faces: Vec<PublishedFace<'a>>,
}

/// A face as readers see it.
#[derive(Serialize)]
struct PublishedFace<'a> {
    id: FaceId,
    bucket: &'a str,
    key: &'a str,
    #[serde(rename = "box")]
    bbox: BBox,
    /// The key of the crop, or a range of a pack.
    crop: Value,
}

impl<'a> PublishedFace<'a> {
    fn new(gallery: &GalleryId, location: &'a FaceLocation) -> Self {
        let FaceLocation { face, image, bucket, key, bbox, crop } = location;
        let crop = crop_place(crop.as_ref(), || crop_key(gallery, *image, face));
        Self { id: *face, bucket, key, bbox: *bbox, crop }
    }
}

/// A shard's groups.
pub(super) struct ShardContent {
    /// The groups: a JSON list.
    pub(super) text: String,
    /// How many.
    pub(super) groups: u64,
    /// Faces in them.
    pub(super) faces: u64,
}

/// A shard as an object.
#[derive(Serialize)]
struct ShardObject<'a> {
    format: u32,
    gallery: &'a GalleryId,
    prefix: &'a str,
    groups: &'a RawValue,
}

impl ShardContent {
    /// Of groups and the locations of their faces.
    pub(super) fn new(gallery: &GalleryId, groups: &[LocatedGroup]) -> Result<Self, serde_json::Error> {
        let group = |(group, faces): &LocatedGroup| {
            serde_json::to_string(&PublishedGroup {
                id: group.id,
                name: group.name.as_deref(),
                cover: group.cover,
                count: faces.len(),
                faces: faces.iter().map(|face| PublishedFace::new(gallery, face)).collect(),
            })
        };
        let texts = groups.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        let faces = groups.iter().map(|(_, faces)| faces.len() as u64).sum();
        Ok(Self { text: format!("[{}]", texts.join(",\n")), groups: groups.len() as u64, faces })
    }

    /// Names the content.
    pub(super) fn digest(&self) -> String {
        blake3::hash(self.text.as_bytes()).to_hex()[..16].to_owned()
    }

    /// The shard's object.
    pub(super) fn object(self, gallery: &GalleryId, prefix: &str) -> Result<Bytes, serde_json::Error> {
        let groups = RawValue::from_string(self.text)?;
        let object = ShardObject { format: FORMAT, gallery, prefix, groups: &groups };
        Ok(Bytes::from(serde_json::to_vec(&object)?))
    }
}
