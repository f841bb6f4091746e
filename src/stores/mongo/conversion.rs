//! Galleries that a release before this one kept what people said of as a log: it is turned into facts once.

use std::collections::BTreeMap;

use mongodb::ClientSession;
use mongodb::bson::{Document, doc};
use muster_actors::domain::gallery::{FaceVector, GalleryId, GallerySnapshot, Group, GroupId, Partition};
use muster_actors::domain::image::ImageId;
use muster_actors::people::legacy::{self, Decision, Verdict};
use muster_actors::people::{Scene, Topic};

use super::documents::{self, group_id, unsigned};
use super::scene::scene;
use super::transaction::{Patience, begin, end, now_ms, read};
use super::{MongoError, MongoFaces, facts, gallery, names};

/// Where a gallery says how what people said of it is kept: 1 is by facts.
const MARK: &str = "facts";

/// Sees to it that what people said of a gallery is kept as facts; its generation, or none where nobody wrote to it.
pub async fn convert(store: &MongoFaces, of: &GalleryId) -> Result<Option<u64>, MongoError> {
    let Some(state) = gallery::state(store, of).await? else { return Ok(None) };
    if state.contains_key(MARK) {
        return Ok(Some(unsigned(&state, "generation")?));
    }
    let mut patience = Patience::new();
    loop {
        let mut session = begin(store).await?;
        let converted = attempt(store, &mut session, of).await;
        let converted = end(session, converted).await;
        if patience.ends(&converted).await {
            converted?;
            return gallery::generation(store, of).await;
        }
    }
}

async fn attempt(store: &MongoFaces, session: &mut ClientSession, of: &GalleryId) -> Result<(), MongoError> {
    // First: whoever else converts it, corrects it or saves groups comes before or after.
    let mark = doc! { "$set": { MARK: 1 }, "$inc": { "generation": 1i64 } };
    let unmarked = doc! { "_id": &of.0, MARK: { "$exists": false } };
    let marked = store.collection(names::GALLERIES).update_one(unmarked, mark).session(&mut *session).await?;
    if marked.matched_count == 0 {
        return Ok(());
    }
    let log = read(store, session, names::DECISIONS, doc! { "gallery": &of.0 }, doc! {}, doc! { "seq": 1 }).await?;
    let log: Vec<Decision> = log.iter().map(documents::decision).collect::<Result<_, _>>()?;
    if log.is_empty() {
        return Ok(());
    }
    let called = names_of(store, session, of).await?;
    let topic = Topic {
        groups: called.keys().copied().collect(),
        faces: log.iter().flat_map(|decision| spoken_of(&decision.verdict)).collect(),
    };
    let scene = scene(store, session, of, &topic).await?;
    let said = legacy::facts(&log, &snapshot(scene, called), now_ms());
    let said: Vec<_> = said.iter().collect();
    tracing::info!(gallery = %of, decisions = log.len(), facts = said.len(), "mongo.converted");
    facts::insert(store, session, of, said.iter()).await
}

/// The groups that have names.
async fn names_of(
    store: &MongoFaces,
    session: &mut ClientSession,
    of: &GalleryId,
) -> Result<BTreeMap<GroupId, String>, MongoError> {
    let filter = doc! { "gallery": &of.0, "into": null, "name": { "$type": "string" } };
    let found = read(store, session, names::GROUPS, filter, doc! { "name": 1 }, doc! {}).await?;
    let called = |group: &Document| {
        let name = documents::text(group, "name")?.to_owned();
        Ok(group_id(group, "_id")?.map(|id| (id, name)))
    };
    found.iter().filter_map(|group| called(group).transpose()).collect()
}

fn spoken_of(verdict: &Verdict) -> Vec<muster_actors::domain::face::FaceId> {
    match verdict {
        Verdict::Same { a, b } | Verdict::NotSame { a, b } => vec![*a, *b],
        Verdict::Name { face, .. } | Verdict::Face { face, .. } => vec![*face],
    }
}

/// The part of a gallery that a log speaks of, as a gallery.
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
