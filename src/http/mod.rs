//! The web front: recognition, people and groups over HTTP, and the page that uses it.
//!
//! ```text
//! listener ─► guard (host, key, rate, time) ─► router ─► recognize · people · faces · photos · jobs ─► Analyst, Album, Jobs
//! ```

pub mod album;
pub mod app;
mod body;
mod cursor;
mod enrol;
mod etag;
mod faces;
pub mod guard;
mod health;
mod idempotency;
pub mod jobs;
pub mod keys;
mod linger;
mod page;
mod people;
mod photos;
mod problem;
mod recognize;
mod shapes;

pub use app::{App, document, router};
pub use guard::Guard;
pub use keys::{Key, Keys, Role};
