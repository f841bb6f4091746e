//! `muster completions` and `muster man`.

use std::process::ExitCode;

use clap::CommandFactory;

use super::print::print;
use super::{Cli, CliError};

/// Arguments of `muster completions`.
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell to complete for
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(&self) -> Result<ExitCode, CliError> {
        // Into memory: the generator panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "muster", &mut script);
        print(|out| Ok(out.write_all(&script)?))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `muster man`.
#[derive(Debug, clap::Args)]
pub struct Man {}

impl Man {
    pub(super) fn run(&self) -> Result<ExitCode, CliError> {
        let command = Cli::command();
        print(|mut out| {
            clap_mangen::Man::new(command.clone()).render(&mut out)?;
            for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
                let title = format!("muster-{}", sub.get_name());
                clap_mangen::Man::new(sub.clone()).title(title).render(&mut out)?;
            }
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
