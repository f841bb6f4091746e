//! `muster export --xmp` and `muster import` exchange names with other programs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::fact::Fact;
use muster_actors::domain::image::ImageId;
use muster_config::Layers;
use muster_library::drawn_faces::{self, DrawnFaceError};
use muster_library::travel::{self, XmpTarget};
use muster_library::{FaceFinder, Library, grouping};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::face_finder;
use super::library::LibraryArgs;
use super::people::author;
use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::{count, printable};

/// Arguments of `muster import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads names that other programs wrote in or beside the photos of the library: XMP regions of the Metadata Working
Group and of Microsoft, PersonInImage, tags of digiKam and Lightroom, and Picasa's .picasa.ini. Where a region lies
on a face that was found, the face is confirmed as that person; where none was found, the face in the region is added.
Index the photos first.

Examples:
  muster index ~/Pictures && muster import --xmp --library ~/Pictures
  muster export --json > backup.json           all that people said, among the rest
  muster import backup.json --library ~/Other  takes it into another library of these photos, wherever they lie
  muster people undo 12                        takes back what one change brought")]
pub struct Args {
    #[command(flatten)]
    library: LibraryArgs,
    /// A file that `muster export --json` wrote
    #[arg(required_unless_present = "xmp", conflicts_with = "xmp")]
    file: Option<PathBuf>,
    /// From XMP sidecar files, the photos themselves, and Picasa's files
    #[arg(long)]
    xmp: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Runs the command.
    pub fn run(self, layers: &Layers) -> Result<ExitCode, CliError> {
        let mut library = self.library.amend()?;
        if let Some(file) = &self.file {
            return restore(&mut library, file, self.json);
        }
        let mut adder = FaceAdder { layers, loaded: None };
        let imported = travel::import(&mut library, &author(), &mut |library, photo, bbox| {
            adder.add(library, photo, bbox).map_err(|error| error.to_string())
        })?;
        print(|out| {
            if self.json {
                return Ok(writeln!(out, "{:#}", json!(imported))?);
            }
            let people = imported.people.len() as u64;
            writeln!(
                out,
                "{} confirmed as {}; {} had their person already. Names were found in {}.",
                count(imported.faces, "face"),
                count(people, "person").replace("persons", "people"),
                imported.known,
                count(imported.photos, "photo")
            )?;
            if imported.added > 0 {
                let added = count(imported.added, "face");
                writeln!(out, "{added} had not been found, and were added where other programs marked them.")?;
            }
            for (name, faces) in &imported.people {
                writeln!(out, "  {:<30} {}", printable(name), count(*faces, "face"))?;
            }
            for (what, list) in [
                ("No face was found for", &imported.without_face),
                ("Confirmed as somebody else", &imported.contradicted),
            ] {
                for one in list {
                    write!(out, "{what}: {} in {}", printable(&one.name), printable(&one.path))?;
                    match &one.reason {
                        Some(reason) => writeln!(out, " ({})", printable(reason))?,
                        None => writeln!(out)?,
                    }
                }
            }
            for failed in &imported.failed {
                writeln!(out, "Not read: {}: {}", printable(&failed.path), printable(&failed.reason))?;
            }
            if let (Some(first), Some(last)) = (imported.changes.first(), imported.changes.last()) {
                writeln!(out, "These are changes {first} to {last}: `muster people undo NUMBER` takes one back.")?;
            }
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Adds faces that were not found; the models are loaded for the first one.
struct FaceAdder<'a> {
    layers: &'a Layers,
    loaded: Option<Result<(FaceFinder, Runtime), String>>,
}

impl FaceAdder<'_> {
    fn add(&mut self, library: &mut Library, photo: ImageId, drawn: BBox) -> Result<FaceId, CliError> {
        let photo = drawn_faces::photo(library.db(), library.places(), photo)?.ok_or(DrawnFaceError::Gone)?;
        let layers = self.layers;
        let loaded = self.loaded.get_or_insert_with(|| {
            let runtime = Builder::new_current_thread().build().map_err(|error| error.to_string())?;
            Ok((face_finder::load(layers, &photo.model).map_err(|error| error.to_string())?, runtime))
        });
        let (finder, runtime) = loaded.as_ref().map_err(|reason| CliError::Missing(reason.clone()))?;
        let found = runtime.block_on(finder.find(&photo.path, photo.size, drawn)).map_err(DrawnFaceError::from)?;
        Ok(drawn_faces::store(library.db_mut(), photo.id, finder.model(), found)?)
    }
}

/// Of an export, what people said.
#[derive(Deserialize)]
struct Backup {
    #[serde(default)]
    facts: Option<Vec<Fact>>,
}

/// `muster import FILE`.
fn restore(library: &mut Library, file: &Path, json: bool) -> Result<ExitCode, CliError> {
    let fault = |source| CliError::File { path: file.to_path_buf(), source };
    let opened = std::fs::File::open(file).map_err(fault)?;
    let Backup { facts } = serde_json::from_reader(std::io::BufReader::new(opened)).map_err(|error| {
        CliError::Usage(format!("{} is not what `muster export --json` writes: {error}", file.display()))
    })?;
    let Some(facts) = facts else {
        let text = format!("{} has no facts: export it again with this release of muster", file.display());
        return Err(CliError::Usage(text));
    };
    let params = grouping::recall(library)?;
    let restored = travel::restore(library, facts, &author(), &params)?;
    print(|out| {
        if json {
            return Ok(writeln!(out, "{:#}", json!(restored))?);
        }
        writeln!(
            out,
            "{} taken over, {} of them persons; {} were here already, {} contradict what was said here.",
            count(restored.facts, "fact"),
            restored.people,
            restored.known,
            restored.contradicted
        )?;
        match restored.change {
            Some(change) => Ok(writeln!(out, "`muster people undo {change}` takes this back.")?),
            None => Ok(()),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `muster export --xmp`.
pub(super) fn export(library: &mut Library, place: &XmpTarget, json: bool) -> Result<ExitCode, CliError> {
    let exported = travel::export(library, place)?;
    print(|out| {
        if json {
            return Ok(writeln!(out, "{:#}", json!(exported))?);
        }
        writeln!(
            out,
            "{} written, {} unchanged, {} deleted because nothing but old names was in it.",
            count(exported.written, "file"),
            exported.unchanged,
            exported.deleted
        )?;
        for failed in &exported.failed {
            writeln!(out, "Not written: {}: {}", printable(&failed.path), printable(&failed.reason))?;
        }
        Ok(())
    })?;
    Ok(if exported.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
