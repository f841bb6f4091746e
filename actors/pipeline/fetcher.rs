//! Takes credits, receives as many messages as it has credit for, reads them, opens their leases.

use actix::{Actor, AsyncContext, Context, Handler, Message as ActixMessage, WrapFuture};
use actix::{ActorFutureExt, SpawnHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, Span};

use crate::domain::gallery::GalleryId;
use crate::domain::image::{RejectReason, Rejection};
use crate::domain::message::{Message, parse, parse_grouping};
use crate::domain::timings::Timings;
use crate::errors::Class;
use crate::errors::route::{History, Leave, Strategy, route};
use crate::flow::credit::Credit;
use crate::flow::progress::Stage;
use crate::flow::retry::{GaveUp, Retrier};
use crate::pipeline::context::{Crew, Leaving, Post, abortable};
use crate::pipeline::grouper::Asked;
use crate::pipeline::item::{Item, Source};
use crate::pipeline::settings::Reads;
use crate::ports::queue::{Delivery, Received};
use crate::runtime::supervisor::AllDone;

/// The front of the pipeline.
pub(crate) struct Fetcher {
    post: Post,
    retrier: Retrier,
    polling: Option<SpawnHandle>,
    asking: Arc<Asking>,
    empty: u32,
}

/// Whether the queue is asked for messages now, and whether it may be.
#[derive(Default)]
struct Asking {
    /// Messages may be on their way.
    now: AtomicBool,
    /// A drain has begun: it is not asked again.
    over: AtomicBool,
}

/// The queue is asked until it is dropped. From an answer on nothing waits until its messages have their leases.
struct Call<'a>(&'a Asking);

impl<'a> Call<'a> {
    fn begin(asking: &'a Asking) -> Self {
        asking.now.store(true, Ordering::Relaxed);
        Self(asking)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.now.store(false, Ordering::Relaxed);
    }
}

/// The grace of a receive that was on its way when a drain began is over.
#[derive(ActixMessage)]
#[rtype(result = "()")]
struct GraceOver;

/// What came of a receive: images under their leases, so that whoever drops them gives them back.
struct Opened {
    items: Vec<Item>,
    /// There were no messages.
    none: bool,
    /// The queue says it is finished.
    finished: bool,
    /// Messages given back before the receive.
    released: u64,
}

/// One round: wait for credit, then receive.
async fn poll(crew: Arc<Crew>, retrier: Retrier, asking: Arc<Asking>) -> Result<Opened, GaveUp> {
    let settings = &crew.settings;
    loop {
        let left = crew.book.left.notified();
        if crew.book.unsettled() <= settings.keeper.backlog {
            break;
        }
        left.await;
    }
    let credits = crew.credits.acquire(settings.fetcher.receive, settings.credits.estimate).await;
    let released = crew.book.released();
    let asked = Instant::now();
    let working = crew.ledger.begin(Stage::Fetcher, 0);
    let ask = || async {
        if asking.over.load(Ordering::Relaxed) {
            // Until the drain takes it away.
            std::future::pending::<()>().await;
        }
        let _call = Call::begin(&asking);
        crew.ports.queue.receive(credits.len()).await
    };
    let received =
        retrier.run("receive", settings.timeouts.queue, ask).instrument(tracing::trace_span!("fetcher.poll")).await;
    let Received { deliveries, finished } = received?;
    drop(working);
    let none = deliveries.is_empty();
    let mut credits = credits.into_iter();
    let items = deliveries.into_iter().flat_map(|delivery| open(&crew, delivery, &mut credits)).collect();
    drop(credits);
    if none && !finished && asked.elapsed() < settings.fetcher.pause {
        sleep(settings.fetcher.pause).await;
    }
    Ok(Opened { items, none, finished, released })
}

/// Opens a message's leases. What needs no pipeline ends here.
fn open(crew: &Crew, delivery: Delivery, credits: &mut impl Iterator<Item = Credit>) -> Vec<Item> {
    let settings = &crew.settings;
    crew.ledger.stage(Stage::Fetcher, |s| {
        s.done += 1;
        s.bytes += delivery.body.len() as u64;
    });
    if settings.fetcher.reads == Reads::Galleries {
        ask_for_grouping(crew, delivery, credits);
        return Vec::new();
    }
    let message = parse(&delivery.body, &settings.intake, settings.fetcher.message_bytes);
    let locators = match message {
        Ok(Message::Images(locators)) => locators,
        Ok(Message::Ignored(why)) => {
            tracing::debug!(why, "fetcher.ignore");
            crew.ledger.note(|p| p.ignored_messages += 1);
            crew.book.open(delivery.handle, Vec::new());
            return Vec::new();
        }
        Err(rejection) => {
            let leases = crew.book.open(delivery.handle, vec![None]);
            leases.into_iter().for_each(|lease| lease.reject(rejection.clone()));
            return Vec::new();
        }
    };
    let suspect = delivery.receive_count >= settings.fetcher.suspect_at;
    let received = Instant::now();
    let leases = crew.book.open(delivery.handle.clone(), locators.iter().cloned().map(Some).collect());
    locators
        .into_iter()
        .zip(leases)
        .map(|(locator, mut lease)| Item {
            lease: {
                lease.trace(span(crew, &delivery, &locator.gallery));
                lease
            },
            locator,
            credit: credits.next().unwrap_or_else(|| crew.credits.overdraw(settings.credits.estimate)),
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
fn span(crew: &Crew, delivery: &Delivery, gallery: &GalleryId) -> Span {
    let image = tracing::debug_span!(parent: None, "image.process", %gallery, received = delivery.receive_count);
    if let Some(header) = &delivery.trace {
        (crew.settings.adopt)(&image, header);
    }
    // It is received already: a mark in time.
    drop(tracing::debug_span!(parent: &image, "fetcher.receive").entered());
    image
}

/// Hands a gallery to the Grouper under its lease.
fn ask_for_grouping(crew: &Crew, delivery: Delivery, credits: &mut impl Iterator<Item = Credit>) {
    let settings = &crew.settings;
    let gallery = parse_grouping(&delivery.body, settings.fetcher.message_bytes);
    let Some(lease) = crew.book.open(delivery.handle, vec![None]).pop() else { return };
    let history = History {
        receive_count: delivery.receive_count,
        max_receives: settings.fetcher.max_receives,
        ..History::default()
    };
    match gallery {
        Err(rejection) => lease.reject(rejection),
        Ok(_) if route(Class::Suspect, &history) == Strategy::Reject => {
            let detail = format!("received {} times without an end", delivery.receive_count);
            lease.reject(Rejection::new(RejectReason::TooManyAttempts, detail));
        }
        Ok(gallery) => {
            let credit = credits.next().unwrap_or_else(|| crew.credits.overdraw(settings.credits.estimate));
            // Nobody there: dropped, and so released.
            let _ = crew.grouper.tell(Asked { gallery, lease, credit, trace: delivery.trace });
        }
    }
}

impl Fetcher {
    pub(crate) fn new(post: Post) -> Self {
        let retrier = post.retrier(Stage::Fetcher);
        Self { post, retrier, polling: None, asking: Arc::default(), empty: 0 }
    }

    fn poll(&mut self, ctx: &mut Context<Self>) {
        if self.polling.is_some() || self.post.leaving.is_some() {
            return;
        }
        let polled = poll(Arc::clone(&self.post.crew), self.retrier.clone(), Arc::clone(&self.asking));
        self.polling = Some(ctx.spawn(polled.into_actor(self).map(|polled, fetcher, ctx| {
            fetcher.polling = None;
            match polled {
                Ok(opened) => {
                    fetcher.opened(opened, ctx);
                    fetcher.poll(ctx);
                }
                // The run ends: there is nothing to poll for.
                Err(gave_up) => fetcher.failed(&gave_up),
            }
            fetcher.leave_if_idle(ctx);
        })));
    }

    fn failed(&self, gave_up: &GaveUp) {
        let leave = match gave_up.strategy {
            Strategy::Leave(leave) => leave,
            // Without a queue there is no work: whatever the class, the dependency is down for us.
            _ => Leave::DependencyDown,
        };
        self.post.crew.leave(leave, Stage::Fetcher, &gave_up.failure.message);
    }

    fn opened(&mut self, Opened { items, none, finished, released }: Opened, ctx: &mut Context<Self>) {
        self.post.crew.settings.probe.pass(Stage::Fetcher);
        self.forward(items, ctx);
        if finished && none {
            self.settle_down(released, ctx);
        } else if none {
            self.empty += 1;
            if self.post.crew.settings.fetcher.leave_after_empty.is_some_and(|limit| self.empty >= limit) {
                self.settle_down(released, ctx);
            }
        } else {
            self.empty = 0;
        }
    }

    /// Sends items on; those received too often go straight to the Writer, as rejected.
    fn forward(&mut self, items: Vec<Item>, ctx: &mut Context<Self>) {
        if items.is_empty() {
            return;
        }
        let crew = Arc::clone(&self.post.crew);
        self.post.in_flight += 1;
        let forwarded = async move {
            let max_receives = crew.settings.fetcher.max_receives;
            for item in items {
                let history = History { receive_count: item.receive_count, max_receives, ..History::default() };
                if item.suspect && route(Class::Suspect, &history) == Strategy::Reject {
                    let detail = format!("received {} times without an end", item.receive_count);
                    let rejection = Rejection::new(RejectReason::TooManyAttempts, detail);
                    crew.finish(item.rejected(&Source::default(), rejection, &crew.settings.model)).await;
                } else {
                    // Nobody there any more: dropped, and so released.
                    drop(crew.prefilter.send(item).await);
                }
            }
        };
        ctx.spawn(forwarded.into_actor(self).map(|(), fetcher, ctx| {
            fetcher.post.in_flight -= 1;
            fetcher.leave_if_idle(ctx);
        }));
    }

    /// The queue has nothing more. When all work is settled and nothing went back to the queue meanwhile, that was all.
    fn settle_down(&mut self, released: u64, ctx: &mut Context<Self>) {
        let crew = Arc::clone(&self.post.crew);
        let settled = async move {
            loop {
                let left = crew.book.left.notified();
                if crew.book.is_empty() {
                    return crew.book.released() == released;
                }
                left.await;
            }
        };
        self.polling = Some(ctx.spawn(settled.into_actor(self).map(|all, fetcher, ctx| {
            fetcher.polling = None;
            if all && fetcher.post.leaving.is_none() {
                // Without a supervisor the run has ended already.
                let _ = fetcher.post.crew.supervisor.tell(AllDone);
            } else {
                fetcher.poll(ctx);
            }
            fetcher.leave_if_idle(ctx);
        })));
    }

    fn stop_polling(&mut self, ctx: &mut Context<Self>) {
        if let Some(polling) = self.polling.take() {
            ctx.cancel_future(polling);
        }
        self.leave_if_idle(ctx);
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        if self.post.leaving.is_some() && self.polling.is_none() && self.post.in_flight == 0 {
            self.post.stop(ctx);
        }
    }
}

impl Actor for Fetcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.poll(ctx);
    }
}

impl Handler<Leaving> for Fetcher {
    type Result = ();

    fn handle(&mut self, Leaving(mode): Leaving, ctx: &mut Self::Context) {
        self.post.leaving = Some(mode);
        self.asking.over.store(true, Ordering::Relaxed);
        if self.asking.now.load(Ordering::Relaxed) {
            ctx.notify_later(GraceOver, self.post.crew.settings.fetcher.grace);
        } else {
            self.stop_polling(ctx);
        }
    }
}

impl Handler<GraceOver> for Fetcher {
    type Result = ();

    fn handle(&mut self, _: GraceOver, ctx: &mut Self::Context) {
        self.stop_polling(ctx);
    }
}

abortable!(Fetcher);
