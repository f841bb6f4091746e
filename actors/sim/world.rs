//! The state that all fakes share: a seeded source of chance, a trace, and what went wrong.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep};

use crate::gallery::GalleryId;
use crate::image::Locator;
use crate::progress::Stage;
use crate::sim::scenario::Scenario;

/// The payload of panics that the simulation causes itself.
pub struct Injected;

/// What is left of an invariant that does not hold, in words.
pub type Violation = String;

struct State {
    rng: ChaCha8Rng,
    scenario: Scenario,
    passes: [u32; Stage::ALL.len()],
    trace: Vec<String>,
    violations: Vec<Violation>,
    allowed: BTreeSet<u8>,
    fatal: bool,
    began: Instant,
}

/// Shared by all fakes.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

impl World {
    /// A world in which chance follows from `seed`.
    pub fn new(seed: u64, scenario: Scenario) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: ChaCha8Rng::seed_from_u64(seed),
            scenario,
            passes: [0; Stage::ALL.len()],
            trace: Vec::new(),
            violations: Vec::new(),
            allowed: BTreeSet::new(),
            fatal: false,
            began: Instant::now(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong now.
    pub fn scenario(&self) -> Scenario {
        self.lock().scenario.clone()
    }

    /// Looks at what goes wrong now.
    pub fn look<T>(&self, look: impl FnOnce(&Scenario) -> T) -> T {
        look(&self.lock().scenario)
    }

    /// A new worker begins; from now on this goes wrong.
    pub fn begin(&self, scenario: Scenario) {
        let mut state = self.lock();
        state.scenario = scenario;
        state.passes = [0; Stage::ALL.len()];
        state.allowed.clear();
        state.fatal = false;
        state.began = Instant::now();
    }

    /// Since this worker began.
    pub fn elapsed(&self) -> Duration {
        self.lock().began.elapsed()
    }

    /// Whether something of probability `of` happens.
    pub fn chance(&self, of: impl FnOnce(&Scenario) -> f64) -> bool {
        let mut state = self.lock();
        let probability = of(&state.scenario);
        probability > 0.0 && state.rng.random_bool(probability.min(1.0))
    }

    /// Uniform under `bound`.
    pub fn below(&self, bound: usize) -> usize {
        self.lock().rng.random_range(0..bound.max(1))
    }

    /// Takes about `typical`; sometimes far longer.
    pub async fn latency(&self, typical: Duration) {
        let slow = self.chance(|s| s.slow);
        let part = self.lock().rng.random_range(0.5..1.5);
        sleep(if slow { Duration::from_secs(8) } else { typical.mul_f64(part) }).await;
    }

    /// A line for the trace.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let mut state = self.lock();
        let at = state.began.elapsed().as_secs_f64();
        let line = format!("{at:9.3}s {}", line());
        state.trace.push(line);
    }

    /// An invariant does not hold.
    pub fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION {what}"));
        self.lock().violations.push(what);
    }

    /// Because of what just happened the run may end with this exit code; with `fatal` it may not end with 0.
    pub fn allow(&self, code: u8, fatal: bool) {
        let mut state = self.lock();
        state.allowed.insert(code);
        state.fatal |= fatal;
    }

    /// Whether the run may end with this code.
    pub fn allows(&self, code: u8) -> bool {
        let state = self.lock();
        if code == 0 { !state.fatal } else { state.allowed.contains(&code) }
    }

    /// Everything that was noted.
    pub fn take(&self) -> (Vec<String>, Vec<Violation>) {
        let mut state = self.lock();
        (std::mem::take(&mut state.trace), std::mem::take(&mut state.violations))
    }

    /// An actor passes through a handler: does a panic strike?
    pub fn pass(&self, stage: Stage) {
        let mut state = self.lock();
        state.passes[stage as usize] += 1;
        let pass = state.passes[stage as usize];
        let strikes = state.scenario.panics.get(&stage).is_some_and(|at| at.contains(&pass));
        drop(state);
        if strikes {
            self.note(|| format!("{} panics", stage.as_str()));
            // Unwinds without the panic hook: no noise.
            resume_unwind(Box::new(Injected));
        }
    }
}

/// Where image `number` is.
pub fn locator(number: usize) -> Locator {
    let gallery = GalleryId(String::from(if number.is_multiple_of(3) { "even" } else { "odd" }));
    Locator { gallery, bucket: String::from("photos"), key: number.to_string() }
}

/// Which image a locator means.
pub fn number(locator: &Locator) -> usize {
    locator.key.parse().unwrap_or(usize::MAX)
}
