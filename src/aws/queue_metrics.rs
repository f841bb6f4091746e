//! Implements the port `QueueMetrics`: reads the depth of a queue from SQS, and the recent rate of its workers from
//! their metrics in CloudWatch.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_cloudwatch::types::{DimensionFilter, MetricDataQuery, MetricStat};
use muster_actors::ports::queue_metrics::Depth;
use muster_actors::ports::queue_metrics::{QueueMetrics, QueueMetricsError};

use super::classify::{Fault, fault};
use super::clients::{Clients, address};
use super::depth::depth;
use muster_config::Settings;

/// Namespace of muster's metrics in CloudWatch.
pub const NAMESPACE: &str = "Muster";
/// Metric of the images that a worker's devices have finished, published once a minute.
const DONE: &str = "muster_stage_done_items";
/// Interval at which workers publish metrics.
const TELLING: Duration = Duration::from_secs(60);
/// Statistic of the busiest tenth of the minutes. Idle minutes say nothing about a worker's speed.
const BUSY: &str = "p90";
/// Statistic that counts the minutes.
const SAMPLES: &str = "SampleCount";
/// Most kinds of devices that are queried.
const KINDS: usize = 10;
/// Time that is covered by a rate; older values do not describe the present.
const LATELY: Duration = Duration::from_secs(3600);
/// Seconds of one value.
const PERIOD: i32 = 3600;

/// The metrics of a queue, and of the service that receives from it.
#[derive(Clone, Debug)]
pub struct SqsQueueMetrics {
    sqs: aws_sdk_sqs::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    url: String,
    /// Service whose metrics count; `None` measures no rate.
    service: Option<String>,
}

impl SqsQueueMetrics {
    /// Creates the metrics of the queue `url`.
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

    /// Reads the images per second of a busy worker; `None` where there is no metric.
    async fn measure(&self, service: &str) -> Result<Option<f64>, Fault> {
        let of = |name: &str, value: &str| DimensionFilter::builder().name(name).value(value).build();
        let asked = self.cloudwatch.list_metrics().namespace(NAMESPACE).metric_name(DONE);
        let asked = asked.dimensions(of("service", service)).dimensions(of("stage", "device"));
        let listed = asked.send().await.map_err(|error| fault("ListMetrics", &error))?;
        // There is one query for each kind of device.
        let metrics = listed.metrics.unwrap_or_default();
        if metrics.is_empty() {
            return Ok(None);
        }
        let now = SystemTime::now();
        let mut asked =
            self.cloudwatch.get_metric_data().start_time((now - LATELY).into()).end_time((now + TELLING).into());
        for (nth, metric) in metrics.into_iter().take(KINDS).enumerate() {
            for statistic in [BUSY, SAMPLES] {
                let stat = MetricStat::builder().metric(metric.clone()).period(PERIOD).stat(statistic).build();
                let id = format!("{}{nth}", statistic.to_lowercase());
                asked = asked.metric_data_queries(MetricDataQuery::builder().id(id).metric_stat(stat).build());
            }
        }
        let answer = asked.send().await.map_err(|error| fault("GetMetricData", &error))?;
        let results: HashMap<String, Vec<f64>> = answer
            .metric_data_results
            .unwrap_or_default()
            .into_iter()
            .map(|result| (result.id.unwrap_or_default(), result.values.unwrap_or_default()))
            .collect();
        Ok(rate(&results))
    }
}

#[async_trait]
impl QueueMetrics for SqsQueueMetrics {
    async fn depth(&self) -> Result<Depth, QueueMetricsError> {
        let depth = depth(&self.sqs, &self.url).await;
        depth.map_err(|Fault { class, message, .. }| QueueMetricsError { class, message })
    }

    async fn rate(&self) -> Option<f64> {
        let measured = self.measure(self.service.as_deref()?).await;
        measured.unwrap_or_else(|Fault { message, .. }| {
            tracing::warn!(%message, "scaler.no_rate");
            None
        })
    }
}

/// Computes the images per second of a busy worker of the fastest kind, in the busiest tenth of its minutes. Each
/// period has its number of minutes as weight.
fn rate(results: &HashMap<String, Vec<f64>>) -> Option<f64> {
    let of = |statistic: &str, nth| results.get(&format!("{}{nth}", statistic.to_lowercase())).into_iter().flatten();
    let kind = |nth| {
        let told = of(BUSY, nth).zip(of(SAMPLES, nth));
        let (images, minutes) = told.fold((0.0, 0.0), |(a, b), (busy, samples)| (a + busy * samples, b + samples));
        (images > 0.0).then(|| images / minutes / TELLING.as_secs_f64())
    };
    (0..KINDS).filter_map(kind).max_by(f64::total_cmp)
}
