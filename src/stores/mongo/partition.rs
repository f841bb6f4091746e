//! Saves a partition in the database if the gallery's revision is unchanged. Only differences are written: few of them
//! in one transaction, many in stages (`staged.rs`).

use mongodb::ClientSession;
use mongodb::bson::{DateTime, Document, doc};
use muster_actors::domain::gallery::{GalleryId, GalleryVersion, Lineage, Reconciled};

use super::difference::{Batch, CHUNK, Difference};
use super::documents::{self, signed};
use super::gallery::GalleryHead;
use super::gallery_copy::GalleryCopy;
use super::transaction::{Advance, ConflictRetry, Saved, advance, begin, end};
use super::{MongoError, MongoFaces, facts, gallery, history, names, staged};

/// Saves a partition that was computed from the version `read`, if the gallery's revision is unchanged.
///
/// # Errors
/// [`MongoError::Conflict`] when the gallery changed in the meantime by more than new faces; otherwise [`MongoError`]
/// when the server fails or a stored document is not what muster wrote.
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
            // Recognised faces change facts, which the copy does not have.
            Ok(head) if recognised.is_empty() && renamed.is_empty() => copies.keep_saved(of, copy, head, partition),
            // Nothing was written, so the copy is still right.
            Err(MongoError::Conflict) => copies.keep(of, copy),
            Ok(_) | Err(_) => {}
        }
    }
    saved.map(drop)
}

/// Saves a partition, and returns the gallery's state after that.
async fn save_onto(
    store: &MongoFaces,
    (of, head): (&GalleryId, GalleryHead),
    read: GalleryVersion,
    reconciled: &Reconciled,
    made_from: Option<&GalleryCopy>,
) -> Result<GalleryHead, MongoError> {
    if head.pointer.is_main() {
        // This is read outside the transaction: a later change raises the revision, which the transaction checks.
        let difference = match made_from {
            Some(copy) => copy.difference(of, &reconciled.partition),
            None => Difference::read(store, of, head.pointer, &reconciled.partition).await?,
        };
        let Reconciled { lineage, recognised, .. } = reconciled;
        if difference.len() + lineage.len() + recognised.len() <= CHUNK {
            match at_once(store, of, read, &difference, reconciled).await {
                // The transaction can be too large or too slow even so; then the partition is saved in stages.
                Err(MongoError::Aborted(_)) => {}
                saved => return saved,
            }
        }
    }
    staged::save(store, of, read, reconciled).await
}

/// Saves few differences in one transaction, and returns the gallery's state after that.
async fn at_once(
    store: &MongoFaces,
    gallery: &GalleryId,
    read: GalleryVersion,
    difference: &Difference<'_>,
    reconciled: &Reconciled,
) -> Result<GalleryHead, MongoError> {
    let Reconciled { lineage, recognised, renamed, .. } = reconciled;
    let is_same = difference.len() + lineage.len() + recognised.len() + renamed.len() == 0;
    // If nothing changes, the generation stays the same, so that a repeated message does not lead to another grouping.
    let saved = if is_same { Saved::Unchanged } else { Saved::InPlace };
    let advance = Advance { read, at: difference.pointer(), saved };
    let batches: Vec<Batch> = difference.batches().collect();
    let mut retry = ConflictRetry::new();
    loop {
        let mut session = begin(store).await?;
        let saved = write(store, &mut session, gallery, &advance, (&batches, reconciled)).await;
        let saved = end(session, saved).await;
        // The transaction may have lost against a writer that only added faces.
        if retry.ends(&saved).await {
            return saved?.ok_or(MongoError::Conflict);
        }
    }
}

/// Writes everything in a transaction, and returns the gallery's state after that; `None` if the revision changed.
async fn write(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    to: &Advance,
    (batches, reconciled): (&[Batch], &Reconciled),
) -> Result<Option<GalleryHead>, MongoError> {
    let Some(head) = advance(store, session, gallery, to).await? else { return Ok(None) };
    // The revision ensures that no correction was made in the meantime.
    facts::apply(store, session, gallery, &reconciled.recognised).await?;
    history::rename(store, session, gallery, &reconciled.renamed).await?;
    for batch in batches {
        batch.write(store, session, head.version.generation).await?;
    }
    lineage(store, session, gallery, head.version.generation, &reconciled.lineage).await?;
    Ok(Some(head))
}

/// Adds events of one generation to the history of a gallery's groups.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails.
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

/// Builds the documents of events, numbered from `first` on.
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
