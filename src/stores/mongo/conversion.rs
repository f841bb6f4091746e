//! Converts galleries of an older release, in which the decisions of people are a log, into facts. Each gallery is
//! converted once.
//!
//! The facts of a large gallery are more than one transaction can write, and no reader uses them before the gallery is
//! marked. So one converter claims the gallery for a limited time and writes the facts in parts, each in a transaction
//! that renews the claim. A converter that lost its claim writes nothing more, and the remains of a converter that died
//! are deleted first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mongodb::ClientSession;
use mongodb::bson::{Bson, DateTime, Document, Uuid, doc};
use muster_actors::domain::face::FaceId;
use muster_actors::domain::fact::Fact;
use muster_actors::domain::gallery::{
    FaceVector, GalleryId, GallerySnapshot, GalleryVersion, Group, GroupId, Partition,
};
use muster_actors::domain::image::ImageId;
use muster_actors::people::legacy::{self, Decision, Verdict};
use muster_actors::people::{Scene, Topic};

use super::change_marks::MARKED;
use super::documents::{self, group_id};
use super::facts::CHUNK;
use super::pointer::{PartitionPointer, pointer};
use super::scene::scene;
use super::transaction::{ConflictRetry, begin, end, now_ms, read};
use super::{MongoError, MongoFaces, facts, gallery, names};

/// Field of a gallery with the format of its decisions: 1 means facts.
const MARK: &str = "facts";
/// Field of a gallery with the id of its converter and the time until which the claim holds.
const CLAIM: &str = "converting";
/// Time for which a claim holds without renewal.
const LEASE: Duration = Duration::from_secs(60);
/// Longest time to wait for another converter.
const PATIENCE: Duration = Duration::from_secs(30);
/// Interval at which the other converter's progress is checked.
const LOOK: Duration = Duration::from_millis(200);

/// Ensures that what people decided about a gallery is kept as facts, and returns its version; `None` if the gallery
/// does not exist.
///
/// # Errors
/// [`MongoError::Conflict`] when another converter takes longer than 30 s; otherwise [`MongoError`] when the server
/// fails or a document of the log is not what muster wrote.
pub async fn convert(store: &MongoFaces, of: &GalleryId) -> Result<Option<GalleryVersion>, MongoError> {
    let since = Instant::now();
    loop {
        let Some(state) = gallery::state(store, of).await? else { return Ok(None) };
        if state.contains_key(MARK) {
            return Ok(Some(gallery::version_of(&state)?));
        }
        let converter = Converter { store, of, claim: Uuid::new() };
        if converter.claim().await? {
            match converter.convert().await {
                Ok(()) => {}
                Err(error) => {
                    // The next converter can begin at once; if this fails, the claim expires by itself.
                    let _ = converter.give_up().await;
                    if !matches!(error, MongoError::Conflict) {
                        return Err(error);
                    }
                }
            }
        } else {
            tokio::time::sleep(LOOK).await;
        }
        if since.elapsed() > PATIENCE && gallery::state(store, of).await?.is_some_and(|state| !state.contains_key(MARK))
        {
            return Err(MongoError::Conflict);
        }
    }
}

/// Converter of one gallery, with its claim.
struct Converter<'a> {
    store: &'a MongoFaces,
    of: &'a GalleryId,
    claim: Uuid,
}

/// One transaction of a conversion.
enum Step<'a> {
    /// Deletes the documents of facts with these ids.
    Clear(&'a [Bson]),
    /// Adds facts.
    Add(&'a [Fact]),
    /// Marks the facts as valid. They result from the log up to the decision with this number.
    Mark(u64),
}

impl Converter<'_> {
    fn until() -> DateTime {
        let lease = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
        DateTime::from_millis(documents::signed(now_ms().saturating_add(lease)))
    }

    /// Claims the gallery, and tells whether that succeeded.
    async fn claim(&self) -> Result<bool, MongoError> {
        let free = doc! { "$or": [{ CLAIM: null }, { "converting.until": { "$lt": DateTime::now() } }] };
        let which = doc! { "_id": &self.of.0, MARK: { "$exists": false }, "$and": [free] };
        let claim = doc! { "$set": { CLAIM: { "by": self.claim, "until": Self::until() } } };
        Ok(self.store.collection(names::GALLERIES).update_one(which, claim).await?.matched_count > 0)
    }

    fn own(&self) -> Document {
        doc! { "_id": &self.of.0, "converting.by": self.claim, MARK: { "$exists": false } }
    }

    async fn give_up(&self) -> Result<(), MongoError> {
        let given = doc! { "$unset": { CLAIM: 1 } };
        self.store.collection(names::GALLERIES).update_one(self.own(), given).await?;
        Ok(())
    }

    async fn convert(&self) -> Result<(), MongoError> {
        self.clear().await?;
        let mut session = begin(self.store).await?;
        let log = self.said(&mut session).await;
        let (last, said) = end(session, log).await?;
        for said in said.chunks(CHUNK) {
            self.step(&Step::Add(said)).await?;
        }
        self.step(&Step::Mark(last)).await?;
        if !said.is_empty() {
            tracing::info!(gallery = %self.of, decisions = last, facts = said.len(), "mongo.converted");
        }
        Ok(())
    }

    /// Deletes the remains of a converter that died.
    async fn clear(&self) -> Result<(), MongoError> {
        let facts = self.store.collection(names::FACTS);
        loop {
            let left = facts.find(doc! { "gallery": &self.of.0 }).projection(doc! { "_id": 1 });
            let mut left = left.limit(documents::signed(CHUNK as u64)).await?;
            let mut ids = Vec::new();
            while left.advance().await? {
                ids.extend(left.deserialize_current()?.get("_id").cloned());
            }
            if ids.is_empty() {
                return Ok(());
            }
            self.step(&Step::Clear(&ids)).await?;
        }
    }

    /// Reads the log. Returns the number of its last decision and the facts that result from all decisions.
    async fn said(&self, session: &mut ClientSession) -> Result<(u64, Vec<Fact>), MongoError> {
        let Self { store, of, .. } = *self;
        let log = read(store, session, names::DECISIONS, doc! { "gallery": &of.0 }, doc! {}, doc! { "seq": 1 }).await?;
        let log: Vec<Decision> = log.iter().map(documents::decision).collect::<Result<_, _>>()?;
        let Some(last) = log.last() else { return Ok((0, Vec::new())) };
        let pointer = pointer(store, of).await?;
        let called = names_of(store, session, of, pointer).await?;
        let topic = Topic {
            groups: called.keys().copied().collect(),
            faces: log.iter().flat_map(|decision| spoken_of(&decision.verdict)).collect(),
        };
        let scene = scene(store, session, (of, pointer), &topic).await?;
        Ok((last.seq, legacy::facts(&log, &snapshot(scene, called), now_ms()).iter().collect()))
    }

    /// Executes a step, if the claim still holds.
    async fn step(&self, step: &Step<'_>) -> Result<(), MongoError> {
        let mut retry = ConflictRetry::new();
        loop {
            let mut session = begin(self.store).await?;
            let taken = self.take(&mut session, step).await;
            let taken = end(session, taken).await;
            if matches!(taken, Ok(false)) {
                return Err(MongoError::Conflict);
            }
            if retry.ends(&taken).await {
                return taken.map(drop);
            }
        }
    }

    /// Tells whether the step was executed: the claim holds, and the log is the one that was read.
    async fn take(&self, session: &mut ClientSession, step: &Step<'_>) -> Result<bool, MongoError> {
        let Self { store, of, .. } = *self;
        if let Step::Mark(seq) = step {
            let later = doc! { "gallery": &of.0, "seq": { "$gt": documents::signed(*seq) } };
            let later = store.collection(names::DECISIONS).find_one(later).session(&mut *session).await?;
            if later.is_some() {
                // A server of the older release added a decision; the conversion starts again.
                return Ok(false);
            }
        }
        let update = match step {
            // Readers read the facts again at each new revision.
            Step::Mark(_) => {
                let raise = doc! { "generation": 1i64, MARKED: 1i64 };
                doc! { "$set": { MARK: 1 }, "$unset": { CLAIM: 1 }, "$inc": raise }
            }
            Step::Clear(_) | Step::Add(_) => doc! { "$set": { "converting.until": Self::until() } },
        };
        let kept = store.collection(names::GALLERIES).update_one(self.own(), update).session(&mut *session).await?;
        if kept.matched_count == 0 {
            return Ok(false);
        }
        match step {
            Step::Clear(ids) => {
                let gone = doc! { "_id": { "$in": *ids } };
                store.collection(names::FACTS).delete_many(gone).session(session).await?;
            }
            Step::Add(said) => facts::insert(store, session, of, said.iter()).await?,
            Step::Mark(_) => {}
        }
        Ok(true)
    }
}

/// Returns the groups that have names, with the names.
async fn names_of(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
    pointer: PartitionPointer,
) -> Result<BTreeMap<GroupId, String>, MongoError> {
    let filter = doc! { "gallery": &of.0, "into": null, "name": { "$type": "string" } };
    let found = read(store, session, pointer.groups(), filter, doc! { "name": 1 }, doc! {}).await?;
    let called = |group: &Document| {
        let name = documents::text(group, "name")?.to_owned();
        Ok(group_id(group, "_id")?.map(|id| (id, name)))
    };
    found.iter().filter_map(|group| called(group).transpose()).collect()
}

fn spoken_of(verdict: &Verdict) -> Vec<FaceId> {
    match verdict {
        Verdict::Same { a, b } | Verdict::NotSame { a, b } => vec![*a, *b],
        Verdict::Name { face, .. } | Verdict::Face { face, .. } => vec![*face],
    }
}

/// Represents the part of a gallery that the log mentions as a gallery.
fn snapshot(scene: Scene, mut called: BTreeMap<GroupId, String>) -> GallerySnapshot {
    let face = |(id, place)| FaceVector {
        id,
        image: ImageId([0; 16]),
        embedding: Vec::new(),
        quality: 0.0,
        capture: Default::default(),
        place: Some(place),
    };
    let groups = scene.groups.into_iter().filter_map(|(id, group)| {
        let cover = group.cover.or_else(|| group.faces.first().copied())?;
        let faces = group.faces.into_iter().collect();
        Some(Group { id, faces, cover, centroid: Vec::new(), name: called.remove(&id) })
    });
    let previous = Partition { groups: groups.collect(), redirects: scene.redirects, ..Partition::default() };
    GallerySnapshot { faces: scene.places.into_iter().map(face).collect(), previous, ..GallerySnapshot::default() }
}
