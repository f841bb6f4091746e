//! A value in memory that is written by compare-and-swap.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::ports::cas_object::{CasError, CasObject, CasValue, CasVersion};
use crate::sim::call_loss::CallLoss;

/// How often it was written before, and what was written last.
type Written = (u64, Vec<u8>);

/// A [`CasObject`] whose calls and answers get lost as `lost` says.
#[derive(Clone, Debug, Default)]
pub struct SimCasObject {
    held: Arc<Mutex<Option<Written>>>,
    /// Which call gets lost.
    pub lost: CallLoss,
}

#[async_trait]
impl CasObject for SimCasObject {
    async fn read(&self) -> Result<Option<CasValue>, CasError> {
        let held = || {
            let held = self.held.lock().clone();
            Ok(held.map(|(version, bytes)| CasValue { bytes, version: CasVersion(version.to_string()) }))
        };
        self.lost.call(held, |class, message| CasError::Failed { class, message }).await
    }

    async fn swap(&self, expected: Option<&CasVersion>, bytes: Vec<u8>) -> Result<CasVersion, CasError> {
        let swap = || {
            let mut held = self.held.lock();
            let now = held.as_ref().map(|(version, _)| version.to_string());
            if now.as_ref() != expected.map(|CasVersion(version)| version) {
                return Err(CasError::Changed);
            }
            let next = held.as_ref().map_or(0, |(version, _)| version + 1);
            *held = Some((next, bytes));
            Ok(CasVersion(next.to_string()))
        };
        self.lost.call(swap, |class, message| CasError::Failed { class, message }).await
    }
}
