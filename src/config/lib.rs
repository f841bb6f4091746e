//! The settings of muster. They are read from four layers (defaults, a file, the environment, flags) into one validated
//! value, [`Settings`]. Every program of this repository uses them. The crate only describes and checks values; it
//! opens no connection and reads no secret store.
//!
//! ```text
//! config/default.toml ─► settings file ─► environment ─► flags ─► Layers ─ check ─► Settings
//! ```

mod buckets;
mod cost;
mod cutover;
mod fleet;
mod layers;
mod provider;
mod scale;
mod secret;
mod serve;
mod telemetry;

use muster_actors::domain::sibling::Sibling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use buckets::{Buckets, Layout};
pub use cost::Cost;
pub use cutover::Cutover;
pub use fleet::{Fleet, MissingSetting, Mode, Mongo, Queues, Redis, Removals, ScaledService, WorkerRole, required};
pub use layers::{Layers, Origin, SettingsError};
pub use provider::Provider;
pub use scale::{Batch, Ecs, FleetKind, PolicyName, Scale};
pub use secret::Secret;
pub use serve::Serve;
pub use telemetry::{LogFormat, OtlpProtocol, Telemetry, Traces};

/// All settings, in the sections of `config/default.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which models run, and on which hardware.
    pub models: Models,
    /// Limits of images.
    pub limits: Limits,
    /// How many images are on their way at a time, and how they are bundled.
    pub pipeline: Pipeline,
    /// Which images are judged by their thumbnail alone.
    pub prefilter: Prefilter,
    /// When two faces are grouped as one person.
    pub grouping: Grouping,
    /// The HTTP server: addresses, limits and recognition.
    pub serve: Serve,
    /// Role, limits and time limits of a fleet's worker.
    pub fleet: Fleet,
    /// The queues from which a worker's work comes.
    pub queues: Queues,
    /// The buckets of images and results.
    pub buckets: Buckets,
    /// The databases of faces.
    pub mongo: Mongo,
    /// The cache of images, analyses and embeddings.
    pub redis: Redis,
    /// Destinations of traces, metrics and logs.
    pub telemetry: Telemetry,
    /// How many workers a fleet has.
    pub scale: Scale,
    /// Job queues and definitions of AWS Batch.
    pub batch: Batch,
    /// Cluster and services of ECS.
    pub ecs: Ecs,
    /// Prices, for estimates of costs.
    pub cost: Cost,
    /// How work moves from an ECS service to Batch jobs.
    pub cutover: Cutover,
}

/// Which models run, and on which hardware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// Model pack: `open`, `edgeface`, `insightface-s`, or the path of a folder with a manifest.
    pub pack: String,
    /// Execution provider of the models.
    pub provider: Provider,
    /// Cards that are used: `auto` for all, `cpu` for none, or numbers and uuids separated by commas.
    pub devices: String,
    /// Model lanes that run in parallel; 0 means one for each CPU core, or two for each card.
    pub lanes: usize,
    /// Threads with which each lane computes.
    pub lane_threads: usize,
}

/// Limits of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Size in megabytes above which files are rejected before they are read.
    pub image_megabytes: u64,
    /// Size in megapixels above which images are rejected before a pixel is allocated.
    pub image_megapixels: u64,
    /// Most faces of one image that are kept, by the best scores.
    pub faces_per_image: usize,
}

/// How many images are on their way at a time, and how they are bundled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Images that are on their way at a time.
    pub credits: usize,
    /// Megabytes of images that are on their way at a time.
    pub credit_megabytes: usize,
    /// Most images in one batch of a lane; 0 uses a number that suits the hardware: 5 on a CPU, 32 on a card.
    pub batch: usize,
    /// Milliseconds after which a batch that is not full starts.
    pub batch_milliseconds: u64,
    /// Downloads and decodes that run in parallel; 0 means as many as CPU cores.
    pub decoders: usize,
    /// Most results that are written in one transaction.
    pub write_batch: usize,
    /// Most milliseconds that a result waits to be written.
    pub write_milliseconds: u64,
    /// Most seconds between a request to stop and the end.
    pub drain_seconds: u64,
    /// Seconds without progress after which a lane counts as hung.
    pub hang_seconds: u64,
}

/// Which images are judged by their thumbnail alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prefilter {
    /// Lowest thumbnail score, 0 to 1, at which an image is read in full; 0 lets every image pass.
    pub threshold: f32,
    /// Pattern of the key of the thumbnail beside an image in its bucket; empty uses only the thumbnail in the image's
    /// header.
    pub thumbnail: String,
}

impl Prefilter {
    /// Parses the pattern by which the key of a thumbnail follows from its image's; `None` where it is empty or not
    /// valid.
    pub fn sibling(&self) -> Option<Sibling> {
        self.thumbnail.parse().ok()
    }
}

/// When two faces are grouped as one person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grouping {
    /// Similarity from which two faces may be one person; 0 uses the pack's measured value. Each 0.01 above or below
    /// that makes grouping stricter or laxer by as much.
    pub threshold: f32,
    /// Cost of putting two people into one group, where leaving one person in two groups costs 1. Groups join when the
    /// odds that they are one person are at least this.
    pub caution: f32,
    /// Size below which groups are dissolved and their faces stay ungrouped.
    pub min_size: usize,
}

impl Settings {
    /// Lists everything that is wrong with these values, one sentence each: `key is VALUE, allowed is LOW to HIGH`.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut range = |key: &str, value: f64, low: f64, high: f64| {
            if !(low..=high).contains(&value) {
                faults.push(format!("{key} is {value}, allowed is {low} to {high}"));
            }
        };
        range("models.lanes", self.models.lanes as f64, 0.0, 256.0);
        range("models.lane_threads", self.models.lane_threads as f64, 1.0, 256.0);
        range("limits.image_megabytes", self.limits.image_megabytes as f64, 1.0, 2048.0);
        range("limits.image_megapixels", self.limits.image_megapixels as f64, 1.0, 1000.0);
        range("limits.faces_per_image", self.limits.faces_per_image as f64, 1.0, 10_000.0);
        range("pipeline.credits", self.pipeline.credits as f64, 1.0, 100_000.0);
        range("pipeline.credit_megabytes", self.pipeline.credit_megabytes as f64, 1.0, 1_048_576.0);
        range("pipeline.batch", self.pipeline.batch as f64, 0.0, 1024.0);
        range("pipeline.batch_milliseconds", self.pipeline.batch_milliseconds as f64, 0.0, 60_000.0);
        range("pipeline.decoders", self.pipeline.decoders as f64, 0.0, 256.0);
        range("pipeline.write_batch", self.pipeline.write_batch as f64, 1.0, 10_000.0);
        range("pipeline.write_milliseconds", self.pipeline.write_milliseconds as f64, 1.0, 60_000.0);
        range("pipeline.drain_seconds", self.pipeline.drain_seconds as f64, 1.0, 3600.0);
        range("pipeline.hang_seconds", self.pipeline.hang_seconds as f64, 1.0, 86_400.0);
        range("prefilter.threshold", f64::from(self.prefilter.threshold), 0.0, 1.0);
        range("grouping.threshold", f64::from(self.grouping.threshold), 0.0, 1.0);
        range("grouping.caution", f64::from(self.grouping.caution), 0.01, 10_000.0);
        range("grouping.min_size", self.grouping.min_size as f64, 1.0, 1000.0);
        serve::ranges(self, &mut range);
        fleet::ranges(self, &mut range);
        telemetry::ranges(self, &mut range);
        scale::ranges(self, &mut range);
        cost::ranges(self, &mut range);
        cutover::ranges(self, &mut range);
        if let (false, Err(error)) = (self.prefilter.thumbnail.is_empty(), self.prefilter.thumbnail.parse::<Sibling>())
        {
            faults.push(format!("prefilter.thumbnail is {:?}: {error}", self.prefilter.thumbnail));
        }
        faults
    }

    /// Builds the JSON schema of a settings file, as it is kept in `config/schema.json`.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Settings).to_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_holds_every_setting_and_is_valid() {
        let settings = Layers::defaults().settings().unwrap();
        assert_eq!(settings.faults(), Vec::<String>::new());
    }

    #[test]
    fn the_schema_in_config_is_the_one_generated() {
        let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/schema.json")).unwrap();
        let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(kept, Settings::schema(), "run `muster config --schema > config/schema.json`");
    }
}
