//! Stores tombstones, which keep forgotten images and faces from being stored again.

use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::BBox;
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::Locator;

use super::bulk::{Op, Statement};
use super::documents::{text, uuid};
use super::tombstones::{Scope, Tombstones, is_of, lifts, place};
use super::{MongoError, MongoFaces, names};

/// Number of tombstones in one statement.
const BATCH: usize = 5_000;
/// Error code of two simultaneous upserts of one document.
const DUPLICATE: i32 = 11000;

impl MongoFaces {
    async fn tombstones(&self, filter: Document) -> Result<mongodb::Cursor<Document>, MongoError> {
        Ok(self.collection(names::FORGOTTEN).find(filter).await?)
    }

    /// Returns the tombstones that concern these images.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn marks(&self, images: impl IntoIterator<Item = &Locator>) -> Result<Tombstones, MongoError> {
        let (mut ids, mut galleries) = (Vec::new(), BTreeSet::new());
        for image in images {
            ids.push(uuid(image.id().0));
            galleries.insert(image.gallery.0.as_str());
        }
        let mut marks = Tombstones::default();
        if ids.is_empty() {
            return Ok(marks);
        }
        let galleries: Vec<&str> = galleries.into_iter().collect();
        let prefixes = doc! { "gallery": { "$in": galleries }, "prefix": { "$exists": true } };
        let mut found = self.tombstones(doc! { "$or": [{ "image": { "$in": ids } }, prefixes] }).await?;
        while found.advance().await? {
            marks.read(&found.deserialize_current()?)?;
        }
        Ok(marks)
    }

    /// Tells whether exactly this scope was forgotten before.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn is_forgotten(&self, gallery: &GalleryId, scope: &Scope) -> Result<bool, MongoError> {
        let mut tombstone = scope.tombstone(gallery);
        let id = tombstone.remove("_id");
        Ok(self.tombstones(doc! { "_id": id }).await?.advance().await?)
    }

    /// Adds the tombstone of a scope, and returns the number of new tombstones.
    ///
    /// # Errors
    /// [`MongoError::Driver`] or [`MongoError::Unconfirmed`] when the server fails, [`MongoError::Statement`] when it
    /// refuses a tombstone.
    pub async fn bury(&self, gallery: &GalleryId, scope: &Scope) -> Result<u64, MongoError> {
        self.add(vec![scope.tombstone(gallery)]).await
    }

    /// Adds the tombstones of a group's faces, by their places in the images, and returns the number of new ones.
    ///
    /// # Errors
    /// [`MongoError::Driver`] or [`MongoError::Unconfirmed`] when the server fails, [`MongoError::Statement`] when it
    /// refuses a tombstone.
    pub async fn bury_places(&self, group: GroupId, places: &[(Locator, BBox)]) -> Result<u64, MongoError> {
        self.add(places.iter().map(|(image, bbox)| place(group, image, bbox)).collect()).await
    }

    async fn add(&self, tombstones: Vec<Document>) -> Result<u64, MongoError> {
        let mut added = 0;
        for tombstones in tombstones.chunks(BATCH) {
            let ids: Vec<Bson> = tombstones.iter().filter_map(|tombstone| tombstone.get("_id").cloned()).collect();
            let filter = doc! { "_id": { "$in": &ids } };
            let there = self.collection(names::FORGOTTEN).count_documents(filter).await?;
            let statement = |(item, (id, tombstone)): (usize, (Bson, &Document))| {
                let op = Op::Upsert { filter: doc! { "_id": id }, update: doc! { "$set": tombstone } };
                Statement { item, metadata: false, collection: names::FORGOTTEN, op }
            };
            let statements = ids.into_iter().zip(tombstones).enumerate().map(statement).collect();
            for outcome in self.bulks.run(statements, tombstones.len()).await?.outcomes {
                match outcome {
                    // Another process forgets the same scope, so the tombstone exists.
                    Err(MongoError::Statement { code: DUPLICATE, .. }) => {}
                    outcome => outcome?,
                }
            }
            added += (tombstones.len() as u64).saturating_sub(there);
        }
        Ok(added)
    }

    /// Returns the images in which faces of this group were forgotten.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn buried_of(&self, gallery: &GalleryId, group: GroupId) -> Result<Vec<Locator>, MongoError> {
        let mut images = BTreeSet::new();
        let mut found = self.tombstones(doc! { "gallery": &gallery.0, "box": { "$exists": true } }).await?;
        while found.advance().await? {
            let document = found.deserialize_current()?;
            if is_of(group, &document)? {
                let (bucket, key) = (text(&document, "bucket")?.to_owned(), text(&document, "key")?.to_owned());
                images.insert(Locator { gallery: gallery.clone(), bucket, key });
            }
        }
        Ok(images.into_iter().collect())
    }

    /// Removes the tombstones of a scope's images and of places in them, and returns their number.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails.
    pub async fn lift(&self, gallery: &GalleryId, scope: &Scope) -> Result<u64, MongoError> {
        self.remove(gallery, |tombstone| Ok(lifts(scope, tombstone))).await
    }

    /// Removes the tombstones of a group's faces, and returns their number.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn lift_group(&self, gallery: &GalleryId, group: GroupId) -> Result<u64, MongoError> {
        self.remove(
            gallery,
            |tombstone| if tombstone.contains_key("box") { is_of(group, tombstone) } else { Ok(false) },
        )
        .await
    }

    async fn remove(
        &self,
        gallery: &GalleryId,
        which: impl Fn(&Document) -> Result<bool, MongoError>,
    ) -> Result<u64, MongoError> {
        let mut ids = Vec::new();
        let mut found = self.tombstones(doc! { "gallery": &gallery.0 }).await?;
        while found.advance().await? {
            let document = found.deserialize_current()?;
            if which(&document)? {
                ids.extend(document.get("_id").cloned());
            }
        }
        for ids in ids.chunks(BATCH) {
            self.collection(names::FORGOTTEN).delete_many(doc! { "_id": { "$in": ids } }).await?;
        }
        Ok(ids.len() as u64)
    }
}
