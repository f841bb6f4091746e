//! The command line, with one file for each subcommand; those on a folder of photos are in `folder`.

mod check;
mod config;
mod error;
mod finding;
#[cfg(feature = "cloud")]
mod fleet;
mod folder;
mod forget;
mod isolated_decoder;
mod logging;
mod manual;
mod models;
pub mod print;
#[cfg(feature = "serve")]
mod serve;
mod signal;
mod text;
mod values;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser, Subcommand};

pub use error::CliError;
pub use logging::Logging;

use muster_config::{Layers, SettingsError};

/// Finds every face in a photo collection and groups the faces by person.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Cli {
    /// Read settings from this file instead of ./muster.toml
    #[arg(long, global = true, value_name = "FILE", env = "MUSTER_CONFIG", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    /// Say more: -v for what happens, -vv for every step (MUSTER_LOG takes a filter)
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Everywhere")]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  muster index ~/Pictures                 find and group every face, and write a page to look at
  muster people --library ~/Pictures      list the people found
  muster people name 3f2a91c4 'Ada'       give a group a name
  muster export --csv > faces.csv         every face with its box, quality and person
  muster forget ~/Pictures/private        delete faces, crops and vectors, with a receipt";

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Folder(folder::Command),
    /// Recognise photos and correct groups over HTTP, with a page
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    #[cfg(feature = "cloud")]
    #[command(flatten)]
    Fleet(fleet::Command),
    /// Delete what is known of photos or of a person, with a receipt
    Forget(forget::Args),
    /// List, fetch, check, improve and time model packs
    Models(models::Models),
    /// Try every dependency and say how to mend what is wrong
    Check(check::Args),
    /// Show the settings in force and where each comes from
    Config(config::Args),
    /// Print shell completions
    Completions(manual::Completions),
    /// Print the manual page
    Man(manual::Man),
    /// Answer one question about the image on standard input
    #[command(hide = true)]
    DecodeApart(isolated_decoder::Args),
}

impl Command {
    /// A service starts the log with its traces, so not before its settings are known.
    fn starts_its_log(&self) -> bool {
        #[cfg(feature = "serve")]
        if matches!(self, Self::Serve(_)) {
            return true;
        }
        #[cfg(feature = "cloud")]
        return matches!(self, Self::Fleet(_));
        #[cfg(not(feature = "cloud"))]
        false
    }
}

impl Cli {
    /// Runs the subcommand.
    pub fn run(self) -> Result<ExitCode, CliError> {
        #[cfg(feature = "chaos")]
        fleet::chaos::register_stand_in();
        let logging = Logging::new(self.verbose);
        let layers = self.layers()?;
        if !self.command.starts_its_log() {
            logging.start();
        }
        match self.command {
            #[cfg(feature = "cloud")]
            Command::Fleet(command) => command.run(layers, logging),
            Command::Folder(command) => command.run(layers),
            #[cfg(feature = "serve")]
            Command::Serve(args) => args.run(layers, logging),
            Command::Forget(args) => args.run(&layers),
            Command::Models(models) => {
                let mut code = 0;
                print::print_lines(|mut out| {
                    code = models::run(&models, &layers, &mut out)?;
                    Ok(())
                })?;
                Ok(ExitCode::from(code))
            }
            Command::Check(args) => args.run(&layers),
            Command::Config(args) => args.run(&layers),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
            Command::DecodeApart(args) => args.run(),
        }
    }

    fn layers(&self) -> Result<Layers, SettingsError> {
        let mut layers = Layers::defaults();
        match &self.config {
            Some(path) => layers.file(path)?,
            None if PathBuf::from("muster.toml").is_file() => layers.file("muster.toml".as_ref())?,
            None => {}
        }
        layers.environment(
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        )?;
        Ok(layers)
    }
}
