//! The pack that a library's faces are of.

use muster_config::{Layers, Origin, Settings};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::pack::Pack;

use crate::cli::CliError;

/// Opens the pack with the id `model`, such as `open@1`: the pack of the settings, or the installed one of that name.
///
/// # Errors
/// No such pack is installed.
pub(super) fn with_id(settings: &Settings, home: &Home, model: &str) -> Result<Pack, CliError> {
    // The name comes from the library, which chooses no paths.
    let packs = [Pack::open(&settings.models.pack, home), Pack::installed(name_of(model), home)];
    packs.into_iter().flatten().find(|pack| pack.id() == model).ok_or_else(|| not_installed(model))
}

/// Opens the pack that the settings name. Where nobody named one, and the library's faces are of a pack of another name,
/// it is that one: a library stays with its model until somebody says otherwise.
///
/// # Errors
/// The pack is not installed, or is not what its manifest says.
pub(in crate::cli) fn settled(
    layers: &Layers,
    settings: &Settings,
    home: &Home,
    model: Option<&str>,
) -> Result<Pack, CliError> {
    let is_chosen = is_chosen(layers);
    match model.map(|model| (model, name_of(model))) {
        Some((model, name)) if !is_chosen && name != settings.models.pack => {
            Pack::installed(name, home).map_err(|_| not_installed(model))
        }
        _ => Ok(Pack::open(&settings.models.pack, home)?),
    }
}

/// Tells whether somebody named a pack, on the command line, in the environment or in a file.
pub(in crate::cli) fn is_chosen(layers: &Layers) -> bool {
    layers.iter().any(|(key, _, origin)| key == "models.pack" && *origin != Origin::Default)
}

fn name_of(model: &str) -> &str {
    model.split('@').next().unwrap_or(model)
}

fn not_installed(model: &str) -> CliError {
    CliError::Missing(format!(
        "the faces of this library are of the model {model}, which is not installed: install it (`muster models pull \
         {}`), or say where it is or which other one to change to (`muster index PHOTOS --model PACK`)",
        name_of(model)
    ))
}
