//! Creates submitters and their fleets from settings.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use muster_actors::ports::fleet::Fleet;
use muster_actors::ports::queue_metrics::QueueMetrics;
use muster_actors::scaler::submitter::{ScalerSettings, Submitter};

use super::batch::BatchFleet;
use super::cas_object::S3CasObject;
use super::clients::Clients;
use super::depth::name;
use super::queue_metrics::SqsQueueMetrics;
use super::s3::S3Bucket;
use muster_config::{MissingSetting, ScaledService, Settings, required};

/// Prefix of the objects that submitters and cutovers share, in the bucket of groups.
pub const STATE: &str = "fleet/";

/// Returns the settings by which the workers of a service are scaled.
pub fn decision(settings: &Settings, service: ScaledService) -> ScalerSettings {
    match service {
        ScaledService::Detection => settings.detectors(),
        ScaledService::Grouping => settings.groupers(),
    }
}

/// Creates the fleet of AWS Batch jobs of a service.
///
/// # Errors
/// [`MissingSetting`] when the job queue or the job definition is not set.
pub fn batch(clients: &Clients, settings: &Settings, service: ScaledService) -> Result<BatchFleet, MissingSetting> {
    let batch = &settings.batch;
    required(&batch.primary_queue, "batch.primary_queue", "MUSTER_BATCH__PRIMARY_QUEUE")?;
    let definition = match service {
        ScaledService::Detection => required(&batch.detection, "batch.detection", "MUSTER_BATCH__DETECTION")?,
        ScaledService::Grouping => required(&batch.grouping, "batch.grouping", "MUSTER_BATCH__GROUPING")?,
    };
    Ok(BatchFleet::new(clients, settings, &decision(settings, service).name, definition))
}

/// Creates the metrics of a service's queue. Only for detection a rate is measured.
///
/// # Errors
/// [`MissingSetting`] when the queue is not set.
pub fn gauge(
    clients: &Clients,
    settings: &Settings,
    service: ScaledService,
) -> Result<SqsQueueMetrics, MissingSetting> {
    let measured = (service == ScaledService::Detection).then_some(service.as_str());
    Ok(SqsQueueMetrics::new(clients, settings, service.queue(&settings.queues)?, measured))
}

/// Creates the submitter of a service.
///
/// # Errors
/// [`MissingSetting`] when the bucket of groups or the queue is not set.
pub fn submitter(
    clients: &Clients,
    settings: &Settings,
    service: ScaledService,
    gauge: Arc<dyn QueueMetrics>,
    fleet: Arc<dyn Fleet>,
) -> Result<Submitter, MissingSetting> {
    let buckets = &settings.buckets;
    let groups = required(&buckets.groups, "buckets.groups", "FACE_GROUP_BUCKET_NAME")?;
    let bucket = S3Bucket::new(clients.s3.clone(), groups, &buckets.kms_key);
    let (kind, queue) = (settings.scale.fleet.as_str(), name(service.queue(&settings.queues)?));
    let settings = decision(settings, service);
    // Submitters of another queue or another kind of fleet do not know these jobs, so they do not
    // share the object.
    let key = format!("{STATE}{}.{kind}.{queue}.json", settings.name);
    Ok(Submitter {
        id: identity(),
        settings,
        cell: Arc::new(S3CasObject::new(bucket, &key)),
        gauge,
        fleet,
        clock: Arc::new(SystemTime::now),
    })
}

/// Returns an identity that no other running submitter has.
fn identity() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}-{}", host.trim(), std::process::id(), since.as_nanos())
}
