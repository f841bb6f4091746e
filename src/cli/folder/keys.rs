//! `muster keys` manages the API keys of `muster serve`.

use std::process::ExitCode;

use serde_json::json;

use super::library::LibraryArgs;
use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::serve::{keys_file, keys_in};
use crate::cli::text::printable;
use crate::cli::values::Role;
use muster_config::Layers;
use muster_http::Keys;
use muster_library::Library;

/// Arguments of `muster keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A running service follows the file of keys within a second or two.

Examples:
  muster keys
  muster keys add phone --role read     prints the key, once
  muster keys remove phone")]
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
    /// List the keys (the default)
    List,
    /// Make a key, and print it: only its hash is kept
    Add {
        /// Whose it is
        name: String,
        /// What it allows
        #[arg(long, value_enum, default_value = "read")]
        role: Role,
    },
    /// Take a key back
    Remove {
        /// Whose it is
        name: String,
    },
}

impl Args {
    pub(super) fn run(self, layers: &Layers) -> Result<ExitCode, CliError> {
        let settings = layers.settings()?;
        let path = match keys_file(&settings, None) {
            Some(path) => path,
            None => keys_in(&Library::find(self.library.library.as_deref())?),
        };
        let mut keys = Keys::read(&path)?;
        match self.action.unwrap_or(Action::List) {
            Action::List => print(|out| {
                if self.json {
                    let list: Vec<_> =
                        keys.list().iter().map(|key| json!({ "name": key.name, "role": key.role })).collect();
                    return Ok(writeln!(out, "{:#}", json!(list))?);
                }
                for key in keys.list() {
                    writeln!(out, "{:8}  {}", format!("{:?}", key.role).to_lowercase(), printable(&key.name))?;
                }
                Ok(())
            })?,
            Action::Add { name, role } => {
                let key = keys.add(&name, role.into())?;
                print(|out| {
                    let text = if self.json { json!({ "name": name, "key": key }).to_string() } else { key.clone() };
                    Ok(writeln!(out, "{text}")?)
                })?;
            }
            Action::Remove { name } => keys.remove(&name)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
