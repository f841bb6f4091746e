//! The machine of a simulated worker. It may be taken away or stop for a while at any call, and knows how its worker may exit.

use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::errors::Class;
use crate::flow::progress::Stage;
use crate::sim::refusal::{RefusalAnswer, RefusedCall};
use crate::sim::scenario::HostFault;
use crate::sim::world::{Injected, World};

/// How a machine is.
#[derive(Clone, Copy)]
enum HostState {
    Sound,
    /// SIGSTOP, or a hypervisor that looks elsewhere: its time stands still, the world's does not.
    Frozen(Duration),
    Dead,
}

struct State {
    plight: HostState,
    steps: u32,
    passes: [u32; Stage::ALL.len()],
    allowed: BTreeSet<u8>,
    fatal: bool,
    frozen: Duration,
    leaving: Option<Instant>,
}

/// A machine with one worker.
#[derive(Clone)]
pub(crate) struct Host {
    pub(super) world: World,
    /// Workers are counted from 0 in the order in which they start.
    pub(super) number: usize,
    state: Arc<Mutex<State>>,
    struck: Arc<Notify>,
    thawed: Arc<Notify>,
}

impl Host {
    /// The machine of worker `number`.
    pub(crate) fn new(world: &World, number: usize) -> Self {
        world.set_sound(number, true);
        let state = State {
            plight: HostState::Sound,
            steps: 0,
            passes: [0; Stage::ALL.len()],
            allowed: BTreeSet::new(),
            fatal: false,
            frozen: Duration::ZERO,
            leaving: None,
        };
        let state = Arc::new(Mutex::new(state));
        Self { world: world.clone(), number, state, struck: Arc::default(), thawed: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Every call of the world outside passes here before it has its effect, and again before its answer is heard. A machine
    /// that is struck here never goes on, or goes on later; nothing of what it does in between reaches the world.
    pub(crate) async fn step(&self) {
        {
            let mut state = self.lock();
            state.steps += 1;
            let steps = state.steps;
            let strike = self.world.look(|s| s.strike(self.number, steps));
            if let (Some(strike), HostState::Sound) = (strike, state.plight) {
                state.plight = match strike {
                    HostFault::Kill => HostState::Dead,
                    HostFault::Freeze(length) => HostState::Frozen(length),
                };
                drop(state);
                self.world.note(|| format!("worker {}: {strike:?} at step {steps}", self.number));
                self.world.set_sound(self.number, false);
                self.struck.notify_one();
            }
        }
        loop {
            let thawed = self.thawed.notified();
            let plight = self.lock().plight;
            match plight {
                HostState::Sound => return,
                HostState::Frozen(_) => thawed.await,
                HostState::Dead => pending().await,
            }
        }
    }

    /// Its worker's process dies here, between two steps.
    pub(super) fn die(&self, why: &str) {
        self.world.note(|| format!("worker {}: {why}", self.number));
        self.world.set_sound(self.number, false);
        self.lock().plight = HostState::Dead;
        self.struck.notify_one();
    }

    /// Runs a worker, with everything that it spawns; `None` when the machine is taken away.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let local = LocalSet::new();
        let running = local.run_until(work);
        tokio::pin!(running);
        let ended = loop {
            tokio::select! {
                biased;
                () = self.struck.notified() => {
                    let plight = self.lock().plight;
                    match plight {
                        HostState::Dead => break None,
                        // Not polled meanwhile: all its timers are late.
                        HostState::Frozen(length) => {
                            sleep(length).await;
                            self.lock().frozen += length;
                        }
                        HostState::Sound => {}
                    }
                    // Calls that took longer than they may look like a hang or an outage.
                    self.allow(81, false);
                    self.allow(83, false);
                    self.lock().plight = HostState::Sound;
                    self.thawed.notify_waiters();
                }
                ended = &mut running => break Some(ended),
            }
        };
        self.world.set_sound(self.number, false);
        ended
    }

    /// Its worker was told to drain.
    pub(super) fn leave(&self) {
        self.lock().leaving.get_or_insert_with(Instant::now);
    }

    /// Its worker asks a queue for messages. One that drains does not, and one that stood still may not know yet that it does.
    pub(super) fn asks(&self, queue: &str) {
        let state = self.lock();
        if state.frozen.is_zero() && state.leaving.is_some_and(|since| since < Instant::now()) {
            self.world.violation(format!("worker {} asks {queue} for more while it drains", self.number));
        }
    }

    /// How long it stood still.
    pub(super) fn frozen(&self) -> Duration {
        self.lock().frozen
    }

    /// Because of what just happened the worker may end with this exit code; with `fatal` it may not end with 0.
    pub(crate) fn allow(&self, code: u8, fatal: bool) {
        let mut state = self.lock();
        state.allowed.insert(code);
        state.fatal |= fatal;
    }

    /// Whether the worker may end with this code.
    pub(crate) fn allows(&self, code: u8) -> bool {
        let state = self.lock();
        if code == 0 { !state.fatal || self.world.is_calm() } else { state.allowed.contains(&code) }
    }

    /// What a service answers its worker instead of doing what it is asked; the worker may end for it.
    pub(super) fn refused(&self, asked: RefusedCall) -> Option<RefusalAnswer> {
        let answer = self.world.refusal(asked)?;
        match answer.class() {
            Class::Misconfigured(_) => self.allow(77, false),
            _ => self.allow(81, false),
        }
        self.world.note(|| format!("worker {}: {asked:?} is refused: {}", self.number, answer.code()));
        Some(answer)
    }

    /// An actor passes through a handler: does a panic strike?
    pub(crate) fn pass(&self, stage: Stage) {
        let mut state = self.lock();
        state.passes[stage as usize] += 1;
        let pass = state.passes[stage as usize];
        drop(state);
        if self.world.look(|s| s.panics_at(self.number, stage, pass)) {
            self.world.note(|| format!("worker {}: {} panics", self.number, stage.as_str()));
            // Unwinds without the panic hook: no noise.
            resume_unwind(Box::new(Injected));
        }
    }
}
