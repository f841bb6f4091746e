//! Leased messages from SQS.
//!
//! SQS answers a delete with a stale receipt handle with success and deletes nothing, so a handle's state is kept here: what is
//! settled, or has outlived its visibility timeout by our clock, is lost without a call. Batches answer 200 with failures
//! inside; every entry has an id of its own and is read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName,
};
use futures_util::future::join_all;
use muster_actors::error::Class;
use muster_actors::image::Rejection;
use muster_actors::ports::queue::{Delivery, Handle, Queue, QueueError, Received, Settled};
use tokio::time::Instant;

use super::classify::{Fault, class, fault};

/// Entries of a batch call (SQS quota).
const ENTRIES: usize = 10;
/// Bytes of a message, its attributes included, and of a batch of messages (SQS quota: 1 MiB).
const MESSAGE_BYTES: usize = 1 << 20;
/// Kept free of a dead letter for its attributes.
const ATTRIBUTE_BYTES: usize = 8 << 10;
/// Bytes of a rejection's detail in an attribute.
const DETAIL_BYTES: usize = 1 << 10;

/// What is remembered of a message that is ours.
#[derive(Debug)]
struct Held {
    until: Instant,
    body: String,
    message: String,
    receive_count: u32,
    /// Its copy is in the dead-letter queue; only the delete is missing.
    buried: bool,
    /// A delete was sent before.
    asked: bool,
}

/// A queue and its dead letters.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    dead_letters: String,
    visibility: Duration,
    wait: Duration,
    held: Arc<Mutex<HashMap<Handle, Held>>>,
}

/// Where the messages are.
#[derive(Clone, Debug)]
pub struct Urls {
    /// The queue.
    pub queue: String,
    /// Its dead letters.
    pub dead_letters: String,
}

impl From<Fault> for QueueError {
    fn from(Fault { class, message, .. }: Fault) -> Self {
        Self { class, message }
    }
}

impl SqsQueue {
    /// Messages are leased for `visibility` (whole seconds); a receive waits for `wait`.
    pub fn new(client: Client, urls: Urls, visibility: Duration, wait: Duration) -> Self {
        let Urls { queue, dead_letters } = urls;
        Self { client, url: queue, dead_letters, visibility, wait, held: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Handle, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which handles are ours still. What is not is forgotten.
    fn ours(&self, handles: &[Handle]) -> Vec<bool> {
        let now = Instant::now();
        let mut held = self.held();
        let mut ours = |handle: &Handle| match held.get(handle) {
            Some(message) if message.until > now => true,
            Some(_) => {
                held.remove(handle);
                false
            }
            None => false,
        };
        handles.iter().map(&mut ours).collect()
    }

    /// Calls `batch` for those handles that are ours, ten at a time; one outcome a handle, in order.
    async fn settle<F>(&self, handles: &[Handle], batch: impl Fn(Vec<Handle>) -> F) -> Result<Vec<Settled>, QueueError>
    where
        F: Future<Output = Vec<Settled>>,
    {
        let ours = self.ours(handles);
        let places: Vec<usize> = (0..handles.len()).filter(|place| ours[*place]).collect();
        let calls =
            places.chunks(ENTRIES).map(|places| batch(places.iter().map(|place| handles[*place].clone()).collect()));
        let mut outcomes = vec![Settled::LeaseLost; handles.len()];
        for (place, outcome) in places.iter().zip(join_all(calls).await.into_iter().flatten()) {
            outcomes[*place] = outcome;
        }
        Ok(outcomes)
    }

    /// A lease of `visibility` from now on; zero and more gives the message back after so long.
    async fn change(&self, handles: Vec<Handle>, visibility: Duration) -> Vec<Settled> {
        let seconds = i32::try_from(visibility.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        let entry = |(place, handle): (usize, &Handle)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(&handle.0)
                .visibility_timeout(seconds)
                .build()
        };
        let entries = match handles.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(_) => return vec![Settled::Failed(Class::Bug); handles.len()],
        };
        let asked = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
        match asked.send().await {
            Ok(answer) => {
                let done = answer.successful.iter().map(|entry| entry.id.as_str());
                outcomes(handles.len(), done, &answer.failed)
            }
            Err(error) => vec![Settled::Failed(fault("ChangeMessageVisibilityBatch", &error).class); handles.len()],
        }
    }

    async fn delete(&self, handles: Vec<Handle>) -> Vec<Settled> {
        let entry = |(place, handle): (usize, &Handle)| {
            DeleteMessageBatchRequestEntry::builder().id(place.to_string()).receipt_handle(&handle.0).build()
        };
        let entries = match handles.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(_) => return vec![Settled::Failed(Class::Bug); handles.len()],
        };
        let asked_before = self.ask(&handles);
        let settled =
            match self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await {
                Ok(answer) => {
                    let done = answer.successful.iter().map(|entry| entry.id.as_str());
                    let settled = outcomes(handles.len(), done, &answer.failed);
                    settled.into_iter().zip(asked_before).map(|(settled, before)| deleted(settled, before)).collect()
                }
                Err(error) => vec![Settled::Failed(fault("DeleteMessageBatch", &error).class); handles.len()],
            };
        self.forget(&handles, &settled);
        settled
    }

    /// Remembers that a delete of each message was sent; whether one was before.
    fn ask(&self, handles: &[Handle]) -> Vec<bool> {
        let mut held = self.held();
        let mut ask = |handle| held.get_mut(handle).is_some_and(|held| std::mem::replace(&mut held.asked, true));
        handles.iter().map(&mut ask).collect()
    }

    /// What is settled is not ours any more.
    fn forget(&self, handles: &[Handle], settled: &[Settled]) {
        let mut held = self.held();
        for (handle, _) in handles.iter().zip(settled).filter(|(_, settled)| !matches!(settled, Settled::Failed(_))) {
            held.remove(handle);
        }
    }

    /// Sends a copy of a message to the dead letters, unless an earlier attempt did.
    async fn bury(&self, handle: &Handle, rejection: &Rejection) -> Result<(), Class> {
        let letter = match self.held().get(handle) {
            Some(message) if !message.buried => letter(message, rejection, &self.url),
            _ => return Ok(()),
        };
        let asked = self.client.send_message().queue_url(&self.dead_letters);
        let sent = asked.message_body(letter.body).set_message_attributes(Some(letter.attributes)).send().await;
        sent.map_err(|error| match fault("SendMessage", &error).class {
            // What cannot be buried must not be deleted: it stays in its queue.
            Class::Poison | Class::LeaseLost => Class::Transient,
            class => class,
        })?;
        if let Some(message) = self.held().get_mut(handle) {
            message.buried = true;
        }
        Ok(())
    }
}

/// A dead letter: the message as it came, why, and from where.
struct Letter {
    body: String,
    attributes: HashMap<String, MessageAttributeValue>,
}

fn letter(message: &Held, rejection: &Rejection, origin: &str) -> Letter {
    let attribute = |(name, value): (&str, String)| {
        // An attribute is never empty and holds no control characters (SQS: as XML 1.0).
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        let value = if value.is_empty() { "-".to_owned() } else { value };
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build().ok()?;
        Some((name.to_owned(), value))
    };
    let attributes = [
        ("reason", rejection.reason.as_str().to_owned()),
        ("detail", cut(&rejection.detail, DETAIL_BYTES).to_owned()),
        ("origin", origin.to_owned()),
        ("message_id", message.message.clone()),
        ("receive_count", message.receive_count.to_string()),
    ];
    Letter {
        body: cut(&message.body, MESSAGE_BYTES - ATTRIBUTE_BYTES).to_owned(),
        attributes: attributes.into_iter().filter_map(attribute).collect(),
    }
}

/// At most so many bytes of a text.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// What a delete came to: a receipt that is stale while our lease lasts was made so by an earlier delete, whose answer was lost.
fn deleted(settled: Settled, asked_before: bool) -> Settled {
    if settled == Settled::LeaseLost && asked_before { Settled::Done } else { settled }
}

/// What a batch call says of each of its entries, whose ids are their places.
fn outcomes<'a>(asked: usize, done: impl Iterator<Item = &'a str>, failed: &[BatchResultErrorEntry]) -> Vec<Settled> {
    // An entry that the answer passes over is as good as failed.
    let mut outcomes = vec![Settled::Failed(Class::Transient); asked];
    let place = |id: &str| id.parse::<usize>().ok().filter(|place| *place < asked);
    for place in done.filter_map(place) {
        outcomes[place] = Settled::Done;
    }
    for entry in failed {
        if let Some(place) = place(&entry.id) {
            outcomes[place] = match (class(Some(&entry.code), None), entry.sender_fault) {
                (Class::LeaseLost, _) => Settled::LeaseLost,
                // "Value ... for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for
                // visibility timeout change", and a lease past twelve hours.
                (Class::Transient, true) if entry.code.ends_with("InvalidParameterValue") => Settled::LeaseLost,
                (class, _) => Settled::Failed(class),
            };
        }
    }
    outcomes
}

fn delivery(message: &Message, handle: Handle) -> Delivery {
    let attribute = |name: MessageSystemAttributeName| message.attributes.as_ref().and_then(|all| all.get(&name));
    let count = attribute(MessageSystemAttributeName::ApproximateReceiveCount).and_then(|count| count.parse().ok());
    Delivery {
        handle,
        body: message.body.clone().unwrap_or_default(),
        receive_count: count.unwrap_or(1),
        trace: attribute(MessageSystemAttributeName::AwsTraceHeader).cloned(),
    }
}

#[async_trait]
impl Queue for SqsQueue {
    fn visibility(&self) -> Duration {
        self.visibility
    }

    async fn receive(&self, max: usize) -> Result<Received, QueueError> {
        if max == 0 {
            return Ok(Received::default());
        }
        let asked = Instant::now();
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max.min(ENTRIES)).unwrap_or(1))
            .visibility_timeout(i32::try_from(self.visibility.as_secs()).unwrap_or(i32::MAX))
            .wait_time_seconds(i32::try_from(self.wait.as_secs()).unwrap_or(0))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::AwsTraceHeader)
            .send()
            .await
            .map_err(|error| QueueError::from(fault("ReceiveMessage", &error)))?;
        let mut deliveries = Vec::new();
        let mut held = self.held();
        // What nobody settled in time is not ours any more.
        held.retain(|_, message| message.until > asked);
        // The lease began before the answer came; after a long poll that is up to `wait` later than the call.
        let until = Instant::now().max(asked) + self.visibility;
        for message in answer.messages.unwrap_or_default() {
            let Some(receipt) = message.receipt_handle.clone() else { continue };
            let delivery = delivery(&message, Handle(receipt));
            let kept = Held {
                until,
                body: delivery.body.clone(),
                message: message.message_id.clone().unwrap_or_default(),
                receive_count: delivery.receive_count,
                buried: false,
                asked: false,
            };
            held.insert(delivery.handle.clone(), kept);
            deliveries.push(delivery);
        }
        Ok(Received { deliveries, finished: false })
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<Settled>, QueueError> {
        let asked = Instant::now();
        let settled = self.settle(handles, |batch| self.change(batch, self.visibility)).await?;
        let mut held = self.held();
        for (handle, outcome) in handles.iter().zip(&settled) {
            match outcome {
                Settled::Done => {
                    if let Some(message) = held.get_mut(handle) {
                        message.until = asked + self.visibility;
                    }
                }
                Settled::LeaseLost => {
                    held.remove(handle);
                }
                Settled::Failed(_) => {}
            }
        }
        Ok(settled)
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<Settled>, QueueError> {
        self.settle(handles, |batch| self.delete(batch)).await
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<Settled>, QueueError> {
        let settled = self.settle(handles, |batch| self.change(batch, delay)).await?;
        self.forget(handles, &settled);
        Ok(settled)
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<Settled>, QueueError> {
        let handles: Vec<Handle> = entries.iter().map(|(handle, _)| handle.clone()).collect();
        let ours = self.ours(&handles);
        let buried = join_all(entries.iter().zip(&ours).map(|((handle, rejection), ours)| async move {
            if *ours { self.bury(handle, rejection).await } else { Ok(()) }
        }))
        .await;
        let ready: Vec<Handle> = handles
            .iter()
            .zip(&buried)
            .filter(|(_, buried)| buried.is_ok())
            .map(|(handle, _)| handle.clone())
            .collect();
        let mut deleted = self.ack(&ready).await?.into_iter();
        let outcome = |buried: Result<(), Class>| match buried {
            Ok(()) => deleted.next().unwrap_or(Settled::Failed(Class::Bug)),
            Err(class) => Settled::Failed(class),
        };
        Ok(buried.into_iter().map(outcome).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(id: &str, code: &str, sender_fault: bool) -> BatchResultErrorEntry {
        BatchResultErrorEntry::builder().id(id).code(code).sender_fault(sender_fault).build().unwrap()
    }

    #[test]
    fn every_entry_of_a_batch_has_its_own_outcome() {
        let failures = [
            failed("1", "ReceiptHandleIsInvalid", true),
            failed("2", "InternalError", false),
            failed("3", "InvalidParameterValue", true),
            failed("9", "InternalError", false),
        ];
        let got = outcomes(5, ["0", "x"].into_iter(), &failures);
        let transient = Settled::Failed(Class::Transient);
        assert_eq!(got, [Settled::Done, Settled::LeaseLost, transient.clone(), Settled::LeaseLost, transient]);
    }

    #[test]
    fn a_receipt_made_stale_by_a_delete_whose_answer_was_lost_is_deleted() {
        let failed = Settled::Failed(Class::Transient);
        for (settled, asked_before, expected) in [
            (Settled::LeaseLost, true, Settled::Done),
            (Settled::LeaseLost, false, Settled::LeaseLost),
            (Settled::Done, true, Settled::Done),
            (failed.clone(), true, failed),
        ] {
            assert_eq!(deleted(settled, asked_before), expected);
        }
    }

    #[test]
    fn a_dead_letter_fits_and_says_why_and_from_where() {
        let message = Held {
            until: Instant::now(),
            body: "é".repeat(MESSAGE_BYTES / 2),
            message: "m-1".into(),
            receive_count: 3,
            buried: false,
            asked: false,
        };
        let rejection = Rejection::new(muster_actors::image::RejectReason::BadMessage, "\u{0}".repeat(9));
        let letter = letter(&message, &rejection, "https://queue");
        let attributes = letter.attributes;
        let size: usize =
            attributes.iter().map(|(name, value)| name.len() + value.string_value().unwrap().len() + 6).sum();
        assert!(letter.body.len() + size <= MESSAGE_BYTES);
        let value = |name: &str| attributes[name].string_value().unwrap().to_owned();
        assert_eq!(
            (value("reason"), value("detail"), value("origin")),
            ("BAD_MESSAGE".into(), "-".into(), "https://queue".into())
        );
    }
}
