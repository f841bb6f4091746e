//! One receive: it waits for credit, receives messages, and returns the images that have credit, under their leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, sleep};
use tracing::{Instrument, Span};

use super::Forward;
use super::open::open;
use super::waitlist::{Task, Waiting, Waitlist};
use crate::domain::gallery::GalleryId;
use crate::domain::image::{RejectReason, Rejection};
use crate::domain::message::ImageEvent;
use crate::domain::timings::Timings;
use crate::errors::route::Terminal;
use crate::flow::credit::Credit;
use crate::flow::retry::GaveUp;
use crate::pipeline::context::{PipelineContext, StageTools};
use crate::pipeline::grouper::Asked;
use crate::pipeline::item::Item;
use crate::ports::queue::{Delivery, Received};

/// Whether a receive call is running, and whether another one may begin.
#[derive(Default)]
pub(super) struct Asking {
    /// Whether a call is running, so that messages may be on their way.
    pub(super) now: AtomicBool,
    /// Whether a drain has begun, so that the queue is not asked again.
    pub(super) over: AtomicBool,
}

/// A guard of a running receive call, which ends when it is dropped. After the answer the code does not await anything
/// until the messages have their leases, so none is lost in between.
struct Call<'a>(&'a Asking);

impl<'a> Call<'a> {
    fn new(asking: &'a Asking) -> Self {
        asking.now.store(true, Ordering::Relaxed);
        Self(asking)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.now.store(false, Ordering::Relaxed);
    }
}

/// The result of a receive. Its images are under leases, so dropping it gives them back.
pub(super) struct Opened {
    pub(super) items: Vec<Item>,
    /// Parts of messages that wait for credits.
    pub(super) waitlist: Waitlist,
    /// Whether no message came.
    pub(super) none: bool,
    /// Whether the queue says that nothing more will come.
    pub(super) finished: bool,
    /// Number of messages that had been given back before the receive.
    pub(super) released: u64,
}

/// Builds the rejection of an item that had too many receives without an end.
pub(super) fn too_many_attempts(deaths: u32, receive_count: u32) -> Rejection {
    let detail = format!("{deaths} of {receive_count} receives had no end: whoever had it died or lost it");
    Rejection::new(RejectReason::TooManyAttempts, detail)
}

/// Waits for credit, then receives as many messages as there are credits. If parts of earlier messages still wait, they
/// get the credits instead.
pub(super) async fn poll(
    tools: StageTools,
    forward: Forward,
    asking: Arc<Asking>,
    mut waitlist: Waitlist,
) -> Result<Opened, GaveUp> {
    let context = &tools.context;
    let (most, estimate) = (context.settings.fetcher.receive, context.settings.credits.estimate);
    let released = context.leases.released();
    if !waitlist.is_empty() {
        let credits = context.credits.acquire(most.min(waitlist.len()), estimate).await;
        let items = begin(context, &forward, &mut waitlist, credits);
        return Ok(Opened { items, waitlist, none: false, finished: false, released });
    }
    loop {
        let left = context.leases.left.notified();
        if context.leases.unsettled() <= context.settings.lease_manager.backlog {
            break;
        }
        left.await;
    }
    let credits = context.credits.acquire(most, estimate).await;
    let released = context.leases.released();
    let asked = Instant::now();
    let timer = tools.timer(0);
    let ask = || async {
        if asking.over.load(Ordering::Relaxed) {
            // The call stays pending until the drain cancels it.
            std::future::pending::<()>().await;
        }
        let _call = Call::new(&asking);
        context.ports.queue.receive(credits.len()).await
    };
    let received = tools.retrier.run("receive", context.settings.timeouts.queue, ask);
    let Received { deliveries, finished } = received.instrument(tracing::trace_span!("fetcher.poll")).await?;
    drop(timer);
    let none = deliveries.is_empty();
    deliveries.into_iter().for_each(|delivery| open(context, &forward, delivery, &mut waitlist));
    forgive(&tools, &mut waitlist).await?;
    let items = begin(context, &forward, &mut waitlist, credits);
    if none && !finished && asked.elapsed() < context.settings.fetcher.pause {
        sleep(context.settings.fetcher.pause).await;
    }
    Ok(Opened { items, waitlist, none, finished, released })
}

/// Asks which earlier receives of the waiting messages ended in a release. If that cannot be found out, every
/// earlier receive counts as one without an end, but never so many that a message is rejected for it.
async fn forgive(tools: &StageTools, waitlist: &mut Waitlist) -> Result<(), GaveUp> {
    let again = waitlist.redelivered();
    if again.is_empty() {
        return Ok(());
    }
    let context = &tools.context;
    let count = || context.ports.releases.count(&again);
    match tools.retrier.run("count releases", context.settings.timeouts.store, count).await {
        Ok(counts) => {
            again.iter().zip(counts).for_each(|(receive, releases)| waitlist.forgive(receive, releases));
            Ok(())
        }
        Err(gave_up) if matches!(gave_up.terminal, Terminal::Leave(_)) => Err(gave_up),
        Err(gave_up) => {
            tracing::warn!(error = gave_up.failure.message, "fetcher.releases");
            waitlist.doubt(context.settings.fetcher.max_receives.saturating_sub(1));
            Ok(())
        }
    }
}

/// Begins work on as many parts as there are credits.
fn begin(context: &PipelineContext, forward: &Forward, waitlist: &mut Waitlist, credits: Vec<Credit>) -> Vec<Item> {
    let mut items = Vec::new();
    for (waiting, credit) in waitlist.take(credits) {
        let Waiting { task, lease, delivery, deaths, received } = waiting;
        match (task, forward) {
            (Task::Image(ImageEvent { locator, sequencer, removed }), _) => {
                let mut lease = lease;
                lease.trace(span(context, &delivery, &locator.gallery));
                items.push(Item {
                    lease,
                    locator,
                    sequencer,
                    removed,
                    credit,
                    suspect: deaths + 1 >= context.settings.fetcher.suspect_at,
                    receive_count: delivery.receive_count,
                    deaths,
                    quality: None,
                    fetched: None,
                    received,
                    timings: Timings { waited: delivery.waited, ..Timings::default() },
                });
            }
            (Task::Gallery(_), _) if context.is_worn(deaths) => {
                lease.reject(too_many_attempts(deaths, delivery.receive_count));
            }
            (Task::Gallery(gallery), Forward::Galleries(grouper)) => {
                grouper.tell(Asked { gallery, lease, credit, trace: delivery.trace.clone() });
            }
            // A Fetcher of images never opens galleries.
            (Task::Gallery(_), Forward::Images { .. }) => lease.hand_back(),
        }
    }
    items
}

/// Creates the span of an image, which is open from its receipt to the end of its message.
fn span(context: &PipelineContext, delivery: &Delivery, gallery: &GalleryId) -> Span {
    let image = tracing::debug_span!(parent: None, "image.process", %gallery, received = delivery.receive_count);
    if let Some(header) = &delivery.trace {
        (context.settings.adopt)(&image, header);
    }
    // The receive is over already, so its span is only a mark in time.
    drop(tracing::debug_span!(parent: &image, "fetcher.receive").entered());
    image
}
