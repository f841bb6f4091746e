//! The settings of `muster serve`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// What is answered over HTTP, to whom, and how much of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Where it listens. Off this machine it wants API keys.
    pub listen: String,
    /// File of the API keys (`muster keys`); empty takes `keys.json` in the library.
    pub keys: String,
    /// Origins whose pages may ask in a browser, with a key: `https://photos.example`, several with a space between; empty lets none.
    pub cors: String,
    /// Gallery of callers who name none, where workers answer (`queues.requests`).
    pub gallery: String,
    /// Photos that wait or are worked on at once; more are answered with 429.
    pub requests: usize,
    /// Megabytes of such photos.
    pub request_megabytes: usize,
    /// Largest photo that is taken, in megabytes.
    pub photo_megabytes: usize,
    /// Most photos of one enrolment.
    pub enrol_photos: usize,
    /// Requests of one caller (key, or address) in a minute; 0 has no limit.
    pub requests_per_minute: u32,
    /// Seconds after which a caller is told that there is no answer.
    pub seconds: u64,
    /// Most photos that are analysed in one batch.
    pub batch: usize,
    /// Milliseconds that a photo waits for others to be analysed with.
    pub batch_milliseconds: u64,
    /// Similarity at which a face is somebody known; 0 takes 0.22 more than the pack's grouping threshold.
    pub similarity: f32,
    /// How much nearer it must be to that person than to the next.
    pub margin: f32,
}

pub(super) fn ranges(settings: &Settings, range: &mut impl FnMut(&str, f64, f64, f64)) {
    let serve = &settings.serve;
    range("serve.requests", serve.requests as f64, 1.0, 100_000.0);
    range("serve.request_megabytes", serve.request_megabytes as f64, 1.0, 1_048_576.0);
    range("serve.photo_megabytes", serve.photo_megabytes as f64, 1.0, 2048.0);
    range("serve.enrol_photos", serve.enrol_photos as f64, 1.0, 1000.0);
    range("serve.requests_per_minute", f64::from(serve.requests_per_minute), 0.0, 1e9);
    range("serve.seconds", serve.seconds as f64, 1.0, 3600.0);
    range("serve.batch", serve.batch as f64, 1.0, 1024.0);
    range("serve.batch_milliseconds", serve.batch_milliseconds as f64, 0.0, 60_000.0);
    range("serve.similarity", f64::from(serve.similarity), 0.0, 1.0);
    range("serve.margin", f64::from(serve.margin), 0.0, 1.0);
}
