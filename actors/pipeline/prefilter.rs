//! Judges the thumbnail beside an image or in its header: what is too poor is recorded and never downloaded. Without a
//! threshold everything passes.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tracing::{Instrument, Span};

use crate::domain::image::Locator;
use crate::errors::route::Strategy;
use crate::flow::progress::Stage;
use crate::flow::retry::{GaveUp, Retrier};
use crate::pipeline::context::{Crew, Leaving, Post, abortable};
use crate::pipeline::item::{Item, Source};
use crate::pipeline::settings::PrefilterSettings;
use crate::ports::objects::Object;
use crate::runtime::drain::Mode;
use crate::runtime::heartbeat::Heart;

/// Largest thumbnail beside an image.
const THUMBNAIL_BYTES: u64 = 1 << 20;

/// Passes images on, or ends them as of low quality.
pub(crate) struct Prefilter {
    post: Post,
    retrier: Retrier,
    queue: VecDeque<Item>,
}

/// What a look at a thumbnail says.
struct Judged {
    quality: Option<f32>,
    /// Bytes that were read for it.
    read: u64,
    /// Of the image; `None` where only its sibling was seen.
    source: Option<Source>,
    /// The image itself, where what was read is all of it.
    whole: Option<Object>,
}

/// Judges the thumbnail that lies beside an image; `None` where there is none to judge. Whatever goes wrong here, a look at the
/// image itself says it better.
async fn beside(
    crew: &Crew,
    retrier: &Retrier,
    heart: &Heart,
    settings: &PrefilterSettings,
    item: &Item,
) -> Option<Judged> {
    let key = settings.sibling.as_ref()?.of(&item.locator.key);
    let locator = Locator { key, ..item.locator.clone() };
    let limit = crew.settings.timeouts.object;
    // Read as a head is: past the cache, which would keep a picture that nobody asks for again.
    let thumbnail =
        retrier.run("thumbnail", limit, || crew.ports.objects.head(&locator, THUMBNAIL_BYTES)).await.ok()?;
    if thumbnail.size > THUMBNAIL_BYTES {
        return None;
    }
    let read = thumbnail.bytes.len() as u64;
    let decoder = crew.decoder(item);
    let _busy = heart.busy();
    // A judge that panics has no opinion.
    let quality = crew.settings.blocking.run(move || decoder.judge_thumbnail(&thumbnail.bytes)).await.ok()??;
    Some(Judged { quality: Some(quality), read, source: None, whole: None })
}

/// Judges the thumbnail in an image's header.
async fn within(
    crew: &Crew,
    retrier: &Retrier,
    heart: &Heart,
    settings: &PrefilterSettings,
    item: &Item,
) -> Result<Judged, GaveUp> {
    let limit = crew.settings.timeouts.object;
    let head = retrier.run("head", limit, || crew.ports.objects.head(&item.locator, settings.head_bytes)).await?;
    let (source, read) = (Some(Source::from(&head)), head.bytes.len() as u64);
    let whole = (read == head.size).then(|| head.clone());
    let decoder = crew.decoder(item);
    let _busy = heart.busy();
    let quality = crew.settings.blocking.run(move || decoder.judge_header(&head.bytes)).await.unwrap_or(None);
    Ok(Judged { quality, read, source, whole })
}

/// Judges one image and sends it on.
async fn judge(crew: &Crew, retrier: &Retrier, heart: &Heart, settings: &PrefilterSettings, mut item: Item) {
    let working = crew.ledger.begin(Stage::Prefilter, 1);
    let judged = match beside(crew, retrier, heart, settings, &item).await {
        Some(judged) => Ok(judged),
        None => within(crew, retrier, heart, settings, &item).await,
    };
    let Judged { quality, read, source, whole } = match judged {
        Ok(judged) => judged,
        // The download will say better what is wrong.
        Err(gave_up) if gave_up.strategy == Strategy::Release => {
            drop(working);
            drop(crew.downloader.send(item).await);
            return;
        }
        Err(gave_up) => {
            drop(working);
            crew.give_up(item, &Source::default(), gave_up, Stage::Prefilter).await;
            return;
        }
    };
    item.quality = quality;
    if quality.is_none_or(|quality| quality >= settings.threshold) {
        item.timings.judge = Some(working.done(read));
        item.fetched = whole;
        drop(crew.downloader.send(item).await);
        return;
    }
    let source = match source {
        Some(source) => source,
        // Its size and version, for its record; a record without them is as good.
        None => {
            let limit = crew.settings.timeouts.object;
            let first = retrier.run("head", limit, || crew.ports.objects.head(&item.locator, 1)).await;
            first.map(|first| Source::from(&first)).unwrap_or_default()
        }
    };
    item.timings.judge = Some(working.done(read));
    crew.ledger.stage(Stage::Prefilter, |s| s.bytes_saved += source.bytes.saturating_sub(read));
    crew.finish(item.low_quality(&source, &crew.settings.model)).await;
}

impl Prefilter {
    pub(crate) fn new(post: Post) -> Self {
        let retrier = post.retrier(Stage::Prefilter);
        Self { post, retrier, queue: VecDeque::new() }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        let at_once = self.post.crew.settings.prefilter.as_ref().map_or(usize::MAX, |s| s.at_once.max(1));
        while self.post.in_flight < at_once
            && let Some(item) = self.queue.pop_front()
        {
            let (crew, retrier, heart) = (Arc::clone(&self.post.crew), self.retrier.clone(), self.post.heart.clone());
            self.post.in_flight += 1;
            let span = match crew.settings.prefilter {
                Some(_) => tracing::debug_span!(parent: item.lease.span(), "prefilter.judge"),
                None => Span::none(),
            };
            let judged = async move {
                match &crew.settings.prefilter {
                    Some(settings) => judge(&crew, &retrier, &heart, settings, item).await,
                    None => drop(crew.downloader.send(item).await),
                }
            };
            let judged = judged.instrument(span);
            ctx.spawn(judged.into_actor(self).map(|(), prefilter, ctx| {
                prefilter.post.in_flight -= 1;
                prefilter.pump(ctx);
            }));
        }
        self.post.crew.ledger.waiting(Stage::Prefilter, self.queue.len());
        self.leave_if_idle(ctx);
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        let idle = self.post.in_flight == 0 && self.queue.is_empty();
        match self.post.leaving {
            Some(Mode::Finish) if idle => self.post.stop(ctx),
            // What is here is dropped, and so released.
            Some(Mode::HandBack) => self.post.stop(ctx),
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
        self.post.crew.settings.probe.pass(Stage::Prefilter);
        self.queue.push_back(item);
        self.pump(ctx);
    }
}

impl Handler<Leaving> for Prefilter {
    type Result = ();

    fn handle(&mut self, Leaving(mode): Leaving, ctx: &mut Self::Context) {
        self.post.leaving = Some(mode);
        self.leave_if_idle(ctx);
    }
}

abortable!(Prefilter);
