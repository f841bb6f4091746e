//! The settings of `muster serve`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// The HTTP server: addresses, limits and recognition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Address on which the server listens. An address that other machines can reach needs API keys.
    pub listen: String,
    /// File of the API keys (`muster keys`); empty uses `keys.json` in the library.
    pub keys: String,
    /// Origins of web pages that may send requests with a key, such as `https://photos.example`, separated by spaces;
    /// empty allows none.
    pub cors: String,
    /// Gallery of callers that name none, where workers answer (`queues.requests`).
    pub gallery: String,
    /// Most photos that wait or are analysed at a time; further ones are answered with status 429.
    pub requests: usize,
    /// Most megabytes of such photos.
    pub request_megabytes: usize,
    /// Largest photo that is accepted, in megabytes.
    pub photo_megabytes: usize,
    /// Most photos of one enrolment.
    pub enrol_photos: usize,
    /// Most requests of one caller (API key or address) in a minute; 0 has no limit.
    pub requests_per_minute: u32,
    /// Seconds after which a request fails without an answer.
    pub seconds: u64,
    /// Most photos that are analysed in one batch.
    pub batch: usize,
    /// Milliseconds that a photo waits for others to fill a batch.
    pub batch_milliseconds: u64,
    /// Similarity from which a face counts as a known person; 0 uses the pack's grouping threshold plus 0.22.
    pub similarity: f32,
    /// Least difference between the similarities of the best and the second-best person.
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
