//! `muster forget` in a library.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use muster_actors::domain::gallery::GroupId;
use muster_actors::domain::person::Person;

use super::library::{LibraryArgs, group};
use super::people::author;
use super::report;
use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::{count, is_id_like, printable, short};
use muster_gallery::receipt::LibraryReceipt;
use muster_library::forget::{self, ForgetTarget, knows};
use muster_library::library::REPORT;
use muster_library::{Library, LibraryError, roots, tombstones, waiting};

/// Forgets a photo, a folder or a group of a library.
pub fn run(library: &LibraryArgs, target: &Path, json: bool) -> Result<ExitCode, CliError> {
    let mut library = library.write()?;
    let target = self::target(&library, target)?;
    let had_page = library.folder().join(REPORT).exists();
    let receipt = forget::forget(&mut library, &target, &author())?;
    if had_page {
        report::write(&library, None)?;
    }
    print(|out| {
        if json {
            serde_json::to_writer_pretty(&mut *out, &receipt).map_err(|e| CliError::Io(e.into()))?;
            return Ok(writeln!(out)?);
        }
        tell(&receipt, out)
    })?;
    if receipt.rewritten {
        return Ok(ExitCode::SUCCESS);
    }
    Err(CliError::Library(LibraryError::Busy))
}

/// Says what would go.
pub fn preview(library: &LibraryArgs, target: &Path, json: bool) -> Result<ExitCode, CliError> {
    let mut library = library.write()?;
    let target = self::target(&library, target)?;
    let preview = forget::preview(&mut library, &target)?;
    print(|out| {
        if json {
            return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&preview)?)?);
        }
        writeln!(out, "Would be forgotten: {}\n", printable(&preview.target))?;
        writeln!(out, "  photos touched    {}", preview.images)?;
        writeln!(out, "  faces             {}", preview.faces)?;
        writeln!(out, "  groups that end   {}", preview.groups.len())?;
        for (title, names) in
            [("names that end    ", &preview.names_that_end), ("names that stay   ", &preview.names_that_stay)]
        {
            let names: Vec<String> = names.iter().map(|name| printable(name)).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            writeln!(out, "  {title}{names}")?;
        }
        Ok(writeln!(out, "\nNothing was changed: leave --dry-run out to forget.")?)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Lets a photo or folder back in.
pub fn lift(library: &LibraryArgs, given: &Path, json: bool) -> Result<ExitCode, CliError> {
    let mut library = library.write()?;
    let path = roots::absolute(given)?;
    let places = library.places().clone();
    let forgotten = tombstones::paths(library.db(), &places)?;
    if let Some(folder) = forgotten.iter().find(|folder| path.starts_with(folder) && **folder != path) {
        return Err(CliError::Missing(format!(
            "{} was forgotten with all of {}: lift that",
            given.display(),
            folder.display()
        )));
    }
    let lifted = tombstones::lift(library.db_mut(), &places, &path)?;
    if lifted == 0 {
        let mend =
            "name the photo or folder that was forgotten, or one that holds it; a group comes back by its photos";
        return Err(CliError::Missing(format!("nothing was forgotten at or below {}: {mend}", given.display())));
    }
    print(|out| {
        if json {
            let told = serde_json::json!({ "target": path.display().to_string(), "lifted": lifted });
            return Ok(writeln!(out, "{told:#}")?);
        }
        writeln!(out, "Taken back: {} ({})", printable(&path.to_string_lossy()), count(lifted as u64, "mark"))?;
        Ok(writeln!(out, "The next `muster index` looks at these photos again.")?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn target(library: &Library, given: &Path) -> Result<ForgetTarget, CliError> {
    let id = given.to_str().filter(|text| is_id_like(text));
    let path = roots::absolute(given)?;
    if path.exists() {
        if let Some(Ok(id)) = id.map(|id| group(library, id)) {
            let id = short(id);
            let text = format!("{} is a path and a group ({id}): write ./{0} for the path", given.display());
            return if given.components().count() == 1 {
                Err(CliError::Usage(text))
            } else {
                Ok(ForgetTarget::Path(path))
            };
        }
        return Ok(ForgetTarget::Path(path));
    }
    let named = given.to_str().map(|text| group(library, text));
    match (id, named) {
        (Some(_), Some(found)) => Ok(ForgetTarget::Group(found?)),
        // Gone from the disk, but not from the library.
        _ if knows(library, &path)? => Ok(ForgetTarget::Path(path)),
        (_, Some(found @ (Ok(_) | Err(CliError::Usage(_))))) => Ok(ForgetTarget::Group(found?)),
        _ => waiting(library, given)?.map(ForgetTarget::Group).ok_or_else(|| {
            CliError::Missing(format!("{} is neither a path nor a group of this library", given.display()))
        }),
    }
}

/// The one person without photos who has this name, or whose id begins so.
fn waiting(library: &Library, given: &Path) -> Result<Option<GroupId>, CliError> {
    let Some(text) = given.to_str().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let is_meant = |id: &GroupId, person: &Person| {
        let is_name = person.name.as_ref().is_some_and(|name| name.to_lowercase() == text);
        is_name || is_id_like(&text) && id.to_string().starts_with(&text)
    };
    let all = waiting::list(library.db())?;
    let found: Vec<GroupId> = all.iter().filter(|(id, person)| is_meant(id, person)).map(|(id, _)| *id).collect();
    match &found[..] {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => {
            let ids: Vec<String> = several.iter().map(short).collect();
            Err(CliError::Usage(format!("several people are called so: say which by id: {}", ids.join(", "))))
        }
    }
}

fn tell(r: &LibraryReceipt, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "Forgotten: {}\n", printable(&r.target))?;
    writeln!(out, "  photos touched    {}", r.images)?;
    writeln!(out, "  faces             {}", r.faces)?;
    writeln!(out, "  vectors           {} ({} bytes)", r.vectors, r.vector_bytes)?;
    writeln!(out, "  face crops        {} ({} bytes)", r.crops, r.crop_bytes)?;
    let list = |ids: &[_]| ids.iter().map(short).collect::<Vec<_>>().join(" ");
    if !r.groups.is_empty() {
        writeln!(out, "  groups ended      {}", list(&r.groups))?;
    }
    if !r.recomputed.is_empty() {
        writeln!(out, "  groups recomputed {}", list(&r.recomputed))?;
    }
    let rows: Vec<String> = r.rows.iter().filter(|(_, n)| **n > 0).map(|(table, n)| format!("{table} {n}")).collect();
    writeln!(out, "  rows in library.db: {}", if rows.is_empty() { "none".to_owned() } else { rows.join(", ") })?;
    if let [page, further @ ..] = &r.files[..] {
        let further = match further.len() as u64 {
            0 => String::new(),
            n => format!(", {} with it", count(n, "further page")),
        };
        writeln!(out, "  {page} was deleted{further}, and is written anew")?;
    }
    writeln!(out, "  index: kept in memory only, none on disk")?;
    if r.rewritten {
        writeln!(out, "  library.db was rewritten without them: {} -> {} bytes", r.bytes_before, r.bytes_after)?;
    } else {
        writeln!(out, "  library.db is being read by another process: run this again when it is done to rewrite it")?;
    }
    Ok(writeln!(out, "\nKept so that they do not come back: {}, without a face.", count(r.tombstones, "mark"))?)
}
