//! The Prefilter: it judges the thumbnail beside an image or in its header. An image that is too poor is recorded and
//! never downloaded. Without a threshold every image passes.

use std::collections::VecDeque;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tracing::{Instrument, Span};

use crate::domain::image::Locator;
use crate::errors::route::Terminal;
use crate::flow::progress::Stage;
use crate::flow::retry::GaveUp;
use crate::pipeline::context::{ActorBase, StageTools};
use crate::pipeline::downloader::Downloader;
use crate::pipeline::item::{Item, Source};
use crate::pipeline::results::ResultSink;
use crate::pipeline::settings::PrefilterSettings;
use crate::ports::objects::Object;
use crate::runtime::actor_ref::ActorRef;
use crate::runtime::drain::Mode;
use crate::runtime::shutdown::{Shutdown, abortable};

/// Largest thumbnail beside an image, in bytes.
const THUMBNAIL_BYTES: u64 = 1 << 20;

/// Passes images on, or ends them as low quality.
pub(crate) struct Prefilter {
    base: ActorBase,
    judge: Judge,
    queue: VecDeque<Item>,
}

/// Judges one image and sends it on.
#[derive(Clone)]
struct Judge {
    tools: StageTools,
    downloader: ActorRef<Downloader>,
    results: ResultSink,
}

/// The judgement of a thumbnail.
struct Judged {
    quality: Option<f32>,
    /// Number of bytes that were read for it.
    read: u64,
    /// Version of the image; `None` where only the thumbnail beside it was read.
    source: Option<Source>,
    /// The image itself, where the bytes that were read are all of it.
    whole: Option<Object>,
}

impl Judge {
    /// Judges the thumbnail that lies beside an image; `None` where there is none that can be judged. Errors are
    /// ignored here, because reading the image itself reports them better.
    async fn beside(&self, settings: &PrefilterSettings, item: &Item) -> Option<Judged> {
        let StageTools { context, heartbeat, retrier, .. } = &self.tools;
        let key = settings.sibling.as_ref()?.of(&item.locator.key);
        let locator = Locator { key, ..item.locator.clone() };
        let limit = context.settings.timeouts.object;
        // The thumbnail is read with `head`, which bypasses the cache: nobody will ask for it again.
        let read = || context.ports.objects.head(&locator, THUMBNAIL_BYTES);
        let thumbnail = retrier.run("thumbnail", limit, read).await.ok()?;
        if thumbnail.size > THUMBNAIL_BYTES {
            return None;
        }
        let read = thumbnail.bytes.len() as u64;
        let decoder = context.decoder(item);
        let _busy = heartbeat.busy();
        // A judge that panics gives no judgement.
        let quality = context.settings.blocking.run(move || decoder.judge_thumbnail(&thumbnail.bytes)).await.ok()??;
        Some(Judged { quality: Some(quality), read, source: None, whole: None })
    }

    /// Judges the thumbnail in an image's header.
    async fn within(&self, settings: &PrefilterSettings, item: &Item) -> Result<Judged, GaveUp> {
        let StageTools { context, heartbeat, retrier, .. } = &self.tools;
        let limit = context.settings.timeouts.object;
        let head = || context.ports.objects.head(&item.locator, settings.head_bytes);
        let head = retrier.run("head", limit, head).await?;
        let (source, read) = (Some(Source::from(&head)), head.bytes.len() as u64);
        let whole = (read == head.size).then(|| head.clone());
        let decoder = context.decoder(item);
        let _busy = heartbeat.busy();
        let quality = context.settings.blocking.run(move || decoder.judge_header(&head.bytes)).await.unwrap_or(None);
        Ok(Judged { quality, read, source, whole })
    }

    /// Judges one image and sends it on.
    async fn judge(&self, settings: &PrefilterSettings, mut item: Item) {
        let Self { tools, downloader, results } = self;
        let context = &tools.context;
        let timer = tools.timer(1);
        let judged = match self.beside(settings, &item).await {
            Some(judged) => Ok(judged),
            None => self.within(settings, &item).await,
        };
        let Judged { quality, read, source, whole } = match judged {
            Ok(judged) => judged,
            // The download will report the error better.
            Err(gave_up) if gave_up.terminal == Terminal::Release => {
                drop(timer);
                downloader.send_or_release(item).await;
                return;
            }
            Err(gave_up) => {
                drop(timer);
                results.give_up(tools, item, &Source::default(), gave_up).await;
                return;
            }
        };
        item.quality = quality;
        if quality.is_none_or(|quality| quality >= settings.threshold) {
            item.timings.judge = Some(timer.done(read));
            item.fetched = whole;
            downloader.send_or_release(item).await;
            return;
        }
        let source = match source {
            Some(source) => source,
            // The head gives size and version for the record; a record without them is still valid.
            None => {
                let limit = context.settings.timeouts.object;
                let first = tools.retrier.run("head", limit, || context.ports.objects.head(&item.locator, 1)).await;
                first.map(|first| Source::from(&first)).unwrap_or_default()
            }
        };
        item.timings.judge = Some(timer.done(read));
        context.stats.stage(Stage::Prefilter, |s| s.bytes_saved += source.bytes.saturating_sub(read));
        results.finish(item.low_quality(&source, &context.settings.model)).await;
    }
}

impl Prefilter {
    /// Creates the actor, which sends images that pass to the Downloader, and those that end here to the Writer.
    pub(crate) fn new(base: ActorBase, downloader: ActorRef<Downloader>, results: ResultSink) -> Self {
        let judge = Judge { tools: base.tools.clone(), downloader, results };
        Self { base, judge, queue: VecDeque::new() }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        let at_once = self.base.context().settings.prefilter.as_ref().map_or(usize::MAX, |s| s.at_once.max(1));
        while self.base.in_flight < at_once
            && let Some(item) = self.queue.pop_front()
        {
            self.base.in_flight += 1;
            let span = match self.base.context().settings.prefilter {
                Some(_) => tracing::debug_span!(parent: item.lease.span(), "prefilter.judge"),
                None => Span::none(),
            };
            let judge = self.judge.clone();
            let judged = async move {
                match &judge.tools.context.settings.prefilter {
                    Some(settings) if !item.removed => judge.judge(settings, item).await,
                    _ => judge.downloader.send_or_release(item).await,
                }
            };
            let judged = judged.instrument(span);
            ctx.spawn(judged.into_actor(self).map(|(), prefilter, ctx| {
                prefilter.base.in_flight -= 1;
                prefilter.pump(ctx);
            }));
        }
        self.base.context().stats.waiting(Stage::Prefilter, self.queue.len());
        self.leave_if_idle(ctx);
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        let idle = self.base.in_flight == 0 && self.queue.is_empty();
        match self.base.shutdown {
            Some(Mode::Finish) if idle => self.base.stop(ctx),
            // The queue is dropped, which releases its images.
            Some(Mode::HandBack) => self.base.stop(ctx),
            Some(Mode::Finish) | None => {}
        }
    }
}

impl Actor for Prefilter {
    type Context = Context<Self>;
}

impl Handler<Item> for Prefilter {
    type Result = ();

    fn handle(&mut self, item: Item, ctx: &mut Self::Context) {
        self.base.probe();
        self.queue.push_back(item);
        self.pump(ctx);
    }
}

impl Handler<Shutdown> for Prefilter {
    type Result = ();

    fn handle(&mut self, Shutdown(mode): Shutdown, ctx: &mut Self::Context) {
        self.base.shutdown = Some(mode);
        self.leave_if_idle(ctx);
    }
}

abortable!(Prefilter);
