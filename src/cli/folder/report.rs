//! `muster report`: one page of all people, to be opened in a browser.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::library::LibraryArgs;
use super::report_page::page;
use crate::cli::CliError;
use crate::cli::print::{output, print};
use muster_library::library::REPORT;
use muster_library::{Library, LibraryError};

/// Arguments of `muster report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The page holds everything it shows, asks nothing of any network, and links to the photos on this disk.

Examples:
  muster report
  muster report --output ~/people.html")]
pub struct Args {
    #[command(flatten)]
    library: LibraryArgs,
    /// Write here [default: people.html in the library]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    pub fn run(self) -> Result<ExitCode, CliError> {
        let place = write(&self.library.read()?, self.output.as_deref())?;
        print(|out| Ok(writeln!(out, "{}", place.display())?))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the page, by default into the library; returns where it is.
pub fn write(library: &Library, place: Option<&Path>) -> Result<PathBuf, CliError> {
    let place = place.map_or_else(|| library.folder().join(REPORT), Path::to_path_buf);
    let whole = std::path::absolute(&place)?;
    let folder = whole.parent().ok_or_else(|| CliError::Usage(format!("{} is no file name", place.display())))?;
    let folder = folder.canonicalize().map_err(|e| LibraryError::io(folder, &e))?;
    // One moment for the whole page, also while somebody indexes. A writer is alone anyway.
    let moment = !library.is_writer();
    if moment {
        library.db().execute_batch("BEGIN").map_err(LibraryError::from)?;
    }
    let written = output(Some(&whole), |out| page(library, &folder, out));
    if moment {
        library.db().execute_batch("COMMIT").map_err(LibraryError::from)?;
    }
    written.map(|()| whole)
}
