//! `muster library` shows and changes where a library and its photos are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::library::LibraryArgs;
use super::report;
use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::{count, printable};
use muster_library::library::REPORT;
use muster_library::overview::overview;
use muster_library::relocation::{relocate, remove};
use muster_library::{Library, grouping, roots, view};

/// Arguments of `muster library`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Photos that were renamed or moved are recognised by `muster index` itself, where size and time of the
files stayed the same. `relocate` is for copies that got a new time, and for a disk that has another
place from now on.

Examples:
  muster library --library ~/Pictures
  muster library relocate /media/old/photos /media/new/photos
  muster library remove /media/old/photos")]
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
    /// Say where the library is, its roots, and how many photos are below each (the default)
    Show,
    /// Store the photos below a folder that moved as lying below another one
    Relocate {
        /// Where they were; it need not exist
        old: PathBuf,
        /// Where they are
        new: PathBuf,
    },
    /// Take everything out that is stored below a folder, whether or not its files exist
    Remove {
        /// The folder; it need not exist
        root: PathBuf,
    },
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, CliError> {
        match self.action.unwrap_or(Action::Show) {
            Action::Show => show(&self.library.read()?, self.json),
            Action::Relocate { old, new } => move_root(&mut self.library.write()?, &old, &new, self.json),
            Action::Remove { root } => remove_root(&mut self.library.write()?, &root, self.json),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn show(library: &Library, json: bool) -> Result<(), CliError> {
    let (totals, overview) = (view::totals(library.db())?, overview(library)?);
    print(|out| {
        if json {
            let told = json!({
                "library": library.folder(), "bytes": library.bytes(), "totals": totals,
                "roots": overview.roots, "elsewhere": overview.elsewhere,
            });
            return Ok(writeln!(out, "{told:#}")?);
        }
        let megabytes = library.bytes() as f64 / f64::from(1 << 20);
        writeln!(out, "{} ({megabytes:.1} MB)", shown(library.folder()))?;
        writeln!(
            out,
            "{}: {} with faces, {} without, {} of low quality, {} rejected",
            count(totals.images, "image"),
            totals.indexed,
            totals.no_faces,
            totals.low_quality,
            totals.rejected
        )?;
        let (faces, groups) = (count(totals.faces, "face"), count(totals.groups, "group"));
        writeln!(out, "{faces}: {} in {groups}, {} in none", totals.faces - totals.ungrouped, totals.ungrouped)?;
        for root in &overview.roots {
            let path = shown(&root.path);
            let note = if root.is_there { "" } else { ", which is not there (`muster library relocate` if it moved)" };
            writeln!(out, "  {:>7} below {path}{note}", root.images)?;
        }
        if overview.elsewhere > 0 {
            writeln!(out, "  {:>7} elsewhere", overview.elsewhere)?;
        }
        Ok(())
    })
}

fn move_root(library: &mut Library, old: &Path, new: &Path, json: bool) -> Result<(), CliError> {
    let (from, to) = (roots::absolute(old)?, roots::absolute(new)?);
    if roots::is_gone(&to) {
        return Err(CliError::Missing(format!(
            "{} is not there: name the folder where the photos are now",
            shown(new)
        )));
    }
    let relocation = relocate(library, &from, &to)?;
    let known = relocation.matched + relocation.unmatched;
    if known == 0 {
        return Err(nothing_below(old));
    }
    if relocation.matched == 0 {
        return Err(CliError::Missing(format!(
            "none of the {} known below {} is below {} with the same size: check both paths",
            count(known, "image"),
            shown(old),
            shown(new)
        )));
    }
    rewrite_page(library)?;
    print(|out| {
        if json {
            return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&relocation)?)?);
        }
        writeln!(
            out,
            "{} found below {} and stored there, with faces and names",
            were(relocation.matched),
            shown(&to)
        )?;
        if relocation.unmatched > 0 {
            writeln!(
                out,
                "{} not found there with the same size, and stored below {} as before (`muster library remove` \
                 takes out what is below a folder):",
                were(relocation.unmatched),
                shown(&from)
            )?;
            for path in &relocation.examples {
                writeln!(out, "  {}", printable(path))?;
            }
        }
        Ok(())
    })
}

fn remove_root(library: &mut Library, root: &Path, json: bool) -> Result<(), CliError> {
    let path = roots::absolute(root)?;
    let removed = remove(library, &path)?;
    if removed == 0 {
        return Err(nothing_below(root));
    }
    let params = grouping::recall(library)?;
    grouping::regroup(library, &params)?;
    rewrite_page(library)?;
    print(|out| {
        if json {
            return Ok(writeln!(out, "{:#}", json!({ "root": path, "removed": removed }))?);
        }
        Ok(writeln!(out, "{} taken out that lay below {}; no file was touched", were(removed), shown(&path))?)
    })
}

fn were(images: u64) -> String {
    format!("{} {}", count(images, "image"), if images == 1 { "was" } else { "were" })
}

fn nothing_below(root: &Path) -> CliError {
    CliError::Missing(format!("nothing is stored below {}: `muster library` lists the folders", shown(root)))
}

/// The page names photos by their paths.
fn rewrite_page(library: &Library) -> Result<(), CliError> {
    if library.folder().join(REPORT).exists() {
        report::write(library, None)?;
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}
