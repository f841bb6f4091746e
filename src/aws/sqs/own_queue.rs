//! A queue that belongs to one process. It is created at the start with the attributes of a shared queue, and deleted
//! at the end. Later processes delete the queues of processes that were killed.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::classify::{Fault, fault};
use crate::depth::name;

/// Tag with the time at which the process was last alive, in seconds since 1970. A queue without it is not one of
/// these, and is left alone.
const ALIVE: &str = "muster:alive";
/// Interval at which the tag is renewed.
const MARK_EVERY: Duration = Duration::from_secs(3600);
/// Age of the tag from which a process counts as dead.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Attributes that are copied from the shared queue.
const COPIED: [Name; 7] = [
    Name::VisibilityTimeout,
    Name::MessageRetentionPeriod,
    Name::ReceiveMessageWaitTimeSeconds,
    Name::SqsManagedSseEnabled,
    Name::KmsMasterKeyId,
    Name::KmsDataKeyReusePeriodSeconds,
    Name::Policy,
];

/// A queue that belongs to one process.
#[derive(Debug)]
pub struct OwnQueue {
    client: Client,
    url: String,
    marking: JoinHandle<()>,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Tells whether a queue with this tag was left behind by a dead process.
fn is_stale(mark: Option<&str>, now: u64) -> bool {
    let marked: Option<u64> = mark.and_then(|mark| mark.parse().ok());
    marked.is_some_and(|marked| now.saturating_sub(marked) > STALE.as_secs())
}

/// Selects the attributes to copy. SQS accepts one kind of encryption, and no empty value.
fn copied(all: &HashMap<Name, String>) -> HashMap<Name, String> {
    let keyed = all.get(&Name::KmsMasterKeyId).is_some_and(|key| !key.is_empty());
    let fits = |name: &Name| match name {
        Name::SqsManagedSseEnabled => !keyed,
        Name::KmsMasterKeyId | Name::KmsDataKeyReusePeriodSeconds => keyed,
        _ => true,
    };
    let value =
        |name: Name| all.get(&name).filter(|value| !value.is_empty()).map(|value| (name.clone(), value.clone()));
    COPIED.into_iter().filter(fits).filter_map(value).collect()
}

impl OwnQueue {
    /// Creates a queue named after `shared`, with `-` and `suffix` appended, with the time limits, encryption and
    /// policy of `shared`.
    ///
    /// # Errors
    /// [`Fault`] when `shared` does not exist, or the queue may not be created.
    pub async fn make(client: Client, shared: &str, suffix: &str) -> Result<Self, Fault> {
        let what = format!("GetQueueAttributes of {}", name(shared));
        let asked = client.get_queue_attributes().queue_url(shared).attribute_names(Name::All);
        let answer = asked.send().await.map_err(|error| fault(&what, &error))?;
        let attributes = copied(&answer.attributes.unwrap_or_default());
        let own = format!("{}-{suffix}", name(shared));
        let made =
            client.create_queue().queue_name(&own).set_attributes(Some(attributes)).tags(ALIVE, now().to_string());
        made.send().await.map_err(|error| fault(&format!("CreateQueue {own}"), &error))?;
        // Workers only reply to queues whose names begin with that of the shared one.
        let url = format!("{shared}-{suffix}");
        let marking = tokio::spawn(live(client.clone(), shared.to_owned(), url.clone()));
        Ok(Self { client, url, marking })
    }

    /// Returns the URL of the queue.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Deletes the queue with its messages.
    ///
    /// # Errors
    /// [`Fault`] when SQS fails; a later process deletes the queue then.
    pub async fn delete(&self) -> Result<(), Fault> {
        self.marking.abort();
        delete(&self.client, &self.url).await
    }
}

impl Drop for OwnQueue {
    fn drop(&mut self) {
        self.marking.abort();
    }
}

async fn delete(client: &Client, url: &str) -> Result<(), Fault> {
    let deleted = client.delete_queue().queue_url(url).send().await;
    deleted.map(drop).map_err(|error| fault(&format!("DeleteQueue {}", name(url)), &error))
}

/// Deletes the queues of dead processes, and then renews the tag of `own` until it is dropped.
async fn live(client: Client, shared: String, own: String) {
    if let Err(fault) = sweep(&client, &shared, &own).await {
        tracing::warn!(error = fault.message, "queue.sweep");
    }
    let mut clock = interval(MARK_EVERY);
    loop {
        clock.tick().await;
        let marked = client.tag_queue().queue_url(&own).tags(ALIVE, now().to_string()).send().await;
        if let Err(error) = marked {
            tracing::warn!(error = fault("TagQueue", &error).message, "queue.mark");
        }
    }
}

/// Deletes the queues of processes that are dead.
async fn sweep(client: &Client, shared: &str, own: &str) -> Result<(), Fault> {
    let asked = client.list_queues().queue_name_prefix(format!("{}-", name(shared)));
    let answer = asked.send().await.map_err(|error| fault("ListQueues", &error))?;
    for url in answer.queue_urls.unwrap_or_default().iter().filter(|url| name(url) != name(own)) {
        let tags = client.list_queue_tags().queue_url(url).send().await;
        // Another process may have deleted it meanwhile.
        let Ok(tags) = tags else { continue };
        if is_stale(tags.tags().and_then(|tags| tags.get(ALIVE)).map(String::as_str), now()) {
            tracing::info!(queue = name(url), "queue.left");
            delete(client, url).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_queues_that_were_marked_long_ago_are_left_behind() {
        let now = 2_000_000_000;
        let day = STALE.as_secs();
        for (mark, stale) in [
            (None, false),
            (Some("yes".to_owned()), false),
            (Some(now.to_string()), false),
            (Some((now + 100).to_string()), false),
            (Some((now - day).to_string()), false),
            (Some((now - day - 1).to_string()), true),
        ] {
            assert_eq!(is_stale(mark.as_deref(), now), stale, "{mark:?}");
        }
    }

    #[test]
    fn one_kind_of_encryption_is_copied_and_no_count_of_messages() {
        let attribute = |name: Name, value: &str| (name, value.to_owned());
        let common = [
            attribute(Name::VisibilityTimeout, "15"),
            attribute(Name::ApproximateNumberOfMessages, "3"),
            attribute(Name::QueueArn, "arn"),
            attribute(Name::Policy, ""),
            attribute(Name::SqsManagedSseEnabled, "true"),
        ];
        let all: HashMap<Name, String> = common.into_iter().collect();
        let expected = [attribute(Name::VisibilityTimeout, "15"), attribute(Name::SqsManagedSseEnabled, "true")];
        assert_eq!(copied(&all), HashMap::from(expected));
        let mut keyed = all;
        keyed.extend([attribute(Name::KmsMasterKeyId, "key"), attribute(Name::Policy, "{}")]);
        let expected = [
            attribute(Name::VisibilityTimeout, "15"),
            attribute(Name::KmsMasterKeyId, "key"),
            attribute(Name::Policy, "{}"),
        ];
        assert_eq!(copied(&keyed), HashMap::from(expected));
    }
}
