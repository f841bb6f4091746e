//! Moving a fleet's work from an ECS service to Batch jobs, a share of the images at a time.
//!
//! Messages arrive in one *intake* queue. A [router] sends each on to the queue of its [side](split), by a stable hash of the
//! image and the percentage in force. What is in force, and how it came to be, is one [state](crate::domain::cutover_state)
//! with its audit trail, written [on condition](record). A [watcher] looks at what the Batch side does, [judges](trigger) it,
//! and rolls back by itself.

pub mod record;
pub mod router;
pub mod split;
pub mod trigger;
pub mod watcher;
