//! What is measured: one pure function from a worker's progress to samples, for every way out.

use std::sync::Arc;

use muster_actors::domain::cost::Requests;
use muster_actors::domain::histogram::Histogram;
use muster_actors::flow::progress::{Counts, Progress, StageProgress};
use tokio::sync::watch;

use super::extra::{Answers, CardReading, Extra, joules_an_image};
use super::names::{self, Kind, Metric};

/// Labels of a sample, by name.
pub type Labels = Vec<(&'static str, String)>;

/// One measured value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Of what.
    pub metric: Metric,
    /// Of which part.
    pub labels: Labels,
    /// How much.
    pub value: Value,
}

/// How much.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Histogram(Histogram),
}

/// Where samples come from: the progress of a pipeline and what stands beside it.
#[derive(Clone)]
pub struct Source {
    progress: watch::Receiver<Progress>,
    extra: Arc<dyn Fn() -> Extra + Send + Sync>,
}

impl Source {
    /// From a pipeline's progress, and from a function that is called for every look.
    pub fn new(progress: watch::Receiver<Progress>, extra: impl Fn() -> Extra + Send + Sync + 'static) -> Self {
        Self { progress, extra: Arc::new(extra) }
    }

    /// What there is to say now.
    pub fn samples(&self) -> Vec<Sample> {
        let extra = (self.extra)();
        let progress = self.progress.borrow().clone();
        samples(&progress, &extra)
    }

    /// Whether the pipeline still reports.
    pub(crate) fn alive(&self) -> bool {
        self.progress.has_changed().is_ok()
    }
}

/// Collects samples that share labels.
struct Samples<'a> {
    common: &'a [(&'static str, String)],
    all: Vec<Sample>,
}

impl Samples<'_> {
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

    /// What the pipeline did.
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

    /// What was done beside it.
    fn beside(&mut self, progress: &Progress, extra: &Extra) {
        for model in &extra.models {
            self.count(names::MODEL_RUNS, &[("model", model.model)], model.runs);
            self.number(names::MODEL_SECONDS, &[("model", model.model)], model.seconds);
        }
        self.cards(&extra.cards, progress.counts.ended());
        if let Some(cache) = extra.cache {
            self.count(names::CACHE_HITS, &[], cache.hits);
            self.count(names::CACHE_MISSES, &[], cache.misses);
            self.count(names::CACHE_BYTES, &[], cache.bytes);
            self.count(names::CACHE_ERRORS, &[], cache.errors);
        }
        for Answers { route, method, statuses, seconds } in &extra.answers {
            let labels = [("route", route.as_str()), ("method", method)];
            for (status, count) in statuses {
                self.count(names::ANSWERS, &[labels[0], labels[1], ("status", status)], *count);
            }
            self.push(names::ANSWER_SECONDS, &labels, Value::Histogram(seconds.clone()));
        }
        if let Some(callers) = extra.callers {
            self.count(names::CALLERS, &[], callers);
        }
        if let Some(depth) = extra.queue_depth {
            self.count(names::QUEUE, &[], depth);
        }
        if let Some((requests, prices)) = extra.meter {
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

/// Everything that goes out, in the order of `names::METRICS`.
pub fn samples(progress: &Progress, extra: &Extra) -> Vec<Sample> {
    let common = [("service", extra.service.clone()), ("device", extra.device.to_owned())];
    let common: Labels = common.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let mut out = Samples { common: &common, all: Vec::new() };
    if !extra.elsewhere {
        out.pipeline(progress);
    }
    out.beside(progress, extra);
    let mut all = out.all;
    // The parts of one metric stand together: the page for Prometheus must have them so.
    all.sort_by_key(|sample| names::METRICS.iter().position(|metric| metric.name == sample.metric.name));
    all
}

/// How many images ended in which state.
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

/// Shares of success and of failure among the images that were decided; those given back were not.
fn rates(counts: &Counts) -> Option<(f64, f64)> {
    let decided = counts.acked() + counts.rejected;
    (decided > 0).then(|| (counts.acked() as f64 / decided as f64, counts.rejected as f64 / decided as f64))
}

/// What happened between two looks: counters and histograms as differences, gauges as they are now. A counter that is
/// smaller than before has started again at zero.
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
    use super::super::extra::{CacheCounts, ModelRuns};
    use super::*;
    use muster_actors::domain::cost::Prices;
    use muster_actors::domain::image::RejectReason;
    use muster_actors::flow::progress::Stage;

    /// A run in which everything happened.
    pub fn busy() -> (Progress, Extra) {
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
        let extra = Extra {
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
            answers: vec![Answers {
                route: "/v1/people/{id}".into(),
                method: "GET",
                statuses: [("200".to_owned(), 3), ("404".to_owned(), 1)].into(),
                seconds: Histogram::default(),
            }],
            callers: Some(2),
        };
        (progress, extra)
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
        let extra = Extra { elsewhere: true, callers: Some(0), ..Extra::default() };
        let told: Vec<&str> = samples(&Progress::default(), &extra).iter().map(|sample| sample.metric.name).collect();
        assert_eq!(told, [names::CALLERS.name]);
    }

    #[test]
    fn every_metric_goes_out_and_says_what_the_run_did() {
        let (progress, extra) = busy();
        let all = samples(&progress, &extra);
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
        let all = samples(&Progress::default(), &Extra::default());
        for name in ["muster_keeper_success_ratio", "muster_cache_found_entries", "muster_queue_waiting_messages"] {
            assert_eq!(number(&all, name, None), None, "{name}");
        }
        assert!(all.iter().all(|sample| sample.labels.iter().all(|(_, value)| !value.is_empty())));
    }

    #[test]
    fn counters_are_told_as_differences_and_gauges_as_they_are() {
        let (before, extra) = busy();
        let mut now = before.clone();
        now.fetched += 5;
        now.seconds += 60.0;
        now.batch_sizes.insert(4, 3);
        now.reasons.insert(RejectReason::Corrupt, 1);
        let told = deltas(&samples(&before, &extra), &samples(&now, &extra));
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
        let again = deltas(&samples(&now, &extra), &samples(&before, &extra));
        assert_eq!(number(&again, "muster_fetcher_received_images", None), Some(12.0), "it started again");
    }
}
