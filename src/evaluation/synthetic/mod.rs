//! Synthetic libraries with properties that real ones have: children, whose strangers resemble each other; people who
//! grow up; poor and turned faces; bursts and copies; thousands of strangers.
//!
//! The same seed gives the same faces on every machine of one kind (the last bits of logarithms and cosines depend on
//! the platform).

mod population;
mod random;
#[cfg(test)]
mod statistics;

use std::collections::HashMap;
use std::fmt;

use muster_actors::domain::capture::Capture;
use muster_actors::domain::gallery::FaceVector;

use crate::LabelledFaces;
use crate::vectors::{at_place, numbered_face, numbered_image};
use population::{Age, FaceShot, FaceSpace, SyntheticPerson};
use random::RandomSource;

/// The kind of people in a synthetic library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LibraryKind {
    /// A school's library: mostly children, photographed within few years, among other children who are strangers.
    Children,
    /// A family's library over decades: adults, children, and children who grow up, among passers-by.
    Mixed,
}

impl fmt::Display for LibraryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Children => "children",
            Self::Mixed => "mixed",
        })
    }
}

/// The number of people of each age.
#[derive(Clone, Copy)]
struct LibraryRecipe {
    young: usize,
    grown: usize,
    /// Number of people who are young in one half of their photos and adult in the other.
    growing: usize,
    /// Number of people with one photo.
    strangers: usize,
    /// Share of young people among these strangers.
    young_strangers: f32,
    /// Most faces of one person.
    most: usize,
}

impl LibraryRecipe {
    fn of(kind: LibraryKind) -> Self {
        match kind {
            LibraryKind::Children => {
                Self { young: 240, grown: 60, growing: 0, strangers: 2_000, young_strangers: 0.8, most: 150 }
            }
            LibraryKind::Mixed => {
                Self { young: 60, grown: 270, growing: 60, strangers: 3_000, young_strangers: 0.2, most: 200 }
            }
        }
    }
}

/// Share of photos that are shot again within the moment, and (`COPIES`) of those that exist twice.
const BURSTS: f32 = 0.08;
const COPIES: f32 = 0.03;
/// Length of the difference between the vectors of a photo and of its copy in another size or compression.
const COPY_NOISE: f32 = 0.05;

/// Number of people at one event.
const PEOPLE_OF_EVENT: i64 = 4;

/// A face of a synthetic library.
struct SyntheticFace {
    person: u32,
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare ages"))]
    age: Age,
    /// Number of the moment, which the shots of one burst and copies share.
    moment: usize,
    photo: usize,
    vector: Vec<f32>,
    quality: f32,
}

/// A library that is being generated.
struct SyntheticLibrary {
    random: RandomSource,
    space: FaceSpace,
    faces: Vec<SyntheticFace>,
    people: u32,
    moments: usize,
}

/// Generates a library of about 6,000 to 8,000 faces whose similarities are those of the pack `open`. All people in it
/// are known.
pub fn library(kind: LibraryKind, seed: u64) -> LabelledFaces {
    let recipe = LibraryRecipe::of(kind);
    let mut library = SyntheticLibrary::new(seed);
    for (count, ages) in
        [(recipe.young, &[Age::Young][..]), (recipe.grown, &[Age::Grown]), (recipe.growing, &[Age::Young, Age::Grown])]
    {
        for _ in 0..count {
            let size = library.random.zipf(recipe.most);
            library.somebody(size, ages);
        }
    }
    for _ in 0..recipe.strangers {
        let young = library.random.chance(recipe.young_strangers);
        library.stranger(if young { Age::Young } else { Age::Grown });
    }
    library.labelled()
}

impl SyntheticLibrary {
    fn new(seed: u64) -> Self {
        let mut random = RandomSource::new(seed);
        let space = FaceSpace::new(&mut random);
        Self { random, space, faces: Vec::new(), people: 0, moments: 0 }
    }

    /// Adds a person with `size` faces.
    fn somebody(&mut self, size: usize, ages: &[Age]) {
        let person = self.space.person(&mut self.random);
        let end = self.faces.len() + size;
        while self.faces.len() < end {
            let age = ages[self.random.below(ages.len())];
            let shot = self.space.shot(&mut self.random, age);
            self.add(&person, age, &shot);
            while self.faces.len() < end && self.random.chance(BURSTS) {
                let again = self.space.again(&mut self.random, &shot);
                self.add(&person, age, &again);
            }
            if self.faces.len() < end && self.random.chance(COPIES) {
                self.copy();
            }
            self.moments += 1;
        }
        self.people += 1;
    }

    fn stranger(&mut self, age: Age) {
        let person = self.space.person(&mut self.random);
        let shot = self.space.shot(&mut self.random, age);
        self.add(&person, age, &shot);
        self.moments += 1;
        self.people += 1;
    }

    fn add(&mut self, person: &SyntheticPerson, age: Age, shot: &FaceShot) {
        let vector = self.space.vector(person, shot);
        let quality = self.space.quality(&mut self.random, shot);
        let photo = self.faces.len();
        self.faces.push(SyntheticFace { person: self.people, age, moment: self.moments, photo, vector, quality });
    }

    /// Adds the last face again, as a photo that exists twice.
    fn copy(&mut self) {
        let Some(face) = self.faces.last() else { return };
        let noise = self.random.normal(face.vector.len());
        let each = COPY_NOISE / (face.vector.len() as f32).sqrt();
        let moved: Vec<f32> = face.vector.iter().zip(noise).map(|(v, noise)| v + noise * each).collect();
        let length = moved.iter().map(|v| v * v).sum::<f32>().sqrt();
        let copy =
            SyntheticFace { vector: moved.into_iter().map(|v| v / length).collect(), photo: self.faces.len(), ..*face };
        self.faces.push(copy);
    }

    /// Puts faces of different people into photos of one to three faces, and numbers all of them in random order.
    fn labelled(mut self) -> LabelledFaces {
        let mut shots = vec![0; self.moments];
        self.faces.iter().for_each(|face| shots[face.moment] += 1);
        self.random.shuffle(&mut self.faces);
        let (mut photo, mut left) = (0, 0);
        let mut seen: Vec<u32> = Vec::new();
        for face in &mut self.faces {
            // A photo of a burst shows one face only, so that no photo of the burst shows a face that the others do
            // not.
            if shots[face.moment] > 1 {
                continue;
            }
            if left == 0 || seen.contains(&face.person) {
                (photo, left) = (face.photo, 1 + self.random.below(3));
                seen.clear();
            }
            face.photo = photo;
            seen.push(face.person);
            left -= 1;
        }
        let times = times(&self.faces);
        let faces = self.faces.into_iter().enumerate().map(|(number, face)| {
            let vector = FaceVector {
                id: numbered_face(number),
                image: numbered_image(face.photo),
                embedding: face.vector,
                quality: face.quality,
                capture: Capture { taken: times.get(&face.photo).copied().map(at_place), ..Capture::default() },
                place: None,
            };
            (vector, Some(face.person))
        });
        LabelledFaces::new(faces.collect())
    }
}

/// Computes when each photo was taken, in milliseconds. There is one event a day, of two moments each of a few people,
/// half a minute apart. The people at an event are drawn at random.
fn times(faces: &[SyntheticFace]) -> HashMap<usize, i64> {
    let mut first: HashMap<u32, usize> = HashMap::new();
    for face in faces {
        let earliest = first.entry(face.person).or_insert(face.moment);
        *earliest = face.moment.min(*earliest);
    }
    let (mut pairs, mut shots, mut times) = (HashMap::new(), HashMap::new(), HashMap::new());
    for face in faces {
        let of_person = face.moment - first[&face.person];
        let next = pairs.len() as i64;
        let pair = *pairs.entry((face.person, of_person / 2)).or_insert(next);
        times.entry(face.photo).or_insert_with(|| {
            let shot = shots.entry(face.moment).or_insert(0_i64);
            *shot += 1;
            let moment = 2 * (pair % PEOPLE_OF_EVENT) + (of_person % 2) as i64;
            (pair / PEOPLE_OF_EVENT) * 86_400_000 + moment * 30_000 + *shot * 500
        });
    }
    times
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::statistics::pairs;
    use super::*;

    /// 1,007 people, young and grown, as those whom the figures are from.
    fn young_and_grown(seed: u64) -> SyntheticLibrary {
        let mut library = SyntheticLibrary::new(seed);
        for _ in 0..1_007 {
            let person = library.space.person(&mut library.random);
            for age in [Age::Young, Age::Grown] {
                for _ in 0..(1 + library.random.poisson(0.9)).min(8) {
                    let shot = library.space.shot(&mut library.random, age);
                    library.add(&person, age, &shot);
                    library.moments += 1;
                }
            }
            library.people += 1;
        }
        library
    }

    /// Mean, standard deviation and 99.9 % of strangers, their share above 0.38; mean, standard
    /// deviation and share above 0.38 of one person's pairs; measured on photographs under the pack
    /// `open`.
    const MEASURED: [(Age, Age, [f64; 7]); 3] = [
        (Age::Grown, Age::Grown, [0.096, 0.092, 0.388, 0.0013, 0.669, 0.177, 0.96]),
        (Age::Young, Age::Young, [0.143, 0.121, 0.537, 0.031, 0.577, 0.265, 0.74]),
        (Age::Young, Age::Grown, [0.070, 0.092, 0.351, 0.0003, 0.327, 0.148, 0.36]),
    ];

    #[test]
    fn pairs_are_as_alike_as_those_of_photographs() {
        let library = young_and_grown(1);
        for (one, other, measured) in MEASURED {
            let (strangers, same) = pairs(&library, one, other);
            let made = [strangers.mean, strangers.sd, strangers.p999, strangers.above, same.mean, same.sd, same.above];
            println!("{one:?} {other:?}: {made:.4?}, measured {measured:?}");
            for ((made, measured), within) in made.iter().zip(measured).zip([0.02, 0.02, 0.02, 0.01, 0.02, 0.02, 0.08])
            {
                assert!(
                    (made - measured).abs() <= within,
                    "{one:?} {other:?}: {strangers:?} {same:?}, not {measured:?}"
                );
            }
        }
    }

    #[test]
    fn a_library_follows_its_seed_and_its_recipe() {
        let first = library(LibraryKind::Children, 5);
        let again = library(LibraryKind::Children, 5);
        assert!(first.faces() == again.faces() && first.people() == again.people());
        assert!(first.faces() != library(LibraryKind::Children, 6).faces());
        for kind in [LibraryKind::Children, LibraryKind::Mixed] {
            let library = library(kind, 1);
            let recipe = LibraryRecipe::of(kind);
            let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
            library.people().iter().flatten().for_each(|person| *sizes.entry(*person).or_default() += 1);
            assert_eq!(sizes.values().filter(|size| **size == 1).count(), recipe.strangers);
            assert_eq!(sizes.len(), recipe.strangers + recipe.young + recipe.grown + recipe.growing);
            assert!((4_000..10_000).contains(&library.faces().len()), "{}", library.faces().len());
            let poor = library.faces().iter().filter(|face| face.quality < 0.35).count();
            assert!((0.03..0.3).contains(&(poor as f64 / library.faces().len() as f64)), "{poor}");
        }
    }

    #[test]
    fn no_photo_shows_a_person_twice_and_some_show_several() {
        let library = library(LibraryKind::Mixed, 1);
        let mut photos: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (face, person) in library.faces().iter().zip(library.people()) {
            photos.entry(face.image).or_default().push(*person);
        }
        for people in photos.values_mut() {
            let count = people.len();
            people.sort_unstable();
            people.dedup();
            assert_eq!(people.len(), count);
        }
        assert!(photos.values().any(|people| people.len() == 3));
    }

    #[test]
    fn bursts_and_copies_are_near_and_vectors_have_length_one() {
        let mut library = SyntheticLibrary::new(3);
        library.somebody(2_000, &[Age::Grown]);
        let alike =
            |a: &SyntheticFace, b: &SyntheticFace| -> f32 { a.vector.iter().zip(&b.vector).map(|(x, y)| x * y).sum() };
        let mut near: Vec<f32> = Vec::new();
        for pair in library.faces.windows(2) {
            assert!((alike(&pair[0], &pair[0]) - 1.0).abs() < 1e-5);
            if pair[0].moment == pair[1].moment {
                near.push(alike(&pair[0], &pair[1]));
            }
        }
        assert!(near.len() > 150, "{}", near.len());
        assert!(near.iter().all(|cosine| *cosine > 0.7), "{near:?}");
        assert!(near.iter().any(|cosine| *cosine > 0.99), "{near:?}");
    }
}
