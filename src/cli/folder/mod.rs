//! The commands that work on a folder of photos and its library.

mod evaluate;
mod export;
mod face_finder;
pub mod forget;
mod index;
#[cfg(feature = "serve")]
mod keys;
mod labelled_photos;
pub mod library;
pub(in crate::cli) mod library_pack;
mod model_change;
mod names;
mod outcome;
mod people;
mod progress;
mod remarks;
mod report;
mod roots;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::CliError;
use muster_config::Layers;

/// A command on a folder of photos.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find, score and group every face below some folders
    Index(index::Args),
    /// List the people found, correct the groups, ask why
    People(people::Args),
    /// Every face with its box, quality and person
    Export(export::Args),
    /// Take over the names that other programs wrote into photos or beside them
    Import(names::Args),
    /// Write the page of people
    Report(report::Args),
    /// Where the library and its photos are; folders that moved
    Library(roots::Args),
    /// Score groups by labels, beside those of other programs
    Evaluate(evaluate::Args),
    /// Who may ask `muster serve`
    #[cfg(feature = "serve")]
    Keys(keys::Args),
}

impl Command {
    /// Runs the command.
    pub fn run(self, layers: Layers) -> Result<ExitCode, CliError> {
        match self {
            Self::Index(args) => args.run(layers),
            Self::People(args) => args.run(&layers),
            Self::Export(args) => args.run(),
            Self::Import(args) => args.run(&layers),
            Self::Report(args) => args.run(),
            Self::Library(args) => args.run(),
            Self::Evaluate(args) => args.run(layers),
            #[cfg(feature = "serve")]
            Self::Keys(args) => args.run(&layers),
        }
    }
}
