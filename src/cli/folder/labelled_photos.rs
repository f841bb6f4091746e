//! Indexes photos in one folder a person, and labels their faces by the folders.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use muster_actors::domain::capture::Capture;
use muster_actors::domain::exit::Exit;
use muster_actors::domain::gallery::FaceVector;
use muster_actors::domain::image::ImageId;

use super::progress::ProgressView;
use crate::cli::CliError;
use crate::cli::models::lanes;
use crate::cli::signal::Signals;
use muster_config::Settings;
use muster_evaluation::LabelledFaces;
use muster_evaluation::folders::{largest_faces, person_folder};
use muster_gallery::view::FaceRow;
use muster_inference::onnx::home::Home;
use muster_inference::onnx::pack::Pack;
use muster_library::view::{self, FaceSelection};
use muster_library::{Library, LibraryError, Runner, SqliteFaces};

/// Indexes what is new or changed below `photos` into the library at `folder`. Blocking.
pub(super) fn index(
    photos: &Path,
    folder: &Path,
    mut settings: Settings,
    pack: Pack,
    home: &Home,
) -> Result<Exit, CliError> {
    if !photos.is_dir() {
        return Err(CliError::Missing(format!("{} is no folder: check the path", photos.display())));
    }
    pack.verify()?;
    let store = Arc::new(SqliteFaces::start(Library::create(folder)?)?);
    let lanes = lanes(&mut settings, &pack, home, usize::MAX)?;
    let runner = Runner::new(settings, Arc::new(pack), lanes.engines(), Arc::clone(&store)).watching(lanes.cards());
    let signals = Signals::listen()?;
    let round = runner.round(&[photos.to_path_buf()], signals.asked(), &mut ProgressView::start())?;
    Ok(round.exit)
}

/// All faces of a library. The largest face of a photo in a person's folder, which lies in
/// `photos`, is the person's.
pub(super) fn labelled(library: &Library, photos: &Path) -> Result<LabelledFaces, CliError> {
    let photos = photos.canonicalize().map_err(|error| LibraryError::io(photos, &error))?;
    let mut rows: Vec<FaceRow> = Vec::new();
    view::faces(library.db(), FaceSelection::All, |face| {
        // What is no face is not grouped in a library either.
        rows.extend(Some(face).filter(|face| face.is_face));
        Ok(())
    })?;
    // Names in a series would tell who is in a person's folder.
    let mut captures: HashMap<ImageId, Capture> = HashMap::new();
    view::images(library.db(), |image| {
        captures.insert(image.id, Capture { series: None, ..image.capture });
        Ok(())
    })?;
    let largest = largest_faces(rows.iter().map(|row| (row.image, row.id, row.bbox)));
    let mut people: BTreeMap<OsString, u32> = BTreeMap::new();
    let mut faces = Vec::with_capacity(rows.len());
    for row in &rows {
        let path = library.places().path(&row.bucket, &row.key).ok();
        let folder = path.as_deref().and_then(|path| person_folder(&photos, path));
        let person = folder.filter(|_| largest.get(&row.image) == Some(&row.id)).map(|folder| {
            let next = people.len() as u32;
            *people.entry(folder.to_owned()).or_insert(next)
        });
        let embedding = view::embedding(library.db(), row.n)?;
        let face = FaceVector {
            id: row.id,
            image: row.image,
            embedding,
            quality: row.quality.overall,
            capture: captures.get(&row.image).copied().unwrap_or_default(),
            place: None,
        };
        faces.push((face, person));
    }
    if people.is_empty() {
        return Err(CliError::Missing(format!(
            "no face was found in a person's folder below {}: put the photos of each person into a folder of their own",
            photos.display()
        )));
    }
    Ok(LabelledFaces::new(faces))
}
