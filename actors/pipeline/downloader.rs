//! Fetches images and decodes them off the actors' thread.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use bytes::Bytes;
use tokio::time::Instant;
use tracing::Instrument;

use crate::errors::Class;
use crate::flow::concurrency::{Limits, Observed, adjust};
use crate::flow::progress::Stage;
use crate::flow::retry::{GaveUp, Retrier};
use crate::pipeline::context::{Crew, Leaving, Post, abortable};
use crate::pipeline::item::{Decoded, Item, Source};
use crate::ports::decoder::DecodeError;
use crate::ports::objects::{Object, ObjectsError};
use crate::runtime::blocking::Panicked;
use crate::runtime::drain::Mode;
use crate::runtime::heartbeat::Heart;

/// Downloads and decodes, each so many at once as the policy says.
pub(crate) struct Downloader {
    post: Post,
    retrier: Retrier,
    limits: Limits,
    to_download: VecDeque<Item>,
    to_decode: VecDeque<(Item, Source, Bytes)>,
    downloading: usize,
    decoding: usize,
}

/// Fetches one image; `None` where its fate is decided already.
async fn download(crew: Arc<Crew>, retrier: Retrier, mut item: Item) -> Option<(Item, Source, Bytes)> {
    // Work on a lost lease is wasted: somebody else has the image now.
    if item.lease.lost() {
        return None;
    }
    match fetch(&crew, &retrier, &mut item).await {
        Ok(object) => {
            tracing::debug!(bytes = object.size, "downloader.got");
            item.credit.resize(object.bytes.len());
            let mut source = Source::from(&object);
            let content = *blake3::hash(&object.bytes).as_bytes();
            source.content = Some(content);
            let Some(analyses) = &crew.ports.analyses else { return Some((item, source, object.bytes)) };
            match analyses.find(&content).await {
                Some(known) => {
                    crew.finish(item.known(&source, known, &crew.settings.model)).await;
                    None
                }
                None => Some((item, source, object.bytes)),
            }
        }
        Err(gave_up) => {
            crew.give_up(item, &Source::default(), gave_up, Stage::Downloader).await;
            None
        }
    }
}

/// The bytes of an image, unless the Prefilter has read them all.
async fn fetch(crew: &Crew, retrier: &Retrier, item: &mut Item) -> Result<Object, GaveUp> {
    if let Some(object) = item.fetched.take() {
        return Ok(object);
    }
    let working = crew.ledger.begin(Stage::Downloader, 1);
    let (limit, bytes) = (crew.settings.timeouts.object, crew.settings.object_bytes);
    let object =
        retrier.run("get", limit, || async { whole(crew.ports.objects.get(&item.locator, bytes).await?) }).await?;
    item.timings.download = Some(working.done(object.bytes.len() as u64));
    Ok(object)
}

/// A body that ended early is no image, and says nothing about the image that it was the beginning of.
fn whole(object: Object) -> Result<Object, ObjectsError> {
    let read = object.bytes.len() as u64;
    if read == object.size {
        return Ok(object);
    }
    let message = format!("the body ended after {read} of {} bytes", object.size);
    Err(ObjectsError::Failed { class: Class::Transient, message })
}

/// Decodes one image and sends it on.
async fn decode(crew: Arc<Crew>, heart: Heart, mut item: Item, source: Source, bytes: Bytes) {
    let working = crew.ledger.begin(Stage::Decoder, 1);
    let decoder = crew.decoder(&item);
    let busy = heart.busy();
    let decoded = crew.settings.blocking.run(move || decoder.decode(bytes)).await;
    drop(busy);
    match decoded {
        Ok(Ok(frame)) => {
            item.timings.decode = Some(working.done(source.bytes));
            item.credit.resize(frame.bytes());
            let decoded = Decoded { item, source, frame: Arc::new(frame), since: Instant::now() };
            drop(crew.batcher.send(decoded).await);
        }
        Ok(Err(DecodeError::Rejected(rejection))) => {
            item.timings.decode = Some(working.done(source.bytes));
            crew.finish(item.rejected(&source, rejection, &crew.settings.model)).await;
        }
        Ok(Err(error @ DecodeError::Failed(_))) => {
            tracing::warn!(%error, "downloader.decode");
            working.failed();
            item.lease.release(crew.release_delay());
        }
        // A decoder must not panic. The image goes back; received again, it is decoded apart.
        Err(Panicked) => {
            tracing::error!("downloader.panic");
            working.failed();
            item.lease.release(crew.release_delay());
        }
    }
}

impl Downloader {
    pub(crate) fn new(post: Post) -> Self {
        let retrier = post.retrier(Stage::Downloader);
        let limits = post.crew.settings.bounds.clamp(post.crew.settings.limits);
        post.crew.ledger.note(|p| p.limits = limits);
        let (to_download, to_decode) = (VecDeque::new(), VecDeque::new());
        Self { post, retrier, limits, to_download, to_decode, downloading: 0, decoding: 0 }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        while self.decoding < self.limits.decodes
            && let Some((item, source, bytes)) = self.to_decode.pop_front()
        {
            self.decoding += 1;
            let span = tracing::debug_span!(parent: item.lease.span(), "downloader.decode");
            let decoded = decode(Arc::clone(&self.post.crew), self.post.heart.clone(), item, source, bytes);
            let decoded = decoded.instrument(span);
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
            let downloaded = download(Arc::clone(&self.post.crew), self.retrier.clone(), item).instrument(span);
            ctx.spawn(downloaded.into_actor(self).map(|downloaded, downloader, ctx| {
                downloader.downloading -= 1;
                downloader.to_decode.extend(downloaded);
                downloader.pump(ctx);
            }));
        }
        self.post.crew.ledger.waiting(Stage::Downloader, self.to_download.len());
        self.post.crew.ledger.waiting(Stage::Decoder, self.to_decode.len());
        self.leave_if_idle(ctx);
    }

    fn adjust(&mut self, ctx: &mut Context<Self>) {
        let crew = &self.post.crew;
        let (mut ready, mut running) = (0, 0);
        crew.ledger.stage(Stage::Batcher, |s| ready = s.waiting);
        crew.ledger.stage(Stage::Device, |s| running = s.in_flight);
        let seen = Observed {
            to_download: self.to_download.len(),
            to_decode: self.to_decode.len(),
            ready,
            idle_devices: if running == 0 { crew.devices.len() } else { 0 },
            batch: crew.settings.batch.count,
        };
        self.limits = adjust(self.limits, seen, &crew.settings.bounds);
        let limits = self.limits;
        crew.ledger.note(|p| p.limits = limits);
        self.pump(ctx);
    }

    fn leave_if_idle(&mut self, ctx: &mut Context<Self>) {
        let working = self.downloading + self.decoding + self.to_download.len() + self.to_decode.len();
        match self.post.leaving {
            Some(Mode::Finish) if working == 0 => self.post.stop(ctx),
            // What is here is dropped, and so released.
            Some(Mode::HandBack) => self.post.stop(ctx),
            Some(Mode::Finish) | None => {}
        }
    }
}

impl Actor for Downloader {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.post.crew.settings.adjust_every, Self::adjust);
    }
}

impl Handler<Item> for Downloader {
    type Result = ();

    fn handle(&mut self, item: Item, ctx: &mut Self::Context) {
        self.post.crew.settings.probe.pass(Stage::Downloader);
        self.to_download.push_back(item);
        self.pump(ctx);
    }
}

impl Handler<Leaving> for Downloader {
    type Result = ();

    fn handle(&mut self, Leaving(mode): Leaving, ctx: &mut Self::Context) {
        self.post.leaving = Some(mode);
        self.leave_if_idle(ctx);
    }
}

abortable!(Downloader);
