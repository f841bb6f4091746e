//! `muster forget` in a library.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::library::{LibraryArgs, group};
use super::people::author;
use super::report;
use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::{count, is_id_like, printable, short};
use muster_gallery::receipt::LibraryReceipt;
use muster_library::forget::{Target, forget, knows};
use muster_library::library::REPORT;
use muster_library::{Library, LibraryError};

/// Forgets a photo, a folder or a group of a library.
pub fn run(library: &LibraryArgs, target: &Path, json: bool) -> Result<ExitCode, CliError> {
    let mut library = library.write()?;
    let target = self::target(&library, target)?;
    let had_page = library.folder().join(REPORT).exists();
    let receipt = forget(&mut library, &target, &author())?;
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

fn target(library: &Library, given: &Path) -> Result<Target, CliError> {
    let id = given.to_str().filter(|text| is_id_like(text));
    let path = absolute(given)?;
    if path.exists() {
        if let Some(Ok(id)) = id.map(|id| group(library, id)) {
            let id = short(id);
            let text = format!("{} is a path and a group ({id}): write ./{0} for the path", given.display());
            return if given.components().count() == 1 { Err(CliError::Usage(text)) } else { Ok(Target::Path(path)) };
        }
        return Ok(Target::Path(path));
    }
    match id {
        Some(id) => Ok(Target::Group(group(library, id)?)),
        // Gone from the disk, but not from the library.
        None if knows(library, &path)? => Ok(Target::Path(path)),
        None => Err(CliError::Missing(format!("{} is neither a path nor a group of this library", given.display()))),
    }
}

/// Absolute and without links, as far as it exists.
fn absolute(given: &Path) -> Result<PathBuf, CliError> {
    let whole = std::path::absolute(given)?;
    let mut there = whole.as_path();
    loop {
        if let Ok(real) = there.canonicalize() {
            let rest = whole.strip_prefix(there).unwrap_or(Path::new(""));
            return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
        }
        match there.parent() {
            Some(parent) => there = parent,
            None => return Ok(whole),
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
    for file in &r.files {
        writeln!(out, "  {file} was written anew")?;
    }
    writeln!(out, "  index: kept in memory only, none on disk")?;
    if r.rewritten {
        writeln!(out, "  library.db was rewritten without them: {} -> {} bytes", r.bytes_before, r.bytes_after)?;
    } else {
        writeln!(out, "  library.db is being read by another process: run this again when it is done to rewrite it")?;
    }
    Ok(writeln!(out, "\nKept so that they do not come back: {}, without a face.", count(r.tombstones, "mark"))?)
}
