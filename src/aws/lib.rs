//! Amazon's services behind the ports: queues in SQS, images, results and crops in S3, workers in AWS Batch and ECS, notices
//! from instance metadata.

pub mod batch;
pub mod cell;
pub mod classify;
pub mod clients;
pub mod deletion;
pub mod depth;
pub mod ecs;
pub mod gauge;
mod granted;
pub mod host;
pub mod parts;
mod read_history;
mod refusal;
pub mod requests;
pub mod s3;
pub mod scaling;
pub mod sqs;
