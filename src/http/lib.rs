//! The web front serves recognition, people and groups over HTTP, and the page that uses them.
//!
//! ```text
//! listener ─► http_metrics (counts) ─► guard (host, key, rate, time) ─► trace ─► router ─► recognize ─► Recognizer
//!                                                          people · faces · photos · jobs ─► GalleryStores, Jobs
//! ```

mod admin;
pub mod app;
pub mod app_state;
mod body;
pub mod connections;
pub mod cors;
mod cursor;
mod drain_body;
mod enrol;
mod etag;
mod faces;
mod fingerprint;
mod gallery;
pub mod gallery_stores;
pub mod guard;
mod health;
mod history;
pub mod http_metrics;
mod idempotency;
pub mod jobs;
pub mod keys;
mod page;
mod people;
mod photos;
mod problem;
pub mod purge;
mod recognize;
mod shapes;
mod suggestions;
mod trace;
mod watched_keys;

pub use admin::Admin;
pub use app::{ServiceParts, document, router};
pub use app_state::{AppState, PhotoLimits};
pub use guard::Guard;
pub use keys::{Key, Keys, Role};
