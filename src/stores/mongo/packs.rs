//! Records the contents of packs: objects in S3 that hold the crops or the result lines of many images, one behind the
//! other.
//!
//! The document of a pack exists before its object, and names the image and the faces of each range, so that forgetting
//! finds every byte. A document that is marked as rewritten is no longer used by any writer: some of its bytes are
//! blank, or the object was deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use mongodb::bson::{Bson, DateTime, Document, doc};
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageId;

use super::documents::{self, face_id, image_id, signed, text, unsigned, uuid};
use super::{MongoError, MongoFaces, names};

/// Number of entries of packs in one query.
const CHUNK: usize = 1_000;

/// Location of a crop or a result line in a pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackRange {
    /// Key of the pack in the bucket of groups.
    pub pack: String,
    /// Position of the first byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

impl PackRange {
    pub(super) fn document(&self) -> Document {
        doc! { "pack": &self.pack, "offset": signed(self.offset), "length": signed(self.length) }
    }

    /// Reads the range under `key`; `None` where it is missing.
    pub(super) fn read(document: &Document, key: &str) -> Result<Option<Self>, MongoError> {
        let Ok(range) = document.get_document(key) else { return Ok(None) };
        let pack = text(range, "pack")?.to_owned();
        Ok(Some(Self { pack, offset: unsigned(range, "offset")?, length: unsigned(range, "length")? }))
    }
}

/// Locations of the crops and results of a bulk. A crop or result without an entry is an object of its own, or is not
/// stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Locations of crops, by face.
    pub crops: BTreeMap<FaceId, PackRange>,
    /// Locations of results, by image.
    pub results: BTreeMap<ImageId, PackRange>,
}

/// Kind of the contents of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackKind {
    /// Crops of faces, as JPEG files.
    Crops,
    /// Results of images, as one line of JSON each.
    Results,
}

impl PackKind {
    /// Returns the name in keys and documents.
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

/// A range of a pack with the image and the faces that it describes.
#[derive(Clone, Debug, PartialEq)]
pub struct PackEntry {
    /// Gallery of the image.
    pub gallery: GalleryId,
    /// Id of the image.
    pub image: ImageId,
    /// Faces with their boxes in the image: the one that a crop shows, or all that a result lists.
    pub faces: Vec<(FaceId, BBox)>,
    /// Position of the first byte.
    pub offset: u64,
    /// Number of bytes.
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

/// Record of a pack in the database.
#[derive(Clone, Debug, PartialEq)]
pub struct PackRecord {
    /// Key of the pack in the bucket of groups.
    pub key: String,
    /// Kind of its contents.
    pub kind: PackKind,
    /// Its ranges, ascending by position, without blank ones.
    pub entries: Vec<PackEntry>,
    /// Last time at which a writer announced or claimed it.
    pub at: SystemTime,
    /// Whether a writer confirmed that it is in S3.
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

/// Field that marks a pack whose object differs from what was written.
const REWRITTEN: &str = "rewritten";
/// Field that marks a pack that is in S3.
const WRITTEN: &str = "written";

fn unchanged(key: &str) -> Document {
    doc! { "_id": key, REWRITTEN: { "$exists": false } }
}

fn images_in(ids: &[ImageId]) -> Document {
    let ids: Vec<Bson> = ids.iter().map(|id| uuid(id.0)).collect();
    doc! { "entries.image": { "$in": ids } }
}

impl MongoFaces {
    /// Records the contents of a pack before it is written. A second announcement changes nothing.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn announce_pack(&self, key: &str, kind: PackKind, entries: &[PackEntry]) -> Result<(), MongoError> {
        let entries: Vec<Document> = entries.iter().map(PackEntry::document).collect();
        let new = doc! { "kind": kind.as_str(), "entries": entries, "at": DateTime::now() };
        let packs = self.collection(names::PACKS);
        packs.update_one(doc! { "_id": key }, doc! { "$setOnInsert": new }).upsert(true).await?;
        Ok(())
    }

    /// Claims a pack that was written for use by a result. Returns `false` if it is marked as rewritten.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn claim_pack(&self, key: &str) -> Result<bool, MongoError> {
        let now = doc! { "$set": { "at": DateTime::now(), WRITTEN: true } };
        Ok(self.collection(names::PACKS).update_one(unchanged(key), now).await?.matched_count > 0)
    }

    /// Marks a pack as rewritten.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn close_pack(&self, key: &str) -> Result<(), MongoError> {
        let marked = doc! { "$set": { REWRITTEN: true } };
        self.collection(names::PACKS).update_one(doc! { "_id": key }, marked).await?;
        Ok(())
    }

    /// Removes entries from a pack's record, by their offsets, after their bytes were made blank.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn drop_entries(&self, key: &str, offsets: &[u64]) -> Result<(), MongoError> {
        for offsets in offsets.chunks(CHUNK) {
            let offsets: Vec<i64> = offsets.iter().map(|offset| signed(*offset)).collect();
            let out = doc! { "$pull": { "entries": { "offset": { "$in": offsets } } } };
            self.collection(names::PACKS).update_one(doc! { "_id": key }, out).await?;
        }
        Ok(())
    }

    /// Returns the keys of packs that hold crops or results of these images, ascending.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn packs_of(&self, images: &[ImageId]) -> Result<BTreeSet<String>, MongoError> {
        let mut keys = BTreeSet::new();
        for images in images.chunks(CHUNK) {
            keys.extend(self.pack_keys(images_in(images), None).await?);
        }
        Ok(keys)
    }

    /// Returns the keys of packs that hold crops or results of a gallery, ascending.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn packs_in(&self, gallery: &GalleryId) -> Result<BTreeSet<String>, MongoError> {
        Ok(self.pack_keys(doc! { "entries.gallery": &gallery.0 }, None).await?.into_iter().collect())
    }

    /// Returns the keys of at most `limit` packs behind `after`, ascending, that are not marked as written and were
    /// announced or claimed longer than `age` ago.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
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

    /// Returns the record of a pack; `None` if there is none.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn pack(&self, key: &str) -> Result<Option<PackRecord>, MongoError> {
        self.collection(names::PACKS).find_one(doc! { "_id": key }).await?.as_ref().map(PackRecord::read).transpose()
    }

    /// Records that no entry is left in a pack, so that its record is deleted when no writer can write it any more.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn empty_pack(&self, key: &str) -> Result<(), MongoError> {
        let emptied = doc! { "$unset": { WRITTEN: "" } };
        self.collection(names::PACKS).update_one(doc! { "_id": key, "entries": [] }, emptied).await?;
        Ok(())
    }

    /// Deletes the record of a pack without entries.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn remove_pack(&self, key: &str) -> Result<(), MongoError> {
        self.collection(names::PACKS).delete_one(doc! { "_id": key, "entries": [] }).await?;
        Ok(())
    }

    /// Returns the location of a face's crop; `None` where it is not in a pack.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn crop_of(&self, gallery: &GalleryId, face: FaceId) -> Result<Option<PackRange>, MongoError> {
        let faces = self.collection(names::FACES);
        let found = faces.find_one(doc! { "_id": uuid(face.0), "gallery": &gallery.0 });
        let found = found.projection(doc! { documents::CROP: 1 }).await?;
        found.map_or(Ok(None), |face| PackRange::read(&face, documents::CROP))
    }

    /// Returns the offsets of a pack's entries that faces or images refer to.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
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
        // A face of an older release has no range.
        for old in [doc! {}, doc! { "crop": null }] {
            assert_eq!(PackRange::read(&old, "crop").unwrap(), None);
        }
        assert!(PackRange::read(&doc! { "crop": { "pack": "a", "offset": -1, "length": 1 } }, "crop").is_err());
    }
}
