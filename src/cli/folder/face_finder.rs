//! The models that looked at a photo, to look at a box of it.

use muster_config::Layers;
use muster_inference::onnx::home::Home;
use muster_library::FaceFinder;

use super::library_pack;
use crate::cli::CliError;
use crate::cli::models::lanes;

/// Loads the pack with the id `model`, such as `open@1`: the pack of the settings, or the installed pack of that name.
///
/// # Errors
/// No such pack is installed, or its models cannot be loaded.
pub(super) fn load(layers: &Layers, model: &str) -> Result<FaceFinder, CliError> {
    let mut settings = layers.settings()?;
    let home = Home::from_env()?;
    let pack = library_pack::with_id(&settings, &home, model)?;
    pack.verify()?;
    let lanes = lanes(&mut settings, &pack, &home, 1)?;
    let engine = lanes.engines().into_iter().next();
    let engine = engine.ok_or_else(|| CliError::Missing("no engine runs the models".to_owned()))?;
    Ok(FaceFinder::new(&settings, &pack, engine))
}
