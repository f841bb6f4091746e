//! Behaviour of grouping as a whole, over seeded galleries.

mod cells;
mod constraints;
mod identity;
mod moments;
mod order;

use crate::domain::capture::{Capture, PictureHash, SeriesPlace, Taken};
use crate::domain::face::FaceId;
use crate::domain::fact::Fact;
use crate::domain::facts::Facts;
use crate::domain::gallery::{FaceVector, GallerySnapshot, GroupId, Partition, Reconciled};
use crate::domain::image::{ImageId, digest};
use crate::domain::person::Person;
use crate::grouping::reconcile::gather;
use crate::grouping::scan::ScanFactory;
use crate::grouping::{Params, reconcile};

/// SplitMix64 (Steele, Lea & Flood 2014).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }
    fn gauss(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
    pub fn direction(&mut self, dimensions: usize) -> Vec<f32> {
        normal((0..dimensions).map(|_| self.gauss()).collect())
    }
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        (1..items.len()).rev().for_each(|n| items.swap(n, self.below(n + 1)));
    }
}

fn normal(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    vector.into_iter().map(|v| v / length).collect()
}

/// A face near `person`, so that two of them have a cosine near `alike`.
pub fn near(rng: &mut Rng, person: &[f32], alike: f32) -> Vec<f32> {
    let noise = rng.direction(person.len());
    normal(person.iter().zip(noise).map(|(p, n)| p * alike.sqrt() + n * (1.0 - alike).sqrt()).collect())
}

pub fn face_id(n: usize) -> FaceId {
    FaceId(digest("test face", &[&n.to_le_bytes()]))
}

pub fn image_id(n: usize) -> ImageId {
    ImageId(digest("test image", &[&n.to_le_bytes()]))
}

pub fn face(n: usize, image: usize, embedding: Vec<f32>, quality: f32) -> FaceVector {
    let (capture, place) = Default::default();
    FaceVector { id: face_id(n), image: image_id(image), embedding, quality, capture, place }
}

/// A face of which nothing matters but its id.
pub fn bare(id: FaceId) -> FaceVector {
    FaceVector { id, ..face(0, 0, vec![1.0], 0.9) }
}

/// States that two faces are one person, whose id is that of the first face.
pub fn same(facts: &mut Facts, a: FaceId, b: FaceId) {
    let person = facts.person_of(a).or_else(|| facts.person_of(b)).unwrap_or(GroupId(a.0));
    facts.set(Fact::Person { id: person, person: Person::default() });
    facts.set(Fact::Confirmed { face: a, person });
    facts.set(Fact::Confirmed { face: b, person });
}

/// A messy gallery: some people, photos of one to three faces (now and then one person twice), poor faces, strangers,
/// and few enough dimensions that strangers are often above the threshold. Of the photos a third has a time, a few
/// minutes after each other, and a third a place in a series.
pub fn gallery(seed: u64, photos: usize) -> Vec<FaceVector> {
    let mut rng = Rng(seed);
    let mut times = Rng(seed ^ 0x71_3e5);
    let people: Vec<_> = (0..3 + photos / 8).map(|_| rng.direction(48)).collect();
    let mut faces = Vec::new();
    for photo in 0..photos {
        let capture = match times.below(3) {
            0 => Capture::default(),
            1 => taken(times.below(photos * 2) as i64 * 60_000),
            _ => in_series(photo as u64),
        };
        for _ in 0..=rng.below(3) {
            let stranger = rng.below(6) == 0;
            let alike = 0.45 + 0.4 * rng.unit();
            let person = rng.below(people.len());
            let embedding = if stranger { rng.direction(48) } else { near(&mut rng, &people[person], alike) };
            faces.push(FaceVector { capture, ..face(faces.len(), photo, embedding, rng.unit()) });
        }
    }
    faces
}

/// The capture of a photo with a time, in milliseconds.
pub fn taken(local_ms: i64) -> Capture {
    Capture { taken: Some(Taken { local_ms, offset_minutes: None }), ..Capture::default() }
}

/// The capture of a photo in a series.
pub fn in_series(number: u64) -> Capture {
    Capture { series: Some(SeriesPlace { series: 7, number }), ..Capture::default() }
}

/// Facts about random faces.
pub fn said(rng: &mut Rng, faces: &[FaceVector], count: usize) -> Facts {
    let mut facts = Facts::default();
    for _ in 0..count {
        let [a, b] = [0; 2].map(|_| faces[rng.below(faces.len())].id);
        match rng.below(4) {
            0 | 1 => same(&mut facts, a, b),
            2 => facts.set(Fact::not_same(a, b)),
            _ => {
                let person = facts.persons.keys().next().copied();
                person.into_iter().for_each(|person| facts.set(Fact::NotPerson { face: a, person }));
            }
        }
    }
    facts
}

/// The partition into sets of faces, ids left out.
pub fn sets(faces: impl AsRef<[FaceVector]>, facts: &Facts) -> Vec<Vec<FaceId>> {
    let previous = Partition::default();
    let clustering =
        gather(faces.as_ref(), facts, &previous, &Params::default(), &ScanFactory).expect("equal dimensions");
    clustering.map(|clustering| clustering.partition()).unwrap_or_default()
}

pub fn run(faces: &[FaceVector], facts: &Facts, previous: &Partition) -> Reconciled {
    let mut faces = faces.to_vec();
    faces.sort_by_key(|face| face.id);
    let snapshot =
        GallerySnapshot { faces, facts: facts.clone(), previous: previous.clone(), ..GallerySnapshot::default() };
    reconcile(snapshot, &Params::default(), &ScanFactory).expect("equal dimensions")
}
