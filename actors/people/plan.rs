//! From a correction to what it changes.

use std::collections::BTreeSet;

use crate::domain::face::FaceId;
use crate::domain::fact::Fact;
use crate::domain::gallery::GroupId;
use crate::people::correction::{Answer, Details, LONGEST_NOTE, is_name};
use crate::people::draft::Draft;
use crate::people::{Author, Change, Correction, CorrectionError, Member, Scene};

/// Turns a correction into a change of the scene of its [topic](Correction::topic).
///
/// # Errors
/// The correction makes no sense as the groups stand.
pub fn plan(scene: &Scene, correction: &Correction, author: &Author) -> Result<Change, CorrectionError> {
    let mut draft = Draft::new(scene, author);
    match correction {
        Correction::Details { member, details } => describe(&mut draft, *member, details)?,
        Correction::Merge(members) => merge(&mut draft, members)?,
        Correction::Split { group, faces } => split(&mut draft, *group, faces)?,
        Correction::Move { group, faces } => relocate(&mut draft, *group, faces)?,
        Correction::Confirm { group, faces } => {
            let group = draft.group(*group)?;
            let chosen = if faces.is_empty() { draft.faces_of(group) } else { members(&draft, group, faces)? };
            draft.record(group);
            chosen.into_iter().for_each(|face| draft.confirm(face, group));
        }
        Correction::NotPerson { group, faces } => {
            let group = draft.group(*group)?;
            let chosen = part(&draft, group, faces)?;
            chosen.iter().for_each(|face| draft.leave(*face));
            draft.person(group);
            draft.facts.not_persons.extend(chosen.into_iter().map(|face| (face, group)));
        }
        Correction::Answer { face, group, answer: said } => answer(&mut draft, *face, *group, *said)?,
        Correction::NotOne { a, b } => not_one(&mut draft, *a, *b)?,
        Correction::NotSame { a, b } => not_same(&mut draft, *a, *b)?,
        Correction::Face { faces, is_face } => {
            if faces.is_empty() {
                return Err(CorrectionError::NoneChosen);
            }
            for face in faces {
                let face = draft.face(*face)?;
                if !is_face {
                    draft.leave(face);
                }
                draft.facts.are_faces.insert(face, *is_face);
            }
        }
        Correction::Enrol { faces, name, same, others } => enrol(&mut draft, faces, name, same, others)?,
    }
    Ok(draft.finish(correction.past()))
}

/// A group, or a face in none as a new person.
fn member(draft: &mut Draft<'_>, member: Member) -> Result<GroupId, CorrectionError> {
    match member {
        Member::Group(group) => draft.group(group),
        Member::Face(face) => match draft.home(draft.face(face)?) {
            Some(group) => Err(CorrectionError::Elsewhere { face, group }),
            None => {
                let person = draft.newcomer(face);
                draft.confirm(face, person);
                Ok(person)
            }
        },
    }
}

/// Chosen faces that are all in a group.
fn members(draft: &Draft<'_>, group: GroupId, faces: &BTreeSet<FaceId>) -> Result<BTreeSet<FaceId>, CorrectionError> {
    match faces.iter().find(|face| draft.home(**face) != Some(group)) {
        Some(other) => Err(CorrectionError::NotMember(*other)),
        None => Ok(faces.clone()),
    }
}

/// Chosen faces that are some of a group, and not all.
fn part(draft: &Draft<'_>, group: GroupId, faces: &BTreeSet<FaceId>) -> Result<BTreeSet<FaceId>, CorrectionError> {
    let chosen = members(draft, group, faces)?;
    match chosen.len() {
        0 => Err(CorrectionError::NoneChosen),
        all if all == draft.faces_of(group).len() => Err(CorrectionError::All),
        _ => Ok(chosen),
    }
}

/// A name as it is kept; none where it is taken away.
fn name(text: &str) -> Result<Option<String>, CorrectionError> {
    let text = text.trim();
    if !is_name(text) {
        return Err(CorrectionError::Name);
    }
    Ok(Some(text.to_owned()).filter(|name| !name.is_empty()))
}

fn describe(draft: &mut Draft<'_>, of: Member, details: &Details) -> Result<(), CorrectionError> {
    let name = details.name.as_deref().map(name).transpose()?;
    if details.notes.as_ref().is_some_and(|notes| notes.chars().count() > LONGEST_NOTE) {
        return Err(CorrectionError::Note);
    }
    let id = member(draft, of)?;
    draft.person(id);
    if let Some(cover) = details.cover {
        if draft.home(draft.face(cover)?) != Some(id) {
            return Err(CorrectionError::NotMember(cover));
        }
        draft.confirm(cover, id);
    }
    let person = draft.person(id);
    person.cover = details.cover.or(person.cover);
    person.is_hidden = details.is_hidden.unwrap_or(person.is_hidden);
    if let Some(name) = name {
        person.name = name;
    }
    if let Some(born) = details.born {
        person.born = born;
    }
    if let Some(notes) = &details.notes {
        person.notes = Some(notes.clone()).filter(|notes| !notes.trim().is_empty());
    }
    Ok(())
}

fn merge(draft: &mut Draft<'_>, all: &[Member]) -> Result<(), CorrectionError> {
    let mut ids = Vec::new();
    // The id of a group is kept, also where a face was said first.
    let groups_first = all.iter().filter(|one| matches!(one, Member::Group(_)));
    let faces = all.iter().filter(|one| matches!(one, Member::Face(_))).collect::<BTreeSet<_>>();
    for one in groups_first.chain(faces) {
        let id = member(draft, *one)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let [kept, others @ ..] = &ids[..] else { return Err(CorrectionError::Alone) };
    if others.is_empty() {
        return Err(CorrectionError::Alone);
    }
    draft.person(*kept);
    for other in others {
        draft.absorb(*kept, *other);
    }
    draft.reconcile_pairs(*kept);
    Ok(())
}

fn split(draft: &mut Draft<'_>, group: GroupId, faces: &BTreeSet<FaceId>) -> Result<(), CorrectionError> {
    let group = draft.group(group)?;
    let chosen = part(draft, group, faces)?;
    let Some(first) = chosen.first().copied() else { return Err(CorrectionError::NoneChosen) };
    chosen.iter().for_each(|face| draft.leave(*face));
    draft.person(group);
    let other = draft.newcomer(first);
    chosen.into_iter().for_each(|face| draft.confirm(face, other));
    draft.reconcile_pairs(other);
    draft.facts.set(Fact::persons_apart(group, other));
    Ok(())
}

fn relocate(draft: &mut Draft<'_>, group: GroupId, faces: &BTreeSet<FaceId>) -> Result<(), CorrectionError> {
    let group = draft.group(group)?;
    let mut coming = BTreeSet::new();
    for face in faces {
        coming.insert(draft.face(*face)?);
    }
    coming.retain(|face| draft.home(*face) != Some(group));
    if coming.is_empty() {
        return Err(CorrectionError::NoneChosen);
    }
    draft.person(group);
    let sources: BTreeSet<GroupId> = coming.iter().filter_map(|face| draft.home(*face)).collect();
    for source in sources {
        let leaving: BTreeSet<FaceId> = coming.intersection(&draft.faces_of(source)).copied().collect();
        leaving.iter().for_each(|face| draft.confirm(*face, group));
        let is_person = draft.facts.persons.contains_key(&source);
        match draft.cover_of(source) {
            // They leave a person: that they are not its faces is kept.
            Some(_) if is_person => draft.facts.not_persons.extend(leaving.into_iter().map(|face| (face, source))),
            // They leave a computed group, which shall not follow them.
            Some(rest) => leaving.iter().for_each(|face| draft.facts.set(Fact::not_same(*face, rest))),
            None if is_person => {}
            None => draft.redirect(source, group),
        }
    }
    coming.into_iter().for_each(|face| draft.confirm(face, group));
    draft.reconcile_pairs(group);
    Ok(())
}

/// What a suggestion says, or that it is wrong, or that it is not to come again.
fn answer(draft: &mut Draft<'_>, face: FaceId, group: GroupId, said: Answer) -> Result<(), CorrectionError> {
    let (face, group) = (draft.face(face)?, draft.group(group)?);
    let home = draft.home(face);
    if home == Some(group) {
        return Err(CorrectionError::Same);
    }
    match (said, home) {
        (Answer::Yes, Some(home)) => merge(draft, &[Member::Group(group), Member::Group(home)]),
        (Answer::Yes, None) => relocate(draft, group, &[face].into()),
        (Answer::No, Some(home)) => not_one(draft, group, home),
        (Answer::No, None) => {
            match draft.cover_of(group).filter(|_| !draft.facts.persons.contains_key(&group)) {
                Some(cover) => draft.facts.set(Fact::not_same(face, cover)),
                None => drop(draft.facts.not_persons.insert((face, group))),
            }
            Ok(())
        }
        (Answer::Skip, _) => {
            draft.facts.skipped.insert((face, group));
            Ok(())
        }
    }
}

fn not_one(draft: &mut Draft<'_>, a: GroupId, b: GroupId) -> Result<(), CorrectionError> {
    let (a, b) = (draft.group(a)?, draft.group(b)?);
    if a == b {
        return Err(CorrectionError::Same);
    }
    let are_persons = [a, b].iter().all(|id| draft.facts.persons.contains_key(id));
    match (draft.cover_of(a), draft.cover_of(b)) {
        (Some(one), Some(other)) if !are_persons => draft.facts.set(Fact::not_same(one, other)),
        _ => draft.facts.set(Fact::persons_apart(a, b)),
    }
    Ok(())
}

fn not_same(draft: &mut Draft<'_>, a: FaceId, b: FaceId) -> Result<(), CorrectionError> {
    if a == b {
        return Err(CorrectionError::Same);
    }
    let (a, b) = (draft.face(a)?, draft.face(b)?);
    draft.facts.set(Fact::not_same(a, b));
    let (home, other) = (draft.home(a), draft.home(b));
    let is_person = |id: Option<GroupId>| id.filter(|id| draft.facts.persons.contains_key(id));
    match (is_person(home), is_person(other)) {
        (Some(one), Some(other)) if one != other => draft.facts.set(Fact::persons_apart(one, other)),
        _ if home.is_some() && home == other => {
            // Somebody said of one of them that it is rightly there: the other leaves.
            let is_confirmed = |face: FaceId| draft.facts.person_of(face).is_some();
            let leaving = if is_confirmed(b) && !is_confirmed(a) { a } else { b };
            draft.leave(leaving);
            if let Some(person) = home.filter(|id| draft.facts.persons.contains_key(id)) {
                draft.facts.not_persons.insert((leaving, person));
            }
        }
        _ => {}
    }
    Ok(())
}

fn enrol(
    draft: &mut Draft<'_>,
    faces: &[FaceId],
    called: &str,
    same: &[GroupId],
    others: &[FaceId],
) -> Result<(), CorrectionError> {
    let called = name(called)?;
    let first = *faces.first().ok_or(CorrectionError::NoneChosen)?;
    let mut persons: Vec<GroupId> = Vec::new();
    for group in same {
        let id = draft.group(*group)?;
        if !persons.contains(&id) {
            persons.push(id);
        }
    }
    let person = match persons.split_first() {
        None => draft.newcomer(draft.face(first)?),
        Some((kept, others)) => {
            draft.person(*kept);
            others.iter().for_each(|other| draft.absorb(*kept, *other));
            *kept
        }
    };
    for face in faces {
        let face = draft.face(*face)?;
        draft.confirm(face, person);
    }
    draft.person(person).name = called;
    draft.reconcile_pairs(person);
    for other in others.iter().filter(|other| draft.home(**other) != Some(person)).copied().collect::<Vec<_>>() {
        draft.facts.set(Fact::not_same(first, other));
    }
    Ok(())
}
