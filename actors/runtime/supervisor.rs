//! The supervisor: it starts its children, restarts those that crash, watches for hangs, and drains them in the order
//! of their phases. It tells the run about these events through [`RunHooks`].

use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::domain::exit::Exit;
use crate::runtime::child::{Child, Life, Phase};
use crate::runtime::drain::{Budget, Drain, Mode};
use crate::runtime::exit_guard::ActorExit;
use crate::runtime::hooks::{RunHooks, SupervisorSettings};
use crate::runtime::restart::{Decision, decide};
use crate::runtime::shutdown::Shutdown;
use crate::runtime::supervisor_ref::{AllDone, Exited, Fault, SupervisorRef};

struct Draining {
    mode: Mode,
    budget: Budget,
    /// Last phase whose children were told to end.
    phase: Phase,
    /// Whether the stages' time is over, so that nothing is started again.
    cut: bool,
}

/// The root of the tree of actors.
pub(crate) struct Supervisor {
    settings: SupervisorSettings,
    hooks: Box<dyn RunHooks>,
    children: Vec<Child>,
    itself: SupervisorRef,
    draining: Option<Draining>,
    exit: Option<Exit>,
    done: Option<oneshot::Sender<Exit>>,
}

impl Supervisor {
    /// Creates a supervisor that starts `children` when it is started itself, and sends the exit of the run to `done`.
    pub(crate) fn new(
        settings: SupervisorSettings,
        hooks: Box<dyn RunHooks>,
        children: Vec<Child>,
        done: oneshot::Sender<Exit>,
    ) -> Self {
        let itself = SupervisorRef::default();
        Self { settings, hooks, children, itself, draining: None, exit: None, done: Some(done) }
    }

    fn start(&mut self, index: usize) {
        let Some(child) = self.children.get_mut(index).filter(|child| child.life == Life::Awaited) else { return };
        child.life = Life::Running;
        child.handle.start(self.itself.clone(), index, child.heartbeat.clone());
        if let Some(draining) = &self.draining
            && child.phase <= draining.phase
        {
            child.handle.shut_down(Shutdown(draining.mode));
        }
    }

    fn end(&mut self, index: usize) {
        let Some(child) = self.children.get_mut(index) else { return };
        child.life = Life::Ended;
        child.handle.close();
    }

    fn crashed(&mut self, index: usize, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let intensity = self.settings.intensity;
        let cut = self.draining.as_ref().is_some_and(|d| d.cut);
        let Some(child) = self.children.get_mut(index) else { return };
        let name = child.name.clone();
        if cut {
            self.end(index);
            return;
        }
        child.deaths.push_back(now);
        child.deaths.retain(|death| now - *death < intensity.within);
        match decide(child.deaths.iter().map(|death| now - *death), &intensity) {
            Decision::Restart(wait) => {
                tracing::warn!(child = %name, ?wait, "supervisor.restart");
                child.life = Life::Awaited;
                self.hooks.restarting(&name);
                ctx.run_later(wait, move |supervisor, _| supervisor.start(index));
            }
            Decision::GiveUp => {
                self.end(index);
                let exit = Exit::Bug(format!("{name} died {} times in {:?}", intensity.max + 1, intensity.within));
                self.fault(exit, ctx);
            }
        }
    }

    /// Ends the run because of a fault. The first fault sets the exit of the run, and replaces the exit of a drain.
    fn fault(&mut self, exit: Exit, ctx: &mut Context<Self>) {
        // Later faults say the same or follow from the first one.
        if matches!(self.exit, None | Some(Exit::Drained | Exit::HandedBack)) {
            tracing::error!(%exit, "supervisor.fault");
            self.exit = Some(exit);
        }
        let drain = Drain::hand_back(self.settings.drain_deadline);
        self.begin(drain, ctx);
    }

    fn begin(&mut self, drain: Drain, ctx: &mut Context<Self>) {
        let mut budget = Budget::new(Instant::now(), drain.deadline);
        let (mut mode, mut phase, mut cut) = (drain.mode, self.first_phase(), false);
        if let Some(before) = &self.draining {
            budget = budget.tighten(before.budget);
            phase = before.phase;
            cut = before.cut;
            if before.mode == Mode::HandBack {
                mode = Mode::HandBack;
            }
        }
        if mode == Mode::HandBack {
            self.hooks.hand_back(self.exit.as_ref());
            phase = phase.max(self.settings.together);
        }
        match (&self.exit, mode) {
            (None, Mode::Finish) => self.exit = Some(Exit::Drained),
            (None | Some(Exit::Drained), Mode::HandBack) => self.exit = Some(Exit::HandedBack),
            (Some(_), _) => {}
        }
        tracing::info!(?mode, deadline = ?drain.deadline, "supervisor.drain");
        self.draining = Some(Draining { mode, budget, phase, cut });
        self.tell(self.first_phase(), phase);
        let now = Instant::now();
        ctx.run_later(budget.stages.saturating_duration_since(now), Self::cut);
        ctx.run_later(budget.all.saturating_duration_since(now), Self::over);
        self.advance(ctx);
    }

    fn first_phase(&self) -> Phase {
        self.children.iter().map(|child| child.phase).min().unwrap_or(Phase(0))
    }

    /// Tells the children from one phase to another to end.
    fn tell(&self, from: Phase, to: Phase) {
        let Some(draining) = &self.draining else { return };
        for child in self.children.iter().filter(|child| (from..=to).contains(&child.phase)) {
            child.handle.shut_down(Shutdown(draining.mode));
        }
    }

    /// Goes on to the next phase when all children up to the present one have ended.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        loop {
            let Some(draining) = &mut self.draining else { return };
            let phase = draining.phase;
            if self.children.iter().any(|child| child.phase <= phase && child.life != Life::Ended) {
                return;
            }
            let Some(next) = self.children.iter().map(|child| child.phase).filter(|other| *other > phase).min() else {
                self.finish(ctx);
                return;
            };
            draining.phase = next;
            self.tell(next, next);
        }
    }

    /// Names the stragglers and stops them because the stages' time is over; children that settle leases go on.
    fn cut(&mut self, ctx: &mut Context<Self>) {
        let Some(draining) = &mut self.draining else { return };
        if draining.cut || draining.budget.stages > Instant::now() {
            return;
        }
        draining.cut = true;
        self.hooks.hand_back(self.exit.as_ref());
        let mut late = Vec::new();
        for index in 0..self.children.len() {
            let child = &self.children[index];
            if child.phase == self.settings.settles || child.life == Life::Ended {
                continue;
            }
            late.push(child.name.clone());
            if child.life == Life::Running {
                child.handle.abort();
            } else {
                self.end(index);
            }
        }
        if !late.is_empty() {
            tracing::warn!(stragglers = ?late, "supervisor.cut");
            self.hooks.stragglers(late);
            if self.exit == Some(Exit::Drained) {
                self.exit = Some(Exit::HandedBack);
            }
        }
        self.advance(ctx);
    }

    /// Aborts all children because all time is over.
    fn over(&mut self, ctx: &mut Context<Self>) {
        if self.draining.as_ref().is_some_and(|d| d.budget.all <= Instant::now()) && self.done.is_some() {
            for child in self.children.iter().filter(|child| child.life == Life::Running) {
                child.handle.abort();
            }
            let late = self.children.iter().filter(|child| child.life != Life::Ended).map(|child| child.name.clone());
            self.hooks.stragglers(late.collect());
            // The aborts get a turn to be handled, so that what they drop is counted.
            ctx.run_later(Duration::ZERO, Self::finish);
        }
    }

    fn finish(&mut self, ctx: &mut Context<Self>) {
        let Some(done) = self.done.take() else { return };
        for index in 0..self.children.len() {
            self.end(index);
        }
        let abandoned = self.hooks.abandon();
        let mut exit = self.exit.take().unwrap_or(Exit::Drained);
        if abandoned > 0 {
            tracing::warn!(abandoned, "supervisor.abandon");
            if exit == Exit::Drained {
                exit = Exit::HandedBack;
            }
        }
        exit = self.hooks.exit(exit);
        self.hooks.publish();
        // The receiver is gone when nobody waits for the end.
        let _ = done.send(exit);
        self.itself.0.close();
        ctx.stop();
    }

    fn watch(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let limit = self.settings.watchdog;
        let hung = |child: &&Child| {
            child.life == Life::Running && child.heartbeat.oldest().is_some_and(|begun| now - begun > limit)
        };
        if self.draining.is_none()
            && let Some(child) = self.children.iter().find(hung)
        {
            let exit = Exit::Hang(format!("{} made no progress for {limit:?}", child.name));
            child.handle.abort();
            self.fault(exit, ctx);
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.itself.0.open(ctx.address());
        for index in 0..self.children.len() {
            self.start(index);
        }
        ctx.run_interval(self.settings.publish_every, |supervisor, _| supervisor.hooks.publish());
        ctx.run_interval((self.settings.watchdog / 10).max(Duration::from_millis(1)), Self::watch);
    }
}

impl Handler<Exited> for Supervisor {
    type Result = ();

    fn handle(&mut self, exited: Exited, ctx: &mut Self::Context) {
        match exited.ending {
            ActorExit::Retired => self.end(exited.child),
            ActorExit::Drained if self.draining.is_some() => self.end(exited.child),
            ActorExit::Drained | ActorExit::Crashed => self.crashed(exited.child, ctx),
        }
        self.advance(ctx);
    }
}

impl Handler<Fault> for Supervisor {
    type Result = ();

    fn handle(&mut self, Fault(exit): Fault, ctx: &mut Self::Context) {
        self.fault(exit, ctx);
    }
}

impl Handler<AllDone> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: AllDone, ctx: &mut Self::Context) {
        if self.draining.is_none() {
            self.begin(Drain::finish(self.settings.finish_deadline), ctx);
        }
    }
}

impl Handler<Drain> for Supervisor {
    type Result = ();

    fn handle(&mut self, drain: Drain, ctx: &mut Self::Context) {
        self.begin(drain, ctx);
    }
}
