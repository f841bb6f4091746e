//! Recognition: callers' photos go through the same pipeline as indexing, and their faces are compared with known people.
//!
//! ```text
//! caller ─► LocalRecognizer:  AdmissionLimit ─► Requests ─► Fetcher … Writer ─► Requests ─► RecognitionIndex ─► caller
//!
//! caller ─► RemoteRecognizer: AdmissionLimit ─► S3, SQS ┄► Inbox ─► Fetcher … Writer ─► ReplyWriter (RecognitionIndex)
//!                             ┄► S3, SQS ─► ReplyConsumer ─► caller
//! ```

pub mod admission;
pub mod error;
pub mod galleries;
mod gallery_index;
pub mod inbox;
pub mod local_recognizer;
pub mod query;
pub mod recognition_index;
pub mod recognition_pipeline;
pub mod recognizer;
pub mod remote_recognizer;
mod reply_consumer;
mod reply_waiters;
pub mod reply_writer;
pub mod requests;
pub mod wire_protocol;

pub use {
    admission::Permit,
    local_recognizer::LocalRecognizer,
    recognition_pipeline::RecognitionPipeline,
    recognizer::{Recognizer, Refusal},
    remote_recognizer::{RemoteRecognizer, RemoteStores},
};
pub use {query::RecognitionQuery, recognition_index::RecognitionIndex};

use muster_actors::grouping::identification::Rule;

use muster_config::Settings;
use muster_inference::onnx::manifest::Manifest;

/// How much above the grouping threshold a similarity must be to name a person. Groups are reviewed and corrected, but a
/// recognised name is believed. Measured with the pack `open` (docs/serve.md).
const SURER: f32 = 0.22;

/// Returns the rule that decides whether a face is a known person.
pub fn rule(settings: &Settings, manifest: &Manifest) -> Rule {
    let threshold = match settings.serve.similarity {
        0.0 => manifest.grouping.similarity + SURER,
        given => given,
    };
    Rule { threshold, margin: settings.serve.margin }
}
