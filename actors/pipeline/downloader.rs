//! The Downloader: it fetches images and decodes them, off the actors' thread.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use bytes::Bytes;
use tokio::time::Instant;
use tracing::Instrument;

use crate::domain::image::{RejectReason, Rejection};
use crate::errors::Class;
use crate::flow::concurrency::{Limits, Observed, adjust};
use crate::flow::progress::Stage;
use crate::flow::retry::GaveUp;
use crate::flow::run_stats::Done;
use crate::pipeline::batcher::Batcher;
use crate::pipeline::context::{ActorBase, StageTools};
use crate::pipeline::item::{Decoded, Item, Source};
use crate::pipeline::results::ResultSink;
use crate::ports::decoder::DecodeError;
use crate::ports::objects::{Object, ObjectsError};
use crate::runtime::actor_ref::ActorRef;
use crate::runtime::blocking::Panicked;
use crate::runtime::drain::Mode;
use crate::runtime::shutdown::{Shutdown, abortable};

/// Downloads and decodes images, each as many at once as the current limits allow.
pub(crate) struct Downloader {
    base: ActorBase,
    work: Work,
    limits: Limits,
    to_download: VecDeque<Item>,
    to_decode: VecDeque<(Item, Source, Bytes)>,
    downloading: usize,
    decoding: usize,
}

/// Downloads and decodes one image.
#[derive(Clone)]
struct Work {
    tools: StageTools,
    batcher: ActorRef<Batcher>,
    results: ResultSink,
}

/// Checks that a download is complete. A body that ended early is a failure of the transfer, and says nothing about the
/// image.
fn whole(object: Object) -> Result<Object, ObjectsError> {
    let read = object.bytes.len() as u64;
    if read == object.size {
        return Ok(object);
    }
    let message = format!("the body ended after {read} of {} bytes", object.size);
    Err(ObjectsError::Failed { class: Class::Transient, message })
}

impl Work {
    /// Fetches one image; `None` where the image has ended already.
    async fn download(self, mut item: Item) -> Option<(Item, Source, Bytes)> {
        let Self { tools, results, .. } = &self;
        let context = &tools.context;
        // Work on a lost lease is wasted, because another worker may have the image.
        if item.lease.lost() {
            return None;
        }
        if item.removed {
            self.removed(item).await;
            return None;
        }
        match self.fetch(&mut item).await {
            Ok(object) => {
                tracing::debug!(bytes = object.size, "downloader.got");
                item.credit.resize(object.bytes.len());
                let mut source = Source::from(&object);
                let content = *blake3::hash(&object.bytes).as_bytes();
                source.content = Some(content);
                let Some(analyses) = &context.ports.analyses else { return Some((item, source, object.bytes)) };
                match analyses.find(&content).await {
                    Some(known) => {
                        results.finish(item.known(&source, known, &context.settings.model)).await;
                        None
                    }
                    None => Some((item, source, object.bytes)),
                }
            }
            Err(gave_up) => {
                results.give_up(tools, item, &Source::default(), gave_up).await;
                None
            }
        }
    }

    /// Ends an image that was reported as deleted, unless it exists: it may have been put back, or only an older
    /// version was deleted.
    async fn removed(&self, item: Item) {
        let Self { tools, results, .. } = self;
        let context = &tools.context;
        let head = || context.ports.objects.head(&item.locator, 1);
        let looked = tools.retrier.run("head", context.settings.timeouts.object, head).await;
        let gave_up = match looked {
            Ok(_) => {
                tracing::debug!("downloader.there");
                item.lease.ack(Done::Removal);
                return;
            }
            Err(gave_up) => gave_up,
        };
        match gave_up.failure.rejection.as_ref().map(|rejection| rejection.reason) {
            Some(RejectReason::Missing) => {
                let removed = Rejection::new(RejectReason::Removed, "the object was deleted");
                results.finish(item.rejected(&Source::default(), removed, &context.settings.model)).await;
            }
            Some(RejectReason::Empty) => item.lease.ack(Done::Removal),
            _ => results.give_up(tools, item, &Source::default(), gave_up).await,
        }
    }

    /// Returns the bytes of an image; it downloads them unless the Prefilter has read them all.
    async fn fetch(&self, item: &mut Item) -> Result<Object, GaveUp> {
        if let Some(object) = item.fetched.take() {
            return Ok(object);
        }
        let StageTools { context, retrier, .. } = &self.tools;
        let timer = self.tools.timer(1);
        let (limit, bytes) = (context.settings.timeouts.object, context.settings.object_bytes);
        let get = || async { whole(context.ports.objects.get(&item.locator, bytes).await?) };
        let object = retrier.run("get", limit, get).await?;
        item.timings.download = Some(timer.done(object.bytes.len() as u64));
        Ok(object)
    }

    /// Decodes one image and sends it to the Batcher, or its rejection to the Writer.
    async fn decode(self, mut item: Item, source: Source, bytes: Bytes) {
        let Self { tools, batcher, results } = self;
        let context = &tools.context;
        let timer = context.stats.begin(Stage::Decoder, 1);
        let decoder = context.decoder(&item);
        let busy = tools.heartbeat.busy();
        let decoded = context.settings.blocking.run(move || decoder.decode(bytes)).await;
        drop(busy);
        match decoded {
            Ok(Ok(frame)) => {
                item.timings.decode = Some(timer.done(source.bytes));
                item.credit.resize(frame.bytes());
                let decoded = Decoded { item, source, frame: Arc::new(frame), since: Instant::now() };
                batcher.send_or_release(decoded).await;
            }
            Ok(Err(DecodeError::Rejected(rejection))) => {
                item.timings.decode = Some(timer.done(source.bytes));
                results.finish(item.rejected(&source, rejection, &context.settings.model)).await;
            }
            Ok(Err(error @ DecodeError::Failed(_))) => {
                tracing::warn!(%error, "downloader.decode");
                timer.failed();
                tools.release(item.lease);
            }
            // A decoder must not panic. The image is given back, and the next time it is decoded in a process of its
            // own.
            Err(Panicked) => {
                tracing::error!("downloader.panic");
                timer.failed();
                tools.fail(item.lease);
            }
        }
    }
}

impl Downloader {
    /// Creates the actor, which sends decoded images to the Batcher, and images that end here to the Writer.
    pub(crate) fn new(base: ActorBase, batcher: ActorRef<Batcher>, results: ResultSink) -> Self {
        let context = base.context();
        let limits = context.settings.bounds.clamp(context.settings.limits);
        context.stats.note(|p| p.limits = limits);
        let work = Work { tools: base.tools.clone(), batcher, results };
        let (to_download, to_decode) = (VecDeque::new(), VecDeque::new());
        Self { base, work, limits, to_download, to_decode, downloading: 0, decoding: 0 }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        while self.decoding < self.limits.decodes
            && let Some((item, source, bytes)) = self.to_decode.pop_front()
        {
            self.decoding += 1;
            let span = tracing::debug_span!(parent: item.lease.span(), "downloader.decode");
            let decoded = self.work.clone().decode(item, source, bytes).instrument(span);
            ctx.spawn(decoded.into_actor(self).map(|(), downloader, ctx| {
                downloader.decoding -= 1;
                downloader.pump(ctx);
            }));
        }
        while self.downloading < self.limits.downloads
            && let Some(item) = self.to_download.pop_front()
        {
            self.downloading += 1;
            let span = tracing::debug_span!(parent: item.lease.span(), "downloader.get");
            let downloaded = self.work.clone().download(item).instrument(span);
            ctx.spawn(downloaded.into_actor(self).map(|downloaded, downloader, ctx| {
                downloader.downloading -= 1;
                downloader.to_decode.extend(downloaded);
                downloader.pump(ctx);
            }));
        }
        self.base.context().stats.waiting(Stage::Downloader, self.to_download.len());
        self.base.context().stats.waiting(Stage::Decoder, self.to_decode.len());
        self.leave_if_idle(ctx);
    }

    fn adjust(&mut self, ctx: &mut Context<Self>) {
        let context = self.base.context();
        let (mut ready, mut running) = (0, 0);
        context.stats.stage(Stage::Batcher, |s| ready = s.waiting);
        context.stats.stage(Stage::Device, |s| running = s.in_flight);
        let seen = Observed {
            to_download: self.to_download.len(),
            to_decode: self.to_decode.len(),
            ready,
            idle_devices: if running == 0 { context.ports.engines.len() } else { 0 },
            batch: context.settings.batch.count,
        };
        self.limits = adjust(self.limits, seen, &context.settings.bounds);
        let limits = self.limits;
        context.stats.note(|p| p.limits = limits);
        self.pump(ctx);
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        let working = self.downloading + self.decoding + self.to_download.len() + self.to_decode.len();
        match self.base.shutdown {
            Some(Mode::Finish) if working == 0 => self.base.stop(ctx),
            // The queues are dropped, which releases their images.
            Some(Mode::HandBack) => self.base.stop(ctx),
            Some(Mode::Finish) | None => {}
        }
    }
}

impl Actor for Downloader {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.base.context().settings.adjust_every, Self::adjust);
    }
}

impl Handler<Item> for Downloader {
    type Result = ();

    fn handle(&mut self, item: Item, ctx: &mut Self::Context) {
        self.base.probe();
        self.to_download.push_back(item);
        self.pump(ctx);
    }
}

impl Handler<Shutdown> for Downloader {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        self.base.shutdown = Some(mode);
        self.leave_if_idle(ctx);
    }
}

abortable!(Downloader);
