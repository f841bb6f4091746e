//! `muster forget` deletes all data of photos or of a person, in a library or in a fleet's gallery.

use std::path::PathBuf;
use std::process::ExitCode;

use super::CliError;
#[cfg(feature = "cloud")]
use super::fleet;
use super::folder::{self, library::LibraryArgs};
use muster_config::Layers;

macro_rules! library {
    () => {
        "\
In a library:

A photo or folder: faces, crops and vectors are deleted, and `muster index` passes it over
from now on. The photos themselves are never touched.

A group: its faces, crops, vectors and name are deleted, and the same places in the same
photos stay empty. Nothing is kept by which to know the person, so in a photo that comes later
they are found anew.

--dry-run says what would go, and changes nothing. --lift PATH lets a photo or folder back in,
and what was forgotten of a group in the photos below it: the next `muster index` looks at them.

Exports and copies you made elsewhere are yours to delete.

Examples:
  muster forget ~/Pictures/private --dry-run
  muster forget ~/Pictures/private
  muster forget ~/Pictures/private --lift
  muster forget 3f2a91c4 --json > receipt.json"
    };
}

#[cfg(feature = "cloud")]
macro_rules! gallery {
    () => {
        "\
In a fleet's gallery (--gallery), with the workers' settings and model pack:

Images: all that is known of them goes from MongoDB, S3 and Redis. Workers refuse them from
now on: their messages end as dead letters with the reason FORGOTTEN. A group: its faces,
crops, vectors and name go; the same places in the same images stay empty, and a person is
found anew in images that come later. What is left is grouped anew at once: faces of theirs
that were in no group may be one now, and the receipt names it. The images themselves are
never touched.

Interrupted or refused half-way, run it again (with a group's whole id): it goes on. Where a
bucket keeps versions, old ones of results and crops stay until its lifecycle removes them;
the receipt says so.

--lift takes it back: images come back when their messages are sent again.

Examples:
  muster forget s3://photos/trip/1.jpg --gallery trip
  muster forget s3://photos/trip/private/ --gallery trip
  muster forget 3f2a91c4 --gallery trip --json > receipt.json
  muster forget --all --gallery trip
  muster forget s3://photos/trip/private/ --gallery trip --lift"
    };
}

#[cfg(not(feature = "cloud"))]
const HELP: &str = library!();
#[cfg(feature = "cloud")]
const HELP: &str = concat!(library!(), "\n\n", gallery!());

/// Arguments of `muster forget`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
#[cfg_attr(feature = "cloud", command(group = clap::ArgGroup::new("what").args(["target", "all"]).required(true)))]
pub struct Args {
    #[command(flatten)]
    library: LibraryArgs,
    /// A photo or a folder of a library, s3://BUCKET/KEY or s3://BUCKET/PREFIX/ of a gallery, or a group's id
    #[arg(value_name = "TARGET", required = cfg!(not(feature = "cloud")))]
    target: Option<PathBuf>,
    #[cfg(feature = "cloud")]
    #[command(flatten)]
    gallery: fleet::forget::GalleryArgs,
    /// Take back that it was forgotten
    #[arg(long)]
    lift: bool,
    /// Say what would go from a library, and change nothing
    #[arg(long, conflicts_with = "lift")]
    dry_run: bool,
    /// Print the receipt as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// In the gallery that is named, else in a library.
    pub fn run(self, layers: &Layers) -> Result<ExitCode, CliError> {
        #[cfg(feature = "cloud")]
        if self.gallery.is_named() {
            if self.dry_run {
                return Err(CliError::Usage("--dry-run is for a library: leave --gallery out".to_owned()));
            }
            return self.gallery.run(layers, self.target.as_deref(), self.lift, self.json);
        }
        #[cfg(not(feature = "cloud"))]
        let _ = layers;
        if let Some(target) = &self.target {
            return match (self.lift, self.dry_run) {
                (true, _) => folder::forget::lift(&self.library, target, self.json),
                (_, true) => folder::forget::preview(&self.library, target, self.json),
                _ => folder::forget::run(&self.library, target, self.json),
            };
        }
        Err(CliError::Usage("name what to forget, and --gallery GALLERY where a fleet has it".to_owned()))
    }
}
