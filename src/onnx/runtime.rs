//! The ONNX Runtime library: which one, and its one environment a process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;
use ort::logging::LogLevel;

use super::classify::classify;
use super::home::Home;
use super::pull::Build;
use crate::settings::Provider;

impl Provider {
    /// What `auto` stands for here: OpenVINO where it is installed.
    pub fn resolve(self, home: &Home) -> Self {
        match self {
            Self::Auto if Build::OpenVino.library(home).is_ok_and(|path| path.is_file()) => Self::OpenVino,
            Self::Auto => Self::Cpu,
            named => named,
        }
    }
}

/// The library to load: `$ORT_DYLIB_PATH` if set, else the installed build for `provider`.
pub fn library(provider: Provider, home: &Home) -> Result<PathBuf, EngineError> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return existing(PathBuf::from(path), "correct or unset ORT_DYLIB_PATH");
    }
    match provider.resolve(home) {
        Provider::OpenVino => existing(Build::OpenVino.library(home)?, "muster models pull open --openvino"),
        Provider::Cpu | Provider::Auto => existing(Build::Cpu.library(home)?, "muster models pull open"),
    }
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

/// The process's environment, made from `library` by the first caller.
///
/// Fails as [`EngineError::Misconfigured`] when the library cannot be loaded or another one already is: a process
/// holds one ONNX Runtime.
pub fn environment(library: &Path) -> Result<Environment, EngineError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
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
