//! Deletes images and faces from the databases. The documents by which others are found are deleted last, so that an
//! interrupted call can be repeated with the same effect.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageId, Locator};
use muster_actors::ports::analyses::Content;

use super::documents::{self, face_id, group_id, image_id, signed, text, uuid};
use super::erase_facts::StatedFacts;
use super::facts::PLACE;
use super::pointer::{GROUP, PartitionPointer, STAGED_GROUP, pointer};
use super::tombstones::Scope;
use super::{MongoError, MongoFaces, names};

/// Number of images that are deleted at once.
pub const PAGE: usize = 1_000;

/// Location and content of an image.
#[derive(Clone, Debug)]
pub struct Known {
    /// Gallery, bucket and key of the image.
    pub locator: Locator,
    /// Digest of its bytes, where it is known.
    pub content: Option<Content>,
}

/// Location of a face.
#[derive(Clone, Debug)]
pub struct KnownFace {
    /// Id of the face.
    pub id: FaceId,
    /// Id of its image.
    pub image: ImageId,
    /// Its box in the image, in pixels.
    pub bbox: BBox,
    /// Its group, if any.
    pub group: Option<GroupId>,
}

fn known(document: &Document) -> Result<Known, MongoError> {
    let part = |key| text(document, key).map(str::to_owned);
    let locator = Locator { gallery: GalleryId(part("gallery")?), bucket: part("bucket")?, key: part("key")? };
    Ok(Known { locator, content: documents::content(document) })
}

fn list<T>(ids: impl IntoIterator<Item = T>, id: impl Fn(T) -> Bson) -> Vec<Bson> {
    ids.into_iter().map(id).collect()
}

fn images(ids: impl IntoIterator<Item = ImageId>) -> Vec<Bson> {
    list(ids, |image| uuid(image.0))
}

impl MongoFaces {
    /// Returns the first images of a scope, at most [`PAGE`], ascending by bucket and key.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn known(&self, gallery: &GalleryId, scope: &Scope) -> Result<Vec<Known>, MongoError> {
        let filter = match scope {
            Scope::Image { bucket, key } => doc! { "gallery": &gallery.0, "bucket": bucket, "key": key },
            // Keys with this prefix are the first ones that are not less than it.
            Scope::Below { bucket, prefix } => {
                doc! { "gallery": &gallery.0, "bucket": bucket, "key": { "$gte": prefix } }
            }
            Scope::Gallery => doc! { "gallery": &gallery.0 },
        };
        let sort = doc! { "gallery": 1, "bucket": 1, "key": 1 };
        let mut found = self.collection(names::IMAGES).find(filter).sort(sort).limit(PAGE as i64).await?;
        let mut images = Vec::new();
        while found.advance().await? {
            let image = known(&found.deserialize_current()?)?;
            if !scope.covers(&image.locator.bucket, &image.locator.key) {
                break;
            }
            images.push(image);
        }
        Ok(images)
    }

    /// Returns those of these images that the database has.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn known_of(&self, ids: &[ImageId]) -> Result<Vec<Known>, MongoError> {
        let filter = doc! { "_id": { "$in": images(ids.iter().copied()) } };
        let mut found = self.collection(names::IMAGES).find(filter).await?;
        let mut images = Vec::new();
        while found.advance().await? {
            images.push(known(&found.deserialize_current()?)?);
        }
        Ok(images)
    }

    /// Returns the faces of these images.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn faces_of(&self, ids: impl IntoIterator<Item = ImageId>) -> Result<Vec<KnownFace>, MongoError> {
        self.known_faces(doc! { "image": { "$in": images(ids) } }).await
    }

    /// Returns the faces of a group.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn members_of(&self, gallery: &GalleryId, group: GroupId) -> Result<Vec<KnownFace>, MongoError> {
        let field = pointer(self, gallery).await?.field();
        self.known_faces(doc! { "gallery": &gallery.0, field: uuid(group.0) }).await
    }

    async fn known_faces(&self, filter: Document) -> Result<Vec<KnownFace>, MongoError> {
        let projection = doc! { "image": 1, "box": 1, "gallery": 1, GROUP: 1, STAGED_GROUP: 1 };
        let mut pointers: BTreeMap<String, PartitionPointer> = BTreeMap::new();
        let mut found = self.collection(names::FACES).find(filter).projection(projection).await?;
        let mut faces = Vec::new();
        while found.advance().await? {
            let document = found.deserialize_current()?;
            let gallery = text(&document, "gallery")?;
            let at = match pointers.get(gallery) {
                Some(at) => *at,
                None => pointer(self, &GalleryId(gallery.to_owned())).await?,
            };
            pointers.insert(gallery.to_owned(), at);
            faces.push(KnownFace {
                id: face_id(&document, "_id")?,
                image: image_id(&document, "image")?,
                bbox: documents::bbox(&document)?,
                group: group_id(&document, at.field())?,
            });
        }
        Ok(faces)
    }

    /// Returns the groups of a gallery whose ids begin with some hexadecimal digits, ascending. A merged group is
    /// replaced by the group that it was merged into.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn groups_like(&self, gallery: &GalleryId, beginning: &str) -> Result<Vec<GroupId>, MongoError> {
        let projection = doc! { "into": 1 };
        let groups = self.collection(pointer(self, gallery).await?.groups());
        let mut found = groups.find(doc! { "gallery": &gallery.0 }).projection(projection).await?;
        let (mut groups, beginning) = (BTreeSet::new(), beginning.to_ascii_lowercase());
        while found.advance().await? {
            let document = found.deserialize_current()?;
            if let Some(id) = group_id(&document, "_id")?.filter(|id| id.to_string().starts_with(&beginning)) {
                groups.insert(group_id(&document, "into")?.unwrap_or(id));
            }
        }
        Ok(groups.into_iter().collect())
    }

    /// Deletes images with their faces and the facts about these, and returns the number of facts. The images' metadata
    /// records that they were forgotten.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn erase_images(&self, of: &[Locator], faces: &[KnownFace]) -> Result<u64, MongoError> {
        let ids = images(of.iter().map(Locator::id));
        let said = self.erase_said_in(of, faces, true).await?;
        self.collection(names::FACES).delete_many(doc! { "image": { "$in": &ids } }).await?;
        self.note_forgotten(doc! { "_id": { "$in": &ids } }).await?;
        self.collection(names::IMAGES).delete_many(doc! { "_id": { "$in": ids } }).await?;
        self.raise_all(of).await?;
        self.erase_rest_of(said).await
    }

    /// Deletes faces of images and the facts about them, and returns the number of facts. The images' counts are
    /// updated.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn erase_faces(&self, of: &[Locator], faces: &[KnownFace]) -> Result<u64, MongoError> {
        let ids = list(faces, |face| uuid(face.id.0));
        let said = self.erase_said_in(of, faces, false).await?;
        self.recount(of.iter().map(Locator::id).collect(), &ids).await?;
        self.collection(names::FACES).delete_many(doc! { "_id": { "$in": ids } }).await?;
        self.raise_all(of).await?;
        self.erase_rest_of(said).await
    }

    /// Deletes the facts about faces of images. If `whole` images are deleted, this includes facts about faces that
    /// these images had before.
    async fn erase_said_in(
        &self,
        of: &[Locator],
        faces: &[KnownFace],
        whole: bool,
    ) -> Result<Vec<StatedFacts>, MongoError> {
        let mut said = Vec::new();
        for gallery in galleries(of) {
            let gallery = GalleryId(gallery.to_owned());
            let ids: BTreeSet<ImageId> = of.iter().filter(|image| image.gallery == gallery).map(Locator::id).collect();
            let own = || faces.iter().filter(|face| ids.contains(&face.image));
            let mut named: BTreeSet<FaceId> = own().map(|face| face.id).collect();
            if whole {
                let ids = images(ids.iter().copied());
                let photos = doc! { "_id": { "$in": &ids }, "content": { "$ne": null } };
                let contents = self.collection(names::IMAGES).distinct("content", photos).await?;
                named.extend(self.spoken_of_in(&gallery, &contents, &ids).await?);
            }
            said.push(self.erase_said(&gallery, named, own().filter_map(|face| face.group).collect()).await?);
        }
        Ok(said)
    }

    async fn erase_rest_of(&self, said: Vec<StatedFacts>) -> Result<u64, MongoError> {
        let mut facts = 0;
        for said in said {
            facts += self.erase_rest(said).await?;
        }
        Ok(facts)
    }

    async fn note_forgotten(&self, filter: Document) -> Result<(), MongoError> {
        let Some(metadata) = &self.metadata else { return Ok(()) };
        let update = doc! { "$set": { "status": "forgotten", "face_count": 0i64, "reason": null } };
        metadata.collection::<Document>(names::IMAGES).update_many(filter, update).await?;
        Ok(())
    }

    /// Updates the face counts of images to exclude the faces `gone`.
    async fn recount(&self, mut of: BTreeSet<ImageId>, gone: &[Bson]) -> Result<(), MongoError> {
        let left = doc! { "image": { "$in": images(of.iter().copied()) }, "_id": { "$nin": gone } };
        let count = [doc! { "$match": left }, doc! { "$group": { "_id": "$image", "faces": { "$sum": 1 } } }];
        let mut counts: BTreeMap<u64, Vec<ImageId>> = BTreeMap::new();
        let mut found = self.collection(names::FACES).aggregate(count).await?;
        while found.advance().await? {
            let document = found.deserialize_current()?;
            let image = image_id(&document, "_id")?;
            of.remove(&image);
            counts.entry(documents::unsigned(&document, "faces")?).or_default().push(image);
        }
        counts.insert(0, of.into_iter().collect());
        for (faces, of) in counts {
            let ids = images(of);
            for (collection, state) in
                [(Some(self.collection(names::IMAGES)), "state"), (self.metadata_images(), "status")]
            {
                let Some(collection) = collection else { continue };
                // The stored result is removed with the face, because it describes the face too.
                let update = doc! { "$set": { "face_count": signed(faces) }, "$unset": { documents::RESULT: "" } };
                collection.update_many(doc! { "_id": { "$in": &ids } }, update).await?;
                if faces == 0 {
                    let indexed = doc! { "_id": { "$in": &ids }, state: "indexed" };
                    collection.update_many(indexed, doc! { "$set": { state: "no_faces" } }).await?;
                }
            }
        }
        Ok(())
    }

    fn metadata_images(&self) -> Option<mongodb::Collection<Document>> {
        self.metadata.as_ref().map(|metadata| metadata.collection(names::IMAGES))
    }

    /// Deletes everything of a gallery except its generation, which guards later writes. Returns the number of facts.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn erase_gallery(&self, gallery: &GalleryId) -> Result<u64, MongoError> {
        let of = doc! { "gallery": &gallery.0 };
        let speaking = doc! { "gallery": &gallery.0, "kind": { "$ne": PLACE } };
        let facts = self.collection(names::FACTS).delete_many(speaking).await?.deleted_count;
        let rest = [
            names::FACTS,
            names::CHANGES,
            names::DECISIONS,
            names::FACES,
            names::IMAGES,
            names::GROUPS,
            names::STAGED_GROUPS,
            names::LINEAGE,
        ];
        for collection in rest {
            self.collection(collection).delete_many(of.clone()).await?;
        }
        self.note_forgotten(doc! { "gallery_id": &gallery.0 }).await?;
        self.raise_one(&gallery.0).await?;
        Ok(facts)
    }

    /// Deletes the history of groups.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn erase_lineage(&self, gallery: &GalleryId, groups: &[GroupId]) -> Result<(), MongoError> {
        let ids = list(groups, |group| uuid(group.0));
        let of = doc! { "gallery": &gallery.0, "$or": [{ "group": { "$in": &ids } }, { "other": { "$in": ids } }] };
        self.collection(names::LINEAGE).delete_many(of).await?;
        Ok(())
    }

    /// Raises the generations of the images' galleries. This comes after the faces are deleted, so that no groups of
    /// theirs are saved.
    async fn raise_all(&self, of: &[Locator]) -> Result<(), MongoError> {
        for gallery in galleries(of) {
            self.raise_one(gallery).await?;
        }
        Ok(())
    }

    pub(super) async fn raise_one(&self, gallery: &str) -> Result<(), MongoError> {
        let raise = doc! { "$inc": { "generation": 1i64 } };
        self.collection(names::GALLERIES).update_one(doc! { "_id": gallery }, raise).upsert(true).await?;
        Ok(())
    }
}

fn galleries(of: &[Locator]) -> BTreeSet<&str> {
    of.iter().map(|locator| locator.gallery.0.as_str()).collect()
}
