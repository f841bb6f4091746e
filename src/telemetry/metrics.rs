//! Turns a worker's progress into samples by one pure function, for all exporters.

use std::sync::Arc;

use muster_actors::domain::cost::Requests;
use muster_actors::domain::histogram::Histogram;
use muster_actors::flow::progress::{Counts, Progress, StageProgress};
use tokio::sync::watch;

use super::names::{self, Kind, Metric};
use super::process_metrics::{CardReading, ProcessMetrics, RouteAnswers, joules_an_image};

/// Labels of a sample, by name.
pub type Labels = Vec<(&'static str, String)>;

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Metric that was measured.
    pub metric: Metric,
    /// Labels of the series.
    pub labels: Labels,
    /// Value at the time of the sample.
    pub value: Value,
}

/// The value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Value of a counter or a gauge.
    Number(f64),
    /// Value of a histogram.
    Histogram(Histogram),
}

/// The source of samples: the progress of a pipeline and the metrics of its process.
#[derive(Clone)]
pub struct MetricSource {
    progress: watch::Receiver<Progress>,
    process: Arc<dyn Fn() -> ProcessMetrics + Send + Sync>,
}

impl MetricSource {
    /// Creates a source over a pipeline's progress and a function that reads the metrics of the process.
    pub fn new(
        progress: watch::Receiver<Progress>,
        process: impl Fn() -> ProcessMetrics + Send + Sync + 'static,
    ) -> Self {
        Self { progress, process: Arc::new(process) }
    }

    /// Takes the samples of this moment.
    pub fn samples(&self) -> Vec<Sample> {
        let process = (self.process)();
        let progress = self.progress.borrow().clone();
        samples(&progress, &process)
    }

    /// Tells whether the pipeline still reports.
    pub(crate) fn alive(&self) -> bool {
        self.progress.has_changed().is_ok()
    }
}

/// Collects samples that share labels.
struct SampleBuilder<'a> {
    common: &'a [(&'static str, String)],
    all: Vec<Sample>,
}

impl SampleBuilder<'_> {
    fn push(&mut self, metric: Metric, labels: &[(&'static str, &str)], value: Value) {
        let own = labels.iter().map(|(name, value)| (*name, (*value).to_owned()));
        self.all.push(Sample { metric, labels: self.common.iter().cloned().chain(own).collect(), value });
    }

    fn number(&mut self, metric: Metric, labels: &[(&'static str, &str)], value: f64) {
        self.push(metric, labels, Value::Number(value));
    }

    fn count(&mut self, metric: Metric, labels: &[(&'static str, &str)], value: u64) {
        self.number(metric, labels, value as f64);
    }

    fn stage(&mut self, name: &str, stage: &StageProgress) {
        let labels = [("stage", name)];
        self.count(names::WAITING, &labels, stage.waiting as u64);
        self.count(names::IN_FLIGHT, &labels, stage.in_flight as u64);
        self.count(names::DONE, &labels, stage.done);
        self.count(names::ERRORS, &labels, stage.errors);
        self.count(names::RETRIED, &labels, stage.retried);
        self.count(names::RECOVERED, &labels, stage.recovered);
        self.number(names::BUSY, &labels, stage.busy_seconds);
        self.count(names::BYTES, &labels, stage.bytes);
        self.count(names::SAVED, &labels, stage.bytes_saved);
        self.push(names::WORK, &labels, Value::Histogram(stage.seconds.clone()));
    }

    fn cards(&mut self, cards: &[CardReading], images: u64) {
        for card in cards {
            let labels = [("card", card.uuid.as_str())];
            self.number(names::CARD_BUSY, &labels, f64::from(card.busy) / 100.0);
            self.count(names::CARD_MEMORY, &labels, card.used);
            self.number(names::CARD_HEAT, &labels, f64::from(card.temperature));
            self.number(names::CARD_POWER, &labels, card.power);
            if let Some(joules) = card.energy {
                self.number(names::CARD_ENERGY, &labels, joules);
            }
            for reason in &card.throttled {
                self.number(names::CARD_SLOWED, &[("card", &card.uuid), ("reason", reason)], 1.0);
            }
        }
        if let Some(joules) = joules_an_image(cards, images) {
            self.number(names::IMAGE_ENERGY, &[], joules);
        }
    }

    /// Adds the metrics of the pipeline.
    fn pipeline(&mut self, progress: &Progress) {
        self.number(names::RUN, &[], progress.seconds);
        self.count(names::FETCHED, &[], progress.fetched);
        self.count(names::IGNORED, &[], progress.ignored_messages);
        for (state, count) in states(&progress.counts) {
            self.count(names::ENDED, &[("state", state)], count);
        }
        for (reason, count) in &progress.reasons {
            self.count(names::REJECTED, &[("reason", reason.as_str())], *count);
        }
        if let Some((success, failure)) = rates(&progress.counts) {
            self.number(names::SUCCESS, &[], success);
            self.number(names::FAILURE, &[], failure);
        }
        for (stage, work) in &progress.stages {
            self.stage(stage.as_str(), work);
        }
        let mut batches = Histogram::new(names::BATCH_SIZES);
        progress.batch_sizes.iter().for_each(|(size, times)| batches.record_times(*size as f64, *times));
        self.push(names::BATCHES, &[], Value::Histogram(batches));
        self.count(names::OUT_OF_MEMORY, &[], progress.out_of_memory);
        self.count(names::REBUILDS, &[], progress.rebuilds);
        self.count(names::LOST, &[], progress.devices_lost);
        self.count(names::FACES, &[], progress.faces);
        self.push(names::SHARPNESS, &[], Value::Histogram(progress.quality.sharpness.clone()));
        self.push(names::LEVEL, &[], Value::Histogram(progress.quality.level.clone()));
        self.push(names::YAW, &[], Value::Histogram(progress.quality.yaw_abs.clone()));
        self.count(names::RECONCILED, &[], progress.reconciliations);
        for (actor, times) in &progress.restarts {
            self.count(names::RESTARTS, &[("actor", actor)], *times);
        }
        self.count(names::STRAGGLERS, &[], progress.stragglers.len() as u64);
        self.count(names::DOWNLOADS, &[], progress.limits.downloads as u64);
        self.count(names::DECODES, &[], progress.limits.decodes as u64);
    }

    /// Adds the metrics of the process.
    fn beside(&mut self, progress: &Progress, process: &ProcessMetrics) {
        for model in &process.models {
            self.count(names::MODEL_RUNS, &[("model", model.model)], model.runs);
            self.number(names::MODEL_SECONDS, &[("model", model.model)], model.seconds);
        }
        self.cards(&process.cards, progress.counts.ended());
        if let Some(cache) = process.cache {
            self.count(names::CACHE_HITS, &[], cache.hits);
            self.count(names::CACHE_MISSES, &[], cache.misses);
            self.count(names::CACHE_BYTES, &[], cache.bytes);
            self.count(names::CACHE_ERRORS, &[], cache.errors);
        }
        for RouteAnswers { route, method, statuses, seconds } in &process.answers {
            let labels = [("route", route.as_str()), ("method", method)];
            for (status, count) in statuses {
                self.count(names::ANSWERS, &[labels[0], labels[1], ("status", status)], *count);
            }
            self.push(names::ANSWER_SECONDS, &labels, Value::Histogram(seconds.clone()));
        }
        if let Some(callers) = process.callers {
            self.count(names::CALLERS, &[], callers);
        }
        if let Some(depth) = process.queue_depth {
            self.count(names::QUEUE, &[], depth);
        }
        if let Some((requests, prices)) = process.meter {
            let Requests { reads, writes, messages } = requests;
            for (kind, count) in [("reads", reads), ("writes", writes), ("messages", messages)] {
                self.count(names::REQUESTS, &[("kind", kind)], count);
            }
            for (item, dollars) in progress.usage(requests).at(&prices).items() {
                self.number(names::SPENT, &[("item", item)], dollars);
            }
        }
    }
}

/// Builds all samples, in the order of `names::METRICS`.
pub fn samples(progress: &Progress, process: &ProcessMetrics) -> Vec<Sample> {
    let common = [("service", process.service.clone()), ("device", process.device.to_owned())];
    let common: Labels = common.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let mut out = SampleBuilder { common: &common, all: Vec::new() };
    if !process.elsewhere {
        out.pipeline(progress);
    }
    out.beside(progress, process);
    let mut all = out.all;
    // Samples of one metric stand together, as the text format of Prometheus demands.
    all.sort_by_key(|sample| names::METRICS.iter().position(|metric| metric.name == sample.metric.name));
    all
}

/// Returns the number of images that ended in each state.
fn states(counts: &Counts) -> [(&'static str, u64); 8] {
    [
        ("indexed", counts.indexed),
        ("no_faces", counts.no_faces),
        ("low_quality", counts.low_quality),
        ("grouped", counts.grouped),
        ("removed", counts.removed),
        ("rejected", counts.rejected),
        ("released", counts.released),
        ("lease_lost", counts.lease_lost),
    ]
}

/// Returns the shares of success and of failure among the decided images. Images that were handed back were not
/// decided.
fn rates(counts: &Counts) -> Option<(f64, f64)> {
    let decided = counts.acked() + counts.rejected;
    (decided > 0).then(|| (counts.acked() as f64 / decided as f64, counts.rejected as f64 / decided as f64))
}

/// Computes what happened between two moments: counters and histograms as differences, gauges as they are now. A
/// counter that is smaller than before has started again at zero.
pub(crate) fn deltas(before: &[Sample], now: &[Sample]) -> Vec<Sample> {
    now.iter()
        .map(|sample| {
            let earlier = before.iter().find(|s| s.metric.name == sample.metric.name && s.labels == sample.labels);
            let value = match (&sample.value, earlier.map(|earlier| &earlier.value)) {
                (Value::Number(now), Some(Value::Number(before)))
                    if sample.metric.kind == Kind::Counter && now >= before =>
                {
                    Value::Number(now - before)
                }
                (Value::Histogram(now), Some(Value::Histogram(before))) => Value::Histogram(now.since(before)),
                (value, _) => value.clone(),
            };
            Sample { value, ..sample.clone() }
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::process_metrics::{CacheCounts, ModelRuns};
    use super::*;
    use muster_actors::domain::cost::Prices;
    use muster_actors::domain::image::RejectReason;
    use muster_actors::flow::progress::Stage;

    /// A run in which everything happened.
    pub fn busy() -> (Progress, ProcessMetrics) {
        let mut seconds = Histogram::default();
        [0.002, 0.3, 70.0].iter().for_each(|value| seconds.record(*value));
        let device = StageProgress { done: 3, busy_seconds: 70.302, seconds, ..StageProgress::default() };
        let mut progress = Progress {
            seconds: 12.5,
            fetched: 12,
            counts: Counts { indexed: 6, no_faces: 2, rejected: 2, released: 1, lease_lost: 1, ..Counts::default() },
            faces: 9,
            stages: [(Stage::Device, device), (Stage::Writer, StageProgress::default())].into(),
            batch_sizes: [(1, 2), (4, 1)].into(),
            out_of_memory: 1,
            restarts: [("device-0".to_owned(), 2)].into(),
            reasons: [(RejectReason::Empty, 2)].into(),
            ..Progress::default()
        };
        progress.quality.yaw_abs.record(12.0);
        let process = ProcessMetrics {
            elsewhere: false,
            cache: Some(CacheCounts { hits: 5, misses: 7, bytes: 900, errors: 1 }),
            device: "cpu",
            service: "detection".into(),
            queue_depth: Some(40),
            models: vec![ModelRuns { model: "detector", runs: 8, seconds: 0.5 }],
            cards: vec![CardReading {
                uuid: "GPU-1".into(),
                busy: 75,
                energy: Some(240.0),
                throttled: vec!["power cap"],
                ..CardReading::default()
            }],
            meter: Some((Requests { reads: 10, writes: 30, messages: 3 }, PRICES)),
            answers: vec![RouteAnswers {
                route: "/v1/people/{id}".into(),
                method: "GET",
                statuses: [("200".to_owned(), 3), ("404".to_owned(), 1)].into(),
                seconds: Histogram::default(),
            }],
            callers: Some(2),
        };
        (progress, process)
    }

    const PRICES: Prices = Prices {
        machine_hour: 0.36,
        reads_thousand: 0.0004,
        writes_thousand: 0.005,
        messages_million: 0.4,
        gigabyte: 0.0,
    };

    fn number(samples: &[Sample], name: &str, label: Option<(&'static str, &str)>) -> Option<f64> {
        let wanted = |sample: &&Sample| {
            sample.metric.name == name
                && label.is_none_or(|(key, value)| sample.labels.iter().any(|(k, v)| *k == key && v == value))
        };
        match &samples.iter().find(wanted)?.value {
            Value::Number(number) => Some(*number),
            Value::Histogram(histogram) => Some(histogram.count() as f64),
        }
    }

    #[test]
    fn a_server_whose_pipeline_is_elsewhere_is_not_counted_as_a_worker() {
        let process = ProcessMetrics { elsewhere: true, callers: Some(0), ..ProcessMetrics::default() };
        let told: Vec<&str> = samples(&Progress::default(), &process).iter().map(|sample| sample.metric.name).collect();
        assert_eq!(told, [names::CALLERS.name]);
    }

    #[test]
    fn every_metric_goes_out_and_says_what_the_run_did() {
        let (progress, process) = busy();
        let all = samples(&progress, &process);
        for metric in names::METRICS {
            assert!(all.iter().any(|sample| sample.metric == *metric), "{} does not go out", metric.name);
        }
        let table = [
            ("muster_fetcher_received_images", None, 12.0),
            ("muster_keeper_ended_images", Some(("state", "indexed")), 6.0),
            ("muster_keeper_ended_images", Some(("state", "lease_lost")), 1.0),
            ("muster_keeper_rejected_images", Some(("reason", "EMPTY")), 2.0),
            ("muster_keeper_success_ratio", None, 0.8),
            ("muster_keeper_failure_ratio", None, 0.2),
            ("muster_stage_done_items", Some(("stage", "device")), 3.0),
            ("muster_cost_made_requests", Some(("kind", "writes")), 30.0),
            ("muster_cost_spent_dollars", Some(("item", "writes")), 30.0 / 1000.0 * 0.005),
            ("muster_stage_work_seconds", Some(("stage", "device")), 3.0),
            ("muster_stage_work_seconds", Some(("stage", "writer")), 0.0),
            ("muster_device_batch_images", Some(("device", "cpu")), 3.0),
            ("muster_device_model_runs", Some(("model", "detector")), 8.0),
            ("muster_device_model_seconds", Some(("model", "detector")), 0.5),
            ("muster_device_busy_ratio", Some(("card", "GPU-1")), 0.75),
            ("muster_device_slowed_state", Some(("reason", "power cap")), 1.0),
            // 240 joules over the twelve images that ended.
            ("muster_device_image_joules", None, 20.0),
            ("muster_supervisor_restarted_actors", Some(("actor", "device-0")), 2.0),
            ("muster_writer_face_yaw_degrees", None, 1.0),
            ("muster_cache_missed_entries", None, 7.0),
            ("muster_queue_waiting_messages", Some(("service", "detection")), 40.0),
        ];
        for (name, label, expected) in table {
            assert_eq!(number(&all, name, label), Some(expected), "{name} {label:?}");
        }
        let ended: f64 = states(&progress.counts).iter().map(|(_, count)| *count as f64).sum();
        assert_eq!(ended, progress.fetched as f64);
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let all = samples(&Progress::default(), &ProcessMetrics::default());
        for name in ["muster_keeper_success_ratio", "muster_cache_found_entries", "muster_queue_waiting_messages"] {
            assert_eq!(number(&all, name, None), None, "{name}");
        }
        assert!(all.iter().all(|sample| sample.labels.iter().all(|(_, value)| !value.is_empty())));
    }

    #[test]
    fn counters_are_told_as_differences_and_gauges_as_they_are() {
        let (before, process) = busy();
        let mut now = before.clone();
        now.fetched += 5;
        now.seconds += 60.0;
        now.batch_sizes.insert(4, 3);
        now.reasons.insert(RejectReason::Corrupt, 1);
        let told = deltas(&samples(&before, &process), &samples(&now, &process));
        let table = [
            ("muster_fetcher_received_images", None, 5.0),
            ("muster_worker_run_seconds", None, 72.5),
            ("muster_keeper_rejected_images", Some(("reason", "EMPTY")), 0.0),
            ("muster_keeper_rejected_images", Some(("reason", "CORRUPT")), 1.0),
            ("muster_device_batch_images", None, 2.0),
            ("muster_queue_waiting_messages", None, 40.0),
        ];
        for (name, label, expected) in table {
            assert_eq!(number(&told, name, label), Some(expected), "{name} {label:?}");
        }
        let again = deltas(&samples(&now, &process), &samples(&before, &process));
        assert_eq!(number(&again, "muster_fetcher_received_images", None), Some(12.0), "it started again");
    }
}
