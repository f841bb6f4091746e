//! Deletes the facts about faces and persons from the database, and everything in the history that names them.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::fact::Fact;
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::person::Person;

use super::documents::{self, SUGGESTIONS, face_id, uuid};
use super::facts::{self, CHUNK, PHOTO, PLACE};
use super::pointer::pointer;
use super::{MongoError, MongoFaces, names};

/// Progress of forgetting faces of one gallery and the facts about them.
#[derive(Debug)]
pub(super) struct StatedFacts {
    gallery: GalleryId,
    faces: BTreeSet<FaceId>,
    /// Persons that some of the faces are confirmed to be, or are grouped with.
    persons: BTreeSet<GroupId>,
    /// Changes with a smaller number name none of these faces any more.
    scrubbed: u64,
    /// Number of deleted facts.
    facts: u64,
}

fn faces_list(ids: &BTreeSet<FaceId>) -> Vec<Bson> {
    ids.iter().map(|face| uuid(face.0)).collect()
}

impl MongoFaces {
    /// Deletes the facts about faces of a gallery, and the suggestions for them. Facts that are added before the faces
    /// are deleted are left to [`Self::erase_rest`].
    pub(super) async fn erase_said(
        &self,
        of: &GalleryId,
        faces: BTreeSet<FaceId>,
        groups: BTreeSet<GroupId>,
    ) -> Result<StatedFacts, MongoError> {
        let mut said = StatedFacts { gallery: of.clone(), faces, persons: groups, scrubbed: 0, facts: 0 };
        self.erase_again(&mut said).await?;
        Ok(said)
    }

    /// Deletes the facts that were added in the meantime, and persons without any face. It is called after the faces
    /// were deleted and the gallery's generation was raised. Returns the number of all deleted facts.
    pub(super) async fn erase_rest(&self, mut said: StatedFacts) -> Result<u64, MongoError> {
        let before = said.facts;
        self.erase_again(&mut said).await?;
        let StatedFacts { gallery, persons, facts, .. } = said;
        let mut ended = BTreeSet::new();
        for person in self.records_of(&gallery, &persons).await?.into_keys() {
            if !self.has_faces(&gallery, person).await? {
                ended.insert(person);
            }
        }
        let of_persons = if ended.is_empty() { 0 } else { self.erase_persons(&gallery, ended).await? };
        if facts + of_persons > before {
            // The raise prevents groups that follow from these facts from being saved.
            self.raise_one(&gallery.0).await?;
        }
        Ok(facts + of_persons)
    }

    async fn erase_again(&self, said: &mut StatedFacts) -> Result<(), MongoError> {
        if said.faces.is_empty() {
            return Ok(());
        }
        let (of, ids) = (&said.gallery, faces_list(&said.faces));
        for ids in ids.chunks(CHUNK) {
            let confirmed = facts::of_kinds(self, of, &["confirmed"], Some(ids.to_vec())).await?.confirmed;
            said.persons.extend(confirmed.into_values());
            let suggested = doc! { "gallery": &of.0, "suggestions.face": { "$in": ids } };
            let without = doc! { "$pull": { SUGGESTIONS: { "face": { "$in": ids } } } };
            for groups in [names::GROUPS, names::STAGED_GROUPS] {
                self.collection(groups).update_many(suggested.clone(), without.clone()).await?;
            }
        }
        self.uncover(of, &said.persons, &said.faces).await?;
        said.facts += self.erase_naming(of, &ids).await?;
        said.scrubbed = self.scrub(&of.0, said.scrubbed, &said.faces, &BTreeSet::new()).await?;
        Ok(())
    }

    /// Deletes all facts, and decisions of an older release, that name one of these faces or persons. Returns the
    /// number of facts without those of kind `place`, which say nothing by themselves.
    async fn erase_naming(&self, of: &GalleryId, ids: &[Bson]) -> Result<u64, MongoError> {
        let mut facts = 0;
        for ids in ids.chunks(CHUNK) {
            let naming = || doc! { "gallery": &of.0, "$or": [{ "a": { "$in": ids } }, { "b": { "$in": ids } }] };
            let mut speaking = naming();
            speaking.insert("kind", doc! { "$ne": PLACE });
            facts += self.collection(names::FACTS).delete_many(speaking).await?.deleted_count;
            self.collection(names::FACTS).delete_many(naming()).await?;
            self.collection(names::DECISIONS).delete_many(naming()).await?;
        }
        Ok(facts)
    }

    /// Removes the covers of these persons that are among the faces `gone`.
    async fn uncover(
        &self,
        of: &GalleryId,
        persons: &BTreeSet<GroupId>,
        gone: &BTreeSet<FaceId>,
    ) -> Result<(), MongoError> {
        for (id, mut person) in self.records_of(of, persons).await? {
            if person.cover.is_some_and(|cover| gone.contains(&cover)) {
                let before = facts::document(of, &Fact::Person { id, person: person.clone() });
                person.cover = None;
                let after = facts::document(of, &Fact::Person { id, person });
                // If another correction changed the person in the meantime, that one wins.
                self.collection(names::FACTS).replace_one(before, after).await?;
            }
        }
        Ok(())
    }

    /// Tells whether a person has a face, by a group or by a confirmation.
    async fn has_faces(&self, of: &GalleryId, person: GroupId) -> Result<bool, MongoError> {
        let grouped = doc! { "gallery": &of.0, pointer(self, of).await?.field(): uuid(person.0) };
        if self.collection(names::FACES).find_one(grouped).projection(doc! { "_id": 1 }).await?.is_some() {
            return Ok(true);
        }
        let confirmed = doc! { "gallery": &of.0, "b": uuid(person.0), "kind": "confirmed" };
        Ok(self.collection(names::FACTS).find_one(confirmed).await?.is_some())
    }

    /// Deletes persons: their records, the confirmations and rejections of faces, the merges between persons, and the
    /// facts about their faces that no longer exist. Returns the number of facts.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn erase_persons(&self, of: &GalleryId, mut persons: BTreeSet<GroupId>) -> Result<u64, MongoError> {
        let ids: Vec<Bson> = persons.iter().map(|person| uuid(person.0)).collect();
        let mut names = BTreeSet::new();
        for person in &persons {
            names.extend(self.name_of(*person).await?);
        }
        let mut faces = BTreeSet::new();
        for ids in ids.chunks(CHUNK) {
            let theirs = |kind: &str| doc! { "gallery": &of.0, "b": { "$in": ids }, "kind": kind };
            for fact in self.facts_of(theirs("became")).await? {
                persons.extend(fact.persons());
            }
            for fact in self.facts_of(theirs("confirmed")).await? {
                faces.extend(fact.faces());
            }
        }
        let gone = self.without_those(&faces, doc! {}).await?;
        let ids: Vec<Bson> = persons.iter().map(|person| uuid(person.0)).chain(faces_list(&gone)).collect();
        let facts = self.erase_naming(of, &ids).await?;
        self.scrub(&of.0, 0, &gone, &persons).await?;
        for name in names {
            self.erase_name(of, &name).await?;
        }
        if facts > 0 {
            // The raise prevents groups that follow from these facts from being saved, and copies from keeping them.
            self.raise_one(&of.0).await?;
        }
        Ok(facts)
    }

    async fn records_of(
        &self,
        of: &GalleryId,
        persons: &BTreeSet<GroupId>,
    ) -> Result<BTreeMap<GroupId, Person>, MongoError> {
        let ids: Vec<Bson> = persons.iter().map(|person| uuid(person.0)).collect();
        let mut records = BTreeMap::new();
        for ids in ids.chunks(CHUNK) {
            records.extend(facts::of_kinds(self, of, &["person"], Some(ids.to_vec())).await?.persons);
        }
        Ok(records)
    }

    async fn facts_of(&self, filter: Document) -> Result<Vec<Fact>, MongoError> {
        let mut found = self.collection(names::FACTS).find(filter).await?;
        let mut facts = Vec::new();
        while found.advance().await? {
            facts.push(facts::fact(&found.deserialize_current()?)?);
        }
        Ok(facts)
    }

    /// Returns the faces that facts name in photos of these contents, without those that are stored in other photos
    /// than `images`. Another model found such faces, or the photos had another key.
    pub(super) async fn spoken_of_in(
        &self,
        of: &GalleryId,
        contents: &[Bson],
        images: &[Bson],
    ) -> Result<BTreeSet<FaceId>, MongoError> {
        let mut faces = BTreeSet::new();
        for contents in contents.chunks(CHUNK) {
            for fact in self.facts_of(doc! { "gallery": &of.0, PHOTO: { "$in": contents } }).await? {
                faces.extend(fact.faces());
            }
        }
        self.without_those(&faces, doc! { "image": { "$nin": images } }).await
    }

    /// Returns the faces that a filter does not find.
    async fn without_those(&self, faces: &BTreeSet<FaceId>, filter: Document) -> Result<BTreeSet<FaceId>, MongoError> {
        let mut left = faces.clone();
        for ids in faces_list(faces).chunks(CHUNK) {
            let mut filter = filter.clone();
            filter.insert("_id", doc! { "$in": ids });
            let mut found = self.collection(names::FACES).find(filter).projection(doc! { "_id": 1 }).await?;
            while found.advance().await? {
                left.remove(&face_id(&found.deserialize_current()?, "_id")?);
            }
        }
        Ok(left)
    }

    /// Deletes the decisions of an older release that give a name to faces which no longer exist.
    async fn erase_name(&self, gallery: &GalleryId, name: &str) -> Result<(), MongoError> {
        let decisions = self.collection(names::DECISIONS);
        let said = doc! { "gallery": &gallery.0, "say": "name", "name": name };
        let mut of = Vec::new();
        let mut found = decisions.find(said.clone()).projection(doc! { "a": 1 }).await?;
        while found.advance().await? {
            of.extend(found.deserialize_current()?.get("a").cloned());
        }
        let there = self.collection(names::FACES).distinct("_id", doc! { "_id": { "$in": &of } }).await?;
        of.retain(|face| !there.contains(face));
        let mut gone = said;
        gone.insert("a", doc! { "$in": of });
        decisions.delete_many(gone).await?;
        Ok(())
    }

    /// Returns the name of a person or a group, where it has one.
    async fn name_of(&self, group: GroupId) -> Result<Option<String>, MongoError> {
        for groups in [names::GROUPS, names::STAGED_GROUPS] {
            let found = self.collection(groups).find_one(doc! { "_id": uuid(group.0) }).await?;
            if let Some(name) = found.and_then(|group| documents::text(&group, "name").ok().map(str::to_owned)) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
