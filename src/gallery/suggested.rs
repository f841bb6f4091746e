//! Questions to a person whether a face, or the group that it stands for, is a certain person. Pure functions.

use std::collections::BTreeMap;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::facts::Facts;
use muster_actors::domain::gallery::{GroupId, Suggestion};
use serde::Serialize;

/// A question whether a face, or its group, is a person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggested {
    /// The face; it is in no group, or is the cover of the group that it stands for.
    pub face: FaceId,
    /// Group for which it stands; `null` where it is in none.
    pub of: Option<GroupId>,
    /// Person that it may be.
    pub group: GroupId,
    /// Probability of that, 0.1 to 1.
    pub probability: f32,
    /// Number of faces that the answer concerns.
    pub faces: u64,
}

/// The cover of a group, and the number of its faces.
pub type GroupSize = (FaceId, u64);

/// Lists the open questions. Those come first whose answers are likely to correct the most faces.
pub fn questions(
    suggestions: &BTreeMap<FaceId, Suggestion>,
    homes: &BTreeMap<FaceId, GroupId>,
    groups: &BTreeMap<GroupId, GroupSize>,
    facts: &Facts,
) -> Vec<Suggested> {
    let mut open: Vec<Suggested> = suggestions
        .iter()
        .filter_map(|(face, Suggestion { group, probability })| {
            let of = homes.get(face).copied();
            let (cover, _) = groups.get(group)?;
            let faces = of.map_or(1, |of| groups.get(&of).map_or(1, |(_, faces)| *faces));
            let is_answered = of == Some(*group)
                || facts.skipped.contains(&(*face, *group))
                || facts.not_persons.contains(&(*face, *group))
                || facts.not_same.contains(&((*face).min(*cover), (*face).max(*cover)))
                || of.is_some_and(|of| facts.persons_apart.contains(&(of.min(*group), of.max(*group))));
            let question = Suggested { face: *face, of, group: *group, probability: *probability, faces };
            (!is_answered).then_some(question)
        })
        .collect();
    let gain = |one: &Suggested| one.probability * one.faces as f32;
    open.sort_by(|a, b| {
        gain(b).total_cmp(&gain(a)).then(b.probability.total_cmp(&a.probability)).then(a.face.cmp(&b.face))
    });
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_actors::domain::fact::Fact;

    #[test]
    fn what_puts_most_faces_right_comes_first_and_what_was_answered_never() {
        let (f, g) = (|n: u8| FaceId([n; 16]), |n: u8| GroupId([n; 16]));
        let suggest = |group: u8, probability: f32| Suggestion { group: g(group), probability };
        let suggestions =
            [(f(1), suggest(1, 0.9)), (f(2), suggest(1, 0.5)), (f(3), suggest(1, 0.3)), (f(4), suggest(7, 0.9))].into();
        let homes = [(f(2), g(2)), (f(3), g(3))].into();
        let groups = [(g(1), (f(9), 12)), (g(2), (f(2), 2)), (g(3), (f(3), 5))].into();
        let asked = |facts: Vec<Fact>| -> Vec<FaceId> {
            let facts: Facts = facts.into_iter().collect();
            questions(&suggestions, &homes, &groups, &facts).into_iter().map(|one| one.face).collect()
        };
        // The group of face 4 is gone.
        assert_eq!(asked(vec![]), [f(3), f(2), f(1)]);
        assert_eq!(asked(vec![Fact::persons_apart(g(1), g(3))]), [f(2), f(1)]);
        assert_eq!(asked(vec![Fact::not_same(f(2), f(9))]), [f(3), f(1)]);
        assert_eq!(asked(vec![Fact::Skipped { face: f(1), person: g(1) }]), [f(3), f(2)]);
        assert_eq!(asked(vec![Fact::NotPerson { face: f(1), person: g(1) }]), [f(3), f(2)]);
    }
}
