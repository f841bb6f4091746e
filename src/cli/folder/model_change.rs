//! Changes the model of a library, and says what came of it.

use std::path::PathBuf;
use std::process::ExitCode;

use muster_library::Runner;
use muster_library::runner::IndexRound;

use super::progress::ProgressView;
use crate::cli::CliError;
use crate::cli::print::say;
use crate::cli::signal::Signals;
use crate::cli::text::printable;

/// Looks at all photos with the model of `runner`, then exchanges the answers. Returns the round that looked at them, or
/// an exit code where it was stopped before.
pub(super) fn change(
    runner: &Runner,
    [before, after]: [&str; 2],
    paths: &[PathBuf],
    json: bool,
    signals: &Signals,
) -> Result<Result<IndexRound, ExitCode>, CliError> {
    say(&format!(
        "the library is of the model {before}: all photos are looked at with {after}; people and answers stay as they are \
         until that is done"
    ));
    let (round, exchanged) = runner.change_model(paths, signals.asked(), &mut ProgressView::start())?;
    let Some(exchanged) = exchanged else {
        say("stopped before all photos were looked at: nothing has changed yet; run the same command again to go on");
        return Ok(Err(ExitCode::from(round.exit.code())));
    };
    if json {
        say(&serde_json::to_string(&exchanged)?);
    } else {
        exchanged.to_string().lines().for_each(|line| say(&printable(line)));
    }
    Ok(Ok(round))
}
