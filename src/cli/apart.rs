//! `muster decode-apart`: what a worker starts for an image that may kill a decoder. Not for people.

use std::process::ExitCode;

use super::CliError;
use crate::apart::{Ask, answer};
use crate::vision::decode::{Limits, VisionDecoder};

/// A question about the image on standard input.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is asked
    ask: Ask,
    /// Most encoded bytes
    #[arg(long)]
    bytes: u64,
    /// Most pixels
    #[arg(long)]
    pixels: u64,
    /// Longer side of the detector's input
    #[arg(long)]
    side: u32,
}

impl Args {
    /// Answers on standard output.
    pub fn run(&self) -> Result<ExitCode, CliError> {
        let limits = Limits { bytes: self.bytes, pixels: self.pixels };
        let decoder = VisionDecoder { limits, side: self.side };
        answer(&decoder, self.ask, &mut std::io::stdin().lock(), &mut std::io::stdout().lock())?;
        Ok(ExitCode::SUCCESS)
    }
}
