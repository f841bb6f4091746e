//! Judges the thumbnail in an image's header: what is too poor is recorded and never downloaded.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use tracing::{Instrument, Span};

use crate::crew::{Crew, Leaving, Post, abortable};
use crate::drain::Mode;
use crate::error::retry::Retrier;
use crate::error::route::Strategy;
use crate::item::{Item, Source};
use crate::progress::Stage;
use crate::settings::PrefilterSettings;
use crate::supervisor::heart::Heart;

/// Passes images on, or ends them as of low quality.
pub(crate) struct Prefilter {
    post: Post,
    retrier: Retrier,
    queue: VecDeque<Item>,
}

/// Judges one image and sends it on.
async fn judge(crew: Arc<Crew>, retrier: Retrier, heart: Heart, settings: PrefilterSettings, mut item: Item) {
    let working = crew.ledger.begin(Stage::Prefilter, 1);
    let limit = crew.settings.timeouts.object;
    let head = retrier.run("head", limit, || crew.ports.objects.head(&item.locator, settings.head_bytes)).await;
    let head = match head {
        Ok(head) => head,
        // The download will say better what is wrong.
        Err(gave_up) if gave_up.strategy == Strategy::Release => {
            working.failed();
            drop(crew.downloader.send(item).await);
            return;
        }
        Err(gave_up) => {
            working.failed();
            crew.give_up(item, &Source::default(), gave_up, Stage::Prefilter).await;
            return;
        }
    };
    let source = Source::from(&head);
    let read = head.bytes.len() as u64;
    let decoder = Arc::clone(&crew.ports.decoder);
    let busy = heart.busy();
    // A judge that panics has no opinion.
    item.quality = crew.settings.blocking.run(move || decoder.judge_header(&head.bytes)).await.unwrap_or(None);
    drop(busy);
    working.done(read);
    if item.quality.is_some_and(|quality| quality < settings.threshold) {
        crew.ledger.stage(Stage::Prefilter, |s| s.bytes_saved += source.bytes.saturating_sub(read));
        crew.finish(item.low_quality(&source, &crew.settings.model)).await;
    } else {
        drop(crew.downloader.send(item).await);
    }
}

/// Without a threshold everything passes.
async fn pass(crew: Arc<Crew>, item: Item) {
    drop(crew.downloader.send(item).await);
}

impl Prefilter {
    pub(crate) fn new(post: Post) -> Self {
        let retrier = post.retrier();
        Self { post, retrier, queue: VecDeque::new() }
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        let settings = self.post.crew.settings.prefilter;
        let at_once = settings.map_or(usize::MAX, |s| s.at_once.max(1));
        while self.post.in_flight < at_once
            && let Some(item) = self.queue.pop_front()
        {
            let (crew, retrier, heart) = (Arc::clone(&self.post.crew), self.retrier.clone(), self.post.heart.clone());
            self.post.in_flight += 1;
            let span = match settings {
                Some(_) => tracing::debug_span!(parent: item.lease.span(), "prefilter.judge"),
                None => Span::none(),
            };
            let judged = async move {
                match settings {
                    Some(settings) => judge(crew, retrier, heart, settings, item).await,
                    None => pass(crew, item).await,
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
