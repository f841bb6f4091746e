//! The state that all fakes share: a seeded source of chance, a trace, and what went wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep};

use crate::domain::gallery::GalleryId;
use crate::domain::image::Locator;
use crate::sim::refusal::{RefusalAnswer, RefusedCall};
use crate::sim::scenario::Scenario;

/// The payload of panics that the simulation causes itself.
pub(crate) struct Injected;

/// What is left of an invariant that does not hold, in words.
pub(crate) type Violation = String;

struct State {
    rng: ChaCha8Rng,
    scenario: Scenario,
    /// Nothing goes wrong any more.
    calm: bool,
    /// `None` where nobody will read it: a schedule of thousands is only told when it failed.
    trace: Option<Vec<String>>,
    violations: Vec<Violation>,
    began: Instant,
    /// Whether a worker that lives keeps every lease; of the storm also when it is over.
    keeps_leases: bool,
    /// Workers whose calls all reach the queue, and who were never stopped.
    sound: BTreeSet<usize>,
    /// Images that an engine began with, repetitions included.
    analysed: u64,
}

/// Shared by all fakes.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    /// A world in which chance follows from `seed`; `told` keeps a trace.
    pub(crate) fn new(seed: u64, scenario: Scenario, told: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: ChaCha8Rng::seed_from_u64(seed),
            keeps_leases: scenario.keeps_leases(),
            scenario,
            calm: false,
            trace: told.then(Vec::new),
            violations: Vec::new(),
            began: Instant::now(),
            sound: BTreeSet::new(),
            analysed: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// What goes wrong now.
    pub(crate) fn scenario(&self) -> Scenario {
        self.lock().scenario.clone()
    }

    /// Looks at what goes wrong now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Scenario) -> T) -> T {
        look(&self.lock().scenario)
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        let mut state = self.lock();
        if !state.calm {
            state.calm = true;
            state.scenario = state.scenario.calmed();
            drop(state);
            self.note(|| String::from("the storm is over"));
        }
    }

    /// Whether nothing goes wrong any more.
    pub(crate) fn is_calm(&self) -> bool {
        self.lock().calm
    }

    /// Since the world began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.lock().began.elapsed()
    }

    /// Whether something of probability `of` happens.
    pub(crate) fn chance(&self, of: impl FnOnce(&Scenario) -> f64) -> bool {
        let mut state = self.lock();
        let probability = of(&state.scenario);
        probability > 0.0 && state.rng.random_bool(probability.min(1.0))
    }

    /// What a service answers instead of doing what it is asked.
    pub(super) fn refusal(&self, asked: RefusedCall) -> Option<RefusalAnswer> {
        let mut state = self.lock();
        let now = state.began.elapsed();
        let refusal = state.scenario.refusals.iter().find(|refusal| refusal.strikes(asked, now)).copied()?;
        let strikes = refusal.share >= 1.0 || state.rng.random_bool(refusal.share);
        strikes.then_some(refusal.answer)
    }

    /// The version of an image that its key has now.
    pub(super) fn version(&self, number: usize) -> u8 {
        let state = self.lock();
        state.scenario.version(number, state.began.elapsed())
    }

    /// When an image's key got the version that it has now.
    pub(super) fn modified_ms(&self, number: usize) -> Option<i64> {
        let state = self.lock();
        state.scenario.modified_ms(number, state.began.elapsed())
    }

    /// Uniform under `bound`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.lock().rng.random_range(0..bound.max(1))
    }

    /// Takes about `typical`; sometimes far longer.
    pub(crate) async fn latency(&self, typical: Duration) {
        let slow = self.chance(|s| s.slow);
        let part = self.lock().rng.random_range(0.5..1.5);
        sleep(if slow { Duration::from_secs(8) } else { typical.mul_f64(part) }).await;
    }

    /// A line for the trace.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let mut state = self.lock();
        let at = state.began.elapsed().as_secs_f64();
        if let Some(trace) = &mut state.trace {
            trace.push(format!("{at:9.3}s {}", line()));
        }
    }

    /// An invariant does not hold.
    pub(crate) fn violation(&self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION {what}"));
        self.lock().violations.push(what);
    }

    /// Everything that was noted.
    pub(crate) fn take(&self) -> (Vec<String>, Vec<Violation>) {
        let mut state = self.lock();
        let trace = state.trace.as_mut().map(std::mem::take).unwrap_or_default();
        (trace, std::mem::take(&mut state.violations))
    }

    /// Whether worker `number` lives, nothing has stopped it, and nothing lies between it and the queue.
    pub(super) fn keeps_leases(&self, number: usize) -> bool {
        let state = self.lock();
        state.keeps_leases && state.sound.contains(&number)
    }

    pub(super) fn set_sound(&self, number: usize, sound: bool) {
        let mut state = self.lock();
        if sound {
            state.sound.insert(number);
        } else {
            state.sound.remove(&number);
        }
    }

    pub(super) fn analysed(&self, images: usize) {
        self.lock().analysed += images as u64;
    }

    /// Images that an engine began with, repetitions included.
    pub(crate) fn total_analysed(&self) -> u64 {
        self.lock().analysed
    }
}

/// Where image `number` is.
pub(crate) fn locator(number: usize) -> Locator {
    let gallery = GalleryId(String::from(if number.is_multiple_of(3) { "even" } else { "odd" }));
    let key = format!("{gallery}/photo {number}");
    Locator { gallery, bucket: String::from("photos"), key }
}

/// Which image a locator means.
pub(crate) fn number(locator: &Locator) -> usize {
    locator.key.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}
