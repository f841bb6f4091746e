//! Finds the photos that are copies of others: the same picture in another size or encoding. Pure functions.

use std::cmp::Reverse;
use std::collections::HashMap;

use muster_actors::domain::capture::{PictureHash, Taken, is_one_picture};
use muster_actors::domain::image::ImageId;

use crate::view::{ImageRow, Original};

/// Largest difference between the aspect ratios of two copies, as a share.
const MOST_STRETCH: f64 = 0.02;
/// Number of parts of a hash; each has 16 bits.
const BANDS: u32 = 4;

/// A photo with the properties by which copies are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashedPhoto {
    /// Id of the photo.
    pub id: ImageId,
    /// Perceptual hash of the picture.
    pub picture: PictureHash,
    /// Full upright width in pixels.
    pub width: u32,
    /// Full upright height in pixels.
    pub height: u32,
    /// Encoded size in bytes.
    pub bytes: u64,
    /// Number of faces stored with it.
    pub faces: u64,
    /// Time of the photo by the file itself. A time by the file's name does not count, because messengers name copies
    /// by the time of their arrival.
    pub taken: Option<Taken>,
}

impl HashedPhoto {
    /// Takes the properties of a listed photo; `None` where it has no picture hash.
    pub fn of(row: &ImageRow) -> Option<Self> {
        let &ImageRow { id, width, height, bytes, face_count, taken_in_file: taken, capture, .. } = row;
        Some(Self { id, picture: capture.picture?, width, height, bytes, faces: face_count, taken })
    }

    fn is_copy_of(&self, other: &Self) -> bool {
        let sides = |a: u32, b: u32| f64::from(a) * f64::from(b);
        let (across, back) = (sides(self.width, other.height), sides(other.width, self.height));
        is_one_picture((self.picture, self.taken), (other.picture, other.taken))
            && self.faces == other.faces
            && (across - back).abs() <= MOST_STRETCH * across.max(back)
    }
}

/// Seconds of a quarter of an hour, by which all time zones differ.
const QUARTER: i64 = 15 * 60;

/// The time of a photo by its file: the second within a quarter of an hour, which is the same in every time zone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Second {
    At(i64),
    /// The photo has no time.
    Unknown,
    /// The photo has any time; a photo without one searches among these. Only the first of them are kept, because a
    /// camera on a tripod takes thousands that look the same.
    Any,
}

/// A key that photos share if they may be copies: a band of the hash, the number of faces and the second.
type Band = (u32, u16, u64, Second);

/// Most photos in a band for [`Second::Any`].
const ANY_TIME: usize = 64;

/// Photos by the bands of their hashes. Two hashes that differ in at most 7 bits have a band in which they differ in at
/// most one.
#[derive(Default)]
struct Bands(HashMap<Band, Vec<usize>>);

impl Bands {
    fn parts(hash: PictureHash) -> impl Iterator<Item = (u32, u16)> {
        (0..BANDS).map(move |band| (band, (hash.0 >> (16 * band)) as u16))
    }

    fn insert(&mut self, photo: &HashedPhoto, place: usize) {
        for (band, part) in Self::parts(photo.picture) {
            let mut put = |second, most: usize| {
                let places = self.0.entry((band, part, photo.faces, second)).or_default();
                if places.len() < most {
                    places.push(place);
                }
            };
            match photo.taken {
                Some(taken) => {
                    put(Second::At(second_of(taken)), usize::MAX);
                    put(Second::Any, ANY_TIME);
                }
                None => put(Second::Unknown, usize::MAX),
            }
        }
    }

    /// Returns the places of all photos that may be copies, some of them more than once.
    fn near(&self, photo: &HashedPhoto) -> impl Iterator<Item = usize> {
        let seconds: Vec<Second> = match photo.taken.map(second_of) {
            Some(second) => {
                let beside = [-1, 0, 1].map(|step| Second::At((second + step).rem_euclid(QUARTER)));
                [Second::Unknown].into_iter().chain(beside).collect()
            }
            None => vec![Second::Unknown, Second::Any],
        };
        let variants = |part: u16| std::iter::once(part).chain((0..16).map(move |bit| part ^ (1 << bit)));
        let parts =
            Self::parts(photo.picture).flat_map(move |(band, part)| variants(part).map(move |part| (band, part)));
        let faces = photo.faces;
        let keys = parts
            .flat_map(move |(band, part)| seconds.clone().into_iter().map(move |second| (band, part, faces, second)));
        keys.filter_map(|key| self.0.get(&key)).flatten().copied()
    }
}

fn second_of(taken: Taken) -> i64 {
    taken.local_ms.div_euclid(1_000).rem_euclid(QUARTER)
}

/// The copies among the photos of a gallery, each with the photo of which it is a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies(HashMap<ImageId, ImageId>);

impl Copies {
    /// Finds the copies among photos, which are in ascending order of their keys.
    ///
    /// Two photos are copies when their hashes differ in at most 2 bits and their aspect ratios by at most 2 %, they
    /// have equally many faces, and their files do not name different times. The original is the one with the most
    /// pixels, then the most bytes, then the smallest key. An original is never a copy itself.
    pub fn find(photos: &[HashedPhoto]) -> Self {
        let mut order: Vec<usize> = (0..photos.len()).collect();
        // The sort is stable, so of equal photos the one with the smallest key is first.
        order.sort_by_key(|&place| {
            let HashedPhoto { width, height, bytes, .. } = photos[place];
            Reverse((u64::from(width) * u64::from(height), bytes))
        });
        let (mut originals, mut copies) = (Bands::default(), HashMap::new());
        for (rank, &place) in order.iter().enumerate() {
            let photo = photos[place];
            let near = originals.near(&photo).filter(|&rank| photo.is_copy_of(&photos[order[rank]]));
            match near.min_by_key(|&rank| (photo.picture.distance(photos[order[rank]].picture), rank)) {
                Some(original) => drop(copies.insert(photo.id, photos[order[original]].id)),
                None => originals.insert(&photo, rank),
            }
        }
        Self(copies)
    }

    /// Sets in listed photos of which photo they are a copy. `path_of` has the paths of the originals.
    pub fn note(&self, rows: &mut [ImageRow], path_of: &HashMap<ImageId, String>) {
        for row in rows {
            let original = self.original(row.id);
            row.copy_of = original.and_then(|id| Some(Original { id, path: path_of.get(&id)?.clone() }));
        }
    }

    /// Returns the photo of which a photo is a copy.
    pub fn original(&self, photo: ImageId) -> Option<ImageId> {
        self.0.get(&photo).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(n: u8, picture: u64, (width, height): (u32, u32), bytes: u64) -> HashedPhoto {
        HashedPhoto { id: ImageId([n; 16]), picture: PictureHash(picture), width, height, bytes, faces: 2, taken: None }
    }

    /// The photo that each is a copy of.
    fn originals(photos: &[HashedPhoto]) -> Vec<Option<u8>> {
        let copies = Copies::find(photos);
        photos.iter().map(|photo| copies.original(photo.id).map(|id| id.0[0])).collect()
    }

    #[test]
    fn the_original_has_most_pixels_then_most_bytes_then_the_smallest_key() {
        let (large, small) = ((4000, 3000), (2000, 1500));
        for (photos, expected) in [
            (vec![], vec![]),
            (vec![photo(1, 7, large, 9)], vec![None]),
            (vec![photo(1, 7, small, 9), photo(2, 7, large, 5)], vec![Some(2), None]),
            (vec![photo(1, 7, large, 5), photo(2, 7, large, 9)], vec![Some(2), None]),
            (vec![photo(1, 7, large, 9), photo(2, 7, large, 9)], vec![None, Some(1)]),
            // An edge of 2 % is cut off, or more.
            (vec![photo(1, 7, large, 9), photo(2, 7, (1970, 1500), 9)], vec![None, Some(1)]),
            (vec![photo(1, 7, large, 9), photo(2, 7, (1900, 1500), 9)], vec![None, None]),
            (vec![photo(1, 7, large, 9), photo(2, 7, (3000, 4000), 9)], vec![None, None]),
            (vec![photo(1, 7, large, 9), HashedPhoto { faces: 1, ..photo(2, 7, small, 9) }], vec![None, None]),
            // A chain: the second and third are near each other, but only the second is near the
            // first.
            (
                vec![photo(1, 0, large, 9), photo(2, 0b11, small, 8), photo(3, 0b1111, small, 7)],
                vec![None, Some(1), None],
            ),
            // Of two originals, the nearer.
            (
                vec![photo(1, 0, large, 9), photo(2, 0b111, large, 8), photo(3, 0b11, small, 7)],
                vec![None, None, Some(2)],
            ),
            (vec![photo(1, 7, (0, 0), 0), photo(2, 7, (0, 0), 0)], vec![None, Some(1)]),
        ] {
            assert_eq!(originals(&photos), expected, "{photos:?}");
        }
    }

    #[test]
    fn shots_of_other_times_are_no_copies() {
        let at = |local_ms, offset_minutes| Some(Taken { local_ms, offset_minutes });
        let hour = 3_600_000;
        for (first, second, expected) in [
            (None, None, Some(1)),
            (at(hour, None), None, Some(1)),
            (at(hour, None), at(hour + 400, None), Some(1)),
            (at(hour, None), at(hour + 1500, None), None),
            (at(hour, Some(60)), at(2 * hour, Some(120)), Some(1)),
        ] {
            let photos = [(1, first), (2, second)].map(|(n, taken)| HashedPhoto { taken, ..photo(n, 7, (10, 10), 9) });
            assert_eq!(originals(&photos), [None, expected], "{first:?} {second:?}");
        }
    }

    #[test]
    fn near_hashes_are_found_wherever_their_bits_differ() {
        // Linear congruential: MMIX.
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 32
        };
        for _ in 0..500 {
            let first = random() << 32 | random();
            for count in 0..=7 {
                let mut second = first;
                while (first ^ second).count_ones() < count {
                    second ^= 1 << (random() % 64);
                }
                let photos = [photo(1, first, (10, 10), 9), photo(2, second, (10, 10), 8)];
                let expected = (count <= 2).then_some(1);
                assert_eq!(originals(&photos), [None, expected], "{first:x} {second:x}");
            }
        }
    }
}
