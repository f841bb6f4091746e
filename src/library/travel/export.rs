//! Writes names as XMP: into sidecar files, into copies of photos, or into the photos themselves.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use muster_xmp::{PhotoNames, Region, RegionKind, XmpError, write_image, write_sidecar};
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::photo::{Photo, photos, upright_box};
use crate::{Library, LibraryError};

/// Where names are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XmpTarget {
    /// `photo.jpg.xmp` beside each photo; no photo is touched.
    Sidecars,
    /// Into copies of the photos that have names, in this folder.
    Copies(PathBuf),
    /// Into the photos.
    Originals,
}

/// What an export came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Files that were written.
    pub written: u64,
    /// Sidecar files that held nothing but names that are gone, and were deleted.
    pub deleted: u64,
    /// Files that have the names already.
    pub unchanged: u64,
    /// Photos that could not be given their names, with the reason.
    pub failed: Vec<ExportFailure>,
}

/// A photo that could not be given its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportFailure {
    /// Its path, as people read it.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A region as it is remembered, so that a name which changes replaces the one that was written before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct WrittenNames {
    name: String,
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

/// Writes the names of all photos of a library.
///
/// # Errors
/// The library cannot be read. A photo that cannot be given its names is listed.
pub fn export(library: &mut Library, place: &XmpTarget) -> Result<Exported, LibraryError> {
    let places = library.places().clone();
    let mut exported = Exported::default();
    for photo in photos(library.db(), &places)? {
        let regions: Vec<Region> = photo
            .faces
            .iter()
            .filter_map(|face| {
                let name = face.name.as_deref()?;
                Region::from_upright(name, upright_box(&face.bbox), photo.upright, photo.orientation)
            })
            .collect();
        let formerly = formerly(library, photo.row)?;
        if regions.is_empty() && formerly.is_empty() {
            continue;
        }
        let names =
            PhotoNames { stored: photo.orientation.stored_size(photo.upright), regions: &regions, formerly: &formerly };
        match write(&photo, &names, place) {
            Ok(outcome) => {
                match outcome {
                    WriteOutcome::WrittenNames => exported.written += 1,
                    WriteOutcome::Deleted => exported.deleted += 1,
                    WriteOutcome::Unchanged => exported.unchanged += 1,
                }
                if !matches!(place, XmpTarget::Copies(_)) {
                    remember(library, photo.row, &regions)?;
                }
            }
            Err(reason) => exported.failed.push(ExportFailure { path: photo.shown.clone(), reason }),
        }
    }
    Ok(exported)
}

enum WriteOutcome {
    WrittenNames,
    Deleted,
    Unchanged,
}

fn write(photo: &Photo, names: &PhotoNames<'_>, place: &XmpTarget) -> Result<WriteOutcome, String> {
    let io = |error: std::io::Error| error.to_string();
    let xmp = |error: XmpError| error.to_string();
    if !photo.path.is_file() {
        return Err("the photo is not there".to_owned());
    }
    match place {
        XmpTarget::Sidecars => {
            let to = Photo::sidecar(&photo.path);
            let existing = match fs::read(&to) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(io(error)),
            };
            match (write_sidecar(existing.as_deref(), names).map_err(xmp)?, existing) {
                (Some(new), Some(old)) if new == old => Ok(WriteOutcome::Unchanged),
                (Some(new), _) => replace(&to, &new).map(|()| WriteOutcome::WrittenNames).map_err(io),
                (None, Some(_)) => fs::remove_file(&to).map(|()| WriteOutcome::Deleted).map_err(io),
                (None, None) => Ok(WriteOutcome::Unchanged),
            }
        }
        XmpTarget::Copies(folder) => {
            let image = fs::read(&photo.path).map_err(io)?;
            let copy = write_image(&image, &PhotoNames { formerly: &[], ..*names }).map_err(xmp)?;
            let relative: PathBuf = Path::new(&photo.shown).components().filter(is_name).collect();
            let to = folder.join(relative);
            let is_photo = || Some(to.canonicalize().ok()? == photo.path.canonicalize().ok()?);
            if is_photo() == Some(true) {
                return Err("its copy would take its own place: name another folder for copies".to_owned());
            }
            let bytes = copy.as_deref().unwrap_or(&image);
            if fs::read(&to).is_ok_and(|there| there == bytes) {
                return Ok(WriteOutcome::Unchanged);
            }
            if to.exists() {
                return Err(format!("{} is there already, and is not overwritten", to.display()));
            }
            fs::create_dir_all(to.parent().unwrap_or(folder)).map_err(io)?;
            replace(&to, bytes).map_err(io)?;
            Ok(WriteOutcome::WrittenNames)
        }
        XmpTarget::Originals => {
            let image = fs::read(&photo.path).map_err(io)?;
            match write_image(&image, names).map_err(xmp)? {
                Some(new) => replace(&photo.path, &new).map(|()| WriteOutcome::WrittenNames).map_err(io),
                None => Ok(WriteOutcome::Unchanged),
            }
        }
    }
}

fn is_name(part: &std::path::Component<'_>) -> bool {
    matches!(part, std::path::Component::Normal(_))
}

/// Writes a file beside its place and moves it there: it is whole, or as it was.
fn replace(to: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = to.with_file_name(name);
    let write = || {
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        if let Ok(old) = fs::metadata(to) {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&part, to)
    };
    let result = write();
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result
}

/// What was written for a photo last.
fn formerly(library: &Library, image: i64) -> Result<Vec<Region>, LibraryError> {
    let mut select = library.db().prepare_cached("SELECT regions FROM written_names WHERE image = ?1")?;
    let text: Option<String> = select.query_row([image], |row| row.get(0)).optional()?;
    let written: Vec<WrittenNames> = match text {
        None => Vec::new(),
        Some(text) => serde_json::from_str(&text)
            .map_err(|error| LibraryError::Broken(format!("the note of written names: {error}")))?,
    };
    let region = |WrittenNames { name, x, y, w, h }| Region { name: Some(name), x, y, w, h, kind: RegionKind::Face };
    Ok(written.into_iter().map(region).collect())
}

fn remember(library: &mut Library, image: i64, regions: &[Region]) -> Result<(), LibraryError> {
    if regions.is_empty() {
        library.db_mut().execute("DELETE FROM written_names WHERE image = ?1", [image])?;
        return Ok(());
    }
    let written: Vec<WrittenNames> = regions
        .iter()
        .filter_map(|region| {
            let Region { name, x, y, w, h, .. } = region.clone();
            Some(WrittenNames { name: name?, x, y, w, h })
        })
        .collect();
    let text = serde_json::to_string(&written).map_err(|error| LibraryError::Broken(error.to_string()))?;
    library
        .db_mut()
        .execute("INSERT OR REPLACE INTO written_names (image, regions) VALUES (?1, ?2)", params![image, text])?;
    Ok(())
}
