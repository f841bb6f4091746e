//! The pipeline that analyses callers' photos in this process. It runs on its own thread until the service ends, and
//! analyses photos that wait at the same time in one batch.

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

use super::admission::{AdmissionLimit, Permit};
use super::recognizer::Refusal;
use super::requests::Requests;
use muster_config::Settings;
use muster_inference::gpu::health::CardMonitor;
use muster_inference::onnx::lanes::Lanes;
use muster_inference::onnx::pack::Pack;
use muster_inference::pipeline;

/// Delay before a photo that the pipeline released is received again. It is short because a caller waits.
const RETRY: Duration = Duration::from_millis(250);

/// Most answers that are sent at the same time.
const ANSWERS: usize = 4;

/// Finds the faces in callers' photos.
pub struct RecognitionPipeline {
    admission: AdmissionLimit,
    requests: Arc<Requests>,
    progress: watch::Receiver<Progress>,
    ended: watch::Receiver<Option<Exit>>,
    thread: Option<JoinHandle<()>>,
}

impl RecognitionPipeline {
    /// Starts the pipeline over lanes that run already. It ends when one of their cards is lost.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(settings: &Settings, pack: &Pack, lanes: &Lanes) -> io::Result<Self> {
        let serve = &settings.serve;
        let admission = AdmissionLimit::new(serve.requests, serve.request_megabytes << 20);
        let requests = Arc::new(Requests::default());
        let (decoder, isolated_decoder) = pipeline::decoders(settings, pack);
        let ports = Ports {
            queue: Arc::clone(&requests) as _,
            releases: Arc::new(LocalReleases::default()),
            objects: Arc::clone(&requests) as _,
            analyses: None,
            decoder,
            isolated_decoder,
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
                let _health = CardMonitor::watch(&cards, move |reason| fault(Exit::HostFault(reason)));
                // Sending fails where the service ended during the start.
                let _ = begun.send(running.progress());
                let (exit, _) = running.finished().await;
                say.send_replace(Some(exit));
            });
        })?;
        let progress = progress.blocking_recv().map_err(io::Error::other)?;
        Ok(Self { admission, requests, progress, ended, thread: Some(thread) })
    }

    /// Takes a permit for a photo of at most `bytes`.
    ///
    /// # Errors
    /// [`Refusal::Busy`] where too many photos, or bytes of photos, wait.
    pub fn admit(&self, bytes: usize) -> Result<Permit, Refusal> {
        self.admission.admit(bytes)
    }

    /// Finds the faces in a photo that has a permit. Dropping the future withdraws the request.
    ///
    /// # Errors
    /// The photo cannot be used, or the service is stopping.
    pub async fn analyse(&self, _: &Permit, photo: Bytes) -> Result<Commit, Refusal> {
        let ticket = self.requests.ask(photo)?;
        let mut ended = self.ended.clone();
        tokio::select! {
            answer = ticket.answer() => answer,
            // The pipeline has ended and cannot answer any more.
            _ = ended.wait_for(Option::is_some) => Err(Refusal::Closed),
        }
    }

    /// Watches the progress of the pipeline.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Watches for the exit of the pipeline; `None` while it runs.
    pub fn ended(&self) -> watch::Receiver<Option<Exit>> {
        self.ended.clone()
    }

    /// Refuses new requests; the pipeline ends when all open ones have their answers.
    pub fn close(&self) {
        self.requests.close();
    }
}

impl Drop for RecognitionPipeline {
    fn drop(&mut self) {
        self.requests.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported as its exit.
            let _ = thread.join();
        }
    }
}

/// Returns pipeline settings with no more credits than admission permits.
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
