//! Moments: photos that were taken within minutes of each other show the same few people. So faces in them need less
//! similarity to count as one person, even when a face is turned or a shot is poor.
//!
//! Two photos are of one moment when their times say so or, where neither has a time, when their names are near in one
//! numbered series. Two faces of such photos match when each is the other's most similar face in its photo by a clear
//! margin. Matching faces become one unit, the most similar first, as long as the unit is alike on average and has no
//! photo twice. The units depend on the faces, the times and names of their photos, and people's statements.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use crate::domain::capture::Capture;
use crate::domain::face::FaceId;
use crate::domain::image::ImageId;
use crate::grouping::constraints::Constraints;
use crate::grouping::graph::Graph;
use crate::grouping::heap_size;
use crate::grouping::moment_units::{MomentUnit, joined};
use crate::grouping::params::Params;

/// Time within which two photos are of one moment, in milliseconds.
const MOMENT_MS: u64 = 5 * 60_000;
/// Number of photos before and after one that are examined. More photos with nearly the same time would say nothing.
const BESIDE: usize = 16;
/// Number of faces above which a photo shows a crowd, in which the most similar face says little.
const CROWDED: usize = 100;
/// Largest difference between two numbers of a series that are of one moment.
const NEAR_NUMBERS: u64 = 3;
/// Difference in excess by which the most similar face must lead the second.
const MARGIN: f32 = 0.05;
/// Additional excess for each doubling of the photos of a moment: among more people the most similar face says less.
const CROWD: f32 = 0.01;
/// Additional excess that two good faces need, because they can be compared without the moment.
const GOOD: f32 = 0.04;
/// Additional excess that is needed where only names say that two photos are of one moment, and only one face matches.
const NAME_ALONE: f32 = 0.06;

/// The evidence that two photos are of one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bond {
    Time,
    Name,
}

/// The moments of a gallery: which photos are of one moment, and which of their faces are one person.
#[derive(Default)]
pub(crate) struct Moments {
    photos: HashMap<ImageId, Capture>,
    timeline: BTreeSet<(i64, ImageId)>,
    /// Photos without a time, by series and number.
    series: BTreeSet<(u64, u64, ImageId)>,
    /// Faces that match, with their excess; each pair is stored under both faces.
    matches: HashMap<FaceId, Vec<(FaceId, f32)>>,
    /// Units of two faces or more, stored under each of their faces.
    units: HashMap<FaceId, Arc<MomentUnit>>,
}

impl Moments {
    /// Returns the bytes that the moments keep on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        let Self { photos, timeline, series, matches, units } = self;
        let mut bytes = heap_size::map(photos) + heap_size::tree(timeline) + heap_size::tree(series);
        bytes += heap_size::map_of_vecs(matches) + heap_size::map(units);
        // Each unit is stored under all its faces.
        let of_face = |unit: &Arc<MomentUnit>| size_of::<MomentUnit>() + heap_size::vec(&unit.faces);
        bytes + units.values().map(|unit| of_face(unit) / unit.faces.len().max(1)).sum::<usize>()
    }

    /// Returns the faces that are one person with this one in one moment, itself included; an empty slice where there
    /// are none.
    pub(crate) fn faces(&self, face: FaceId) -> &[FaceId] {
        self.unit(face).map_or(&[], |unit| unit.faces.as_slice())
    }

    /// Returns the unit of a face.
    pub(crate) fn unit(&self, face: FaceId) -> Option<&MomentUnit> {
        self.units.get(&face).map(Arc::as_ref)
    }

    /// Updates the moments after photos or their faces were added, changed or removed (`gone`). Returns the faces whose
    /// unit changed.
    pub(crate) fn update(
        &mut self,
        graph: &Graph,
        params: &Params,
        constraints: &Constraints,
        images: &BTreeSet<ImageId>,
        gone: &[FaceId],
    ) -> Vec<FaceId> {
        let mut region = BTreeSet::new();
        for image in images {
            region.extend(self.beside(*image));
            self.place(graph, *image);
            region.extend(self.beside(*image));
            region.insert(*image);
        }
        if region.iter().all(|image| !self.photos.contains_key(image)) && gone.iter().all(|id| self.unit(*id).is_none())
        {
            return Vec::new();
        }
        let faces =
            |image: &ImageId| graph.photo(*image).iter().filter_map(|slot| graph.node(*slot)).map(|node| node.id);
        let mut stirred: BTreeSet<FaceId> = region.iter().flat_map(faces).chain(gone.iter().copied()).collect();
        for face in stirred.clone() {
            // The rest of its unit is reached through any of its faces.
            stirred.extend(self.faces(face).first());
            for (other, _) in self.matches.remove(&face).unwrap_or_default() {
                stirred.insert(other);
                if let Some(matches) = self.matches.get_mut(&other) {
                    matches.retain(|(to, _)| *to != face);
                }
            }
        }
        let mut neighbours: HashMap<ImageId, Vec<(ImageId, Bond)>> = HashMap::new();
        for image in &region {
            let near = self.neighbours(*image);
            for (other, _) in &near {
                neighbours.entry(*other).or_insert_with(|| self.neighbours(*other));
            }
            neighbours.insert(*image, near);
        }
        let mut photos: HashMap<ImageId, PhotoFaces> = HashMap::new();
        for image in neighbours.keys() {
            photos.insert(*image, PhotoFaces::of(graph, params, *image));
        }
        for image in &region {
            for (other, bond) in &neighbours[image] {
                // When both photos are in the region, the pair comes twice.
                if image < other || !region.contains(other) {
                    let shots = [image, other].map(|image| self.other_shots(*image, &neighbours[image]));
                    let needed = params.moment + CROWD * (shots[0].max(shots[1]).max(1) as f32).log2();
                    self.match_photos(graph, params, [&photos[image], &photos[other]], *bond, needed);
                }
            }
        }
        self.settle(graph, params, constraints, &stirred)
    }

    /// Builds the units of some faces, and of all faces that match them, again. Returns the faces whose unit changed.
    pub(crate) fn settle(
        &mut self,
        graph: &Graph,
        params: &Params,
        constraints: &Constraints,
        faces: &BTreeSet<FaceId>,
    ) -> Vec<FaceId> {
        let mut all = BTreeSet::new();
        let mut open: Vec<FaceId> = faces.iter().copied().collect();
        while let Some(face) = open.pop() {
            if all.insert(face) {
                open.extend(self.matches.get(&face).into_iter().flatten().map(|(other, _)| *other));
                // A unit has been reached as a whole once its first face has.
                let unit = self.faces(face);
                if unit.first().is_some_and(|first| *first == face || !all.contains(first)) {
                    open.extend(unit);
                }
            }
        }
        let before: Vec<_> = all.iter().map(|face| (*face, self.units.remove(face))).collect();
        for unit in joined(graph, params, &self.matches, constraints, &all) {
            let unit = Arc::new(unit);
            unit.faces.iter().for_each(|face| {
                self.units.insert(*face, Arc::clone(&unit));
            });
        }
        before.into_iter().filter(|(face, unit)| self.units.get(face) != unit.as_ref()).map(|(face, _)| face).collect()
    }

    /// Records the capture of a photo that has faces, and forgets a photo that has none.
    fn place(&mut self, graph: &Graph, image: ImageId) {
        if let Some(capture) = self.photos.remove(&image) {
            match capture {
                Capture { taken: Some(taken), .. } => {
                    self.timeline.remove(&(taken.local_ms, image));
                }
                Capture { series: Some(place), .. } => {
                    self.series.remove(&(place.series, place.number, image));
                }
                _ => {}
            }
        }
        let nodes = graph.photo(image).iter().filter_map(|slot| graph.node(*slot));
        let Some(capture) = nodes.min_by_key(|node| node.id).map(|node| node.capture) else { return };
        match capture {
            Capture { taken: Some(taken), .. } => {
                self.timeline.insert((taken.local_ms, image));
            }
            Capture { series: Some(place), .. } => {
                self.series.insert((place.series, place.number, image));
            }
            _ => return,
        }
        self.photos.insert(image, capture);
    }

    /// Returns the photos whose neighbours may change when this one comes or goes.
    fn beside(&self, image: ImageId) -> Vec<ImageId> {
        match self.photos.get(&image) {
            Some(Capture { taken: Some(taken), .. }) => self.in_time((taken.local_ms, image)).collect(),
            _ => self.neighbours(image).into_iter().map(|(other, _)| other).collect(),
        }
    }

    /// Returns the photos before and after a place in the timeline.
    fn in_time(&self, place: (i64, ImageId)) -> impl Iterator<Item = ImageId> + '_ {
        let before = self.timeline.range(..place).rev().take(BESIDE);
        before.chain(self.timeline.range((Excluded(place), Unbounded)).take(BESIDE)).map(|(_, image)| *image)
    }

    /// Returns the photos of one moment with this one.
    fn neighbours(&self, image: ImageId) -> Vec<(ImageId, Bond)> {
        match self.photos.get(&image) {
            Some(Capture { taken: Some(taken), .. }) => {
                let is_near = |other: &ImageId| {
                    let theirs = self.photos.get(other).and_then(|capture| capture.taken);
                    theirs.is_some_and(|theirs| taken.distance_ms(&theirs) <= MOMENT_MS)
                };
                let beside = self.in_time((taken.local_ms, image)).filter(is_near);
                beside.map(|other| (other, Bond::Time)).collect()
            }
            Some(Capture { series: Some(place), .. }) => {
                let own = (place.series, place.number, image);
                let first = (place.series, place.number.saturating_sub(NEAR_NUMBERS), ImageId([0; 16]));
                let last = (place.series, place.number.saturating_add(NEAR_NUMBERS), ImageId([255; 16]));
                let before = self.series.range(first..own).rev().take(BESIDE);
                let others = before.chain(self.series.range((Excluded(own), Included(last))).take(BESIDE));
                others.map(|(.., other)| (*other, Bond::Name)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Counts the different shots among the photos beside one. Copies are one shot, and copies of the photo itself do
    /// not count.
    fn other_shots(&self, image: ImageId, beside: &[(ImageId, Bond)]) -> usize {
        let shot = |image: &ImageId| {
            let capture = self.photos.get(image)?;
            Some(match capture.taken {
                Some(taken) => (Some(taken.local_ms), None),
                None => (None, capture.series.map(|place| place.number)),
            })
        };
        let own = shot(&image);
        beside.iter().map(|(other, _)| shot(other)).filter(|other| *other != own).collect::<BTreeSet<_>>().len()
    }

    /// Records the faces of two photos of one moment that match.
    fn match_photos(
        &mut self,
        graph: &Graph,
        params: &Params,
        [ours, theirs]: [&PhotoFaces; 2],
        bond: Bond,
        needed: f32,
    ) {
        let mut rows = vec![Likest::default(); ours.slots.len()];
        let mut columns = vec![Likest::default(); theirs.slots.len()];
        for (row, face) in ours.slots.iter().enumerate() {
            for (column, other) in theirs.slots.iter().enumerate() {
                let excess = graph.excess(*face, *other);
                rows[row].offer(column, excess);
                columns[column].offer(row, excess);
            }
        }
        let mut found = Vec::new();
        for (row, likest) in rows.iter().enumerate() {
            let Some(column) = likest.clear().filter(|column| columns[*column].clear() == Some(row)) else { continue };
            let (face, other) = (ours.slots[row], theirs.slots[column]);
            let is_good = |slot: u32| graph.node(slot).is_some_and(|node| node.quality >= params.core_quality);
            let more = if is_good(face) && is_good(other) { GOOD } else { 0.0 };
            if likest.best >= needed + more && !ours.is_twice[row] && !theirs.is_twice[column] {
                found.push((face, other, likest.best));
            }
        }
        let alone = bond == Bond::Name && found.len() < 2;
        for (face, other, excess) in found {
            if alone && excess < needed + NAME_ALONE {
                continue;
            }
            let (Some(x), Some(y)) = (graph.node(face), graph.node(other)) else { continue };
            self.matches.entry(x.id).or_default().push((y.id, excess));
            self.matches.entry(y.id).or_default().push((x.id, excess));
        }
    }
}

/// The faces of a photo that can be matched; a crowd has none.
struct PhotoFaces {
    slots: Vec<u32>,
    /// Whether another face of the photo looks like this face, so that nobody can tell which of them is the person.
    is_twice: Vec<bool>,
}

impl PhotoFaces {
    fn of(graph: &Graph, params: &Params, image: ImageId) -> Self {
        let all = graph.photo(image);
        let slots = if all.len() > CROWDED { Vec::new() } else { all.to_vec() };
        let is_twice = |slot: &u32| slots.iter().any(|o| o != slot && graph.excess(*slot, *o) >= params.contested);
        Self { is_twice: slots.iter().map(is_twice).collect(), slots }
    }
}

/// The most similar of some faces, and the excess of the second.
#[derive(Clone, Copy)]
struct Likest {
    at: usize,
    best: f32,
    second: f32,
}

impl Default for Likest {
    fn default() -> Self {
        Self { at: usize::MAX, best: f32::NEG_INFINITY, second: f32::NEG_INFINITY }
    }
}

impl Likest {
    fn offer(&mut self, at: usize, excess: f32) {
        if excess > self.best {
            (self.at, self.best, self.second) = (at, excess, self.best);
        } else {
            self.second = self.second.max(excess);
        }
    }

    /// Returns the position of the most similar face where it leads the second by a clear margin.
    fn clear(&self) -> Option<usize> {
        (self.best - self.second >= MARGIN).then_some(self.at)
    }
}
