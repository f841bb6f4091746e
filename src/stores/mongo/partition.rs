//! A partition into the database, guarded by the gallery's revision; only what differs is written. A few changes are one
//! transaction, many are staged (`staged.rs`).

use mongodb::ClientSession;
use mongodb::bson::{DateTime, Document, doc};
use muster_actors::domain::gallery::{GalleryId, GalleryVersion, Lineage, Reconciled};

use super::difference::{Batch, CHUNK, Difference};
use super::documents::{self, signed};
use super::transaction::{Advance, Patience, Saved, advance, begin, end};
use super::{MongoError, MongoFaces, facts, gallery, history, names, staged};

/// Saves a partition that was made at `read`, if the gallery's revision still is that one.
///
/// # Errors
/// [`MongoError::Conflict`] when somebody changed more meanwhile than new faces.
pub async fn save(
    store: &MongoFaces,
    gallery: &GalleryId,
    read: GalleryVersion,
    reconciled: &Reconciled,
) -> Result<(), MongoError> {
    staged::tidy(store, gallery).await?;
    let head = gallery::head(store, gallery).await?.unwrap_or_default();
    if head.version.revision != read.revision {
        return Err(MongoError::Conflict);
    }
    if head.pointer.is_main() {
        // Outside the transaction: a change after this raises the revision, and the transaction sees that.
        let difference = Difference::read(store, gallery, head.pointer, &reconciled.partition).await?;
        let Reconciled { lineage, recognised, .. } = reconciled;
        if difference.len() + lineage.len() + recognised.len() <= CHUNK {
            match at_once(store, gallery, read, &difference, reconciled).await {
                // Documents may be large, and the server may have much to do.
                Err(MongoError::Aborted(_)) => {}
                saved => return saved,
            }
        }
    }
    staged::save(store, gallery, read, reconciled).await
}

/// Saves few changes in one transaction.
async fn at_once(
    store: &MongoFaces,
    gallery: &GalleryId,
    read: GalleryVersion,
    difference: &Difference<'_>,
    reconciled: &Reconciled,
) -> Result<(), MongoError> {
    let Reconciled { lineage, recognised, renamed, .. } = reconciled;
    let is_same = difference.len() + lineage.len() + recognised.len() + renamed.len() == 0;
    // Where there is nothing to tell anybody the generation stays, so that a repeated wake-up ends here.
    let saved = if is_same { Saved::Unchanged } else { Saved::InPlace };
    let advance = Advance { read, at: difference.pointer(), saved };
    let batches: Vec<Batch> = difference.batches().collect();
    let mut patience = Patience::new();
    loop {
        let mut session = begin(store).await?;
        let saved = write(store, &mut session, gallery, &advance, (&batches, reconciled)).await;
        let saved = end(session, saved).await;
        // It may have lost against somebody who only added faces.
        if patience.ends(&saved).await {
            return if saved? { Ok(()) } else { Err(MongoError::Conflict) };
        }
    }
}

/// Whether it was written: the revision still is that of the groups.
async fn write(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    to: &Advance,
    (batches, reconciled): (&[Batch], &Reconciled),
) -> Result<bool, MongoError> {
    let Some(head) = advance(store, session, gallery, to).await? else { return Ok(false) };
    // The revision guards what was said meanwhile.
    facts::apply(store, session, gallery, &reconciled.recognised).await?;
    history::rename(store, session, gallery, &reconciled.renamed).await?;
    for batch in batches {
        batch.write(store, session).await?;
    }
    lineage(store, session, gallery, head.version.generation, &reconciled.lineage).await?;
    Ok(true)
}

/// Notes events of a gallery's groups, which are those of one generation.
pub async fn lineage(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    generation: u64,
    of: &[Lineage],
) -> Result<(), MongoError> {
    if !of.is_empty() {
        let events = events(gallery, generation, 0, of);
        store.collection(names::LINEAGE).insert_many(events).session(&mut *session).await?;
    }
    Ok(())
}

/// Events of a gallery's groups as documents, numbered from `first` on.
pub fn events(gallery: &GalleryId, generation: u64, first: usize, of: &[Lineage]) -> Vec<Document> {
    let event = |(number, event): (i64, &Lineage)| {
        let mut document = doc! {
            "gallery": &gallery.0, "generation": signed(generation), "number": number, "at": DateTime::now(),
        };
        document.extend(documents::lineage(event));
        document
    };
    (signed(first as u64)..).zip(of).map(event).collect()
}
