//! Amazon's services behind the ports: queues in SQS, images, results and crops in S3, workers in AWS Batch and ECS, notices
//! from instance metadata.

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
