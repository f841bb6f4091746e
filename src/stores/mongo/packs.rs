//! What lies in packs: objects that hold the crops or the results of many images, one behind the other.
//!
//! A pack's document is there before its object is, and says of each range whose it is, so that whoever forgets finds every
//! byte. A document that is marked as rewritten is used by no writer any more: some of its bytes are blank, or the object is
//! gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use mongodb::bson::{Bson, DateTime, Document, doc};
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageId;

use super::documents::{self, face_id, image_id, signed, text, unsigned, uuid};
use super::{MongoError, MongoFaces, names};

/// Entries of packs that one query asks for.
const CHUNK: usize = 1_000;

/// Where in a pack something lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackRange {
    /// The pack's key in the bucket of groups.
    pub pack: String,
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

impl PackRange {
    pub(super) fn document(&self) -> Document {
        doc! { "pack": &self.pack, "offset": signed(self.offset), "length": signed(self.length) }
    }

    /// The range under `key`, where there is one.
    pub(super) fn read(document: &Document, key: &str) -> Result<Option<Self>, MongoError> {
        let Ok(range) = document.get_document(key) else { return Ok(None) };
        let pack = text(range, "pack")?.to_owned();
        Ok(Some(Self { pack, offset: unsigned(range, "offset")?, length: unsigned(range, "length")? }))
    }
}

/// Where crops and results of a bulk lie; what is in neither lies under a key of its own, or nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Crops by face.
    pub crops: BTreeMap<FaceId, PackRange>,
    /// Results by image.
    pub results: BTreeMap<ImageId, PackRange>,
}

/// What a pack is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackKind {
    /// Faces' crops: JPEG files.
    Crops,
    /// Images' results: a line of JSON each.
    Results,
}

impl PackKind {
    /// As keys and documents have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crops => "crops",
            Self::Results => "results",
        }
    }

    fn read(document: &Document) -> Result<Self, MongoError> {
        match text(document, "kind")? {
            "crops" => Ok(Self::Crops),
            "results" => Ok(Self::Results),
            kind => Err(MongoError::Document(format!("a pack is of {kind}"))),
        }
    }
}

/// A range of a pack, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PackEntry {
    /// The image's gallery.
    pub gallery: GalleryId,
    /// The image.
    pub image: ImageId,
    /// The face that a crop shows, or all that a result tells of, and where in the image they are.
    pub faces: Vec<(FaceId, BBox)>,
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

impl PackEntry {
    fn document(&self) -> Document {
        let face = |(face, bbox): &(FaceId, BBox)| doc! { "id": uuid(face.0), "box": documents::box_document(bbox) };
        doc! {
            "gallery": &self.gallery.0, "image": uuid(self.image.0), "offset": signed(self.offset),
            "length": signed(self.length), "faces": self.faces.iter().map(face).collect::<Vec<_>>(),
        }
    }

    fn read(entry: &Document) -> Result<Self, MongoError> {
        let strange = || MongoError::Document("an entry of a pack has no list of faces".to_owned());
        let face = |face: &Bson| {
            let face = face.as_document().ok_or_else(strange)?;
            Ok((face_id(face, "id")?, documents::bbox(face)?))
        };
        let faces = entry.get_array("faces").map_err(|_| strange())?.iter();
        let faces = faces.map(face).collect::<Result<_, MongoError>>()?;
        Ok(Self {
            gallery: GalleryId(text(entry, "gallery")?.to_owned()),
            image: image_id(entry, "image")?,
            faces,
            offset: unsigned(entry, "offset")?,
            length: unsigned(entry, "length")?,
        })
    }
}

/// What the database knows of a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct PackRecord {
    /// Its key in the bucket of groups.
    pub key: String,
    /// What it is of.
    pub kind: PackKind,
    /// Its ranges, ascending; those that are blank are not among them.
    pub entries: Vec<PackEntry>,
    /// When a writer last said that it uses it, or will.
    pub at: SystemTime,
    /// Whether a writer said that it is there.
    pub is_written: bool,
}

impl PackRecord {
    fn read(document: &Document) -> Result<Self, MongoError> {
        let strange = || MongoError::Document("a pack has no list of entries, or no time".to_owned());
        let entries = document.get_array("entries").map_err(|_| strange())?.iter();
        let entry = |entry: &Bson| PackEntry::read(entry.as_document().ok_or_else(strange)?);
        Ok(Self {
            key: text(document, "_id")?.to_owned(),
            kind: PackKind::read(document)?,
            entries: entries.map(entry).collect::<Result<_, _>>()?,
            at: document.get_datetime("at").map_err(|_| strange())?.to_system_time(),
            is_written: document.get_bool(WRITTEN).unwrap_or_default(),
        })
    }
}

/// The marker of a pack that is no longer as it was written.
const REWRITTEN: &str = "rewritten";
/// The marker of a pack that is in S3.
const WRITTEN: &str = "written";

fn unchanged(key: &str) -> Document {
    doc! { "_id": key, REWRITTEN: { "$exists": false } }
}

fn images_in(ids: &[ImageId]) -> Document {
    let ids: Vec<Bson> = ids.iter().map(|id| uuid(id.0)).collect();
    doc! { "entries.image": { "$in": ids } }
}

impl MongoFaces {
    /// Says what will be in a pack, before it is written. Nothing changes where it was said before.
    pub async fn announce_pack(&self, key: &str, kind: PackKind, entries: &[PackEntry]) -> Result<(), MongoError> {
        let entries: Vec<Document> = entries.iter().map(PackEntry::document).collect();
        let new = doc! { "kind": kind.as_str(), "entries": entries, "at": DateTime::now() };
        let packs = self.collection(names::PACKS);
        packs.update_one(doc! { "_id": key }, doc! { "$setOnInsert": new }).upsert(true).await?;
        Ok(())
    }

    /// Says that a pack is used from now on; `false` where it is no longer as it was written.
    pub async fn claim_pack(&self, key: &str) -> Result<bool, MongoError> {
        let now = doc! { "$set": { "at": DateTime::now(), WRITTEN: true } };
        Ok(self.collection(names::PACKS).update_one(unchanged(key), now).await?.matched_count > 0)
    }

    /// Marks a pack as rewritten.
    pub async fn close_pack(&self, key: &str) -> Result<(), MongoError> {
        let marked = doc! { "$set": { REWRITTEN: true } };
        self.collection(names::PACKS).update_one(doc! { "_id": key }, marked).await?;
        Ok(())
    }

    /// Takes entries out of a pack's document, by their offsets, when their bytes are blank.
    pub async fn drop_entries(&self, key: &str, offsets: &[u64]) -> Result<(), MongoError> {
        for offsets in offsets.chunks(CHUNK) {
            let offsets: Vec<i64> = offsets.iter().map(|offset| signed(*offset)).collect();
            let out = doc! { "$pull": { "entries": { "offset": { "$in": offsets } } } };
            self.collection(names::PACKS).update_one(doc! { "_id": key }, out).await?;
        }
        Ok(())
    }

    /// The keys of packs in which something of these images lies, ascending.
    pub async fn packs_of(&self, images: &[ImageId]) -> Result<BTreeSet<String>, MongoError> {
        let mut keys = BTreeSet::new();
        for images in images.chunks(CHUNK) {
            keys.extend(self.pack_keys(images_in(images), None).await?);
        }
        Ok(keys)
    }

    /// The keys of packs in which something of a gallery lies, ascending.
    pub async fn packs_in(&self, gallery: &GalleryId) -> Result<BTreeSet<String>, MongoError> {
        Ok(self.pack_keys(doc! { "entries.gallery": &gallery.0 }, None).await?.into_iter().collect())
    }

    /// The keys of at most `limit` packs that no writer ever said to use, and announced so long ago, or from which everything
    /// was taken; ascending, behind `after`.
    pub async fn abandoned_packs(&self, after: &str, age: Duration, limit: i64) -> Result<Vec<String>, MongoError> {
        let before = DateTime::from_system_time(SystemTime::now() - age);
        let abandoned = doc! { "_id": { "$gt": after }, WRITTEN: null, "at": { "$lt": before } };
        self.pack_keys(abandoned, Some(limit)).await
    }

    async fn pack_keys(&self, filter: Document, limit: Option<i64>) -> Result<Vec<String>, MongoError> {
        let packs = self.collection(names::PACKS);
        let found = packs.find(filter).projection(doc! { "_id": 1 }).sort(doc! { "_id": 1 });
        let mut found = match limit {
            Some(limit) => found.limit(limit).await?,
            None => found.await?,
        };
        let mut keys = Vec::new();
        while found.advance().await? {
            keys.push(text(&found.deserialize_current()?, "_id")?.to_owned());
        }
        Ok(keys)
    }

    /// What is in a pack.
    pub async fn pack(&self, key: &str) -> Result<Option<PackRecord>, MongoError> {
        self.collection(names::PACKS).find_one(doc! { "_id": key }).await?.as_ref().map(PackRecord::read).transpose()
    }

    /// Notes that nothing is left in a pack, so that its document goes when no writer can put it any more.
    pub async fn empty_pack(&self, key: &str) -> Result<(), MongoError> {
        let emptied = doc! { "$unset": { WRITTEN: "" } };
        self.collection(names::PACKS).update_one(doc! { "_id": key, "entries": [] }, emptied).await?;
        Ok(())
    }

    /// Deletes the document of a pack in which nothing is left.
    pub async fn remove_pack(&self, key: &str) -> Result<(), MongoError> {
        self.collection(names::PACKS).delete_one(doc! { "_id": key, "entries": [] }).await?;
        Ok(())
    }

    /// Where a face's crop lies, where it is in a pack.
    pub async fn crop_of(&self, gallery: &GalleryId, face: FaceId) -> Result<Option<PackRange>, MongoError> {
        let faces = self.collection(names::FACES);
        let found = faces.find_one(doc! { "_id": uuid(face.0), "gallery": &gallery.0 });
        let found = found.projection(doc! { documents::CROP: 1 }).await?;
        found.map_or(Ok(None), |face| PackRange::read(&face, documents::CROP))
    }

    /// The offsets of a pack's entries that the database points at.
    pub async fn live_offsets(&self, pack: &PackRecord) -> Result<BTreeSet<u64>, MongoError> {
        let entries = pack.entries.iter();
        let (collection, field, ids): (_, _, Vec<Bson>) = match pack.kind {
            PackKind::Crops => {
                let faces = entries.flat_map(|entry| entry.faces.iter().map(|(face, _)| uuid(face.0)));
                (names::FACES, documents::CROP, faces.collect())
            }
            PackKind::Results => (names::IMAGES, documents::RESULT, entries.map(|entry| uuid(entry.image.0)).collect()),
        };
        let (collection, mut offsets) = (self.collection(collection), BTreeSet::new());
        for ids in ids.chunks(CHUNK) {
            let found = collection.find(doc! { "_id": { "$in": ids } });
            let mut found = found.projection(doc! { field: 1 }).await?;
            while found.advance().await? {
                let range = PackRange::read(&found.deserialize_current()?, field)?;
                offsets.extend(range.filter(|range| range.pack == pack.key).map(|range| range.offset));
            }
        }
        Ok(offsets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_and_ranges_come_back_as_they_were_stored() {
        let bbox = BBox { x: 1.5, y: -2.0, width: 30.5, height: 40.0 };
        for faces in [vec![], vec![(FaceId([3; 16]), bbox), (FaceId([4; 16]), BBox::default())]] {
            let (gallery, image) = (GalleryId("g".into()), ImageId([2; 16]));
            let entry = PackEntry { gallery, image, faces, offset: 7, length: 5_000_000_000 };
            assert_eq!(PackEntry::read(&entry.document()).unwrap(), entry);
        }
        let range = PackRange { pack: "packs/crops/a".into(), offset: 1 << 40, length: 3 };
        let face = doc! { "crop": range.document() };
        assert_eq!(PackRange::read(&face, "crop").unwrap(), Some(range));
        // A face that a release before wrote says nothing of it.
        for old in [doc! {}, doc! { "crop": null }] {
            assert_eq!(PackRange::read(&old, "crop").unwrap(), None);
        }
        assert!(PackRange::read(&doc! { "crop": { "pack": "a", "offset": -1, "length": 1 } }, "crop").is_err());
    }
}
