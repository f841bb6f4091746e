//! What somebody can say of groups and faces.

use std::collections::BTreeSet;

use crate::domain::face::FaceId;
use crate::domain::gallery::GroupId;
use crate::domain::person::BirthDate;
use crate::people::Topic;

/// Longest name, in characters.
pub const LONGEST_NAME: usize = 200;
/// Longest note, in characters.
pub const LONGEST_NOTE: usize = 10_000;

/// Whether a text can be the name of a person: not too long, and on one line.
pub fn is_name(text: &str) -> bool {
    text.chars().count() <= LONGEST_NAME && !text.chars().any(char::is_control)
}

/// A group, or a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// All faces of a group.
    Group(GroupId),
    /// One face that is in no group.
    Face(FaceId),
}

/// What becomes known of a person; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The name; an empty one takes the name away.
    pub name: Option<String>,
    /// The face to show the person by.
    pub cover: Option<FaceId>,
    /// Whether the person is left out of lists.
    pub is_hidden: Option<bool>,
    /// The date of birth; the inner `None` takes it away.
    pub born: Option<Option<BirthDate>>,
    /// A note; an empty one takes it away.
    pub notes: Option<String>,
}

/// An answer to a suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is that person.
    Yes,
    /// It is somebody else.
    No,
    /// It cannot be said: nobody is asked again.
    Skip,
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Correction {
    /// Tells something of the person that a group, or a face in none, is.
    Details {
        /// The group or face.
        member: Member,
        /// What is told.
        details: Details,
    },
    /// These are one person: the first, which keeps its name, cover and id.
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
    /// These faces of the group are rightly there; all of them where none are given.
    Confirm {
        /// The group.
        group: GroupId,
        /// Faces of it.
        faces: BTreeSet<FaceId>,
    },
    /// These faces of the group are not its person, and it is not said whose they are.
    NotPerson {
        /// The group.
        group: GroupId,
        /// What leaves it.
        faces: BTreeSet<FaceId>,
    },
    /// Answers whether a face, with the group that it is in, is the person of a group.
    Answer {
        /// The face: in no group, or standing for the group that it is in.
        face: FaceId,
        /// The group.
        group: GroupId,
        /// The answer.
        answer: Answer,
    },
    /// The groups are two persons: a suggestion is declined.
    NotOne {
        /// One group.
        a: GroupId,
        /// The other.
        b: GroupId,
    },
    /// The faces are of two people.
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
    /// These new faces are the person of that name.
    Enrol {
        /// The new faces.
        faces: Vec<FaceId>,
        /// The name.
        name: String,
        /// Groups that have this name.
        same: Vec<GroupId>,
        /// Faces of other people who look alike.
        others: Vec<FaceId>,
    },
}

/// Why something cannot be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionError {
    /// No such group, or all its faces are gone.
    #[error("there is no group {0}, or it has no faces any more")]
    NoGroup(GroupId),
    /// No such face.
    #[error("there is no face {0}")]
    NoFace(FaceId),
    /// Too long, or with control characters.
    #[error("a name has at most {LONGEST_NAME} characters, all on one line")]
    Name,
    /// Too long.
    #[error("a note has at most {LONGEST_NOTE} characters")]
    Note,
    /// Nothing to merge with.
    #[error("a merge needs two different groups")]
    Alone,
    /// A face that is not in the group.
    #[error("face {0} is not in that group")]
    NotMember(FaceId),
    /// Nothing was chosen.
    #[error("no faces were chosen")]
    NoneChosen,
    /// Nothing would be left.
    #[error("these are all faces of the group: leave at least one")]
    All,
    /// A pair of one.
    #[error("both are the same")]
    Same,
    /// A face that is in a group can be merged only with it.
    #[error("face {face} is in group {group}: merge the group, or split the face off first")]
    Elsewhere {
        /// The face.
        face: FaceId,
        /// Its group.
        group: GroupId,
    },
}

impl Correction {
    /// Gives a group a name; an empty one takes it away.
    pub fn name(group: GroupId, name: impl Into<String>) -> Self {
        let details = Details { name: Some(name.into()), ..Details::default() };
        Self::Details { member: Member::Group(group), details }
    }

    /// What it is called when it is told: `named`, `merged`, …
    pub fn past(&self) -> &'static str {
        match self {
            Self::Details { details: Details { name: Some(_), .. }, .. } => "named",
            Self::Details { details: Details { is_hidden: Some(true), .. }, .. } => "hidden",
            Self::Details { details: Details { is_hidden: Some(false), .. }, .. } => "shown",
            Self::Details { .. } => "described",
            Self::Merge(_) => "merged",
            Self::Split { .. } => "split",
            Self::Move { .. } => "moved",
            Self::Confirm { .. } => "confirmed",
            Self::NotPerson { .. } => "not-this-person",
            Self::Answer { answer: Answer::Yes, .. } => "same-person",
            Self::Answer { answer: Answer::No, .. } | Self::NotOne { .. } => "not-one-person",
            Self::Answer { answer: Answer::Skip, .. } => "skipped",
            Self::NotSame { .. } => "not-same",
            Self::Face { is_face: true, .. } => "is-face",
            Self::Face { is_face: false, .. } => "not-a-face",
            Self::Enrol { .. } => "enrolled",
        }
    }

    /// What it names.
    pub fn topic(&self) -> Topic {
        let mut topic = Topic::default();
        let mut member = |member: &Member| match member {
            Member::Group(id) => drop(topic.groups.insert(*id)),
            Member::Face(face) => drop(topic.faces.insert(*face)),
        };
        match self {
            Self::Details { member: of, details } => {
                member(of);
                topic.faces.extend(details.cover);
            }
            Self::Merge(members) => members.iter().for_each(member),
            Self::Split { group, faces }
            | Self::Move { group, faces }
            | Self::Confirm { group, faces }
            | Self::NotPerson { group, faces } => {
                topic.groups.insert(*group);
                topic.faces.extend(faces);
            }
            Self::Answer { face, group, .. } => {
                topic.groups.insert(*group);
                topic.faces.insert(*face);
            }
            Self::NotOne { a, b } => topic.groups.extend([*a, *b]),
            Self::NotSame { a, b } => topic.faces.extend([*a, *b]),
            Self::Face { faces, .. } => topic.faces.extend(faces),
            Self::Enrol { faces, same, others, .. } => {
                topic.groups.extend(same);
                topic.faces.extend(faces.iter().chain(others));
            }
        }
        topic
    }
}
