//! Moments: photos taken within minutes of each other are of the same few people, so that less likeness is needed to
//! know one of them again, however turned the face or poor the shot.
//!
//! Two photos are of one moment when their times say so, or, where neither has a time, when their names are near in one
//! numbered series. A face and another of two such photos match when each is the other's likest in its photo by a clear
//! margin. Faces that match become one unit, the likest first, as long as the unit is alike on average and in no photo
//! twice. The units are a function of the faces, their photos' times and names and what people said.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::capture::Capture;
use crate::domain::face::FaceId;
use crate::domain::image::ImageId;
use crate::grouping::constraints::Constraints;
use crate::grouping::graph::Graph;
use crate::grouping::params::Params;
use crate::grouping::voices::{Score, Sum};

/// Photos taken within this of each other are of one moment.
const MOMENT_MS: u64 = 5 * 60_000;
/// Photos before and after one that are looked at: a thousand with one time say nothing.
const BESIDE: usize = 16;
/// Numbers in a series that are near.
const NEAR_NUMBERS: u64 = 3;
/// How much less alike the second likest must be.
const MARGIN: f32 = 0.05;
/// How much more excess each doubling of the photos of a moment needs: among more people the likest says less.
const CROWD: f32 = 0.01;
/// How much more excess is needed where only names say that two photos are of one moment, and one face alone matches.
const NAME_ALONE: f32 = 0.06;

/// Why two photos are of one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bond {
    Time,
    Name,
}

/// Faces of one moment that are one person.
#[derive(Default)]
pub(crate) struct Moments {
    photos: HashMap<ImageId, Capture>,
    timeline: BTreeSet<(i64, ImageId)>,
    /// Photos without a time, by series and number.
    series: BTreeSet<(u64, u64, ImageId)>,
    /// Faces that match, with their excess; each pair is under both.
    matches: HashMap<FaceId, Vec<(FaceId, f32)>>,
    /// Units of two faces or more, ascending, under each of their faces.
    units: HashMap<FaceId, Vec<FaceId>>,
}

impl Moments {
    /// The faces that are one person with this one in one moment, itself included; none where there are none.
    pub(crate) fn unit(&self, face: FaceId) -> &[FaceId] {
        self.units.get(&face).map_or(&[], Vec::as_slice)
    }

    /// Follows the graph where photos or their faces came, changed or went, `gone` among them. Returns the faces whose
    /// unit is another now.
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
        if region.iter().all(|image| !self.photos.contains_key(image))
            && gone.iter().all(|id| self.unit(*id).is_empty())
        {
            return Vec::new();
        }
        let faces =
            |image: &ImageId| graph.photo(*image).iter().filter_map(|slot| graph.node(*slot)).map(|node| node.id);
        let mut stirred: BTreeSet<FaceId> = region.iter().flat_map(faces).chain(gone.iter().copied()).collect();
        for face in stirred.clone() {
            stirred.extend(self.unit(face));
            for (other, _) in self.matches.remove(&face).unwrap_or_default() {
                stirred.insert(other);
                if let Some(matches) = self.matches.get_mut(&other) {
                    matches.retain(|(to, _)| *to != face);
                }
            }
        }
        for image in &region {
            let neighbours = self.neighbours(*image);
            for (other, bond) in &neighbours {
                // Both are in the region: the pair comes twice.
                if image < other || !region.contains(other) {
                    let most = neighbours.len().max(self.neighbours(*other).len());
                    let needed = params.moment + CROWD * (most as f32).log2();
                    self.match_photos(graph, params, [*image, *other], *bond, needed);
                }
            }
        }
        self.settle(graph, params, constraints, &stirred)
    }

    /// Builds the units of some faces anew, and of all that match them. Returns the faces whose unit is another now.
    pub(crate) fn settle(
        &mut self,
        graph: &Graph,
        params: &Params,
        constraints: &Constraints,
        faces: &BTreeSet<FaceId>,
    ) -> Vec<FaceId> {
        let mut before = BTreeMap::new();
        let mut all = BTreeSet::new();
        let mut open: Vec<FaceId> =
            faces.iter().flat_map(|face| self.unit(*face).iter().chain([face])).copied().collect();
        while let Some(face) = open.pop() {
            if all.insert(face) {
                open.extend(self.matches.get(&face).into_iter().flatten().map(|(other, _)| *other));
                open.extend(self.unit(face));
            }
        }
        for face in &all {
            before.insert(*face, self.units.remove(face).unwrap_or_default());
        }
        for unit in self.joined(graph, params, constraints, &all) {
            unit.iter().for_each(|face| {
                self.units.insert(*face, unit.clone());
            });
        }
        before.into_iter().filter(|(face, unit)| self.unit(*face) != unit.as_slice()).map(|(face, _)| face).collect()
    }

    /// Units of faces whose matches are all among them.
    fn joined(
        &self,
        graph: &Graph,
        params: &Params,
        constraints: &Constraints,
        faces: &BTreeSet<FaceId>,
    ) -> Vec<Vec<FaceId>> {
        let mut pairs: Vec<(Reverse<Score>, FaceId, FaceId)> = Vec::new();
        for face in faces {
            let later = self.matches.get(face).into_iter().flatten().filter(|(other, _)| other > face);
            pairs.extend(later.map(|(other, excess)| (Reverse(Score(*excess)), *face, *other)));
        }
        pairs.sort_unstable();
        let mut units: Vec<Unit> = Vec::new();
        let mut home: HashMap<FaceId, usize> = HashMap::new();
        for (_, a, b) in pairs {
            let [a, b] = [a, b].map(|face| {
                *home.entry(face).or_insert_with(|| {
                    units.push(Unit::new(graph, face));
                    units.len() - 1
                })
            });
            let apart = |x: &FaceId, y: &FaceId| constraints.said_apart(*x, *y);
            let (left, right) = (&units[a], &units[b]);
            let are_two = left.faces.iter().any(|x| right.faces.iter().any(|y| apart(x, y)));
            if a == b
                || left.photos.intersection(&right.photos).next().is_some()
                || left.sum.mean(&right.sum) < params.moment
                || are_two
            {
                continue;
            }
            let joined = std::mem::take(&mut units[b]);
            joined.faces.iter().for_each(|face| {
                home.insert(*face, a);
            });
            units[a].take(joined);
        }
        let mut found: Vec<Vec<FaceId>> =
            units.into_iter().map(|unit| unit.faces).filter(|unit| unit.len() > 1).collect();
        found.iter_mut().for_each(|unit| unit.sort_unstable());
        found
    }

    /// Notes what is known of a photo that has faces, and forgets one that has none.
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

    /// Photos whose neighbours may change when this one comes or goes.
    fn beside(&self, image: ImageId) -> Vec<ImageId> {
        match self.photos.get(&image) {
            Some(Capture { taken: Some(taken), .. }) => self.in_time((taken.local_ms, image)).collect(),
            _ => self.neighbours(image).into_iter().map(|(other, _)| other).collect(),
        }
    }

    /// The photos before and after a place in the timeline.
    fn in_time(&self, place: (i64, ImageId)) -> impl Iterator<Item = ImageId> + '_ {
        use std::ops::Bound::{Excluded, Unbounded};
        let before = self.timeline.range(..place).rev().take(BESIDE);
        before.chain(self.timeline.range((Excluded(place), Unbounded)).take(BESIDE)).map(|(_, image)| *image)
    }

    /// Photos of one moment with this one.
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
                let first = (place.series, place.number.saturating_sub(NEAR_NUMBERS), ImageId([0; 16]));
                let last = (place.series, place.number.saturating_add(NEAR_NUMBERS), ImageId([255; 16]));
                let others = self.series.range(first..=last).filter(|(.., other)| *other != image);
                others.map(|(.., other)| (*other, Bond::Name)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Notes the faces of two photos of one moment that match.
    fn match_photos(&mut self, graph: &Graph, params: &Params, images: [ImageId; 2], bond: Bond, needed: f32) {
        let [ours, theirs] = images.map(|image| graph.photo(image));
        let mut found = Vec::new();
        for face in ours {
            let Some((other, excess)) = likest(graph, *face, theirs) else { continue };
            let is_mutual = likest(graph, other, ours).is_some_and(|(back, _)| back == *face);
            let is_twice = [(*face, ours), (other, theirs)]
                .iter()
                .any(|(face, photo)| photo.iter().any(|o| o != face && graph.excess(*face, *o) >= params.contested));
            if is_mutual && !is_twice && excess >= needed {
                found.push((*face, other, excess));
            }
        }
        let needed = needed + if bond == Bond::Name && found.len() < 2 { NAME_ALONE } else { 0.0 };
        for (face, other, excess) in found.into_iter().filter(|(.., excess)| *excess >= needed) {
            let (Some(x), Some(y)) = (graph.node(face), graph.node(other)) else { continue };
            self.matches.entry(x.id).or_default().push((y.id, excess));
            self.matches.entry(y.id).or_default().push((x.id, excess));
        }
    }
}

/// The face of a photo that is most like another, by a clear margin.
fn likest(graph: &Graph, face: u32, photo: &[u32]) -> Option<(u32, f32)> {
    let mut all: Vec<(Reverse<Score>, u32)> =
        photo.iter().map(|other| (Reverse(Score(graph.excess(face, *other))), *other)).collect();
    all.sort_unstable();
    match all[..] {
        [(Reverse(Score(excess)), other)] => Some((other, excess)),
        [(Reverse(Score(excess)), other), (Reverse(Score(second)), _), ..] if excess - second >= MARGIN => {
            Some((other, excess))
        }
        _ => None,
    }
}

/// Faces that were joined so far.
#[derive(Default)]
struct Unit {
    faces: Vec<FaceId>,
    photos: BTreeSet<ImageId>,
    sum: Sum,
}

impl Unit {
    fn new(graph: &Graph, face: FaceId) -> Self {
        let slots: Vec<u32> = graph.slot(face).into_iter().collect();
        let photos = slots.iter().filter_map(|slot| graph.node(*slot)).map(|node| node.image).collect();
        Self { faces: vec![face], photos, sum: Sum::over(graph, &slots) }
    }

    fn take(&mut self, other: Self) {
        self.faces.extend(other.faces);
        self.photos.extend(other.photos);
        self.sum.add(&other.sum);
    }
}
