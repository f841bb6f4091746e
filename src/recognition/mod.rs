//! Recognition: photos of callers go through the pipeline that indexes, and their faces are looked up among those that are known.
//!
//! ```text
//! caller ─► Room ─► Analyst ─► Requests ─► Fetcher … Writer ─► Requests ─► faces ─► Crowd ─► who it is
//! ```

pub mod analyst;
pub mod crowd;
pub mod requests;
pub mod room;

pub use analyst::Analyst;
pub use crowd::Crowd;
pub use requests::Refusal;
pub use room::Place;

use muster_actors::identification::Rule;

use crate::onnx::manifest::Manifest;
use crate::settings::Settings;

/// A name is said of a face only when it is so much nearer than two faces of one group must be: a group is looked at and mended, a
/// name is believed. Measured with the pack `open` (docs/serve.md).
const SURER: f32 = 0.22;

/// When a face is somebody who is known.
pub fn rule(settings: &Settings, manifest: &Manifest) -> Rule {
    let threshold = match settings.serve.similarity {
        0.0 => manifest.grouping.similarity + SURER,
        given => given,
    };
    Rule { threshold, margin: settings.serve.margin }
}
