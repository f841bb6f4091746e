//! Why two faces are together or apart.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;

use serde::Serialize;

use crate::domain::face::FaceId;
use crate::domain::gallery::GallerySnapshot;
use crate::domain::image::ImageId;
use crate::grouping::cluster::Clustering;
use crate::grouping::graph::dot;
use crate::grouping::linkage::shared;
use crate::grouping::params::Params;
use crate::grouping::reconcile::gather;
use crate::grouping::voices::{Score, contrast, speakers, weighted_sum};
use crate::ports::index::{IndexError, IndexFactory};

/// One step on the way from one face to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// From this face.
    pub from: FaceId,
    /// To this one.
    pub to: FaceId,
    /// Cosine similarity.
    pub similarity: f32,
    /// Whether a person tied the two.
    pub said_same: bool,
}

/// The rule that decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum Rule {
    /// One of the faces is not in the gallery.
    Unknown,
    /// Together: connected, and alike on average.
    Connected,
    /// Together: a person said so.
    SaidSame,
    /// A person said that these two, or two faces tied to them, are two people.
    SaidNotSame {
        /// One face a person spoke of.
        a: FaceId,
        /// The other.
        b: FaceId,
    },
    /// Both groups (or faces) are in this photo, and nobody is in a photo twice.
    OnePhoto {
        /// The photo.
        image: ImageId,
    },
    /// The face is too poor to bridge, and resembles no group enough to attach to it.
    LowQuality {
        /// The poor face.
        face: FaceId,
    },
    /// Another face of its photo looks the same: it may attach but not bridge.
    Contested {
        /// The contested face.
        face: FaceId,
    },
    /// No way of edges above the threshold leads from one to the other.
    BelowThreshold {
        /// The threshold.
        threshold: f32,
    },
    /// The groups are not alike enough on average.
    MeanTooLow {
        /// Quality-weighted mean over all pairs.
        mean: f32,
        /// What it would have to be.
        linkage: f32,
    },
    /// Each group is much more alike within than to the other: look-alikes.
    Contrast {
        /// Standard deviations between the two means.
        deviations: f32,
        /// The most that is allowed.
        limit: f32,
    },
    /// Each found others that it resembles more before the two could join.
    Order,
}

/// Why two faces are together or apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// One face.
    pub a: FaceId,
    /// The other face.
    pub b: FaceId,
    /// Whether they are in one group.
    pub together: bool,
    /// Their own cosine similarity, where both are known.
    pub similarity: Option<f32>,
    /// The way whose weakest edge is strongest: within the group when together, anywhere when apart; may be empty.
    pub path: Vec<Step>,
    /// What decided.
    pub rule: Rule,
}

impl Explanation {
    /// The weakest step of the path that a person did not say.
    pub(crate) fn weakest(&self) -> Option<&Step> {
        self.path.iter().filter(|step| !step.said_same).min_by(|x, y| x.similarity.total_cmp(&y.similarity))
    }
}

/// Explains two faces of a gallery. Clusters it first: as costly as [`crate::grouping::reconcile()`].
pub fn explain(
    snapshot: GallerySnapshot,
    params: &Params,
    factory: &dyn IndexFactory,
    a: FaceId,
    b: FaceId,
) -> Result<Explanation, IndexError> {
    let clustering = gather(snapshot.faces, &snapshot.decisions, params, factory)?;
    let unknown = Explanation { a, b, together: false, similarity: None, path: Vec::new(), rule: Rule::Unknown };
    Ok(clustering.and_then(|clustering| explain_in(&clustering, a, b)).unwrap_or(unknown))
}

/// Explains two faces of a clustering; `None` where one is not in it.
pub(crate) fn explain_in(clustering: &Clustering, a: FaceId, b: FaceId) -> Option<Explanation> {
    let graph = clustering.graph();
    let (from, to) = (graph.slot(a)?, graph.slot(b)?);
    let groups = clustering.partition();
    let group = |face: FaceId| -> BTreeSet<u32> {
        let found = groups.iter().find(|group| group.binary_search(&face).is_ok());
        let alone = [face];
        found.map_or(&alone[..], Vec::as_slice).iter().filter_map(|face| graph.slot(*face)).collect()
    };
    let (left, right) = (group(a), group(b));
    let together = left.contains(&to);
    let path = widest(clustering, from, to, together.then_some(&left));
    let rule = if together {
        let said = clustering.constraints().unit(a).is_some_and(|unit| unit.contains(&b));
        if said { Rule::SaidSame } else { Rule::Connected }
    } else {
        cut(clustering, (a, b), &left, &right, &path)
    };
    Some(Explanation { a, b, together, similarity: Some(graph.similarity(from, to)), path, rule })
}

/// The rule that keeps two groups apart.
fn cut(
    clustering: &Clustering,
    (a, b): (FaceId, FaceId),
    left: &BTreeSet<u32>,
    right: &BTreeSet<u32>,
    path: &[Step],
) -> Rule {
    let (graph, params) = (clustering.graph(), clustering.params());
    let id = |slot: &u32| graph.node(*slot).map(|node| node.id);
    let constraints = clustering.constraints();
    if constraints.said_apart(a, b) {
        return Rule::SaidNotSame { a, b };
    }
    for x in left.iter().filter_map(id) {
        if let Some(y) = right.iter().filter_map(id).find(|y| constraints.said_apart(x, *y)) {
            return Rule::SaidNotSame { a: x, b: y };
        }
    }
    let photos = |slots: &BTreeSet<u32>| -> Vec<ImageId> {
        let images: BTreeSet<_> = slots.iter().filter_map(|slot| graph.node(*slot)).map(|node| node.image).collect();
        images.into_iter().collect()
    };
    if path.is_empty() {
        let own = |face| graph.slot(face).and_then(|slot| graph.node(slot)).map(|node| node.image);
        return match own(a).filter(|image| own(b) == Some(*image)) {
            Some(image) => Rule::OnePhoto { image },
            None => Rule::BelowThreshold { threshold: params.threshold },
        };
    }
    if let Some(image) = shared(&photos(left), &photos(right)) {
        return Rule::OnePhoto { image };
    }
    let slots = [a, b].map(|face| graph.slot(face));
    if let Some(face) = slots.iter().flatten().find(|slot| !clustering.is_voice(**slot)).and_then(id) {
        return Rule::LowQuality { face };
    }
    let voices = |slots: &BTreeSet<u32>| -> Vec<u32> {
        slots.iter().copied().filter(|slot| clustering.is_voice(*slot)).collect()
    };
    let (left, right) = (voices(left), voices(right));
    let ((x, weight_x), (y, weight_y)) = (weighted_sum(graph, &left), weighted_sum(graph, &right));
    let mean = dot(&x, &y) / (weight_x * weight_y);
    if mean < params.linkage {
        return Rule::MeanTooLow { mean, linkage: params.linkage };
    }
    let between = contrast(graph, &speakers(graph, left), &speakers(graph, right), params.near_duplicate);
    if let Some(deviations) = between.filter(|deviations| *deviations > params.contrast) {
        return Rule::Contrast { deviations, limit: params.contrast };
    }
    match slots.iter().flatten().find(|slot| clustering.is_contested(**slot)).and_then(id) {
        Some(face) => Rule::Contested { face },
        None => Rule::Order,
    }
}

/// The path whose weakest edge is strongest (Dijkstra's algorithm with minimum for sum). Poor faces are only its ends.
fn widest(clustering: &Clustering, from: u32, to: u32, within: Option<&BTreeSet<u32>>) -> Vec<Step> {
    let (graph, constraints) = (clustering.graph(), clustering.constraints());
    let id = |slot: u32| graph.node(slot).map(|node| node.id);
    let mut reached: BTreeMap<u32, u32> = BTreeMap::new();
    let mut open = BinaryHeap::from([(Score(f32::INFINITY), Reverse(id(from)), from, from)]);
    while let Some((Score(width), _, slot, before)) = open.pop() {
        if reached.contains_key(&slot) {
            continue;
        }
        reached.insert(slot, before);
        if slot == to {
            break;
        }
        let mates = id(slot).and_then(|face| constraints.unit(face)).unwrap_or_default();
        let tied = mates.iter().filter_map(|mate| graph.slot(*mate)).map(|mate| (mate, f32::INFINITY));
        let bridge = slot == from || clustering.is_voice(slot);
        let near = graph.edges(slot).filter(|_| bridge).map(|edge| (edge.to, edge.similarity));
        for (next, similarity) in tied.chain(near) {
            let inside = within.is_none_or(|group| group.contains(&next));
            if inside && (next == to || clustering.is_voice(next) || similarity.is_infinite()) {
                open.push((Score(width.min(similarity)), Reverse(id(next)), next, slot));
            }
        }
    }
    let mut steps = Vec::new();
    let mut at = to;
    while let Some(before) = reached.get(&at).copied().filter(|before| *before != at) {
        if let (Some(x), Some(y)) = (id(before), id(at)) {
            let said_same = constraints.unit(x).is_some_and(|unit| unit.contains(&y));
            steps.push(Step { from: x, to: y, similarity: graph.similarity(before, at), said_same });
        }
        at = before;
    }
    steps.reverse();
    steps
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => write!(f, "one of the faces is not in this gallery"),
            Self::Connected => write!(f, "they are connected, and their group is alike on average"),
            Self::SaidSame => write!(f, "a person said that they are the same"),
            Self::SaidNotSame { a, b } => write!(f, "a person said that {a} and {b} are two people"),
            Self::OnePhoto { image } => write!(f, "both are in photo {image}, and nobody is in a photo twice"),
            Self::LowQuality { face } => write!(f, "{face} is too poor to bridge, and resembles no group enough"),
            Self::Contested { face } => write!(f, "another face of its photo looks like {face}: it may not bridge"),
            Self::BelowThreshold { threshold } => write!(f, "no way of edges of at least {threshold:.2} connects them"),
            Self::MeanTooLow { mean, linkage } => {
                write!(f, "their groups are alike by {mean:.3} on average, below {linkage:.2}")
            }
            Self::Contrast { deviations, limit } => write!(
                f,
                "their groups are look-alikes: {deviations:.1} standard deviations less alike than each within, above {limit:.1}"
            ),
            Self::Order => write!(f, "each found others that it resembles more"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.together { "together" } else { "apart" };
        writeln!(f, "{} and {} are {word}: {}", self.a, self.b, self.rule)?;
        if let Some(similarity) = self.similarity {
            writeln!(f, "  directly: {similarity:.3}")?;
        }
        for step in &self.path {
            let said = if step.said_same { "  (a person said so)" } else { "" };
            writeln!(f, "  {} - {}: {:.3}{said}", step.from, step.to, step.similarity)?;
        }
        if let Some(weakest) = self.weakest() {
            writeln!(f, "  weakest edge of the best way: {:.3}", weakest.similarity)?;
        }
        Ok(())
    }
}
