//! Decides which of the faces that match in a moment become one person together.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::domain::face::FaceId;
use crate::domain::image::ImageId;
use crate::grouping::constraints::Constraints;
use crate::grouping::graph::Graph;
use crate::grouping::params::Params;
use crate::grouping::voices::{Score, Sum};

/// Faces that are one person in one moment.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct MomentUnit {
    /// Two faces or more, ascending.
    pub(crate) faces: Vec<FaceId>,
    /// Whether one of them is good enough to connect clusters.
    pub(crate) has_good: bool,
}

/// Joins faces whose matches are all among them, the most similar first.
pub(crate) fn joined(
    graph: &Graph,
    params: &Params,
    matches: &HashMap<FaceId, Vec<(FaceId, f32)>>,
    constraints: &Constraints,
    faces: &BTreeSet<FaceId>,
) -> Vec<MomentUnit> {
    let mut pairs: Vec<(Reverse<Score>, FaceId, FaceId)> = Vec::new();
    for face in faces {
        let later = matches.get(face).into_iter().flatten().filter(|(other, _)| other > face);
        pairs.extend(later.map(|(other, excess)| (Reverse(Score(*excess)), *face, *other)));
    }
    if pairs.is_empty() {
        return Vec::new();
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
        if a == b {
            continue;
        }
        let (large, small) = if units[a].faces.len() >= units[b].faces.len() { (a, b) } else { (b, a) };
        let (left, right) = (&units[large], &units[small]);
        let are_foes = |face: &FaceId| left.faces.iter().any(|other| constraints.said_apart(*face, *other));
        if right.photos.iter().any(|photo| left.photos.contains(photo))
            || left.sum.mean(&right.sum) < params.moment
            || right.faces.iter().any(are_foes)
        {
            continue;
        }
        let joined = std::mem::take(&mut units[small]);
        joined.faces.iter().for_each(|face| {
            home.insert(*face, large);
        });
        units[large].take(joined);
    }
    let is_good = |face: &FaceId| {
        graph.slot(*face).and_then(|slot| graph.node(slot)).is_some_and(|node| node.quality >= params.core_quality)
    };
    let several = units.into_iter().map(|unit| unit.faces).filter(|faces| faces.len() > 1);
    several
        .map(|mut faces| {
            faces.sort_unstable();
            MomentUnit { has_good: faces.iter().any(is_good), faces }
        })
        .collect()
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
