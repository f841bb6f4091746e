//! Applies corrections of people to a gallery, and undoes them.
//!
//! A correction is one transaction, which raises the gallery's generation before it reads. So two corrections, or a
//! correction and a saved grouping, follow one another, and the later one sees the earlier. A worker that writes faces
//! in the meantime waits for the end of the transaction. The transaction reads and writes only the groups and faces
//! that the correction names; its time depends on their size, not on the size of the gallery.

use mongodb::ClientSession;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::people::undo::UndoError;
use muster_actors::people::{self, Author, Change, Correction, Scene};
use muster_gallery::GalleryError;
use muster_gallery::corrected::Corrected;

use super::gallery::GalleryHead;
use super::history::{self, FORGOTTEN, Noted};
use super::partition::lineage;
use super::scene::scene;
use super::transaction::{ConflictRetry, begin, end, now_ms, raise};
use super::{MongoError, MongoFaces, conversion, facts, group_update};

/// The end of a transaction.
enum Outcome<R> {
    /// It is committed, with this result.
    Written(R),
    /// It is aborted and changes nothing.
    Nothing(Result<R, GalleryError>),
}

impl MongoFaces {
    /// Applies a correction and records it in the history.
    ///
    /// # Errors
    /// [`GalleryError`] when the correction makes no sense in the present groups, [`GalleryError::Busy`] when the
    /// gallery changes all the time, or when the database fails.
    pub async fn correct(
        &self,
        of: &GalleryId,
        correction: &Correction,
        author: &Author,
    ) -> Result<Corrected, GalleryError> {
        conversion::convert(self, of).await?;
        let mut retry = ConflictRetry::new();
        loop {
            let mut session = begin(self).await?;
            let outcome = self.try_correct(&mut session, of, correction, author).await;
            let done = finish(session, outcome).await;
            if retry.ends(&done).await {
                return done.map_err(busy)?;
            }
        }
    }

    /// Undoes the change with this number, or the last that is in force.
    ///
    /// # Errors
    /// [`GalleryError::Nothing`] or [`GalleryError::NoChange`] when there is no such change, [`GalleryError::Undo`]
    /// when it cannot be undone, [`GalleryError::Busy`] when the gallery changes all the time, or when the database
    /// fails.
    pub async fn undo(&self, of: &GalleryId, number: Option<u64>, author: &Author) -> Result<Corrected, GalleryError> {
        conversion::convert(self, of).await?;
        let mut retry = ConflictRetry::new();
        loop {
            let mut session = begin(self).await?;
            let outcome = self.try_undo(&mut session, of, number, author).await;
            let done = finish(session, outcome).await;
            if retry.ends(&done).await {
                return done.map_err(busy)?;
            }
        }
    }

    /// Records in the history that data was forgotten, which cannot be undone.
    ///
    /// # Errors
    /// [`MongoError::Conflict`] when the gallery changes all the time, otherwise [`MongoError`] when the server fails.
    pub async fn note_forgetting(&self, of: &GalleryId, by: &str) -> Result<(), MongoError> {
        let author = Author { by: by.to_owned(), at_ms: now_ms() };
        let change = Change { said: FORGOTTEN.to_owned(), author, ..Change::default() };
        let mut retry = ConflictRetry::new();
        loop {
            let mut session = begin(self).await?;
            let noted = self.append(&mut session, of, &change).await;
            let noted = end(session, noted).await;
            if retry.ends(&noted).await {
                return noted.map(drop);
            }
        }
    }

    async fn append(&self, session: &mut ClientSession, of: &GalleryId, change: &Change) -> Result<u64, MongoError> {
        raise(self, session, of).await?;
        history::append(self, session, of, change).await
    }

    async fn try_correct(
        &self,
        session: &mut ClientSession,
        of: &GalleryId,
        correction: &Correction,
        author: &Author,
    ) -> Result<Outcome<Corrected>, MongoError> {
        let head = raise(self, session, of).await?;
        let scene = scene(self, session, (of, head.pointer), &correction.topic()).await?;
        let change = match people::plan(&scene, correction, author) {
            Ok(change) if change.is_empty() => {
                return Ok(Outcome::Nothing(Ok(Corrected::new(&scene, &change, None))));
            }
            Ok(change) => change,
            Err(error) => return Ok(Outcome::Nothing(Err(error.into()))),
        };
        let (_, corrected) = self.write(session, (of, head), &scene, &change).await?;
        Ok(Outcome::Written(corrected))
    }

    async fn try_undo(
        &self,
        session: &mut ClientSession,
        of: &GalleryId,
        number: Option<u64>,
        author: &Author,
    ) -> Result<Outcome<Corrected>, MongoError> {
        let refuse = |error: GalleryError| Ok(Outcome::Nothing(Err(error)));
        let head = raise(self, session, of).await?;
        let number = match number {
            Some(number) => number,
            None => match history::last(self, session, of).await? {
                Some(last) => last,
                None => return refuse(GalleryError::Nothing),
            },
        };
        let Some(Noted { change, undone_by }) = history::find(self, session, of, number).await? else {
            return refuse(GalleryError::NoChange(number));
        };
        let cannot = |error: UndoError| refuse(GalleryError::Undo { change: number, error });
        if undone_by.is_some() {
            return cannot(UndoError::Undone);
        }
        if change.said == FORGOTTEN {
            return cannot(UndoError::Forgotten);
        }
        let scene = scene(self, session, (of, head.pointer), &change.topic()).await?;
        let back = match people::undo(&scene, &change, number, author) {
            Ok(back) => back,
            Err(error) => return cannot(error),
        };
        // This applies even if nothing is left of the change: the next undo takes the change before it.
        let (by, corrected) = self.write(session, (of, head), &scene, &back).await?;
        history::mark(self, session, of, number, Some(by)).await?;
        if let Some(again) = change.undoes {
            history::mark(self, session, of, again, None).await?;
        }
        Ok(Outcome::Written(corrected))
    }

    /// Writes a change, and returns its number and its effects.
    async fn write(
        &self,
        session: &mut ClientSession,
        (of, head): (&GalleryId, GalleryHead),
        scene: &Scene,
        change: &Change,
    ) -> Result<(u64, Corrected), MongoError> {
        facts::apply(self, session, of, &change.edits).await?;
        group_update::apply(self, session, (of, head), scene, change).await?;
        let number = history::append(self, session, of, change).await?;
        let corrected = Corrected::new(scene, change, Some(number));
        lineage(self, session, of, head.version.generation, &corrected.events).await?;
        Ok((number, corrected))
    }
}

async fn finish<R>(
    mut session: ClientSession,
    outcome: Result<Outcome<R>, MongoError>,
) -> Result<Result<R, GalleryError>, MongoError> {
    match outcome {
        Ok(Outcome::Written(done)) => end(session, Ok(Ok(done))).await,
        Ok(Outcome::Nothing(done)) => {
            // If the abort fails, the server aborts the transaction by itself after its time limit.
            let _ = session.abort_transaction().await;
            Ok(done)
        }
        Err(error) => end(session, Err(error)).await,
    }
}

fn busy(error: MongoError) -> GalleryError {
    match error {
        MongoError::Conflict => GalleryError::Busy,
        error => error.into(),
    }
}
