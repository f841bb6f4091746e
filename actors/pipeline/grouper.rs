//! The Grouper: it groups the faces of galleries that changed. A wake-up carries no data, so a lost or repeated one is
//! harmless.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle, WrapFuture};
use tracing::Instrument;

use crate::domain::exit::Exit;
use crate::domain::gallery::GalleryId;
use crate::errors::route::{FatalReason, Terminal};
use crate::flow::credit::Credit;
use crate::flow::lease::Lease;
use crate::flow::retry::GaveUp;
use crate::flow::run_stats::Done;
use crate::pipeline::context::{ActorBase, StageTools};
use crate::pipeline::settings::{Reads, Wake};
use crate::ports::faces::FacesError;
use crate::runtime::drain::Mode;
use crate::runtime::shutdown::{Shutdown, abortable};

/// The Writer's message that results of this gallery are in the store.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct FacesWritten(pub(crate) GalleryId);

/// The Fetcher's message that somebody asks for the grouping of this gallery. The lease ends when the gallery is
/// grouped.
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
    /// Acknowledges the message because the gallery is grouped.
    fn ack(self) {
        self.lease.ack(Done::Gallery);
        drop(self.credit);
    }

    /// Gives the message back, so that another worker may group the gallery.
    fn release(self, delay: Duration) {
        self.lease.release(delay);
        drop(self.credit);
    }
}

/// The actor that groups galleries.
pub(crate) struct Grouper {
    base: ActorBase,
    alarm: Option<SpawnHandle>,
    /// Messages that wait for their gallery. One grouping answers all messages for the same gallery.
    asked: BTreeMap<GalleryId, Vec<Asked>>,
    running: bool,
    failed: bool,
}

/// The reason why a gallery could not be reconciled.
enum Trouble {
    /// The store failed; another attempt may succeed.
    Later(String),
    /// The run must end because of a bug.
    Bug(String),
    /// The run must end, because of the store.
    Fatal(FatalReason, String),
}

/// Publishes the groups of a gallery, after grouping it unless its groups are up to date.
async fn reconcile_gallery(tools: StageTools, gallery: GalleryId) -> Result<(), Trouble> {
    let StageTools { context, retrier, .. } = &tools;
    let (faces, timeouts) = (&context.ports.faces, context.settings.timeouts);
    if !retrier.run("grouped", timeouts.store, || faces.is_grouped(&gallery)).await.map_err(give_up)? {
        group_and_save(&tools, &gallery).await?;
    }
    retrier.run_long("publish", timeouts.gallery, || faces.publish(&gallery)).await.map_err(give_up)
}

fn give_up(GaveUp { failure, terminal }: GaveUp) -> Trouble {
    match terminal {
        Terminal::Leave(reason) => Trouble::Fatal(reason, failure.message),
        Terminal::Release | Terminal::Reject | Terminal::Drop | Terminal::Unexpected => Trouble::Later(failure.message),
    }
}

/// Reads a gallery, groups it and saves the groups; it begins again when the gallery changed meanwhile.
async fn group_and_save(tools: &StageTools, gallery: &GalleryId) -> Result<(), Trouble> {
    let StageTools { context, retrier, .. } = tools;
    let limit = context.settings.timeouts.gallery;
    for _ in 0..=context.settings.grouper.conflicts {
        let timer = tools.timer(1);
        let snapshot =
            retrier.run_long("gallery", limit, || context.ports.faces.gallery(gallery)).await.map_err(give_up)?;
        let read = snapshot.version;
        let Some(function) = context.ports.reconcile.clone() else { return Ok(()) };
        // The watchdog does not watch this, because the time depends on the gallery's size.
        let of = gallery.clone();
        let reconciled = match context.settings.blocking.run(move || function(&of, snapshot)).await {
            Ok(Ok(reconciled)) => reconciled,
            Ok(Err(error)) => return Err(Trouble::Bug(format!("grouper: {error}"))),
            Err(panicked) => return Err(Trouble::Bug(format!("grouper: {panicked}"))),
        };
        // A conflict is an answer of the store, not a failure, so it is not retried here.
        let saved = retrier
            .run_long("save", limit, || async {
                match context.ports.faces.save(gallery, read, &reconciled).await {
                    Ok(()) => Ok(true),
                    Err(FacesError::Conflict) => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await
            .map_err(give_up)?;
        if saved {
            timer.done(0);
            context.stats.note(|p| p.reconciliations += 1);
            return Ok(());
        }
        timer.failed();
        tracing::debug!("grouper.conflict");
    }
    Err(Trouble::Later(String::from("the gallery changed again and again")))
}

impl Grouper {
    pub(crate) fn new(base: ActorBase) -> Self {
        Self { base, alarm: None, asked: BTreeMap::new(), running: false, failed: false }
    }

    /// Reconciles the gallery that was marked first.
    fn next(&mut self, ctx: &mut Context<Self>) {
        if self.running {
            return;
        }
        let Some(gallery) = self.base.context().dirty.first().filter(|_| !self.failed) else {
            self.leave_if_idle(ctx);
            return;
        };
        self.running = true;
        // The mark is cleared before the read, so that a write from now on marks the gallery again.
        let mark = self.base.context().dirty.take(gallery.clone());
        // Messages that arrive from now on wait for the next grouping.
        let answered = self.asked.remove(&gallery).unwrap_or_default();
        let span = tracing::debug_span!(parent: None, "grouper.reconcile", %gallery);
        if let Some(header) = answered.iter().find_map(|asked| asked.trace.as_deref()) {
            (self.base.context().settings.adopt)(&span, header);
        }
        let done = reconcile_gallery(self.base.tools.clone(), gallery).instrument(span);
        ctx.spawn(done.into_actor(self).map(move |done, grouper, ctx| {
            grouper.running = false;
            match done {
                Ok(()) => {
                    mark.done();
                    answered.into_iter().for_each(Asked::ack);
                }
                // The messages are not given back: each receive counts, and a gallery that changes all the time would
                // be rejected.
                Err(Trouble::Later(message)) if grouper.base.shutdown.is_none() && !answered.is_empty() => {
                    tracing::warn!(message, "grouper.later");
                    mark.done();
                    let delay = grouper.base.context().release_delay();
                    ctx.run_later(delay, |grouper, ctx| answered.into_iter().for_each(|asked| grouper.ask(asked, ctx)));
                }
                Err(trouble) => {
                    // A gallery that a message asked for is left to the message's next receiver; other galleries stay
                    // marked.
                    if answered.is_empty() {
                        drop(mark);
                    } else {
                        mark.done();
                        let delay = grouper.base.context().release_delay();
                        answered.into_iter().for_each(|asked| asked.release(delay));
                    }
                    grouper.failed(trouble, ctx);
                }
            }
            grouper.go_on(ctx);
        }));
    }

    /// Marks the gallery of a message, and groups it soon.
    fn ask(&mut self, asked: Asked, ctx: &mut Context<Self>) {
        self.base.context().dirty.mark(&asked.gallery);
        self.asked.entry(asked.gallery.clone()).or_default().push(asked);
        self.next(ctx);
    }

    /// Goes on after a reconciliation: at once in a drain or if messages wait, otherwise when the next wake-up is due.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.base.shutdown.is_some() || !self.asked.is_empty() {
            self.next(ctx);
        } else if self.base.context().dirty.first().is_some() {
            self.wake(ctx);
        }
    }

    fn failed(&mut self, trouble: Trouble, ctx: &mut Context<Self>) {
        let tools = &self.base.tools;
        match trouble {
            Trouble::Later(message) if self.base.shutdown.is_none() => {
                tracing::warn!(message, "grouper.later");
                self.wake(ctx);
            }
            // The messages go back to the queue, and their next receiver tries again.
            Trouble::Later(message) if self.base.context().settings.fetcher.reads == Reads::Galleries => {
                tracing::warn!(message, "grouper.release");
            }
            // This was the last chance: the groups are older than the faces, and the exit of the run says so.
            Trouble::Later(message) => {
                self.failed = true;
                tools.end_run(FatalReason::DependencyDown, &message);
            }
            Trouble::Bug(message) => {
                self.failed = true;
                tools.fault(Exit::Bug(message));
            }
            Trouble::Fatal(reason, message) => {
                self.failed = true;
                tools.end_run(reason, &message);
            }
        }
    }

    fn wake(&mut self, ctx: &mut Context<Self>) {
        if let (Wake::Debounced(wait), None) = (self.base.context().settings.grouper.wake, self.alarm) {
            self.alarm = Some(ctx.run_later(wait, |grouper, ctx| {
                grouper.alarm = None;
                grouper.next(ctx);
            }));
        }
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        match self.base.shutdown {
            Some(Mode::Finish) if self.failed || (!self.running && self.base.context().dirty.first().is_none()) => {
                self.base.stop(ctx);
            }
            // The Grouper of the next worker reconciles at its start.
            Some(Mode::HandBack) => self.base.stop(ctx),
            Some(Mode::Finish) | None => {}
        }
    }
}

impl Actor for Grouper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // A Grouper that replaces a dead one takes over the marked galleries.
        self.go_on(ctx);
    }
}

impl Handler<FacesWritten> for Grouper {
    type Result = ();

    fn handle(&mut self, FacesWritten(gallery): FacesWritten, ctx: &mut Self::Context) {
        self.base.probe();
        tracing::trace!(%gallery, "grouper.wake");
        self.wake(ctx);
    }
}

impl Handler<Asked> for Grouper {
    type Result = ();

    fn handle(&mut self, asked: Asked, ctx: &mut Self::Context) {
        self.base.probe();
        self.ask(asked, ctx);
    }
}

impl Handler<Shutdown> for Grouper {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        self.base.shutdown = Some(mode);
        if mode == Mode::Finish {
            self.next(ctx);
        }
        self.leave_if_idle(ctx);
    }
}

abortable!(Grouper);
