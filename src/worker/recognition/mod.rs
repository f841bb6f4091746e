//! Recognition: photos of callers go through the pipeline that indexes, and their faces are looked up among those that are known.
//!
//! ```text
//! caller ─► Here:   Room ─► Analyst ─► Requests ─► Fetcher … Writer ─► Requests ─► faces ─► Crowd ─► who it is
//!
//! caller ─► Remote: Room ─► S3, SQS ┄► Inbox ─► Fetcher … Writer ─► Replies (Crowd) ┄► S3, SQS ─► Listener ─► caller
//! ```

pub mod analyst;
mod circle;
pub mod crowd;
pub mod error;
pub mod galleries;
pub mod here;
pub mod inbox;
pub mod letter;
mod listener;
pub mod recognizer;
pub mod remote;
pub mod replies;
pub mod requests;
pub mod room;
pub mod seen;
mod waiting;

pub use {
    analyst::Analyst,
    here::Here,
    recognizer::{Recognizer, Refusal},
    remote::{Remote, RemoteStores},
    room::Place,
};
pub use {crowd::Crowd, seen::Ask};

use muster_actors::grouping::identification::Rule;

use muster_config::Settings;
use muster_inference::onnx::manifest::Manifest;

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
