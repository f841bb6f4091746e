//! `muster people` lists people and takes corrections.

mod add_face;
mod correct;
mod history;
mod list;
mod not_faces;
mod review;

use std::path::PathBuf;
use std::process::ExitCode;

use muster_actors::domain::gallery::GalleryId;
use muster_actors::people::CorrectionError;
use muster_config::Layers;
use muster_gallery::LIBRARY_GALLERY;
use muster_library::correct::CorrectError;
use muster_library::{Library, grouping, groups};
use serde_json::json;

pub(super) use correct::author;

use super::library::{LibraryArgs, face};
use crate::cli::CliError;
use crate::cli::print::print;

/// Arguments of `muster people`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "\
A person is named by name or by id. An id may be shortened to its first digits, as long as only one begins so.
Corrections work while `muster index` or `muster serve` runs, and move only the faces that they name.

Examples:
  muster people
  muster people show Ada
  muster people name 3f2a91c4 'Ada Lovelace'
  muster people merge Ada b07755e1          these are one person: Ada
  muster people split Ada 9d1c 77aa         these faces are somebody else
  muster people move Ada 9d1c               this face is Ada
  muster people not-person Ada 9d1c         this face is not Ada
  muster people not-faces                   what looked like a face and is kept out of the groups
  muster people is-face 9d1c                it is a face after all
  muster people add-face party.jpg 310,84,52,60 Ada   a face that was not found
  muster people history                     what was said, each with its number
  muster people undo                        take the last of it back"
)]
pub struct Args {
    #[command(flatten)]
    library: LibraryArgs,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the people (the default)
    List(list::ListOptions),
    /// List the faces of a person
    Show {
        /// The person
        person: String,
    },
    /// List faces and groups that may be somebody's, first those whose answer puts most faces right
    Suggestions,
    /// Ask about the suggestions, one after another
    Review,
    /// Say why two faces are together or apart
    Explain {
        /// One face
        a: String,
        /// The other face
        b: String,
    },
    /// List what looked like a face and is none, the likeliest faces first
    NotFaces,
    /// Add a face that was not found: the one in a box of a photo
    AddFace {
        /// The photo, which was indexed
        photo: PathBuf,
        /// Around the face, in pixels of the upright photo
        #[arg(value_name = "X,Y,WIDTH,HEIGHT", allow_hyphen_values = true)]
        drawn: add_face::TypedBox,
        /// Whose face it is; a name that nobody has is a new person
        person: Option<String>,
    },
    /// List what was said, the last first
    History {
        /// Entries at most
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    #[command(flatten)]
    Correct(correct::Correct),
}

impl Args {
    pub(in crate::cli) fn run(self, layers: &Layers) -> Result<ExitCode, CliError> {
        let json = self.json;
        match self.action.unwrap_or_else(|| Action::List(list::ListOptions::default())) {
            Action::List(options) => list::people(&self.library.read()?, options, json)?,
            Action::NotFaces => not_faces::list(&self.library.read()?, json)?,
            Action::Show { person } => list::faces(&self.library.read()?, &person, json)?,
            Action::Suggestions => review::list(&mut self.library.read()?, json)?,
            Action::Review => review::review(&mut self.library.amend()?)?,
            Action::Explain { a, b } => explain(&mut self.library.read()?, &a, &b, json)?,
            Action::History { limit } => history::list(&self.library.read()?, limit, json)?,
            Action::AddFace { photo, drawn, person } => {
                add_face::run(&mut self.library.amend()?, layers, &photo, drawn, person.as_deref(), json)?;
            }
            Action::Correct(correction) => correction.run(&mut self.library.amend()?, json)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn gallery() -> GalleryId {
    GalleryId(LIBRARY_GALLERY.to_owned())
}

fn explain(library: &mut Library, a: &str, b: &str, json: bool) -> Result<(), CliError> {
    let (a, b) = (face(library, a)?, face(library, b)?);
    if a == b {
        return Err(CorrectError::from(CorrectionError::Same).into());
    }
    let snapshot = groups::snapshot(library.db_mut(), &gallery())?;
    let why = grouping::why(snapshot, &grouping::recall(library)?, a, b)?;
    print(|out| Ok(writeln!(out, "{}", if json { format!("{:#}", json!(why)) } else { why.to_string() })?))
}
