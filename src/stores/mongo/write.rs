//! Writes results to the database: images, their faces and their metadata.
//!
//! Faces are written before their image. A writer that a newer version overtook finds the newer version in the image's
//! record, and deletes its own faces.

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

/// Error code of a duplicate key.
const DUPLICATE: i32 = 11000;
/// Operator that excludes documents from a filter.
const UNLESS: &str = "$nor";

type Outcomes = Vec<Result<(), MongoError>>;

/// Writes results, and returns one outcome for each, in order.
///
/// A result that a newer version overtakes leaves nothing behind, in whatever order their statements are executed. The
/// writer of the newer version deletes older faces after it wrote the image; the writer of the older version wrote its
/// faces before it finds the newer version in the image's record.
///
/// # Errors
/// [`MongoError`] when a whole call failed. Then the outcomes are unknown, and the batch can be written again. The
/// failure of a single result is in its outcome.
pub async fn commit(store: &MongoFaces, batch: &[Commit], packed: &Packed) -> Result<Outcomes, MongoError> {
    let mut outcomes: Outcomes = batch.iter().map(documents::check).collect();
    let mut deleted = BTreeSet::new();
    if let Err(error) = write(store, batch, packed, &mut outcomes, &mut deleted).await {
        // A repetition finds no faces to delete any more, so the deletion is recorded now.
        let mut nothing_else = vec![Err(error.clone()); batch.len()];
        if let Err(second) = raise(store, batch, &mut nothing_else, &deleted).await {
            tracing::debug!(error = %second, "mongo.raise");
        }
        return Err(error);
    }
    raise(store, batch, &mut outcomes, &deleted).await?;
    Ok(outcomes)
}

/// Writes results one collection after another. Sets `deleted` to the results by which faces were deleted, or may have
/// been, even if it fails.
async fn write(
    store: &MongoFaces,
    batch: &[Commit],
    packed: &Packed,
    outcomes: &mut Outcomes,
    deleted: &mut BTreeSet<usize>,
) -> Result<(), MongoError> {
    let faces = |item: usize, result: &Commit| faces(item, result, packed);
    // If this call fails as a whole, any of its deletions may have been executed.
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

/// Handling of a statement that meets a document which it must not replace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stays {
    Fine,
    /// The outcome is an error, and the caller checks whether such a document exists.
    Failed,
}

/// Writes the statements of each result that has not failed so far. Returns the results by which documents were
/// deleted, or may have been.
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
    // An upsert that excludes the existing document tries to insert a second one, and fails. The same error comes from
    // an upsert that lost a race against another's insert, although it may replace that document; so it is tried again.
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

/// Builds the statements of a result's faces. Present faces are updated unless a newer version wrote them, and other
/// faces are deleted. A face that stays keeps its group.
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

/// Builds the statement that deletes faces of older versions, after the image's record shows which version is the
/// newest: that of this result, or a newer one that is stored.
fn outdated(item: usize, result: &Commit, newest: &BTreeMap<ImageId, ObjectVersion>) -> Vec<Statement> {
    let image = result.image.id;
    let older = order::older(newest.get(&image).unwrap_or(&result.version));
    if older.is_empty() || result.keeps_stored() {
        return Vec::new();
    }
    let filter = doc! { "image": documents::uuid(image.0), "$or": older };
    vec![Statement { item, metadata: false, collection: names::FACES, op: Op::Delete { filter } }]
}

/// Builds the statement of a result's image.
fn image(store: &MongoFaces, item: usize, result: &Commit, packed: &Packed) -> Statement {
    let mut fields = documents::image(result);
    fields.extend(store.origin.iter().flat_map(Origin::fields));
    record(item, result, fields, Some(packed.results.get(&result.image.id)))
}

/// Builds the statement of the image's metadata for the existing system.
fn metadata(item: usize, result: &Commit) -> Statement {
    record(item, result, documents::metadata(&result.image), None)
}

/// Builds the statement of an image's record. `place` is the location of its result in a pack; it is `None` for the
/// database of metadata.
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

/// Adds conditions to a filter; documents that meet any of them are excluded.
fn unless(mut filter: Document, conditions: Vec<Document>) -> Document {
    if !conditions.is_empty() {
        filter.insert(UNLESS, conditions);
    }
    filter
}

/// Builds the conditions of records that a result must not replace; such a record meets one of them.
fn stays(result: &Commit, metadata: bool) -> Vec<Document> {
    let mut stays = order::newer(&result.version);
    if result.keeps_stored() {
        let state = if metadata { "status" } else { "state" };
        stays.push(doc! { state: { "$nin": [null, "rejected", "forgotten"] } });
    }
    stays
}

/// Treats a result as done if it failed because of a record that it must not replace. Returns the versions of those
/// records.
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

/// Returns the versions of stored records that meet any condition of their result.
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
    /// Returns the images for which a newer version is stored.
    ///
    /// # Errors
    /// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
    /// wrote.
    pub async fn superseded(&self, batch: &[Commit]) -> Result<BTreeSet<ImageId>, MongoError> {
        let newer = replaced_by(self, batch.iter(), |result| order::newer(&result.version)).await?;
        Ok(newer.into_keys().collect())
    }
}

impl Statement {
    /// Tells whether it excludes some of the documents with its id.
    fn is_conditional(&self) -> bool {
        matches!(&self.op, Op::Upsert { filter, .. } if filter.contains_key(UNLESS))
    }
}

/// Tells whether the document that was to be inserted exists already.
fn is_there(outcome: &Result<(), MongoError>) -> bool {
    matches!(outcome, Err(MongoError::Statement { code: DUPLICATE, .. }))
}

/// Raises the generation of every gallery that was written to. This follows the writes of faces, so that a reader of
/// the new generation sees the faces; and it is done always, because an earlier attempt may have died between the two.
/// If no face was deleted, the revision stays: groups that were computed before are still valid.
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
