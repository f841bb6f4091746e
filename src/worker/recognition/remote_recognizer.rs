//! Recognition by workers. A photo goes into the input bucket and a request into the queue; a reply says that the answer
//! is in the output bucket.
//!
//! ```text
//! caller ─► AdmissionLimit ─► photo to S3 ─► Request to SQS ┄ worker
//! worker ┄ Answer to S3, Reply to SQS ─► ReplyConsumer ─► ReplyWaiters ─► caller
//! ```
//!
//! When a caller leaves, the photo is deleted, so that no worker analyses it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_actors::domain::exit::Exit;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{Locator, RejectReason};
use muster_actors::errors::Class;
use muster_actors::flow::progress::Progress;
use muster_actors::ports::objects::{Objects, ObjectsError};
use muster_actors::ports::outbox::{OutboundMessage, Outbox};
use muster_actors::ports::queue::SettleOutcome;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use super::admission::{AdmissionLimit, Permit};
use super::query::{AnalysedPhoto, IdentifiedFaces, RecognitionQuery};
use super::recognizer::{Recognizer, Refusal};
use super::reply_consumer::ReplyConsumer;
use super::reply_waiters::{ReplyWaiter, ReplyWaiters};
use super::wire_protocol::{Answer, Id, Request};
use muster_aws::classify::Fault;
use muster_aws::clients::Clients;
use muster_aws::s3::{S3Bucket, S3Objects, When};
use muster_aws::sqs::{OwnQueue, SqsOutbox, SqsQueue, Urls};
use muster_config::{MissingSetting, Settings, required};
use muster_telemetry::header;

/// Interval at which a caller checks for an answer whose reply was lost.
const LOOK: Duration = Duration::from_secs(5);
/// Interval at which the end of all waits is checked.
const TICK: Duration = Duration::from_millis(20);
/// Most bytes of an answer: a thousand faces with twenty candidates each.
const ANSWER: u64 = 16 << 20;

/// The buckets of photos and answers.
#[derive(Clone)]
struct Buckets {
    photos: S3Bucket,
    answers: S3Bucket,
    objects: S3Objects,
}

/// The queues and buckets between a web front and its workers.
pub struct RemoteStores {
    /// A client of the queues.
    pub sqs: aws_sdk_sqs::Client,
    /// URL of the queue of requests.
    pub requests: String,
    /// URL of the queue of replies.
    pub responses: String,
    /// Bucket of callers' photos.
    pub photos: S3Bucket,
    /// Bucket of answers.
    pub answers: S3Bucket,
}

/// Recognises faces by sending photos to workers.
pub struct RemoteRecognizer {
    admission: AdmissionLimit,
    server: Id,
    buckets: Buckets,
    sqs: aws_sdk_sqs::Client,
    requests: String,
    responses: String,
    gallery: String,
    seconds: u64,
    waiters: Arc<ReplyWaiters>,
    consumer: ReplyConsumer,
    /// This server's own queue of replies, where it could be created.
    own: Option<OwnQueue>,
    /// Deletions that are running.
    left: Arc<Mutex<JoinSet<()>>>,
    /// An empty progress: the pipelines run in the workers.
    nothing: watch::Sender<Progress>,
}

/// Deletes a photo and its answer when it is dropped.
struct PhotoGuard {
    id: Id,
    buckets: Buckets,
    left: Arc<Mutex<JoinSet<()>>>,
}

impl Drop for PhotoGuard {
    fn drop(&mut self) {
        let (id, Buckets { photos, answers, .. }) = (self.id, self.buckets.clone());
        let mut left = self.left.lock();
        while left.try_join_next().is_some() {}
        left.spawn(async move {
            let (photo, answer) = (id.photo(), id.answer());
            let gone = tokio::join!(photos.discard(&photo), answers.discard(&answer));
            for fault in [gone.0, gone.1].into_iter().filter_map(Result::err) {
                // The bucket's lifecycle deletes it.
                tracing::warn!(error = fault.message, "recognition.discard");
            }
        });
    }
}

impl From<Fault> for Refusal {
    fn from(Fault { class, message, .. }: Fault) -> Self {
        refusal(class, message)
    }
}

fn refusal(class: Class, message: String) -> Refusal {
    if class.passes() { Refusal::Unavailable(message) } else { Refusal::Broken(message) }
}

/// Converts an answer without the requested faces into a refusal.
fn refused(answer: Answer) -> Refusal {
    match answer {
        Answer::Rejected(rejection) => Refusal::Rejected(rejection),
        Answer::NoGallery(gallery) => Refusal::NoGallery(gallery),
        Answer::Broken => Refusal::Broken("a worker cannot read the gallery".to_owned()),
        Answer::Seen(_) | Answer::Found(_) => Refusal::Broken("a worker of another version answered".to_owned()),
    }
}

/// Creates a queue for the replies to this server alone. `None` where that fails; then the shared queue is used.
async fn own_queue(aws: &Clients, shared: &str, server: Id) -> Option<OwnQueue> {
    match OwnQueue::make(aws.sqs.clone(), shared, &server.to_string()).await {
        Ok(own) => Some(own),
        Err(fault) => {
            tracing::warn!(error = fault.message, "recognition.own_queue");
            None
        }
    }
}

impl RemoteRecognizer {
    /// Connects, and starts consuming replies.
    ///
    /// # Errors
    /// A setting is missing.
    pub async fn start(settings: &Settings) -> Result<Self, MissingSetting> {
        let Settings { serve, queues, buckets, .. } = settings;
        let requests = required(&queues.requests, "queues.requests", "REQUEST_QUEUE_URL")?;
        let responses = required(&queues.responses, "queues.responses", "RESPONSE_QUEUE_URL")?;
        let input = required(&buckets.input, "buckets.input", "INPUT_BUCKET_NAME")?;
        let output = required(&buckets.output, "buckets.output", "OUTPUT_BUCKET_NAME")?;
        let aws = Clients::serving(settings).await;
        let bucket = |name: &str| S3Bucket::new(aws.s3.clone(), name, &buckets.kms_key);
        let buckets =
            Buckets { photos: bucket(input), answers: bucket(output), objects: S3Objects::new(aws.s3.clone(), output) };
        // The id must be unique; without random bytes the service cannot run.
        let server = Id::random().unwrap_or_else(|_| std::process::abort());
        let waiters = Arc::<ReplyWaiters>::default();
        let own = if queues.own_responses { own_queue(&aws, responses, server).await } else { None };
        let responses = own.as_ref().map_or(responses, OwnQueue::url);
        let urls = Urls { queue: responses.to_owned(), dead_letters: String::new() };
        let wait = Duration::from_secs(queues.wait_seconds);
        let replies = SqsQueue::new(aws.sqs.clone(), urls, queues.request_visibility(), wait);
        let consumer = ReplyConsumer::start(server, Arc::new(replies), Arc::clone(&waiters), buckets.answers.clone());
        Ok(Self {
            admission: AdmissionLimit::new(serve.requests, serve.request_megabytes << 20),
            server,
            buckets,
            sqs: aws.sqs,
            requests: requests.to_owned(),
            responses: responses.to_owned(),
            own,
            gallery: serve.gallery.clone(),
            seconds: serve.seconds,
            waiters,
            consumer,
            left: Arc::default(),
            nothing: watch::Sender::default(),
        })
    }

    /// Returns the queues and buckets that this server shares with its workers.
    pub fn stores(&self) -> RemoteStores {
        let Buckets { photos, answers, .. } = self.buckets.clone();
        let (requests, responses) = (self.requests.clone(), self.responses.clone());
        RemoteStores { sqs: self.sqs.clone(), requests, responses, photos, answers }
    }

    /// Sends a photo and waits for its answer, with the faces themselves where `whole` is set.
    async fn send(&self, photo: Bytes, query: RecognitionQuery, whole: bool) -> Result<Answer, Refusal> {
        let gallery = query.gallery.unwrap_or_else(|| GalleryId(self.gallery.clone()));
        if gallery.0.is_empty() {
            return Err(Refusal::WhichGallery);
        }
        let id = Id::random().map_err(|error| Refusal::Broken(error.to_string()))?;
        let (waiter, key) = (self.waiters.join(id), id.photo());
        // The guard exists before the photo does, because the caller may leave during the upload.
        let _photo = PhotoGuard { id, buckets: self.buckets.clone(), left: Arc::clone(&self.left) };
        let put = self.buckets.photos.put(&key, photo, "application/octet-stream", None, When::Always);
        put.instrument(tracing::debug_span!("server.put")).await?;
        let request = Request {
            id,
            server: self.server,
            bucket: self.buckets.photos.name().to_owned(),
            key,
            gallery_id: gallery,
            candidates: query.keep,
            seconds: self.seconds,
            reply_to: self.responses.clone(),
            whole,
        };
        self.ask(request, &waiter).instrument(tracing::debug_span!("server.wait")).await
    }

    /// Sends a request whose photo is there, and waits for its answer.
    async fn ask(&self, request: Request, waiter: &ReplyWaiter) -> Result<Answer, Refusal> {
        let body = serde_json::to_string(&request).map_err(|error| Refusal::Broken(error.to_string()))?;
        let requests = SqsOutbox::new(self.sqs.clone(), self.requests.clone());
        let sent =
            requests.send(&[OutboundMessage { body, trace: header(&Span::current()), delay: Duration::ZERO }]).await;
        match sent.map_err(|error| refusal(error.class, error.message))?.first() {
            Some(SettleOutcome::Failed(class)) => return Err(refusal(*class, "the request was not taken".to_owned())),
            Some(SettleOutcome::Done | SettleOutcome::LeaseLost) | None => {}
        }
        loop {
            // The time limit of the service ends a wait that takes too long.
            let _ = tokio::time::timeout(LOOK, waiter.called()).await;
            if self.waiters.is_dismissed() {
                return Err(Refusal::Closed);
            }
            match self.answer(request.id).await {
                Ok(None) => {}
                Ok(Some(answer)) => return Ok(answer),
                // The answer may be there at the next check.
                Err(Refusal::Unavailable(why)) => tracing::warn!(why, "recognition.look"),
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Reads the answer; `None` where it is not there yet.
    async fn answer(&self, id: Id) -> Result<Option<Answer>, Refusal> {
        let locator = Locator {
            gallery: GalleryId(String::new()),
            bucket: self.buckets.answers.name().to_owned(),
            key: id.answer(),
        };
        let object = match self.buckets.objects.get(&locator, ANSWER).await {
            Ok(object) => object,
            Err(ObjectsError::Rejected(rejection)) if rejection.reason == RejectReason::Missing => return Ok(None),
            Err(ObjectsError::Rejected(rejection)) => return Err(Refusal::Broken(rejection.to_string())),
            Err(ObjectsError::Failed { class, message }) => return Err(refusal(class, message)),
        };
        serde_json::from_slice(&object.bytes)
            .map(Some)
            .map_err(|error| Refusal::Broken(format!("an answer that cannot be read: {error}")))
    }
}

#[async_trait]
impl Recognizer for RemoteRecognizer {
    fn admit(&self, bytes: usize) -> Result<Permit, Refusal> {
        self.admission.admit(bytes)
    }

    async fn recognize(&self, _: &Permit, photo: Bytes, query: RecognitionQuery) -> Result<IdentifiedFaces, Refusal> {
        match self.send(photo, query, false).await? {
            Answer::Seen(seen) => Ok(seen),
            other => Err(refused(other)),
        }
    }

    async fn find(&self, _: &Permit, photo: Bytes, query: RecognitionQuery) -> Result<AnalysedPhoto, Refusal> {
        match self.send(photo, query, true).await? {
            Answer::Found(found) => Ok(*found),
            other => Err(refused(other)),
        }
    }

    async fn ready(&self) -> Result<(), String> {
        self.consumer.ready()
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.nothing.subscribe()
    }

    async fn ended(&self) -> Exit {
        // Its dependencies may come back.
        std::future::pending().await
    }

    fn close(&self) {}

    async fn finished(&self) {
        self.waiters.dismiss();
        while self.waiters.count() > 0 {
            tokio::time::sleep(TICK).await;
        }
        let mut left = std::mem::take(&mut *self.left.lock());
        while left.join_next().await.is_some() {}
        if let Some(own) = &self.own {
            self.consumer.stop();
            if let Err(fault) = own.delete().await {
                tracing::warn!(error = fault.message, "recognition.own_queue");
            }
        }
    }
}
