//! Runs the pipeline over folders, one round after another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::System;
use muster_actors::domain::exit::Exit;
use muster_actors::domain::facts::Facts;
use muster_actors::domain::gallery::{GalleryId, GalleryRule};
use muster_actors::domain::message::Intake;
use muster_actors::flow::progress::{Progress, Summary};
use muster_actors::grouping::Params;
use muster_actors::pipeline::settings::{
    FetcherSettings, GrouperSettings, LeaseManagerSettings, Settings as PipelineSettings, WriterSettings,
};
use muster_actors::ports::Ports;
use muster_actors::ports::engine::Engine;
use muster_actors::ports::releases::LocalReleases;
use muster_actors::runtime::drain::Drain;
use muster_actors::start;
use muster_gallery::LIBRARY_GALLERY;

use super::drawn_faces::{self, DrawnFaceError, MissingFace};
use super::stage::Exchanged;
use super::{
    FaceFinder, FolderObjects, FolderQueue, Library, LibraryError, ScanOptions, ScanReport, SqliteFaces, facts,
    grouping, roots, stage,
};
use muster_config::Settings;
use muster_inference::gpu::Card;
use muster_inference::gpu::health::CardMonitor;
use muster_inference::onnx::pack::Pack;
use muster_inference::pipeline;

/// Name of the note with the paths that were indexed last.
const PATHS: &str = "paths";
const REFRESH: Duration = Duration::from_millis(200);

/// Runs rounds with the same settings, models and store.
#[derive(Clone)]
pub struct Runner {
    settings: Settings,
    pack: Arc<Pack>,
    engines: Vec<Arc<dyn Engine>>,
    cards: Vec<Card>,
    store: Arc<SqliteFaces>,
    accept_removals: bool,
}

/// The result of one round.
pub struct IndexRound {
    /// Reason of its end.
    pub exit: Exit,
    /// Figures of the pipeline.
    pub summary: Summary,
    /// Figures of the scan.
    pub scan: ScanReport,
    /// Duration.
    pub seconds: f64,
}

/// Observes a round while it runs.
pub trait RoundObserver {
    /// Is called with the figures so far; `left` is the number of images that are known to wait.
    fn show(&mut self, progress: &Progress, scan: &ScanReport, left: Option<u64>);
    /// Is called when the round was asked to stop, and finishes the images on lanes.
    fn stopping(&mut self);
    /// Is called when the round has ended.
    fn ended(&mut self);
}

/// Reads the folders and photos that were indexed last.
pub fn remembered(library: &Library) -> Result<Vec<PathBuf>, LibraryError> {
    let Some(note) = library.note(PATHS)? else { return Ok(Vec::new()) };
    let all: Vec<(String, String)> =
        serde_json::from_str(&note).map_err(|error| LibraryError::Broken(format!("the note of paths: {error}")))?;
    Ok(all.iter().filter_map(|(bucket, key)| library.places().path(bucket, key).ok()).collect())
}

/// Stores the paths that were indexed, so that they can be indexed again without being named.
pub(super) fn remember(library: &Library, paths: &[PathBuf]) -> Result<(), LibraryError> {
    let places = library.places();
    let all: Vec<(String, String)> =
        paths.iter().map(|path| places.locate(path)).map(|place| (place.bucket, place.key)).collect();
    let text = serde_json::to_string(&all).map_err(|error| LibraryError::Broken(error.to_string()))?;
    library.set_note(PATHS, &text)
}

impl Runner {
    /// Creates a runner over engines that run already.
    pub fn new(settings: Settings, pack: Arc<Pack>, engines: Vec<Arc<dyn Engine>>, store: Arc<SqliteFaces>) -> Self {
        Self { settings, pack, engines, cards: Vec::new(), store, accept_removals: false }
    }

    /// Removes missing photos, however many they are.
    #[must_use]
    pub fn accepting_removals(self, accept_removals: bool) -> Self {
        Self { accept_removals, ..self }
    }

    /// Monitors these cards during a round; a lost one ends it.
    pub fn watching(self, cards: &[Card]) -> Self {
        Self { cards: cards.to_vec(), ..self }
    }

    /// Indexes new and changed photos below `paths`, then groups. It stops early when `stop` comes. It blocks.
    pub fn round(
        &self,
        paths: &[PathBuf],
        stop: impl Future<Output = ()>,
        watch: &mut dyn RoundObserver,
    ) -> Result<IndexRound, LibraryError> {
        let started = Instant::now();
        let options =
            ScanOptions { paths: paths.to_vec(), model: self.pack.id(), accept_removals: self.accept_removals };
        grouping::remember(&self.store, &self.params())?;
        let remembered = roots::resolve(paths)?;
        self.store.run(move |library| remember(library, &remembered)).wait()?;
        let queue = Arc::new(FolderQueue::start(Arc::clone(&self.store), options)?);
        let ports = self.ports(&queue);
        let settings = self.pipeline();
        let deadline = settings.drain_deadline;
        let scan = Arc::clone(&queue);
        let (exit, summary) = System::new().block_on(async move {
            let running = start(ports, settings);
            let fault = running.faults();
            let _health = CardMonitor::watch(&self.cards, move |reason| fault(Exit::HostFault(reason)));
            let progress = running.progress();
            let drain = running.drainer();
            let finished = running.finished();
            tokio::pin!(finished, stop);
            let mut refresh = tokio::time::interval(REFRESH);
            let mut told = false;
            loop {
                tokio::select! {
                    end = &mut finished => {
                        watch.ended();
                        break end;
                    }
                    () = &mut stop, if !told => {
                        told = true;
                        watch.stopping();
                        drain(Drain::hand_back(deadline));
                    }
                    _ = refresh.tick() => {
                        let now = progress.borrow().clone();
                        let report = scan.report();
                        let left = (report.new + report.changed).saturating_sub(now.counts.ended());
                        watch.show(&now, &report, report.finished.then_some(left));
                    }
                }
            }
        });
        if exit == Exit::Drained {
            self.restore()?;
        }
        Ok(IndexRound { exit, summary, scan: queue.report(), seconds: started.elapsed().as_secs_f64() })
    }

    /// Tells whether the library's faces are of another model than this runner's: then a round would mix the two, and
    /// [`Self::change_model`] is what is wanted.
    ///
    /// # Errors
    /// The library cannot be read.
    pub fn has_other_model(&self) -> Result<bool, LibraryError> {
        Ok(self.store.look(|library| stage::other_model(library, &self.pack.id()))?.is_some())
    }

    /// Looks at all photos below `paths` with this runner's model in a stage beside the old answers, which it then
    /// exchanges. It blocks. Without an exchange the round was stopped before; the next call goes on.
    ///
    /// # Errors
    /// The library has photos elsewhere, known photos cannot be read, or the library cannot be read or written. The old
    /// answers stay then.
    pub fn change_model(
        &self,
        paths: &[PathBuf],
        stop: impl Future<Output = ()>,
        watch: &mut dyn RoundObserver,
    ) -> Result<(IndexRound, Option<Exchanged>), LibraryError> {
        let roots = roots::resolve(paths)?;
        let model = self.pack.id();
        let outside = self.store.look(|library| stage::elsewhere(library, &roots))?;
        if let Some(folder) = outside.into_iter().next() {
            let before = self.store.look(|library| stage::model_of(library))?.unwrap_or_default();
            return Err(LibraryError::OtherFolders { before, after: model, folder });
        }
        let stage = SqliteFaces::start(self.store.look(|library| stage::open(library))?)?;
        let staged = Self { store: Arc::new(stage), ..self.clone() };
        let round = staged.round(paths, stop, watch)?;
        if round.exit != Exit::Drained {
            return Ok((round, None));
        }
        // Faces that the new model does not detect, and that somebody said are there.
        staged.find_missing(&self.store.look(|library| facts::of_library(library.db()))?)?;
        drop(staged);
        let (params, accept_removals) = (self.params(), self.accept_removals);
        let exchange = move |library: &mut Library| stage::exchange(library, &params, &model, accept_removals);
        let exchanged = self.store.run(exchange).wait()?;
        Ok((round, Some(exchanged)))
    }

    /// Finds faces that `facts` speak of, and that no detection is at the place of, in the photos of this runner's
    /// library. Faces of photos that cannot be read now are left for another time. It blocks. Returns the number that
    /// were found.
    ///
    /// # Errors
    /// The library cannot be read or written.
    fn find_missing(&self, facts: &Facts) -> Result<u64, LibraryError> {
        let missing = self.store.look(|library| drawn_faces::missing(facts, library))?;
        let (Some(engine), false) = (self.engines.first(), missing.is_empty()) else { return Ok(0) };
        let finder = FaceFinder::new(&self.settings, &self.pack, Arc::clone(engine));
        let (mut count, system) = (0, System::new());
        for MissingFace { photo, bbox } in missing {
            let found = system.block_on(finder.find(&photo.path, photo.size, bbox));
            match found {
                Ok(found) => {
                    let (id, model) = (photo.id, self.pack.id());
                    let store =
                        move |library: &mut Library| Ok(drawn_faces::store(library.db_mut(), id, &model, found));
                    match self.store.run(store).wait()? {
                        Ok(_) => count += 1,
                        Err(DrawnFaceError::Library(error)) => return Err(error),
                        Err(error) => tracing::warn!(photo = %id, %error, "library.face_lost"),
                    }
                }
                Err(error) => tracing::warn!(photo = %photo.id, %error, "library.face_lost: not found again"),
            }
        }
        Ok(count)
    }

    /// Finds the faces again that this runner's own library speaks of, and groups them.
    fn restore(&self) -> Result<(), LibraryError> {
        let facts = self.store.look(|library| facts::of_library(library.db()))?;
        if self.find_missing(&facts)? == 0 {
            return Ok(());
        }
        let params = self.params();
        match self.store.run(move |library| grouping::regroup(library, &params)).wait() {
            // Somebody corrected meanwhile: the next round groups.
            Err(LibraryError::Conflict) => Ok(()),
            done => done,
        }
    }

    fn ports(&self, queue: &Arc<FolderQueue>) -> Ports {
        let params = self.params();
        let (decoder, isolated_decoder) = pipeline::decoders(&self.settings, &self.pack);
        Ports {
            queue: Arc::clone(queue) as _,
            releases: Arc::new(LocalReleases::default()),
            objects: Arc::new(FolderObjects::new(self.store.places().clone())),
            analyses: None,
            decoder,
            isolated_decoder,
            engines: self.engines.clone(),
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
        let gallery = GalleryId(LIBRARY_GALLERY.to_owned());
        // A photo may have been the death of the last run: this one decodes all of them apart.
        let apart_at = if self.store.interrupted() { 1 } else { common.fetcher.apart_at };
        PipelineSettings {
            fetcher: FetcherSettings { apart_at, ..common.fetcher },
            intake: Intake {
                gallery: GalleryRule::Always(gallery.clone()),
                results: String::new(),
                thumbnails: None,
                removals: false,
            },
            writer: WriterSettings {
                count: ours.write_batch,
                age: Duration::from_millis(ours.write_milliseconds),
                ..common.writer
            },
            // To settle a lease of a folder costs nothing: nothing to gather for.
            lease_manager: LeaseManagerSettings { linger: Duration::ZERO, ..common.lease_manager },
            // Deletions, decisions and other settings change groups too, so a round always reconciles.
            grouper: GrouperSettings { always: vec![gallery], ..common.grouper.clone() },
            ..common
        }
    }
}
