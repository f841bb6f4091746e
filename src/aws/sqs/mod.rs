//! Implements the port `Queue` with SQS: receives messages, and settles them under leases. A receipt that is no longer
//! valid is reported as lost without a call. Batch calls answer 200 with failures inside, so every entry of an answer
//! is read.

mod dead_letter;
mod outbox;
mod own_queue;
mod receipts;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName,
};
use futures_util::future::join_all;
use muster_actors::domain::image::Rejection;
use muster_actors::errors::Class;
use muster_actors::ports::queue::{Delivery, Handle, Queue, QueueError, Received, SettleOutcome};
use tokio::time::Instant;

use super::classify::{Fault, class, fault};
use super::depth::name;
use super::permission_history::PermissionHistory;
use dead_letter::{DeadLetter, Original};
pub use outbox::SqsOutbox;
pub use own_queue::OwnQueue;
use receipts::Receipts;

/// Most entries of a batch call (SQS quota).
const ENTRIES: usize = 10;

/// A queue of SQS with its dead-letter queue.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
    dead_letters: String,
    visibility: Duration,
    wait: Duration,
    receipts: Receipts,
    receives: PermissionHistory,
}

/// URLs of a queue and its dead-letter queue.
#[derive(Clone, Debug)]
pub struct Urls {
    /// URL of the queue.
    pub queue: String,
    /// URL of its dead-letter queue.
    pub dead_letters: String,
}

impl From<Fault> for QueueError {
    fn from(Fault { class, message, .. }: Fault) -> Self {
        Self { class, message }
    }
}

impl SqsQueue {
    /// Creates a queue whose messages are leased for `visibility` (whole seconds); a receive waits for `wait`.
    pub fn new(client: Client, urls: Urls, visibility: Duration, wait: Duration) -> Self {
        let Urls { queue, dead_letters } = urls;
        Self {
            client,
            url: queue,
            dead_letters,
            visibility,
            wait,
            receipts: Receipts::default(),
            receives: PermissionHistory::default(),
        }
    }

    /// Calls `batch` for the handles whose receipts are still valid, ten at a time, and returns one outcome for each
    /// handle, in order.
    async fn settle<F>(
        &self,
        handles: &[Handle],
        batch: impl Fn(Vec<Handle>) -> F,
    ) -> Result<Vec<SettleOutcome>, QueueError>
    where
        F: Future<Output = Vec<SettleOutcome>>,
    {
        let ours = self.receipts.ours(handles);
        let places: Vec<usize> = (0..handles.len()).filter(|place| ours[*place]).collect();
        let calls =
            places.chunks(ENTRIES).map(|places| batch(places.iter().map(|place| handles[*place].clone()).collect()));
        let mut outcomes = vec![SettleOutcome::LeaseLost; handles.len()];
        for (place, outcome) in places.iter().zip(join_all(calls).await.into_iter().flatten()) {
            outcomes[*place] = outcome;
        }
        Ok(outcomes)
    }

    /// Sets the visibility timeout of messages, counted from now. This extends a lease, or releases a message after the
    /// timeout.
    async fn change(&self, handles: Vec<Handle>, visibility: Duration) -> Vec<SettleOutcome> {
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
            Err(_) => return vec![SettleOutcome::Failed(Class::Bug); handles.len()],
        };
        let asked = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
        match asked.send().await {
            Ok(answer) => {
                let done = answer.successful.iter().map(|entry| entry.id.as_str());
                outcomes(handles.len(), done, &answer.failed)
            }
            Err(error) => {
                vec![SettleOutcome::Failed(fault("ChangeMessageVisibilityBatch", &error).class); handles.len()]
            }
        }
    }

    async fn delete(&self, handles: Vec<Handle>) -> Vec<SettleOutcome> {
        let entry = |(place, handle): (usize, &Handle)| {
            DeleteMessageBatchRequestEntry::builder().id(place.to_string()).receipt_handle(&handle.0).build()
        };
        let entries = match handles.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(_) => return vec![SettleOutcome::Failed(Class::Bug); handles.len()],
        };
        let asked_before = self.receipts.deleting(&handles);
        let settled =
            match self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await {
                Ok(answer) => {
                    let done = answer.successful.iter().map(|entry| entry.id.as_str());
                    let settled = outcomes(handles.len(), done, &answer.failed);
                    settled.into_iter().zip(asked_before).map(|(settled, before)| deleted(settled, before)).collect()
                }
                Err(error) => vec![SettleOutcome::Failed(fault("DeleteMessageBatch", &error).class); handles.len()],
            };
        self.receipts.settled(&handles, &settled);
        settled
    }

    /// Sends a copy of a message to the dead-letter queue, unless an earlier attempt did.
    async fn bury(&self, handle: &Handle, rejection: &Rejection) -> Result<(), Class> {
        let Some(original) = self.receipts.unburied(handle) else { return Ok(()) };
        let dead_letter = DeadLetter::new(&original, rejection, &self.url);
        let asked = self.client.send_message().queue_url(&self.dead_letters);
        let sent =
            asked.message_body(dead_letter.body).set_message_attributes(Some(dead_letter.attributes)).send().await;
        sent.map_err(|error| match fault("SendMessage", &error).class {
            // A message that cannot be copied must not be deleted, so it stays in its queue.
            Class::Poison | Class::LeaseLost => Class::Transient,
            class => class,
        })?;
        self.receipts.buried(handle);
        Ok(())
    }
}

/// Returns the outcome of a delete. If a receipt is invalid although our lease lasts, an earlier call whose answer was
/// lost has deleted the message.
fn deleted(settled: SettleOutcome, asked_before: bool) -> SettleOutcome {
    if settled == SettleOutcome::LeaseLost && asked_before { SettleOutcome::Done } else { settled }
}

/// Returns the outcome of each entry of a batch call, whose ids are their positions.
fn outcomes<'a>(
    asked: usize,
    done: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Vec<SettleOutcome> {
    // An entry that is missing in the answer counts as failed.
    let mut outcomes = vec![SettleOutcome::Failed(Class::Transient); asked];
    let place = |id: &str| id.parse::<usize>().ok().filter(|place| *place < asked);
    for place in done.filter_map(place) {
        outcomes[place] = SettleOutcome::Done;
    }
    for entry in failed {
        if let Some(place) = place(&entry.id) {
            outcomes[place] = match (class(Some(&entry.code), None), entry.sender_fault) {
                (Class::LeaseLost, _) => SettleOutcome::LeaseLost,
                // SQS says "Value ... for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not
                // available for visibility timeout change" here, also for a lease of more than twelve hours.
                (Class::Transient, true) if entry.code.ends_with("InvalidParameterValue") => SettleOutcome::LeaseLost,
                (class, _) => SettleOutcome::Failed(class),
            };
        }
    }
    outcomes
}

/// Returns the time since `sent` (milliseconds since 1970); zero where the sender's clock is ahead of ours.
fn since(sent: &str) -> Option<Duration> {
    let sent = UNIX_EPOCH.checked_add(Duration::from_millis(sent.parse().ok()?))?;
    Some(SystemTime::now().duration_since(sent).unwrap_or_default())
}

fn delivery(message: &Message, handle: Handle) -> Delivery {
    let attribute = |name: MessageSystemAttributeName| message.attributes.as_ref().and_then(|all| all.get(&name));
    let count = attribute(MessageSystemAttributeName::ApproximateReceiveCount).and_then(|count| count.parse().ok());
    Delivery {
        handle,
        message: message.message_id.clone().unwrap_or_default(),
        body: message.body.clone().unwrap_or_default(),
        receive_count: count.unwrap_or(1),
        trace: attribute(MessageSystemAttributeName::AwsTraceHeader).cloned(),
        waited: attribute(MessageSystemAttributeName::SentTimestamp).and_then(|sent| since(sent)),
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
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max.min(ENTRIES)).unwrap_or(1))
            .visibility_timeout(i32::try_from(self.visibility.as_secs()).unwrap_or(i32::MAX))
            .wait_time_seconds(i32::try_from(self.wait.as_secs()).unwrap_or(0))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::AwsTraceHeader)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| {
                let fault = fault(&format!("ReceiveMessage from {}", name(&self.url)), &error);
                QueueError::from(self.receives.judge(fault))
            })?;
        self.receives.succeeded();
        // The lease began before the answer arrived; after a long poll, up to `wait` later than the call.
        let until = Instant::now() + self.visibility;
        let (mut deliveries, mut received) = (Vec::new(), Vec::new());
        for message in answer.messages.unwrap_or_default() {
            let Some(receipt) = message.receipt_handle.clone() else { continue };
            let delivery = delivery(&message, Handle(receipt));
            let original = Original {
                body: delivery.body.clone(),
                message: delivery.message.clone(),
                receive_count: delivery.receive_count,
            };
            received.push((delivery.handle.clone(), original));
            deliveries.push(delivery);
        }
        self.receipts.add(received, until);
        Ok(Received { deliveries, finished: false })
    }

    async fn extend(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        let asked = Instant::now();
        let settled = self.settle(handles, |batch| self.change(batch, self.visibility)).await?;
        self.receipts.extended(handles, &settled, asked + self.visibility);
        Ok(settled)
    }

    async fn ack(&self, handles: &[Handle]) -> Result<Vec<SettleOutcome>, QueueError> {
        self.settle(handles, |batch| self.delete(batch)).await
    }

    async fn release(&self, handles: &[Handle], delay: Duration) -> Result<Vec<SettleOutcome>, QueueError> {
        let settled = self.settle(handles, |batch| self.change(batch, delay)).await?;
        self.receipts.settled(handles, &settled);
        Ok(settled)
    }

    async fn reject(&self, entries: &[(Handle, Rejection)]) -> Result<Vec<SettleOutcome>, QueueError> {
        let handles: Vec<Handle> = entries.iter().map(|(handle, _)| handle.clone()).collect();
        let ours = self.receipts.ours(&handles);
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
            Ok(()) => deleted.next().unwrap_or(SettleOutcome::Failed(Class::Bug)),
            Err(class) => SettleOutcome::Failed(class),
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
        let transient = SettleOutcome::Failed(Class::Transient);
        assert_eq!(
            got,
            [SettleOutcome::Done, SettleOutcome::LeaseLost, transient.clone(), SettleOutcome::LeaseLost, transient]
        );
    }

    #[test]
    fn a_receipt_made_stale_by_a_delete_whose_answer_was_lost_is_deleted() {
        let failed = SettleOutcome::Failed(Class::Transient);
        for (settled, asked_before, expected) in [
            (SettleOutcome::LeaseLost, true, SettleOutcome::Done),
            (SettleOutcome::LeaseLost, false, SettleOutcome::LeaseLost),
            (SettleOutcome::Done, true, SettleOutcome::Done),
            (failed.clone(), true, failed),
        ] {
            assert_eq!(deleted(settled, asked_before), expected);
        }
    }
}
