//! Updates the groups that a change names. No other group is read or written.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::fact::Fact;
use muster_actors::domain::facts::Edit;
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::person::Person;
use muster_actors::grouping::picture::{Member, picture};
use muster_actors::people::scene::SceneGroup;
use muster_actors::people::{Change, Scene};

use super::change_marks::{self, CHANGED};
use super::difference::into as put_into;
use super::documents::{self, SUGGESTIONS, face_id, floats, fraction, signed, uuid};
use super::facts::CHUNK;
use super::gallery::GalleryHead;
use super::pointer::PartitionPointer;
use super::transaction::read;
use super::{MongoError, MongoFaces, names};

/// Applies a change: faces move into their groups, and the documents of these groups are updated.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn apply(
    store: &MongoFaces,
    session: &mut ClientSession,
    (of, head): (&GalleryId, GalleryHead),
    scene: &Scene,
    change: &Change,
) -> Result<(), MongoError> {
    let pointer = head.pointer;
    let mut moved: BTreeMap<Option<GroupId>, Vec<Bson>> = BTreeMap::new();
    for face in &change.moved {
        moved.entry(face.to).or_default().push(uuid(face.face.0));
    }
    let faces = store.collection(names::FACES);
    for (group, ids) in moved {
        for ids in ids.chunks(CHUNK) {
            let which = doc! { "_id": { "$in": ids } };
            faces.update_many(which, put_into(pointer, group)).session(&mut *session).await?;
        }
    }
    let mut facts = scene.facts.clone();
    change.edits.iter().for_each(|edit| facts.apply(edit));
    let changed = change_marks::generation(head.version.generation);
    let groups = Groups { store, of, pointer, changed, persons: &facts.persons };
    let newly: Vec<Bson> = change.moved.iter().filter(|m| m.from.is_none()).map(|m| uuid(m.face.0)).collect();
    groups.drop_suggestions(session, &newly).await?;
    // Groups that are merged into others come last, because their suggestions move to the others.
    let mut anew: BTreeSet<GroupId> = change.moved.iter().flat_map(|m| m.from.into_iter().chain(m.to)).collect();
    let mut described = BTreeSet::new();
    for Records { id, before, after } in change.edits.iter().filter_map(Records::of) {
        let cover = |person: Option<&Person>| person.and_then(|person| person.cover);
        let is_member = |face| scene.groups.get(&id).is_some_and(|group| group.faces.contains(&face));
        let (before, after) = (cover(before), cover(after));
        // The chosen cover was removed, or is in another group: the best face becomes the cover again.
        let is_anew = before != after && !after.is_some_and(is_member);
        if is_anew {
            anew.insert(id)
        } else {
            described.insert(id)
        };
    }
    let (gone, stay): (Vec<GroupId>, Vec<GroupId>) = anew.iter().partition(|id| change.merged.contains_key(*id));
    for id in stay.into_iter().chain(gone) {
        groups.draw(session, id, change.merged.get(&id).copied()).await?;
    }
    for id in described.difference(&anew) {
        groups.describe(session, *id, scene.groups.get(id)).await?;
    }
    Ok(())
}

/// Record of a person before and after an edit.
struct Records<'a> {
    id: GroupId,
    before: Option<&'a Person>,
    after: Option<&'a Person>,
}

impl<'a> Records<'a> {
    fn of(edit: &'a Edit) -> Option<Self> {
        let record = |fact: &'a Option<Fact>| match fact {
            Some(Fact::Person { id, person }) => Some((*id, person)),
            _ => None,
        };
        let (before, after) = (record(&edit.before), record(&edit.after));
        let (id, _) = before.or(after)?;
        Some(Self { id, before: before.map(|(_, person)| person), after: after.map(|(_, person)| person) })
    }
}

struct Groups<'a> {
    store: &'a MongoFaces,
    of: &'a GalleryId,
    pointer: PartitionPointer,
    /// Mark of the documents that are written.
    changed: Bson,
    /// Records of the persons that the change concerns, after it.
    persons: &'a BTreeMap<GroupId, Person>,
}

impl Groups<'_> {
    /// Removes the suggestions for faces that came into a group.
    async fn drop_suggestions(&self, session: &mut ClientSession, faces: &[Bson]) -> Result<(), MongoError> {
        for faces in faces.chunks(CHUNK) {
            let suggested = doc! { "gallery": &self.of.0, "suggestions.face": { "$in": faces } };
            let without =
                doc! { "$pull": { SUGGESTIONS: { "face": { "$in": faces } } }, "$set": { CHANGED: &self.changed } };
            self.store.collection(self.pointer.groups()).update_many(suggested, without).session(&mut *session).await?;
        }
        Ok(())
    }

    /// Writes a person's name and cover to a group whose faces stay.
    async fn describe(
        &self,
        session: &mut ClientSession,
        id: GroupId,
        group: Option<&SceneGroup>,
    ) -> Result<(), MongoError> {
        let person = self.persons.get(&id);
        let mut fields = doc! { "name": person.and_then(|person| person.name.as_deref()), CHANGED: &self.changed };
        let chosen = person.and_then(|person| person.cover);
        let chosen = chosen.filter(|cover| group.is_some_and(|group| group.faces.contains(cover)));
        fields.extend(chosen.map(|cover| ("cover".to_owned(), uuid(cover.0))));
        // A person without faces has no group.
        let group = doc! { "_id": uuid(id.0), "gallery": &self.of.0, "into": null };
        let groups = self.store.collection(self.pointer.groups());
        groups.update_one(group, doc! { "$set": fields }).session(session).await?;
        Ok(())
    }

    /// Writes the document of a group from its present faces. A group without faces becomes a redirect to `into`, or is
    /// deleted.
    async fn draw(&self, session: &mut ClientSession, id: GroupId, into: Option<GroupId>) -> Result<(), MongoError> {
        let members = self.members(session, id).await?;
        let members: Vec<Member<'_>> =
            members.iter().map(|(face, vector, quality)| (*face, &vector[..], *quality)).collect();
        let Some((best, centroid)) = picture(&members) else { return self.end(session, id, into).await };
        let person = self.persons.get(&id);
        let is_member = |cover: &FaceId| members.binary_search_by_key(cover, |member| member.0).is_ok();
        let chosen = person.and_then(|person| person.cover).filter(is_member);
        let fields = doc! {
            "gallery": &self.of.0,
            "count": signed(members.len() as u64),
            "cover": uuid(chosen.unwrap_or(best).0),
            "centroid": documents::vector(&centroid),
            "name": person.and_then(|person| person.name.as_deref()),
            CHANGED: &self.changed,
        };
        // An id that was a redirect becomes a group again.
        let update = doc! { "$set": fields, "$unset": { "into": 1 } };
        let groups = self.store.collection(self.pointer.groups());
        groups.update_one(doc! { "_id": uuid(id.0) }, update).upsert(true).session(session).await?;
        Ok(())
    }

    /// Returns the faces of a group, ascending by id, with their embeddings and qualities.
    async fn members(
        &self,
        session: &mut ClientSession,
        id: GroupId,
    ) -> Result<Vec<(FaceId, Vec<f32>, f32)>, MongoError> {
        let filter = doc! { "gallery": &self.of.0, self.pointer.field(): uuid(id.0) };
        let projection = doc! { "embedding": 1, "overall": 1 };
        let found = read(self.store, session, names::FACES, filter, projection, doc! {}).await?;
        let member =
            |face: &Document| Ok((face_id(face, "_id")?, floats(face, "embedding")?, fraction(face, "overall")?));
        let mut members: Vec<_> = found.iter().map(member).collect::<Result<_, MongoError>>()?;
        members.sort_unstable_by_key(|member| member.0);
        Ok(members)
    }

    async fn end(&self, session: &mut ClientSession, id: GroupId, into: Option<GroupId>) -> Result<(), MongoError> {
        let groups = self.store.collection(self.pointer.groups());
        let (itself, led) = (doc! { "_id": uuid(id.0) }, doc! { "gallery": &self.of.0, "into": uuid(id.0) });
        let Some(into) = into else {
            groups.delete_one(itself).session(&mut *session).await?;
            groups.delete_many(led).session(session).await?;
            return Ok(());
        };
        let ended = groups.find_one(itself.clone()).projection(doc! { SUGGESTIONS: 1 }).session(&mut *session).await?;
        if let Some(suggested) = ended.as_ref().and_then(|group| group.get_array(SUGGESTIONS).ok()) {
            let push = doc! { "$push": { SUGGESTIONS: { "$each": suggested } }, "$set": { CHANGED: &self.changed } };
            groups.update_one(doc! { "_id": uuid(into.0) }, push).session(&mut *session).await?;
        }
        let redirect = doc! { "gallery": &self.of.0, "into": uuid(into.0), CHANGED: &self.changed };
        groups.replace_one(itself, redirect).upsert(true).session(&mut *session).await?;
        let leads = doc! { "$set": { "into": uuid(into.0), CHANGED: &self.changed } };
        groups.update_many(led, leads).session(session).await?;
        Ok(())
    }
}
