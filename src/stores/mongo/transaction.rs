//! Several writes as one, guarded by a gallery's generation.

use mongodb::ClientSession;
use mongodb::bson::doc;
use mongodb::error::{TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::ReadConcern;
use muster_actors::domain::gallery::GalleryId;

use super::{MongoError, MongoFaces, documents, names};

/// How often a commit whose answer was lost is asked for.
const COMMITS: u32 = 3;

/// Begins one.
pub async fn begin(store: &MongoFaces) -> Result<ClientSession, MongoError> {
    let mut session = store.client.start_session().await?;
    session.start_transaction().read_concern(ReadConcern::snapshot()).await?;
    Ok(session)
}

/// Ends one: all of it, or nothing.
///
/// # Errors
/// Those of the writes; [`MongoError::Conflict`] when it lost against another on the same gallery.
pub async fn end<R>(mut session: ClientSession, written: Result<R, MongoError>) -> Result<R, MongoError> {
    match written {
        Ok(done) => {
            let mut attempts = 0;
            loop {
                attempts += 1;
                match session.commit_transaction().await {
                    Ok(()) => return Ok(done),
                    // It may be done: to ask again does no harm, and says so.
                    Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) && attempts < COMMITS => {}
                    Err(error) => return Err(lost(error.into())),
                }
            }
        }
        Err(error) => {
            // The server gives up by itself what cannot be aborted.
            let _ = session.abort_transaction().await;
            Err(lost(error))
        }
    }
}

/// Nothing of it was done, and it may be tried again: who loses against another transaction reads the gallery again.
fn lost(error: MongoError) -> MongoError {
    match &error {
        MongoError::Driver(driver) if driver.contains_label(TRANSIENT_TRANSACTION_ERROR) => MongoError::Conflict,
        _ => error,
    }
}

/// Whether the gallery's generation still is `generation`.
///
/// # Errors
/// [`MongoError::Conflict`] when it is not.
pub async fn guard(
    store: &MongoFaces,
    session: &mut ClientSession,
    gallery: &GalleryId,
    generation: u64,
) -> Result<(), MongoError> {
    let now = store.collection(names::GALLERIES).find_one(doc! { "_id": &gallery.0 }).session(session).await?;
    let now = now.map_or(Ok(0), |found| documents::unsigned(&found, "generation"))?;
    if now == generation { Ok(()) } else { Err(MongoError::Conflict) }
}

/// Raises the gallery's generation.
pub async fn raise(store: &MongoFaces, session: &mut ClientSession, gallery: &GalleryId) -> Result<(), MongoError> {
    let galleries = store.collection(names::GALLERIES);
    let raised = galleries.update_one(doc! { "_id": &gallery.0 }, doc! { "$inc": { "generation": 1i64 } });
    raised.upsert(true).session(session).await?;
    Ok(())
}
