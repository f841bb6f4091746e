//! Results into the database: an image, its faces, its metadata.
//!
//! Faces go before their image: who is written over finds at the image that it is, and takes its own faces back.

use std::collections::BTreeSet;

use mongodb::bson::{Bson, Document, doc};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageId;
use muster_actors::ports::faces::Commit;

use super::bulk::{Op, Statement};
use super::{MongoError, MongoFaces, Origin, documents, names};

/// The server's code of a duplicate key.
const DUPLICATE: i32 = 11000;

type Outcomes = Vec<Result<(), MongoError>>;

/// Writes results; one outcome for each, in order.
pub async fn commit(store: &MongoFaces, batch: &[Commit]) -> Result<Outcomes, MongoError> {
    let mut outcomes: Outcomes = batch.iter().map(documents::check).collect();
    each(store, batch, &mut outcomes, faces).await?;
    each(store, batch, &mut outcomes, |item, result| vec![image(store, item, result)]).await?;
    pass_over(store, batch, &mut outcomes, false).await?;
    if store.metadata.is_some() {
        each(store, batch, &mut outcomes, |item, result| vec![metadata(item, result)]).await?;
        pass_over(store, batch, &mut outcomes, true).await?;
    }
    raise(store, batch, &mut outcomes).await?;
    Ok(outcomes)
}

/// Writes statements of each result that has not failed so far.
async fn each(
    store: &MongoFaces,
    batch: &[Commit],
    outcomes: &mut Outcomes,
    statements: impl Fn(usize, &Commit) -> Vec<Statement>,
) -> Result<(), MongoError> {
    let mut all = Vec::new();
    for (item, result) in batch.iter().enumerate().filter(|(item, _)| outcomes[*item].is_ok()) {
        all.extend(statements(item, result));
    }
    for (outcome, written) in outcomes.iter_mut().zip(store.bulks.run(all, batch.len()).await?) {
        if outcome.is_ok() {
            *outcome = written;
        }
    }
    Ok(())
}

/// The statements of a result's faces: what is there now is updated, what is not there any more is deleted. A face that stays
/// keeps its group.
fn faces(item: usize, result: &Commit) -> Vec<Statement> {
    let Commit { image, faces, .. } = result;
    if result.keeps_stored() {
        return Vec::new();
    }
    let of = |op| Statement { item, metadata: false, collection: names::FACES, op };
    let ids: Vec<Bson> = faces.iter().map(|face| documents::uuid(face.id.0)).collect();
    let gone = doc! { "image": documents::uuid(image.id.0), "_id": { "$nin": ids } };
    let mut statements = vec![of(Op::Delete { filter: gone })];
    statements.extend(faces.iter().map(|face| {
        let update = doc! { "$set": documents::face(image, face) };
        of(Op::Upsert { filter: doc! { "_id": documents::uuid(face.id.0) }, update })
    }));
    statements
}

/// The statement of a result's image.
fn image(store: &MongoFaces, item: usize, result: &Commit) -> Statement {
    let mut fields = documents::image(result);
    fields.extend(store.origin.iter().flat_map(Origin::fields));
    record(item, result, fields, false)
}

/// The statement of what the existing system wants to know of an image.
fn metadata(item: usize, result: &Commit) -> Statement {
    record(item, result, documents::metadata(&result.image), true)
}

fn record(item: usize, result: &Commit, fields: Document, metadata: bool) -> Statement {
    let mut filter = doc! { "_id": documents::uuid(result.image.id.0) };
    let stays = stays(result, metadata);
    if !stays.is_empty() {
        filter.insert("$nor", stays);
    }
    let update = doc! { "$set": fields, "$currentDate": { "indexed_at": true } };
    Statement { item, metadata, collection: names::IMAGES, op: Op::Upsert { filter, update } }
}

/// What a document is like that a result does not replace: any of these.
fn stays(result: &Commit, metadata: bool) -> Vec<Document> {
    let mut stays = Vec::new();
    if result.keeps_stored() {
        let state = if metadata { "status" } else { "state" };
        stays.push(doc! { state: { "$nin": [null, "rejected", "forgotten"] } });
    }
    stays
}

/// A result that failed because a document is there that it does not replace is done. An upsert that passes such a document over
/// tries to make it anew.
async fn pass_over(
    store: &MongoFaces,
    batch: &[Commit],
    outcomes: &mut Outcomes,
    metadata: bool,
) -> Result<(), MongoError> {
    let mut asked = Vec::new();
    for (result, outcome) in batch.iter().zip(outcomes.iter()) {
        let stays = stays(result, metadata);
        if is_there(outcome) && !stays.is_empty() {
            asked.push(doc! { "_id": documents::uuid(result.image.id.0), "$or": stays });
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let database = store.metadata.as_ref().filter(|_| metadata).unwrap_or(&store.faces);
    let images = database.collection::<Document>(names::IMAGES);
    let mut found = images.find(doc! { "$or": asked }).projection(doc! { "_id": 1 }).await?;
    let mut passed: BTreeSet<ImageId> = BTreeSet::new();
    while found.advance().await? {
        passed.insert(documents::image_id(&found.deserialize_current()?, "_id")?);
    }
    for (result, outcome) in batch.iter().zip(outcomes.iter_mut()) {
        if is_there(outcome) && passed.contains(&result.image.id) {
            *outcome = Ok(());
        }
    }
    Ok(())
}

/// Whether a document that was to be made is there.
fn is_there(outcome: &Result<(), MongoError>) -> bool {
    matches!(outcome, Err(MongoError::Statement { code: DUPLICATE, .. }))
}

/// Raises the generation of every gallery that was written to: after its faces, so that whoever reads the new generation
/// reads the faces too, and always, because a first attempt may have died in between.
async fn raise(store: &MongoFaces, batch: &[Commit], outcomes: &mut Outcomes) -> Result<(), MongoError> {
    let galleries: Vec<&GalleryId> = batch
        .iter()
        .zip(outcomes.iter())
        .filter(|(result, outcome)| outcome.is_ok() && !result.keeps_stored())
        .map(|(result, _)| &result.image.locator.gallery)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let statement = |(item, gallery): (usize, &&GalleryId)| {
        let op = Op::Upsert { filter: doc! { "_id": &gallery.0 }, update: doc! { "$inc": { "generation": 1i64 } } };
        Statement { item, metadata: false, collection: names::GALLERIES, op }
    };
    let raised = store.bulks.run(galleries.iter().enumerate().map(statement).collect(), galleries.len()).await?;
    for (gallery, outcome) in galleries.into_iter().zip(raised) {
        let Err(error) = outcome else { continue };
        for (of, _) in outcomes.iter_mut().zip(batch).filter(|(_, result)| result.image.locator.gallery == *gallery) {
            if of.is_ok() {
                *of = Err(error.clone());
            }
        }
    }
    Ok(())
}
