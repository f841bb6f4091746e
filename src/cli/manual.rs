//! `muster completions` and `muster man`.

use std::process::ExitCode;

use clap::CommandFactory;

use super::{Cli, CliError};

/// Arguments of `muster completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell to complete for
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<ExitCode, CliError> {
        clap_complete::generate(self.shell, &mut Cli::command(), "muster", &mut std::io::stdout());
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `muster man`.
#[derive(Debug, clap::Args)]
pub struct Man {}

impl Man {
    pub(super) fn run(&self) -> Result<ExitCode, CliError> {
        let mut out = std::io::stdout();
        let command = Cli::command();
        clap_mangen::Man::new(command.clone()).render(&mut out)?;
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            clap_mangen::Man::new(sub.clone()).title(format!("muster-{}", sub.get_name())).render(&mut out)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
