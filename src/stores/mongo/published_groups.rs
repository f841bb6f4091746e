//! Reads the groups of a gallery for publication: the location of each face, and the groups that changed since the last
//! publication.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, DateTime, Document, doc};
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::{GalleryId, Group, GroupId};
use muster_actors::domain::image::ImageId;

use super::change_marks::{self, CHANGED_AT, seen_until};
use super::documents::{self, face_id, floats, group_id, image_id, text, uuid};
use super::gallery::{GalleryHead, query};
use super::gallery_copy::marks;
use super::packs::PackRange;
use super::{MongoError, MongoFaces, conversion, gallery, names, non_faces, stored_faces};

/// Number of ids in one filter.
const IDS: usize = 5_000;

/// Location of a face.
#[derive(Clone, Debug)]
pub struct FaceLocation {
    /// Id of the face.
    pub face: FaceId,
    /// Id of its image.
    pub image: ImageId,
    /// Bucket of the image.
    pub bucket: String,
    /// Key of the image.
    pub key: String,
    /// Box in pixels of the full upright image.
    pub bbox: BBox,
    /// Location of its crop, where that is in a pack.
    pub crop: Option<PackRange>,
}

/// A group with the locations of its faces, ascending by face id.
pub type LocatedGroup = (Group, Vec<FaceLocation>);

/// Prefix of group ids, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdPrefix(String);

impl IdPrefix {
    /// Returns the empty prefix, which all ids have.
    pub fn all() -> Self {
        Self(String::new())
    }

    /// Returns the first `digits` digits of an id, at most 32.
    pub fn of(group: GroupId, digits: usize) -> Self {
        let mut text = group.to_string();
        text.truncate(digits);
        Self(text)
    }

    /// Returns the digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the least and the greatest id with the prefix.
    fn bounds(&self) -> [Bson; 2] {
        ['0', 'f'].map(|fill| {
            let mut bytes = [0; 16];
            let mut digits = self.0.chars().chain(std::iter::repeat(fill));
            for byte in &mut bytes {
                let mut digit = || digits.next().and_then(|digit| digit.to_digit(16)).unwrap_or_default();
                *byte = u8::try_from(digit() << 4 | digit()).unwrap_or_default();
            }
            uuid(bytes)
        })
    }

    fn condition(&self) -> Document {
        let [least, greatest] = self.bounds();
        doc! { "$gte": least, "$lte": greatest }
    }
}

/// State of a gallery that a reader saw. It is needed to find later changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookedAt {
    /// Generation of the groups that it saw.
    pub generation: u64,
    /// Time by the server's clock until which it saw all writes of faces, in milliseconds since 1970 (UTC).
    pub at_ms: i64,
}

/// Counts of the groups of a gallery, and the groups that must be read again.
#[derive(Clone, Debug, Default)]
pub struct GroupChanges {
    /// Number of groups with each prefix of the requested length.
    pub counts: BTreeMap<IdPrefix, u64>,
    /// Prefixes of groups that changed, or of which a face changed its location.
    pub changed: BTreeSet<IdPrefix>,
}

impl MongoFaces {
    /// Returns the state of a gallery; that of a gallery that does not exist is the default.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when the gallery's document is not what
    /// muster wrote.
    pub async fn head(&self, of: &GalleryId) -> Result<GalleryHead, MongoError> {
        Ok(gallery::head(self, of).await?.unwrap_or_default())
    }

    /// Returns the gallery's generation; 0 if it does not exist.
    ///
    /// # Errors
    /// As [`MongoFaces::head`].
    pub async fn generation(&self, of: &GalleryId) -> Result<u64, MongoError> {
        Ok(self.head(of).await?.version.generation)
    }

    /// Ensures that what people decided about a gallery is kept as facts, and returns its generation; 0 if it does not
    /// exist.
    ///
    /// # Errors
    /// As [`MongoFaces::head`], and [`MongoError::Conflict`] when another process takes long to convert the gallery.
    pub async fn prepare(&self, of: &GalleryId) -> Result<u64, MongoError> {
        Ok(conversion::convert(self, of).await?.unwrap_or_default().generation)
    }

    /// Returns the time by the server's clock until which a reader now sees all writes, in milliseconds since 1970
    /// (UTC).
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Unfit`] when it does not report its time.
    pub async fn seen_until_ms(&self) -> Result<i64, MongoError> {
        Ok(seen_until(self).await?.timestamp_millis())
    }

    /// Counts the faces of a gallery.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn count_faces(&self, of: &GalleryId) -> Result<u64, MongoError> {
        stored_faces::count(self, of).await
    }

    /// Counts the groups of a gallery by prefixes of `digits` digits, and lists the prefixes with changes since
    /// `since`, or all prefixes if it is `None`.
    ///
    /// # Errors
    /// As [`MongoFaces::head`].
    pub async fn group_changes(
        &self,
        of: &GalleryId,
        at: GalleryHead,
        digits: usize,
        since: Option<LookedAt>,
    ) -> Result<GroupChanges, MongoError> {
        let mut changes = GroupChanges::default();
        for (id, mark) in marks(self, of, at).await? {
            let prefix = IdPrefix::of(id, digits);
            if since.is_none_or(|since| mark.changed > since.generation) {
                changes.changed.insert(prefix.clone());
            }
            if !mark.is_redirect {
                *changes.counts.entry(prefix).or_default() += 1;
            }
        }
        let Some(since) = since else { return Ok(changes) };
        let field = at.pointer.field();
        let written = change_marks::since(DateTime::from_millis(since.at_ms));
        let filter = doc! { "gallery": &of.0, CHANGED_AT: written };
        let mut found = query(self, names::FACES, filter, doc! { field: 1 }, doc! {}).await?;
        while found.advance().await? {
            let group = group_id(&found.deserialize_current()?, field)?;
            changes.changed.extend(group.map(|group| IdPrefix::of(group, digits)));
        }
        Ok(changes)
    }

    /// Returns the groups with a prefix and the locations of their faces, ascending by id.
    ///
    /// # Errors
    /// As [`MongoFaces::head`].
    pub async fn groups_below(
        &self,
        of: &GalleryId,
        at: GalleryHead,
        prefix: &IdPrefix,
    ) -> Result<Vec<LocatedGroup>, MongoError> {
        let mut members = self.located_faces(of, at, prefix).await?;
        let filter = doc! { "gallery": &of.0, "_id": prefix.condition(), "into": null };
        let found = query(self, at.pointer.groups(), filter, doc! {}, doc! { "_id": 1 }).await?;
        let documents: Vec<Document> = found.try_collect().await?;
        let mut groups = Vec::new();
        for document in documents {
            let Some(id) = group_id(&document, "_id")? else { continue };
            let group = Group {
                id,
                faces: Vec::new(),
                cover: face_id(&document, "cover")?,
                centroid: floats(&document, "centroid")?,
                name: document.get_str("name").ok().map(str::to_owned),
            };
            groups.push((group, members.remove(&id).unwrap_or_default()));
        }
        Ok(groups)
    }

    async fn located_faces(
        &self,
        of: &GalleryId,
        at: GalleryHead,
        prefix: &IdPrefix,
    ) -> Result<BTreeMap<GroupId, Vec<FaceLocation>>, MongoError> {
        let field = at.pointer.field();
        let filter = doc! { "gallery": &of.0, field: prefix.condition() };
        let projection = doc! { "image": 1, field: 1, "box": 1, documents::CROP: 1 };
        let found = query(self, names::FACES, filter, projection, doc! {}).await?;
        let faces: Vec<Document> = found.try_collect().await?;
        let ids: BTreeSet<ImageId> = faces.iter().map(|face| image_id(face, "image")).collect::<Result<_, _>>()?;
        let ids: Vec<Bson> = ids.into_iter().map(|id| uuid(id.0)).collect();
        let mut images = BTreeMap::new();
        for ids in ids.chunks(IDS) {
            let filter = doc! { "_id": { "$in": ids } };
            let mut found = query(self, names::IMAGES, filter, doc! { "bucket": 1, "key": 1 }, doc! {}).await?;
            while found.advance().await? {
                let image = found.deserialize_current()?;
                let place = (text(&image, "bucket")?.to_owned(), text(&image, "key")?.to_owned());
                images.insert(image_id(&image, "_id")?, place);
            }
        }
        let mut members: BTreeMap<GroupId, Vec<FaceLocation>> = BTreeMap::new();
        for document in faces {
            let image = image_id(&document, "image")?;
            let Some(group) = group_id(&document, field)? else { continue };
            let (bucket, key) = images.get(&image).cloned().unwrap_or_default();
            let (face, bbox) = (face_id(&document, "_id")?, documents::bbox(&document)?);
            let crop = PackRange::read(&document, documents::CROP)?;
            members.entry(group).or_default().push(FaceLocation { face, image, bucket, key, bbox, crop });
        }
        members.values_mut().for_each(|faces| faces.sort_unstable_by_key(|face| face.face));
        Ok(members)
    }

    /// Counts the detections of a gallery that are in no group and are no faces, according to a person or to the
    /// models.
    ///
    /// # Errors
    /// As [`MongoFaces::head`].
    pub async fn count_non_faces(&self, of: &GalleryId, at: GalleryHead) -> Result<u64, MongoError> {
        let mut count = 0;
        for condition in non_faces::words(self, of).await?.apart() {
            let mut filter = doc! { "gallery": &of.0, at.pointer.field(): null };
            filter.extend(condition);
            count += gallery::count(self, names::FACES, filter).await?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_the_ids_that_begin_with_it() {
        let id = |first: u8, second: u8| {
            let mut id = [0; 16];
            (id[0], id[1]) = (first, second);
            GroupId(id)
        };
        for (digits, text) in [(0, ""), (1, "a"), (2, "ab"), (3, "abc")] {
            assert_eq!(IdPrefix::of(id(0xab, 0xcd), digits).as_str(), text);
        }
        let least = |first, second| uuid(id(first, second).0);
        let greatest = |first, second| {
            let mut id = [255; 16];
            (id[0], id[1]) = (first, second);
            uuid(id)
        };
        for (prefix, expected) in [
            ("", [least(0, 0), greatest(255, 255)]),
            ("a", [least(0xa0, 0), greatest(0xaf, 0xff)]),
            ("ab", [least(0xab, 0), greatest(0xab, 0xff)]),
            ("abc", [least(0xab, 0xc0), greatest(0xab, 0xcf)]),
        ] {
            assert_eq!(IdPrefix(prefix.to_owned()).bounds(), expected, "{prefix}");
        }
    }
}
