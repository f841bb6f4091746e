//! Gives clusters stable ids: each cluster keeps the id of the group from which it comes. Pure and byte-deterministic.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::face::FaceId;
use crate::domain::facts::Facts;
use crate::domain::gallery::{Group, GroupId, Lineage, Partition, Reconciled};
use crate::domain::image::digest;
use crate::grouping::picture::{Member, picture};

/// Returns the id of a new group that takes its id from a face.
pub(crate) fn born_of(face: FaceId) -> GroupId {
    GroupId(digest("group", &[&face.0]))
}

/// The unit vector and the quality of a face.
pub(crate) type Portrait<'a> = (&'a [f32], f32);

/// Gives ids to clusters (members ascending, disjoint). A cluster with a face that people assigned to a person
/// (`person` says which) is that person's group.
///
/// Among the others, an old and a new group that share the most faces are taken for one group. So the larger part keeps
/// the id in a split, and the larger group in a merge. Ties go to the smaller id, then to the part with the face that
/// gave the id, then to the smaller first member. A new id is the digest of the smallest member whose digest is neither
/// in use nor redirected. There is one exception, so that an undone merge restores the ids: a part gets a redirected id
/// back when one of its faces gave that id, and it has a face of the group to which the redirect leads. No other group
/// gets the id of a person.
pub(crate) fn identify<'a>(
    clusters: &[Vec<FaceId>],
    previous: &Partition,
    facts: &Facts,
    person: impl Fn(FaceId) -> Option<GroupId>,
    portrait: impl Fn(FaceId) -> Option<Portrait<'a>>,
) -> Reconciled {
    let home: BTreeMap<FaceId, usize> =
        clusters.iter().enumerate().flat_map(|(n, faces)| faces.iter().map(move |f| (*f, n))).collect();
    let mut overlaps: BTreeMap<(usize, GroupId), usize> = BTreeMap::new();
    for group in &previous.groups {
        for cluster in group.faces.iter().filter_map(|face| home.get(face)) {
            *overlaps.entry((*cluster, group.id)).or_default() += 1;
        }
    }
    let mut pairs: Vec<_> = overlaps.iter().map(|((n, id), count)| (std::cmp::Reverse(*count), *id, *n)).collect();
    let gave = |id: GroupId, n: usize| clusters[n].iter().any(|face| born_of(*face) == id);
    pairs.sort_unstable_by(|(count, id, n), (other_count, other, m)| {
        let tie = || gave(*other, *m).cmp(&gave(*id, *n)).then(n.cmp(m));
        count.cmp(other_count).then(id.cmp(other)).then_with(tie)
    });

    let mut ids: Vec<Option<GroupId>> = vec![None; clusters.len()];
    let mut kept: BTreeSet<GroupId> = BTreeSet::new();
    for (n, faces) in clusters.iter().enumerate() {
        let person = faces.iter().find_map(|face| person(*face));
        ids[n] = person.filter(|person| kept.insert(*person));
    }
    for (_, id, n) in &pairs {
        if ids[*n].is_none() && kept.insert(*id) {
            ids[*n] = Some(*id);
        }
    }
    // The group into which most of each old group went, and the group from which most of each cluster came.
    let (mut destination, mut origin) = (BTreeMap::new(), BTreeMap::new());
    for (_, id, n) in &pairs {
        destination.entry(*id).or_insert(*n);
        origin.entry(*n).or_insert(*id);
    }

    let mut redirects = previous.redirects.clone();
    redirects.extend(facts.became.iter().map(|(from, into)| (*from, *into)));
    let mut taken: BTreeSet<GroupId> = previous.groups.iter().map(|g| g.id).chain(redirects.keys().copied()).collect();
    taken.extend(facts.persons.keys());
    let before: BTreeSet<GroupId> = previous.groups.iter().map(|group| group.id).collect();
    let mut lineage = Vec::new();
    for (n, faces) in clusters.iter().enumerate().filter(|(_, faces)| !faces.is_empty()) {
        if let Some(id) = ids[n] {
            // This is a person whose photos came back.
            if !before.contains(&id) {
                lineage.push(Lineage::Born { group: id });
            }
            continue;
        }
        let from = origin.get(&n).filter(|from| kept.contains(*from));
        let is_person = |id: &GroupId| facts.persons.contains_key(id) || facts.became.contains_key(id);
        let left =
            |id: &GroupId| redirects.get(id).is_some_and(|into| overlaps.contains_key(&(n, *into))) && !is_person(id);
        let back = faces.iter().map(|face| born_of(*face)).find(left);
        let id = back.unwrap_or_else(|| fresh(faces, &taken));
        redirects.remove(&id);
        taken.insert(id);
        ids[n] = Some(id);
        lineage.push(match from {
            Some(from) => Lineage::Split { from: *from, part: id },
            None => Lineage::Born { group: id },
        });
    }
    for group in previous.groups.iter().filter(|group| !kept.contains(&group.id)) {
        // A person without faces is not merged into another group: its id waits for its photos to come back.
        let is_person = facts.persons.contains_key(&group.id);
        let into = destination.get(&group.id).and_then(|n| ids[*n]).filter(|_| !is_person);
        for target in redirects.values_mut().filter(|target| **target == group.id) {
            *target = into.unwrap_or(group.id);
        }
        match into {
            Some(into) => {
                redirects.insert(group.id, into);
                lineage.push(Lineage::Merged { from: group.id, into });
            }
            None => lineage.push(Lineage::Died { group: group.id }),
        }
    }
    let live: BTreeSet<GroupId> = ids.iter().flatten().copied().collect();
    redirects.retain(|from, into| live.contains(into) && !live.contains(from));

    let mut groups: Vec<Group> = clusters
        .iter()
        .enumerate()
        .filter_map(|(n, faces)| {
            let id = ids[n]?;
            let members: Vec<Member<'_>> =
                faces.iter().filter_map(|face| portrait(*face).map(|p| (*face, p.0, p.1))).collect();
            let (best, centroid) = picture(&members)?;
            let person = facts.persons.get(&id);
            let chosen = person.and_then(|person| person.cover).filter(|cover| faces.contains(cover));
            let name = person.and_then(|person| person.name.clone());
            Some(Group { id, faces: faces.clone(), cover: chosen.unwrap_or(best), centroid, name })
        })
        .collect();
    groups.sort_by_key(|group| group.id);
    Reconciled { partition: Partition { groups, redirects, ..Partition::default() }, lineage, ..Reconciled::default() }
}

fn fresh(faces: &[FaceId], taken: &BTreeSet<GroupId>) -> GroupId {
    let mut id = GroupId([0; 16]);
    for round in 0_u64.. {
        for face in faces {
            id = match round {
                0 => born_of(*face),
                _ => GroupId(digest("group", &[&face.0, &round.to_le_bytes()])),
            };
            if !taken.contains(&id) {
                return id;
            }
        }
    }
    id
}
