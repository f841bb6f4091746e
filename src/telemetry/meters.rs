//! Exports the samples as OTLP, through the SDK's meter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram as Instrument, Meter, MeterProvider as _};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use parking_lot::{Mutex, MutexGuard};

use super::metrics::{Sample, Value, deltas};
use super::names::{Kind, METRICS, Metric};

/// Interval of the SDK's own reader, which is not used: one clock sends all metrics.
const NEVER: Duration = Duration::from_secs(366 * 86_400);

type Latest = Arc<Mutex<Vec<Sample>>>;

fn lock(latest: &Latest) -> MutexGuard<'_, Vec<Sample>> {
    latest.lock()
}

/// The SDK's instruments, and the samples they show.
pub(crate) struct OtlpMeters {
    provider: SdkMeterProvider,
    histograms: BTreeMap<&'static str, Instrument<f64>>,
    latest: Latest,
}

impl OtlpMeters {
    /// Creates an instrument for every metric; they send through `exporter`.
    pub fn new(exporter: MetricExporter, resource: Resource) -> Self {
        let reader = PeriodicReader::builder(exporter).with_interval(NEVER).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
        let meter = provider.meter("muster");
        let latest = Latest::default();
        let mut histograms = BTreeMap::new();
        for metric in METRICS {
            match metric.kind {
                Kind::Counter => counter(&meter, metric, &latest),
                Kind::Gauge => gauge(&meter, metric, &latest),
                Kind::Histogram(bounds) => {
                    let builder = meter.f64_histogram(metric.name).with_unit(metric.unit.ucum());
                    let builder = builder.with_description(metric.help).with_boundaries(bounds.to_vec());
                    histograms.insert(metric.name, builder.build());
                }
            }
        }
        Self { provider, histograms, latest }
    }

    /// Sends these samples, and waits until they are sent.
    pub fn send(&self, now: Vec<Sample>) -> OTelSdkResult {
        let told = deltas(&lock(&self.latest), &now);
        // The SDK takes values, not buckets. It gets values that fill its buckets in the same way and have the same
        // sum.
        for sample in &told {
            if let (Value::Histogram(histogram), Some(instrument)) =
                (&sample.value, self.histograms.get(sample.metric.name))
            {
                let attributes = attributes(sample);
                for (value, count) in histogram.points() {
                    (0..count).for_each(|_| instrument.record(value, &attributes));
                }
            }
        }
        *lock(&self.latest) = now;
        self.provider.force_flush()
    }
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    sample.labels.iter().map(|(name, value)| KeyValue::new(*name, value.clone())).collect()
}

/// Selects the numbers of one metric among the samples.
fn numbers(latest: &Latest, name: &str) -> Vec<(f64, Vec<KeyValue>)> {
    let number = |sample: &Sample| match &sample.value {
        Value::Number(value) => Some((*value, attributes(sample))),
        Value::Histogram(_) => None,
    };
    lock(latest).iter().filter(|sample| sample.metric.name == name).filter_map(number).collect()
}

fn counter(meter: &Meter, metric: &'static Metric, latest: &Latest) {
    let latest = Arc::clone(latest);
    meter
        .f64_observable_counter(metric.name)
        .with_unit(metric.unit.ucum())
        .with_description(metric.help)
        .with_callback(move |observer| {
            numbers(&latest, metric.name).iter().for_each(|(value, labels)| observer.observe(*value, labels));
        })
        .build();
}

fn gauge(meter: &Meter, metric: &'static Metric, latest: &Latest) {
    let latest = Arc::clone(latest);
    meter
        .f64_observable_gauge(metric.name)
        .with_unit(metric.unit.ucum())
        .with_description(metric.help)
        .with_callback(move |observer| {
            numbers(&latest, metric.name).iter().for_each(|(value, labels)| observer.observe(*value, labels));
        })
        .build();
}
