//! Implements ports of `muster-actors` with Amazon's services: queues in SQS, images, results and crops in S3, and
//! workers in AWS Batch and ECS. It also reads notices about the machine from instance metadata. The workers of a fleet
//! and the submitters use it. It decides nothing: retries, scaling and cutovers are in `muster-actors`.
//!
//! ```text
//! Queue, Outbox ────► SQS           Objects, results, crops, CasObject ────► S3
//! QueueMetrics ─────► SQS, CloudWatch           Fleet ────► AWS Batch, ECS
//! ```

pub mod batch;
pub mod cas_object;
pub mod classify;
pub mod clients;
pub mod deletion;
pub mod depth;
pub mod ecs;
pub mod host;
pub mod object_parts;
mod permission_history;
pub mod queue_metrics;
mod read_history;
mod refusal;
pub mod request_counts;
pub mod s3;
pub mod scaling;
pub mod sqs;
