//! Faces that somebody spoke of, known again: in a photo that moved, was copied, restored, re-encoded or cropped, or
//! that another model looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::face::FaceId;
use crate::domain::face_place::FacePlace;
use crate::domain::fact::Fact;
use crate::domain::facts::{Edit, Facts};
use crate::domain::gallery::FaceVector;
use crate::domain::image::ImageId;

/// Parts of a picture's hash, of 16 bits each: hashes that differ in two bits agree in two parts at least.
const BANDS: u32 = 4;
/// Vectors of one face in two encodings of a photo are at least so alike, as a cosine; two people framed alike are not.
const LEAST_ALIKE: f32 = 0.6;

/// What is known of faces again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recognised {
    /// What becomes of the facts.
    pub edits: Vec<Edit>,
    /// Faces that are no more, and the faces that are at their places now: what was said of the one is said of the other.
    pub renamed: Vec<(FaceId, FaceId)>,
}

/// Knows faces again that nobody spoke of themselves, and that are at a place somebody spoke of. What was said of a face
/// that is gone is said of the one that is there now; what was said of one that is there is said of its copy, too.
pub fn recognise(faces: &[FaceVector], facts: &Facts) -> Recognised {
    if facts.places.is_empty() {
        return Recognised::default();
    }
    let stated = StatedFaces::of(facts);
    let vectors: HashMap<FaceId, &FaceVector> =
        faces.iter().filter(|face| facts.places.contains_key(&face.id)).map(|face| (face.id, face)).collect();
    let mut pairs: Vec<Pair> = Vec::new();
    for face in faces.iter().filter(|face| !facts.places.contains_key(&face.id)) {
        let Some(place) = face.place else { continue };
        let alike = |known: &FaceId| {
            let Some(known) = vectors.get(known).filter(|known| known.embedding.len() == face.embedding.len()) else {
                return true;
            };
            known.image != face.image && cosine(&known.embedding, &face.embedding) >= LEAST_ALIKE
        };
        let near = stated.near(&place).filter(|known| facts.places[known].is_same(&place) && alike(known));
        pairs.extend(near.map(|known| Pair {
            is_gone: !vectors.contains_key(&known),
            overlap: facts.places[&known].overlap(&place),
            face: face.id,
            image: face.image,
            known,
            place,
        }));
    }
    // Faces that are gone have moved here, rather than that ones which are there were copied; the nearest first.
    pairs.sort_by(|a, b| {
        let nearest = b.is_gone.cmp(&a.is_gone).then(b.overlap.total_cmp(&a.overlap));
        nearest.then((a.face, a.known).cmp(&(b.face, b.known)))
    });
    let (mut taken, mut moved): (BTreeSet<FaceId>, BTreeMap<FaceId, FaceId>) = Default::default();
    // One face of a photo is at a place.
    let mut seats: BTreeSet<(ImageId, FaceId)> = BTreeSet::new();
    let mut carried: Vec<(FaceId, FaceId, FacePlace)> = Vec::new();
    for is_move in [true, false] {
        for pair in &pairs {
            let is_open = !is_move || pair.is_gone && !moved.contains_key(&pair.known);
            if !is_open || taken.contains(&pair.face) || !seats.insert((pair.image, pair.known)) {
                continue;
            }
            taken.insert(pair.face);
            carried.push((pair.face, pair.known, pair.place));
            if is_move {
                moved.insert(pair.known, pair.face);
            }
        }
    }
    let mut after = facts.clone();
    for (face, known, place) in &carried {
        for fact in stated.carry(facts, *known, *face, *place) {
            if after.get(fact.key()).is_none() {
                after.set(fact);
            }
        }
    }
    let renamed: Vec<(FaceId, FaceId)> = moved.into_iter().collect();
    after.rename(&renamed);
    Recognised { edits: facts.edits_to(&after), renamed }
}

/// A face at a place that somebody spoke of.
struct Pair {
    /// Whether the face that somebody spoke of is no more.
    is_gone: bool,
    overlap: f32,
    face: FaceId,
    image: ImageId,
    known: FaceId,
    place: FacePlace,
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Faces that facts name, by the keys under which their photos are recognised.
struct StatedFaces {
    by_content: HashMap<[u8; 32], Vec<FaceId>>,
    by_picture: HashMap<(u32, u16), Vec<FaceId>>,
    pairs: HashMap<FaceId, Vec<FaceId>>,
}

impl StatedFaces {
    fn of(facts: &Facts) -> Self {
        let mut stated = Self { by_content: HashMap::new(), by_picture: HashMap::new(), pairs: HashMap::new() };
        for (face, place) in &facts.places {
            if let Some(content) = place.content {
                stated.by_content.entry(content).or_default().push(*face);
            }
            for band in bands(place) {
                stated.by_picture.entry(band).or_default().push(*face);
            }
        }
        for (a, b) in &facts.not_same {
            stated.pairs.entry(*a).or_default().push(*b);
            stated.pairs.entry(*b).or_default().push(*a);
        }
        stated
    }

    /// Faces whose photos may be this one.
    fn near(&self, place: &FacePlace) -> impl Iterator<Item = FaceId> {
        let same_bytes = place.content.and_then(|content| self.by_content.get(&content)).into_iter().flatten();
        let same_picture = bands(place).filter_map(|band| self.by_picture.get(&band)).flatten();
        let all: BTreeSet<FaceId> = same_bytes.chain(same_picture).copied().collect();
        all.into_iter()
    }

    /// What was said of a face, said of another.
    fn carry(&self, facts: &Facts, known: FaceId, face: FaceId, place: FacePlace) -> Vec<Fact> {
        let mut carried = vec![Fact::Place { face, place }];
        let person = facts.person_of(known);
        carried.extend(person.map(|person| Fact::Confirmed { face, person }));
        // Whoever is somebody is a face, whatever another model makes of it.
        let is_face = facts.are_faces.get(&known).copied().or_else(|| person.map(|_| true));
        carried.extend(is_face.map(|is_face| Fact::IsFace { face, is_face }));
        let persons = facts.not_persons.range((known, crate::domain::gallery::GroupId([0; 16]))..);
        let persons = persons.take_while(|(of, _)| *of == known).map(|(_, person)| *person);
        carried.extend(persons.map(|person| Fact::NotPerson { face, person }));
        let others = self.pairs.get(&known).into_iter().flatten();
        carried.extend(others.filter(|other| **other != face).map(|other| Fact::not_same(face, *other)));
        carried
    }
}

fn bands(place: &FacePlace) -> impl Iterator<Item = (u32, u16)> + use<> {
    let picture = place.picture;
    (0..BANDS).filter_map(move |band| Some((band, (picture?.0 >> (16 * band)) as u16)))
}
