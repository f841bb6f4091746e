//! Saves a partition with many changes: it is written in parts beside the partition in force, and replaces it at the
//! end.
//!
//! The server aborts a transaction that takes long or is large, and others wait for its end. So each part is a
//! transaction of its own. Nobody reads a partition before it is in force, so that the visible groups stay consistent
//! if a writer dies; the next writer compares with the existing parts and continues. The last transaction is short: it
//! checks the revision and moves the gallery's pointer.
//!
//! Only one writer at a time stages a gallery. Its claim is a document of its own, so that no writer of faces waits for
//! it. Each part renews the claim, and a writer that lost it writes nothing more.
//!
//! At the end the partition is copied to the main one, which older releases read, and the pointer moves there. If that
//! fails, the pointer stays until the next partition is saved.

use std::time::Duration;

use mongodb::ClientSession;
use mongodb::bson::{Bson, DateTime, Document, Uuid, doc};
use muster_actors::domain::gallery::{GalleryId, GalleryVersion, Partition, Reconciled};

use super::difference::{Batch, CHUNK, Difference};
use super::gallery::{self, GalleryHead};
use super::partition::events;
use super::pointer::PartitionPointer;
use super::transaction::{Advance, ConflictRetry, Saved, advance, begin, end, is_duplicate, now_ms};
use super::{MongoError, MongoFaces, documents, facts, history, names};

/// Time for which a claim holds without renewal.
const LEASE: Duration = Duration::from_secs(20);
/// Interval at which another writer's claim is checked.
const LOOK: Duration = Duration::from_millis(200);

/// Saves a partition that was computed from the version `read`, if the gallery's revision is unchanged. Returns the
/// gallery's state after that.
///
/// # Errors
/// [`MongoError::Conflict`] when the gallery changed in the meantime by more than new faces, or the claim was lost;
/// otherwise [`MongoError`] when the server fails or a stored document is not what muster wrote.
pub async fn save(
    store: &MongoFaces,
    of: &GalleryId,
    read: GalleryVersion,
    reconciled: &Reconciled,
) -> Result<GalleryHead, MongoError> {
    let stage = Stage::claim(store, of, read).await?;
    let saved = stage.save(read, reconciled).await;
    if let Err(error) = stage.leave().await {
        // The claim expires by itself, and the next writer overwrites what is left.
        tracing::debug!(%error, "mongo.stage");
    }
    saved
}

/// Deletes the parts of a partition that a dead writer left.
///
/// # Errors
/// [`MongoError::Driver`] when the server fails, [`MongoError::Document`] when a stored document is not what muster
/// wrote. Also [`MongoError::Conflict`] when another writer takes the claim over.
pub async fn tidy(store: &MongoFaces, of: &GalleryId) -> Result<(), MongoError> {
    let left = doc! { "_id": &of.0, "until": { "$lt": DateTime::now() } };
    if store.collection(names::STAGING).find_one(left).await?.is_some() {
        let stage = Stage { store, of, claim: Uuid::new() };
        if stage.try_claim().await? {
            stage.leave().await?;
        }
    }
    Ok(())
}

/// Claim of a writer on the next partition of a gallery.
struct Stage<'a> {
    store: &'a MongoFaces,
    of: &'a GalleryId,
    claim: Uuid,
}

/// One transaction of a stage.
enum Step<'a> {
    /// Writes a part of the partition that is not in force.
    Write(&'a Batch),
    /// Deletes the groups that this filter matches.
    Clear(&'a Document),
    /// Puts the partition in force, with the facts of recognised faces and the new ids of faces.
    Flip(&'a Advance, &'a Reconciled),
}

impl<'a> Stage<'a> {
    /// Waits for the claim on the gallery.
    ///
    /// # Errors
    /// [`MongoError::Conflict`] when the revision is no longer that of `read`.
    async fn claim(store: &'a MongoFaces, of: &'a GalleryId, read: GalleryVersion) -> Result<Self, MongoError> {
        let stage = Self { store, of, claim: Uuid::new() };
        while !stage.try_claim().await? {
            tokio::time::sleep(LOOK).await;
            stage.check(read).await?;
        }
        Ok(stage)
    }

    async fn check(&self, read: GalleryVersion) -> Result<GalleryHead, MongoError> {
        let head = gallery::head(self.store, self.of).await?.unwrap_or_default();
        if head.version.revision == read.revision { Ok(head) } else { Err(MongoError::Conflict) }
    }

    fn until() -> DateTime {
        let lease = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
        DateTime::from_millis(documents::signed(now_ms().saturating_add(lease)))
    }

    async fn try_claim(&self) -> Result<bool, MongoError> {
        let free = doc! { "_id": &self.of.0, "until": { "$lt": DateTime::now() } };
        let claim = doc! { "$set": { "by": self.claim, "until": Self::until() } };
        let staging = self.store.collection(names::STAGING);
        match staging.update_one(free, claim).upsert(true).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn own(&self) -> Document {
        doc! { "_id": &self.of.0, "by": self.claim }
    }

    async fn save(&self, read: GalleryVersion, reconciled: &Reconciled) -> Result<GalleryHead, MongoError> {
        let from = self.check(read).await?.pointer;
        let advance = Advance { read, at: from, saved: Saved::Staged };
        let after = self.replace(&advance, reconciled).await?;
        for (first, part) in (0..).step_by(CHUNK).zip(reconciled.lineage.chunks(CHUNK)) {
            // This is outside the transaction, which has to be short. If the writer dies here, these events are
            // missing.
            let events = events(self.of, after.version.generation, first, part);
            self.store.collection(names::LINEAGE).insert_many(events).await?;
        }
        if !after.pointer.is_main() {
            let advance = Advance { read: after.version, at: after.pointer, saved: Saved::Copied };
            match self.replace(&advance, reconciled).await {
                Ok(copied) => return Ok(copied),
                Err(error) => tracing::debug!(%error, "mongo.copy"),
            }
        }
        Ok(after)
    }

    /// Writes a partition beside the one in force, and puts it in force. Returns the gallery's state after that.
    async fn replace(&self, advance: &Advance, reconciled: &Reconciled) -> Result<GalleryHead, MongoError> {
        self.write(advance.at.next(), advance.read, &reconciled.partition).await?;
        self.step(&Step::Flip(advance, reconciled)).await?.ok_or(MongoError::Conflict)
    }

    async fn write(&self, at: PartitionPointer, read: GalleryVersion, after: &Partition) -> Result<(), MongoError> {
        let difference = tokio::select! {
            read = Difference::read(self.store, self.of, at, after) => read?,
            error = self.keep_up() => return Err(error),
        };
        for batch in difference.batches() {
            // After a change, the rest of the partition would be useless.
            self.check(read).await?;
            self.step(&Step::Write(&batch)).await?;
        }
        Ok(())
    }

    /// Renews the claim until that fails, and returns the error.
    async fn keep_up(&self) -> MongoError {
        loop {
            tokio::time::sleep(LEASE / 4).await;
            let kept = doc! { "$set": { "until": Self::until() } };
            match self.store.collection(names::STAGING).update_one(self.own(), kept).await {
                Ok(kept) if kept.matched_count == 0 => return MongoError::Conflict,
                Ok(_) => {}
                Err(error) => return error.into(),
            }
        }
    }

    /// Deletes the groups beside the main partition if that is in force, and gives the claim back.
    async fn leave(&self) -> Result<(), MongoError> {
        if gallery::head(self.store, self.of).await?.unwrap_or_default().pointer.is_main() {
            let staged = self.store.collection(names::STAGED_GROUPS);
            loop {
                let left = staged.find(doc! { "gallery": &self.of.0 }).projection(doc! { "_id": 1 });
                let mut left = left.limit(documents::signed(CHUNK as u64)).await?;
                let mut ids: Vec<Bson> = Vec::new();
                while left.advance().await? {
                    ids.extend(left.deserialize_current()?.get("_id").cloned());
                }
                if ids.is_empty() {
                    break;
                }
                self.step(&Step::Clear(&doc! { "_id": { "$in": ids } })).await?;
            }
        }
        self.store.collection(names::STAGING).delete_one(self.own()).await?;
        Ok(())
    }

    /// Executes a step, if the claim still holds. Returns the gallery's state after a flip; `None` if its revision
    /// changed.
    async fn step(&self, step: &Step<'_>) -> Result<Option<GalleryHead>, MongoError> {
        let mut retry = ConflictRetry::new();
        loop {
            let mut session = begin(self.store).await?;
            let taken = self.take(&mut session, step).await;
            let taken = end(session, taken).await;
            if retry.ends(&taken).await {
                return taken?.ok_or(MongoError::Conflict);
            }
        }
    }

    /// Executes a step within a transaction; `None` if the claim is lost.
    async fn take(
        &self,
        session: &mut ClientSession,
        step: &Step<'_>,
    ) -> Result<Option<Option<GalleryHead>>, MongoError> {
        let Self { store, of, .. } = *self;
        let kept = doc! { "$set": { "until": Self::until() } };
        let kept = store.collection(names::STAGING).update_one(self.own(), kept).session(&mut *session).await?;
        if kept.matched_count == 0 {
            return Ok(None);
        }
        match step {
            // No reader needs marks in a partition that was not in force: the pointer shows that another one is now.
            Step::Write(batch) => batch.write(store, session, 0).await?,
            Step::Clear(which) => {
                store.collection(names::STAGED_GROUPS).delete_many((*which).clone()).session(session).await?;
            }
            Step::Flip(to, Reconciled { recognised, renamed, .. }) => {
                let head = advance(store, session, of, to).await?;
                if head.is_some() && to.saved == Saved::Staged {
                    facts::apply(store, session, of, recognised).await?;
                    history::rename(store, session, of, renamed).await?;
                }
                return Ok(Some(head));
            }
        }
        Ok(Some(None))
    }
}
