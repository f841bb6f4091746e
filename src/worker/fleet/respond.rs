//! The worker that answers callers of a web tier. It reads photos from the input bucket, and writes answers into the output
//! bucket and replies into a queue.

use std::sync::Arc;
use std::time::Duration;

use muster_actors::pipeline::settings::{CreditSettings, Settings as PipelineSettings, WriterSettings};
use muster_actors::ports::Ports;
use muster_actors::{Running, start};

use super::{FleetError, Worker};
use crate::recognition::inbox::Inbox;
use crate::recognition::reply_writer::ReplyWriter;
use crate::recognition::wire_protocol::RequestPolicy;
use crate::recognition::{RecognitionIndex, rule};
use muster_aws::s3::{S3Bucket, S3Objects};
use muster_config::{WorkerRole, required};
use muster_inference::onnx::lanes::Lanes;
use muster_inference::pipeline;

/// Photos in flight for each lane: enough that it never waits, few enough to leave some to other workers.
const CREDITS: usize = 4;
/// Delay before a released photo is received again. It is short because a caller waits; SQS takes whole seconds.
const RETRY: Duration = Duration::from_secs(1);
/// Most answers that are sent at the same time.
const ANSWERS: usize = 16;

impl Worker {
    /// Starts the pipeline that answers callers.
    ///
    /// # Errors
    /// A setting is missing, or a client cannot be created.
    pub fn respond(&self, lanes: &Lanes) -> Result<Running, FleetError> {
        let (queues, buckets, manifest) = (&self.settings.queues, &self.settings.buckets, self.pack.manifest());
        let policy = RequestPolicy {
            bucket: required(&buckets.input, "buckets.input", "INPUT_BUCKET_NAME")?.to_owned(),
            responses: required(&queues.responses, "queues.responses", "RESPONSE_QUEUE_URL")?.to_owned(),
        };
        let output = required(&buckets.output, "buckets.output", "OUTPUT_BUCKET_NAME")?;
        let queue = self.queue(WorkerRole::Recognition.queue(queues)?, queues.request_visibility())?;
        let responses = policy.responses.clone();
        let inbox = Inbox::new(queue, policy);
        let dimensions = manifest.embedder.dimensions as usize;
        let index =
            RecognitionIndex::new(Arc::new(self.clients.store.clone()), rule(&self.settings, manifest), dimensions);
        let answers = S3Bucket::new(self.clients.aws.s3.clone(), output, &buckets.kms_key);
        let replies = ReplyWriter::new(inbox.open(), Arc::new(index), answers, self.clients.aws.sqs.clone(), responses);
        let (decoder, isolated_decoder) = pipeline::decoders(&self.settings, &self.pack);
        let engines = lanes.engines();
        let settings = self.answering(engines.len());
        let ports = Ports {
            queue: Arc::new(inbox),
            releases: self.releases(WorkerRole::Recognition),
            objects: Arc::new(S3Objects::new(self.clients.aws.s3.clone(), &buckets.input)),
            // Analyses of callers' photos are not shared through the cache.
            analyses: None,
            decoder,
            isolated_decoder,
            engines,
            faces: Arc::new(replies),
            reconcile: None,
        };
        Ok(start(ports, settings))
    }

    fn answering(&self, lanes: usize) -> PipelineSettings {
        let answering = pipeline::answering(&self.settings.serve, self.pipeline());
        PipelineSettings {
            credits: CreditSettings { count: CREDITS * lanes.max(1), ..answering.credits },
            writer: WriterSettings { at_once: ANSWERS, ..answering.writer },
            release_delay: RETRY,
            drop_delay: RETRY,
            ..answering
        }
    }
}
