//! Keeps a grouping worker's copy of a gallery: the gallery is read once as a whole, and then only its changes.
//!
//! A copy repeats what is stored, mistakes included, and is never the only place of any data. The gallery is read again
//! as a whole if the copy cannot be brought up to date with certainty: another partition is in force, faces were
//! deleted, or the number of faces differs from that in the database.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use mongodb::bson::{DateTime, Document, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::facts::Facts;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, Group, GroupId, Partition, Suggestion};
use parking_lot::Mutex;

use super::change_marks::{CHANGED, seen_until};
use super::difference::{self, Difference, StoredGroups};
use super::documents::{self, face_id, floats, group_id, unsigned, uuid};
use super::gallery::GalleryHead;
use super::stored_faces::{self, StoredFace};
use super::{MongoError, MongoFaces, facts, gallery};

/// Number of faces up to which a gallery is read as a whole each time.
const SMALL: usize = 5_000;
/// Greatest number of attempts at reading changes until the number of faces is that in the database, because faces may
/// be added in the meantime.
const ROUNDS: u32 = 3;
/// Number of ids in one filter.
const IDS: usize = 5_000;
/// Approximate bytes of a face and of a group, without their vectors.
const FACE_BYTES: usize = size_of::<StoredFace>() + 32;
const GROUP_BYTES: usize = 600;
/// Approximate bytes of a fact.
const FACT_BYTES: usize = 250;

/// Copy of a gallery.
#[derive(Clone, Debug)]
pub struct GalleryCopy {
    head: GalleryHead,
    /// Time by the server's clock until which the copy includes all writes of faces.
    looked: DateTime,
    faces: BTreeMap<FaceId, StoredFace>,
    groups: StoredGroups,
    facts: Facts,
}

impl GalleryCopy {
    /// Reads a whole gallery. Faces that are added in the meantime may be included or not.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn read(
        store: &MongoFaces,
        of: &GalleryId,
        head: GalleryHead,
        looked: DateTime,
    ) -> Result<Self, MongoError> {
        let faces = stored_faces::read(store, of, head, None).await?;
        let faces = faces.into_iter().map(|face| (face.vector.id, face)).collect();
        let mut cursor = gallery::find(store, head.pointer.groups(), of, doc! {}, doc! { "_id": 1 }).await?;
        let mut groups = StoredGroups::new();
        while cursor.advance().await? {
            groups.extend(stored_group(cursor.deserialize_current()?)?);
        }
        let facts = facts::all(store, of).await?;
        Ok(Self { head, looked, faces, groups, facts })
    }

    /// Brings the copy to `head` by reading only changes, and tells whether that was possible. If not, the copy is
    /// useless.
    async fn follow(&mut self, store: &MongoFaces, of: &GalleryId, head: GalleryHead) -> Result<bool, MongoError> {
        let is_older = head.version.generation < self.head.version.generation;
        if is_older || head.pointer != self.head.pointer || head.unmarked != self.head.unmarked {
            return Ok(false);
        }
        if head.version.revision != self.head.version.revision {
            self.follow_groups(store, of, head).await?;
            self.facts = facts::all(store, of).await?;
        }
        for _ in 0..ROUNDS {
            let looked = seen_until(store).await?;
            for face in stored_faces::read(store, of, head, Some(self.looked)).await? {
                self.faces.insert(face.vector.id, face);
            }
            self.looked = looked;
            let (count, known) = (stored_faces::count(store, of).await?, self.faces.len() as u64);
            if count <= known {
                self.head = head;
                return Ok(count == known);
            }
        }
        Ok(false)
    }

    /// Reads the groups that changed, and their members.
    async fn follow_groups(&mut self, store: &MongoFaces, of: &GalleryId, to: GalleryHead) -> Result<(), MongoError> {
        let marks = marks(store, of, to).await?;
        let mut affected: HashSet<GroupId> = self.groups.keys().filter(|id| !marks.contains_key(id)).copied().collect();
        for id in &affected {
            self.groups.remove(id);
        }
        let since = self.head.version.generation;
        let changed: Vec<GroupId> = marks.iter().filter(|(_, mark)| mark.changed > since).map(|(id, _)| *id).collect();
        for ids in changed.chunks(IDS) {
            let ids: Vec<_> = ids.iter().map(|id| uuid(id.0)).collect();
            let filter = doc! { "_id": { "$in": ids } };
            let mut found = gallery::query(store, to.pointer.groups(), filter, doc! {}, doc! {}).await?;
            while found.advance().await? {
                self.groups.extend(stored_group(found.deserialize_current()?)?);
            }
        }
        let homes = stored_faces::homes(store, of, to.pointer, Some(&changed)).await?;
        affected.extend(changed);
        for face in self.faces.values_mut().filter(|face| face.group.is_some_and(|group| affected.contains(&group))) {
            face.group = None;
        }
        for (face, group) in homes {
            if let Some(face) = self.faces.get_mut(&face) {
                face.group = Some(group);
            }
        }
        Ok(())
    }

    /// Returns the snapshot that grouping starts from.
    ///
    /// # Errors
    /// [`MongoError::Document`] when the document of a group is not what muster wrote.
    pub fn snapshot(&self) -> Result<GallerySnapshot, MongoError> {
        self.clone().into_snapshot()
    }

    /// Turns the copy into the snapshot that grouping starts from.
    ///
    /// # Errors
    /// [`MongoError::Document`] when the document of a group is not what muster wrote.
    pub fn into_snapshot(self) -> Result<GallerySnapshot, MongoError> {
        let Self { head, faces, groups, facts, .. } = self;
        let mut members: BTreeMap<GroupId, Vec<FaceId>> = BTreeMap::new();
        let (mut doubted, mut vectors) = (BTreeSet::new(), Vec::with_capacity(faces.len()));
        for (id, StoredFace { vector, is_doubted, group }) in faces {
            if let Some(group) = group {
                members.entry(group).or_default().push(id);
            }
            if is_doubted {
                doubted.insert(id);
            }
            vectors.push(vector);
        }
        let previous = partition(&groups, members)?;
        Ok(GallerySnapshot { version: head.version, faces: vectors, doubted, facts, previous })
    }

    /// Computes the difference between the copy's partition and `after`.
    pub fn difference<'a>(&self, of: &'a GalleryId, after: &'a Partition) -> Difference<'a> {
        let homes = self.faces.iter().filter_map(|(id, face)| Some((*id, face.group?))).collect();
        Difference::known(of, self.head.pointer, (homes, &self.groups), after)
    }

    /// Updates the copy after a partition that was computed from it is stored.
    fn saved(&mut self, of: &GalleryId, head: GalleryHead, partition: &Partition) {
        self.faces.values_mut().for_each(|face| face.group = None);
        for group in &partition.groups {
            for face in &group.faces {
                if let Some(face) = self.faces.get_mut(face) {
                    face.group = Some(group.id);
                }
            }
        }
        self.groups = difference::documents(of, partition);
        self.head = head;
    }

    fn bytes(&self) -> usize {
        let dimensions = self.faces.values().next().map_or(0, |face| face.vector.embedding.len());
        let vector = dimensions * size_of::<f32>();
        let facts = (self.facts.persons.len() + self.facts.confirmed.len()) * FACT_BYTES;
        self.faces.len() * (FACE_BYTES + vector) + self.groups.len() * (GROUP_BYTES + vector) + facts
    }
}

/// Fields of a group that an index holds.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// Generation at which the group was written; 0 where it is unknown.
    pub changed: u64,
    /// Whether the group was merged into another.
    pub is_redirect: bool,
}

/// Returns the marks of all groups and redirects of a gallery.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote.
pub async fn marks(store: &MongoFaces, of: &GalleryId, at: GalleryHead) -> Result<BTreeMap<GroupId, Mark>, MongoError> {
    let (projection, sort) = (doc! { "_id": 1, CHANGED: 1, "into": 1 }, doc! { "gallery": 1, CHANGED: 1 });
    let mut cursor = gallery::find(store, at.pointer.groups(), of, projection, sort).await?;
    let mut marks = BTreeMap::new();
    while cursor.advance().await? {
        let document = cursor.deserialize_current()?;
        let Some(id) = group_id(&document, "_id")? else { continue };
        let changed = if document.get_i64(CHANGED).is_ok() { unsigned(&document, CHANGED)? } else { 0 };
        marks.insert(id, Mark { changed, is_redirect: group_id(&document, "into")?.is_some() });
    }
    Ok(marks)
}

fn stored_group(mut document: Document) -> Result<Option<(GroupId, Document)>, MongoError> {
    let id = group_id(&document, "_id")?;
    document.remove("_id");
    document.remove(CHANGED);
    Ok(id.map(|id| (id, document)))
}

/// Assembles the partition from stored groups and their members.
fn partition(groups: &StoredGroups, mut members: BTreeMap<GroupId, Vec<FaceId>>) -> Result<Partition, MongoError> {
    let mut partition = Partition::default();
    for (id, document) in groups {
        let id = *id;
        if let Some(into) = group_id(document, "into")? {
            partition.redirects.insert(id, into);
            continue;
        }
        for (face, probability) in documents::suggestions(document)? {
            partition.suggestions.insert(face, Suggestion { group: id, probability });
        }
        partition.groups.push(Group {
            id,
            faces: members.remove(&id).unwrap_or_default(),
            cover: face_id(document, "cover")?,
            centroid: floats(document, "centroid")?,
            name: document.get_str("name").ok().map(str::to_owned),
        });
    }
    partition.groups.sort_unstable_by_key(|group| group.id);
    Ok(partition)
}

/// Copies of the galleries that were grouped last.
#[derive(Debug)]
pub struct GalleryCopies {
    /// Greatest number of bytes of all copies together.
    limit: usize,
    /// Number of faces up to which a gallery is not kept.
    small: usize,
    /// Copies, the least recently used first.
    all: Mutex<Vec<(GalleryId, GalleryCopy)>>,
}

impl GalleryCopies {
    /// Keeps copies of up to `limit` bytes together.
    pub fn new(limit: usize) -> Self {
        Self { limit, small: SMALL, all: Mutex::default() }
    }

    /// Keeps copies of small galleries too.
    pub fn of_all_sizes(limit: usize) -> Self {
        Self { small: 0, ..Self::new(limit) }
    }

    fn take(&self, of: &GalleryId) -> Option<GalleryCopy> {
        let mut all = self.all.lock();
        let place = all.iter().position(|(gallery, _)| gallery == of)?;
        Some(all.remove(place).1)
    }

    /// Takes the copy of a gallery and brings it to `head`; `None` if there is no copy, or that is impossible.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn follow(
        &self,
        store: &MongoFaces,
        of: &GalleryId,
        head: GalleryHead,
    ) -> Result<Option<GalleryCopy>, MongoError> {
        // The copy is taken out in the meantime, so that an error leaves no inconsistent copy behind.
        let Some(mut copy) = self.take(of) else { return Ok(None) };
        Ok(copy.follow(store, of, head).await?.then_some(copy))
    }

    /// Takes the copy from which a grouping of the state `read` was computed.
    pub fn made_from(&self, of: &GalleryId, read: GalleryHead) -> Option<GalleryCopy> {
        self.take(of).filter(|copy| copy.head == read)
    }

    /// Returns the snapshot for grouping; the copy is kept if the gallery is large enough and fits.
    ///
    /// # Errors
    /// [`MongoError::Document`] when the document of a group is not what muster wrote.
    pub fn read_from(&self, of: &GalleryId, copy: GalleryCopy) -> Result<GallerySnapshot, MongoError> {
        if copy.faces.len() <= self.small || copy.bytes() > self.limit {
            return copy.into_snapshot();
        }
        let snapshot = copy.snapshot();
        self.keep(of, copy);
        snapshot
    }

    /// Keeps a copy, and drops the least recently used ones until all fit.
    pub fn keep(&self, of: &GalleryId, copy: GalleryCopy) {
        let mut all = self.all.lock();
        all.push((of.clone(), copy));
        let mut bytes: usize = all.iter().map(|(_, copy)| copy.bytes()).sum();
        while bytes > self.limit && !all.is_empty() {
            bytes -= all.remove(0).1.bytes();
        }
    }

    /// Keeps a copy whose new partition was saved.
    pub fn keep_saved(&self, of: &GalleryId, mut copy: GalleryCopy, head: GalleryHead, partition: &Partition) {
        copy.saved(of, head, partition);
        self.keep(of, copy);
    }
}
