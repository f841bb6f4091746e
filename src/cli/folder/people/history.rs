//! `muster people history` lists corrections, each with the number by which it is undone.

use muster_actors::domain::capture::Taken;
use muster_library::{Library, history};
use serde_json::json;

use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::printable;

/// Lists changes, the last first.
pub(super) fn list(library: &Library, limit: usize, json: bool) -> Result<(), CliError> {
    let entries = history::list(library.db(), None, limit)?;
    print(|out| {
        if json {
            return Ok(writeln!(out, "{:#}", json!(entries))?);
        }
        if entries.is_empty() {
            return Ok(writeln!(out, "Nothing was said yet.")?);
        }
        writeln!(out, "{:>6}  {:19}  {:16}  {:12}  WHAT", "CHANGE", "WHEN (UTC)", "SAID", "BY")?;
        for entry in &entries {
            let at = Taken { local_ms: i64::try_from(entry.at_ms / 1000 * 1000).unwrap_or(0), offset_minutes: None };
            let mut what = printable(&entry.summary);
            if let Some(by) = entry.undone_by {
                what = format!("{what}  (taken back by {by})");
            }
            if let Some(change) = entry.undoes {
                what = format!("takes back {change}  {what}");
            }
            let (said, by) = (printable(&entry.said), printable(&entry.by));
            writeln!(out, "{:>6}  {at}  {said:16}  {by:12}  {}", entry.change, what.trim())?;
        }
        Ok(())
    })
}
