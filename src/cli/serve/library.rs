//! Puts together a web service over a library.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::CliError;
use crate::cli::folder::library_pack;
use crate::cli::models::lanes;
use muster_config::{Layers, Settings};
use muster_http::gallery_stores::LibraryGallery;
use muster_http::gallery_stores::LibraryGalleryStore;
use muster_http::jobs::{JobLog, Jobs, RunnerFactory};
use muster_http::{AppState, PhotoLimits, ServiceParts};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::lanes::Lanes;
use muster_inference::onnx::pack::Pack;
use muster_library::{FaceFinder, Library, LibraryError, Runner, SqliteFaces, runner, stage};
use muster_telemetry::{ModelRuns, ProcessMetrics};
use muster_worker::recognition::{self, LocalRecognizer, RecognitionIndex, RecognitionPipeline};

/// Recognition in this process over the library in `folder`; `paths` are what can be indexed, none those that were indexed last.
pub fn open(
    layers: &Layers,
    mut settings: Settings,
    folder: &Path,
    paths: &[PathBuf],
    log: &Arc<JobLog>,
) -> Result<ServiceParts, CliError> {
    let home = Home::from_env()?;
    let store = Arc::new(SqliteFaces::start(create(folder)?)?);
    let model = store.look(|library| stage::model_of(library))?;
    let pack = library_pack::settled(layers, &settings, &home, model.as_deref())?;
    pack.verify()?;
    let pack = Arc::new(pack);
    // Before the lanes measure how large a batch of this pack is.
    let with_model = with_model(layers, &settings, &home, &pack, &store);
    let lanes = lanes(&mut settings, &pack, &home, usize::MAX)?;
    let engines = lanes.engines();
    let folder = store.look(|library| Ok(library.folder().to_owned()))?;
    let rule = recognition::rule(&settings, pack.manifest());
    let dimensions = pack.manifest().embedder.dimensions as usize;
    let gallery = LibraryGallery::new(Library::read(&folder)?);
    let index = Arc::new(RecognitionIndex::new(Arc::new(gallery), rule, dimensions));
    let paths = match paths {
        [] => store.look(|library| runner::remembered(library))?,
        paths => paths.to_vec(),
    };
    // One lane at least is left to callers while photos are indexed.
    let indexing = engines[..engines.len().saturating_sub(1).max(1)].to_vec();
    let runner = Runner::new(settings.clone(), Arc::clone(&pack), indexing, Arc::clone(&store));
    let grouped = Arc::clone(&index);
    let engine = engines.first().ok_or_else(|| CliError::Missing("no engine runs the models".to_owned()))?;
    let finder = FaceFinder::new(&settings, &pack, Arc::clone(engine));
    let galleries = LibraryGalleryStore::new(store, Library::read(&folder)?, Arc::clone(&index), finder)?;
    let here = Arc::new(LocalRecognizer { pipeline: RecognitionPipeline::start(&settings, &pack, &lanes)?, index });
    let state = AppState {
        recognizer: here,
        limits: limits(&settings),
        process: measured(&pack, lanes),
        metrics: Arc::default(),
    };
    Ok(ServiceParts {
        state: Arc::new(state),
        galleries: Some(Arc::new(galleries)),
        jobs: Some(Arc::new(Jobs::new(
            runner,
            paths,
            with_model,
            Arc::new(move || grouped.changed()),
            Arc::clone(log),
        ))),
        admin: None,
    })
}

/// Opens the library for writing. After a change of the model a call of the parts before may still read it for a while.
fn create(folder: &Path) -> Result<Library, LibraryError> {
    const RELEASE_TIMEOUT: Duration = Duration::from_secs(20);
    let begun = Instant::now();
    loop {
        match Library::create(folder) {
            Err(LibraryError::Locked { holder, .. })
                if holder == Some(std::process::id()) && begun.elapsed() < RELEASE_TIMEOUT =>
            {
                std::thread::sleep(Duration::from_millis(100));
            }
            done => return done,
        }
    }
}

/// Returns what makes runners over the same library with other packs.
fn with_model(
    layers: &Layers,
    settings: &Settings,
    home: &Home,
    pack: &Pack,
    store: &Arc<SqliteFaces>,
) -> Box<RunnerFactory> {
    let (is_chosen, settings, home) = (library_pack::is_chosen(layers), settings.clone(), home.clone());
    let (current, store) = (pack.id(), Arc::clone(store));
    Box::new(move |name| {
        let chosen = &settings.models.pack;
        if is_chosen && name != chosen {
            return Err(format!(
                "models.pack is set to {chosen}, to which the service would go back: take the setting away, and start the \
                 service anew"
            ));
        }
        // A name, and no path to a folder that the caller chooses.
        let pack = Pack::installed(name, &home).map_err(|error| error.to_string())?;
        let model = store.look(|library| stage::model_of(library)).map_err(|error| error.to_string())?;
        if pack.id() == current && model.is_none_or(|model| model == current) {
            return Err(format!("the library is of the model {current} already"));
        }
        let (mut settings, home, store) = (settings.clone(), home.clone(), Arc::clone(&store));
        Ok(Box::new(move || {
            pack.verify().map_err(|error| error.to_string())?;
            // One lane: the others answer callers meanwhile.
            let lanes = lanes(&mut settings, &pack, &home, 1).map_err(|error| error.to_string())?;
            Ok(Runner::new(settings, Arc::new(pack), lanes.engines(), store).watching(lanes.cards()))
        }))
    })
}

/// Returns the limits of uploads.
pub fn limits(settings: &Settings) -> PhotoLimits {
    PhotoLimits { bytes: settings.serve.photo_megabytes << 20, photos: settings.serve.enrol_photos }
}

fn measured(pack: &Pack, lanes: Lanes) -> Box<dyn Fn() -> ProcessMetrics + Send + Sync> {
    let manifest = pack.manifest();
    let files = [("detector", manifest.detector.file.clone()), ("embedder", manifest.embedder.file.clone())];
    Box::new(move || {
        let models = files.iter().map(|(model, file)| {
            let (runs, seconds) = lanes.tally().of(file);
            ModelRuns { model, runs, seconds }
        });
        ProcessMetrics {
            device: lanes.place(),
            service: String::from("recognition"),
            models: models.collect(),
            ..ProcessMetrics::default()
        }
    })
}
