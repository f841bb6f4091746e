//! `muster export` writes every face for other programs. The same library gives the same bytes.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use serde::Serialize;
use serde_json::json;

use super::library::LibraryArgs;
use super::names;
use crate::cli::CliError;
use crate::cli::print::output;
use muster_actors::domain::image::ImageId;
use muster_gallery::copies::{Copies, HashedPhoto};
use muster_gallery::view::{FaceRow, ImageRow};
use muster_library::travel::{self, XmpTarget};
use muster_library::view::{self, FaceSelection};
use muster_library::{Library, LibraryError};

/// Arguments of `muster export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Faces are sorted by path, in a photo by detector score. Paths are relative to the folder that holds the
library, or absolute for photos elsewhere; names that are not UTF-8 begin with `bytes:` and are
percent-encoded. What looked like a face and is none is there too: `face_probability` says how likely it
is a face, `is_face` whether it counts as one. `taken` is when the photo was taken, in ISO 8601, by its
EXIF data or else by its name; `copy_of` is the path of the photo that it is a smaller or poorer copy of.

Examples:
  muster export --csv > faces.csv
  muster export --xmp                          names for digiKam, Lightroom, Windows and others
  muster export --json --output faces.json --embeddings faces.npy")]
pub struct Args {
    #[command(flatten)]
    library: LibraryArgs,
    /// One line a face
    #[arg(long, conflicts_with = "json", required_unless_present_any = ["json", "embeddings", "xmp"])]
    csv: bool,
    /// Write the names of people into a sidecar file beside each photo: `photo.jpg.xmp`
    #[arg(long, conflicts_with_all = ["csv", "json", "embeddings", "output"])]
    xmp: bool,
    /// With --xmp: write the names into photos instead; say which by --copies or --overwrite-originals
    #[arg(long, requires = "xmp")]
    embed: bool,
    /// With --embed: into copies of the photos, in this folder
    #[arg(long, value_name = "DIR", requires = "embed", conflicts_with = "overwrite_originals")]
    copies: Option<PathBuf>,
    /// With --xmp: print what was done as JSON
    #[arg(long, requires = "xmp")]
    json_summary: bool,
    /// With --embed: into the photos themselves
    #[arg(long, requires = "embed")]
    overwrite_originals: bool,
    /// One object: images, faces, groups, what could not be used, and all that people said: a backup
    #[arg(long)]
    json: bool,
    /// Write here instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write all embeddings as a (faces, dimensions) float32 array of NumPy, in the order of the faces
    #[arg(long, value_name = "FILE.npy")]
    embeddings: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, CliError> {
        if self.xmp {
            let place = match (self.embed, self.copies, self.overwrite_originals) {
                (false, ..) => XmpTarget::Sidecars,
                (true, Some(folder), _) => XmpTarget::Copies(folder),
                (true, None, true) => XmpTarget::Originals,
                (true, None, false) => {
                    let text = "--embed changes photos: add --copies DIR to write copies, or --overwrite-originals";
                    return Err(CliError::Usage(text.to_owned()));
                }
            };
            return names::export(&mut self.library.amend()?, &place, self.json_summary);
        }
        let mut library = self.library.read()?;
        // One moment for all parts, also while somebody indexes.
        library.db_mut().execute_batch("BEGIN").map_err(LibraryError::from)?;
        if self.csv {
            output(self.output.as_deref(), |out| csv(&library, out))?;
        }
        if self.json {
            output(self.output.as_deref(), |out| json(&library, out))?;
        }
        if let Some(place) = &self.embeddings {
            let all = embeddings(&library)?;
            output(Some(place), |out| all.write_npy(out).map_err(|e| CliError::Io(std::io::Error::other(e))))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

const COLUMNS: &[&str] = &[
    "path",
    "face",
    "x",
    "y",
    "width",
    "height",
    "left_eye_x",
    "left_eye_y",
    "right_eye_x",
    "right_eye_y",
    "nose_x",
    "nose_y",
    "mouth_left_x",
    "mouth_left_y",
    "mouth_right_x",
    "mouth_right_y",
    "score",
    "quality",
    "sharpness",
    "level",
    "contrast",
    "unevenness",
    "yaw",
    "pitch",
    "roll",
    "occlusion",
    "size",
    "norm",
    "reasons",
    "group",
    "name",
    "face_probability",
    "is_face",
    "taken",
    "copy_of",
];

fn csv(library: &Library, out: &mut dyn Write) -> Result<(), CliError> {
    let mut table = csv::Writer::from_writer(out);
    let fault = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(error) => CliError::Io(error),
        other => CliError::Io(std::io::Error::other(format!("{other:?}"))),
    };
    table.write_record(COLUMNS).map_err(fault)?;
    let mut origins = HashMap::new();
    for image in images(library)? {
        let (taken, copy_of) = origin(&image);
        if taken.is_some() || copy_of.is_some() {
            origins.insert(image.id, [taken, copy_of.map(str::to_owned)].map(Option::unwrap_or_default));
        }
    }
    each(library, |f| {
        let q = &f.quality;
        let mut cells = vec![f.path.clone(), f.id.to_string()];
        cells.extend([f.bbox.x, f.bbox.y, f.bbox.width, f.bbox.height].map(|v| v.to_string()));
        cells.extend(f.landmarks.as_flattened().iter().map(f32::to_string));
        let figures = [q.score, q.overall, q.sharpness, q.level, q.contrast, q.unevenness, q.yaw, q.pitch, q.roll];
        cells.extend(figures.iter().chain(&[q.occlusion, q.size, q.norm]).map(f32::to_string));
        cells.push(reasons(&f).join(" "));
        cells.push(f.group.map(|id| id.to_string()).unwrap_or_default());
        cells.push(f.name.unwrap_or_default());
        cells.push(f.quality.face.to_string());
        cells.push(f.is_face.to_string());
        cells.extend(origins.get(&f.image).cloned().unwrap_or_default());
        table.write_record(&cells).map_err(fault)
    })?;
    Ok(table.flush()?)
}

/// All images, by path, with what they are copies of.
fn images(library: &Library) -> Result<Vec<ImageRow>, LibraryError> {
    let mut images: Vec<ImageRow> = Vec::new();
    view::images(library.db(), |image| {
        images.push(image);
        Ok(())
    })?;
    let photos: Vec<HashedPhoto> = images.iter().filter_map(HashedPhoto::of).collect();
    let copies = Copies::find(&photos);
    let originals: HashSet<ImageId> = images.iter().filter_map(|image| copies.original(image.id)).collect();
    let originals = images.iter().filter(|image| originals.contains(&image.id));
    let path_of = originals.map(|image| (image.id, image.path.clone())).collect();
    copies.note(&mut images, &path_of);
    Ok(images)
}

/// When an image was taken, and the path of the one that it is a copy of.
fn origin(image: &ImageRow) -> (Option<String>, Option<&str>) {
    let taken = image.capture.taken.map(|taken| taken.to_string());
    (taken, image.copy_of.as_ref().map(|original| original.path.as_str()))
}

/// The names of what is wrong with a face.
pub(super) fn reasons(face: &FaceRow) -> Vec<String> {
    let word = |reason| serde_json::to_value(reason).ok().and_then(|v| v.as_str().map(str::to_owned));
    face.quality.reasons.iter().filter_map(word).collect()
}

/// Hands faces out, with errors of the command line.
fn each(library: &Library, mut take: impl FnMut(FaceRow) -> Result<(), CliError>) -> Result<(), CliError> {
    let mut fault = None;
    let walked = view::faces(library.db(), FaceSelection::All, |face| {
        take(face).map_err(|error| {
            let text = error.to_string();
            fault = Some(error);
            LibraryError::Broken(text)
        })
    });
    match fault {
        Some(error) => Err(error),
        None => Ok(walked?),
    }
}

/// A list of JSON, one item a line, without holding it in memory.
struct FaceList<'a> {
    out: &'a mut dyn Write,
    empty: bool,
}

impl<'a> FaceList<'a> {
    fn open(out: &'a mut dyn Write, name: &str) -> Result<Self, CliError> {
        write!(out, "\"{name}\": [")?;
        Ok(Self { out, empty: true })
    }

    fn push(&mut self, item: &impl Serialize) -> Result<(), CliError> {
        self.out.write_all(if self.empty { b"\n" } else { b",\n" })?;
        self.empty = false;
        serde_json::to_writer(&mut self.out, item).map_err(|e| CliError::Io(e.into()))
    }

    fn close(self, end: &str) -> Result<(), CliError> {
        let line = if self.empty { "" } else { "\n" };
        Ok(write!(self.out, "{line}]{end}")?)
    }
}

fn json(library: &Library, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "{{\"format\": 1,")?;
    let mut list = FaceList::open(out, "images")?;
    for i in &images(library)? {
        let (taken, copy_of) = origin(i);
        let rejection = i.reason.map(|reason| json!({ "reason": reason.as_str(), "detail": i.detail }));
        list.push(&json!({
            "path": i.path, "id": i.id, "state": i.state, "rejection": rejection, "bytes": i.bytes, "width": i.width,
            "height": i.height, "orientation": i.orientation, "quality": i.quality, "faces": i.face_count, "model": i.model,
            "taken": taken, "copy_of": copy_of,
        }))?;
    }
    list.close(",\n")?;
    let mut list = FaceList::open(out, "faces")?;
    each(library, |f| {
        list.push(&json!({
            "path": f.path, "id": f.id, "box": f.bbox, "landmarks": f.landmarks, "score": f.quality.score,
            "quality": f.quality, "group": f.group, "name": f.name, "is_face": f.is_face,
        }))
    })?;
    list.close(",\n")?;
    let mut people = view::people(library.db())?;
    people.sort_unstable_by_key(|p| p.id);
    let mut list = FaceList::open(out, "groups")?;
    for p in &people {
        list.push(&json!({ "id": p.id, "name": p.name, "faces": p.faces, "photos": p.photos, "cover": p.cover }))?;
    }
    list.close(",\n")?;
    let mut list = FaceList::open(out, "problems")?;
    for problem in view::problems(library.db())? {
        list.push(&problem)?;
    }
    list.close(",\n")?;
    // What people said: `muster import` takes it into another library.
    let mut list = FaceList::open(out, "facts")?;
    for fact in travel::backup(library)? {
        list.push(&fact)?;
    }
    list.close("}\n")
}

fn embeddings(library: &Library) -> Result<Array2<f32>, CliError> {
    let (mut rows, mut columns, mut all) = (0, 0, Vec::new());
    each(library, |face| {
        let embedding = view::embedding(library.db(), face.n)?;
        if rows > 0 && embedding.len() != columns {
            return Err(CliError::Usage(format!(
                "{} was embedded with another model than the photos before it: index again with one",
                face.path
            )));
        }
        (rows, columns) = (rows + 1, embedding.len());
        all.extend(embedding);
        Ok(())
    })?;
    Array2::from_shape_vec((rows, columns), all).map_err(|e| CliError::Io(std::io::Error::other(e)))
}
