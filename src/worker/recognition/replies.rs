//! Answers of a worker: what was seen goes into the bucket of answers, then a reply into the queue of whoever asked.

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
use muster_actors::ports::outbox::{Letter, Outbox};
use muster_actors::ports::queue::Settled;

use super::crowd::Crowd;
use super::error::CrowdError;
use super::inbox::Open;
use super::letter::{Answer, Request};
use super::seen::Found;
use muster_aws::classify::Fault;
use muster_aws::s3::{S3Bucket, When};
use muster_aws::sqs::SqsOutbox;

/// Answers the requests that are open.
pub struct Replies {
    open: Open,
    crowd: Arc<Crowd>,
    answers: S3Bucket,
    sqs: Client,
    /// The queue of replies that all servers share.
    responses: String,
}

impl Replies {
    /// Over the bucket of answers.
    pub fn new(open: Open, crowd: Arc<Crowd>, answers: S3Bucket, sqs: Client, responses: String) -> Self {
        Self { open, crowd, answers, sqs, responses }
    }

    async fn answer(&self, request: &Request, commit: Commit) -> Result<Option<Answer>, FacesError> {
        if let Some(rejection) = commit.image.rejection {
            // Whoever asked has left, and taken the photo along.
            let left = rejection.reason == RejectReason::Missing;
            return Ok((!left).then_some(Answer::Rejected(rejection)));
        }
        let probes = commit.faces.iter().map(|face| face.embedding.clone()).collect();
        match self.crowd.identify(&request.gallery_id, probes, request.candidates).await {
            Ok(who) => Ok(Some(said(request, Found { image: commit.image, faces: commit.faces, who }))),
            Err(CrowdError::NoGallery(gallery)) => Ok(Some(Answer::NoGallery(gallery))),
            Err(error) => match error.class() {
                // This gallery alone may be at fault, and others have callers too.
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
            // Answered under another receipt of the same message.
            return Ok(());
        };
        let Some(answer) = self.answer(&request, commit).await? else {
            self.open.told(&request.key);
            return Ok(());
        };
        let bytes = json(&answer)?;
        let put = self.answers.put(&request.id.answer(), bytes, "application/json", None, When::Always).await;
        put.map_err(|Fault { class, message, .. }| FacesError::Failed { class, message })?;
        let body = String::from_utf8_lossy(&json(&request.reply())?).into_owned();
        let letter = Letter { body, trace: None, delay: Duration::ZERO };
        let own = request.reply_to == self.responses;
        let outbox = SqsOutbox::new(self.sqs.clone(), request.reply_to);
        let sent = outbox.send(&[letter]).await.map(|sent| sent.into_iter().next());
        let failed = match sent {
            Ok(Some(Settled::Failed(class))) => Some((class, "the reply was not taken".to_owned())),
            Ok(_) => None,
            Err(error) => Some((error.class, error.message)),
        };
        match failed {
            Some((class, message)) if own => return Err(FacesError::Failed { class, message }),
            // A server's own queue goes with it. Whoever still waits finds the answer without a reply.
            Some((_, message)) => tracing::warn!(message, "recognition.reply"),
            None => {}
        }
        self.open.told(&request.key);
        Ok(())
    }
}

/// What the caller gets of what was found.
fn said(request: &Request, mut found: Found) -> Answer {
    if !request.whole {
        return Answer::Seen(found.into());
    }
    // Nobody is enrolled by a photo of several: that there are two is enough to say so.
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
impl Faces for Replies {
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
