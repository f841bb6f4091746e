//! The muster binary: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use muster::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("muster: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
