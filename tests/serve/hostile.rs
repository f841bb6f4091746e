//! Five hundred photos that are none, or not what they say.

use rand::{Rng, SeedableRng};

use crate::service::{Service, ok};
use crate::{copy, portraits};

/// A photo made worse: cut, its bytes changed, its sizes blown up, or something else altogether.
fn worsened(rng: &mut impl Rng, photo: &[u8]) -> Vec<u8> {
    let mut bytes = photo.to_vec();
    match rng.random_range(0..5) {
        0 => bytes.truncate(rng.random_range(0..photo.len())),
        1 => {
            for _ in 0..rng.random_range(1..200) {
                let place = rng.random_range(0..bytes.len());
                bytes[place] = rng.random();
            }
        }
        2 => {
            // In the head, where sizes and tables are.
            for _ in 0..rng.random_range(1..20) {
                let place = rng.random_range(0..bytes.len().min(600));
                bytes[place] = rng.random();
            }
        }
        3 => bytes = (0..rng.random_range(0..100_000)).map(|_| rng.random()).collect(),
        _ => {
            let from = rng.random_range(0..bytes.len());
            bytes.extend_from_within(from..);
        }
    }
    bytes
}

#[test]
fn five_hundred_hostile_photos_break_nothing_and_memory_stays_bounded() {
    let library = copy();
    let service = Service::start(&library.path());
    let seed: u64 = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("MUSTER_SEED={seed}");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let photos: Vec<Vec<u8>> = portraits().iter().map(|(_, files)| std::fs::read(&files[0]).unwrap()).collect();
    for photo in &photos {
        ok(service.asking(photo.clone()).send().unwrap());
    }
    let before = service.megabytes();
    let mut most = before;
    for n in 0..500 {
        let bad = worsened(&mut rng, &photos[n % photos.len()]);
        let answer = service.asking(bad).send().unwrap();
        let status = answer.status().as_u16();
        assert!([200, 413, 415, 422].contains(&status), "seed {seed}, photo {n}: {status} {}", answer.text().unwrap());
        most = most.max(service.megabytes());
    }
    println!("resident: {before} MB before, {most} MB at most");
    assert!(most < before + 512, "{before} MB before, {most} MB at most; seed {seed}");
    ok(service.asking(photos[0].clone()).send().unwrap());
}
