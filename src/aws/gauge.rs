//! What waits in a queue of SQS, and what workers do of late, as their metrics in CloudWatch say.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_cloudwatch::types::{DimensionFilter, Metric};
use aws_sdk_sqs::types::QueueAttributeName::{
    self, ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesDelayed as Delayed,
    ApproximateNumberOfMessagesNotVisible as InFlight,
};
use muster_actors::error::Class;
use muster_actors::ports::gauge::{Gauge, GaugeError};
use muster_actors::scaler::policy::Depth;

use super::classify::{Fault, fault};
use super::clients::{Clients, address};
use crate::settings::Settings;

/// The namespace of muster's metrics.
pub const NAMESPACE: &str = "Muster";
/// Images that a worker's devices have finished: told once a minute.
const DONE: &str = "muster_stage_done_items";
/// Workers tell so often.
const TELLING: Duration = Duration::from_secs(60);
/// Minutes of waiting say nothing of a worker's speed: the busiest tenth does.
const BUSY: &str = "p90";
/// What workers did before is not what they do now.
const LATELY: Duration = Duration::from_secs(3600);

/// A queue, with the metrics of the service that works on it.
#[derive(Clone, Debug)]
pub struct SqsGauge {
    sqs: aws_sdk_sqs::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    url: String,
    /// The service whose metrics count; `None` measures no rate.
    service: Option<String>,
}

impl SqsGauge {
    /// Of the queue `url`.
    pub fn new(clients: &Clients, settings: &Settings, url: &str, service: Option<&str>) -> Self {
        let mut config = aws_sdk_cloudwatch::config::Builder::from(&clients.config);
        if let Some(address) = address("", settings) {
            config = config.endpoint_url(address);
        }
        Self {
            sqs: clients.sqs.clone(),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(config.build()),
            url: url.to_owned(),
            service: service.map(str::to_owned),
        }
    }

    /// Images a minute of a busy worker, and how many minutes say so.
    async fn measured(&self, metric: Metric) -> Result<Option<(f64, f64)>, Fault> {
        let now = SystemTime::now();
        let asked = self
            .cloudwatch
            .get_metric_statistics()
            .namespace(NAMESPACE)
            .metric_name(DONE)
            .set_dimensions(metric.dimensions)
            .start_time((now - LATELY).into())
            .end_time((now + TELLING).into())
            .period(LATELY.as_secs() as i32)
            .statistics(aws_sdk_cloudwatch::types::Statistic::SampleCount)
            .extended_statistics(BUSY);
        let answer = asked.send().await.map_err(|error| fault("GetMetricStatistics", &error))?;
        let points = answer.datapoints.unwrap_or_default().into_iter();
        // The hour may be cut in two; the larger part says more.
        let samples = |count: Option<f64>| count.unwrap_or(0.0);
        let most = points.max_by(|a, b| samples(a.sample_count).total_cmp(&samples(b.sample_count)));
        Ok(most.and_then(|point| {
            let busy = point.extended_statistics.as_ref()?.get(BUSY).copied()?;
            Some((busy, point.sample_count.unwrap_or(1.0)))
        }))
    }

    async fn measure(&self, service: &str) -> Result<Option<f64>, Fault> {
        let of = |name: &str, value: &str| DimensionFilter::builder().name(name).value(value).build();
        let asked = self.cloudwatch.list_metrics().namespace(NAMESPACE).metric_name(DONE);
        let asked = asked.dimensions(of("service", service)).dimensions(of("stage", "device"));
        let listed = asked.send().await.map_err(|error| fault("ListMetrics", &error))?;
        // One for each kind of device; the one that most workers have counts most.
        let (mut images, mut minutes) = (0.0, 0.0);
        for metric in listed.metrics.unwrap_or_default() {
            if let Some((busy, samples)) = self.measured(metric).await? {
                images += busy * samples;
                minutes += samples;
            }
        }
        Ok((images > 0.0).then(|| images / minutes / TELLING.as_secs_f64()))
    }
}

#[async_trait]
impl Gauge for SqsGauge {
    async fn depth(&self) -> Result<Depth, GaugeError> {
        let asked = self.sqs.get_queue_attributes().queue_url(&self.url);
        let asked = asked.attribute_names(Visible).attribute_names(Delayed).attribute_names(InFlight);
        let answer = asked.send().await.map_err(|error| {
            let Fault { class, message, .. } = fault("GetQueueAttributes", &error);
            GaugeError { class, message }
        })?;
        let all: HashMap<QueueAttributeName, String> = answer.attributes.unwrap_or_default();
        let count = |name: QueueAttributeName| {
            let count = all.get(&name).and_then(|count| count.parse().ok());
            count.ok_or_else(|| GaugeError {
                class: Class::Transient,
                message: format!("GetQueueAttributes: no {}", name.as_str()),
            })
        };
        Ok(Depth { visible: count(Visible)?, delayed: count(Delayed)?, in_flight: count(InFlight)? })
    }

    async fn rate(&self) -> Option<f64> {
        let measured = self.measure(self.service.as_deref()?).await;
        measured.unwrap_or_else(|Fault { message, .. }| {
            tracing::warn!(%message, "scaler.no_rate");
            None
        })
    }
}
