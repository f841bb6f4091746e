//! Explains why two faces are together or apart.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::fmt;

use serde::Serialize;

use crate::domain::face::FaceId;
use crate::domain::gallery::GallerySnapshot;
use crate::domain::image::ImageId;
use crate::grouping::cluster::Clustering;
use crate::grouping::dot::dot;
use crate::grouping::evidence::{log_odds, needed, probability};
use crate::grouping::linkage::shared;
use crate::grouping::non_faces::set_aside;
use crate::grouping::params::Params;
use crate::grouping::reconcile::gather;
use crate::grouping::voices::{Score, Sum, are_look_alikes, speakers};
use crate::people::recognise::recognise;
use crate::ports::index::{IndexError, IndexFactory};

/// One step of a path between two faces.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// Face at which the step begins.
    pub from: FaceId,
    /// Face at which the step ends.
    pub to: FaceId,
    /// Cosine similarity of the two faces, -1 to 1.
    pub similarity: f32,
    /// Excess: the similarity minus the mean level of the strangers of the two.
    pub excess: f32,
    /// Probability that these two faces, judged alone, are one person.
    pub probability: f32,
    /// Whether a person said that the two are the same.
    pub said_same: bool,
    /// Whether the two are one person by photos of one moment.
    pub one_moment: bool,
}

/// The rule that decided about two faces.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum Rule {
    /// One of the faces is not in the gallery.
    Unknown,
    /// The detection is no face, by its score or because a person said so, and is grouped with nothing.
    NotAFace {
        /// The detection that is no face.
        face: FaceId,
    },
    /// Together: a path connects them, and their group is alike on average.
    Connected,
    /// Together: a person said so.
    SaidSame,
    /// Together: in photos of one moment, each resembles the other most.
    OneMoment,
    /// A person said that these two, or two faces tied to them, are two people.
    SaidNotSame {
        /// One of the faces that a person named.
        a: FaceId,
        /// The other one.
        b: FaceId,
    },
    /// They are apart because both groups (or faces) have a face in this photo, and nobody is in a photo twice.
    OnePhoto {
        /// Photo with a face of both.
        image: ImageId,
    },
    /// They are apart because the face is too poor to connect groups, and resembles no group enough to be attached.
    LowQuality {
        /// The poor face.
        face: FaceId,
    },
    /// They are apart because another face of its photo looks the same, so that this face may be attached to a group
    /// but not connect groups.
    Contested {
        /// The contested face.
        face: FaceId,
    },
    /// They are apart because no path of similar faces leads from one to the other.
    BelowThreshold {
        /// Excess that each step of a path needs.
        edge: f32,
    },
    /// They are apart because the mean excess between the groups is too low.
    MeanTooLow {
        /// Quality-weighted mean of the excess over all pairs.
        mean: f32,
        /// Mean that is needed for this many pairs.
        needed: f32,
        /// Probability that the groups are one person.
        probability: f32,
    },
    /// They are apart because they look like two people who resemble each other: each group is much more alike within
    /// than to the other, and the library has too few strangers to judge by.
    Contrast {
        /// Standard deviations between the mean similarity within and that between the groups.
        deviations: f32,
    },
    /// They are apart because each joined groups that it resembles more before the two could join.
    Order,
}

/// The explanation why two faces are together or apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// First of the two faces.
    pub a: FaceId,
    /// Second of the two faces.
    pub b: FaceId,
    /// Whether they are in one group.
    pub together: bool,
    /// Cosine similarity of the two, -1 to 1, where both have a vector.
    pub similarity: Option<f32>,
    /// Excess of the two: their similarity minus the mean level of their strangers.
    pub excess: Option<f32>,
    /// Probability that the two faces, judged alone, are one person.
    pub probability: Option<f32>,
    /// Path whose weakest step is strongest: within the group when together, anywhere when apart; may be empty.
    pub path: Vec<Step>,
    /// The rule that decided.
    pub rule: Rule,
}

impl Explanation {
    /// Returns the weakest step of the path that is based on similarity alone.
    pub(crate) fn weakest(&self) -> Option<&Step> {
        self.path.iter().filter(|step| !step.said_same && !step.one_moment).min_by(|x, y| x.excess.total_cmp(&y.excess))
    }
}

/// Explains two faces of a gallery. It clusters the gallery first, so it costs as much as
/// [`crate::grouping::reconcile()`].
///
/// # Errors
/// [`IndexError`] when the vectors have different lengths or the index fails.
pub fn explain(
    mut snapshot: GallerySnapshot,
    params: &Params,
    factory: &dyn IndexFactory,
    a: FaceId,
    b: FaceId,
) -> Result<Explanation, IndexError> {
    let known = |face: FaceId| snapshot.faces.iter().any(|known| known.id == face);
    let both_known = known(a) && known(b);
    let recognised = recognise(&snapshot.faces, &snapshot.facts);
    recognised.edits.iter().for_each(|edit| snapshot.facts.apply(edit));
    let non_faces = set_aside(&mut snapshot);
    let non_face = [a, b].into_iter().find(|face| both_known && non_faces.contains(face));
    let clustering = gather(&snapshot.faces, &snapshot.facts, &snapshot.previous, params, factory)?;
    let vectors: HashMap<FaceId, &[f32]> =
        snapshot.faces.iter().map(|face| (face.id, face.embedding.as_slice())).collect();
    let unknown = Explanation {
        a,
        b,
        together: false,
        similarity: None,
        excess: None,
        probability: None,
        path: Vec::new(),
        rule: non_face.map_or(Rule::Unknown, |face| Rule::NotAFace { face }),
    };
    Ok(clustering.and_then(|clustering| explain_in(&clustering, &vectors, a, b)).unwrap_or(unknown))
}

/// Explains two faces of a clustering; `None` where one is not in it.
fn explain_in(clustering: &Clustering, vectors: &HashMap<FaceId, &[f32]>, a: FaceId, b: FaceId) -> Option<Explanation> {
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
    let path = widest(clustering, vectors, from, to, together.then_some(&left));
    let rule = if together {
        let said = clustering.constraints().are_one(a, b);
        match said {
            true => Rule::SaidSame,
            false if clustering.moment(a).contains(&b) => Rule::OneMoment,
            false => Rule::Connected,
        }
    } else {
        cut(clustering, (a, b), &left, &right, &path)
    };
    let excess = graph.excess(from, to);
    let probability = alone(clustering, excess);
    let similarity = cosine(vectors, a, b);
    Some(Explanation { a, b, together, similarity, excess: Some(excess), probability: Some(probability), path, rule })
}

/// Returns the probability that two faces, judged alone, are one person.
fn alone(clustering: &Clustering, excess: f32) -> f32 {
    probability(log_odds(clustering.params(), excess, 1))
}

fn cosine(vectors: &HashMap<FaceId, &[f32]>, a: FaceId, b: FaceId) -> Option<f32> {
    Some(dot(vectors.get(&a)?, vectors.get(&b)?))
}

/// Finds the rule that keeps two groups apart.
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
            None => Rule::BelowThreshold { edge: params.edge },
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
    let speakers = [&left, &right].map(|slots| speakers(graph, slots.clone()));
    let (left, right) = (Sum::over(graph, &left), Sum::over(graph, &right));
    let (mean, pairs) = (left.mean(&right), left.faces * right.faces);
    let needed = needed(params, pairs);
    if mean < needed {
        return Rule::MeanTooLow { mean, needed, probability: probability(log_odds(params, mean, pairs)) };
    }
    if let Some(deviations) = are_look_alikes(graph, params, &speakers[0], &speakers[1]) {
        return Rule::Contrast { deviations };
    }
    match slots.iter().flatten().find(|slot| clustering.is_contested(**slot)).and_then(id) {
        Some(face) => Rule::Contested { face },
        None => Rule::Order,
    }
}

/// Finds the path whose weakest step is strongest (Dijkstra's algorithm with the minimum instead of the sum). Poor
/// faces can only be its ends.
fn widest(
    clustering: &Clustering,
    vectors: &HashMap<FaceId, &[f32]>,
    from: u32,
    to: u32,
    within: Option<&BTreeSet<u32>>,
) -> Vec<Step> {
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
        let of_moment = id(slot).map(|face| clustering.moment(face)).unwrap_or_default();
        let tied = mates.iter().chain(of_moment).filter_map(|mate| graph.slot(*mate)).map(|mate| (mate, f32::INFINITY));
        let bridge = slot == from || clustering.is_voice(slot);
        let near = graph.edges(slot).filter(|_| bridge).map(|edge| (edge.to, edge.excess));
        for (next, excess) in tied.chain(near) {
            let inside = within.is_none_or(|group| group.contains(&next));
            if inside && (next == to || clustering.is_voice(next) || excess.is_infinite()) {
                open.push((Score(width.min(excess)), Reverse(id(next)), next, slot));
            }
        }
    }
    let mut steps = Vec::new();
    let mut at = to;
    while let Some(before) = reached.get(&at).copied().filter(|before| *before != at) {
        if let (Some(x), Some(y)) = (id(before), id(at)) {
            let said_same = constraints.are_one(x, y);
            let one_moment = clustering.moment(x).contains(&y);
            let excess = graph.excess(before, at);
            let probability = alone(clustering, excess);
            let similarity = cosine(vectors, x, y).unwrap_or_default();
            steps.push(Step { from: x, to: y, similarity, excess, probability, said_same, one_moment });
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
            Self::NotAFace { face } => write!(f, "{face} is not taken for a face, and is grouped with nothing"),
            Self::Connected => write!(f, "they are connected, and their group is alike on average"),
            Self::SaidSame => write!(f, "a person said that they are the same"),
            Self::OneMoment => write!(f, "in photos of one moment each is most like the other"),
            Self::SaidNotSame { a, b } => write!(f, "a person said that {a} and {b} are two people"),
            Self::OnePhoto { image } => write!(f, "both are in photo {image}, and nobody is in a photo twice"),
            Self::LowQuality { face } => write!(f, "{face} is too poor to bridge, and resembles no group enough"),
            Self::Contested { face } => write!(f, "another face of its photo looks like {face}: it may not bridge"),
            Self::BelowThreshold { edge } => {
                write!(f, "no chain of faces that are each {edge:.2} more alike than strangers connects them")
            }
            Self::MeanTooLow { mean, needed, probability } => write!(
                f,
                "their groups are {mean:.3} more alike than strangers, and {needed:.3} is needed: \
                 they are one person with a probability of {:.0} %",
                probability * 100.0
            ),
            Self::Contrast { deviations } => write!(
                f,
                "their groups are look-alikes: {deviations:.1} standard deviations less alike than each within"
            ),
            Self::Order => write!(f, "each found others that it resembles more"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.together { "together" } else { "apart" };
        writeln!(f, "{} and {} are {word}: {}", self.a, self.b, self.rule)?;
        if let (Some(similarity), Some(excess), Some(probability)) = (self.similarity, self.excess, self.probability) {
            writeln!(
                f,
                "  directly: similarity {similarity:.3}, {excess:+.3} against their strangers; \
                 alone they are one person with a probability of {:.0} %",
                probability * 100.0
            )?;
        }
        for step in &self.path {
            let said = match step {
                Step { said_same: true, .. } => "  (a person said so)",
                Step { one_moment: true, .. } => "  (photos of one moment)",
                _ => "",
            };
            let (similarity, percent) = (step.similarity, step.probability * 100.0);
            writeln!(f, "  {} - {}: {similarity:.3}, {percent:.0} %{said}", step.from, step.to)?;
        }
        if let Some(weakest) = self.weakest() {
            writeln!(f, "  weakest link of the best chain: {:.3}", weakest.similarity)?;
        }
        Ok(())
    }
}
