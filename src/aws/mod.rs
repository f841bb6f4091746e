//! Amazon's services behind the ports: queues in SQS, images, results and crops in S3, notices from instance metadata.

pub mod cell;
pub mod classify;
pub mod clients;
pub mod deletion;
pub mod host;
pub mod s3;
pub mod sqs;
