//! Recognition by workers elsewhere: a photo goes into the input bucket and a request into the queue; the answer comes out of the
//! output bucket when a reply says so.
//!
//! ```text
//! caller ─► Room ─► photo to S3 ─► Request to SQS ┄ worker ┄ Answer to S3, Reply to SQS ─► Listener ─► Waiting ─► caller
//! ```
//!
//! Whoever leaves takes the photo along: a worker that comes for it finds nothing.

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
use muster_actors::ports::outbox::{Letter, Outbox};
use muster_actors::ports::queue::Settled;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument, Span};

use super::letter::{Answer, Id, Request};
use super::listener::Listener;
use super::recognizer::{Recognizer, Refusal};
use super::room::{Place, Room};
use super::seen::{Ask, Found, Seen};
use super::waiting::{Waiter, Waiting};
use muster_aws::classify::Fault;
use muster_aws::clients::Clients;
use muster_aws::s3::{S3Bucket, S3Objects, When};
use muster_aws::sqs::{OwnQueue, SqsOutbox, SqsQueue, Urls};
use muster_config::{Settings, Unset, required};
use muster_telemetry::header;

/// An answer whose reply somebody else has taken is found so soon after.
const LOOK: Duration = Duration::from_secs(5);
/// Callers who are sent away take their leave within some of these.
const TICK: Duration = Duration::from_millis(20);
/// Bytes of an answer at most: a thousand faces with twenty candidates each.
const ANSWER: u64 = 16 << 20;

/// The two buckets.
#[derive(Clone)]
struct Buckets {
    photos: S3Bucket,
    answers: S3Bucket,
    objects: S3Objects,
}

/// What lies between a web front and its workers.
pub struct RemoteStores {
    /// A client of the queues.
    pub sqs: aws_sdk_sqs::Client,
    /// URL of the queue of requests.
    pub requests: String,
    /// URL of the queue of replies.
    pub responses: String,
    /// Where photos of callers lie.
    pub photos: S3Bucket,
    /// Where answers lie.
    pub answers: S3Bucket,
}

/// Recognition by workers elsewhere.
pub struct Remote {
    room: Room,
    server: Id,
    buckets: Buckets,
    sqs: aws_sdk_sqs::Client,
    requests: String,
    responses: String,
    gallery: String,
    seconds: u64,
    waiting: Arc<Waiting>,
    listener: Listener,
    /// Its own queue of replies, where it has made one.
    own: Option<OwnQueue>,
    /// What is being deleted.
    left: Arc<Mutex<JoinSet<()>>>,
    /// The pipelines are elsewhere.
    nothing: watch::Sender<Progress>,
}

/// Deletes a photo and its answer, when nobody waits for it any more.
struct Photo {
    id: Id,
    buckets: Buckets,
    left: Arc<Mutex<JoinSet<()>>>,
}

impl Drop for Photo {
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

/// An answer that has not what was asked for.
fn refused(answer: Answer) -> Refusal {
    match answer {
        Answer::Rejected(rejection) => Refusal::Rejected(rejection),
        Answer::NoGallery(gallery) => Refusal::NoGallery(gallery),
        Answer::Broken => Refusal::Broken("a worker cannot read the gallery".to_owned()),
        Answer::Seen(_) | Answer::Found(_) => Refusal::Broken("a worker of another version answered".to_owned()),
    }
}

/// A queue for the replies to this server alone. Where it cannot be made, the shared one serves too.
async fn own_queue(aws: &Clients, shared: &str, server: Id) -> Option<OwnQueue> {
    match OwnQueue::make(aws.sqs.clone(), shared, &server.to_string()).await {
        Ok(own) => Some(own),
        Err(fault) => {
            tracing::warn!(error = fault.message, "recognition.own_queue");
            None
        }
    }
}

impl Remote {
    /// Connects, and begins to listen for replies.
    ///
    /// # Errors
    /// A setting is missing.
    pub async fn start(settings: &Settings) -> Result<Self, Unset> {
        let Settings { serve, queues, buckets, .. } = settings;
        let requests = required(&queues.requests, "queues.requests", "REQUEST_QUEUE_URL")?;
        let responses = required(&queues.responses, "queues.responses", "RESPONSE_QUEUE_URL")?;
        let input = required(&buckets.input, "buckets.input", "INPUT_BUCKET_NAME")?;
        let output = required(&buckets.output, "buckets.output", "OUTPUT_BUCKET_NAME")?;
        let aws = Clients::serving(settings).await;
        let bucket = |name: &str| S3Bucket::new(aws.s3.clone(), name, &buckets.kms_key);
        let buckets =
            Buckets { photos: bucket(input), answers: bucket(output), objects: S3Objects::new(aws.s3.clone(), output) };
        // Nobody else is called so; without a source of chance there is no service.
        let server = Id::random().unwrap_or_else(|_| std::process::abort());
        let waiting = Arc::<Waiting>::default();
        let own = if queues.own_responses { own_queue(&aws, responses, server).await } else { None };
        let responses = own.as_ref().map_or(responses, OwnQueue::url);
        let urls = Urls { queue: responses.to_owned(), dead_letters: String::new() };
        let wait = Duration::from_secs(queues.wait_seconds);
        let replies = SqsQueue::new(aws.sqs.clone(), urls, queues.request_visibility(), wait);
        let listener = Listener::start(server, Arc::new(replies), Arc::clone(&waiting), buckets.answers.clone());
        Ok(Self {
            room: Room::new(serve.requests, serve.request_megabytes << 20),
            server,
            buckets,
            sqs: aws.sqs,
            requests: requests.to_owned(),
            responses: responses.to_owned(),
            own,
            gallery: serve.gallery.clone(),
            seconds: serve.seconds,
            waiting,
            listener,
            left: Arc::default(),
            nothing: watch::Sender::default(),
        })
    }

    /// What lies between it and its workers.
    pub fn stores(&self) -> RemoteStores {
        let Buckets { photos, answers, .. } = self.buckets.clone();
        let (requests, responses) = (self.requests.clone(), self.responses.clone());
        RemoteStores { sqs: self.sqs.clone(), requests, responses, photos, answers }
    }

    /// Sends a photo, and waits for its answer: `whole` with the faces themselves.
    async fn send(&self, photo: Bytes, ask: Ask, whole: bool) -> Result<Answer, Refusal> {
        let gallery = ask.gallery.unwrap_or_else(|| GalleryId(self.gallery.clone()));
        if gallery.0.is_empty() {
            return Err(Refusal::WhichGallery);
        }
        let id = Id::random().map_err(|error| Refusal::Broken(error.to_string()))?;
        let (waiter, key) = (self.waiting.join(id), id.photo());
        // Before the photo is there: its caller may leave while it is written.
        let _photo = Photo { id, buckets: self.buckets.clone(), left: Arc::clone(&self.left) };
        let put = self.buckets.photos.put(&key, photo, "application/octet-stream", None, When::Always);
        put.instrument(tracing::debug_span!("server.put")).await?;
        let request = Request {
            id,
            server: self.server,
            bucket: self.buckets.photos.name().to_owned(),
            key,
            gallery_id: gallery,
            candidates: ask.keep,
            seconds: self.seconds,
            reply_to: self.responses.clone(),
            whole,
        };
        self.ask(request, &waiter).instrument(tracing::debug_span!("server.wait")).await
    }

    /// Sends a request whose photo is there, and waits for its answer.
    async fn ask(&self, request: Request, waiter: &Waiter) -> Result<Answer, Refusal> {
        let body = serde_json::to_string(&request).map_err(|error| Refusal::Broken(error.to_string()))?;
        let requests = SqsOutbox::new(self.sqs.clone(), self.requests.clone());
        let sent = requests.send(&[Letter { body, trace: header(&Span::current()), delay: Duration::ZERO }]).await;
        match sent.map_err(|error| refusal(error.class, error.message))?.first() {
            Some(Settled::Failed(class)) => return Err(refusal(*class, "the request was not taken".to_owned())),
            Some(Settled::Done | Settled::LeaseLost) | None => {}
        }
        loop {
            // Whoever waits too long is sent away by the time limit of the service.
            let _ = tokio::time::timeout(LOOK, waiter.called()).await;
            if self.waiting.is_dismissed() {
                return Err(Refusal::Closed);
            }
            match self.answer(request.id).await {
                Ok(None) => {}
                Ok(Some(answer)) => return Ok(answer),
                // It may be there at the next look.
                Err(Refusal::Unavailable(why)) => tracing::warn!(why, "recognition.look"),
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// The answer, where it is there.
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
        serde_json::from_slice(&object.bytes).map(Some).map_err(|error| Refusal::Broken(format!("no answer: {error}")))
    }
}

#[async_trait]
impl Recognizer for Remote {
    fn place(&self, bytes: usize) -> Result<Place, Refusal> {
        self.room.place(bytes)
    }

    async fn recognize(&self, _: &Place, photo: Bytes, ask: Ask) -> Result<Seen, Refusal> {
        match self.send(photo, ask, false).await? {
            Answer::Seen(seen) => Ok(seen),
            other => Err(refused(other)),
        }
    }

    async fn find(&self, _: &Place, photo: Bytes, ask: Ask) -> Result<Found, Refusal> {
        match self.send(photo, ask, true).await? {
            Answer::Found(found) => Ok(*found),
            other => Err(refused(other)),
        }
    }

    async fn ready(&self) -> Result<(), String> {
        self.listener.hears()
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.nothing.subscribe()
    }

    async fn ended(&self) -> Exit {
        // What it depends on may come back.
        std::future::pending().await
    }

    fn close(&self) {}

    async fn finished(&self) {
        self.waiting.dismiss();
        while self.waiting.count() > 0 {
            tokio::time::sleep(TICK).await;
        }
        let mut left = std::mem::take(&mut *self.left.lock());
        while left.join_next().await.is_some() {}
        if let Some(own) = &self.own {
            self.listener.stop();
            if let Err(fault) = own.delete().await {
                tracing::warn!(error = fault.message, "recognition.own_queue");
            }
        }
    }
}
