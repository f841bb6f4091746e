//! The one loop that retries the calls of ports, as [`route`] decides.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::errors::backoff::{Backoff, Budget, Jitter, RetrySettings};
use crate::errors::breaker::{Breaker, Outage};
use crate::errors::route::Terminal;
use crate::errors::{Class, Failure, History, Strategy, route};
use crate::flow::progress::Stage;
use crate::flow::run_stats::RunStats;
use crate::runtime::heartbeat::{BusyGuard, Heartbeat};

/// Longest wait before a retry. A longer one would endanger leases and drains.
const LONGEST: Duration = Duration::from_secs(60);

/// A brake that makes all calls of a stage wait after one of them was throttled.
#[derive(Debug, Default)]
pub(crate) struct Brake(Mutex<Option<Instant>>);

impl Brake {
    /// Makes every call of the stage wait until `wait` is over.
    pub(crate) fn pull(&self, wait: Duration) {
        let until = Instant::now() + wait.min(LONGEST);
        let mut brake = self.0.lock();
        *brake = Some(brake.map_or(until, |other| other.max(until)));
    }

    /// Waits until the brake is off.
    pub(crate) async fn wait(&self) {
        loop {
            let until = *self.0.lock();
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }
}

/// The reason why a call was given up, and what follows for its item.
#[derive(Clone, Debug)]
pub(crate) struct GaveUp {
    /// The last failure.
    pub(crate) failure: Failure,
    pub(crate) terminal: Terminal,
}

/// Retries the port calls of one stage.
#[derive(Clone)]
pub(crate) struct Retrier {
    settings: RetrySettings,
    jitter: Arc<Jitter>,
    budget: Arc<Budget>,
    brake: Arc<Brake>,
    breaker: Arc<Breaker>,
    heartbeat: Heartbeat,
    stats: RunStats,
    stage: Stage,
}

impl Retrier {
    pub(crate) fn new(
        settings: RetrySettings,
        jitter: Arc<Jitter>,
        heartbeat: Heartbeat,
        stats: RunStats,
        stage: Stage,
    ) -> Self {
        Self {
            settings,
            jitter,
            budget: Arc::new(Budget::new(&settings)),
            brake: Arc::default(),
            breaker: Arc::default(),
            heartbeat,
            stats,
            stage,
        }
    }

    /// Makes one call, with retries. Each attempt may take `limit`.
    pub(crate) async fn run<T, E, F>(&self, what: &str, limit: Duration, call: impl FnMut() -> F) -> Result<T, GaveUp>
    where
        E: Into<Failure>,
        F: Future<Output = Result<T, E>>,
    {
        self.attempts(what, limit, || Some(self.heartbeat.busy()), call).await
    }

    /// Makes one call as [`Self::run`] does, but without the watchdog, because the call may take longer than the
    /// watchdog allows.
    pub(crate) async fn run_long<T, E, F>(
        &self,
        what: &str,
        limit: Duration,
        call: impl FnMut() -> F,
    ) -> Result<T, GaveUp>
    where
        E: Into<Failure>,
        F: Future<Output = Result<T, E>>,
    {
        self.attempts(what, limit, || None, call).await
    }

    async fn attempts<T, E, F>(
        &self,
        what: &str,
        limit: Duration,
        busy: impl Fn() -> Option<BusyGuard>,
        mut call: impl FnMut() -> F,
    ) -> Result<T, GaveUp>
    where
        E: Into<Failure>,
        F: Future<Output = Result<T, E>>,
    {
        let mut rounds = self.rounds();
        loop {
            self.brake.wait().await;
            let attempt = {
                let _working = busy();
                timeout(limit, call()).await
            };
            let failure = match attempt {
                Ok(Ok(value)) => {
                    rounds.succeeded();
                    return Ok(value);
                }
                Ok(Err(error)) => error.into(),
                Err(_) => Failure::timeout(what, limit),
            };
            match rounds.failed(&failure) {
                Next::Wait(wait) => sleep(wait).await,
                Next::Braked => {}
                Next::GiveUp(terminal) => return Err(GaveUp { failure, terminal }),
            }
        }
    }

    /// Begins a series of attempts that the caller makes itself, as for a bulk in which each item has its own outcome.
    pub(crate) fn rounds(&self) -> Rounds<'_> {
        Rounds { retrier: self, backoff: Backoff::new(&self.settings), attempts: 0, failed: false }
    }

    /// Waits while the stage is throttled.
    pub(crate) async fn unbraked(&self) {
        self.brake.wait().await;
    }
}

/// The step that follows a failed attempt.
pub(crate) enum Next {
    /// Try again after this time.
    Wait(Duration),
    /// Try again when the stage's brake, which was pulled, is off.
    Braked,
    /// Do not try again, and end the work with this result.
    GiveUp(Terminal),
}

/// A series of attempts at one piece of work.
pub(crate) struct Rounds<'a> {
    retrier: &'a Retrier,
    backoff: Backoff,
    attempts: u32,
    /// The last attempt failed.
    failed: bool,
}

impl Rounds<'_> {
    /// Records that an attempt succeeded.
    pub(crate) fn succeeded(&mut self) {
        if std::mem::take(&mut self.failed) {
            self.retrier.stats.stage(self.retrier.stage, |s| s.recovered += 1);
        }
        self.retrier.breaker.close();
        self.retrier.budget.earn();
    }

    /// Records that an attempt failed, and decides what follows.
    pub(crate) fn failed(&mut self, failure: &Failure) -> Next {
        let next = self.decide(failure);
        // An item that is at fault itself was answered, so the call did not fail.
        if failure.class == Class::Poison {
            self.retrier.breaker.close();
            return next;
        }
        self.failed = true;
        let again = !matches!(next, Next::GiveUp(_));
        self.retrier.stats.stage(self.retrier.stage, |s| {
            s.errors += 1;
            s.retried += u64::from(again);
        });
        next
    }

    fn decide(&mut self, failure: &Failure) -> Next {
        let retrier = self.retrier;
        self.attempts += 1;
        let mut history = History {
            attempts: self.attempts,
            max_attempts: retrier.settings.attempts,
            budget: true,
            outage: match failure.class {
                Class::Transient => retrier.breaker.failed(retrier.settings.outage),
                _ => Outage::None,
            },
            ..History::default()
        };
        // The budget is spent only where a retry would follow.
        if route(failure.class, &history) == Strategy::Retry {
            history.budget = retrier.budget.spend();
        }
        match route(failure.class, &history) {
            Strategy::Retry => Next::Wait(self.backoff.next(&retrier.jitter)),
            Strategy::Await => {
                self.attempts -= 1;
                Next::Wait(self.backoff.next(&retrier.jitter))
            }
            Strategy::Brake(after) => {
                self.attempts -= 1;
                retrier.brake.pull(after.unwrap_or_else(|| self.backoff.next(&retrier.jitter)));
                Next::Braked
            }
            Strategy::Release => Next::GiveUp(Terminal::Release),
            Strategy::Reject => Next::GiveUp(Terminal::Reject),
            Strategy::Drop => Next::GiveUp(Terminal::Drop),
            Strategy::Leave(reason) => Next::GiveUp(Terminal::Leave(reason)),
            // Failures of devices and suspects do not concern the calls of a port.
            Strategy::Halve
            | Strategy::Rebuild
            | Strategy::SetAside
            | Strategy::Retire
            | Strategy::Isolate
            | Strategy::RunAlone
            | Strategy::Restart => Next::GiveUp(Terminal::Unexpected),
        }
    }
}
