//! Finds the open questions of a gallery that people can answer.

use std::collections::BTreeMap;

use mongodb::bson::doc;
use mongodb::options::ReadConcern;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GroupId, Suggestion};
use muster_gallery::suggested::{GroupSize, Suggested, questions};

use super::documents::{self, face_id, group_id, unsigned, uuid};
use super::pointer::{PartitionPointer, PartitionRead};
use super::{MongoError, MongoFaces, facts, gallery, names};

impl MongoFaces {
    /// Returns the open questions. The first are those whose answers are likely to correct the most
    /// faces.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored
    /// document is not what muster wrote, [`MongoError::Conflict`] when the partition in force
    /// changes all the time.
    pub async fn questions(&self, of: &GalleryId) -> Result<Vec<Suggested>, MongoError> {
        let mut reading = PartitionRead::begin(self, of).await?;
        loop {
            let found = self.questions_in(of, reading.head().pointer).await?;
            if reading.is_whole().await? {
                return Ok(found);
            }
        }
    }

    async fn questions_in(&self, of: &GalleryId, pointer: PartitionPointer) -> Result<Vec<Suggested>, MongoError> {
        let projection = doc! { "cover": 1, "count": 1, "into": 1, documents::SUGGESTIONS: 1 };
        let mut cursor = gallery::find(self, pointer.groups(), of, projection, doc! { "_id": 1 }).await?;
        let mut suggestions: BTreeMap<FaceId, Suggestion> = BTreeMap::new();
        let mut groups: BTreeMap<GroupId, GroupSize> = BTreeMap::new();
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let (Some(id), None) = (group_id(&document, "_id")?, group_id(&document, "into")?) else { continue };
            groups.insert(id, (face_id(&document, "cover")?, unsigned(&document, "count")?));
            for (face, probability) in documents::suggestions(&document)? {
                suggestions.insert(face, Suggestion { group: id, probability });
            }
        }
        if suggestions.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = suggestions.keys().map(|face| uuid(face.0)).collect();
        let mut cursor = self
            .collection(names::FACES)
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { pointer.field(): 1 })
            .read_concern(ReadConcern::majority())
            .await?;
        let (mut homes, mut there) = (BTreeMap::new(), BTreeMap::new());
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            let face = face_id(&document, "_id")?;
            homes.extend(group_id(&document, pointer.field())?.map(|group| (face, group)));
            there.extend(suggestions.remove_entry(&face));
        }
        Ok(questions(&there, &homes, &groups, &facts::all(self, of).await?))
    }
}
