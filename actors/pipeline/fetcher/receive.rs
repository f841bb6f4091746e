//! One receive: from waiting for credit to images under their leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, sleep};
use tracing::{Instrument, Span};

use super::Forward;
use crate::domain::gallery::GalleryId;
use crate::domain::image::{RejectReason, Rejection};
use crate::domain::message::{Message, parse, parse_grouping};
use crate::domain::timings::Timings;
use crate::errors::Class;
use crate::errors::route::{History, Strategy, route};
use crate::flow::credit::Credit;
use crate::flow::progress::Stage;
use crate::flow::retry::GaveUp;
use crate::pipeline::context::{PipelineContext, StageTools};
use crate::pipeline::grouper::{Asked, Grouper};
use crate::pipeline::item::Item;
use crate::ports::queue::{Delivery, Received};
use crate::runtime::actor_ref::ActorRef;

/// Whether the queue is asked for messages now, and whether it may be.
#[derive(Default)]
pub(super) struct Asking {
    /// Messages may be on their way.
    pub(super) now: AtomicBool,
    /// A drain has begun: it is not asked again.
    pub(super) over: AtomicBool,
}

/// The queue is asked until this is dropped. From an answer on nothing waits until its messages have their leases.
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

/// What came of a receive: images under their leases, so that whoever drops them gives them back.
pub(super) struct Opened {
    pub(super) items: Vec<Item>,
    /// There were no messages.
    pub(super) none: bool,
    /// The queue says it is finished.
    pub(super) finished: bool,
    /// Messages given back before the receive.
    pub(super) released: u64,
}

/// Whether an item was received too often, and may be what ends its workers.
pub(super) fn is_worn(context: &PipelineContext, receive_count: u32) -> bool {
    let max_receives = context.settings.fetcher.max_receives;
    let history = History { receive_count, max_receives, ..History::default() };
    route(Class::Suspect, &history) == Strategy::Reject
}

/// Why such an item is rejected.
pub(super) fn too_many_attempts(receive_count: u32) -> Rejection {
    Rejection::new(RejectReason::TooManyAttempts, format!("received {receive_count} times without an end"))
}

/// Waits for credit, then receives as many messages as it has credit for.
pub(super) async fn poll(tools: StageTools, forward: Forward, asking: Arc<Asking>) -> Result<Opened, GaveUp> {
    let context = &tools.context;
    let settings = &context.settings;
    loop {
        let left = context.leases.left.notified();
        if context.leases.unsettled() <= settings.keeper.backlog {
            break;
        }
        left.await;
    }
    let credits = context.credits.acquire(settings.fetcher.receive, settings.credits.estimate).await;
    let released = context.leases.released();
    let asked = Instant::now();
    let timer = tools.timer(0);
    let ask = || async {
        if asking.over.load(Ordering::Relaxed) {
            // Until the drain takes it away.
            std::future::pending::<()>().await;
        }
        let _call = Call::new(&asking);
        context.ports.queue.receive(credits.len()).await
    };
    let received = tools.retrier.run("receive", settings.timeouts.queue, ask);
    let Received { deliveries, finished } = received.instrument(tracing::trace_span!("fetcher.poll")).await?;
    drop(timer);
    let none = deliveries.is_empty();
    let mut credits = credits.into_iter();
    let items = deliveries.into_iter().flat_map(|delivery| open(context, &forward, delivery, &mut credits)).collect();
    drop(credits);
    if none && !finished && asked.elapsed() < settings.fetcher.pause {
        sleep(settings.fetcher.pause).await;
    }
    Ok(Opened { items, none, finished, released })
}

/// Opens the leases of a message. What needs no pipeline ends here.
fn open(
    context: &PipelineContext,
    forward: &Forward,
    delivery: Delivery,
    credits: &mut impl Iterator<Item = Credit>,
) -> Vec<Item> {
    context.stats.stage(Stage::Fetcher, |s| {
        s.done += 1;
        s.bytes += delivery.body.len() as u64;
    });
    match forward {
        Forward::Images { .. } => open_images(context, delivery, credits),
        Forward::Galleries(grouper) => {
            ask_for_grouping(context, grouper, delivery, credits);
            Vec::new()
        }
    }
}

/// Opens a lease for each image that a message names.
fn open_images(context: &PipelineContext, delivery: Delivery, credits: &mut impl Iterator<Item = Credit>) -> Vec<Item> {
    let settings = &context.settings;
    let message = parse(&delivery.body, &settings.intake, settings.fetcher.message_bytes);
    let locators = match message {
        Ok(Message::Images(locators)) => locators,
        Ok(Message::Ignored(why)) => {
            tracing::debug!(why, "fetcher.ignore");
            context.stats.note(|p| p.ignored_messages += 1);
            context.leases.open(delivery.handle, Vec::new());
            return Vec::new();
        }
        Err(rejection) => {
            let leases = context.leases.open(delivery.handle, vec![None]);
            leases.into_iter().for_each(|lease| lease.reject(rejection.clone()));
            return Vec::new();
        }
    };
    let suspect = delivery.receive_count >= settings.fetcher.suspect_at;
    let received = Instant::now();
    let leases = context.leases.open(delivery.handle.clone(), locators.iter().cloned().map(Some).collect());
    locators
        .into_iter()
        .zip(leases)
        .map(|(locator, mut lease)| Item {
            lease: {
                lease.trace(span(context, &delivery, &locator.gallery));
                lease
            },
            locator,
            credit: credits.next().unwrap_or_else(|| context.credits.overdraw(settings.credits.estimate)),
            suspect,
            receive_count: delivery.receive_count,
            quality: None,
            fetched: None,
            received,
            timings: Timings { waited: delivery.waited, ..Timings::default() },
        })
        .collect()
}

/// The span of an image, from its receipt to the end of its message.
fn span(context: &PipelineContext, delivery: &Delivery, gallery: &GalleryId) -> Span {
    let image = tracing::debug_span!(parent: None, "image.process", %gallery, received = delivery.receive_count);
    if let Some(header) = &delivery.trace {
        (context.settings.adopt)(&image, header);
    }
    // It is received already: a mark in time.
    drop(tracing::debug_span!(parent: &image, "fetcher.receive").entered());
    image
}

/// Hands a gallery to the Grouper under its lease.
fn ask_for_grouping(
    context: &PipelineContext,
    grouper: &ActorRef<Grouper>,
    delivery: Delivery,
    credits: &mut impl Iterator<Item = Credit>,
) {
    let settings = &context.settings;
    let gallery = parse_grouping(&delivery.body, settings.fetcher.message_bytes);
    let Some(lease) = context.leases.open(delivery.handle, vec![None]).pop() else { return };
    match gallery {
        Err(rejection) => lease.reject(rejection),
        Ok(_) if is_worn(context, delivery.receive_count) => lease.reject(too_many_attempts(delivery.receive_count)),
        Ok(gallery) => {
            let credit = credits.next().unwrap_or_else(|| context.credits.overdraw(settings.credits.estimate));
            grouper.tell(Asked { gallery, lease, credit, trace: delivery.trace });
        }
    }
}
