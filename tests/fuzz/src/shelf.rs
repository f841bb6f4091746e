//! A shared value in memory, and an end for what never waits.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use muster_actors::ports::cas_object::{CasError, CasObject, CasValue, CasVersion};

/// How often it was written, and what last.
pub struct Shelf(Mutex<(u64, Vec<u8>)>);

impl Shelf {
    /// With these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Mutex::new((0, bytes.to_vec())))
    }

    /// How often it was written, and what last.
    pub fn held(&self) -> (u64, Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl CasObject for Shelf {
    async fn read(&self) -> Result<Option<CasValue>, CasError> {
        let (version, bytes) = self.held();
        Ok(Some(CasValue { bytes, version: CasVersion(version.to_string()) }))
    }

    async fn swap(&self, expected: Option<&CasVersion>, bytes: Vec<u8>) -> Result<CasVersion, CasError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if expected.is_none_or(|version| version.0 != held.0.to_string()) {
            return Err(CasError::Changed);
        }
        *held = (held.0 + 1, bytes);
        Ok(CasVersion(held.0.to_string()))
    }
}

/// What a future comes to that is ready at once.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}
