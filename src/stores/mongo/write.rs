//! Results into the database: an image, its faces, its metadata.

use std::collections::BTreeSet;

use mongodb::bson::{Bson, doc};
use muster_actors::domain::gallery::GalleryId;
use muster_actors::ports::faces::Commit;

use super::bulk::{Op, Statement};
use super::{MongoError, MongoFaces, Origin, documents, names};

/// Writes results; one outcome for each, in order.
pub async fn commit(store: &MongoFaces, batch: &[Commit]) -> Result<Vec<Result<(), MongoError>>, MongoError> {
    let mut invalid: Vec<Result<(), MongoError>> = batch.iter().map(documents::check).collect();
    let mut statements = Vec::new();
    for (item, result) in batch.iter().enumerate().filter(|(item, _)| invalid[*item].is_ok()) {
        statements.extend(replace(item, result, store));
    }
    let mut outcomes = store.bulks.run(statements, batch.len()).await?;
    raise(store, batch, &mut outcomes).await?;
    for (outcome, invalid) in outcomes.iter_mut().zip(&mut invalid) {
        if invalid.is_err() {
            *outcome = std::mem::replace(invalid, Ok(()));
        }
    }
    Ok(outcomes)
}

/// The statements of one result: what is there now is updated, what is not there any more is deleted. A face that stays
/// keeps its group.
fn replace(item: usize, result: &Commit, store: &MongoFaces) -> Vec<Statement> {
    let Commit { image, faces, .. } = result;
    let id = documents::uuid(image.id.0);
    let ids: Vec<Bson> = faces.iter().map(|face| documents::uuid(face.id.0)).collect();
    let of = |collection, op| Statement { item, metadata: false, collection, op };
    let gone = doc! { "image": id.clone(), "_id": { "$nin": ids } };
    let mut statements = vec![of(names::FACES, Op::Delete { filter: gone })];
    statements.extend(faces.iter().map(|face| {
        let update = doc! { "$set": documents::face(image, face) };
        of(names::FACES, Op::Upsert { filter: doc! { "_id": documents::uuid(face.id.0) }, update })
    }));
    let mut fields = documents::image(result);
    fields.extend(store.origin.iter().flat_map(Origin::fields));
    let update = doc! { "$set": fields, "$currentDate": { "indexed_at": true } };
    statements.push(of(names::IMAGES, Op::Upsert { filter: doc! { "_id": id.clone() }, update }));
    if store.metadata.is_some() {
        let update = doc! { "$set": documents::metadata(image), "$currentDate": { "indexed_at": true } };
        let op = Op::Upsert { filter: doc! { "_id": id }, update };
        statements.push(Statement { item, metadata: true, collection: names::IMAGES, op });
    }
    statements
}

/// Raises the generation of every gallery that was written to: after its faces, so that whoever reads the new generation
/// reads the faces too, and always, because a first attempt may have died in between.
async fn raise(
    store: &MongoFaces,
    batch: &[Commit],
    outcomes: &mut [Result<(), MongoError>],
) -> Result<(), MongoError> {
    let galleries: Vec<&GalleryId> = batch
        .iter()
        .zip(outcomes.iter())
        .filter(|(_, outcome)| outcome.is_ok())
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
