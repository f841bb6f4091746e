//! Changes the model of a library. All photos are analysed again beside the old results, which are exchanged at the end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use muster_actors::domain::exit::Exit;
use muster_actors::grouping::Params;
use muster_library::runner::IndexRound;
use muster_library::stage::{self, Exchanged};
use muster_library::{Runner, SqliteFaces, roots};

use super::progress::ProgressView;
use crate::cli::CliError;
use crate::cli::print::say;
use crate::cli::signal::Signals;
use crate::cli::text::{count, printable};

/// A change of the model of a library.
pub(super) struct ModelChange {
    /// The model before.
    pub(super) before: String,
    /// The model that comes.
    pub(super) model: String,
    /// The figures of grouping that fit it.
    pub(super) params: Params,
    /// Whether photos that are gone are taken out, however many they are.
    pub(super) accept_removals: bool,
    /// Whether a program reads what is printed.
    pub(super) json: bool,
}

impl ModelChange {
    /// Looks at all photos with the new model, then exchanges the answers. The round that
    /// looked at them; an exit code where it was stopped before.
    pub(super) fn run(
        self,
        store: &Arc<SqliteFaces>,
        paths: &[PathBuf],
        runner: impl Fn(&Arc<SqliteFaces>) -> Runner,
        signals: &Signals,
    ) -> Result<Result<IndexRound, ExitCode>, CliError> {
        let roots = roots::resolve(paths)?;
        let outside = store.look(|library| stage::elsewhere(library, &roots))?;
        if let Some(first) = outside.first() {
            return Err(CliError::Usage(format!(
                "the faces of this library are of the model {}, and it has photos in {}, which you did not name: name all \
                 its folders, so that {} looks at all of them, or keep the model with --model",
                self.before,
                first.display(),
                self.model
            )));
        }
        say(&format!(
            "the library is of the model {}: all photos are looked at with {}; people and answers stay as they are until \
             that is done",
            self.before, self.model
        ));
        let staged = Arc::new(SqliteFaces::start(store.look(|library| stage::open(library))?)?);
        let round = runner(&staged).round(paths, signals.asked(), &mut ProgressView::start())?;
        drop(staged);
        if round.exit != Exit::Drained {
            say(
                "stopped before all photos were looked at: nothing has changed yet; run the same command again to go on",
            );
            return Ok(Err(ExitCode::from(round.exit.code())));
        }
        let Self { model, params, accept_removals, json, .. } = self;
        let exchange = store.run(move |library| stage::exchange(library, &params, &model, accept_removals)).wait()?;
        if json {
            say(&serde_json::to_string(&exchange)?);
        } else {
            tell(&exchange);
        }
        Ok(Ok(round))
    }
}

fn tell(exchanged: &Exchanged) {
    let Exchanged { from, to, faces, people, without_faces, confirmed, enrolled } = exchanged;
    say(&format!(
        "the model is {to} now, and was {from}: {} before, {} now",
        count(faces.0, "face"),
        count(faces.1, "face")
    ));
    say(&format!(
        "{people} people with names stay; of {} that somebody confirmed, {} are with their person",
        count(confirmed.0, "face"),
        confirmed.1
    ));
    for name in without_faces {
        say(&format!("{} has no face any more: the new model found none where it was confirmed", printable(name)));
    }
    if *enrolled > 0 {
        say(&format!(
            "{} of enrolled photos, which are not kept, are of the old model: enrol them again",
            count(*enrolled, "face")
        ));
    }
}
