//! `muster config` prints the settings in force, each with its origin.

use std::process::ExitCode;

use serde_json::json;

use super::CliError;
use super::print::print;
use muster_config::{Layers, Origin, Settings};

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
        if !self.schema {
            layers.settings()?;
        }
        print(|out| {
            if self.schema {
                return Ok(writeln!(out, "{:#}", Settings::schema())?);
            }
            if self.json {
                let value = |(key, value, origin): (&str, toml::Value, &Origin)| {
                    (key.to_owned(), json!({ "value": value, "origin": origin.to_string() }))
                };
                let values: serde_json::Map<_, _> = layers.iter().map(value).collect();
                return Ok(writeln!(out, "{:#}", serde_json::Value::Object(values))?);
            }
            for (key, value, origin) in layers.iter() {
                writeln!(out, "{:<36}# {origin}", format!("{key} = {value}"))?;
            }
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
