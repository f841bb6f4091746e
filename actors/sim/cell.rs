//! A value in memory, with a conditional write.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::ports::cell::{Cell, CellError, Held, Version};
use crate::sim::lost::Lost;

/// How often it was written before, and what was written last.
type Written = (u64, Vec<u8>);

/// A [`Cell`] whose calls and answers get lost as `lost` says.
#[derive(Clone, Debug, Default)]
pub struct SimCell {
    held: Arc<Mutex<Option<Written>>>,
    /// Which call gets lost.
    pub lost: Lost,
}

#[async_trait]
impl Cell for SimCell {
    async fn read(&self) -> Result<Option<Held>, CellError> {
        let held = || {
            let held = self.held.lock().clone();
            Ok(held.map(|(version, bytes)| Held { bytes, version: Version(version.to_string()) }))
        };
        self.lost.call(held, |class, message| CellError::Failed { class, message }).await
    }

    async fn swap(&self, expected: Option<&Version>, bytes: Vec<u8>) -> Result<Version, CellError> {
        let swap = || {
            let mut held = self.held.lock();
            let now = held.as_ref().map(|(version, _)| version.to_string());
            if now.as_ref() != expected.map(|Version(version)| version) {
                return Err(CellError::Changed);
            }
            let next = held.as_ref().map_or(0, |(version, _)| version + 1);
            *held = Some((next, bytes));
            Ok(Version(next.to_string()))
        };
        self.lost.call(swap, |class, message| CellError::Failed { class, message }).await
    }
}
