//! The pipeline over folders: builds the embedded ends and runs one round after another over them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::System;
use muster_actors::batcher::plan::BatchLimits;
use muster_actors::concurrency::{Bounds, Limits};
use muster_actors::drain::Drain;
use muster_actors::exit::Exit;
use muster_actors::gallery::{GalleryId, GalleryRule};
use muster_actors::grouper::Params;
use muster_actors::message::Intake;
use muster_actors::ports::Ports;
use muster_actors::settings::{
    CreditSettings, GrouperSettings, KeeperSettings, PrefilterSettings, Settings as PipelineSettings, Timeouts,
    WriterSettings,
};
use muster_actors::start;

use super::grouping;
use super::outcome::Outcome;
use super::progress::View;
use super::signal::Signals;
use crate::cli::CliError;
use crate::cli::models::lanes;
use crate::local::{FolderObjects, FolderQueue, GALLERY, ScanOptions, SqliteFaces, view};
use crate::onnx::home::Home;
use crate::onnx::lanes::Lanes;
use crate::onnx::pack::Pack;
use crate::settings::Settings;
use crate::vision::decode::{Limits as DecodeLimits, VisionDecoder};

const REFRESH: Duration = Duration::from_millis(200);

/// Everything that stays from round to round: settings, models, store.
pub struct Runner {
    settings: Settings,
    pack: Pack,
    lanes: Lanes,
    store: Arc<SqliteFaces>,
}

/// How one round ended.
pub struct Round {
    /// Why it ended.
    pub exit: Exit,
    /// What it did.
    pub outcome: Outcome,
}

impl Runner {
    /// Loads the models, one lane beside the other.
    pub fn new(settings: Settings, pack: Pack, home: &Home, store: Arc<SqliteFaces>) -> Result<Self, CliError> {
        let lanes = lanes(&settings, &pack, home)?;
        Ok(Self { settings, pack, lanes, store })
    }

    /// Indexes what is new or changed below `paths`, then groups.
    pub fn round(&self, paths: &[PathBuf], signals: &Signals) -> Result<Round, CliError> {
        let started = Instant::now();
        let options = ScanOptions { paths: paths.to_vec(), model: self.pack.id() };
        grouping::remember(&self.store, &self.params())?;
        let queue = Arc::new(FolderQueue::start(Arc::clone(&self.store), options)?);
        let ports = self.ports(&queue);
        let settings = self.pipeline();
        let deadline = settings.drain_deadline;
        let scan = Arc::clone(&queue);
        let (exit, summary) = System::new().block_on(async move {
            let running = start(ports, settings);
            let progress = running.progress();
            let drain = running.drainer();
            let finished = running.finished();
            tokio::pin!(finished);
            let asked = signals.asked();
            tokio::pin!(asked);
            let mut view = View::start();
            let mut refresh = tokio::time::interval(REFRESH);
            let mut told = false;
            loop {
                tokio::select! {
                    end = &mut finished => {
                        view.finish();
                        break end;
                    }
                    () = &mut asked, if !told => {
                        told = true;
                        view.say("stopping: finishing what is on a lane (Ctrl-C again ends at once)");
                        drain(Drain::hand_back(deadline));
                    }
                    _ = refresh.tick() => {
                        let now = progress.borrow().clone();
                        let report = scan.report();
                        let left = (report.new + report.changed).saturating_sub(now.counts.ended());
                        view.show(&now, report.finished.then_some(left));
                    }
                }
            }
        });
        let totals = self.store.look(|library| view::totals(library.db()))?;
        let seconds = started.elapsed().as_secs_f64();
        let outcome = Outcome::new(&queue.report(), &summary, &totals, seconds, self.lanes.tensors());
        Ok(Round { exit, outcome })
    }

    fn ports(&self, queue: &Arc<FolderQueue>) -> Ports {
        let limits = &self.settings.limits;
        let decode = DecodeLimits { bytes: limits.image_megabytes << 20, pixels: limits.image_megapixels * 1_000_000 };
        let params = self.params();
        Ports {
            queue: Arc::clone(queue) as _,
            objects: Arc::new(FolderObjects::new(self.store.places().clone())),
            decoder: Arc::new(VisionDecoder { limits: decode, side: self.pack.manifest().detector.side }),
            engines: self.lanes.engines(),
            faces: Arc::clone(&self.store) as _,
            reconcile: Some(Arc::new(move |_, snapshot| grouping::group(snapshot, &params))),
        }
    }

    fn params(&self) -> Params {
        params(&self.settings, &self.pack)
    }

    fn pipeline(&self) -> PipelineSettings {
        let ours = &self.settings.pipeline;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let decodes = if ours.decoders == 0 { cores } else { ours.decoders };
        let hang = Duration::from_secs(ours.hang_seconds);
        let defaults = PipelineSettings::default();
        PipelineSettings {
            model: self.pack.id(),
            intake: Intake { gallery: GalleryRule::Always(GalleryId(GALLERY.to_owned())), results: String::new() },
            object_bytes: self.settings.limits.image_megabytes << 20,
            credits: CreditSettings { count: ours.credits, bytes: ours.credit_megabytes << 20, ..defaults.credits },
            prefilter: (self.settings.prefilter.threshold > 0.0).then_some(PrefilterSettings {
                threshold: self.settings.prefilter.threshold,
                head_bytes: 256 << 10,
                at_once: decodes,
            }),
            limits: Limits { downloads: decodes, decodes },
            bounds: Bounds {
                least: Limits { downloads: 1, decodes: 1 },
                most: Limits { downloads: 4 * decodes, decodes },
            },
            batch: BatchLimits {
                count: ours.batch,
                age: Duration::from_millis(ours.batch_milliseconds),
                ..defaults.batch
            },
            writer: WriterSettings {
                count: ours.write_batch,
                age: Duration::from_millis(ours.write_milliseconds),
                ..defaults.writer
            },
            // To settle a lease of a folder costs nothing: nothing to gather for.
            keeper: KeeperSettings { linger: Duration::ZERO, ..defaults.keeper },
            // Deletions, decisions and other settings change groups too, so a round always reconciles.
            grouper: GrouperSettings { always: vec![GalleryId(GALLERY.to_owned())], ..defaults.grouper.clone() },
            timeouts: Timeouts { engine: hang, rebuild: hang, ..defaults.timeouts },
            drain_deadline: Duration::from_secs(ours.drain_seconds),
            ..defaults
        }
    }
}

/// The grouping parameters in force: the settings', where they say so, else the pack's.
pub fn params(settings: &Settings, pack: &Pack) -> Params {
    let mut params = Params::around(pack.manifest().grouping.similarity);
    if settings.grouping.threshold > 0.0 {
        params = Params::around(settings.grouping.threshold);
    }
    params.min_size = settings.grouping.min_size;
    params
}
