//! The lists of `muster people`.

use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::person::Person;
use muster_gallery::view::FaceRow;
use muster_library::view::{self, FaceSelection};
use muster_library::{Library, waiting};
use serde_json::{Value, json};

use super::not_faces::aside;
use crate::cli::CliError;
use crate::cli::folder::library::group;
use crate::cli::print::print;
use crate::cli::text::{count, place, printable, short};

/// Which people are listed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ListOptions {
    /// Hidden ones, too
    #[arg(long)]
    hidden: bool,
    /// Leave out people without a name who are in fewer photos
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_photos: u64,
    /// Instead: people whose photos are all gone. A photo that comes back brings its people back
    #[arg(long, conflicts_with_all = ["hidden", "min_photos"])]
    waiting: bool,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self { hidden: false, min_photos: 1, waiting: false }
    }
}

/// Lists people, the largest groups first.
pub(super) fn people(library: &Library, options: ListOptions, json: bool) -> Result<(), CliError> {
    if options.waiting {
        return waiting_people(library, json);
    }
    let mut people = view::people(library.db())?;
    let hidden_people = people.iter().filter(|person| person.is_hidden).count();
    people.retain(|person| options.hidden || !person.is_hidden);
    let all = people.len();
    people.retain(|person| person.is_person || person.photos >= options.min_photos);
    let rare = all - people.len();
    let left_out = if options.hidden { 0 } else { hidden_people };
    let without_photos = waiting::list(library.db())?.len();
    let totals = view::totals(library.db())?;
    print(|out| {
        if json {
            let list: Vec<Value> = people
                .iter()
                .map(|p| {
                    json!({ "id": p.id, "name": p.name, "faces": p.faces, "photos": p.photos,
                            "hidden": p.is_hidden, "born": p.born, "notes": p.notes,
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
        let hidden = match left_out {
            0 => String::new(),
            n => format!(" {n} hidden: `muster people list --hidden`."),
        };
        writeln!(out, "\n{groups}, {alone} in none.{}{hidden}", aside(&totals))?;
        if rare > 0 {
            writeln!(out, "{rare} in fewer than {} are left out.", count(options.min_photos, "photo"))?;
        }
        if without_photos > 0 {
            writeln!(out, "{without_photos} without a photo now: `muster people list --waiting`.")?;
        }
        Ok(())
    })
}

/// Lists the people whose photos are all gone.
fn waiting_people(library: &Library, json: bool) -> Result<(), CliError> {
    let people = waiting::list(library.db())?;
    print(|out| {
        if json {
            let one = |(id, person): &(GroupId, Person)| {
                json!({ "id": id, "name": person.name, "hidden": person.is_hidden, "born": person.born,
                        "notes": person.notes })
            };
            return Ok(writeln!(out, "{:#}", Value::Array(people.iter().map(one).collect()))?);
        }
        if people.is_empty() {
            return Ok(writeln!(out, "Everybody who was named has a photo.")?);
        }
        for (id, person) in &people {
            writeln!(out, "{:8}  {}", short(*id), printable(person.name.as_deref().unwrap_or("-")))?;
        }
        Ok(writeln!(
            out,
            "\nTheir photos are gone. A photo that comes back brings its people back; `muster forget NAME` deletes one."
        )?)
    })
}

/// Lists the faces of a person, the best first.
pub(super) fn faces(library: &Library, id: &str, json: bool) -> Result<(), CliError> {
    let id = group(library, id)?;
    let mut faces: Vec<FaceRow> = Vec::new();
    view::faces(library.db(), FaceSelection::Group(id), |face| {
        faces.push(face);
        Ok(())
    })?;
    let name = faces.first().and_then(|face| face.name.clone());
    let person = view::people(library.db())?.into_iter().find(|p| p.id == id);
    print(|out| {
        if json {
            let list: Vec<Value> = faces
                .iter()
                .map(|f| {
                    json!({ "id": f.id, "path": f.path, "box": f.bbox, "quality": f.quality,
                            "confirmed": f.is_confirmed })
                })
                .collect();
            let cover = person.as_ref().map(|p| p.cover);
            let (born, notes) = (person.as_ref().and_then(|p| p.born), person.as_ref().and_then(|p| p.notes.clone()));
            let hidden = person.as_ref().is_some_and(|p| p.is_hidden);
            let shown = json!({ "id": id, "name": name, "cover": cover, "hidden": hidden, "born": born, "notes": notes,
                                "faces": list });
            return Ok(writeln!(out, "{shown:#}")?);
        }
        let photos = person.as_ref().map_or(0, |p| p.photos);
        let title = name.as_deref().map_or_else(|| "No name".to_owned(), printable);
        writeln!(out, "{title}  {id}\n{} in {}", count(faces.len() as u64, "face"), count(photos, "photo"))?;
        if let Some(person) = &person {
            if let Some(born) = person.born {
                writeln!(out, "Born {born}")?;
            }
            if let Some(notes) = &person.notes {
                writeln!(out, "{}", printable(notes))?;
            }
            if person.is_hidden {
                writeln!(out, "Hidden: lists leave this person out")?;
            }
        }
        writeln!(out)?;
        writeln!(out, "{:8}  {:>7}  {:>21}  PHOTO", "FACE", "QUALITY", "BOX")?;
        for f in &faces {
            let place = place(&f.bbox);
            let cover = match (person.as_ref().is_some_and(|p| p.cover == f.id), f.is_confirmed) {
                (true, true) => "  (cover, confirmed)",
                (true, false) => "  (cover)",
                (false, true) => "  (confirmed)",
                (false, false) => "",
            };
            let quality = f.quality.overall * 100.0;
            writeln!(out, "{:8}  {quality:>6.0}%  {place:>21}  {}{cover}", short(f.id), printable(&f.path))?;
        }
        Ok(())
    })
}
