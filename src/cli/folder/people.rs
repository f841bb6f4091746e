//! `muster people`: who was found, and what you say about them.

use std::collections::{BTreeSet, HashMap};
use std::process::ExitCode;

use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::{GalleryId, GroupId};
use muster_actors::grouping::say::{Member, Say, SayError};
use muster_gallery::LIBRARY_GALLERY;
use serde_json::{Value, json};

use super::library::{LibraryArgs, face, group};
use super::not_faces::{self, aside};
use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::{count, place, printable, short};
use muster_gallery::view::FaceRow;
use muster_library::change::{self, ChangeError};
use muster_library::view::{self, Which};
use muster_library::{Library, grouping, groups};

/// Arguments of `muster people`.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = false,
    after_help = "\
An id may be shortened to its first digits, as long as only one begins so.

Examples:
  muster people
  muster people show 3f2a91c4
  muster people name 3f2a91c4 'Ada Lovelace'
  muster people merge 3f2a91c4 b07755e1     these are one person
  muster people split 3f2a91c4 9d1c 77aa    these faces are somebody else
  muster people not-faces                   what looked like a face and is kept out of the groups
  muster people is-face 9d1c                it is a face after all
  muster people undo                        take the last of these back"
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
    List,
    /// List the faces of a group
    Show {
        /// The group
        group: String,
    },
    /// Give a group a name; an empty one takes it away
    Name {
        /// The group
        group: String,
        /// What the person is called
        name: String,
    },
    /// Say that groups, or faces in none, are one person
    Merge {
        /// Groups or faces
        #[arg(required = true, num_args = 2.., value_name = "ID")]
        ids: Vec<String>,
    },
    /// Say that faces of a group are another person
    Split {
        /// The group
        group: String,
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
    /// List what looked like a face and is none, the likeliest faces first
    NotFaces,
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
    /// Take back the last of these: name, merge, split, not-same, is-face, not-a-face
    Undo,
    /// List faces in no group that may be somebody's, the likeliest first
    Suggestions,
    /// Say why two faces are together or apart
    Explain {
        /// One face
        a: String,
        /// The other face
        b: String,
    },
}

impl Args {
    pub(super) fn run(self) -> Result<ExitCode, CliError> {
        let json = self.json;
        match self.action.unwrap_or(Action::List) {
            Action::List => list(&self.library.read()?, json)?,
            Action::NotFaces => not_faces::list(&self.library.read()?, json)?,
            Action::Show { group: id } => {
                let library = self.library.read()?;
                show(&library, &id, json)?;
            }
            Action::Suggestions => suggestions(&mut self.library.read()?, json)?,
            Action::Explain { a, b } => {
                let mut library = self.library.read()?;
                let (a, b) = (face(&library, &a)?, face(&library, &b)?);
                if a == b {
                    return Err(ChangeError::from(SayError::SameFace).into());
                }
                let snapshot = groups::snapshot(library.db_mut(), &gallery())?;
                let why = grouping::why(snapshot, &grouping::recall(&library)?, a, b)?;
                print(|out| {
                    Ok(writeln!(out, "{}", if json { format!("{:#}", json!(why)) } else { why.to_string() })?)
                })?;
            }
            action => {
                let mut library = self.library.write()?;
                let params = grouping::recall(&library)?;
                let regroup = |snapshot| grouping::group(snapshot, &params);
                let told = match say(&library, action)? {
                    Some(say) => change::say(&mut library, &say, &regroup)?,
                    None => change::undo(&mut library, &regroup)?,
                };
                print(|out| {
                    if json {
                        return Ok(writeln!(out, "{:#}", json!(told))?);
                    }
                    write!(out, "{told}")?;
                    if told.changed() && told.said != "undone" {
                        writeln!(out, "`muster people undo` takes this back.")?;
                    }
                    Ok(())
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What an action says, with its ids whole; `None` takes something back.
fn say(library: &Library, action: Action) -> Result<Option<Say>, CliError> {
    Ok(Some(match action {
        Action::Name { group: id, name } => Say::Name { group: group(library, &id)?, name },
        Action::Merge { ids } => Say::Merge(ids.iter().map(|id| member(library, id)).collect::<Result<_, CliError>>()?),
        Action::Split { group: id, faces } => {
            let faces = all(library, &faces)?;
            Say::Split { group: group(library, &id)?, faces }
        }
        Action::NotSame { a, b } => Say::NotSame { a: face(library, &a)?, b: face(library, &b)? },
        Action::IsFace { faces } => Say::Face { faces: all(library, &faces)?, is_face: true },
        Action::NotAFace { faces } => Say::Face { faces: all(library, &faces)?, is_face: false },
        Action::Undo
        | Action::List
        | Action::NotFaces
        | Action::Show { .. }
        | Action::Suggestions
        | Action::Explain { .. } => {
            return Ok(None);
        }
    }))
}

/// Faces whose ids begin so.
fn all(library: &Library, ids: &[String]) -> Result<BTreeSet<FaceId>, CliError> {
    ids.iter().map(|id| face(library, id)).collect()
}

/// A group, or a face in none, which can be given to one.
fn member(library: &Library, id: &str) -> Result<Member, CliError> {
    match group(library, id) {
        Ok(id) => Ok(Member::Group(id)),
        Err(CliError::Missing(none)) => match face(library, id) {
            Ok(face) => Ok(Member::Face(face)),
            Err(CliError::Missing(_)) => Err(CliError::Missing(none)),
            Err(other) => Err(other),
        },
        Err(other) => Err(other),
    }
}

fn gallery() -> GalleryId {
    GalleryId(LIBRARY_GALLERY.to_owned())
}

fn list(library: &Library, json: bool) -> Result<(), CliError> {
    let people = view::people(library.db())?;
    let totals = view::totals(library.db())?;
    print(|out| {
        if json {
            let list: Vec<Value> = people
                .iter()
                .map(|p| {
                    json!({ "id": p.id, "name": p.name, "faces": p.faces, "photos": p.photos,
                            "cover": { "face": p.cover, "path": p.cover_path } })
                })
                .collect();
            return Ok(writeln!(out, "{:#}", Value::Array(list))?);
        }
        if people.is_empty() {
            let (faces, photos) = (count(totals.faces, "face"), count(totals.images, "photo"));
            return Ok(writeln!(out, "No groups yet. {faces} in {photos}.{}", aside(&totals))?);
        }
        let width =
            people.iter().filter_map(|p| p.name.as_ref()).map(|n| n.chars().count()).max().unwrap_or(0).clamp(4, 40);
        writeln!(out, "{:8}  {:width$}  {:>6}  {:>6}  COVER", "ID", "NAME", "FACES", "PHOTOS")?;
        for p in &people {
            let name = printable(p.name.as_deref().unwrap_or("-"));
            let cover = format!("{} in {}", short(p.cover), printable(&p.cover_path));
            writeln!(out, "{:8}  {name:width$}  {:>6}  {:>6}  {cover}", short(p.id), p.faces, p.photos)?;
        }
        let (groups, alone) = (count(totals.groups, "group"), count(totals.ungrouped, "face"));
        Ok(writeln!(out, "\n{groups}, {alone} in none.{}", aside(&totals))?)
    })
}

fn suggestions(library: &mut Library, json: bool) -> Result<(), CliError> {
    let mut suggested: Vec<_> = groups::suggestions(library.db_mut(), &gallery())?.into_iter().collect();
    suggested.sort_by(|(a, x), (b, y)| y.probability.total_cmp(&x.probability).then(a.cmp(b)));
    let mut paths: HashMap<FaceId, String> = HashMap::new();
    view::faces(library.db(), Which::All, |face| {
        paths.insert(face.id, face.path);
        Ok(())
    })?;
    let names: HashMap<GroupId, String> =
        view::people(library.db())?.into_iter().filter_map(|p| Some((p.id, p.name?))).collect();
    let path = |face: FaceId| paths.get(&face).map(String::as_str).unwrap_or_default();
    print(|out| {
        if json {
            let list: Vec<Value> = suggested
                .iter()
                .map(|(face, s)| {
                    json!({ "face": face, "path": path(*face), "group": s.group, "name": names.get(&s.group),
                            "probability": s.probability })
                })
                .collect();
            return Ok(writeln!(out, "{:#}", Value::Array(list))?);
        }
        if suggested.is_empty() {
            return Ok(writeln!(out, "No suggestions: no face outside the groups resembles one of them enough.")?);
        }
        writeln!(out, "{:8}  {:8}  {:>6}  PHOTO", "FACE", "PERHAPS", "CHANCE")?;
        for (face, s) in &suggested {
            let name = names.get(&s.group).map(|name| format!("  {}", printable(name))).unwrap_or_default();
            let (percent, path) = (s.probability * 100.0, printable(path(*face)));
            writeln!(out, "{:8}  {:8}  {percent:>5.0}%  {path}{name}", short(*face), short(s.group))?;
        }
        Ok(writeln!(out, "\n`muster people merge GROUP FACE` says that they are one person.")?)
    })
}

fn show(library: &Library, id: &str, json: bool) -> Result<(), CliError> {
    let id = group(library, id)?;
    let mut faces: Vec<FaceRow> = Vec::new();
    view::faces(library.db(), Which::Group(id), |face| {
        faces.push(face);
        Ok(())
    })?;
    let name = faces.first().and_then(|face| face.name.clone());
    let person = view::people(library.db())?.into_iter().find(|p| p.id == id);
    print(|out| {
        if json {
            let list: Vec<Value> = faces
                .iter()
                .map(|f| json!({ "id": f.id, "path": f.path, "box": f.bbox, "quality": f.quality }))
                .collect();
            let cover = person.as_ref().map(|p| p.cover);
            return Ok(writeln!(out, "{:#}", json!({ "id": id, "name": name, "cover": cover, "faces": list }))?);
        }
        let photos = person.as_ref().map_or(0, |p| p.photos);
        let title = name.as_deref().map_or_else(|| "No name".to_owned(), printable);
        writeln!(out, "{title}  {id}\n{} in {}\n", count(faces.len() as u64, "face"), count(photos, "photo"))?;
        writeln!(out, "{:8}  {:>7}  {:>21}  PHOTO", "FACE", "QUALITY", "BOX")?;
        for f in &faces {
            let place = place(&f.bbox);
            let cover = if person.as_ref().is_some_and(|p| p.cover == f.id) { "  (cover)" } else { "" };
            let quality = f.quality.overall * 100.0;
            writeln!(out, "{:8}  {quality:>6.0}%  {place:>21}  {}{cover}", short(f.id), printable(&f.path))?;
        }
        Ok(())
    })
}
