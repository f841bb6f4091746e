//! `muster decode-apart` decodes images that may kill a decoder. Workers start it; it is not for people.

use std::process::ExitCode;

use muster_actors::ports::decoder::Decoder;

use super::CliError;
use super::values::Ask;
#[cfg(feature = "chaos")]
use muster_chaos::stand_in::AbortingDecoder;
use muster_vision::decode::{Limits, VisionDecoder};
use muster_vision::isolated::answer;

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
    /// Some images kill the decoder
    #[cfg(feature = "chaos")]
    #[arg(long)]
    marked: bool,
}

impl Args {
    /// Answers on standard output.
    pub fn run(&self) -> Result<ExitCode, CliError> {
        let limits = Limits { bytes: self.bytes, pixels: self.pixels };
        let decoder = VisionDecoder { limits, side: self.side };
        #[cfg(feature = "chaos")]
        if self.marked {
            return self.answer(&AbortingDecoder(std::sync::Arc::new(decoder)));
        }
        self.answer(&decoder)
    }

    fn answer(&self, decoder: &dyn Decoder) -> Result<ExitCode, CliError> {
        answer(decoder, self.ask.into(), &mut std::io::stdin().lock(), &mut std::io::stdout().lock())?;
        Ok(ExitCode::SUCCESS)
    }
}
