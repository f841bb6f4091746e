//! The muster binary: parse, run, exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use cli::print::say;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            say(&format!("muster: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
