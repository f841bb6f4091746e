//! Credits bound the work in the pipeline, by count and by bytes of memory.
//!
//! Mailboxes cannot do that: `send().await` on a fresh address ignores their capacity. A credit is acquired before a
//! message is received, is resized when the true size is known, travels with the item, and returns itself when dropped.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug)]
struct State {
    count: i64,
    bytes: i64,
}

#[derive(Debug)]
struct Pool {
    state: Mutex<State>,
    returned: Notify,
    #[cfg_attr(
        not(any(test, feature = "sim")),
        expect(dead_code, reason = "only the simulation counts what came back")
    )]
    count: i64,
    bytes: i64,
}

/// Converts a size in bytes to a signed number. A size that does not fit becomes a value that counts as infinite.
fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 4)
}

/// The pool that credits come from and return to.
#[derive(Clone, Debug)]
pub(crate) struct Credits(Arc<Pool>);

impl Credits {
    /// Creates a pool for `count` items that together keep at most `bytes` bytes in memory.
    pub(crate) fn new(count: usize, bytes: usize) -> Self {
        let (count, bytes) = (signed(count.max(1)), signed(bytes.max(1)));
        Self(Arc::new(Pool { state: Mutex::new(State { count, bytes }), returned: Notify::new(), count, bytes }))
    }

    /// Waits for at least one credit of `bytes` estimated bytes, then takes up to `max`.
    pub(crate) async fn acquire(&self, max: usize, bytes: usize) -> Vec<Credit> {
        loop {
            // This registers before the check, so that a credit that returns in between is not missed.
            let returned = self.0.returned.notified();
            let credits = self.take(max, bytes);
            if !credits.is_empty() {
                return credits;
            }
            returned.await;
        }
    }

    /// Takes up to `max` credits if they are there now. A pool of which nothing is in use always gives one, however
    /// large the estimate is.
    fn take(&self, max: usize, bytes: usize) -> Vec<Credit> {
        // An estimate over the whole pool must not wait for ever.
        let bytes = signed(bytes).min(self.0.bytes);
        let mut state = self.0.state.lock();
        let mut credits = Vec::new();
        while credits.len() < max && state.count >= 1 && state.bytes >= bytes {
            state.count -= 1;
            state.bytes -= bytes;
            credits.push(Credit { pool: Arc::clone(&self.0), bytes });
        }
        credits
    }
}

/// Checks of the simulation.
#[cfg(any(test, feature = "sim"))]
impl Credits {
    /// Whether every credit has come back.
    pub(crate) fn all_returned(&self) -> bool {
        let state = self.0.state.lock();
        state.count == self.0.count && state.bytes == self.0.bytes
    }

    /// Returns the number of credits in use.
    pub(crate) fn in_use(&self) -> usize {
        let state = self.0.state.lock();
        usize::try_from(self.0.count - state.count).unwrap_or(0)
    }
}

/// The right to hold one item in the pipeline. Dropping it returns it to the pool.
#[derive(Debug)]
pub(crate) struct Credit {
    pool: Arc<Pool>,
    bytes: i64,
}

impl Credit {
    /// Sets the number of bytes that the item really keeps. This may overdraw the pool; then no new item is let in
    /// until enough bytes have come back.
    pub(crate) fn resize(&mut self, bytes: usize) {
        let bytes = signed(bytes);
        let mut state = self.pool.state.lock();
        state.bytes += self.bytes - bytes;
        self.bytes = bytes;
        drop(state);
        self.pool.returned.notify_one();
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        state.count += 1;
        state.bytes += self.bytes;
        drop(state);
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credits_are_bounded_by_count_and_by_bytes_and_return_when_dropped() {
        let credits = Credits::new(4, 100);
        assert_eq!(credits.take(10, 10).len(), 4, "by count; these are dropped at once");
        assert!(credits.all_returned());
        let held = credits.take(10, 40);
        assert_eq!((held.len(), credits.in_use()), (2, 2), "by bytes");
        drop(held);
        assert!(credits.all_returned());
    }

    #[test]
    fn a_larger_true_size_holds_back_the_next_item() {
        let credits = Credits::new(4, 100);
        let mut held = credits.take(1, 10);
        held[0].resize(500);
        assert!(credits.take(1, 10).is_empty());
        held[0].resize(20);
        assert_eq!(credits.take(1, 10).len(), 1);
        drop(held);
        assert!(credits.all_returned());
    }

    #[test]
    fn an_estimate_over_the_whole_pool_still_gets_one() {
        let credits = Credits::new(4, 100);
        assert_eq!(credits.take(4, 1_000).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_gets_the_credit_that_comes_back() {
        let credits = Credits::new(1, 100);
        let held = credits.acquire(1, 10).await;
        let waiter = tokio::spawn({
            let credits = credits.clone();
            async move { credits.acquire(5, 10).await.len() }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert_eq!(waiter.await.unwrap_or(0), 1);
    }
}
