//! Implements the port `Outbox` with SQS, in as few calls as it allows.

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    MessageSystemAttributeNameForSends as Trace, MessageSystemAttributeValue, SendMessageBatchRequestEntry,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::join_all;
use muster_actors::errors::Class;
use muster_actors::ports::outbox::{OutboundMessage, Outbox};
use muster_actors::ports::queue::{QueueError, SettleOutcome};

use super::{ENTRIES, name, outcomes};
use crate::classify::fault;
use crate::permission_history::PermissionHistory;

/// Most bytes of a call (SQS quota: 1 MiB, and 256 KiB until 2025). A larger message is sent alone.
const CALL_BYTES: usize = 256 << 10;

/// A queue of SQS to which messages are sent.
#[derive(Clone, Debug)]
pub struct SqsOutbox {
    client: Client,
    url: String,
    sends: PermissionHistory,
}

impl SqsOutbox {
    /// Creates an outbox of the queue at `url`.
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url, sends: PermissionHistory::default() }
    }

    /// Sends a single message by SendMessage, because MiniStack drops the trace header of a batch's entries.
    async fn alone(&self, letter: &OutboundMessage) -> Result<Vec<SettleOutcome>, QueueError> {
        let message = self.client.send_message().queue_url(&self.url).message_body(&letter.body);
        let message = match trace(letter) {
            Some(header) => message.message_system_attributes(Trace::AwsTraceHeader, header),
            None => message,
        };
        let sent = message.set_delay_seconds(delay(letter)).send().await;
        self.judged("SendMessage", sent).map(|_| vec![SettleOutcome::Done])
    }

    fn judged<T, E>(&self, what: &str, sent: Result<T, SdkError<E, HttpResponse>>) -> Result<T, QueueError>
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        match sent {
            Ok(answer) => {
                self.sends.succeeded();
                Ok(answer)
            }
            Err(error) => {
                let fault = fault(&format!("{what} to {}", name(&self.url)), &error);
                Err(self.sends.judge(fault).into())
            }
        }
    }

    async fn call(&self, letters: &[OutboundMessage]) -> Result<Vec<SettleOutcome>, QueueError> {
        if let [letter] = letters {
            return self.alone(letter).await;
        }
        let entries = letters.iter().enumerate().map(|(place, letter)| {
            let entry = SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(&letter.body);
            let entry = match trace(letter) {
                Some(header) => entry.message_system_attributes(Trace::AwsTraceHeader, header),
                None => entry,
            };
            entry.set_delay_seconds(delay(letter)).build()
        });
        let Ok(entries) = entries.collect::<Result<Vec<_>, _>>() else {
            return Ok(vec![SettleOutcome::Failed(Class::Bug); letters.len()]);
        };
        let asked = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = self.judged("SendMessageBatch", asked.send().await)?;
        let done = answer.successful.iter().map(|entry| entry.id.as_str());
        Ok(outcomes(letters.len(), done, &answer.failed))
    }
}

fn trace(letter: &OutboundMessage) -> Option<MessageSystemAttributeValue> {
    let header = letter.trace.as_ref()?;
    MessageSystemAttributeValue::builder().data_type("String").string_value(header).build().ok()
}

/// Returns the delay in seconds; `None` for the queue's default.
fn delay(letter: &OutboundMessage) -> Option<i32> {
    let seconds = i32::try_from(letter.delay.as_secs()).unwrap_or(i32::MAX);
    (seconds > 0).then_some(seconds)
}

/// Splits messages into calls, in order.
fn calls(letters: &[OutboundMessage]) -> Vec<&[OutboundMessage]> {
    let (mut calls, mut rest) = (Vec::new(), letters);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |letter: &&OutboundMessage| {
            bytes += letter.body.len() + letter.trace.as_ref().map_or(0, String::len);
            bytes <= CALL_BYTES
        };
        let count = rest.iter().take(ENTRIES).take_while(fits).count().max(1);
        let (call, others) = rest.split_at(count);
        calls.push(call);
        rest = others;
    }
    calls
}

#[async_trait]
impl Outbox for SqsOutbox {
    async fn send(&self, letters: &[OutboundMessage]) -> Result<Vec<SettleOutcome>, QueueError> {
        let calls = calls(letters);
        let mut answers = join_all(calls.iter().map(|letters| self.call(letters))).await;
        if answers.len() == 1 {
            return answers.remove(0);
        }
        // One of several calls may fail while the others succeed.
        let each = calls.iter().zip(answers).flat_map(|(letters, answer)| {
            answer.unwrap_or_else(|error| vec![SettleOutcome::Failed(error.class); letters.len()])
        });
        Ok(each.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn letters_fill_calls_by_count_and_by_size() {
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![1; 10], vec![10]),
            (vec![1; 25], vec![10, 10, 5]),
            (vec![CALL_BYTES, 1, 1], vec![1, 2]),
            (vec![CALL_BYTES / 2, CALL_BYTES / 2, 1], vec![2, 1]),
            (vec![1, 4 * CALL_BYTES, 1], vec![1, 1, 1]),
        ] {
            let letter = |size: &usize| OutboundMessage { body: "x".repeat(*size), trace: None, delay: Duration::ZERO };
            let letters: Vec<OutboundMessage> = sizes.iter().map(letter).collect();
            let counts: Vec<usize> = calls(&letters).iter().map(|call| call.len()).collect();
            assert_eq!(counts, expected, "{sizes:?}");
        }
    }
}
