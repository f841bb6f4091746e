//! What waits in a queue of SQS, and what workers do of late, as their metrics in CloudWatch say.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_cloudwatch::types::{DimensionFilter, MetricDataQuery, MetricStat};
use muster_actors::ports::gauge::Depth;
use muster_actors::ports::gauge::{Gauge, GaugeError};

use super::classify::{Fault, fault};
use super::clients::{Clients, address};
use super::depth::depth;
use muster_config::Settings;

/// The namespace of muster's metrics.
pub const NAMESPACE: &str = "Muster";
/// Images that a worker's devices have finished: told once a minute.
const DONE: &str = "muster_stage_done_items";
/// Workers tell so often.
const TELLING: Duration = Duration::from_secs(60);
/// Minutes of waiting say nothing of a worker's speed: the busiest tenth does.
const BUSY: &str = "p90";
/// How many minutes there were.
const SAMPLES: &str = "SampleCount";
/// Kinds of devices that are asked for, at most.
const KINDS: usize = 10;
/// What workers did before is not what they do now.
const LATELY: Duration = Duration::from_secs(3600);
/// Seconds of one figure.
const PERIOD: i32 = 3600;

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

    /// Images a second of a busy worker; `None` where no metric says.
    async fn measure(&self, service: &str) -> Result<Option<f64>, Fault> {
        let of = |name: &str, value: &str| DimensionFilter::builder().name(name).value(value).build();
        let asked = self.cloudwatch.list_metrics().namespace(NAMESPACE).metric_name(DONE);
        let asked = asked.dimensions(of("service", service)).dimensions(of("stage", "device"));
        let listed = asked.send().await.map_err(|error| fault("ListMetrics", &error))?;
        // One for each kind of device.
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
impl Gauge for SqsGauge {
    async fn depth(&self) -> Result<Depth, GaugeError> {
        let depth = depth(&self.sqs, &self.url).await;
        depth.map_err(|Fault { class, message, .. }| GaugeError { class, message })
    }

    async fn rate(&self) -> Option<f64> {
        let measured = self.measure(self.service.as_deref()?).await;
        measured.unwrap_or_else(|Fault { message, .. }| {
            tracing::warn!(%message, "scaler.no_rate");
            None
        })
    }
}

/// Images a second of a busy worker of the fastest kind: those that a service has beside it are not asked for here. What it does
/// in the busiest tenth of its minutes, each period by how many minutes say so.
fn rate(results: &HashMap<String, Vec<f64>>) -> Option<f64> {
    let of = |statistic: &str, nth| results.get(&format!("{}{nth}", statistic.to_lowercase())).into_iter().flatten();
    let kind = |nth| {
        let told = of(BUSY, nth).zip(of(SAMPLES, nth));
        let (images, minutes) = told.fold((0.0, 0.0), |(a, b), (busy, samples)| (a + busy * samples, b + samples));
        (images > 0.0).then(|| images / minutes / TELLING.as_secs_f64())
    };
    (0..KINDS).filter_map(kind).max_by(f64::total_cmp)
}
