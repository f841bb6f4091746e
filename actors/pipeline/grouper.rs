//! Groups the faces of galleries that changed. A wake-up carries no data, so a lost or repeated one is harmless.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};
use parking_lot::Mutex;
use tracing::Instrument;

use crate::domain::exit::Exit;
use crate::domain::gallery::GalleryId;
use crate::errors::route::{Leave, Strategy};
use crate::flow::credit::Credit;
use crate::flow::lease::Lease;
use crate::flow::progress::Stage;
use crate::flow::retry::Retrier;
use crate::flow::run_stats::Done;
use crate::pipeline::context::{Crew, Leaving, Post, abortable};
use crate::pipeline::settings::{Reads, Wake};
use crate::ports::faces::FacesError;
use crate::runtime::drain::Mode;
use crate::runtime::heartbeat::Heart;

/// From the Writer: results of this gallery are in the store.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct FacesWritten(pub(crate) GalleryId);

/// From the Fetcher: a message asks for this gallery. The lease ends when the gallery is grouped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Asked {
    pub(crate) gallery: GalleryId,
    pub(crate) lease: Lease,
    pub(crate) credit: Credit,
    /// Trace header, where the sender set one.
    pub(crate) trace: Option<String>,
}

impl Asked {
    /// The gallery is grouped.
    fn ack(self) {
        self.lease.ack(Done::Gallery);
        drop(self.credit);
    }

    /// Somebody else may group it.
    fn release(self, delay: Duration) {
        self.lease.release(delay);
        drop(self.credit);
    }
}

/// Galleries that must be reconciled. Outlives the Grouper: a crash forgets none.
#[derive(Clone, Debug)]
pub(crate) struct Dirty(Arc<Mutex<BTreeSet<GalleryId>>>);

impl Dirty {
    pub(crate) fn new(always: &[GalleryId]) -> Self {
        Self(Arc::new(Mutex::new(always.iter().cloned().collect())))
    }

    /// The gallery changed.
    pub(crate) fn mark(&self, gallery: &GalleryId) {
        let mut dirty = self.0.lock();
        if !dirty.contains(gallery) {
            dirty.insert(gallery.clone());
        }
    }

    fn clear(&self, gallery: &GalleryId) {
        self.0.lock().remove(gallery);
    }

    fn first(&self) -> Option<GalleryId> {
        self.0.lock().first().cloned()
    }
}

/// The actor that groups.
pub(crate) struct Grouper {
    post: Post,
    retrier: Retrier,
    alarm: Option<SpawnHandle>,
    /// Messages that wait for their gallery: many may ask for one, and one grouping answers them all.
    asked: BTreeMap<GalleryId, Vec<Asked>>,
    running: bool,
    failed: bool,
}

/// Why a gallery could not be reconciled.
enum Trouble {
    /// The store failed; may be tried again later.
    Later(String),
    /// The run must end.
    Leave(Exit),
    Fault(Leave, String),
}

/// Reads a gallery, groups it, saves it; reads again when it changed meanwhile.
async fn reconcile_gallery(crew: Arc<Crew>, retrier: Retrier, heart: Heart, gallery: GalleryId) -> Result<(), Trouble> {
    let limit = crew.settings.timeouts.store;
    let give_up = |gave_up: crate::flow::retry::GaveUp| match gave_up.strategy {
        Strategy::Leave(leave) => Trouble::Fault(leave, gave_up.failure.message),
        _ => Trouble::Later(gave_up.failure.message),
    };
    for _ in 0..=crew.settings.grouper.conflicts {
        let working = crew.ledger.begin(Stage::Grouper, 1);
        let snapshot = retrier.run("gallery", limit, || crew.ports.faces.gallery(&gallery)).await.map_err(give_up)?;
        let generation = snapshot.generation;
        let Some(function) = crew.ports.reconcile.clone() else { return Ok(()) };
        // Not under the watchdog: the time it takes depends on the gallery.
        let of = gallery.clone();
        let reconciled = match crew.settings.blocking.run(move || function(&of, snapshot)).await {
            Ok(Ok(reconciled)) => reconciled,
            Ok(Err(error)) => return Err(Trouble::Leave(Exit::Bug(format!("grouper: {error}")))),
            Err(panicked) => return Err(Trouble::Leave(Exit::Bug(format!("grouper: {panicked}")))),
        };
        // A conflict is an answer, not a failure: it is not retried here.
        let saved = retrier
            .run("save", limit, || {
                let busy = heart.busy();
                let save = crew.ports.faces.save(&gallery, generation, &reconciled);
                async move {
                    let _busy = busy;
                    match save.await {
                        Ok(()) => Ok(true),
                        Err(FacesError::Conflict) => Ok(false),
                        Err(error) => Err(error),
                    }
                }
            })
            .await
            .map_err(give_up)?;
        if saved {
            working.done(0);
            crew.ledger.note(|p| p.reconciliations += 1);
            return Ok(());
        }
        working.failed();
        tracing::debug!("grouper.conflict");
    }
    Err(Trouble::Later(String::from("the gallery changed again and again")))
}

impl Grouper {
    pub(crate) fn new(post: Post) -> Self {
        let retrier = post.retrier(Stage::Grouper);
        Self { post, retrier, alarm: None, asked: BTreeMap::new(), running: false, failed: false }
    }

    /// Reconciles the next gallery that changed.
    fn next(&mut self, ctx: &mut Context<Self>) {
        if self.running {
            return;
        }
        let Some(gallery) = self.post.crew.dirty.first().filter(|_| !self.failed) else {
            self.leave_if_idle(ctx);
            return;
        };
        self.running = true;
        // Cleared before the read: what is written from now on marks it again.
        self.post.crew.dirty.clear(&gallery);
        let mark = Remark { crew: Arc::clone(&self.post.crew), gallery: Some(gallery.clone()) };
        let (crew, retrier, heart) = (Arc::clone(&self.post.crew), self.retrier.clone(), self.post.heart.clone());
        // Whoever asks from now on waits for the next round.
        let answered = self.asked.remove(&gallery).unwrap_or_default();
        let span = tracing::debug_span!(parent: None, "grouper.reconcile", %gallery);
        if let Some(header) = answered.iter().find_map(|asked| asked.trace.as_deref()) {
            (crew.settings.adopt)(&span, header);
        }
        let done = reconcile_gallery(crew, retrier, heart, gallery).instrument(span);
        ctx.spawn(done.into_actor(self).map(move |done, grouper, ctx| {
            grouper.running = false;
            match done {
                Ok(()) => {
                    mark.done();
                    answered.into_iter().for_each(Asked::ack);
                }
                // Messages stay ours: given back, they count as received once more, and a gallery that others write to all the time
                // would be given up.
                Err(Trouble::Later(message)) if grouper.post.leaving.is_none() && !answered.is_empty() => {
                    tracing::warn!(message, "grouper.later");
                    mark.done();
                    let delay = grouper.post.crew.release_delay();
                    ctx.run_later(delay, |grouper, ctx| answered.into_iter().for_each(|asked| grouper.ask(asked, ctx)));
                }
                Err(trouble) => {
                    // A gallery that a message asked for is its next receiver's; a gallery of ours stays marked.
                    if answered.is_empty() {
                        drop(mark);
                    } else {
                        mark.done();
                        let delay = grouper.post.crew.release_delay();
                        answered.into_iter().for_each(|asked| asked.release(delay));
                    }
                    grouper.failed(trouble, ctx);
                }
            }
            grouper.go_on(ctx);
        }));
    }

    /// The gallery is to be grouped for a message.
    fn ask(&mut self, asked: Asked, ctx: &mut Context<Self>) {
        self.post.crew.dirty.mark(&asked.gallery);
        self.asked.entry(asked.gallery.clone()).or_default().push(asked);
        self.next(ctx);
    }

    /// After a reconciliation: at once when leaving, else when the next wake-up is due.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.post.leaving.is_some() || !self.asked.is_empty() {
            self.next(ctx);
        } else if self.post.crew.dirty.first().is_some() {
            self.wake(ctx);
        }
    }

    fn failed(&mut self, trouble: Trouble, ctx: &mut Context<Self>) {
        let crew = &self.post.crew;
        match trouble {
            Trouble::Later(message) if self.post.leaving.is_none() => {
                tracing::warn!(message, "grouper.later");
                self.wake(ctx);
            }
            // The message goes back to the queue, which is the next chance.
            Trouble::Later(message) if self.post.crew.settings.fetcher.reads == Reads::Galleries => {
                tracing::warn!(message, "grouper.release");
            }
            // The last chance is gone: the groups are older than the faces, and the exit says so.
            Trouble::Later(message) => {
                self.failed = true;
                crew.leave(Leave::DependencyDown, Stage::Grouper, &message);
            }
            Trouble::Leave(exit) => {
                self.failed = true;
                crew.fault(exit);
            }
            Trouble::Fault(leave, message) => {
                self.failed = true;
                crew.leave(leave, Stage::Grouper, &message);
            }
        }
    }

    fn wake(&mut self, ctx: &mut Context<Self>) {
        if let (Wake::Debounced(wait), None) = (self.post.crew.settings.grouper.wake, self.alarm) {
            self.alarm = Some(ctx.run_later(wait, |grouper, ctx| {
                grouper.alarm = None;
                grouper.next(ctx);
            }));
        }
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        match self.post.leaving {
            Some(Mode::Finish) if self.failed || (!self.running && self.post.crew.dirty.first().is_none()) => {
                self.post.stop(ctx);
            }
            // The next worker wakes its own Grouper.
            Some(Mode::HandBack) => self.post.stop(ctx),
            Some(Mode::Finish) | None => {}
        }
    }
}

/// Marks the gallery again unless its reconciliation was done: also when the actor dies.
struct Remark {
    crew: Arc<Crew>,
    gallery: Option<GalleryId>,
}

impl Remark {
    fn done(mut self) {
        self.gallery = None;
    }
}

impl Drop for Remark {
    fn drop(&mut self) {
        if let Some(gallery) = &self.gallery {
            self.crew.dirty.mark(gallery);
        }
    }
}

impl Actor for Grouper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // A Grouper that follows a dead one finds what that one left.
        self.go_on(ctx);
    }
}

impl Handler<FacesWritten> for Grouper {
    type Result = ();

    fn handle(&mut self, FacesWritten(gallery): FacesWritten, ctx: &mut Self::Context) {
        self.post.crew.settings.probe.pass(Stage::Grouper);
        tracing::trace!(%gallery, "grouper.wake");
        self.wake(ctx);
    }
}

impl Handler<Asked> for Grouper {
    type Result = ();

    fn handle(&mut self, asked: Asked, ctx: &mut Self::Context) {
        self.post.crew.settings.probe.pass(Stage::Grouper);
        self.ask(asked, ctx);
    }
}

impl Handler<Leaving> for Grouper {
    type Result = ();

    fn handle(&mut self, Leaving(mode): Leaving, ctx: &mut Self::Context) {
        self.post.leaving = Some(mode);
        if mode == Mode::Finish {
            self.next(ctx);
        }
        self.leave_if_idle(ctx);
    }
}

abortable!(Grouper);
