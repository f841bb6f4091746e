//! Clients of Amazon's services. Their own retries are off, because muster retries by the class of an error (docs/errors.md).

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};

use super::requests::Counted;
use muster_config::{Fleet, Settings};

const CONNECT: Duration = Duration::from_secs(5);
/// Longer than a long poll of SQS.
const ATTEMPT: Duration = Duration::from_secs(25);
/// Less than the last part of a flight, in which nothing new is submitted.
const CALL: Duration = Duration::from_secs(15);

/// Clients that share credentials and connections.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The queues.
    pub sqs: aws_sdk_sqs::Client,
    /// The buckets.
    pub s3: aws_sdk_s3::Client,
    /// What other clients are made from.
    pub config: SdkConfig,
    /// Requests that these clients have made.
    pub counted: Counted,
}

/// What all clients share.
pub async fn config(fleet: &Fleet) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(fleet.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
        .load()
        .await
}

/// Where a service is, when not where Amazon has it.
pub fn address(own: &str, settings: &Settings) -> Option<String> {
    [own, &settings.fleet.endpoint].into_iter().find(|url| !url.is_empty()).map(str::to_owned)
}

impl Clients {
    /// Credentials come from the environment, the profile, the task or the instance.
    pub async fn new(settings: &Settings) -> Self {
        Self::from_config(config(&settings.fleet).await, settings)
    }

    /// Clients for whoever scales: no call may outlast its part of a flight.
    pub async fn scaling(settings: &Settings) -> Self {
        let limits = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(CALL).build();
        // Once more: between two looks of a Lambda function its connections die, and nobody is there to see it.
        let twice = RetryConfig::standard().with_max_attempts(2);
        let config = config(&settings.fleet).await.to_builder().timeout_config(limits).retry_config(twice).build();
        Self::from_config(config, settings)
    }

    /// Clients for a web server, whose callers wait: no pipeline retries for it, so the SDK does.
    pub async fn serving(settings: &Settings) -> Self {
        let three = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(100));
        let limits = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
        let config = config(&settings.fleet).await.to_builder().timeout_config(limits).retry_config(three).build();
        Self::from_config(config, settings)
    }

    /// Over a configuration, at the addresses that the settings name.
    pub fn from_config(config: SdkConfig, settings: &Settings) -> Self {
        let (queues, buckets) =
            (address(&settings.queues.endpoint, settings), address(&settings.buckets.endpoint, settings));
        // A stand-in for S3 has no host name for each bucket.
        let path_style = buckets.is_some();
        // On the clients' own builders: what is set on the configuration gives way to the SDK's reading of the environment.
        let counted = Counted::default();
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
