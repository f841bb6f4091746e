//! Computes the differences between a new partition and the stored one, and the writes for them.

use std::collections::{BTreeMap, HashMap, HashSet};

use mongodb::ClientSession;
use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, Group, GroupId, Partition};

use super::change_marks::{self, CHANGED};
use super::documents::{self, group_id, signed, uuid};
use super::pointer::PartitionPointer;
use super::{MongoError, MongoFaces, gallery, names, stored_faces};

/// Number of faces and documents of groups that are written at once. Others wait less than a second for such a write.
pub const CHUNK: usize = 1_000;

/// Fields of groups and redirects, without the mark [`CHANGED`].
const FIELDS: [&str; 7] = ["gallery", "into", "count", "cover", "centroid", "name", documents::SUGGESTIONS];

/// A partition as documents.
struct Drawing<'a> {
    of: &'a GalleryId,
    groups: HashMap<GroupId, &'a Group>,
    redirects: &'a BTreeMap<GroupId, GroupId>,
    /// Faces that are suggested for each group, ascending by id, with the probabilities (0 to 1).
    suggested: HashMap<GroupId, Vec<(FaceId, f32)>>,
}

impl<'a> Drawing<'a> {
    fn new(of: &'a GalleryId, partition: &'a Partition) -> Self {
        let mut suggested: HashMap<GroupId, Vec<(FaceId, f32)>> = HashMap::new();
        for (face, suggestion) in &partition.suggestions {
            suggested.entry(suggestion.group).or_default().push((*face, suggestion.probability));
        }
        let groups = partition.groups.iter().map(|group| (group.id, group)).collect();
        Self { of, groups, redirects: &partition.redirects, suggested }
    }

    /// Builds the document of a group or a redirect, without its id; `None` where the partition has neither.
    fn document(&self, id: GroupId) -> Option<Document> {
        if let Some(into) = self.redirects.get(&id) {
            return Some(doc! { "gallery": &self.of.0, "into": uuid(into.0) });
        }
        let group = self.groups.get(&id)?;
        let mut document = doc! {
            "gallery": &self.of.0,
            "count": signed(group.faces.len() as u64),
            "cover": uuid(group.cover.0),
            "centroid": documents::vector(&group.centroid),
            "name": group.name.as_deref(),
        };
        if let Some(suggested) = self.suggested.get(&id) {
            let one = |(face, probability): &(FaceId, f32)| {
                doc! { "face": uuid(face.0), "probability": f64::from(*probability) }
            };
            document.insert(documents::SUGGESTIONS, suggested.iter().map(one).collect::<Vec<_>>());
        }
        Some(document)
    }
}

/// Groups and redirects of a stored partition, as documents without id and mark.
pub type StoredGroups = HashMap<GroupId, Document>;

/// Builds the documents of a partition in the form in which they are stored.
pub fn documents(of: &GalleryId, partition: &Partition) -> StoredGroups {
    let drawing = Drawing::new(of, partition);
    let ids = partition.groups.iter().map(|group| group.id).chain(partition.redirects.keys().copied());
    ids.filter_map(|id| Some((id, drawing.document(id)?))).collect()
}

/// Difference between a new partition and the stored one.
pub struct Difference<'a> {
    /// Location of the stored partition.
    pointer: PartitionPointer,
    drawing: Drawing<'a>,
    /// Faces that change their group, by the new group.
    moved: BTreeMap<Option<GroupId>, Vec<FaceId>>,
    /// Groups and redirects that are new, or differ from the stored ones.
    changed: Vec<GroupId>,
    /// Groups and redirects that no longer exist.
    ended: Vec<GroupId>,
}

/// One write of a difference.
enum Write<'d> {
    Move(Option<GroupId>, &'d [FaceId]),
    Put(GroupId),
    End(&'d [GroupId]),
}

impl Write<'_> {
    fn weight(&self) -> usize {
        match self {
            Self::Move(_, faces) => faces.len(),
            Self::Put(_) => 1,
            Self::End(groups) => groups.len(),
        }
    }
}

impl<'a> Difference<'a> {
    /// Reads the stored partition and compares `after` with it.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn read(
        store: &MongoFaces,
        of: &'a GalleryId,
        pointer: PartitionPointer,
        after: &'a Partition,
    ) -> Result<Self, MongoError> {
        let mut between = Between::new(of, stored_faces::homes(store, of, pointer, None).await?, after);
        let mut stored = gallery::find(store, pointer.groups(), of, doc! {}, doc! { "_id": 1 }).await?;
        while stored.advance().await? {
            let mut document = stored.deserialize_current()?;
            let Some(id) = group_id(&document, "_id")? else { continue };
            document.remove("_id");
            document.remove(CHANGED);
            between.compare(id, &document);
        }
        Ok(between.end(pointer, after))
    }

    /// Compares `after` with a stored partition that is known already.
    pub fn known(
        of: &'a GalleryId,
        pointer: PartitionPointer,
        (homes, stored): (HashMap<FaceId, GroupId>, &StoredGroups),
        after: &'a Partition,
    ) -> Self {
        let mut between = Between::new(of, homes, after);
        for (id, document) in stored {
            between.compare(*id, document);
        }
        between.end(pointer, after)
    }

    /// Returns the location of the stored partition.
    pub fn pointer(&self) -> PartitionPointer {
        self.pointer
    }

    /// Returns how many faces and documents are written.
    pub fn len(&self) -> usize {
        self.moved.values().map(Vec::len).sum::<usize>() + self.changed.len() + self.ended.len()
    }

    fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        let moved = self.moved.iter();
        let moved = moved.flat_map(|(group, faces)| faces.chunks(CHUNK).map(|faces| Write::Move(*group, faces)));
        let ended = self.ended.chunks(CHUNK).map(Write::End);
        moved.chain(self.changed.iter().map(|id| Write::Put(*id))).chain(ended)
    }

    /// Returns all writes, in batches of about [`CHUNK`] faces and documents.
    pub fn batches(&self) -> impl Iterator<Item = Batch> + '_ {
        let mut writes = self.writes().peekable();
        std::iter::from_fn(move || {
            writes.peek()?;
            let (mut batch, mut weight) = (Batch::of(self.pointer), 0);
            while weight < CHUNK
                && let Some(write) = writes.next()
            {
                weight += write.weight();
                batch.add(&write, &self.drawing);
            }
            Some(batch)
        })
    }
}

/// A difference that is being computed.
struct Between<'a> {
    drawing: Drawing<'a>,
    moved: BTreeMap<Option<GroupId>, Vec<FaceId>>,
    /// Groups that gain or lose faces. They are written even if their documents stay the same, so that they are marked.
    touched: HashSet<GroupId>,
    same: HashSet<GroupId>,
    ended: Vec<GroupId>,
}

impl<'a> Between<'a> {
    fn new(of: &'a GalleryId, homes: HashMap<FaceId, GroupId>, after: &'a Partition) -> Self {
        let (moved, touched) = moved(homes, after);
        Self { drawing: Drawing::new(of, after), moved, touched, same: HashSet::new(), ended: Vec::new() }
    }

    /// Compares a group with its stored document. The stored count matters, because a face that it includes may have
    /// been deleted.
    fn compare(&mut self, id: GroupId, stored: &Document) {
        match self.drawing.document(id) {
            None => self.ended.push(id),
            Some(drawn) if drawn == *stored && !self.touched.contains(&id) => drop(self.same.insert(id)),
            Some(_) => {}
        }
    }

    fn end(self, pointer: PartitionPointer, after: &Partition) -> Difference<'a> {
        let Self { drawing, moved, same, mut ended, .. } = self;
        let all = after.groups.iter().map(|group| group.id).chain(after.redirects.keys().copied());
        let changed = all.filter(|id| !same.contains(id)).collect();
        ended.sort_unstable();
        Difference { pointer, drawing, moved, changed, ended }
    }
}

/// Writes that are done in one transaction.
pub struct Batch {
    pointer: PartitionPointer,
    faces: Vec<Document>,
    groups: Vec<Document>,
    ended: Vec<Bson>,
}

impl Batch {
    fn of(pointer: PartitionPointer) -> Self {
        Self { pointer, faces: Vec::new(), groups: Vec::new(), ended: Vec::new() }
    }

    fn add(&mut self, write: &Write<'_>, drawing: &Drawing<'_>) {
        match write {
            // An update does not create faces that were deleted.
            Write::Move(group, faces) => {
                let ids: Vec<Bson> = faces.iter().map(|face| uuid(face.0)).collect();
                self.faces
                    .push(doc! { "q": { "_id": { "$in": ids } }, "u": into(self.pointer, *group), "multi": true });
            }
            Write::Put(id) => {
                let document = drawing.document(*id).unwrap_or_default();
                let gone = FIELDS.iter().filter(|field| !document.contains_key(**field));
                let gone: Document = gone.map(|field| ((*field).to_owned(), Bson::Int32(1))).collect();
                let mut update = doc! { "$set": document };
                if !gone.is_empty() {
                    update.insert("$unset", gone);
                }
                self.groups.push(doc! { "q": { "_id": uuid(id.0) }, "u": update, "upsert": true });
            }
            Write::End(groups) => self.ended.extend(groups.iter().map(|group| uuid(group.0))),
        }
    }

    /// Executes the writes in a transaction that brings the gallery to a generation.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Statement`] when it refuses one of the updates.
    pub async fn write(
        &self,
        store: &MongoFaces,
        session: &mut ClientSession,
        generation: u64,
    ) -> Result<(), MongoError> {
        let mut groups = self.groups.clone();
        for update in &mut groups {
            if let Ok(set) = update.get_document_mut("u").and_then(|update| update.get_document_mut("$set")) {
                set.insert(CHANGED, change_marks::generation(generation));
            }
        }
        for (collection, updates) in [(names::FACES, &self.faces), (self.pointer.groups(), &groups)] {
            if !updates.is_empty() {
                let command = doc! { "update": collection, "updates": updates };
                told(&store.faces.run_command(command).session(&mut *session).await?)?;
            }
        }
        if !self.ended.is_empty() {
            let ended = doc! { "_id": { "$in": &self.ended } };
            store.collection(self.pointer.groups()).delete_many(ended).session(session).await?;
        }
        Ok(())
    }
}

/// Builds the update that puts faces into a group, or into none.
pub fn into(pointer: PartitionPointer, group: Option<GroupId>) -> Document {
    match group {
        Some(group) => doc! { "$set": { pointer.field(): uuid(group.0) } },
        None => doc! { "$unset": { pointer.field(): 1 } },
    }
}

/// Reads the first failure from the answer to an `update`.
fn told(answer: &Document) -> Result<(), MongoError> {
    let Some(Bson::Document(error)) = answer.get_array("writeErrors").ok().and_then(|errors| errors.first()) else {
        return Ok(());
    };
    let message = error.get_str("errmsg").unwrap_or("no message").to_owned();
    Err(MongoError::Statement { code: error.get_i32("code").unwrap_or_default(), message })
}

/// Returns the faces that change their group, by the new group, and the groups that gain or lose one.
fn moved(
    mut now: HashMap<FaceId, GroupId>,
    after: &Partition,
) -> (BTreeMap<Option<GroupId>, Vec<FaceId>>, HashSet<GroupId>) {
    let mut moved: BTreeMap<Option<GroupId>, Vec<FaceId>> = BTreeMap::new();
    let mut touched = HashSet::new();
    for group in &after.groups {
        for face in &group.faces {
            let before = now.remove(face);
            if before != Some(group.id) {
                touched.extend(before);
                touched.insert(group.id);
                moved.entry(Some(group.id)).or_default().push(*face);
            }
        }
    }
    if !now.is_empty() {
        touched.extend(now.values());
        let mut out: Vec<FaceId> = now.into_keys().collect();
        out.sort_unstable();
        moved.insert(None, out);
    }
    (moved, touched)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: u8, faces: &[u8]) -> Group {
        let faces: Vec<FaceId> = faces.iter().map(|face| FaceId([*face; 16])).collect();
        Group { id: GroupId([id; 16]), cover: faces[0], faces, centroid: vec![1.0], name: None }
    }

    #[test]
    fn every_write_is_in_one_batch_and_no_batch_is_large() {
        let of = GalleryId("g".to_owned());
        let groups: Vec<Group> = (0..250).map(|id| group(id, &[id])).collect();
        let partition = Partition { groups, ..Partition::default() };
        let faces = |n: usize| (0..n).map(|face| FaceId([(face % 251) as u8; 16])).collect::<Vec<_>>();
        let moved = BTreeMap::from([
            (None, faces(1)),
            (Some(GroupId([1; 16])), faces(2_700)),
            (Some(GroupId([2; 16])), faces(40)),
        ]);
        let difference = Difference {
            pointer: PartitionPointer::default(),
            drawing: Drawing::new(&of, &partition),
            moved,
            changed: partition.groups.iter().map(|group| group.id).collect(),
            ended: (0..2_100u32).map(|n| GroupId([(n % 7) as u8; 16])).collect(),
        };
        let ids = |update: &Document| {
            update.get_document("q").unwrap().get_document("_id").unwrap().get_array("$in").unwrap().len()
        };
        let (mut moved, mut put, mut ended) = (0, 0, 0);
        for batch in difference.batches() {
            let faces: usize = batch.faces.iter().map(ids).sum();
            assert!(faces + batch.groups.len() + batch.ended.len() < 2 * CHUNK);
            (moved, put, ended) = (moved + faces, put + batch.groups.len(), ended + batch.ended.len());
        }
        assert_eq!((moved, put, ended), (2_741, 250, 2_100));
        assert_eq!(difference.len(), 2_741 + 250 + 2_100);
    }

    #[test]
    fn a_face_is_moved_where_its_group_is_another_and_out_where_it_is_in_none() {
        let face = |n| FaceId([n; 16]);
        let now = [(face(1), GroupId([1; 16])), (face(2), GroupId([1; 16])), (face(3), GroupId([2; 16]))];
        let after = Partition { groups: vec![group(1, &[1, 4]), group(3, &[2])], ..Partition::default() };
        let expected = BTreeMap::from([
            (None, vec![face(3)]),
            (Some(GroupId([1; 16])), vec![face(4)]),
            (Some(GroupId([3; 16])), vec![face(2)]),
        ]);
        let touched = [1, 2, 3].map(|id| GroupId([id; 16]));
        assert_eq!(moved(now.into(), &after), (expected, touched.into()));
    }
}
