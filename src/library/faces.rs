//! The library as a port. One thread owns the connection that writes, and commits several bulks at once.
//!
//! A durable transaction costs a sync of the disk whatever it holds, so all bulks that wait when the
//! thread is free go into one. Replies are sent after the commit: an acked image survives `kill -9`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use async_trait::async_trait;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::errors::Class;
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{Library, LibraryError, PathMap, groups, write};

/// Number of images in one transaction, after which the next begins.
const GROUP: usize = 1024;

type Outcomes = Vec<Result<(), LibraryError>>;

enum StoreJob {
    Commit(Vec<Commit>, oneshot::Sender<Result<Outcomes, LibraryError>>),
    Run(Box<dyn FnOnce(&mut Library) + Send>),
}

/// A library as [`Faces`]. Dropping it waits for what was sent and gives the library's lock back.
pub struct SqliteFaces {
    jobs: Option<Sender<StoreJob>>,
    thread: Option<JoinHandle<()>>,
    reader: Arc<Mutex<Library>>,
    places: PathMap,
    interrupted: bool,
}

impl SqliteFaces {
    /// Takes a library that is open for writing.
    pub fn start(library: Library) -> Result<Self, LibraryError> {
        let reader = Arc::new(Mutex::new(Library::read(library.folder())?));
        let (places, interrupted) = (library.places().clone(), library.interrupted());
        let (jobs, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("library-writer".to_owned())
            .spawn(move || serve(library, &inbox))
            .map_err(|e| LibraryError::Broken(e.to_string()))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), reader, places, interrupted })
    }

    /// Returns the map from paths to locators.
    pub fn places(&self) -> &PathMap {
        &self.places
    }

    /// Tells whether the last process that wrote to the library was killed, or died.
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    fn send(&self, job: StoreJob) -> Result<(), LibraryError> {
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(gone)
    }

    /// Runs `work` on the writer's thread, after what was sent before; await or block on the answer.
    pub fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Library) -> Result<R, LibraryError> + Send + 'static,
    ) -> PendingAnswer<R> {
        let (reply, answer) = oneshot::channel();
        let job = StoreJob::Run(Box::new(move |library| {
            // Nobody may be waiting any more.
            let _ = reply.send(work(library));
        }));
        PendingAnswer(self.send(job).map(|()| answer))
    }

    /// Reads beside the writer. It blocks.
    pub fn look<R>(&self, work: impl FnOnce(&mut Library) -> Result<R, LibraryError>) -> Result<R, LibraryError> {
        // Readers keep no state between calls, so a panic in one leaves nothing half done.
        work(&mut self.reader.lock())
    }
}

impl Drop for SqliteFaces {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer of [`SqliteFaces::run`], which comes later.
pub struct PendingAnswer<R>(Result<oneshot::Receiver<Result<R, LibraryError>>, LibraryError>);

impl<R> PendingAnswer<R> {
    /// Waits without blocking the thread.
    pub async fn get(self) -> Result<R, LibraryError> {
        self.0?.await.map_err(|_| gone())?
    }

    /// Waits on a thread that may block; never inside an async task.
    pub fn wait(self) -> Result<R, LibraryError> {
        self.0?.blocking_recv().map_err(|_| gone())?
    }
}

fn gone() -> LibraryError {
    LibraryError::Broken("the library's writer is gone".to_owned())
}

fn serve(mut library: Library, inbox: &Receiver<StoreJob>) {
    let mut next = inbox.recv().ok();
    while let Some(job) = next.take() {
        match job {
            StoreJob::Run(work) => work(&mut library),
            StoreJob::Commit(batch, reply) => {
                let mut waiting = vec![(batch.len(), reply)];
                let mut all = batch;
                while all.len() < GROUP {
                    match inbox.try_recv() {
                        Ok(StoreJob::Commit(batch, reply)) => {
                            waiting.push((batch.len(), reply));
                            all.extend(batch);
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                answer(waiting, write::commit(&mut library.db, &all));
            }
        }
        if next.is_none() {
            next = inbox.recv().ok();
        }
    }
    // A tidy end; the journal is just as safe.
    let _ = library.checkpoint();
}

fn answer(
    waiting: Vec<(usize, oneshot::Sender<Result<Outcomes, LibraryError>>)>,
    result: Result<Outcomes, LibraryError>,
) {
    match result {
        Ok(outcomes) => {
            let mut outcomes = outcomes.into_iter();
            for (count, reply) in waiting {
                let _ = reply.send(Ok(outcomes.by_ref().take(count).collect()));
            }
        }
        Err(error) => {
            for (_, reply) in waiting {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

#[async_trait]
impl Faces for SqliteFaces {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let (reply, answer) = oneshot::channel();
        self.send(StoreJob::Commit(batch, reply))?;
        let outcomes = answer.await.map_err(|_| gone())??;
        Ok(outcomes.into_iter().map(|outcome| outcome.map_err(FacesError::from)).collect())
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        let (reader, gallery) = (Arc::clone(&self.reader), gallery.clone());
        let read = move || {
            let mut library = reader.lock();
            groups::snapshot(&mut library.db, &gallery)
        };
        let failed = |e: tokio::task::JoinError| FacesError::Failed { class: Class::Bug, message: e.to_string() };
        Ok(tokio::task::spawn_blocking(read).await.map_err(failed)??)
    }

    async fn is_grouped(&self, gallery: &GalleryId) -> Result<bool, FacesError> {
        let gallery = gallery.clone();
        // After what was written before.
        Ok(self.run(move |library| groups::is_grouped(library, &gallery)).get().await?)
    }

    async fn save(&self, gallery: &GalleryId, read: GalleryVersion, reconciled: &Reconciled) -> Result<(), FacesError> {
        let (gallery, reconciled) = (gallery.clone(), reconciled.clone());
        let save = move |library: &mut Library| {
            let db: &mut Connection = &mut library.db;
            groups::save(db, &gallery, read, &reconciled)
        };
        Ok(self.run(save).get().await?)
    }
}
