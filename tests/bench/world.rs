//! Synthetic people on the unit sphere, their faces and their photos: [`World`].

use std::collections::HashMap;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::FaceVector;
use muster_actors::domain::image::ImageId;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What chance begins with.
pub const SEED: u64 = 20_240_601;

/// Makes faces.
pub struct World {
    /// Where chance comes from.
    pub rng: ChaCha8Rng,
    dimensions: usize,
    used: usize,
    /// A direction for each person.
    pub people: Vec<Vec<f32>>,
    made: u128,
}

impl World {
    /// A world without people, of embeddings of `dimensions` numbers.
    pub fn new(dimensions: usize) -> Self {
        let used = if dimensions >= 512 { 280 } else { dimensions * 118 / 128 };
        Self { rng: ChaCha8Rng::seed_from_u64(SEED), dimensions, used, people: Vec::new(), made: 0 }
    }

    fn direction(&mut self) -> Vec<f32> {
        let mut gauss = || (0..12).map(|_| self.rng.random::<f32>()).sum::<f32>() - 6.0;
        let mut vector: Vec<f32> = (0..self.used).map(|_| gauss()).collect();
        vector.resize(self.dimensions, 0.0);
        unit(vector)
    }

    /// A face of a person, or of a stranger.
    pub fn face(&mut self, person: Option<usize>) -> FaceVector {
        let poor = self.rng.random_bool(0.15);
        let quality = if poor { self.rng.random_range(0.05..0.35) } else { self.rng.random_range(0.35..1.0) };
        let alike: f32 = if poor { self.rng.random_range(0.3..0.6) } else { self.rng.random_range(0.45..0.75) };
        let noise = self.direction();
        let embedding = match person {
            Some(person) => {
                let mixed = self.people[person].iter().zip(&noise);
                unit(mixed.map(|(p, n)| p * alike.sqrt() + n * (1.0 - alike).sqrt()).collect())
            }
            None => noise,
        };
        self.made += 1;
        let id = FaceId(self.rng.random());
        FaceVector {
            id,
            image: ImageId(self.made.to_le_bytes()),
            embedding,
            quality,
            capture: Default::default(),
            place: None,
        }
    }

    /// Faces in shuffled order, and who each one is.
    pub fn gallery(&mut self, count: usize) -> (Vec<FaceVector>, HashMap<FaceId, usize>) {
        let (mut faces, mut truth) = (Vec::with_capacity(count), HashMap::new());
        let mut stranger = usize::MAX;
        while faces.len() < count * 85 / 100 {
            let person = self.people.len();
            let direction = self.direction();
            self.people.push(direction);
            // Zipf's law: half of the people have fewer than four faces, one in a hundred more than two hundred.
            let size = ((2.0 / self.rng.random_range(0.005_f64..1.0)) as usize).min(count * 85 / 100 - faces.len());
            for _ in 0..size.max(1) {
                let face = self.face(Some(person));
                truth.insert(face.id, person);
                faces.push(face);
            }
        }
        while faces.len() < count {
            let face = self.face(None);
            truth.insert(face.id, stranger);
            stranger -= 1;
            faces.push(face);
        }
        faces.shuffle(&mut self.rng);
        let mut at = 0;
        while at < faces.len() {
            let end = (at + self.rng.random_range(1..=3)).min(faces.len());
            let image = faces[at].image;
            let mut seen = vec![truth[&faces[at].id]];
            for face in &mut faces[at + 1..end] {
                let person = truth[&face.id];
                if !seen.contains(&person) {
                    seen.push(person);
                    face.image = image;
                }
            }
            at = end;
        }
        (faces, truth)
    }
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    vector.into_iter().map(|v| v / length).collect()
}
