//! `muster config`: the settings in force, each with its origin.

use std::process::ExitCode;

use serde_json::json;

use super::CliError;
use crate::settings::{Layers, Settings};

/// Arguments of `muster config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print the JSON schema of a settings file
    #[arg(long, conflicts_with = "json")]
    schema: bool,
}

impl Args {
    pub(super) fn run(&self, layers: &Layers) -> Result<ExitCode, CliError> {
        if self.schema {
            println!("{:#}", Settings::schema());
            return Ok(ExitCode::SUCCESS);
        }
        layers.settings()?;
        if self.json {
            let values: serde_json::Map<_, _> = layers
                .iter()
                .map(|(key, value, origin)| (key.to_owned(), json!({ "value": value, "origin": origin.to_string() })))
                .collect();
            println!("{:#}", serde_json::Value::Object(values));
        } else {
            for (key, value, origin) in layers.iter() {
                println!("{:<36}# {origin}", format!("{key} = {value}"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
