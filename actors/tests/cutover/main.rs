//! A cutover in memory: answers get lost, watchers meet, and nothing is.

mod record;
mod router;
mod watcher;

use muster_actors::domain::cutover_state::ChangeNote;
use muster_actors::sim::call_loss::CallLoss;
use muster_actors::sim::cas_object::SimCasObject;
use std::time::Duration;

const DWELL: Duration = Duration::from_secs(60);

fn note(id: String, at: u64) -> ChangeNote {
    ChangeNote { id, at, by: "test".into(), why: "because".into(), dead_letters: Some(0) }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(future)
}

/// The same value, of which something else gets lost.
fn losing(cell: &SimCasObject, lost: CallLoss) -> SimCasObject {
    let mut cell = cell.clone();
    cell.lost = lost;
    cell
}
