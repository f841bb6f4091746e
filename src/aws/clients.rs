//! Clients of Amazon's services. A pipeline's clients do not retry, because muster retries by the class of an error
//! (docs/errors.md).

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use super::request_counts::RequestCounts;
use muster_config::{Fleet, Settings};

const CONNECT: Duration = Duration::from_secs(5);
/// Time limit of an attempt, which is longer than a long poll of SQS.
const ATTEMPT: Duration = Duration::from_secs(25);
/// Time limit of a submitter's call. It is shorter than the last part of the submitter's lock, in which nothing new is
/// submitted.
const CALL: Duration = Duration::from_secs(15);

/// Clients that share credentials and connections.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Client of the queues.
    pub sqs: aws_sdk_sqs::Client,
    /// Client of the buckets.
    pub s3: aws_sdk_s3::Client,
    /// The configuration that other clients are created from.
    pub config: SdkConfig,
    /// Requests that these clients have made.
    pub counted: RequestCounts,
}

/// Loads the configuration that all clients share.
pub async fn config(fleet: &Fleet) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(fleet.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
        .load()
        .await
}

/// Returns the address of a service; `None` for Amazon's own.
pub fn address(own: &str, settings: &Settings) -> Option<String> {
    [own, &settings.fleet.endpoint].into_iter().find(|url| !url.is_empty()).map(str::to_owned)
}

impl Clients {
    /// Creates clients with credentials of the environment, the profile, the task or the instance.
    pub async fn new(settings: &Settings) -> Self {
        Self::from_config(config(&settings.fleet).await, settings)
    }

    /// Creates clients for a submitter, whose calls must end within their part of its lock.
    pub async fn scaling(settings: &Settings) -> Self {
        let limits = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(CALL).build();
        // One retry is allowed, because connections die unnoticed between two runs of a Lambda function.
        let twice = RetryConfig::standard().with_max_attempts(2);
        let config = config(&settings.fleet).await.to_builder().timeout_config(limits).retry_config(twice).build();
        Self::from_config(config, settings)
    }

    /// Creates clients for a web server. No pipeline retries for it, so the SDK does.
    pub async fn serving(settings: &Settings) -> Self {
        let three = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(100));
        let limits = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
        let config = config(&settings.fleet).await.to_builder().timeout_config(limits).retry_config(three).build();
        Self::from_config(config, settings)
    }

    /// Creates clients from a configuration, for the addresses of the settings.
    pub fn from_config(config: SdkConfig, settings: &Settings) -> Self {
        let (queues, buckets) =
            (address(&settings.queues.endpoint, settings), address(&settings.buckets.endpoint, settings));
        // A substitute for S3 has no host name for each bucket.
        let path_style = buckets.is_some();
        // Addresses are set on the builders of the clients, because the environment overrides those of the
        // configuration.
        let counted = RequestCounts::default();
        let mut sqs = aws_sdk_sqs::config::Builder::from(&config).interceptor(counted.sqs());
        let mut s3 = aws_sdk_s3::config::Builder::from(&config).interceptor(counted.s3()).force_path_style(path_style);
        if queues.is_some() {
            sqs = sqs.set_endpoint_url(queues).to_owned();
        }
        if buckets.is_some() {
            s3 = s3.set_endpoint_url(buckets).to_owned();
        }
        let (sqs, s3) = (aws_sdk_sqs::Client::from_conf(sqs.build()), aws_sdk_s3::Client::from_conf(s3.build()));
        Self { sqs, s3, config, counted }
    }
}
