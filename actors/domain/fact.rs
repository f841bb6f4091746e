//! One thing that somebody said of a gallery, and that holds until somebody says otherwise.

use serde::{Deserialize, Serialize};

use crate::domain::face::FaceId;
use crate::domain::face_place::FacePlace;
use crate::domain::gallery::GroupId;
use crate::domain::person::Person;

/// One thing that holds because somebody said it. No computation changes a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fact")]
pub enum Fact {
    /// There is this person.
    Person {
        /// Its id, which its group has too.
        id: GroupId,
        /// What is known of it.
        person: Person,
    },
    /// The face is of this person.
    Confirmed {
        /// The face.
        face: FaceId,
        /// The person.
        person: GroupId,
    },
    /// The face is not of this person.
    NotPerson {
        /// The face.
        face: FaceId,
        /// The person.
        person: GroupId,
    },
    /// The two faces are of two people.
    NotSame {
        /// The smaller id.
        a: FaceId,
        /// The larger id.
        b: FaceId,
    },
    /// The two persons are not one: nobody needs to be asked again.
    PersonsApart {
        /// The smaller id.
        a: GroupId,
        /// The larger id.
        b: GroupId,
    },
    /// The detection is a face, or is none, whatever the models say.
    IsFace {
        /// The detection.
        face: FaceId,
        /// Whether it is a face.
        is_face: bool,
    },
    /// Somebody was asked whether the face is of this person, and left it open: nobody is asked again.
    Skipped {
        /// The face.
        face: FaceId,
        /// The person, or group.
        person: GroupId,
    },
    /// One person turned out to be another.
    Became {
        /// The id that ended.
        from: GroupId,
        /// The id that the person goes by. No chains.
        into: GroupId,
    },
    /// Where a face is that another fact speaks of, so that the face is known again elsewhere.
    Place {
        /// The face.
        face: FaceId,
        /// Its place.
        place: FacePlace,
    },
}

/// What a fact is about: of all facts with one key, one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactKey {
    /// A person's record.
    Person(GroupId),
    /// Whose a face is.
    Confirmed(FaceId),
    /// Whether a face is not of a person.
    NotPerson(FaceId, GroupId),
    /// Whether two faces are of two people.
    NotSame(FaceId, FaceId),
    /// Whether two persons are not one.
    PersonsApart(GroupId, GroupId),
    /// Whether a detection is a face.
    IsFace(FaceId),
    /// Whether somebody was asked whose a face is, and left it open.
    Skipped(FaceId, GroupId),
    /// What became of a person.
    Became(GroupId),
    /// Where a face is.
    Place(FaceId),
}

/// A fact in columns, as stores keep it.
#[derive(Clone, Debug, PartialEq)]
pub struct FactColumns {
    /// Which kind of fact: a word.
    pub kind: &'static str,
    /// The first id.
    pub a: [u8; 16],
    /// The second id, of the kinds that have two.
    pub b: Option<[u8; 16]>,
    /// The rest, as JSON; empty of the kinds that have no more.
    pub value: String,
}

/// Columns are no fact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fact of the kind {kind:?} with such columns: {detail}")]
pub struct FactError {
    kind: String,
    detail: String,
}

impl Fact {
    /// Says that two faces are of two people.
    pub fn not_same(a: FaceId, b: FaceId) -> Self {
        Self::NotSame { a: a.min(b), b: a.max(b) }
    }

    /// Says that two persons are not one.
    pub fn persons_apart(a: GroupId, b: GroupId) -> Self {
        Self::PersonsApart { a: a.min(b), b: a.max(b) }
    }

    /// The same fact with the smaller id of a pair first, as facts are kept: ids may have changed in a text.
    pub fn normalised(self) -> Self {
        match self {
            Self::NotSame { a, b } => Self::not_same(a, b),
            Self::PersonsApart { a, b } => Self::persons_apart(a, b),
            other => other,
        }
    }

    /// What it is about.
    pub fn key(&self) -> FactKey {
        match *self {
            Self::Person { id, .. } => FactKey::Person(id),
            Self::Confirmed { face, .. } => FactKey::Confirmed(face),
            Self::NotPerson { face, person } => FactKey::NotPerson(face, person),
            Self::NotSame { a, b } => FactKey::NotSame(a, b),
            Self::PersonsApart { a, b } => FactKey::PersonsApart(a, b),
            Self::IsFace { face, .. } => FactKey::IsFace(face),
            Self::Skipped { face, person } => FactKey::Skipped(face, person),
            Self::Became { from, .. } => FactKey::Became(from),
            Self::Place { face, .. } => FactKey::Place(face),
        }
    }

    /// The faces that it names.
    pub fn faces(&self) -> impl Iterator<Item = FaceId> {
        let (one, other) = match *self {
            Self::Confirmed { face, .. }
            | Self::NotPerson { face, .. }
            | Self::Skipped { face, .. }
            | Self::IsFace { face, .. }
            | Self::Place { face, .. } => (Some(face), None),
            Self::NotSame { a, b } => (Some(a), Some(b)),
            Self::Person { .. } | Self::PersonsApart { .. } | Self::Became { .. } => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// The persons that it names.
    pub fn persons(&self) -> impl Iterator<Item = GroupId> {
        let (one, other) = match *self {
            Self::Person { id, .. } => (Some(id), None),
            Self::Confirmed { person, .. } | Self::NotPerson { person, .. } | Self::Skipped { person, .. } => {
                (Some(person), None)
            }
            Self::PersonsApart { a, b } => (Some(a), Some(b)),
            Self::Became { from, into } => (Some(from), Some(into)),
            Self::NotSame { .. } | Self::IsFace { .. } | Self::Place { .. } => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// It in columns.
    pub fn columns(&self) -> FactColumns {
        // Plain data with text for keys: there is no value that JSON cannot hold.
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        let (kind, a, b, value) = match self {
            Self::Person { id, person } => ("person", id.0, None, json(serde_json::to_string(person))),
            Self::Confirmed { face, person } => ("confirmed", face.0, Some(person.0), String::new()),
            Self::NotPerson { face, person } => ("not_person", face.0, Some(person.0), String::new()),
            Self::NotSame { a, b } => ("not_same", a.0, Some(b.0), String::new()),
            Self::PersonsApart { a, b } => ("persons_apart", a.0, Some(b.0), String::new()),
            Self::IsFace { face, is_face } => ("is_face", face.0, None, is_face.to_string()),
            Self::Skipped { face, person } => ("skipped", face.0, Some(person.0), String::new()),
            Self::Became { from, into } => ("became", from.0, Some(into.0), String::new()),
            Self::Place { face, place } => ("place", face.0, None, json(serde_json::to_string(place))),
        };
        FactColumns { kind, a, b, value }
    }

    /// The fact that columns hold.
    ///
    /// # Errors
    /// The kind is not known, has another number of ids, or its value is something else.
    pub fn from_columns(kind: &str, a: [u8; 16], b: Option<[u8; 16]>, value: &str) -> Result<Self, FactError> {
        let fault = |detail: String| FactError { kind: kind.chars().take(32).collect(), detail };
        let json = |error: serde_json::Error| fault(error.to_string());
        Ok(match (kind, b) {
            ("person", None) => Self::Person { id: GroupId(a), person: serde_json::from_str(value).map_err(json)? },
            ("confirmed", Some(b)) => Self::Confirmed { face: FaceId(a), person: GroupId(b) },
            ("not_person", Some(b)) => Self::NotPerson { face: FaceId(a), person: GroupId(b) },
            ("not_same", Some(b)) => Self::not_same(FaceId(a), FaceId(b)),
            ("persons_apart", Some(b)) => Self::persons_apart(GroupId(a), GroupId(b)),
            ("is_face", None) => Self::IsFace { face: FaceId(a), is_face: serde_json::from_str(value).map_err(json)? },
            ("skipped", Some(b)) => Self::Skipped { face: FaceId(a), person: GroupId(b) },
            ("became", Some(b)) => Self::Became { from: GroupId(a), into: GroupId(b) },
            ("place", None) => Self::Place { face: FaceId(a), place: serde_json::from_str(value).map_err(json)? },
            (_, b) => return Err(fault(format!("{} ids", 1 + usize::from(b.is_some())))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_read_back_from_its_columns() {
        let (face, other) = (FaceId([1; 16]), FaceId([2; 16]));
        let (id, into) = (GroupId([3; 16]), GroupId([4; 16]));
        let person = Person { name: Some("Ada \"A\"".into()), made_ms: u64::MAX, ..Person::default() };
        for fact in [
            Fact::Person { id, person },
            Fact::Confirmed { face, person: id },
            Fact::NotPerson { face, person: id },
            Fact::not_same(other, face),
            Fact::persons_apart(into, id),
            Fact::IsFace { face, is_face: false },
            Fact::Skipped { face, person: id },
            Fact::Became { from: id, into },
            Fact::Place { face, place: FacePlace { content: Some([9; 32]), width: 4, ..FacePlace::default() } },
        ] {
            let FactColumns { kind, a, b, value } = fact.columns();
            assert_eq!(Fact::from_columns(kind, a, b, &value), Ok(fact.clone()));
            let text = serde_json::to_string(&fact).expect("plain data");
            assert_eq!(serde_json::from_str::<Fact>(&text).expect("its own text"), fact);
        }
        for (kind, b, value) in
            [("person", None, "{"), ("is_face", None, "1"), ("confirmed", None, ""), ("x", None, "")]
        {
            assert!(Fact::from_columns(kind, [0; 16], b, value).is_err(), "{kind}");
        }
    }
}
