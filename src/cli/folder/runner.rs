//! The pipeline over folders: builds the embedded ends and runs one round after another over them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::System;
use muster_actors::drain::Drain;
use muster_actors::exit::Exit;
use muster_actors::gallery::{GalleryId, GalleryRule};
use muster_actors::grouper::Params;
use muster_actors::message::Intake;
use muster_actors::ports::Ports;
use muster_actors::settings::{
    FetcherSettings, GrouperSettings, KeeperSettings, Settings as PipelineSettings, WriterSettings,
};
use muster_actors::start;

use super::grouping;
use super::outcome::Outcome;
use super::progress::View;
use crate::cli::CliError;
use crate::cli::models::lanes;
use crate::cli::signal::Signals;
use crate::local::{FolderObjects, FolderQueue, GALLERY, ScanOptions, SqliteFaces, view};
use crate::onnx::home::Home;
use crate::onnx::lanes::Lanes;
use crate::onnx::pack::Pack;
use crate::pipeline;
use crate::settings::Settings;

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
        let params = self.params();
        let (decoder, apart) = pipeline::decoders(&self.settings, &self.pack);
        Ports {
            queue: Arc::clone(queue) as _,
            objects: Arc::new(FolderObjects::new(self.store.places().clone())),
            analyses: None,
            decoder,
            apart,
            engines: self.lanes.engines(),
            faces: Arc::clone(&self.store) as _,
            reconcile: Some(Arc::new(move |_, snapshot| grouping::group(snapshot, &params))),
        }
    }

    fn params(&self) -> Params {
        pipeline::params(&self.settings, self.pack.manifest())
    }

    fn pipeline(&self) -> PipelineSettings {
        let ours = &self.settings.pipeline;
        let common = pipeline::settings(&self.settings, self.pack.id());
        let gallery = GalleryId(GALLERY.to_owned());
        // A photo may have been the death of the last run: this one decodes all of them apart.
        let apart_at = if self.store.interrupted() { 1 } else { common.fetcher.apart_at };
        PipelineSettings {
            fetcher: FetcherSettings { apart_at, ..common.fetcher },
            intake: Intake { gallery: GalleryRule::Always(gallery.clone()), results: String::new(), thumbnails: None },
            writer: WriterSettings {
                count: ours.write_batch,
                age: Duration::from_millis(ours.write_milliseconds),
                ..common.writer
            },
            // To settle a lease of a folder costs nothing: nothing to gather for.
            keeper: KeeperSettings { linger: Duration::ZERO, ..common.keeper },
            // Deletions, decisions and other settings change groups too, so a round always reconciles.
            grouper: GrouperSettings { always: vec![gallery], ..common.grouper.clone() },
            ..common
        }
    }
}
