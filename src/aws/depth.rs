//! Reads how many messages a queue of SQS has. The counts are only approximate for about a minute
//! after a change.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use muster_actors::errors::Class;
use muster_actors::ports::queue_metrics::Depth;

use super::classify::{Fault, fault};

/// Reads the depth of the queue at `url`.
///
/// # Errors
/// [`Fault`] when SQS fails.
pub async fn depth(client: &Client, url: &str) -> Result<Depth, Fault> {
    let names = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesDelayed,
        Name::ApproximateNumberOfMessagesNotVisible,
    ];
    let asked = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec()));
    let what = format!("GetQueueAttributes of {}", name(url));
    let answer = asked.send().await.map_err(|error| fault(&what, &error))?;
    let count = |name| answer.attributes().and_then(|all| all.get(&name)?.parse().ok());
    match names.map(count) {
        [Some(visible), Some(delayed), Some(in_flight)] => Ok(Depth { visible, delayed, in_flight }),
        _ => {
            let message = format!("{what}: no count");
            Err(Fault { class: Class::Transient, code: None, status: None, message })
        }
    }
}

/// Returns the name in a queue's URL.
pub fn name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
