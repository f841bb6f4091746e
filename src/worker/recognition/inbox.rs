//! The queue of requests as a worker's pipeline sees it, as a queue of photos. It remembers each request until it is answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use muster_actors::domain::image::Rejection;
use muster_actors::errors::Class;
use muster_actors::ports::queue::{Handle, Queue, QueueError, Received, SettleOutcome};
use parking_lot::{Mutex, MutexGuard};

use super::wire_protocol::{Request, RequestPolicy, is_over};

/// Requests that a worker has received and not ended, by the key of their photo.
#[derive(Clone, Default)]
pub struct OpenRequests(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    requests: HashMap<String, OpenRequest>,
    /// The photo of each receipt, and until when a caller waits for it.
    keys: HashMap<Handle, (String, Instant)>,
}

/// A request that is being worked on.
struct OpenRequest {
    request: Request,
    /// The caller has an answer, or has left.
    answered: bool,
}

impl OpenRequests {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Finds the request for a photo; `None` where it has ended.
    pub fn find(&self, key: &str) -> Option<Request> {
        self.state().requests.get(key).map(|begun| begun.request.clone())
    }

    /// Notes that the caller has an answer, or has left.
    pub fn answered(&self, key: &str) {
        if let Some(begun) = self.state().requests.get_mut(key) {
            begun.answered = true;
        }
    }

    fn is_answered(&self, handle: &Handle) -> bool {
        let state = self.state();
        let begun = state.keys.get(handle).and_then(|(key, _)| state.requests.get(key));
        begun.is_some_and(|begun| begun.answered)
    }

    fn begin(&self, handle: Handle, request: Request) {
        let mut state = self.state();
        // Nothing reports that a lease ran out, so such requests are removed here.
        let now = Instant::now();
        let late = state.keys.iter().filter(|(_, (_, until))| *until < now).map(|(handle, _)| handle.clone());
        late.collect::<Vec<_>>().iter().for_each(|handle| state.end(handle));
        state.keys.insert(handle, (request.key.clone(), now + Duration::from_secs(request.seconds)));
        // An answer under another receipt of the message counts too.
        state.requests.entry(request.key.clone()).or_insert(OpenRequest { request, answered: false });
    }

    fn end(&self, handles: &[Handle], settled: &[SettleOutcome]) {
        let mut state = self.state();
        let ended = handles.iter().zip(settled).filter(|(_, settled)| !matches!(settled, SettleOutcome::Failed(_)));
        ended.for_each(|(handle, _)| state.end(handle));
    }
}

impl State {
    /// Ends a receipt. The same message may have been received twice; the last receipt ends the request.
    fn end(&mut self, handle: &Handle) {
        if let Some((key, _)) = self.keys.remove(handle)
            && !self.keys.values().any(|(other, _)| *other == key)
        {
            self.requests.remove(&key);
        }
    }
}

/// A queue that passes on valid requests whose callers still wait.
pub(crate) struct Inbox {
    queue: Arc<dyn Queue>,
    policy: RequestPolicy,
    open: OpenRequests,
}

impl Inbox {
    /// Wraps the queue itself.
    pub fn new(queue: Arc<dyn Queue>, policy: RequestPolicy) -> Self {
        Self { queue, policy, open: OpenRequests::default() }
    }

    /// Returns the requests that are being worked on; the clone shares them.
    pub fn open(&self) -> OpenRequests {
        self.open.clone()
    }
}

#[async_trait]
impl Queue for Inbox {
    fn visibility(&self) -> Duration {
        self.queue.visibility()
    }

    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        let Received { deliveries, finished } = self.queue.receive(max).await?;
        let (mut good, mut bad, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for delivery in deliveries {
            match self.policy.read(&delivery.body) {
                Err(rejection) => bad.push((delivery.handle, rejection)),
                Ok(request) if is_over(request.seconds, delivery.waited, delivery.receive_count) => {
                    late.push(delivery.handle)
                }
                Ok(request) => {
                    self.open.begin(delivery.handle.clone(), request);
                    good.push(delivery);
                }
            }
        }
        // A message that cannot be settled now comes again, and is late or bad then too.
        if !bad.is_empty() {
            tracing::warn!(count = bad.len(), "recognition.bad_request");
            drop(self.queue.reject(&bad).await);
        }
        if !late.is_empty() {
            tracing::info!(count = late.len(), "recognition.late");
            drop(self.queue.ack(&late).await);
        }
        Ok(Received { deliveries: good, finished })
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.queue.extend(handles).await
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        let settled = self.queue.ack(handles).await?;
        self.open.end(handles, &settled);
        Ok(settled)
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        let settled = self.queue.release(handles, delay).await?;
        self.open.end(handles, &settled);
        Ok(settled)
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
        // A caller who knows why the photo cannot be used has an answer, so the message is no case for an operator.
        let (answered, unanswered): (Vec<_>, Vec<_>) =
            entries.iter().cloned().partition(|(handle, _)| self.open.is_answered(handle));
        let answered: Vec<Handle> = answered.into_iter().map(|(handle, _)| handle).collect();
        let acked = if answered.is_empty() { Vec::new() } else { self.queue.ack(&answered).await? };
        let buried = if unanswered.is_empty() { Vec::new() } else { self.queue.reject(&unanswered).await? };
        let (mut acked, mut buried) = (acked.into_iter(), buried.into_iter());
        let settled: Vec<SettleOutcome> = entries
            .iter()
            .map(|(handle, _)| if answered.contains(handle) { acked.next() } else { buried.next() })
            .map(|settled| settled.unwrap_or(SettleOutcome::Failed(Class::Bug)))
            .collect();
        let handles: Vec<Handle> = entries.iter().map(|(handle, _)| handle.clone()).collect();
        self.open.end(&handles, &settled);
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::gallery::GalleryId;
    use muster_actors::ports::queue::Delivery;

    use super::super::wire_protocol::Id;
    use super::*;

    #[derive(Default)]
    struct Taken {
        deliveries: Mutex<Vec<Delivery>>,
        said: Mutex<Vec<String>>,
    }

    impl Taken {
        fn say(&self, what: &str, handles: impl Iterator<Item = String>) -> Vec<SettleOutcome> {
            let said: Vec<String> = handles.map(|handle| format!("{what} {handle}")).collect();
            let settled = vec![SettleOutcome::Done; said.len()];
            self.said.lock().extend(said);
            settled
        }
    }

    #[async_trait]
    impl Queue for Taken {
        fn visibility(&self) -> Duration {
            Duration::from_secs(1)
        }

        async fn receive(&self, _: usize) -> Result<Received, QueueError> {
            Ok(Received { deliveries: std::mem::take(&mut self.deliveries.lock()), finished: false })
        }

        async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
            Ok(self.say("extend", handles.iter().map(|handle| handle.0.clone())))
        }

        async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
            Ok(self.say("ack", handles.iter().map(|handle| handle.0.clone())))
        }

        async fn release(&self, handles: &[Handle], _: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
            Ok(self.say("release", handles.iter().map(|handle| handle.0.clone())))
        }

        async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
            Ok(self.say("reject", entries.iter().map(|(handle, _)| handle.0.clone())))
        }
    }

    #[tokio::test]
    async fn what_is_late_or_no_request_goes_no_further_and_the_rest_is_open_until_its_last_receipt_ends() {
        let request = |n: u8| Request {
            id: Id([n; 16]),
            server: Id([0; 16]),
            bucket: "in".into(),
            key: Id([n; 16]).photo(),
            gallery_id: GalleryId("g".into()),
            candidates: 3,
            seconds: 30,
            reply_to: "q".into(),
            whole: false,
        };
        let delivery = |handle: &str, body: String, waited: u64| Delivery {
            handle: Handle(handle.into()),
            message: handle.into(),
            body,
            receive_count: 1,
            trace: None,
            waited: Some(Duration::from_secs(waited)),
        };
        let body = |n| serde_json::to_string(&request(n)).unwrap();
        let queue = Arc::new(Taken::default());
        *queue.deliveries.lock() = vec![
            delivery("good", body(1), 1),
            delivery("late", body(2), 500),
            delivery("none", "{}".into(), 1),
            delivery("again", body(1), 2),
        ];
        let inbox = Inbox::new(Arc::clone(&queue) as _, RequestPolicy { bucket: "in".into(), responses: "q".into() });
        let received = inbox.receive(10).await.unwrap();
        let handles: Vec<&str> = received.deliveries.iter().map(|delivery| &*delivery.handle.0).collect();
        assert_eq!(handles, ["good", "again"]);
        assert_eq!(*queue.said.lock(), ["reject none", "ack late"]);
        let (open, key) = (inbox.open(), request(1).key);
        assert_eq!(open.find(&key), Some(request(1)));
        inbox.ack(&[Handle("good".into())]).await.unwrap();
        assert_eq!(open.find(&key), Some(request(1)), "another receipt is worked on");
        let rejection = Rejection::new(muster_actors::domain::image::RejectReason::Corrupt, "no photo");
        open.answered(&key);
        inbox.reject(&[(Handle("again".into()), rejection.clone())]).await.unwrap();
        assert_eq!(open.find(&key), None);
        *queue.deliveries.lock() = vec![delivery("untold", body(3), 1)];
        inbox.receive(10).await.unwrap();
        inbox.reject(&[(Handle("untold".into()), rejection)]).await.unwrap();
        let said = queue.said.lock();
        assert_eq!(
            said[2..],
            ["ack good", "ack again", "reject untold"],
            "a request without an answer is left to an operator"
        );
    }
}
