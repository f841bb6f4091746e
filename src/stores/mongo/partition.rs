//! A partition into the database, guarded by the gallery's revision; only what differs is written. A few changes are one
//! transaction, many are staged (`staged.rs`).

use mongodb::ClientSession;
use mongodb::bson::{DateTime, Document, doc};
use muster_actors::domain::gallery::{GalleryId, GalleryVersion, Lineage, Reconciled};

use super::difference::{Batch, CHUNK, Difference};
use super::documents::{self, signed};
use super::gallery::GalleryHead;
use super::gallery_copy::GalleryCopy;
use super::transaction::{Advance, ConflictRetry, Saved, advance, begin, end};
use super::{MongoError, MongoFaces, facts, gallery, history, names, staged};

/// Saves a partition that was made at `read`, if the gallery's revision still is that one.
///
/// # Errors
/// [`MongoError::Conflict`] when somebody changed more meanwhile than new faces.
pub async fn save(
    store: &MongoFaces,
    of: &GalleryId,
    read: GalleryVersion,
    reconciled: &Reconciled,
) -> Result<(), MongoError> {
    staged::tidy(store, of).await?;
    let head = gallery::head(store, of).await?.unwrap_or_default();
    if head.version.revision != read.revision {
        return Err(MongoError::Conflict);
    }
    let made_from =
        store.copies.as_ref().and_then(|copies| copies.made_from(of, GalleryHead { version: read, ..head }));
    let saved = save_onto(store, (of, head), read, reconciled, made_from.as_ref()).await;
    if let (Some(copies), Some(copy)) = (&store.copies, made_from) {
        let Reconciled { partition, recognised, renamed, .. } = reconciled;
        match saved {
            // Faces that are known again change facts.
            Ok(head) if recognised.is_empty() && renamed.is_empty() => copies.keep_saved(of, copy, head, partition),
            // Nothing was written.
            Err(MongoError::Conflict) => copies.keep(of, copy),
            Ok(_) | Err(_) => {}
        }
    }
    saved.map(drop)
}

/// Saves a partition; how far the gallery is then.
async fn save_onto(
    store: &MongoFaces,
    (of, head): (&GalleryId, GalleryHead),
    read: GalleryVersion,
    reconciled: &Reconciled,
    made_from: Option<&GalleryCopy>,
) -> Result<GalleryHead, MongoError> {
    if head.pointer.is_main() {
        // Outside the transaction: a change after this raises the revision, and the transaction sees that.
        let difference = match made_from {
            Some(copy) => copy.difference(of, &reconciled.partition),
            None => Difference::read(store, of, head.pointer, &reconciled.partition).await?,
        };
        let Reconciled { lineage, recognised, .. } = reconciled;
        if difference.len() + lineage.len() + recognised.len() <= CHUNK {
            match at_once(store, of, read, &difference, reconciled).await {
                // Documents may be large, and the server may have much to do.
                Err(MongoError::Aborted(_)) => {}
                saved => return saved,
            }
        }
    }
    staged::save(store, of, read, reconciled).await
}

/// Saves few changes in one transaction; how far the gallery is then.
async fn at_once(
    store: &MongoFaces,
    gallery: &GalleryId,
    read: GalleryVersion,
    difference: &Difference<'_>,
    reconciled: &Reconciled,
) -> Result<GalleryHead, MongoError> {
    let Reconciled { lineage, recognised, renamed, .. } = reconciled;
    let is_same = difference.len() + lineage.len() + recognised.len() + renamed.len() == 0;
    // Where there is nothing to tell anybody the generation stays, so that a repeated wake-up ends here.
    let saved = if is_same { Saved::Unchanged } else { Saved::InPlace };
    let advance = Advance { read, at: difference.pointer(), saved };
    let batches: Vec<Batch> = difference.batches().collect();
    let mut retry = ConflictRetry::new();
    loop {
        let mut session = begin(store).await?;
        let saved = write(store, &mut session, gallery, &advance, (&batches, reconciled)).await;
        let saved = end(session, saved).await;
        // It may have lost against somebody who only added faces.
        if retry.ends(&saved).await {
            return saved?.ok_or(MongoError::Conflict);
        }
    }
}

/// How far the gallery is after it was written; `None` where the revision is not that of the groups any more.
async fn write(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    to: &Advance,
    (batches, reconciled): (&[Batch], &Reconciled),
) -> Result<Option<GalleryHead>, MongoError> {
    let Some(head) = advance(store, session, gallery, to).await? else { return Ok(None) };
    // The revision guards what was said meanwhile.
    facts::apply(store, session, gallery, &reconciled.recognised).await?;
    history::rename(store, session, gallery, &reconciled.renamed).await?;
    for batch in batches {
        batch.write(store, session, head.version.generation).await?;
    }
    lineage(store, session, gallery, head.version.generation, &reconciled.lineage).await?;
    Ok(Some(head))
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
