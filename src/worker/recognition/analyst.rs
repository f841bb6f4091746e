//! A pipeline that answers callers: it runs on a thread of its own for as long as the service lives. What waits at the same
//! time is analysed in one batch.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::System;
use bytes::Bytes;
use muster_actors::domain::exit::Exit;
use muster_actors::flow::progress::Progress;
use muster_actors::pipeline::settings::{CreditSettings, Settings as PipelineSettings, WriterSettings};
use muster_actors::ports::Ports;
use muster_actors::ports::faces::Commit;
use muster_actors::ports::releases::LocalReleases;
use muster_actors::start;
use tokio::sync::{oneshot, watch};

use super::recognizer::Refusal;
use super::requests::Requests;
use super::room::{Place, Room};
use muster_config::Settings;
use muster_inference::gpu::health::Health;
use muster_inference::onnx::lanes::Lanes;
use muster_inference::onnx::pack::Pack;
use muster_inference::pipeline;

/// An image that the pipeline had to give back comes again so soon: its caller waits.
const RETRY: Duration = Duration::from_millis(250);

/// Answers on their way at once.
const ANSWERS: usize = 4;

/// Finds the faces in photos of callers.
pub struct Analyst {
    room: Room,
    requests: Arc<Requests>,
    progress: watch::Receiver<Progress>,
    ended: watch::Receiver<Option<Exit>>,
    thread: Option<JoinHandle<()>>,
}

impl Analyst {
    /// Starts the pipeline over lanes that run already; a card of theirs that is lost ends it.
    pub fn start(settings: &Settings, pack: &Pack, lanes: &Lanes) -> io::Result<Self> {
        let serve = &settings.serve;
        let room = Room::new(serve.requests, serve.request_megabytes << 20);
        let requests = Arc::new(Requests::default());
        let (decoder, apart) = pipeline::decoders(settings, pack);
        let ports = Ports {
            queue: Arc::clone(&requests) as _,
            releases: Arc::new(LocalReleases::default()),
            objects: Arc::clone(&requests) as _,
            analyses: None,
            decoder,
            apart,
            engines: lanes.engines(),
            faces: Arc::clone(&requests) as _,
            reconcile: None,
        };
        let pipeline = self::settings(settings, pack.id());
        let (say, ended) = watch::channel(None);
        let (begun, progress) = oneshot::channel();
        let cards = lanes.cards().to_vec();
        let thread = std::thread::Builder::new().name("recognition".into()).spawn(move || {
            System::new().block_on(async move {
                let running = start(ports, pipeline);
                let fault = running.faults();
                let _health = Health::watch(&cards, move |reason| fault(Exit::HostFault(reason)));
                // The service went away while it started.
                let _ = begun.send(running.progress());
                let (exit, _) = running.finished().await;
                say.send_replace(Some(exit));
            });
        })?;
        let progress = progress.blocking_recv().map_err(io::Error::other)?;
        Ok(Self { room, requests, progress, ended, thread: Some(thread) })
    }

    /// A place for a photo of at most `bytes`.
    ///
    /// # Errors
    /// There is no room.
    pub fn place(&self, bytes: usize) -> Result<Place, Refusal> {
        self.room.place(bytes)
    }

    /// The faces in a photo that has its place. Dropped, the request is withdrawn.
    ///
    /// # Errors
    /// The photo cannot be used, or the service is stopping.
    pub async fn analyse(&self, _: &Place, photo: Bytes) -> Result<Commit, Refusal> {
        let ticket = self.requests.ask(photo)?;
        let mut ended = self.ended.clone();
        tokio::select! {
            answer = ticket.answer() => answer,
            // Nobody is left who could answer.
            _ = ended.wait_for(Option::is_some) => Err(Refusal::Closed),
        }
    }

    /// What the pipeline does.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// How the pipeline ended, once it has.
    pub fn ended(&self) -> watch::Receiver<Option<Exit>> {
        self.ended.clone()
    }

    /// Takes no more requests; the pipeline ends when all that are open have their answers.
    pub fn close(&self) {
        self.requests.close();
    }
}

impl Drop for Analyst {
    fn drop(&mut self) {
        self.requests.close();
        if let Some(thread) = self.thread.take() {
            // A panic there was told as its exit.
            let _ = thread.join();
        }
    }
}

/// No more photos on their way than there is room for.
fn settings(settings: &Settings, model: String) -> PipelineSettings {
    let answering = pipeline::answering(&settings.serve, pipeline::settings(settings, model));
    let count = settings.serve.requests.min(answering.credits.count);
    PipelineSettings {
        credits: CreditSettings { count, ..answering.credits },
        writer: WriterSettings { at_once: ANSWERS, ..answering.writer },
        release_delay: RETRY,
        drop_delay: RETRY,
        adopt: muster_telemetry::adopt,
        ..answering
    }
}
