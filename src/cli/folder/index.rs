//! `muster index` finds, scores and groups every face below some folders.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use muster_actors::domain::exit::Exit;

use super::outcome::{IndexOutcome, UsedModels};
use super::progress::ProgressView;
use super::report;
use super::watch::FolderWatcher;
use super::{library_pack, model_change};
use crate::cli::CliError;
use crate::cli::models::{first_run_note, lanes};
use crate::cli::print::{print, say};
use crate::cli::signal::Signals;
use muster_config::{Layers, Origin};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::pack::Pack;
use muster_library::library::is_there;
use muster_library::runner::IndexRound;
use muster_library::{Library, LibraryError, Runner, SqliteFaces, forget, roots, stage, view};

/// `EX_UNAVAILABLE` of sysexits: photos of a root are missing, and were not taken out.
const PHOTOS_MISSING: u8 = 69;

/// Arguments of `muster index`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Stop it any time (Ctrl-C, or pull the plug) and run it again: it goes on where it was.

Photos that were deleted are taken out of the library. Where that would be all photos of a folder, or
more than ten that are more than a tenth, or where the folder or its disk is not there, nothing is taken
out below it, everything else is done, and the exit code is 69: mount the disk again, or say that they
were deleted with --accept-removals.

Examples:
  muster index ~/Pictures
  muster index ~/Pictures /media/card --library ~/faces
  muster index ~/Pictures --watch
  muster index ~/Pictures --accept-removals
  muster index ~/Pictures --json | jq .groups")]
pub struct Args {
    /// Folders and photos, searched with everything below them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where results are kept: in .muster in it, where it holds other files [default: .muster in the first folder]
    #[arg(long, value_name = "DIR", env = "MUSTER_LIBRARY")]
    library: Option<PathBuf>,
    /// Model pack: open, edgeface, insightface-s, or a folder with a manifest
    #[arg(long, value_name = "PACK")]
    model: Option<String>,
    /// Take photos out of the library that are gone, however many they are
    #[arg(long)]
    accept_removals: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    /// Stay, and index again when something changes
    #[arg(long)]
    watch: bool,
}

impl Args {
    pub(super) fn run(&self, mut layers: Layers) -> Result<ExitCode, CliError> {
        if let Some(pack) = &self.model {
            layers.set("models.pack", pack.clone().into(), Origin::Flag("--model"))?;
        }
        let mut settings = layers.settings()?;
        let folder = Library::place(self.library.as_deref(), &self.paths);
        self.check(&folder)?;
        let home = Home::from_env()?;
        let is_new = !is_there(&folder);
        let model = if is_new { None } else { stage::model_of(&Library::read(&folder)?)? };
        let pack = library_pack::settled(&layers, &settings, &home, model.as_deref())?;
        pack.verify()?;
        let store = Arc::new(SqliteFaces::start(Library::create(&folder)?)?);
        let lanes = lanes(&mut settings, &pack, &home, usize::MAX)?;
        if is_new && !library_pack::is_chosen(&layers) && !self.json {
            first_run_note(&Pack::known(&home)?).iter().for_each(|note| say(note));
        }
        let (pack, signals) = (Arc::new(pack), Signals::listen()?);
        let runner = Runner::new(settings, Arc::clone(&pack), lanes.engines(), Arc::clone(&store))
            .watching(lanes.cards())
            .accepting_removals(self.accept_removals);
        let model = pack.id();
        let mut looked = None;
        if let Some(before) = store.look(|library| stage::other_model(library, &model))? {
            match model_change::change(&runner, [&before, &model], &self.paths, self.json, &signals)? {
                Ok(round) => looked = Some(round),
                Err(code) => return Ok(code),
            }
        } else {
            // What an earlier run left that was killed after the exchange, or that went back to the model before.
            store.look(|library| stage::discard(library))?;
        }
        let mut changes = self.watch.then(|| FolderWatcher::watch(&self.paths, &folder)).transpose()?;
        loop {
            let round = match (runner.round(&self.paths, signals.asked(), &mut ProgressView::start()), &mut changes) {
                (Err(LibraryError::Absent(path)), Some(changes)) => {
                    say(&format!("{} is not there now; waiting for it", path.display()));
                    match changes.wait(&signals)? {
                        true => continue,
                        false => return Ok(ExitCode::SUCCESS),
                    }
                }
                (round, _) => round?,
            };
            // After another model, what it looked at is what is told.
            let round = match looked.take() {
                Some(looked) => IndexRound { exit: round.exit, ..looked },
                None => round,
            };
            let totals = store.look(|library| view::totals(library.db()))?;
            let ran = UsedModels { device: lanes.place(), lanes: lanes.engines().len(), tensors: lanes.tensors() };
            let outcome = IndexOutcome::new(&round.scan, &round.summary, &totals, round.seconds, ran);
            self.tell(&folder, &round, &outcome)?;
            let again = match &mut changes {
                Some(changes) if round.exit == Exit::Drained => changes.wait(&signals)?,
                _ => false,
            };
            if !again {
                let asks = round.exit == Exit::Drained && !round.scan.missing.is_empty();
                return Ok(ExitCode::from(if asks { PHOTOS_MISSING } else { round.exit.code() }));
            }
        }
    }

    /// A path that is not there is a mistake, unless photos below it are in the library.
    fn check(&self, folder: &Path) -> Result<(), CliError> {
        for path in self.paths.iter().filter(|path| roots::is_gone(path)) {
            let is_known =
                || -> Result<bool, CliError> { Ok(forget::knows(&Library::read(folder)?, &roots::absolute(path)?)?) };
            if !is_there(folder) || !is_known()? {
                let text = format!("{} is not there: check the path, or mount its disk", path.display());
                return Err(CliError::Missing(text));
            }
        }
        Ok(())
    }

    fn tell(&self, folder: &Path, round: &IndexRound, outcome: &IndexOutcome) -> Result<(), CliError> {
        let page = report::refresh(&Library::read(folder)?)?;
        print(|out| {
            if self.json {
                (outcome.remarks() + &outcome.lists()).lines().for_each(say);
                return Ok(writeln!(out, "{}", serde_json::to_string(outcome)?)?);
            }
            Ok(write!(out, "{}", outcome.text(Some(&page)))?)
        })?;
        match &round.exit {
            Exit::Drained => {}
            Exit::HandedBack => {
                say("stopped; run the same command again to go on: nothing is lost or done twice");
            }
            broken => say(&format!("muster: {broken}; what is done is kept, the same command goes on with the rest")),
        }
        Ok(())
    }
}
