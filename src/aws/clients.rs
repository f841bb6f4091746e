//! Clients of Amazon's services. Their own retries are off: muster retries (DESIGN 5).

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use crate::settings::Fleet;

const CONNECT: Duration = Duration::from_secs(5);

/// The configuration all clients share; credentials come from the environment, the profile, the task or the instance.
pub async fn config(fleet: &Fleet) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(fleet.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build());
    if !fleet.endpoint.is_empty() {
        loader = loader.endpoint_url(&fleet.endpoint);
    }
    loader.load().await
}

/// A client of SQS.
pub fn sqs(config: &SdkConfig) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(config)
}

/// A client of S3. A stand-in for S3 has no host name for each bucket.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let path_style = config.endpoint_url().is_some();
    aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build())
}
