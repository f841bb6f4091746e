//! Suggests persons for faces in no group. If the evidence is too weak for a join, the face stays alone, and a
//! person is asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::face::FaceId;
use crate::domain::facts::Facts;
use crate::domain::gallery::{Group, Suggestion};
use crate::domain::image::ImageId;
use crate::grouping::cluster::Clustering;
use crate::grouping::evidence::{log_odds, probability};
use crate::grouping::voices::{Score, Sum};

/// Least probability of a suggestion.
const LEAST: f32 = 0.1;

/// A group that may be suggested, with the figures for its comparison.
struct Candidate<'a> {
    group: &'a Group,
    sum: Sum,
    photos: BTreeSet<ImageId>,
}

/// Suggests a group for each face of a clustering that is in none of `groups` and resembles one of them, and for the
/// cover of each group that may be the person of another group.
pub(crate) fn suggest(clustering: &Clustering, groups: &[Group], facts: &Facts) -> BTreeMap<FaceId, Suggestion> {
    let graph = clustering.graph();
    let home: HashMap<FaceId, usize> =
        groups.iter().enumerate().flat_map(|(n, group)| group.faces.iter().map(move |face| (*face, n))).collect();
    let candidate = |group| candidate(clustering, group);
    let mut candidates: HashMap<usize, Candidate<'_>> = HashMap::new();
    let mut found = BTreeMap::new();
    for slot in 0..u32::try_from(graph.slots()).unwrap_or(u32::MAX) {
        let Some(node) = graph.node(slot).filter(|node| !home.contains_key(&node.id)) else { continue };
        let near: BTreeSet<usize> =
            graph.edges(slot).filter_map(|edge| home.get(&graph.node(edge.to)?.id).copied()).collect();
        let own = Sum::over(graph, &[slot]);
        let best = near
            .into_iter()
            .filter_map(|n| {
                let candidate = candidates.entry(n).or_insert_with(|| candidate(&groups[n]));
                let apart = |face: &FaceId| clustering.constraints().said_apart(node.id, *face);
                let odds = log_odds(clustering.params(), own.mean(&candidate.sum), candidate.sum.faces);
                let is_free = candidate.sum.faces > 0
                    && probability(odds) >= LEAST
                    && !candidate.photos.contains(&node.image)
                    && !candidate.group.faces.iter().any(apart);
                is_free.then_some((Score(odds), std::cmp::Reverse(candidate.group.id)))
            })
            .max();
        if let Some((Score(odds), std::cmp::Reverse(group))) = best {
            // Probabilities are rounded to percents, because another calibration of the same faces would change the
            // other digits.
            let probability = (probability(odds) * 100.0).round() / 100.0;
            found.insert(node.id, Suggestion { group, probability });
        }
    }
    for (n, group) in groups.iter().enumerate() {
        let slots = group.faces.iter().filter_map(|face| graph.slot(*face));
        let near: BTreeSet<usize> = slots
            .flat_map(|slot| graph.edges(slot))
            .filter_map(|edge| home.get(&graph.node(edge.to)?.id).copied())
            .filter(|m| *m != n && is_larger(&groups[*m], group))
            .collect();
        let best = near.into_iter().filter_map(|m| {
            for at in [n, m] {
                candidates.entry(at).or_insert_with(|| candidate(&groups[at]));
            }
            let odds = odds_of_groups(clustering, facts, &candidates[&n], &candidates[&m])?;
            Some((Score(odds), std::cmp::Reverse(groups[m].id)))
        });
        if let Some((Score(odds), std::cmp::Reverse(other))) = best.max() {
            let probability = (probability(odds) * 100.0).round() / 100.0;
            found.insert(group.cover, Suggestion { group: other, probability });
        }
    }
    found
}

/// Returns whether `one` is the group that `other` is suggested for.
fn is_larger(one: &Group, other: &Group) -> bool {
    (one.faces.len(), std::cmp::Reverse(one.id)) > (other.faces.len(), std::cmp::Reverse(other.id))
}

/// Returns the odds that two groups are one person; `None` where a statement or a photo says that they are two, or
/// where the odds are too low.
fn odds_of_groups(clustering: &Clustering, facts: &Facts, one: &Candidate<'_>, other: &Candidate<'_>) -> Option<f32> {
    let (a, b) = (one.group.id.min(other.group.id), one.group.id.max(other.group.id));
    let pairs = one.sum.faces * other.sum.faces;
    if facts.persons_apart.contains(&(a, b)) || pairs == 0 || one.photos.intersection(&other.photos).next().is_some() {
        return None;
    }
    let said_two = |one: &Candidate<'_>, other: &Candidate<'_>| {
        one.group.faces.iter().any(|face| {
            facts.not_persons.contains(&(*face, other.group.id))
                || other.group.faces.iter().any(|stranger| facts.not_same.contains(&(*face, *stranger)))
        })
    };
    let is_said = !facts.not_same.is_empty() || !facts.not_persons.is_empty();
    if is_said && (said_two(one, other) || said_two(other, one)) {
        return None;
    }
    let odds = log_odds(clustering.params(), one.sum.mean(&other.sum), pairs);
    (probability(odds) >= LEAST).then_some(odds)
}

fn candidate<'a>(clustering: &Clustering, group: &'a Group) -> Candidate<'a> {
    let graph = clustering.graph();
    let slots: Vec<u32> = group.faces.iter().filter_map(|face| graph.slot(*face)).collect();
    let voices: Vec<u32> = slots.iter().copied().filter(|slot| clustering.is_voice(*slot)).collect();
    let photos = slots.iter().filter_map(|slot| graph.node(*slot)).map(|node| node.image).collect();
    Candidate { group, sum: Sum::over(graph, &voices), photos }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fact::Fact;
    use crate::domain::gallery::{FaceVector, GallerySnapshot};
    use crate::grouping::params::Params;
    use crate::grouping::reconcile;
    use crate::grouping::scan::ScanFactory;
    use crate::grouping::tests::{Rng, face, face_id, near};

    #[test]
    fn a_face_below_the_odds_is_suggested_unless_a_person_or_a_photo_says_no() {
        let mut rng = Rng(5);
        let person = rng.direction(64);
        let mut faces: Vec<_> = (0..6).map(|n| face(n, n, near(&mut rng, &person, 0.8), 0.9)).collect();
        // Alike enough to be likely, and not enough for the most careful.
        let params = Params { caution: 1e4, ..Params::default() };
        faces.push(face(6, 6, near(&mut rng, &person, 0.2), 0.9));
        faces.extend((7..40).map(|n| face(n, n, rng.direction(64), 0.9)));
        let snapshot = GallerySnapshot { faces: faces.clone(), ..GallerySnapshot::default() };
        let grouped = reconcile(snapshot, &params, &ScanFactory).expect("equal dimensions").partition;
        assert_eq!(grouped.groups.len(), 1);
        assert!(!grouped.groups[0].faces.contains(&face_id(6)), "the odd face must be outside for this test");
        let suggested = |faces: &[FaceVector], said: Option<Fact>| {
            let previous = grouped.clone();
            let (faces, facts) = (faces.to_vec(), said.into_iter().collect::<Facts>());
            let snapshot = GallerySnapshot { faces, facts, previous, ..Default::default() };
            reconcile(snapshot, &params, &ScanFactory).expect("equal dimensions").partition.suggestions
        };
        let found = suggested(&faces, None);
        assert_eq!(found, grouped.suggestions, "running again changes nothing");
        assert_eq!(
            found.iter().map(|(face, s)| (*face, s.group)).collect::<Vec<_>>(),
            [(face_id(6), grouped.groups[0].id)]
        );
        let probability = found[&face_id(6)].probability;
        assert!((LEAST..1.0).contains(&probability), "{probability}");
        assert!(suggested(&faces, Some(Fact::not_same(face_id(6), face_id(2)))).is_empty());
        let object = Fact::IsFace { face: face_id(6), is_face: false };
        assert!(suggested(&faces, Some(object)).is_empty(), "an object is nobody's");
        faces[6].image = faces[2].image;
        assert!(suggested(&faces, None).is_empty());
    }
}
