//! The names of all spans and metrics: spans are `stage.verb`, metrics `muster_<stage>_<what>_<unit>`.

use muster_actors::domain::histogram::{DEGREES, FRACTION, SECONDS};

/// The span of one image, from its message to the end of its lease; the parent of the image's other spans.
pub const IMAGE: &str = "image.process";
/// The span of the receipt of a message.
pub(crate) const RECEIVE: &str = "fetcher.receive";
/// The span of judging a thumbnail.
pub(crate) const JUDGE: &str = "prefilter.judge";
/// The span of a download.
pub const GET: &str = "downloader.get";
/// The span of a decode.
pub(crate) const DECODE: &str = "downloader.decode";
/// The span of an image in the models.
pub(crate) const ANALYSE: &str = "device.analyse";
/// The span of a batch in the models. It is linked to the images in the batch, and has no parent.
pub const BATCH: &str = "device.batch";
/// The span of writing a result.
pub const COMMIT: &str = "writer.commit";
/// The span of settling a lease.
pub(crate) const ACK: &str = "keeper.ack";
/// The span of grouping a gallery.
pub(crate) const RECONCILE: &str = "grouper.reconcile";

/// The span of an answer to a caller over HTTP.
pub const ANSWER: &str = "server.answer";
/// The span of storing a caller's photo where workers find it.
pub const PUT: &str = "server.put";
/// The span of waiting for a worker's answer to a caller's photo.
pub const WAIT: &str = "server.wait";

/// The span of running a device's images, in one or more batches.
pub(crate) const RUN_IMAGES: &str = "device.run";
/// The span of asking for messages.
pub const POLL: &str = "fetcher.poll";
/// The span of writing several results.
pub(crate) const BULK: &str = "writer.bulk";
/// The span of settling several leases.
pub(crate) const SETTLE: &str = "keeper.settle";
/// The span of renewing several leases.
pub(crate) const RENEW: &str = "keeper.renew";

/// Names of all spans.
pub const SPANS: [&str; 18] = [
    IMAGE, RECEIVE, JUDGE, GET, DECODE, ANALYSE, BATCH, COMMIT, ACK, RECONCILE, ANSWER, PUT, WAIT, RUN_IMAGES, POLL,
    BULK, SETTLE, RENEW,
];

/// The kind of a metric: how its value changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A value that only grows from the start of the process.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A distribution, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of items.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share or a figure without a unit.
    Ratio,
    /// Degrees of an angle.
    Degrees,
    /// US dollars.
    Dollars,
    /// Degrees Celsius.
    Celsius,
    /// Watts.
    Watts,
    /// Joules.
    Joules,
}

impl Unit {
    /// Returns the name of the unit in CloudWatch.
    pub fn cloudwatch(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Bytes => "Bytes",
            Self::Ratio | Self::Degrees | Self::Dollars | Self::Celsius | Self::Watts | Self::Joules => "None",
        }
    }

    /// Returns the name of the unit in OpenTelemetry (UCUM).
    pub(crate) fn ucum(self) -> &'static str {
        match self {
            Self::Count => "{item}",
            Self::Seconds => "s",
            Self::Bytes => "By",
            Self::Ratio => "1",
            Self::Degrees => "deg",
            Self::Dollars => "{USD}",
            Self::Celsius => "Cel",
            Self::Watts => "W",
            Self::Joules => "J",
        }
    }
}

/// A metric. There is one constant for each, so its name identifies it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Name, such as `muster_stage_busy_seconds`; Prometheus adds `_total` to counters.
    pub name: &'static str,
    /// Kind of the metric.
    pub kind: Kind,
    /// Unit of the values.
    pub unit: Unit,
    /// Help text, one sentence.
    pub help: &'static str,
}

/// Buckets of images in a batch.
pub(crate) const BATCH_SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

macro_rules! metrics {
    ($($name:ident = $text:literal, $kind:expr, $unit:ident, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $name: Metric = Metric { name: $text, kind: $kind, unit: Unit::$unit, help: $help };
        )+
        /// All metrics, in the order in which they are written.
        pub(crate) const METRICS: &[Metric] = &[$($name),+];
    };
}

metrics! {
    RUN = "muster_worker_run_seconds", Kind::Gauge, Seconds, "Seconds since the pipeline started.";
    FETCHED = "muster_fetcher_received_images", Kind::Counter, Count, "Images received; one received twice counts twice.";
    IGNORED = "muster_fetcher_ignored_messages", Kind::Counter, Count, "Messages that name no image to index.";
    ENDED = "muster_keeper_ended_images", Kind::Counter, Count, "Images that ended, by state; their sum is what was received.";
    REJECTED = "muster_keeper_rejected_images", Kind::Counter, Count, "Images rejected, by reason.";
    SUCCESS = "muster_keeper_success_ratio", Kind::Gauge, Ratio, "Share of the decided images that were stored.";
    FAILURE = "muster_keeper_failure_ratio", Kind::Gauge, Ratio, "Share of the decided images that were rejected.";
    WAITING = "muster_stage_waiting_items", Kind::Gauge, Count, "Items that wait in the stage's own queue.";
    IN_FLIGHT = "muster_stage_in_flight_items", Kind::Gauge, Count, "Items that the stage works on.";
    DONE = "muster_stage_done_items", Kind::Counter, Count, "Items that the stage finished.";
    ERRORS = "muster_stage_failed_calls", Kind::Counter, Count, "Calls of the stage that failed, retried ones included.";
    RETRIED = "muster_stage_retried_calls", Kind::Counter, Count, "Calls of the stage that failed and were tried again.";
    RECOVERED = "muster_stage_recovered_calls", Kind::Counter, Count, "Calls of the stage that succeeded after they had failed.";
    BUSY = "muster_stage_busy_seconds", Kind::Counter, Seconds, "Seconds of work, summed over what ran side by side.";
    BYTES = "muster_stage_passed_bytes", Kind::Counter, Bytes, "Bytes that went through the stage.";
    SAVED = "muster_stage_saved_bytes", Kind::Counter, Bytes, "Bytes that need not be read.";
    WORK = "muster_stage_work_seconds", Kind::Histogram(SECONDS), Seconds, "Seconds of each piece of work that was done.";
    BATCHES = "muster_device_batch_images", Kind::Histogram(BATCH_SIZES), Count, "Images in each batch that ran.";
    MODEL_RUNS = "muster_device_model_runs", Kind::Counter, Count, "Runs of a model, by model: detector, embedder.";
    MODEL_SECONDS = "muster_device_model_seconds", Kind::Counter, Seconds, "Seconds inside the runtime, by model, summed over lanes.";
    OUT_OF_MEMORY = "muster_device_out_of_memory_batches", Kind::Counter, Count, "Batches that did not fit the device's memory.";
    REBUILDS = "muster_device_rebuilt_engines", Kind::Counter, Count, "Times an engine was rebuilt.";
    LOST = "muster_device_lost_devices", Kind::Counter, Count, "Devices that died while others went on.";
    CARD_BUSY = "muster_device_busy_ratio", Kind::Gauge, Ratio, "Share of the time in which a kernel ran, by card.";
    CARD_MEMORY = "muster_device_used_bytes", Kind::Gauge, Bytes, "Memory in use, by anybody, by card.";
    CARD_HEAT = "muster_device_temperature_celsius", Kind::Gauge, Celsius, "Temperature, by card.";
    CARD_POWER = "muster_device_power_watts", Kind::Gauge, Watts, "Power, by card.";
    CARD_ENERGY = "muster_device_used_joules", Kind::Counter, Joules, "Energy since the worker started, by card.";
    CARD_SLOWED = "muster_device_slowed_state", Kind::Gauge, Count, "1 for each reason why a card's clock is lower than it might be, by card and reason.";
    IMAGE_ENERGY = "muster_device_image_joules", Kind::Gauge, Joules, "Energy an image: of all cards, over the images that ended.";
    FACES = "muster_writer_written_faces", Kind::Counter, Count, "Faces written.";
    SHARPNESS = "muster_writer_face_sharpness_ratio", Kind::Histogram(FRACTION), Ratio, "Fine detail of the faces written, 0 (blurred) to 1.";
    LEVEL = "muster_writer_face_level_ratio", Kind::Histogram(FRACTION), Ratio, "Mean luma of the faces written, 0 (dark) to 1.";
    YAW = "muster_writer_face_yaw_degrees", Kind::Histogram(DEGREES), Degrees, "Degrees that the faces written look aside.";
    RECONCILED = "muster_grouper_reconciled_galleries", Kind::Counter, Count, "Galleries grouped.";
    RESTARTS = "muster_supervisor_restarted_actors", Kind::Counter, Count, "Times an actor was restarted after a crash, by name.";
    STRAGGLERS = "muster_supervisor_straggling_actors", Kind::Gauge, Count, "Actors that had not ended when a drain's time was over.";
    DOWNLOADS = "muster_downloader_downloads_limit", Kind::Gauge, Count, "Downloads that may run at once.";
    DECODES = "muster_downloader_decodes_limit", Kind::Gauge, Count, "Decodes that may run at once.";
    CACHE_HITS = "muster_cache_found_entries", Kind::Counter, Count, "Look-ups that the cache answered.";
    CACHE_MISSES = "muster_cache_missed_entries", Kind::Counter, Count, "Look-ups that the cache had no answer for.";
    CACHE_BYTES = "muster_cache_read_bytes", Kind::Counter, Bytes, "Bytes that the cache gave.";
    CACHE_ERRORS = "muster_cache_failed_calls", Kind::Counter, Count, "Calls of the cache that failed or took too long.";
    REQUESTS = "muster_cost_made_requests", Kind::Counter, Count, "Requests of S3 (reads, writes) and SQS (messages) that are paid for.";
    SPENT = "muster_cost_spent_dollars", Kind::Counter, Dollars, "US dollars spent on machines, requests and transfer, at the prices of the settings.";
    ANSWERS = "muster_server_given_answers", Kind::Counter, Count, "Answers over HTTP, by route, method and status; `left` where the caller did before.";
    ANSWER_SECONDS = "muster_server_answer_seconds", Kind::Histogram(SECONDS), Seconds, "Seconds from a request to its answer, by route and method.";
    CALLERS = "muster_server_waiting_callers", Kind::Gauge, Count, "Callers who wait for an answer.";
    QUEUE = "muster_queue_waiting_messages", Kind::Gauge, Count, "Messages that wait in the queue.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_is_of_one_form_and_there_is_one_of_each() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            let name = metric.name;
            assert!(
                name.starts_with("muster_") && name.split('_').count() >= 4,
                "{name} is not muster_<stage>_<what>_<unit>"
            );
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(!name.ends_with("_total"), "{name}: Prometheus' suffix is added where it is written");
            assert!(metric.help.ends_with('.') && !metric.help.contains(['\n', '\\']), "{name}");
            let unit = match metric.unit {
                Unit::Seconds => Some("_seconds"),
                Unit::Bytes => Some("_bytes"),
                Unit::Ratio => Some("_ratio"),
                Unit::Degrees => Some("_degrees"),
                Unit::Dollars => Some("_dollars"),
                Unit::Celsius => Some("_celsius"),
                Unit::Watts => Some("_watts"),
                Unit::Joules => Some("_joules"),
                Unit::Count => None,
            };
            assert!(unit.is_none_or(|unit| name.ends_with(unit)), "{name} is not in {unit:?}");
        }
        assert_eq!(SPANS.iter().collect::<BTreeSet<_>>().len(), SPANS.len());
        assert!(SPANS.iter().all(|span| span.split('.').count() == 2));
    }
}
