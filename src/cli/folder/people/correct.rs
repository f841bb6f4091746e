//! The corrections of `muster people`, from their arguments to their output.

use std::collections::BTreeSet;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::person::BirthDate;
use muster_actors::people::correction::{Answer, Details};
use muster_actors::people::{Author, Correction, Member};
use muster_library::correct::{correct, take_back};
use muster_library::{Library, adopt, grouping, now_ms};
use serde_json::json;

use crate::cli::CliError;
use crate::cli::folder::library::{face, group};
use crate::cli::print::print;

/// A correction as it is typed.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Correct {
    /// Give a person a name; an empty one takes it away
    Name {
        /// The person, or a face in no group
        person: String,
        /// What the person is called
        name: String,
    },
    /// Say that groups, or faces in none, are one person: the first
    Merge {
        /// People or faces
        #[arg(required = true, num_args = 2.., value_name = "PERSON")]
        people: Vec<String>,
    },
    /// Say that faces of a person are another person
    Split {
        /// The person
        person: String,
        /// The faces that leave it
        #[arg(required = true, value_name = "FACE")]
        faces: Vec<String>,
    },
    /// Say that faces, of other people or in no group, are this person
    Move {
        /// The person
        person: String,
        /// The faces that come to it
        #[arg(required = true, value_name = "FACE")]
        faces: Vec<String>,
    },
    /// Say that faces are rightly this person's; all of them where none is given
    Confirm {
        /// The person
        person: String,
        /// Faces of it
        #[arg(value_name = "FACE")]
        faces: Vec<String>,
    },
    /// Say that faces are not this person
    NotPerson {
        /// The person
        person: String,
        /// The faces that leave it
        #[arg(required = true, value_name = "FACE")]
        faces: Vec<String>,
    },
    /// Say that two faces are two people
    NotSame {
        /// One face
        a: String,
        /// The other face
        b: String,
    },
    /// Say that two groups are two people
    NotOne {
        /// One person
        a: String,
        /// The other person
        b: String,
    },
    /// Answer a suggestion
    Answer {
        /// The face that it is about
        face: String,
        /// The person that it may be
        person: String,
        /// Whether it is; `skip` asks never again
        #[arg(value_enum)]
        answer: TypedAnswer,
    },
    /// Say that these are faces after all: they are grouped again
    IsFace {
        /// Ids that `not-faces` lists
        #[arg(required = true, value_name = "FACE")]
        faces: Vec<String>,
    },
    /// Say that these are no faces: they leave the groups and the counts
    NotAFace {
        /// The faces
        #[arg(required = true, value_name = "FACE")]
        faces: Vec<String>,
    },
    /// Leave a person out of lists
    Hide {
        /// The person
        person: String,
    },
    /// List a hidden person again
    Unhide {
        /// The person
        person: String,
    },
    /// Choose the face that shows a person
    Cover {
        /// The person
        person: String,
        /// A face of it
        face: String,
    },
    /// Note a date of birth; an empty one takes it away
    Born {
        /// The person
        person: String,
        /// 1984, 1984-05 or 1984-05-17
        date: String,
    },
    /// Keep a note about a person; an empty one takes it away
    Note {
        /// The person
        person: String,
        /// The note
        text: String,
    },
    /// Take a change back: the last, or the one with a number that `history` lists
    Undo {
        /// The number of the change
        change: Option<u64>,
    },
}

/// An answer as it is typed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum TypedAnswer {
    /// It is
    Yes,
    /// It is somebody else
    No,
    /// It cannot be said
    Skip,
}

/// Returns the author of corrections, who is the user of this process.
pub(in crate::cli) fn author() -> Author {
    let by = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    Author { by: by.filter(|by| !by.is_empty()).unwrap_or_else(|| "somebody".to_owned()), at_ms: now_ms() }
}

impl Correct {
    /// Makes the correction, and tells what came of it.
    pub(super) fn run(self, library: &mut Library, json: bool) -> Result<(), CliError> {
        let is_undo = matches!(self, Self::Undo { .. });
        let mut told = match self.correction(library)? {
            Ok(correction) => correct(library.db_mut(), &correction, &author())?,
            Err(change) => take_back(library.db_mut(), change, &author())?,
        };
        let params = grouping::recall(library)?;
        let adopted = adopt::adopt(library.db_mut(), &told, &params)?;
        told.adopted(&adopted);
        print(|out| {
            if json {
                return Ok(writeln!(out, "{:#}", json!(told))?);
            }
            write!(out, "{told}")?;
            match told.change {
                Some(change) if !is_undo => writeln!(out, "`muster people undo {change}` takes this back.")?,
                _ => {}
            }
            Ok(())
        })
    }

    /// The correction with its ids whole; an error is a change to take back.
    fn correction(self, library: &Library) -> Result<Result<Correction, Option<u64>>, CliError> {
        let describe = |person: &str, details: Details| -> Result<Correction, CliError> {
            Ok(Correction::Details { member: Member::Group(group(library, person)?), details })
        };
        Ok(Ok(match self {
            Self::Name { person, name } => {
                let details = Details { name: Some(name), ..Details::default() };
                Correction::Details { member: member(library, &person)?, details }
            }
            Self::Merge { people } => {
                Correction::Merge(people.iter().map(|id| member(library, id)).collect::<Result<_, CliError>>()?)
            }
            Self::Split { person, faces } => {
                let (group, faces) = chosen(library, &person, &faces)?;
                Correction::Split { group, faces }
            }
            Self::Move { person, faces } => {
                let (group, faces) = chosen(library, &person, &faces)?;
                Correction::Move { group, faces }
            }
            Self::Confirm { person, faces } => {
                let (group, faces) = chosen(library, &person, &faces)?;
                Correction::Confirm { group, faces }
            }
            Self::NotPerson { person, faces } => {
                let (group, faces) = chosen(library, &person, &faces)?;
                Correction::NotPerson { group, faces }
            }
            Self::NotSame { a, b } => Correction::NotSame { a: face(library, &a)?, b: face(library, &b)? },
            Self::NotOne { a, b } => Correction::NotOne { a: group(library, &a)?, b: group(library, &b)? },
            Self::Answer { face: one, person, answer } => {
                let answer = match answer {
                    TypedAnswer::Yes => Answer::Yes,
                    TypedAnswer::No => Answer::No,
                    TypedAnswer::Skip => Answer::Skip,
                };
                Correction::Answer { face: face(library, &one)?, group: group(library, &person)?, answer }
            }
            Self::IsFace { faces } => Correction::Face { faces: all(library, &faces)?, is_face: true },
            Self::NotAFace { faces } => Correction::Face { faces: all(library, &faces)?, is_face: false },
            Self::Hide { person } => describe(&person, Details { is_hidden: Some(true), ..Details::default() })?,
            Self::Unhide { person } => describe(&person, Details { is_hidden: Some(false), ..Details::default() })?,
            Self::Cover { person, face: cover } => {
                let cover = face(library, &cover)?;
                describe(&person, Details { cover: Some(cover), ..Details::default() })?
            }
            Self::Born { person, date } => {
                let born = match date.trim() {
                    "" => None,
                    text => Some(text.parse::<BirthDate>().map_err(|error| CliError::Usage(error.to_string()))?),
                };
                describe(&person, Details { born: Some(born), ..Details::default() })?
            }
            Self::Note { person, text } => describe(&person, Details { notes: Some(text), ..Details::default() })?,
            Self::Undo { change } => return Ok(Err(change)),
        }))
    }
}

/// Faces whose ids begin so.
fn all(library: &Library, ids: &[String]) -> Result<BTreeSet<FaceId>, CliError> {
    ids.iter().map(|id| face(library, id)).collect()
}

fn chosen(library: &Library, person: &str, faces: &[String]) -> Result<(GroupId, BTreeSet<FaceId>), CliError> {
    Ok((group(library, person)?, all(library, faces)?))
}

/// A person, or a face in no group, which can become one.
fn member(library: &Library, id: &str) -> Result<Member, CliError> {
    match group(library, id) {
        Ok(id) => Ok(Member::Group(id)),
        Err(CliError::Missing(none)) => match face(library, id) {
            Ok(face) => Ok(Member::Face(face)),
            Err(CliError::Missing(_) | CliError::Usage(_)) => Err(CliError::Missing(none)),
            Err(other) => Err(other),
        },
        Err(other) => Err(other),
    }
}
