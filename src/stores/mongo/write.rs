//! Results into the database: an image, its faces, its metadata.
//!
//! Faces go before their image: who is written over finds at the image that it is, and takes its own faces back.

use std::collections::{BTreeMap, BTreeSet};

use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageId;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::ports::faces::Commit;

use super::bulk::{Op, Statement, Written};
use super::change_marks::{self, MARKED};
use super::gallery::ADDITIONS;
use super::packs::{PackRange, Packed};
use super::{MongoError, MongoFaces, Origin, documents, names, order};

/// The server's code of a duplicate key.
const DUPLICATE: i32 = 11000;
/// What a filter passes over.
const UNLESS: &str = "$nor";

type Outcomes = Vec<Result<(), MongoError>>;

/// Writes results; one outcome for each, in order.
///
/// Who is written over meanwhile by a result of a newer version leaves nothing behind, in whatever order their statements are
/// done: the newer one deletes older faces after it wrote the image, and the older one wrote its faces before it finds the newer
/// one at the image.
pub async fn commit(store: &MongoFaces, batch: &[Commit], packed: &Packed) -> Result<Outcomes, MongoError> {
    let mut outcomes: Outcomes = batch.iter().map(documents::check).collect();
    let mut deleted = BTreeSet::new();
    if let Err(error) = write(store, batch, packed, &mut outcomes, &mut deleted).await {
        // A repetition will find nothing to delete, and not tell of it.
        let mut nothing_else = vec![Err(error.clone()); batch.len()];
        if let Err(second) = raise(store, batch, &mut nothing_else, &deleted).await {
            tracing::debug!(error = %second, "mongo.raise");
        }
        return Err(error);
    }
    raise(store, batch, &mut outcomes, &deleted).await?;
    Ok(outcomes)
}

/// Writes results one collection after another; by which of them faces were deleted, or may have been, also where it fails.
async fn write(
    store: &MongoFaces,
    batch: &[Commit],
    packed: &Packed,
    outcomes: &mut Outcomes,
    deleted: &mut BTreeSet<usize>,
) -> Result<(), MongoError> {
    let faces = |item: usize, result: &Commit| faces(item, result, packed);
    // Where this call fails as a whole, each of its deletions may be done.
    deleted.extend((0..batch.len()).filter(|item| outcomes[*item].is_ok() && !batch[*item].keeps_stored()));
    *deleted = each(store, batch, outcomes, faces, Stays::Fine).await?;
    each(store, batch, outcomes, |item, result| vec![image(store, item, result, packed)], Stays::Failed).await?;
    let newest = pass_over(store, batch, outcomes).await?;
    if store.metadata.is_some() {
        each(store, batch, outcomes, |item, result| vec![metadata(item, result)], Stays::Fine).await?;
    }
    let before = deleted.clone();
    let is_deleting = |item: &usize| outcomes[*item].is_ok() && !outdated(*item, &batch[*item], &newest).is_empty();
    deleted.extend((0..batch.len()).filter(is_deleting).collect::<Vec<_>>());
    let outdated = each(store, batch, outcomes, |item, result| outdated(item, result, &newest), Stays::Failed).await?;
    *deleted = before.union(&outdated).copied().collect();
    Ok(())
}

/// What it is to a statement that a document is there which it does not replace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stays {
    Fine,
    /// Somebody looks whether it is so.
    Failed,
}

/// Writes statements of each result that has not failed so far; the results by which documents were deleted, or may have been.
async fn each(
    store: &MongoFaces,
    batch: &[Commit],
    outcomes: &mut Outcomes,
    statements: impl Fn(usize, &Commit) -> Vec<Statement>,
    stays: Stays,
) -> Result<BTreeSet<usize>, MongoError> {
    let mut all = Vec::new();
    for (item, result) in batch.iter().enumerate().filter(|(item, _)| outcomes[*item].is_ok()) {
        all.extend(statements(item, result));
    }
    let items: Vec<usize> = all.iter().map(|statement| statement.item).collect();
    let conditional: Vec<bool> = all.iter().map(Statement::is_conditional).collect();
    let numbered = |(number, statement): (usize, Statement)| Statement { item: number, ..statement };
    let again = if conditional.contains(&true) { all.clone() } else { Vec::new() };
    let Written { outcomes: mut written, deleted } =
        store.bulks.run(all.into_iter().enumerate().map(numbered).collect(), items.len()).await?;
    // An upsert that passes a document over tries to make it anew; but so does one that lost to another's, which it may replace.
    let met = |written: &Outcomes, number: usize| conditional[number] && is_there(&written[number]);
    let lost: Vec<Statement> = again.into_iter().enumerate().map(numbered).filter(|s| met(&written, s.item)).collect();
    if !lost.is_empty() {
        let numbers: Vec<usize> = lost.iter().map(|statement| statement.item).collect();
        let mut second = store.bulks.run(lost, items.len()).await?.outcomes;
        for number in numbers {
            written[number] = std::mem::replace(&mut second[number], Ok(()));
            if stays == Stays::Fine && met(&written, number) {
                written[number] = Ok(());
            }
        }
    }
    for (item, outcome) in items.iter().zip(written) {
        if outcomes[*item].is_ok() {
            outcomes[*item] = outcome;
        }
    }
    Ok(deleted.into_iter().map(|number| items[number]).collect())
}

/// The statements of a result's faces, of which none replaces a face of a newer version: what is there now is updated, what is
/// not there any more is deleted. A face that stays keeps its group.
fn faces(item: usize, result: &Commit, packed: &Packed) -> Vec<Statement> {
    let Commit { image, faces, version, .. } = result;
    if result.keeps_stored() {
        return Vec::new();
    }
    let of = |op| Statement { item, metadata: false, collection: names::FACES, op };
    let newer = order::newer(version);
    let ids: Vec<Bson> = faces.iter().map(|face| documents::uuid(face.id.0)).collect();
    let gone = doc! { "image": documents::uuid(image.id.0), "_id": { "$nin": ids } };
    let mut statements = vec![of(Op::Delete { filter: unless(gone, newer.clone()) })];
    statements.extend(faces.iter().map(|face| {
        let mut fields = documents::face(image, face);
        fields.extend(order::fields(version));
        let filter = unless(doc! { "_id": documents::uuid(face.id.0) }, newer.clone());
        let mut update = doc! { "$set": fields };
        documents::locate(&mut update, documents::CROP, packed.crops.get(&face.id));
        change_marks::mark_face(&mut update);
        of(Op::Upsert { filter, update })
    }));
    statements
}

/// The statement that deletes what is left of older versions, once the image says which is the newest: its own, or where it was
/// passed over the one that is there.
fn outdated(item: usize, result: &Commit, newest: &BTreeMap<ImageId, ObjectVersion>) -> Vec<Statement> {
    let image = result.image.id;
    let older = order::older(newest.get(&image).unwrap_or(&result.version));
    if older.is_empty() || result.keeps_stored() {
        return Vec::new();
    }
    let filter = doc! { "image": documents::uuid(image.0), "$or": older };
    vec![Statement { item, metadata: false, collection: names::FACES, op: Op::Delete { filter } }]
}

/// The statement of a result's image.
fn image(store: &MongoFaces, item: usize, result: &Commit, packed: &Packed) -> Statement {
    let mut fields = documents::image(result);
    fields.extend(store.origin.iter().flat_map(Origin::fields));
    record(item, result, fields, Some(packed.results.get(&result.image.id)))
}

/// The statement of what the existing system wants to know of an image.
fn metadata(item: usize, result: &Commit) -> Statement {
    record(item, result, documents::metadata(&result.image), None)
}

/// The record of an image; with where its result is packed, or without for the database of metadata.
fn record(item: usize, result: &Commit, mut fields: Document, place: Option<Option<&PackRange>>) -> Statement {
    let metadata = place.is_none();
    fields.extend(order::fields(&result.version));
    let filter = unless(doc! { "_id": documents::uuid(result.image.id.0) }, stays(result, metadata));
    let mut update = doc! { "$set": fields, "$currentDate": { "indexed_at": true } };
    if let Some(range) = place {
        documents::locate(&mut update, documents::RESULT, range);
    }
    Statement { item, metadata, collection: names::IMAGES, op: Op::Upsert { filter, update } }
}

/// A filter that passes over what meets any of these conditions.
fn unless(mut filter: Document, conditions: Vec<Document>) -> Document {
    if !conditions.is_empty() {
        filter.insert(UNLESS, conditions);
    }
    filter
}

/// What the record of an image is like that a result does not replace: any of these.
fn stays(result: &Commit, metadata: bool) -> Vec<Document> {
    let mut stays = order::newer(&result.version);
    if result.keeps_stored() {
        let state = if metadata { "status" } else { "state" };
        stays.push(doc! { state: { "$nin": [null, "rejected", "forgotten"] } });
    }
    stays
}

/// A result that failed because a record is there that it does not replace is done. The versions of those records.
async fn pass_over(
    store: &MongoFaces,
    batch: &[Commit],
    outcomes: &mut Outcomes,
) -> Result<BTreeMap<ImageId, ObjectVersion>, MongoError> {
    let failed = batch.iter().zip(outcomes.iter()).filter(|(_, outcome)| is_there(outcome)).map(|(result, _)| result);
    let there = replaced_by(store, failed, |result| stays(result, false)).await?;
    for (result, outcome) in batch.iter().zip(outcomes.iter_mut()) {
        if is_there(outcome) && there.contains_key(&result.image.id) {
            *outcome = Ok(());
        }
    }
    Ok(there)
}

/// The versions of the records that are there and meet any of the conditions of a result.
async fn replaced_by<'a>(
    store: &MongoFaces,
    results: impl Iterator<Item = &'a Commit>,
    conditions: impl Fn(&Commit) -> Vec<Document>,
) -> Result<BTreeMap<ImageId, ObjectVersion>, MongoError> {
    let mut asked = Vec::new();
    for result in results {
        let conditions = conditions(result);
        if !conditions.is_empty() {
            asked.push(doc! { "_id": documents::uuid(result.image.id.0), "$or": conditions });
        }
    }
    let mut there = BTreeMap::new();
    if asked.is_empty() {
        return Ok(there);
    }
    let projection = doc! { order::MODIFIED: 1, order::SEQUENCER: 1 };
    let mut found = store.collection(names::IMAGES).find(doc! { "$or": asked }).projection(projection).await?;
    while found.advance().await? {
        let document = found.deserialize_current()?;
        there.insert(documents::image_id(&document, "_id")?, order::version(&document));
    }
    Ok(there)
}

impl MongoFaces {
    /// Those of some results of which a newer version is stored.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn superseded(&self, batch: &[Commit]) -> Result<BTreeSet<ImageId>, MongoError> {
        let newer = replaced_by(self, batch.iter(), |result| order::newer(&result.version)).await?;
        Ok(newer.into_keys().collect())
    }
}

impl Statement {
    /// Whether it passes over some of the documents with its id.
    fn is_conditional(&self) -> bool {
        matches!(&self.op, Op::Upsert { filter, .. } if filter.contains_key(UNLESS))
    }
}

/// Whether a document that was to be made is there.
fn is_there(outcome: &Result<(), MongoError>) -> bool {
    matches!(outcome, Err(MongoError::Statement { code: DUPLICATE, .. }))
}

/// Raises the generation of every gallery that was written to: after its faces, so that whoever reads the new generation
/// reads the faces too, and always, because a first attempt may have died in between. Where no face was deleted its revision
/// stays: groups that were made before still fit.
async fn raise(
    store: &MongoFaces,
    batch: &[Commit],
    outcomes: &mut [Result<(), MongoError>],
    deleted: &BTreeSet<usize>,
) -> Result<(), MongoError> {
    let mut galleries: BTreeMap<&GalleryId, bool> = BTreeMap::new();
    for (item, result) in batch.iter().enumerate() {
        let is_smaller = deleted.contains(&item);
        if is_smaller || (outcomes[item].is_ok() && !result.keeps_stored()) {
            *galleries.entry(&result.image.locator.gallery).or_default() |= is_smaller;
        }
    }
    let statement = |(item, (gallery, is_smaller)): (usize, (&&GalleryId, &bool))| {
        let marked = i64::from(!is_smaller);
        let update = doc! { "$inc": { "generation": 1i64, ADDITIONS: marked, MARKED: marked } };
        let op = Op::Upsert { filter: doc! { "_id": &gallery.0 }, update };
        Statement { item, metadata: false, collection: names::GALLERIES, op }
    };
    let raised = store.bulks.run(galleries.iter().enumerate().map(statement).collect(), galleries.len()).await?;
    for (gallery, outcome) in galleries.into_keys().zip(raised.outcomes) {
        let Err(error) = outcome else { continue };
        for (of, _) in outcomes.iter_mut().zip(batch).filter(|(_, result)| result.image.locator.gallery == *gallery) {
            if of.is_ok() {
                *of = Err(error.clone());
            }
        }
    }
    Ok(())
}
