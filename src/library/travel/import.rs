//! Reads names that other programs wrote: in sidecar files, in the photos, in Picasa's `.picasa.ini`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use muster_actors::domain::face::{BBox, FaceId};
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::image::ImageId;
use muster_actors::people::{Author, Correction};
use muster_xmp::{
    FoundNames, MAX_PACKET_BYTES, Region, RegionKind, UprightBox, read_image, read_packet, read_picasa_ini,
};
use rusqlite::OptionalExtension;
use serde::Serialize;

use super::export::ExportFailure;
use super::photo::{Photo, photos, upright_box};
use crate::correct::{CorrectError, correct};
use crate::{Library, LibraryError, rows, view};

/// A region and a face that share less of their union are not one face.
const LEAST_OVERLAP: f64 = 0.3;

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Photos in which names were found.
    pub photos: u64,
    /// Faces that were given a person.
    pub faces: u64,
    /// The persons, by name, each with its faces.
    pub people: BTreeMap<String, u64>,
    /// Faces that are that person already.
    pub known: u64,
    /// Of those, faces that the detector had not found, and that were added.
    pub added: u64,
    /// Names for which there is no face.
    pub without_face: Vec<WithoutFace>,
    /// Faces that somebody confirmed as somebody else: what was said here counts.
    pub contradicted: Vec<WithoutFace>,
    /// Files that could not be read, with the reason.
    pub failed: Vec<ExportFailure>,
    /// The numbers of the changes, by which they are taken back.
    pub changes: Vec<u64>,
}

/// A name that found no face.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WithoutFace {
    /// The photo's path, as people read it.
    pub path: String,
    /// The name.
    pub name: String,
    /// Why no face could be added in the name's region; `None` where the name has no region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Adds the face in a box of a photo, in pixels of the upright photo; an error says why there is none.
pub type AddFace<'a> = dyn FnMut(&mut Library, ImageId, BBox) -> Result<FaceId, String> + 'a;

/// Finds the names in and beside all photos of a library, and confirms the faces that they are of. Where another program
/// marks a face that was not found, `add` adds it.
///
/// # Errors
/// The library cannot be read or written. A file that cannot be read is listed.
pub fn import(library: &mut Library, author: &Author, add: &mut AddFace<'_>) -> Result<Imported, CorrectError> {
    let places = library.places().clone();
    let mut imported = Imported::default();
    let mut picasa: HashMap<PathBuf, BTreeMap<String, Vec<Region>>> = HashMap::new();
    let mut named: BTreeMap<String, BTreeSet<FaceId>> = BTreeMap::new();
    for photo in photos(library.db(), &places)? {
        let found = found(&photo, &mut picasa, &mut imported.failed);
        let regions: Vec<&Region> = found.regions.iter().filter(|region| region.name.is_some()).collect();
        if regions.is_empty() && found.people.is_empty() {
            continue;
        }
        imported.photos += 1;
        let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
        for (n, region) in regions.iter().enumerate() {
            for (m, face) in photo.faces.iter().enumerate() {
                let own = Region::from_upright("face", upright_box(&face.bbox), photo.upright, photo.orientation);
                let overlap = own.map_or(0.0, |own| own.overlap(region));
                if overlap >= LEAST_OVERLAP {
                    pairs.push((overlap, n, m));
                }
            }
        }
        // The nearest pairs first, each region and each face once.
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let (mut of_region, mut taken): (BTreeMap<usize, usize>, BTreeSet<usize>) = Default::default();
        for (_, region, face) in pairs {
            if !of_region.contains_key(&region) && taken.insert(face) {
                of_region.insert(region, face);
            }
        }
        let mut new_faces: BTreeSet<FaceId> = BTreeSet::new();
        for (n, region) in regions.iter().enumerate() {
            let Some(name) = region.name.clone() else { continue };
            match of_region.get(&n) {
                Some(face) => drop(named.entry(name).or_default().insert(photo.faces[*face].id)),
                None => match added(library, &photo, region, add).and_then(|face| {
                    // The face of another region, or the same one twice, is not this person's.
                    let is_taken = photo.faces.iter().any(|other| other.id == face) || !new_faces.insert(face);
                    if is_taken { Err("the face there is that of another region".to_owned()) } else { Ok(face) }
                }) {
                    Ok(face) => {
                        imported.added += 1;
                        named.entry(name).or_default().insert(face);
                    }
                    Err(reason) => {
                        let path = photo.shown.clone();
                        imported.without_face.push(WithoutFace { path, name, reason: Some(reason) });
                    }
                },
            }
        }
        // A name of the whole photo is that of its only face, where there is one face and one such name.
        let free: Vec<usize> = (0..photo.faces.len()).filter(|face| !taken.contains(face)).collect();
        match (&found.people[..], &free[..]) {
            ([name], [face]) => drop(named.entry(name.clone()).or_default().insert(photo.faces[*face].id)),
            (people, _) => imported.without_face.extend(people.iter().map(|name| WithoutFace {
                path: photo.shown.clone(),
                name: name.clone(),
                reason: None,
            })),
        }
    }
    for (name, faces) in named {
        confirm(library, &mut imported, &name, faces, author)?;
    }
    Ok(imported)
}

/// Adds the face in a region that another program wrote.
fn added(library: &mut Library, photo: &Photo, region: &Region, add: &mut AddFace<'_>) -> Result<FaceId, String> {
    if region.kind != RegionKind::Face {
        return Err("the region is not marked as a face".to_owned());
    }
    let UprightBox { x, y, width, height } = region.to_upright(photo.upright, photo.orientation);
    let bbox = BBox { x: x as f32, y: y as f32, width: width as f32, height: height as f32 };
    add(library, photo.id, bbox)
}

/// Confirms faces as the person of a name.
fn confirm(
    library: &mut Library,
    imported: &mut Imported,
    name: &str,
    faces: BTreeSet<FaceId>,
    author: &Author,
) -> Result<(), CorrectError> {
    let same: Vec<GroupId> = view::people(library.db())?
        .into_iter()
        .filter(|person| person.name.as_deref() == Some(name))
        .map(|person| person.id)
        .collect();
    // Two persons of one name are two: a face is of the one in whose group it is.
    let mut fresh: BTreeMap<Option<GroupId>, Vec<FaceId>> = BTreeMap::new();
    for face in faces {
        let mut contradicted = |of: &str| {
            let path = format!("face {}, {of}", muster_gallery::text::short(face));
            imported.contradicted.push(WithoutFace { path, name: name.to_owned(), reason: None });
        };
        let target = match &same[..] {
            [] => None,
            [one] => Some(*one),
            several => {
                let home = crate::pages::face(library.db(), face)?.and_then(|face| face.group);
                match home.filter(|home| several.contains(home)) {
                    Some(home) => Some(home),
                    None => {
                        contradicted("which may be any of several people of this name");
                        continue;
                    }
                }
            }
        };
        match owner(library, face)? {
            Some((person, _)) if same.contains(&person) => imported.known += 1,
            Some((_, Some(other))) => contradicted(&format!("which is {other}")),
            _ if target.is_some_and(|target| is_refused(library, face, target).unwrap_or(true)) => {
                contradicted("of which somebody said that it is not");
            }
            _ => fresh.entry(target).or_default().push(face),
        }
    }
    for (target, faces) in fresh {
        let count = faces.len() as u64;
        let same = target.into_iter().collect();
        let correction = Correction::Enrol { faces, name: name.to_owned(), same, others: Vec::new() };
        match correct(library.db_mut(), &correction, author) {
            Ok(corrected) => {
                imported.changes.extend(corrected.change);
                imported.faces += count;
                *imported.people.entry(name.to_owned()).or_default() += count;
            }
            // A face went meanwhile, or a name cannot be one: the others are taken over.
            Err(CorrectError::Correction(error)) => {
                imported.failed.push(ExportFailure { path: format!("the name {name}"), reason: error.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether somebody said that a face is not this person's.
fn is_refused(library: &Library, face: FaceId, person: GroupId) -> Result<bool, LibraryError> {
    let mut select = library
        .db()
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM facts WHERE kind = 'not_person' AND a = ?1 AND b = ?2)")?;
    Ok(select.query_row([face.0, person.0], |row| row.get(0))?)
}

/// The person that a face was confirmed as, and its name.
fn owner(library: &Library, face: FaceId) -> Result<Option<(GroupId, Option<String>)>, LibraryError> {
    let mut select = library.db().prepare_cached(
        "SELECT c.b, g.name FROM facts c LEFT JOIN groups g ON g.gallery = c.gallery AND g.id = c.b \
         WHERE c.kind = 'confirmed' AND c.a = ?1",
    )?;
    Ok(select.query_row([face.0], |row| Ok((GroupId(rows::id(row, 0)?), row.get(1)?))).optional()?)
}

/// The names in and beside a photo. What stands in its sidecar counts over what stands in the photo.
fn found(
    photo: &Photo,
    picasa: &mut HashMap<PathBuf, BTreeMap<String, Vec<Region>>>,
    failed: &mut Vec<ExportFailure>,
) -> FoundNames {
    let mut all = FoundNames::default();
    let mut fault =
        |path: &Path, reason: String| failed.push(ExportFailure { path: path.display().to_string(), reason });
    for sidecar in [Photo::sidecar(&photo.path), photo.path.with_extension("xmp")] {
        match small(&sidecar).map(|bytes| bytes.map(|bytes| read_packet(&bytes).map_err(|error| error.to_string()))) {
            Ok(None) => {}
            Ok(Some(Ok(names))) => all = std::mem::take(&mut all).merge(names),
            Ok(Some(Err(reason))) | Err(reason) => fault(&sidecar, reason),
        }
    }
    if let Some(folder) = photo.path.parent() {
        let ini = picasa.entry(folder.to_path_buf()).or_insert_with(|| {
            let file = folder.join(".picasa.ini");
            let bytes = small(&file).ok().flatten().unwrap_or_default();
            read_picasa_ini(&bytes).unwrap_or_else(|error| {
                fault(&file, error.to_string());
                BTreeMap::new()
            })
        });
        let name = photo.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let regions = ini.get(&name).cloned().unwrap_or_default();
        all = all.merge(FoundNames { regions, ..FoundNames::default() });
    }
    match fs::read(&photo.path) {
        // A photo without a packet, or of a format that has none, has no names.
        Ok(bytes) => all.merge(read_image(&bytes).unwrap_or_default()),
        Err(error) => {
            fault(&photo.path, error.to_string());
            all
        }
    }
}

/// The bytes of a regular file that is small enough; `None` where there is none.
fn small(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => Err("it is not a regular file".to_owned()),
        Ok(file) if file.len() > MAX_PACKET_BYTES as u64 => Err("the file is too large".to_owned()),
        Ok(_) => {
            let mut bytes = Vec::new();
            let file = fs::File::open(path).map_err(|error| error.to_string())?;
            // It may grow while it is read.
            file.take(MAX_PACKET_BYTES as u64).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            Ok(Some(bytes))
        }
        Err(_) => Ok(None),
    }
}
