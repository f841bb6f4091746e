//! A store that asks for the grouping of every gallery it writes to, before it says that anything is written.
//!
//! The message is sent with a delay, and covers all that is written until it becomes visible: one message for each gallery and
//! delay, however many images. Because it is sent before the images' own messages are deleted, no crash loses it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends as Attribute, MessageSystemAttributeValue};
use muster_actors::gallery::{GalleryId, GallerySnapshot, Reconciled};
use muster_actors::ports::faces::{Commit, Faces, FacesError};
use tokio::time::Instant;
use tracing::Span;

use crate::aws::classify::{Fault, fault};
use crate::telemetry;

/// A message that becomes visible sooner than this may be received before what was just written is seen.
const MARGIN: Duration = Duration::from_secs(1);

/// Sends grouping messages.
#[derive(Debug)]
pub struct Announcer {
    client: Client,
    url: String,
    delay: Duration,
    /// When the last message of each gallery becomes visible.
    visible: Mutex<HashMap<GalleryId, Instant>>,
}

impl Announcer {
    /// To the queue `url`; each message is visible after `delay` (whole seconds, SQS: 900 at most).
    pub fn new(client: Client, url: String, delay: Duration) -> Self {
        Self { client, url, delay, visible: Mutex::default() }
    }

    fn visible(&self) -> MutexGuard<'_, HashMap<GalleryId, Instant>> {
        self.visible.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the grouping of a gallery, unless a message that is on its way covers it.
    pub async fn announce(&self, gallery: &GalleryId) -> Result<(), Fault> {
        let now = Instant::now();
        {
            let mut visible = self.visible();
            visible.retain(|_, at| *at > now);
            if visible.get(gallery).is_some_and(|at| now + MARGIN < *at) {
                return Ok(());
            }
        }
        let body = serde_json::json!({ "gallery_id": gallery }).to_string();
        let seconds = i32::try_from(self.delay.as_secs()).unwrap_or(900);
        let asked = self.client.send_message().queue_url(&self.url).message_body(body).delay_seconds(seconds);
        // Grouping belongs to the trace of an image that asked for it.
        let asked = match telemetry::header(&Span::current()).and_then(trace) {
            Some(header) => asked.message_system_attributes(Attribute::AwsTraceHeader, header),
            None => asked,
        };
        asked.send().await.map_err(|error| fault("SendMessage to the queue of galleries", &error))?;
        self.visible().insert(gallery.clone(), now + self.delay);
        Ok(())
    }
}

fn trace(header: String) -> Option<MessageSystemAttributeValue> {
    MessageSystemAttributeValue::builder().data_type("String").string_value(header).build().ok()
}

/// A store whose writes are announced.
pub struct Announced<F> {
    store: F,
    announcer: Announcer,
}

impl<F: Faces> Announced<F> {
    /// Over a store.
    pub fn new(store: F, announcer: Announcer) -> Self {
        Self { store, announcer }
    }
}

#[async_trait]
impl<F: Faces> Faces for Announced<F> {
    async fn commit(&self, batch: Vec<Commit>) -> Result<Vec<Result<(), FacesError>>, FacesError> {
        let of: Vec<GalleryId> = batch.iter().map(|commit| commit.image.locator.gallery.clone()).collect();
        let mut outcomes = self.store.commit(batch).await?;
        // What is refused may have been written, and seen, and taken out again.
        let changed = |outcome: &Result<(), FacesError>| matches!(outcome, Ok(()) | Err(FacesError::Rejected(_)));
        let written: BTreeSet<&GalleryId> =
            of.iter().zip(&outcomes).filter(|(_, outcome)| changed(outcome)).map(|(gallery, _)| gallery).collect();
        for gallery in written {
            let Err(Fault { class, message, .. }) = self.announcer.announce(gallery).await else { continue };
            for (_, outcome) in of.iter().zip(&mut outcomes).filter(|(other, _)| *other == gallery) {
                if changed(outcome) {
                    *outcome = Err(FacesError::Failed { class, message: message.clone() });
                }
            }
        }
        Ok(outcomes)
    }

    async fn gallery(&self, gallery: &GalleryId) -> Result<GallerySnapshot, FacesError> {
        self.store.gallery(gallery).await
    }

    async fn save(&self, gallery: &GalleryId, generation: u64, reconciled: &Reconciled) -> Result<(), FacesError> {
        self.store.save(gallery, generation, reconciled).await
    }
}
