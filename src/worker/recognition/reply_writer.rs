//! Writes the answers of a worker: the answer goes into the bucket of answers, then a reply into the queue of the web server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use bytes::Bytes;
use futures_util::future::join_all;
use muster_actors::domain::gallery::{GalleryId, GallerySnapshot, GalleryVersion, Reconciled};
use muster_actors::domain::image::RejectReason;
use muster_actors::errors::Class;
use muster_actors::errors::class::Classified;
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use muster_actors::ports::outbox::{OutboundMessage, Outbox};
use muster_actors::ports::queue::SettleOutcome;

use super::error::RecognitionIndexError;
use super::inbox::OpenRequests;
use super::query::AnalysedPhoto;
use super::recognition_index::RecognitionIndex;
use super::wire_protocol::{Answer, Request};
use muster_aws::classify::Fault;
use muster_aws::s3::{S3Bucket, When};
use muster_aws::sqs::SqsOutbox;

/// Answers open requests, in place of a store of faces.
pub struct ReplyWriter {
    open: OpenRequests,
    index: Arc<RecognitionIndex>,
    answers: S3Bucket,
    sqs: Client,
    /// The queue of replies that all servers share.
    responses: String,
}

impl ReplyWriter {
    /// Creates a writer over the bucket of answers.
    pub fn new(
        open: OpenRequests,
        index: Arc<RecognitionIndex>,
        answers: S3Bucket,
        sqs: Client,
        responses: String,
    ) -> Self {
        Self { open, index, answers, sqs, responses }
    }

    async fn answer(&self, request: &Request, commit: Commit) -> Result<Option<Answer>, FacesError> {
        if let Some(rejection) = commit.image.rejection {
            // The caller has left, and the photo was deleted.
            let left = rejection.reason == RejectReason::Missing;
            return Ok((!left).then_some(Answer::Rejected(rejection)));
        }
        let probes = commit.faces.iter().map(|face| face.embedding.clone()).collect();
        match self.index.identify(&request.gallery_id, probes, request.candidates).await {
            Ok(who) => Ok(Some(said(request, AnalysedPhoto { image: commit.image, faces: commit.faces, who }))),
            Err(RecognitionIndexError::NoGallery(gallery)) => Ok(Some(Answer::NoGallery(gallery))),
            Err(error) => match error.class() {
                // The fault may be in this gallery alone, so the worker goes on for others.
                Class::Misconfigured(_) => {
                    tracing::error!(%error, "recognition.gallery");
                    Ok(Some(Answer::Broken))
                }
                class => Err(FacesError::Failed { class, message: error.to_string() }),
            },
        }
    }

    async fn reply(&self, commit: Commit) -> Result<(), FacesError> {
        let Some(request) = self.open.find(&commit.image.locator.key) else {
            // The request was answered under another receipt of the same message.
            return Ok(());
        };
        let Some(answer) = self.answer(&request, commit).await? else {
            self.open.answered(&request.key);
            return Ok(());
        };
        let bytes = json(&answer)?;
        let put = self.answers.put(&request.id.answer(), bytes, "application/json", None, When::Always).await;
        put.map_err(|Fault { class, message, .. }| FacesError::Failed { class, message })?;
        let body = String::from_utf8_lossy(&json(&request.reply())?).into_owned();
        let letter = OutboundMessage { body, trace: None, delay: Duration::ZERO };
        let own = request.reply_to == self.responses;
        let outbox = SqsOutbox::new(self.sqs.clone(), request.reply_to);
        let sent = outbox.send(&[letter]).await.map(|sent| sent.into_iter().next());
        let failed = match sent {
            Ok(Some(SettleOutcome::Failed(class))) => Some((class, "the reply was not taken".to_owned())),
            Ok(_) => None,
            Err(error) => Some((error.class, error.message)),
        };
        match failed {
            Some((class, message)) if own => return Err(FacesError::Failed { class, message }),
            // A server's own queue is deleted with the server. A caller that still waits finds the answer without a reply.
            Some((_, message)) => tracing::warn!(message, "recognition.reply"),
            None => {}
        }
        self.open.answered(&request.key);
        Ok(())
    }
}

/// Builds the answer, with as much of the faces as the request asks for.
fn said(request: &Request, mut found: AnalysedPhoto) -> Answer {
    if !request.whole {
        return Answer::Seen(found.into());
    }
    // Two faces are enough to refuse an enrolment by a photo of several.
    found.faces.truncate(2);
    Answer::Found(Box::new(found))
}

fn json(value: &impl serde::Serialize) -> Result<Bytes, FacesError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| FacesError::Failed { class: Class::Bug, message: error.to_string() })?;
    Ok(bytes.into())
}

fn not_here<T>() -> Result<T, FacesError> {
    Err(FacesError::Failed { class: Class::Bug, message: String::from("requests are not grouped") })
}

#[async_trait]
impl Faces for ReplyWriter {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        Ok(join_all(batch.into_iter().map(|commit| self.reply(commit))).await)
    }

    async fn gallery(&self, _: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        not_here()
    }

    async fn save(&self, _: &GalleryId, _: GalleryVersion, _: &Reconciled) -> Result<(), FacesError> {
        not_here()
    }
}
