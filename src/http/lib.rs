//! The web front: recognition, people and groups over HTTP, and the page that uses it.
//!
//! ```text
//! listener ─► served (counts) ─► guard (host, key, rate, time) ─► trace ─► router ─► recognize ─► Recognizer
//!                                                          people · faces · photos · jobs ─► Albums, Jobs
//! ```

mod admin;
pub mod albums;
pub mod app;
mod body;
pub mod cors;
mod cursor;
mod enrol;
mod etag;
mod faces;
pub mod front;
mod gallery;
pub mod guard;
mod health;
mod history;
mod idempotency;
pub mod jobs;
pub mod keys;
mod linger;
mod page;
mod people;
mod photos;
mod problem;
pub mod purge;
mod recognize;
pub mod served;
mod shapes;
mod suggestions;
mod trace;

pub use admin::Admin;
pub use app::{Parts, document, router};
pub use front::{Front, PhotoLimits};
pub use guard::Guard;
pub use keys::{Key, Keys, Role};
