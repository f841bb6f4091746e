//! What people say of groups and faces, in verdicts. Pure.

use std::collections::BTreeSet;

use crate::domain::face::FaceId;
use crate::domain::gallery::{GallerySnapshot, Group, GroupId, Verdict};
use crate::grouping::hold::Spoken;
use crate::grouping::non_faces::non_faces;
use crate::grouping::side::{Side, merge, split};

/// Longest name, in characters.
pub const LONGEST_NAME: usize = 200;

/// A group, or a face that is in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// All faces of a group.
    Group(GroupId),
    /// One face.
    Face(FaceId),
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// The group is called so; an empty name takes its name away.
    Name {
        /// The group.
        group: GroupId,
        /// Its name.
        name: String,
    },
    /// These are one person.
    Merge(Vec<Member>),
    /// These faces of the group are another person.
    Split {
        /// The group.
        group: GroupId,
        /// What leaves it.
        faces: BTreeSet<FaceId>,
    },
    /// These faces, of other groups or of none, are the person of this group.
    Move {
        /// The group.
        group: GroupId,
        /// What comes to it.
        faces: BTreeSet<FaceId>,
    },
    /// Two people.
    NotSame {
        /// A face of one.
        a: FaceId,
        /// A face of the other.
        b: FaceId,
    },
    /// These detections are faces, or are none.
    Face {
        /// The detections.
        faces: BTreeSet<FaceId>,
        /// Whether they are faces.
        is_face: bool,
    },
}

/// Why something cannot be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SayError {
    /// No such group, or all its faces are gone.
    #[error("there is no group {0}, or it has no faces any more")]
    NoGroup(GroupId),
    /// No such face.
    #[error("there is no face {0}")]
    NoFace(FaceId),
    /// Too long, or with control characters.
    #[error("a name has at most {LONGEST_NAME} characters, all on one line")]
    Name,
    /// Nothing to merge with.
    #[error("a merge needs two different groups")]
    Alone,
    /// A split of a face that is not in the group.
    #[error("face {0} is not in that group")]
    NotMember(FaceId),
    /// A split or move of nothing.
    #[error("no faces were chosen")]
    NoneChosen,
    /// A split that would leave nothing.
    #[error("these are all faces of the group: leave at least one")]
    All,
    /// A pair of one.
    #[error("both are the same face")]
    SameFace,
    /// A face that is in a group can be merged only with it.
    #[error("face {face} is in group {group}: merge the group, or split the face off first")]
    Elsewhere {
        /// The face.
        face: FaceId,
        /// Its group.
        group: GroupId,
    },
}

impl Say {
    /// What it is called when it is told: `named`, `merged`, …
    pub fn past(&self) -> &'static str {
        match self {
            Self::Name { .. } => "named",
            Self::Merge(_) => "merged",
            Self::Split { .. } => "split",
            Self::Move { .. } => "moved",
            Self::NotSame { .. } => "not-same",
            Self::Face { is_face: true, .. } => "is-face",
            Self::Face { is_face: false, .. } => "not-a-face",
        }
    }

    /// What it speaks of, over a gallery as it stands.
    pub fn spoken(&self, now: &GallerySnapshot) -> Spoken {
        let faces = match self {
            Self::Split { faces, .. } | Self::Move { faces, .. } | Self::Face { faces, .. } => faces.clone(),
            Self::NotSame { a, b } => [*a, *b].into(),
            Self::Name { .. } | Self::Merge(_) => BTreeSet::new(),
        };
        Spoken { groups: self.joins(now), faces }
    }

    /// The groups that it may make one.
    fn joins(&self, now: &GallerySnapshot) -> BTreeSet<GroupId> {
        let live = |id: &GroupId| now.previous.redirects.get(id).copied().unwrap_or(*id);
        match self {
            Self::Merge(members) => members
                .iter()
                .filter_map(|member| match member {
                    Member::Group(id) => Some(live(id)),
                    Member::Face(_) => None,
                })
                .collect(),
            Self::Move { group, faces } => {
                let homes = faces.iter().filter_map(|face| home(now, *face)).map(|group| group.id);
                homes.chain([live(group)]).collect()
            }
            Self::Name { .. } | Self::Split { .. } | Self::NotSame { .. } | Self::Face { .. } => BTreeSet::new(),
        }
    }

    /// It in verdicts, over a gallery as it stands.
    pub fn verdicts(&self, now: &GallerySnapshot) -> Result<Vec<Verdict>, SayError> {
        Ok(match self {
            Self::Name { group, name } => {
                let name = name.trim();
                if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
                    return Err(SayError::Name);
                }
                vec![Verdict::Name { face: side(now, *group)?.cover, name: name.to_owned() }]
            }
            Self::Merge(members) => {
                let mut sides: Vec<Side> = Vec::new();
                for member in members {
                    let next = match member {
                        Member::Group(group) => side(now, *group)?,
                        Member::Face(face) => alone(now, *face)?,
                    };
                    if !sides.iter().any(|side| side.cover == next.cover) {
                        sides.push(next);
                    }
                }
                if sides.len() < 2 {
                    return Err(SayError::Alone);
                }
                let single = members.iter().filter_map(|member| match member {
                    Member::Face(face) => Some(face),
                    Member::Group(_) => None,
                });
                [are_faces(now, single), merge(&now.decisions, &sides)].concat()
            }
            Self::Split { group, faces } => {
                let group = side(now, *group)?;
                if faces.is_empty() {
                    return Err(SayError::NoneChosen);
                }
                if let Some(other) = faces.difference(&group.faces).next() {
                    return Err(SayError::NotMember(*other));
                }
                if faces.len() == group.faces.len() {
                    return Err(SayError::All);
                }
                split(&now.decisions, &group, faces)
            }
            Self::Move { group, faces } => {
                let moved = relocate(now, *group, faces)?;
                [are_faces(now, faces), moved].concat()
            }
            Self::NotSame { a, b } if a == b => return Err(SayError::SameFace),
            Self::NotSame { a, b } => vec![Verdict::NotSame { a: there(now, *a)?, b: there(now, *b)? }],
            Self::Face { faces, .. } if faces.is_empty() => return Err(SayError::NoneChosen),
            Self::Face { faces, is_face } => {
                let verdict = |face: &FaceId| Ok(Verdict::Face { face: there(now, *face)?, is_face: *is_face });
                faces.iter().map(verdict).collect::<Result<_, SayError>>()?
            }
        })
    }
}

/// Whoever says whose these are says that they are faces: of those that were none so far.
fn are_faces<'a>(now: &GallerySnapshot, faces: impl IntoIterator<Item = &'a FaceId>) -> Vec<Verdict> {
    let none_so_far = non_faces(&now.doubted, &now.decisions);
    let spoken = faces.into_iter().filter(|face| none_so_far.contains(face));
    spoken.map(|face| Verdict::Face { face: *face, is_face: true }).collect()
}

fn there(now: &GallerySnapshot, face: FaceId) -> Result<FaceId, SayError> {
    let found = now.faces.binary_search_by_key(&face, |f| f.id);
    found.map(|_| face).map_err(|_| SayError::NoFace(face))
}

fn home(now: &GallerySnapshot, face: FaceId) -> Option<&Group> {
    now.previous.groups.iter().find(|group| group.faces.contains(&face))
}

/// A group as it stands, without faces that are gone. An id that went into another by a merge leads there.
fn side(now: &GallerySnapshot, id: GroupId) -> Result<Side, SayError> {
    let to = now.previous.redirects.get(&id).copied().unwrap_or(id);
    let found = now.previous.groups.iter().find(|group| group.id == to).ok_or(SayError::NoGroup(id))?;
    let place = |face: &FaceId| now.faces.binary_search_by_key(face, |f| f.id).ok();
    let faces: BTreeSet<FaceId> = found.faces.iter().copied().filter(|face| place(face).is_some()).collect();
    let quality = |face: &FaceId| place(face).map_or(0.0, |place| now.faces[place].quality);
    // Where the saved cover is gone, the best face that is left; ties to the smaller id.
    let best = || faces.iter().copied().max_by(|a, b| quality(a).total_cmp(&quality(b)).then(b.cmp(a)));
    let cover = Some(found.cover).filter(|cover| faces.contains(cover)).or_else(best).ok_or(SayError::NoGroup(id))?;
    Ok(Side { cover, faces })
}

fn alone(now: &GallerySnapshot, face: FaceId) -> Result<Side, SayError> {
    match home(now, there(now, face)?) {
        None => Ok(Side { cover: face, faces: BTreeSet::from([face]) }),
        Some(group) => Err(SayError::Elsewhere { face, group: group.id }),
    }
}

/// Faces leave the groups they are in, and are one person with those of the group.
fn relocate(now: &GallerySnapshot, group: GroupId, faces: &BTreeSet<FaceId>) -> Result<Vec<Verdict>, SayError> {
    let target = side(now, group)?;
    let mut coming = BTreeSet::new();
    for face in faces.difference(&target.faces) {
        coming.insert(there(now, *face)?);
    }
    let Some(&first) = coming.first() else { return Err(SayError::NoneChosen) };
    let mut verdicts = Vec::new();
    let sources: BTreeSet<GroupId> = coming.iter().filter_map(|face| home(now, *face)).map(|group| group.id).collect();
    for source in sources {
        let source = side(now, source)?;
        let leaving: BTreeSet<FaceId> = coming.intersection(&source.faces).copied().collect();
        if leaving.len() < source.faces.len() {
            verdicts.extend(split(&now.decisions, &source, &leaving));
        }
    }
    verdicts.extend(merge(&now.decisions, &[target, Side { cover: first, faces: coming }]));
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gallery::{FaceVector, Partition};
    use crate::domain::image::ImageId;

    fn f(n: u8) -> FaceId {
        FaceId([n; 16])
    }
    /// Groups 1 (faces 1, 2, 3; called Ada) and 2 (faces 4, 5); face 6 in none; 7 an object; group
    /// 9 went into 1; group 3 has lost its faces.
    fn gallery() -> GallerySnapshot {
        let face = |n| FaceVector {
            id: f(n),
            image: ImageId([n; 16]),
            embedding: vec![1.0],
            quality: f32::from(n),
            capture: Default::default(),
        };
        let group = |n: u8, faces: &[u8], name: Option<&str>| Group {
            id: GroupId([n; 16]),
            faces: faces.iter().map(|n| f(*n)).collect(),
            cover: f(faces[0]),
            centroid: vec![1.0],
            name: name.map(str::to_owned),
        };
        GallerySnapshot {
            faces: (1..8).map(face).collect(),
            doubted: [f(7)].into(),
            previous: Partition {
                groups: vec![group(1, &[1, 2, 3], Some("Ada")), group(2, &[4, 5], None), group(3, &[77], None)],
                redirects: [(GroupId([9; 16]), GroupId([1; 16]))].into(),
                ..Partition::default()
            },
            ..GallerySnapshot::default()
        }
    }

    #[test]
    fn what_can_be_said_and_what_not() {
        let g = |n: u8| GroupId([n; 16]);
        let faces = |ids: &[u8]| ids.iter().map(|n| f(*n)).collect::<BTreeSet<_>>();
        let name = |group, name: &str| Say::Name { group, name: name.to_owned() };
        let same = |a, b| Verdict::Same { a: f(a), b: f(b) };
        let apart = |a, b| Verdict::NotSame { a: f(a), b: f(b) };
        let face = |n, is_face| Verdict::Face { face: f(n), is_face };
        for (say, expected) in [
            (name(g(1), " Ada "), Ok(vec![Verdict::Name { face: f(1), name: "Ada".into() }])),
            (name(g(9), "Ada"), Ok(vec![Verdict::Name { face: f(1), name: "Ada".into() }])),
            (name(g(3), "Ada"), Err(SayError::NoGroup(g(3)))),
            (name(g(8), "Ada"), Err(SayError::NoGroup(g(8)))),
            (name(g(1), "A\nda"), Err(SayError::Name)),
            (name(g(1), &"a".repeat(201)), Err(SayError::Name)),
            (Say::Merge(vec![Member::Group(g(2)), Member::Face(f(6))]), Ok(vec![same(4, 5), same(4, 6)])),
            (Say::Merge(vec![Member::Group(g(1)), Member::Group(g(9))]), Err(SayError::Alone)),
            (
                Say::Merge(vec![Member::Group(g(1)), Member::Face(f(4))]),
                Err(SayError::Elsewhere { face: f(4), group: g(2) }),
            ),
            (Say::Split { group: g(1), faces: faces(&[3]) }, Ok(vec![apart(3, 1), apart(3, 2)])),
            (Say::Split { group: g(1), faces: faces(&[]) }, Err(SayError::NoneChosen)),
            (Say::Split { group: g(1), faces: faces(&[1, 2, 3]) }, Err(SayError::All)),
            (Say::Split { group: g(1), faces: faces(&[4]) }, Err(SayError::NotMember(f(4)))),
            // One of two leaves its group; a whole group and a face of none come as they are; who is there stays.
            (
                Say::Move { group: g(1), faces: faces(&[1, 4]) },
                Ok(vec![apart(4, 5), same(1, 2), same(1, 3), same(1, 4)]),
            ),
            (
                Say::Move { group: g(1), faces: faces(&[4, 5, 6]) },
                Ok(vec![same(1, 2), same(1, 3), same(1, 4), same(1, 5), same(1, 6)]),
            ),
            (Say::Move { group: g(1), faces: faces(&[1]) }, Err(SayError::NoneChosen)),
            (Say::Move { group: g(1), faces: faces(&[77]) }, Err(SayError::NoFace(f(77)))),
            (Say::NotSame { a: f(1), b: f(4) }, Ok(vec![apart(1, 4)])),
            (Say::NotSame { a: f(1), b: f(1) }, Err(SayError::SameFace)),
            (Say::NotSame { a: f(1), b: f(77) }, Err(SayError::NoFace(f(77)))),
            (Say::Face { faces: faces(&[7, 2]), is_face: true }, Ok(vec![face(2, true), face(7, true)])),
            (Say::Face { faces: faces(&[2]), is_face: false }, Ok(vec![face(2, false)])),
            (Say::Face { faces: faces(&[]), is_face: true }, Err(SayError::NoneChosen)),
            (Say::Face { faces: faces(&[2, 77]), is_face: false }, Err(SayError::NoFace(f(77)))),
            // Who says whose it is says that it is a face.
            (
                Say::Merge(vec![Member::Group(g(2)), Member::Face(f(7)), Member::Face(f(6))]),
                Ok(vec![face(7, true), same(4, 5), same(4, 7), same(4, 6)]),
            ),
            (Say::Move { group: g(2), faces: faces(&[7]) }, Ok(vec![face(7, true), same(4, 5), same(4, 7)])),
        ] {
            assert_eq!(say.verdicts(&gallery()), expected, "{say:?}");
        }
    }

    #[test]
    fn a_group_whose_cover_is_gone_is_spoken_of_by_its_best_face() {
        let mut now = gallery();
        now.faces.remove(0);
        let said = Say::Name { group: GroupId([1; 16]), name: "Ada".into() }.verdicts(&now);
        assert_eq!(said, Ok(vec![Verdict::Name { face: f(3), name: "Ada".into() }]));
    }
}
