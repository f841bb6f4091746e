//! How many messages a queue has.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde::Serialize;

use crate::aws::classify::{Fault, fault};

/// Messages in a queue, as SQS counts them: right within a minute or so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Can be received now.
    pub visible: u64,
    /// Somebody has them.
    pub held: u64,
    /// Can be received later.
    pub delayed: u64,
}

impl Depth {
    /// Of the queue at `url`.
    ///
    /// # Errors
    /// SQS does not say.
    pub async fn of(client: &Client, url: &str) -> Result<Self, Fault> {
        let names = [
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
        ];
        let asked = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
        let what = || format!("GetQueueAttributes of {}", super::name(url));
        let answer = asked.send().await.map_err(|error| fault(&what(), &error))?;
        let [visible, held, delayed] =
            names.map(|name| answer.attributes().and_then(|all| all.get(&name)?.parse().ok()).unwrap_or(0));
        Ok(Self { visible, held, delayed })
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.visible + self.held + self.delayed
    }
}
