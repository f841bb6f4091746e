//! The settings of a fleet's workers, and the environment variables that the Python service had for them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Secret, Settings};

/// Role, limits and time limits of a fleet's worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Role of `muster worker`: `detection`, `grouping` or `recognition`.
    pub service: String,
    /// AWS region of queues and buckets.
    pub region: String,
    /// Whether a worker leaves when its queue stays empty.
    pub mode: Mode,
    /// Minutes after which a worker finishes what it has and leaves; 0 means never.
    pub time_limit_minutes: u64,
    /// Most lanes that run in parallel.
    pub face_workers: usize,
    /// Number of images that may be in the pipeline at a time, instead of `pipeline.credits`. The number is larger than
    /// for a folder, because most of these images wait for the network.
    pub credits: usize,
    /// Most downloads that run in parallel.
    pub downloads: usize,
    /// Gallery of images whose message names none; empty uses the first folder of the key.
    pub gallery: String,
    /// Minutes that a worker waits for a dependency that is down, before it leaves.
    pub outage_minutes: u64,
    /// Megabytes of memory in which a grouping worker keeps galleries to group them faster the next time; 0 uses a
    /// quarter of what its control group allows.
    pub kept_megabytes: u64,
    /// Address of all AWS services, for tests; empty uses Amazon's own.
    pub endpoint: String,
}

/// The role of a worker in a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerRole {
    /// Finds faces in images.
    Detection,
    /// Groups the faces of galleries.
    Grouping,
    /// Answers the callers of a web tier.
    Recognition,
}

impl WorkerRole {
    /// Returns the name in settings and telemetry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Grouping => "grouping",
            Self::Recognition => "recognition",
        }
    }

    /// Returns the queue that such a worker receives from.
    ///
    /// # Errors
    /// The setting of the queue is missing.
    pub fn queue(self, queues: &Queues) -> Result<&str, MissingSetting> {
        match self {
            Self::Detection => required(&queues.images, "queues.images", "QUEUE_URL"),
            Self::Grouping => required(&queues.galleries, "queues.galleries", "GROUP_FACE_QUEUE_URL"),
            Self::Recognition => required(&queues.requests, "queues.requests", "REQUEST_QUEUE_URL"),
        }
    }
}

/// A service whose number of workers follows the waiting work. Recognition is not included, because callers of a web
/// tier cannot wait for a machine to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaledService {
    /// Finds faces in images.
    Detection,
    /// Groups the faces of galleries.
    Grouping,
}

impl From<ScaledService> for WorkerRole {
    fn from(service: ScaledService) -> Self {
        match service {
            ScaledService::Detection => Self::Detection,
            ScaledService::Grouping => Self::Grouping,
        }
    }
}

impl ScaledService {
    /// Returns the name in settings and telemetry.
    pub fn as_str(self) -> &'static str {
        WorkerRole::from(self).as_str()
    }

    /// Returns the queue that its workers receive from.
    ///
    /// # Errors
    /// The setting of the queue is missing.
    pub fn queue(self, queues: &Queues) -> Result<&str, MissingSetting> {
        WorkerRole::from(self).queue(queues)
    }
}

/// The error that a command needs a setting that is empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is not set: set {variable}, or {key} in a settings file")]
pub struct MissingSetting {
    /// Name of the setting.
    pub key: &'static str,
    /// Its environment variable.
    pub variable: &'static str,
}

/// Longest time for which SQS hides a message after its receipt, however often it is renewed (Amazon SQS Developer
/// Guide, "Amazon SQS visibility timeout").
const LONGEST_LEASE: Duration = Duration::from_secs(12 * 3600);
/// Longest time that the answer to a receive or a renewal takes. SQS's clock may be ahead of ours by as much.
const ANSWER: Duration = Duration::from_secs(60);

/// Returns the value of a required setting.
///
/// # Errors
/// [`MissingSetting`] when it is empty.
pub fn required<'a>(value: &'a str, key: &'static str, variable: &'static str) -> Result<&'a str, MissingSetting> {
    if value.is_empty() { Err(MissingSetting { key, variable }) } else { Ok(value) }
}

/// Reaction of a worker to the deletion of an image from its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Removals {
    /// It does nothing: the faces, crops and result stay.
    Ignore,
    /// It deletes the faces, crops and result, unless the image exists after all.
    Remove,
}

/// Whether a worker leaves when its queue stays empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `batch` where AWS Batch set `AWS_BATCH_JOB_ID`, otherwise `ecs`.
    Auto,
    /// The worker leaves.
    Batch,
    /// The worker stays.
    Ecs,
}

/// The queues from which work comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Queues {
    /// URL of the queue of images.
    pub images: String,
    /// URL of the queue of galleries to group.
    pub galleries: String,
    /// URL of the dead-letter queue, for messages that cannot be processed.
    pub dead_letters: String,
    /// URL of the queue of photos to recognise, to which the web tier sends and from which `muster respond` receives.
    pub requests: String,
    /// URL of the queue of replies to the web tier.
    pub responses: String,
    /// Whether a web server creates a queue of replies for itself, with the attributes of `responses`, and deletes it
    /// when it ends.
    pub own_responses: bool,
    /// Seconds that a request or a reply stays invisible after its receipt. If a worker dies, its callers wait for that
    /// long.
    pub request_visibility_seconds: u64,
    /// Seconds that a message stays invisible after its receipt. It is renewed after a third of that.
    pub visibility_seconds: u64,
    /// Most hours for which a message is renewed. No message is hidden for more than the 12 hours of SQS.
    pub lease_hours: u64,
    /// Seconds that a receive waits for a message (SQS allows 20).
    pub wait_seconds: u64,
    /// Number of empty receives in a row after which a worker in batch mode leaves.
    pub leave_after_empty: u32,
    /// Number of receives without an end, this one included, from which an image is decoded in a process of its own.
    pub apart_at: u32,
    /// Number of receives without an end, this one included, from which an image runs alone on the device.
    pub suspect_at: u32,
    /// Number of receives without an end after which the next receive sends an image to the dead letters.
    pub max_receives: u32,
    /// Seconds within which faces written to a gallery are grouped together.
    pub group_after_seconds: u64,
    /// Reaction of a worker to a message that an image was deleted from its bucket.
    pub removals: Removals,
    /// Address of SQS, if it is not `fleet.endpoint`.
    pub endpoint: String,
}

/// The databases of faces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mongo {
    /// Connection string of the database of faces and groups.
    pub gallery_images: Secret,
    /// Connection string of the database of the images' metadata.
    pub huemn: Secret,
    /// Most results that are written in one bulk; never more than half of `fleet.credits`.
    pub write_batch: usize,
    /// Most milliseconds that a result waits to be written; one second at most when no other photo is on its way.
    pub write_milliseconds: u64,
    /// Days for which events of groups (births, merges, splits, ends) are kept; 0 keeps them for ever.
    pub lineage_days: u64,
}

impl Mongo {
    /// Returns how long events of groups are kept; `None` means for ever.
    pub fn lineage(&self) -> Option<Duration> {
        (self.lineage_days > 0).then(|| Duration::from_secs(self.lineage_days * 86_400))
    }
}

/// The cache of images, analyses and embeddings in Redis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Address of the cache; empty works without one.
    pub url: Secret,
    /// Milliseconds after which a call of the cache is given up.
    pub timeout_milliseconds: u64,
    /// Size in megabytes above which images are not cached.
    pub image_megabytes: u64,
    /// Seconds for which images are kept.
    pub image_seconds: u64,
    /// Seconds for which analyses are kept, by the content of the image and the model.
    pub analysis_seconds: u64,
    /// Seconds for which a gallery's embeddings are kept.
    pub gallery_seconds: u64,
}

/// Environment variables of the Python service and OpenTelemetry, with the settings that they set.
pub(super) const NAMES: [(&str, &str); 26] = [
    ("AWS_DEFAULT_REGION", "fleet.region"),
    ("AWS_REGION", "fleet.region"),
    ("AWS_ENDPOINT_URL", "fleet.endpoint"),
    ("AWS_ENDPOINT_URL_SQS", "queues.endpoint"),
    ("AWS_ENDPOINT_URL_S3", "buckets.endpoint"),
    ("AWS_ENDPOINT_URL_BATCH", "batch.endpoint"),
    ("AWS_ENDPOINT_URL_ECS", "ecs.endpoint"),
    ("SERVICE_TYPE", "fleet.service"),
    ("BUCKET_NAME", "buckets.images"),
    ("FACE_GROUP_BUCKET_NAME", "buckets.groups"),
    ("QUEUE_URL", "queues.images"),
    ("GROUP_FACE_QUEUE_URL", "queues.galleries"),
    ("DEAD_LETTER_QUEUE_URL", "queues.dead_letters"),
    ("REQUEST_QUEUE_URL", "queues.requests"),
    ("RESPONSE_QUEUE_URL", "queues.responses"),
    ("INPUT_BUCKET_NAME", "buckets.input"),
    ("OUTPUT_BUCKET_NAME", "buckets.output"),
    ("MESSAGE_VISIBILITY_TIMEOUT", "queues.visibility_seconds"),
    ("GALLERY_IMAGES_MONGO_URI", "mongo.gallery_images"),
    ("HUEMN_MONGO_URI", "mongo.huemn"),
    ("REDIS_URL", "redis.url"),
    ("BATCH_SIZE", "pipeline.batch"),
    ("MAX_FACE_WORKERS", "fleet.face_workers"),
    ("MUSTER_DEVICES", "models.devices"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
    ("LOG_GROUP", "telemetry.log_group"),
];

/// Settings that may hold a password, which are never shown as they are.
pub(super) const SECRETS: [&str; 3] = ["mongo.gallery_images", "mongo.huemn", "redis.url"];

/// Checks that the figures are within their ranges.
pub(super) fn ranges(settings: &Settings, range: &mut impl FnMut(&str, f64, f64, f64)) {
    let Settings { fleet, queues, mongo, redis, .. } = settings;
    range("fleet.time_limit_minutes", fleet.time_limit_minutes as f64, 0.0, 20_160.0);
    range("fleet.face_workers", fleet.face_workers as f64, 1.0, 256.0);
    range("fleet.credits", fleet.credits as f64, 1.0, 100_000.0);
    range("fleet.downloads", fleet.downloads as f64, 1.0, 1024.0);
    range("fleet.outage_minutes", fleet.outage_minutes as f64, 1.0, 600.0);
    range("fleet.kept_megabytes", fleet.kept_megabytes as f64, 0.0, f64::from(1 << 20));
    range("queues.visibility_seconds", queues.visibility_seconds as f64, 1.0, 43_200.0);
    range("queues.request_visibility_seconds", queues.request_visibility_seconds as f64, 1.0, 43_200.0);
    range("queues.lease_hours", queues.lease_hours as f64, 1.0, 11.9);
    range("queues.wait_seconds", queues.wait_seconds as f64, 0.0, 20.0);
    range("queues.leave_after_empty", f64::from(queues.leave_after_empty), 1.0, 1000.0);
    range("queues.apart_at", f64::from(queues.apart_at), 1.0, 1000.0);
    range("queues.suspect_at", f64::from(queues.suspect_at), 2.0, 1000.0);
    range("queues.max_receives", f64::from(queues.max_receives), f64::from(queues.suspect_at), 1000.0);
    range("queues.group_after_seconds", queues.group_after_seconds as f64, 0.0, 900.0);
    range("mongo.write_batch", mongo.write_batch as f64, 1.0, 10_000.0);
    range("mongo.write_milliseconds", mongo.write_milliseconds as f64, 1.0, 60_000.0);
    range("mongo.lineage_days", mongo.lineage_days as f64, 0.0, 20_000.0);
    range("redis.timeout_milliseconds", redis.timeout_milliseconds as f64, 1.0, 10_000.0);
    range("redis.image_megabytes", redis.image_megabytes as f64, 0.0, 256.0);
    range("redis.image_seconds", redis.image_seconds as f64, 1.0, 604_800.0);
    range("redis.analysis_seconds", redis.analysis_seconds as f64, 1.0, 604_800.0);
    range("redis.gallery_seconds", redis.gallery_seconds as f64, 1.0, 604_800.0);
}

impl Fleet {
    /// Returns whether a worker leaves when its queue stays empty; `batch_job` says whether AWS Batch started it.
    pub fn leaves_when_empty(&self, batch_job: bool) -> bool {
        match self.mode {
            Mode::Batch => true,
            Mode::Ecs => false,
            Mode::Auto => batch_job,
        }
    }
}

impl Queues {
    /// Returns how long a received message stays invisible.
    pub fn visibility(&self) -> Duration {
        Duration::from_secs(self.visibility_seconds)
    }

    /// Returns how long after its receipt a message is renewed. The last renewal must end within the time that SQS
    /// allows.
    pub fn renewals(&self) -> Duration {
        let hidden = self.visibility().max(self.request_visibility()) + ANSWER;
        Duration::from_secs(self.lease_hours * 3600).min(LONGEST_LEASE.saturating_sub(hidden))
    }

    /// Returns how long a request or a reply stays invisible.
    pub fn request_visibility(&self) -> Duration {
        Duration::from_secs(self.request_visibility_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layers;

    #[test]
    fn no_message_is_hidden_for_longer_than_sqs_allows() {
        let day = Duration::from_secs(86_400);
        let queues = Layers::defaults().settings().unwrap().queues;
        assert_eq!(queues.renewals(), Duration::from_secs(queues.lease_hours * 3600), "the settings as they come");
        for visibility_seconds in [1, 1800, 7200, 43_200] {
            for lease_hours in [1, 6, 11] {
                let queues = Queues { visibility_seconds, lease_hours, ..queues.clone() };
                // The last renewal hides a message for its whole visibility.
                let hidden = queues.renewals() + queues.visibility();
                assert!(queues.renewals() <= Duration::from_secs(lease_hours * 3600));
                assert!(
                    hidden.max(queues.visibility()) <= day / 2,
                    "{visibility_seconds} s, {lease_hours} h: {hidden:?}"
                );
            }
        }
        let queues = Queues { visibility_seconds: 7200, ..queues };
        assert_eq!(queues.renewals(), Duration::from_secs(36_000) - ANSWER, "so long as it may be");
    }
}
