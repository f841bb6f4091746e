//! Amazon's services behind the ports: queues in SQS, images, results and crops in S3, workers in AWS Batch and ECS, notices
//! from instance metadata.

pub mod batch;
pub mod cell;
pub mod classify;
pub mod clients;
#[cfg(feature = "cloud")]
pub mod deletion;
pub mod depth;
#[cfg(feature = "cloud")]
pub mod ecs;
pub mod gauge;
#[cfg(feature = "cloud")]
pub mod host;
pub mod requests;
pub mod s3;
pub mod scaling;
#[cfg(feature = "cloud")]
pub mod sqs;
