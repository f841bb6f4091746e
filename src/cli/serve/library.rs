//! Puts together a web service over a library.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::CliError;
use crate::cli::models::lanes;
use muster_config::Settings;
use muster_http::gallery_stores::LibraryGallery;
use muster_http::gallery_stores::LibraryGalleryStore;
use muster_http::jobs::Jobs;
use muster_http::{AppState, PhotoLimits, ServiceParts};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::lanes::Lanes;
use muster_inference::onnx::pack::Pack;
use muster_library::{Library, Runner, SqliteFaces, runner};
use muster_telemetry::{ModelRuns, ProcessMetrics};
use muster_worker::recognition::{self, LocalRecognizer, RecognitionIndex, RecognitionPipeline};

/// Recognition in this process over the library in `folder`; `paths` are what can be indexed, none those that were indexed last.
pub fn open(settings: &mut Settings, folder: &Path, paths: &[PathBuf]) -> Result<ServiceParts, CliError> {
    let home = Home::from_env()?;
    let pack = Pack::open(&settings.models.pack, &home)?;
    pack.verify()?;
    let pack = Arc::new(pack);
    let store = Arc::new(SqliteFaces::start(Library::create(folder)?)?);
    let lanes = lanes(settings, &pack, &home, usize::MAX)?;
    let engines = lanes.engines();
    let folder = store.look(|library| Ok(library.folder().to_owned()))?;
    let rule = recognition::rule(settings, pack.manifest());
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
    let galleries = LibraryGalleryStore::new(store, Library::read(&folder)?, Arc::clone(&index))?;
    let here = Arc::new(LocalRecognizer { pipeline: RecognitionPipeline::start(settings, &pack, &lanes)?, index });
    let state = AppState {
        recognizer: here,
        limits: limits(settings),
        process: measured(&pack, lanes),
        metrics: Arc::default(),
    };
    Ok(ServiceParts {
        state: Arc::new(state),
        galleries: Some(Arc::new(galleries)),
        jobs: Some(Arc::new(Jobs::new(Arc::new(runner), paths, Arc::new(move || grouped.changed())))),
        admin: None,
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
