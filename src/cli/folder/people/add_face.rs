//! `muster people add-face` adds a face that the detector did not find.

use std::path::Path;
use std::str::FromStr;

use muster_actors::domain::face::BBox;
use muster_config::Layers;
use muster_gallery::enrolment::{self, FaceOwner};
use muster_library::correct::correct;
use muster_library::drawn_faces::{self, DrawnFaceError, DrawnOn};
use muster_library::{Library, adopt, grouping, pages, roots};
use serde_json::json;

use super::author;
use crate::cli::CliError;
use crate::cli::folder::face_finder;
use crate::cli::folder::library::group;
use crate::cli::print::print;

/// A box as it is typed: `X,Y,WIDTH,HEIGHT`, in pixels of the upright photo.
#[derive(Clone, Copy, Debug)]
pub(super) struct TypedBox(BBox);

impl FromStr for TypedBox {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<f32>, _> = text.split(',').map(|number| number.trim().parse()).collect();
        match numbers.as_deref() {
            Ok(&[x, y, width, height]) => Ok(Self(BBox { x, y, width, height })),
            _ => Err("a box is four numbers: X,Y,WIDTH,HEIGHT in pixels of the upright photo".to_owned()),
        }
    }
}

/// Adds the face in a box of a photo; it is `person`'s, by name or id, where one is given. A name that nobody has is that
/// of a new person.
pub(super) fn run(
    library: &mut Library,
    layers: &Layers,
    photo: &Path,
    TypedBox(drawn): TypedBox,
    person: Option<&str>,
    json: bool,
) -> Result<(), CliError> {
    let photo = indexed(library, photo)?;
    // Before the models are loaded: whom it names may not be clear.
    let owner = match person.map(|text| (text, group(library, text))) {
        None => FaceOwner::Unsaid,
        Some((_, Ok(group))) => FaceOwner::Person(group),
        Some((text, Err(CliError::Missing(_)))) => FaceOwner::New(text.trim().to_owned()),
        Some((_, Err(other))) => return Err(other),
    };
    let finder = face_finder::load(layers, &photo.model)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let found = runtime.block_on(finder.find(&photo.path, photo.size, drawn)).map_err(DrawnFaceError::from)?;
    let face = drawn_faces::store(library.db_mut(), photo.id, &photo.model, found)?;
    let home = pages::face(library.db(), face)?.and_then(|face| face.group);
    let correction = enrolment::added_face(face, home, owner);
    let mut told = correct(library.db_mut(), &correction, &author())?;
    let params = grouping::recall(library)?;
    told.adopted(&adopt::adopt(library.db_mut(), &told, &params)?);
    print(|out| {
        if json {
            let mut answer = json!(told);
            answer["face"] = json!(face);
            return Ok(writeln!(out, "{answer:#}")?);
        }
        writeln!(out, "Face {face} of {}", photo.path.display())?;
        write!(out, "{told}")?;
        match told.change {
            Some(change) => Ok(writeln!(out, "`muster people undo {change}` takes this back.")?),
            None => Ok(()),
        }
    })
}

fn indexed(library: &Library, given: &Path) -> Result<DrawnOn, CliError> {
    let path = roots::absolute(given)?;
    let id = library.places().locate(&path).id();
    drawn_faces::photo(library.db(), library.places(), id)?.ok_or_else(|| {
        CliError::Missing(format!("{} is not in the library: index it first (`muster index`)", given.display()))
    })
}
