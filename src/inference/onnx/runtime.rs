//! Finds the ONNX Runtime library, and holds the environment of the process, of which there is one.

use std::path::{Path, PathBuf};

use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;
use ort::logging::LogLevel;
use parking_lot::Mutex;

use super::classify::classify;
use super::execution_target::ExecutionTarget;
use super::home::Home;
use super::pull::RuntimeBuild;

/// Returns the library to load for `place`: `$ORT_DYLIB_PATH` if it is set, otherwise the installed build.
///
/// # Errors
/// [`EngineError::Misconfigured`] when the library is missing.
pub fn library(place: &ExecutionTarget, home: &Home) -> Result<PathBuf, EngineError> {
    // The library that was loaded first serves the whole process, and every build has the processor's kernels.
    if let (ExecutionTarget::Cpu, Some(path)) = (place, loaded()) {
        return Ok(path);
    }
    of_build(place.build(), home)
}

/// Returns the library of a build.
///
/// # Errors
/// [`EngineError::Misconfigured`] when the library is missing.
pub fn of_build(build: RuntimeBuild, home: &Home) -> Result<PathBuf, EngineError> {
    match own() {
        Some(path) => existing(path, "correct or unset ORT_DYLIB_PATH"),
        None => existing(build.library(home)?, build.mend()),
    }
}

/// Returns whether the library of a build is installed, or `$ORT_DYLIB_PATH` names one that may be it.
pub fn is_installed(build: RuntimeBuild, home: &Home) -> bool {
    own().is_some() || build.library(home).is_ok_and(|path| path.is_file())
}

fn own() -> Option<PathBuf> {
    std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn loaded() -> Option<PathBuf> {
    LOADED.lock().as_ref().map(|(path, _)| path.clone())
}

fn existing(path: PathBuf, mend: &str) -> Result<PathBuf, EngineError> {
    if path.is_file() {
        return Ok(path);
    }
    Err(EngineError::Misconfigured(format!(
        "ONNX Runtime is missing: there is no {}. To mend it: {mend}",
        path.display()
    )))
}

static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Returns the environment of the process, which the first caller creates from `library`.
///
/// # Errors
/// [`EngineError::Misconfigured`] when the library cannot be loaded, or another one is loaded already: a process holds
/// only one ONNX Runtime.
pub fn environment(library: &Path) -> Result<Environment, EngineError> {
    let mut loaded = LOADED.lock();
    match &*loaded {
        Some((path, environment)) if path == library => return Ok(environment.clone()),
        Some((path, _)) => {
            let (first, second) = (path.display(), library.display());
            return Err(EngineError::Misconfigured(format!(
                "this process runs on {first}; it cannot load {second} as well"
            )));
        }
        None => {}
    }
    let builder = ort::init_from(library).map_err(|error| {
        EngineError::Misconfigured(format!("ONNX Runtime: {error}. To mend it: muster models pull open"))
    })?;
    let environment = builder.with_name("muster").with_telemetry(false).build().map_err(|error| classify(&error))?;
    environment.set_log_level(LogLevel::Error);
    *loaded = Some((library.to_path_buf(), environment.clone()));
    Ok(environment)
}
