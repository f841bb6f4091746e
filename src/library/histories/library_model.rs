//! A library with a model of what was said beside it, and random steps that change both.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::domain::capture::PictureHash;
use muster_actors::domain::face::{BBox, Face, FaceId, Quality};
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::domain::image::{ImageRecord, ImageState, Locator};
use muster_actors::domain::timings::Timings;
use muster_actors::domain::version::ObjectVersion;
use muster_actors::grouping::Params;
use muster_actors::people::{Author, Correction, Member};
use muster_actors::ports::faces::Commit;
use muster_gallery::LIBRARY_GALLERY;
use rusqlite::Connection;

use crate::{Library, correct, grouping, write};

/// SplitMix64.
pub(super) struct SeededRandom(pub(super) u64);

impl SeededRandom {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// A face: its file, and its number in the picture that the file shows.
pub(super) type Spot = (String, usize);

/// A file on the disk.
#[derive(Clone)]
pub(super) struct File {
    pub(super) picture: usize,
    /// Another number after each edit, another encoding or a crop: other bytes, the same picture.
    pub(super) bytes: u8,
    /// Pixels cropped at the left and the top.
    pub(super) cropped: f32,
}

/// What was said, as far as it must hold.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Statement {
    pub(super) owner: BTreeMap<Spot, GroupId>,
    /// Groups of which somebody spoke: what is computed into them later is not confirmed by another word.
    pub(super) persons: BTreeSet<GroupId>,
    pub(super) names: BTreeMap<GroupId, String>,
    pub(super) two: BTreeSet<(Spot, Spot)>,
    /// Faces of which it is open what was said: of two files of one picture different things were.
    pub(super) open: BTreeSet<Spot>,
}

pub(super) struct LibraryModel {
    pub(super) folder: tempfile::TempDir,
    pub(super) library: Library,
    pub(super) files: BTreeMap<String, File>,
    /// How many faces each picture has, and whose they are in truth.
    pub(super) pictures: Vec<Vec<usize>>,
    pub(super) model: u8,
    pub(super) said: Statement,
    /// What was said of files that are gone: their pictures may come back elsewhere.
    pub(super) gone: Vec<(usize, Spot)>,
    /// What held before each change that can be taken back.
    pub(super) history: Vec<Statement>,
    pub(super) clock: u64,
    /// The last correction, to be read where a history fails.
    pub(super) last: String,
}

pub(super) const SIDE: u32 = 1000;

pub(super) fn gallery() -> GalleryId {
    GalleryId(LIBRARY_GALLERY.to_owned())
}

pub(super) fn direction(seed: u64, model: u8) -> Vec<f32> {
    let mut dice = SeededRandom(seed ^ (u64::from(model) << 32));
    let vector: Vec<f32> =
        (0..24).map(|_| (0..6).map(|_| dice.below(1000) as f32 / 1000.0).sum::<f32>() - 3.0).collect();
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    vector.into_iter().map(|v| v / length).collect()
}

impl LibraryModel {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let library = Library::create(&folder.path().join(".muster")).unwrap();
        let (files, pictures, said, gone, history) = Default::default();
        Self { folder, library, files, pictures, model: 1, said, gone, history, clock: 0, last: String::new() }
    }

    pub(super) fn locator(key: &str) -> Locator {
        Locator { gallery: gallery(), bucket: ".".to_owned(), key: key.to_owned() }
    }

    pub(super) fn model(&self) -> String {
        format!("m@{}", self.model)
    }

    pub(super) fn bbox(&self, file: &File, face: usize) -> BBox {
        // Another model draws its boxes a little elsewhere.
        let shift = f32::from(self.model) * 3.0 - file.cropped;
        BBox { x: 60.0 + 240.0 * face as f32 + shift, y: 100.0 + shift, width: 180.0, height: 200.0 }
    }

    pub(super) fn face_id(&self, key: &str, face: usize) -> FaceId {
        FaceId::new(Self::locator(key).id(), &self.model(), &self.bbox(&self.files[key], face))
    }

    /// Looks at a file as an index does.
    pub(super) fn index(&mut self, key: &str) {
        let file = self.files[key].clone();
        let id = Self::locator(key).id();
        let mut content = [0; 32];
        (content[0], content[1], content[2]) = (file.picture as u8, file.bytes, 1);
        let faces = self.pictures[file.picture].iter().enumerate().map(|(n, person)| {
            let (own, noise) =
                (direction(*person as u64, self.model), direction(7_000 + (file.picture * 10 + n) as u64, self.model));
            let mixed: Vec<f32> = own.iter().zip(noise).map(|(a, b)| a * 0.85 + b * 0.5).collect();
            let length = mixed.iter().map(|v| v * v).sum::<f32>().sqrt();
            Face {
                id: self.face_id(key, n),
                image: id,
                bbox: self.bbox(&file, n),
                landmarks: [[1.0; 2]; 5],
                quality: Quality { overall: 0.9, ..Quality::default() }.with_face(1.0),
                embedding: mixed.into_iter().map(|v| v / length).collect(),
                thumbnail: vec![1],
            }
        });
        let faces: Vec<Face> = faces.collect();
        // One bit of a picture's hash differs from that of a cropped copy; those of two pictures differ in many.
        let picture = SeededRandom(900 + file.picture as u64).next() ^ u64::from(file.cropped > 0.0);
        let image = ImageRecord {
            id,
            locator: Self::locator(key),
            etag: format!("{}-{}", file.picture, file.bytes),
            bytes: 1,
            width: SIDE - 2 * file.cropped as u32,
            height: SIDE - 2 * file.cropped as u32,
            orientation: 1,
            taken: None,
            picture: Some(PictureHash(picture)),
            state: ImageState::Indexed,
            rejection: None,
            quality: None,
            face_count: faces.len() as u32,
            model: self.model(),
        };
        let commit = Commit {
            image,
            faces,
            content: Some(content),
            version: ObjectVersion::default(),
            timings: Timings::default(),
        };
        write::commit(self.library.db_mut(), &[commit]).unwrap()[0].clone().unwrap();
    }

    pub(super) fn remove(&mut self, key: &str) {
        let picture = self.files[key].picture;
        for n in 0..self.pictures[picture].len() {
            self.gone.push((picture, (key.to_owned(), n)));
        }
        self.files.remove(key);
        write::remove(self.library.db_mut(), &[Self::locator(key).id()]).unwrap();
    }

    /// Another file shows a picture, or its faces got other ids. What was said of its faces in its other files, or in files
    /// that are gone, is said of them; where that differs, it is open which of it, and nothing is checked any more.
    pub(super) fn follow(&mut self, key: &str, is_fresh: bool) {
        let picture = self.files[key].picture;
        for n in 0..self.pictures[picture].len() {
            let there = self.files.iter().filter(|(_, file)| file.picture == picture).map(|(key, _)| (key.clone(), n));
            let gone =
                self.gone.iter().filter(|(of, spot)| *of == picture && spot.1 == n).map(|(_, spot)| spot.clone());
            let spots: BTreeSet<Spot> = there.chain(gone).collect();
            let others: Vec<&Spot> = spots.iter().filter(|spot| !(is_fresh && spot.0 == key)).collect();
            let owners: BTreeSet<Option<GroupId>> =
                others.iter().map(|spot| self.said.owner.get(*spot).copied()).collect();
            match Vec::from_iter(owners)[..] {
                [owner] => self.said.owner.extend(owner.map(|owner| ((key.to_owned(), n), owner))),
                _ => {
                    self.said.owner.retain(|spot, _| !spots.contains(spot));
                    self.said.open.extend(spots.iter().cloned());
                }
            }
            if spots.len() > 1 {
                self.said.two.retain(|(a, b)| !spots.contains(a) && !spots.contains(b));
            }
        }
    }

    pub(super) fn regroup(&mut self) {
        grouping::regroup(&mut self.library, &Params::default()).unwrap();
    }

    /// The spot of each face that there is.
    pub(super) fn spots(&self) -> BTreeMap<FaceId, Spot> {
        let mut spots = BTreeMap::new();
        for (key, file) in &self.files {
            for n in 0..self.pictures[file.picture].len() {
                spots.insert(self.face_id(key, n), (key.clone(), n));
            }
        }
        spots
    }

    pub(super) fn homes(&self) -> BTreeMap<FaceId, GroupId> {
        let mut select =
            self.library.db().prepare("SELECT m.face, m.grp FROM members m JOIN faces f ON f.id = m.face").unwrap();
        let rows = select.query_map([], |row| Ok((FaceId(row.get(0)?), GroupId(row.get(1)?)))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Says something, and notes in the model what must follow.
    pub(super) fn say(&mut self, dice: &mut SeededRandom) {
        let (homes, spots) = (self.homes(), self.spots());
        let groups: Vec<GroupId> = homes.values().copied().collect::<BTreeSet<_>>().into_iter().collect();
        if groups.is_empty() {
            return;
        }
        let members = |of: GroupId| -> BTreeSet<FaceId> {
            homes.iter().filter(|(_, home)| **home == of).map(|(face, _)| *face).collect()
        };
        let pick = |dice: &mut SeededRandom| groups[dice.below(groups.len())];
        let (one, other) = (pick(dice), pick(dice));
        let some = |dice: &mut SeededRandom, of: GroupId| -> BTreeSet<FaceId> {
            let all: Vec<FaceId> = members(of).into_iter().collect();
            [all[dice.below(all.len())]].into()
        };
        let correction = match dice.below(6) {
            0 | 1 => Correction::name(one, ["Ada", "Bo", "Cleo", "Dan", "Eva"][dice.below(5)]),
            2 => Correction::Merge(vec![Member::Group(one), Member::Group(other)]),
            3 => Correction::Split { group: one, faces: some(dice, one) },
            4 => Correction::Move { group: one, faces: some(dice, other) },
            _ => Correction::NotSame { a: *some(dice, one).first().unwrap(), b: *some(dice, other).first().unwrap() },
        };
        self.clock += 1;
        let author = Author { by: "me".to_owned(), at_ms: self.clock };
        let before = self.said.clone();
        let Ok(corrected) = correct::correct(self.library.db_mut(), &correction, &author) else { return };
        if corrected.change.is_none() {
            return;
        }
        self.history.push(before);
        self.last = format!("{correction:?}");
        let said = &mut self.said;
        let is_new = !said.persons.contains(&one);
        let mut own = |faces: &BTreeSet<FaceId>, person: GroupId, over: bool| {
            for face in faces {
                if over {
                    said.open.remove(&spots[face]);
                }
                let owner = said.owner.entry(spots[face].clone());
                match owner {
                    std::collections::btree_map::Entry::Occupied(mut entry) if over => drop(entry.insert(person)),
                    entry => drop(entry.or_insert(person)),
                }
            }
        };
        match &correction {
            Correction::Details { .. } if is_new => own(&members(one), one, false),
            Correction::Merge(_) => {
                if is_new {
                    own(&members(one), one, false);
                }
                own(&members(other), one, true);
            }
            Correction::Split { faces, .. } => {
                let new = corrected.moved.iter().find_map(|moved| moved.to).unwrap();
                if is_new {
                    own(&(&members(one) - faces), one, false);
                }
                own(faces, new, true);
                said.persons.insert(new);
            }
            Correction::Move { faces, .. } => {
                if is_new {
                    own(&members(one), one, false);
                }
                own(faces, one, true);
            }
            _ => {}
        }
        if !matches!(correction, Correction::NotSame { .. }) {
            said.persons.insert(one);
        }
        match correction {
            Correction::Details { details, .. } => drop(said.names.insert(one, details.name.unwrap_or_default())),
            Correction::Merge(_) => {
                // Faces that are not there now were the other's, and are the first's.
                said.owner.values_mut().filter(|owner| **owner == other).for_each(|owner| *owner = one);
                if let Some(name) = said.names.remove(&other) {
                    said.names.entry(one).or_insert(name);
                }
                let owner = said.owner.clone();
                let open = said.open.clone();
                let differ = |a: &Spot, b: &Spot| !owner.contains_key(a) || owner.get(a) != owner.get(b);
                said.two.retain(|(a, b)| !open.contains(a) && !open.contains(b) && differ(a, b));
            }
            Correction::Move { .. } | Correction::Split { .. } => {
                let owner = said.owner.clone();
                let open = said.open.clone();
                let differ = |a: &Spot, b: &Spot| !owner.contains_key(a) || owner.get(a) != owner.get(b);
                said.two.retain(|(a, b)| !open.contains(a) && !open.contains(b) && differ(a, b));
            }
            Correction::NotSame { a, b } => {
                let (a, b) = (spots[&a].clone(), spots[&b].clone());
                if a != b
                    && !said.open.contains(&a)
                    && !said.open.contains(&b)
                    && (!said.owner.contains_key(&a) || said.owner.get(&a) != said.owner.get(&b))
                {
                    said.two.insert((a.clone().min(b.clone()), a.max(b)));
                }
                // Whoever left a person is nobody's for now.
                for moved in &corrected.moved {
                    said.owner.remove(&spots[&moved.face]);
                }
            }
            _ => {}
        }
    }

    /// All that was said holds.
    pub(super) fn check(&self, what: &str) {
        let (homes, spots) = (self.homes(), self.spots());
        let name = |group: GroupId| -> Option<String> {
            let sql = "SELECT name FROM groups WHERE id = ?1";
            self.library.db().query_row(sql, [group.0], |row| row.get(0)).ok().flatten()
        };
        let mut seen: BTreeMap<GroupId, GroupId> = BTreeMap::new();
        for (face, spot) in &spots {
            let Some(owner) = self.said.owner.get(spot) else { continue };
            let facts = crate::facts::all(self.library.db(), 1).unwrap();
            assert_eq!(
                facts.person_of(*face),
                Some(*owner),
                "{what}: {spot:?} {face}, place {:?}",
                facts.places.get(face)
            );
            let home = homes
                .get(face)
                .unwrap_or_else(|| panic!("{what}: {spot:?} is in no group, and was said to be {owner}"));
            assert_eq!(home, owner, "{what}: {spot:?} is not with its person");
            seen.insert(*owner, *home);
            if let Some(said) = self.said.names.get(owner) {
                assert_eq!(name(*home).as_ref(), Some(said), "{what}: the name of {owner}");
            }
        }
        for ((_, one), (_, other)) in seen.iter().zip(seen.iter().skip(1)) {
            assert_ne!(one, other, "{what}: two persons are in one group");
        }
        let home_of: BTreeMap<Spot, BTreeSet<GroupId>> = spots.iter().fold(BTreeMap::new(), |mut map, (face, spot)| {
            map.entry(spot.clone()).or_default().extend(homes.get(face));
            map
        });
        for (a, b) in &self.said.two {
            let (Some(one), Some(other)) = (home_of.get(a), home_of.get(b)) else { continue };
            let facts = crate::facts::all(self.library.db(), 1).unwrap();
            assert!(
                one.is_disjoint(other),
                "{what}: {a:?} and {b:?} are two people: {:?} {:?}",
                (one, other, self.said.owner.get(a), self.said.owner.get(b)),
                facts.not_same
            );
        }
    }
}

pub(super) fn stored(db: &Connection) -> u64 {
    db.query_row("SELECT count(*) FROM faces", [], |row| crate::rows::unsigned(row, 0)).unwrap()
}
