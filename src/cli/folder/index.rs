//! `muster index`: find, score and group every face below some folders.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use muster_actors::domain::exit::Exit;

use super::outcome::{Outcome, Ran};
use super::progress::View;
use super::report;
use super::watch::Changes;
use crate::cli::CliError;
use crate::cli::models::{first_run_note, lanes};
use crate::cli::print::{print, say};
use crate::cli::signal::Signals;
use muster_config::{Layers, Origin};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::pack::Pack;
use muster_library::library::is_there;
use muster_library::runner::Round;
use muster_library::{Library, Runner, SqliteFaces, view};

/// Arguments of `muster index`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Stop it any time (Ctrl-C, or pull the plug) and run it again: it goes on where it was.

Examples:
  muster index ~/Pictures
  muster index ~/Pictures /media/card --library ~/faces
  muster index ~/Pictures --watch
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
        let is_chosen = layers.iter().any(|(key, _, origin)| key == "models.pack" && *origin != Origin::Default);
        let mut settings = layers.settings()?;
        if let Some(missing) = self.paths.iter().find(|path| !path.exists()) {
            return Err(CliError::Missing(format!("{} is not there: check the path", missing.display())));
        }
        let home = Home::from_env()?;
        let pack = Pack::open(&settings.models.pack, &home)?;
        pack.verify()?;
        let folder = Library::place(self.library.as_deref(), &self.paths);
        let is_new = !is_there(&folder);
        let store = Arc::new(SqliteFaces::start(Library::create(&folder)?)?);
        let lanes = lanes(&mut settings, &pack, &home, usize::MAX)?;
        if is_new && !is_chosen && !self.json {
            first_run_note(&Pack::known(&home)?).iter().for_each(|note| say(note));
        }
        let runner = Runner::new(settings, Arc::new(pack), lanes.engines(), Arc::clone(&store)).watching(lanes.cards());

        let signals = Signals::listen()?;
        let mut changes = self.watch.then(|| Changes::watch(&self.paths, &folder)).transpose()?;
        loop {
            let round = runner.round(&self.paths, signals.asked(), &mut View::start())?;
            let totals = store.look(|library| view::totals(library.db()))?;
            let ran = Ran { device: lanes.place(), lanes: lanes.engines().len(), tensors: lanes.tensors() };
            let outcome = Outcome::new(&round.scan, &round.summary, &totals, round.seconds, ran);
            self.tell(&folder, &round, &outcome)?;
            let again = round.exit == Exit::Drained && changes.as_mut().is_some_and(|changes| changes.wait(&signals));
            if !again {
                return Ok(ExitCode::from(round.exit.code()));
            }
        }
    }

    fn tell(&self, folder: &Path, round: &Round, outcome: &Outcome) -> Result<(), CliError> {
        let page = report::write(&Library::read(folder)?, None)?;
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
