//! Takes what people said of faces and persons out of the database: facts, and all that names them in the history.

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

/// Faces of one gallery that are being forgotten, and what was said of them.
#[derive(Debug)]
pub(super) struct StatedFacts {
    gallery: GalleryId,
    faces: BTreeSet<FaceId>,
    /// Persons that some of the faces were said to be, or are grouped with.
    persons: BTreeSet<GroupId>,
    /// The changes before this one name none of them any more.
    scrubbed: u64,
    /// How many facts went.
    facts: u64,
}

fn faces_list(ids: &BTreeSet<FaceId>) -> Vec<Bson> {
    ids.iter().map(|face| uuid(face.0)).collect()
}

impl MongoFaces {
    /// Deletes what people said of faces of a gallery, and what was suggested for them. What names them anew until they are
    /// deleted goes with [`Self::erase_rest`].
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

    /// After the faces were deleted and the gallery was raised: what was said of them meanwhile goes too, and so do persons
    /// that no face is left of. How many facts went in all.
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
            // Nobody saves what follows from them.
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

    /// Deletes all facts that name one of these faces or persons, and what a release before noted of them; how many of the
    /// facts say something by themselves.
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

    /// None of these persons is shown by one of these faces any more.
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
                // Whoever says something else of the person meanwhile has the last word.
                self.collection(names::FACTS).replace_one(before, after).await?;
            }
        }
        Ok(())
    }

    /// Whether any face is a person's: by a group, or because somebody said so.
    async fn has_faces(&self, of: &GalleryId, person: GroupId) -> Result<bool, MongoError> {
        let grouped = doc! { "gallery": &of.0, pointer(self, of).await?.field(): uuid(person.0) };
        if self.collection(names::FACES).find_one(grouped).projection(doc! { "_id": 1 }).await?.is_some() {
            return Ok(true);
        }
        let confirmed = doc! { "gallery": &of.0, "b": uuid(person.0), "kind": "confirmed" };
        Ok(self.collection(names::FACTS).find_one(confirmed).await?.is_some())
    }

    /// Deletes persons: the records, whose faces were said to be theirs or not, who became them, and all that is known of
    /// their faces that are no more. How many facts there were.
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
            // Nobody saves what follows from them, and no copy of them stays.
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

    /// Faces that somebody spoke of, in photos of these contents, and that are in no photo but these: another model found
    /// them, or the photos lay elsewhere.
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

    /// Faces without those that a filter finds.
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

    /// Deletes what a release before noted of a name of faces which are no more.
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

    /// The name of a person or a group, where it has one.
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
