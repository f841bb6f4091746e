//! A folder as a queue of the photos that a [scan](super::scan) finds new or changed, under leases.
//!
//! A thread walks ahead of the pipeline and keeps paths only. Where photos are stored already, nothing is
//! handed out before the walk is done: only then is it known what is gone. Messages live in memory: what
//! is not acked when the process ends is found again by the next scan, because it is not stored.

mod walker;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageRecord, ImageState, Locator, Rejection};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use muster_actors::ports::queue::{Delivery, Handle, Queue, QueueError, Received, SettleOutcome};
use muster_gallery::LIBRARY_GALLERY;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::walker::Walker;
use super::file_version::file_version;
use super::scan::{ScanOptions, ScanReport};
use super::{LibraryError, SqliteFaces, forget, key, problems, roots, rows};

/// Length of a lease that is not extended.
const VISIBILITY: Duration = Duration::from_secs(120);
/// Longest wait of a receive.
const POLL: Duration = Duration::from_secs(1);

/// The body of a message, in muster's own form.
#[derive(Serialize)]
struct MessageBody<'a> {
    bucket: &'a str,
    key: &'a str,
    gallery_id: &'a str,
}

#[derive(Debug)]
struct QueuedPhoto {
    bucket: &'static str,
    key: Box<str>,
    receives: u32,
}

impl QueuedPhoto {
    fn new(locator: Locator) -> Self {
        let bucket = if locator.bucket == key::HERE { key::HERE } else { key::ROOT };
        Self { bucket, key: locator.key.into_boxed_str(), receives: 0 }
    }
}

#[derive(Default)]
struct QueueState {
    ready: VecDeque<QueuedPhoto>,
    /// Released messages until their delay is over; the number separates two of the same time.
    delayed: BTreeMap<(Instant, u64), QueuedPhoto>,
    leased: HashMap<Handle, (Instant, QueuedPhoto)>,
    /// Leases by the time at which they end.
    ends: BTreeSet<(Instant, Handle)>,
    counter: u64,
    report: ScanReport,
    walked: bool,
    fault: Option<LibraryError>,
}

impl QueueState {
    /// Ends leases and delays whose time is over.
    fn advance(&mut self, now: Instant) {
        while let Some((end, handle)) = self.ends.pop_first() {
            if end > now {
                self.ends.insert((end, handle));
                break;
            }
            if let Some((_, message)) = self.leased.remove(&handle) {
                self.ready.push_front(message);
            }
        }
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let message = entry.remove();
            self.ready.push_front(message);
        }
    }

    fn lease(&mut self, handle: &Handle, message: QueuedPhoto, end: Instant) {
        self.ends.insert((end, handle.clone()));
        self.leased.insert(handle.clone(), (end, message));
    }

    fn end(&mut self, handle: &Handle) -> Option<QueuedPhoto> {
        let (end, message) = self.leased.remove(handle)?;
        self.ends.remove(&(end, handle.clone()));
        Some(message)
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Returns the time at which the next lease or delay ends.
    fn alarm(&self) -> Option<Instant> {
        let delay = self.delayed.first_key_value().map(|((at, _), _)| *at);
        let lease = self.ends.first().map(|(at, _)| *at);
        delay.into_iter().chain(lease).min()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<QueueState>,
    changed: Notify,
    stop: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        // Nothing panics while it is held; if it did, messages would only be delivered again.
        self.state.lock()
    }
}

/// Photos of folders as a queue. Dropping it stops the walk.
pub struct FolderQueue {
    shared: Arc<Shared>,
    store: Arc<SqliteFaces>,
    model: String,
    visibility: Duration,
    walker: Option<JoinHandle<()>>,
}

impl FolderQueue {
    /// Starts the walk. A path that does not exist is an error at once, unless photos below it are stored.
    pub fn start(store: Arc<SqliteFaces>, options: ScanOptions) -> Result<Self, LibraryError> {
        let paths = roots::resolve(&options.paths)?;
        for path in paths.iter().filter(|path| roots::is_gone(path)) {
            if !store.look(|library| forget::knows(library, path))? {
                return Err(LibraryError::Absent(path.clone()));
            }
        }
        let shared = Arc::new(Shared::default());
        let (there, library, model) = (Arc::clone(&shared), Arc::clone(&store), options.model.clone());
        let walker = std::thread::Builder::new()
            .name("folder-walk".to_owned())
            .spawn(move || {
                let result = Walker { shared: &there, store: &library, paths: &paths, options: &options }.run();
                let mut state = there.state();
                state.fault = result.err();
                state.walked = true;
                state.report.finished = state.fault.is_none();
                drop(state);
                there.changed.notify_waiters();
            })
            .map_err(|e| LibraryError::Broken(e.to_string()))?;
        Ok(Self { shared, store, model, visibility: VISIBILITY, walker: Some(walker) })
    }

    /// Sets another length of leases.
    pub fn with_visibility(mut self, visibility: Duration) -> Self {
        self.visibility = visibility;
        self
    }

    /// Returns the figures of the walk so far.
    pub fn report(&self) -> ScanReport {
        self.shared.state().report.clone()
    }

    fn settle(
        &self,
        handles: &[Handle],
        mut settle: impl FnMut(&mut QueueState, &Handle, QueuedPhoto),
    ) -> Result<Vec<SettleOutcome>, QueueError> {
        let mut state = self.shared.state();
        state.advance(Instant::now());
        let mut settled = Vec::with_capacity(handles.len());
        for handle in handles {
            settled.push(match state.end(handle) {
                None => SettleOutcome::LeaseLost,
                Some(message) => {
                    settle(&mut state, handle, message);
                    SettleOutcome::Done
                }
            });
        }
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(settled)
    }

    /// Records a rejection in the library, which is this queue's dead-letter queue. A record that the
    /// pipeline has written has more details and stays; it only gets an etag where it has none.
    async fn record(&self, locator: Locator, rejection: Rejection) -> Result<(), FacesError> {
        let path = self.store.places().path(&locator.bucket, &locator.key);
        let metadata = path.ok().and_then(|path| std::fs::metadata(path).ok());
        let (etag, bytes) = metadata.map(|m| (file_version(&m), m.len())).unwrap_or_default();
        let image = ImageRecord {
            id: locator.id(),
            locator,
            etag,
            bytes,
            width: 0,
            height: 0,
            orientation: 1,
            taken: None,
            picture: None,
            state: ImageState::Rejected,
            rejection: Some(rejection),
            quality: None,
            face_count: 0,
            model: self.model.clone(),
        };
        let record = image.clone();
        match self.store.run(move |library| recorded(library.db(), &record)).get().await? {
            StoredRecord::Before => return Ok(()),
            StoredRecord::Kept => {
                self.shared.state().report.kept += 1;
                return Ok(());
            }
            StoredRecord::Not => {}
        }
        self.store
            .commit(vec![Commit {
                image,
                faces: Vec::new(),
                content: None,
                version: ObjectVersion::default(),
                timings: Timings::default(),
            }])
            .await?
            .into_iter()
            .collect()
    }
}

/// The record that the library has of a rejected photo.
enum StoredRecord {
    /// A rejection.
    Before,
    /// Faces, which stay.
    Kept,
    /// No record, or one that the rejection replaces.
    Not,
}

fn recorded(db: &Connection, image: &ImageRecord) -> Result<StoredRecord, LibraryError> {
    if problems::keep(db, image)? {
        return Ok(StoredRecord::Kept);
    }
    let stored = db
        .query_row("SELECT state, etag, model FROM images WHERE id = ?1", [image.id.0], |row| {
            Ok((rows::state(row, 0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let is_known = stored.is_some_and(|(state, etag, model)| {
        state == ImageState::Rejected && model == image.model && (etag.is_empty() || etag == image.etag)
    });
    if !is_known {
        return Ok(StoredRecord::Not);
    }
    db.execute("UPDATE images SET etag = ?2 WHERE id = ?1 AND etag = ''", params![image.id.0, image.etag])?;
    Ok(StoredRecord::Before)
}

impl Drop for FolderQueue {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(walker) = self.walker.take() {
            let _ = walker.join();
        }
    }
}

#[async_trait]
impl Queue for FolderQueue {
    fn visibility(&self) -> Duration {
        self.visibility
    }

    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        let until = Instant::now() + POLL;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            let now = Instant::now();
            let wake = {
                let mut state = self.shared.state();
                state.advance(now);
                if let Some(fault) = state.fault.clone() {
                    return Err(fault.into());
                }
                let mut received = Received::default();
                while received.deliveries.len() < max {
                    let Some(mut message) = state.ready.pop_front() else { break };
                    let body = MessageBody { bucket: message.bucket, key: &message.key, gallery_id: LIBRARY_GALLERY };
                    let body = serde_json::to_string(&body)
                        .map_err(|e| QueueError::from(LibraryError::Broken(e.to_string())))?;
                    let name = format!("{}/{}", message.bucket, message.key);
                    message.receives += 1;
                    let receive_count = message.receives;
                    let handle = Handle(format!("{:016x}", state.next()));
                    state.lease(&handle, message, now + self.visibility);
                    received.deliveries.push(Delivery {
                        handle,
                        message: name,
                        body,
                        receive_count,
                        trace: None,
                        waited: None,
                    });
                }
                received.finished =
                    state.walked && state.ready.is_empty() && state.delayed.is_empty() && state.leased.is_empty();
                if !received.deliveries.is_empty() || received.finished || now >= until || max == 0 {
                    return Ok(received);
                }
                state.alarm().map_or(until, |at| at.min(until))
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        let end = Instant::now() + self.visibility;
        self.settle(handles, |state, handle, message| state.lease(handle, message, end))
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.settle(handles, |_, _, _| {})
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        let at = Instant::now() + delay;
        self.settle(handles, |state, _, message| {
            let number = state.next();
            state.delayed.insert((at, number), message);
        })
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
        let mut settled = Vec::with_capacity(entries.len());
        for (handle, rejection) in entries {
            let locator = {
                let mut state = self.shared.state();
                state.advance(Instant::now());
                state.leased.get(handle).map(|(_, message)| Locator {
                    gallery: GalleryId(LIBRARY_GALLERY.to_owned()),
                    bucket: message.bucket.to_owned(),
                    key: message.key.to_string(),
                })
            };
            settled.push(match locator {
                None => SettleOutcome::LeaseLost,
                // Recorded before it is deleted: in between it is only recorded twice.
                Some(locator) => match self.record(locator, rejection.clone()).await {
                    Ok(()) => self.ack(std::slice::from_ref(handle)).await?.pop().unwrap_or(SettleOutcome::LeaseLost),
                    Err(error) => SettleOutcome::Failed(muster_actors::errors::class::Classified::class(&error)),
                },
            });
        }
        Ok(settled)
    }
}
