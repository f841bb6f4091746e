//! Requests of callers as the queue, the photos and the store of a pipeline, in memory.
//!
//! ```text
//! ask ─► Requests (Queue, Objects) ─► Fetcher … Writer ─► Requests (Faces) ─► PendingRequest
//! ```
//!
//! Dropping the [`PendingRequest`] cancels the request if it has not started.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::domain::image::{Locator, RejectReason, Rejection};
use muster_actors::errors::Class;
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use muster_actors::ports::objects::{Object, Objects, ObjectsError};
use muster_actors::ports::queue::{Delivery, Handle, Queue, QueueError, Received, SettleOutcome};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};
use tracing::Span;

use super::recognizer::Refusal;
use muster_telemetry::header;

/// Leases within one process end by being settled, never by time.
const VISIBILITY: Duration = Duration::from_secs(3600);
/// Longest wait of one receive.
const POLL: Duration = Duration::from_secs(5);
const BUCKET: &str = "requests";

struct QueuedRequest {
    photo: Bytes,
    trace: Option<String>,
    reply: oneshot::Sender<Result<Commit, Refusal>>,
    receives: u32,
    /// The request was received and not released.
    leased: bool,
    not_before: Instant,
}

#[derive(Default)]
struct State {
    next: u64,
    open: HashMap<u64, QueuedRequest>,
    /// Ids in the order of arrival; they may name requests that have ended.
    waiting: VecDeque<u64>,
    closed: bool,
}

/// All open requests of one process.
#[derive(Default)]
pub struct Requests {
    state: Mutex<State>,
    arrived: Notify,
}

/// A request that waits for its answer; dropping it cancels the request.
pub struct PendingRequest {
    id: u64,
    requests: Arc<Requests>,
    answer: oneshot::Receiver<Result<Commit, Refusal>>,
}

impl PendingRequest {
    /// Waits for the photo's record and faces.
    ///
    /// # Errors
    /// The photo cannot be used, or the service is stopping.
    pub async fn answer(mut self) -> Result<Commit, Refusal> {
        (&mut self.answer).await.unwrap_or(Err(Refusal::Closed))
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.requests.take(self.id);
    }
}

impl Requests {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Adds a request to the queue.
    ///
    /// # Errors
    /// [`Refusal::Closed`] where the service is stopping.
    pub fn ask(self: &Arc<Self>, photo: Bytes) -> Result<PendingRequest, Refusal> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.state();
        if state.closed {
            return Err(Refusal::Closed);
        }
        state.next += 1;
        let id = state.next;
        let trace = header(&Span::current());
        let request = QueuedRequest { photo, trace, reply, receives: 0, leased: false, not_before: Instant::now() };
        state.open.insert(id, request);
        state.waiting.push_back(id);
        drop(state);
        self.arrived.notify_one();
        Ok(PendingRequest { id, requests: Arc::clone(self), answer })
    }

    /// Returns the number of open requests.
    pub fn open(&self) -> usize {
        self.state().open.len()
    }

    /// Refuses new requests; the pipeline ends when all open ones have their answers.
    pub fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }

    fn take(&self, id: u64) -> Option<QueuedRequest> {
        let mut state = self.state();
        let request = state.open.remove(&id);
        if state.closed {
            // This may have been the last open request.
            self.arrived.notify_one();
        }
        request
    }

    fn end(&self, id: u64, answer: Result<Commit, Refusal>) {
        if let Some(request) = self.take(id) {
            // The caller may just have left.
            let _ = request.reply.send(answer);
        }
    }

    /// Takes the requests that may be received now; otherwise returns when the next may be, `None` where nothing waits.
    fn pick(&self, max: usize) -> Result<Received, Option<Instant>> {
        let mut state = self.state();
        let State { open, waiting, closed, .. } = &mut *state;
        waiting.retain(|id| open.get(id).is_some_and(|request| !request.leased));
        let now = Instant::now();
        let due: Vec<u64> = waiting.iter().copied().filter(|id| open[id].not_before <= now).take(max).collect();
        if due.is_empty() && !(*closed && open.is_empty()) {
            return Err(waiting.iter().map(|id| open[id].not_before).min());
        }
        let deliveries = due.into_iter().filter_map(|id| {
            let request = open.get_mut(&id)?;
            request.leased = true;
            request.receives += 1;
            Some(Delivery {
                handle: Handle(id.to_string()),
                message: id.to_string(),
                body: serde_json::json!({ "bucket": BUCKET, "key": id.to_string() }).to_string(),
                receive_count: request.receives,
                trace: request.trace.clone(),
                waited: None,
            })
        });
        let deliveries = deliveries.collect();
        Ok(Received { deliveries, finished: *closed && open.is_empty() })
    }

    fn each(handles: &[Handle], mut settle: impl FnMut(u64) -> bool) -> Vec<SettleOutcome> {
        let settled = |handle: &Handle| match handle.0.parse() {
            Ok(id) if settle(id) => SettleOutcome::Done,
            _ => SettleOutcome::LeaseLost,
        };
        handles.iter().map(settled).collect()
    }
}

#[async_trait]
impl Queue for Requests {
    fn visibility(&self) -> Duration {
        VISIBILITY
    }

    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        let until = Instant::now() + POLL;
        loop {
            match self.pick(max) {
                Ok(received) => return Ok(received),
                Err(_) if Instant::now() >= until => return Ok(Received::default()),
                Err(next) => {
                    let wake = next.map_or(until, |next| next.min(until));
                    // Either a new request or the time wakes this task.
                    let _ = timeout(wake.saturating_duration_since(Instant::now()), self.arrived.notified()).await;
                }
            }
        }
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        Ok(Self::each(handles, |id| self.state().open.contains_key(&id)))
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        // The answer has ended the request.
        Ok(vec![SettleOutcome::Done; handles.len()])
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        let settled = Self::each(handles, |id| {
            let mut state = self.state();
            let State { open, waiting, .. } = &mut *state;
            let Some(request) = open.get_mut(&id) else { return false };
            request.leased = false;
            request.not_before = Instant::now() + delay;
            waiting.push_back(id);
            true
        });
        self.arrived.notify_one();
        Ok(settled)
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
        for (handle, rejection) in entries {
            if let Ok(id) = handle.0.parse() {
                self.end(id, Err(Refusal::Rejected(rejection.clone())));
            }
        }
        Ok(vec![SettleOutcome::Done; entries.len()])
    }
}

impl Requests {
    fn photo(&self, locator: &Locator) -> Result<Bytes, ObjectsError> {
        let id = locator.key.parse::<u64>().ok();
        let photo = id.and_then(|id| self.state().open.get(&id).map(|request| request.photo.clone()));
        photo.ok_or_else(|| ObjectsError::Rejected(Rejection::new(RejectReason::Missing, "the caller has left")))
    }
}

#[async_trait]
impl Objects for Requests {
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        let photo = self.photo(locator)?;
        let size = photo.len() as u64;
        if size > limit {
            let detail = format!("{size} bytes, {limit} are allowed");
            return Err(ObjectsError::Rejected(Rejection::new(RejectReason::TooManyBytes, detail)));
        }
        Ok(Object { bytes: photo, size, etag: String::new(), modified_ms: None })
    }

    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError> {
        let photo = self.photo(locator)?;
        let size = photo.len() as u64;
        let head = photo.slice(..usize::try_from(bytes.min(size)).unwrap_or(photo.len()));
        Ok(Object { bytes: head, size, etag: String::new(), modified_ms: None })
    }
}

fn no_gallery() -> FacesError {
    FacesError::Failed { class: Class::Bug, message: String::from("requests have no gallery") }
}

#[async_trait]
impl Faces for Requests {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let count = batch.len();
        for commit in batch {
            let Ok(id) = commit.image.locator.key.parse() else { continue };
            let answer = match commit.image.rejection.clone() {
                Some(rejection) => Err(Refusal::Rejected(rejection)),
                None => Ok(commit),
            };
            self.end(id, answer);
        }
        Ok(vec![Ok(()); count])
    }

    async fn gallery(&self, _: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        Err(no_gallery())
    }

    async fn save(&self, _: &GalleryId, _: GalleryVersion, _: &Reconciled) -> Result<(), FacesError> {
        Err(no_gallery())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Arc<Requests> {
        Arc::default()
    }

    fn photo(bytes: usize) -> Bytes {
        Bytes::from(vec![7; bytes])
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_takes_the_request_along() {
        let requests = requests();
        let first = requests.ask(photo(1)).unwrap();
        let second = requests.ask(photo(2)).unwrap();
        drop(first);
        let received = requests.receive(9).await.unwrap();
        assert_eq!(received.deliveries.len(), 1);
        let handle = received.deliveries[0].handle.clone();
        let locator = Locator { gallery: GalleryId("g".into()), bucket: BUCKET.into(), key: handle.0.clone() };
        assert_eq!(requests.get(&locator, 100).await.unwrap().size, 2);
        assert!(matches!(requests.get(&locator, 1).await, Err(ObjectsError::Rejected(_))), "a limit");
        // On its way already: the lease is lost, and nobody works on for nothing.
        drop(second);
        assert_eq!(requests.extend(std::slice::from_ref(&handle)).await.unwrap(), [SettleOutcome::LeaseLost]);
        assert_eq!(requests.release(&[handle], Duration::ZERO).await.unwrap(), [SettleOutcome::LeaseLost]);
        assert_eq!(requests.open(), 0);
        assert!(requests.receive(9).await.unwrap().deliveries.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_comes_again_after_its_delay_and_counts() {
        let requests = requests();
        let ticket = requests.ask(photo(1)).unwrap();
        let handle = requests.receive(9).await.unwrap().deliveries.remove(0).handle;
        requests.release(std::slice::from_ref(&handle), Duration::from_secs(2)).await.unwrap();
        let begun = Instant::now();
        let again = requests.receive(9).await.unwrap().deliveries.remove(0);
        assert_eq!((again.receive_count, begun.elapsed()), (2, Duration::from_secs(2)));
        let rejection = Rejection::new(RejectReason::Corrupt, "no photo");
        requests.reject(&[(handle, rejection.clone())]).await.unwrap();
        assert_eq!(ticket.answer().await, Err(Refusal::Rejected(rejection)));
    }

    #[tokio::test(start_paused = true)]
    async fn closing_ends_the_queue_when_all_have_left() {
        let requests = requests();
        let ticket = requests.ask(photo(1)).unwrap();
        requests.close();
        assert_eq!(requests.ask(photo(1)).err(), Some(Refusal::Closed));
        assert!(!requests.receive(9).await.unwrap().finished);
        drop(ticket);
        assert!(requests.receive(9).await.unwrap().finished);
    }
}
