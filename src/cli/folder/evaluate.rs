//! `muster evaluate` scores the groups by labels.

use std::path::PathBuf;
use std::process::ExitCode;

use muster_actors::domain::exit::Exit;
use muster_actors::grouping::Params;

use super::labelled_photos;
use crate::cli::CliError;
use crate::cli::print::{print, say};
use crate::cli::values;
use muster_config::{Layers, Origin, Settings};
use muster_evaluation::report::{Report, ReportError};
use muster_evaluation::synthetic::{self, LibraryKind};
use muster_evaluation::{LabelledFaces, vectors};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::pack::{DEFAULT_PACK, Pack};
use muster_inference::pipeline;
use muster_library::{Library, grouping};

/// Arguments of `muster evaluate`.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("source").args(["photos", "vectors", "synthetic"]).required(true),
    after_help = "\
PHOTOS has a folder for each person. The largest face of each photo is that person's; other faces,
and photos that lie in no person's folder, are of unknown people: they are grouped and not scored.
A folder with one photo is a stranger, who belongs in no group. What was said in the library is
left aside. docs/evaluation.md defines every figure.

Examples:
  muster evaluate ~/people
  muster evaluate ~/people --library ~/people-library --model edgeface --peers
  muster evaluate --vectors faces.npy --labels faces.csv --model open --peers --markdown
  muster evaluate --synthetic children --peers --json | jq '.rows[].scores.b_cubed'"
)]
pub struct Args {
    /// Folder with one folder of photos for each person
    #[arg(value_name = "PHOTOS")]
    photos: Option<PathBuf>,
    /// Keep what is found in the photos here [default: nowhere]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["vectors", "synthetic"])]
    library: Option<PathBuf>,
    /// Faces as a float32 array of NumPy, a row of length 1 for each: as of `muster export
    /// --embeddings`
    #[arg(long, value_name = "FILE.npy", requires = "labels")]
    vectors: Option<PathBuf>,
    /// A line for each row of --vectors: columns photo, person (-1 for unknown) and optionally
    /// overall (quality) and taken (seconds since 1970)
    #[arg(long, value_name = "FILE.csv", requires = "vectors", conflicts_with_all = ["photos", "synthetic"])]
    labels: Option<PathBuf>,
    /// Synthetic faces with the distances of the pack open
    #[arg(long, value_enum, value_name = "KIND")]
    synthetic: Option<values::Synthetic>,
    /// Everything random about --synthetic follows from it
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with_all = ["photos", "vectors"])]
    seed: u64,
    /// Model pack that embeds the photos or embedded the vectors: open, edgeface, insightface-s, or
    /// a folder with a manifest
    #[arg(long, value_name = "PACK", conflicts_with = "synthetic")]
    model: Option<String>,
    /// Also group as other programs do, by default and at their best by the labels (minutes, up to
    /// 20,000 faces)
    #[arg(long)]
    peers: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

/// What muster and its peers group with.
struct GroupingFigures {
    params: Params,
    /// The model's cosine for pairs, which peers without defaults of their own take.
    threshold: f32,
}

impl GroupingFigures {
    /// The settings', where they say so, else the pack's.
    fn of(settings: &Settings, pack: &Pack) -> Self {
        let params = pipeline::params(settings, pack.manifest());
        Self { threshold: params.threshold, params }
    }
}

impl Args {
    pub(super) fn run(self, mut layers: Layers) -> Result<ExitCode, CliError> {
        if let Some(pack) = &self.model {
            layers.set("models.pack", pack.clone().into(), Origin::Flag("--model"))?;
        }
        let settings = layers.settings()?;
        let home = Home::from_env()?;
        let name = if self.synthetic.is_some() { DEFAULT_PACK } else { &settings.models.pack };
        let pack = Pack::open(name, &home)?;
        let (figures, model) = (GroupingFigures::of(&settings, &pack), pack.id());
        let (library, faces) = if let (Some(vectors), Some(labels)) = (&self.vectors, &self.labels) {
            (vectors.display().to_string(), vectors::read(vectors, labels)?)
        } else if let Some(kind) = self.synthetic {
            let kind = LibraryKind::from(kind);
            (format!("Synthetic {kind}, seed {}", self.seed), synthetic::library(kind, self.seed))
        } else if let Some(photos) = &self.photos {
            let temporary = tempfile::Builder::new().prefix("muster-evaluate-").tempdir()?;
            let folder = self.library.clone().unwrap_or_else(|| temporary.path().join("library"));
            let exit = labelled_photos::index(photos, &folder, settings, pack, &home)?;
            if exit != Exit::Drained {
                say(&format!("nothing is scored, because not every photo was indexed: {exit}"));
                return Ok(ExitCode::from(exit.code()));
            }
            (photos.display().to_string(), labelled_photos::labelled(&Library::read(&folder)?, photos)?)
        } else {
            return Err(CliError::Usage("nothing to evaluate: name PHOTOS, --vectors or --synthetic".to_owned()));
        };
        let report = self.report(&library, &faces, &figures, &model)?;
        print(|out| {
            if self.json {
                return Ok(writeln!(out, "{}", serde_json::to_string(&report)?)?);
            }
            Ok(write!(out, "{}", if self.markdown { report.markdown() } else { report.text() })?)
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(
        &self,
        library: &str,
        faces: &LabelledFaces,
        figures: &GroupingFigures,
        model: &str,
    ) -> Result<Report, CliError> {
        let partition = grouping::group(faces.snapshot(), &figures.params)?.partition;
        let mut report = Report::new(library, faces);
        report.add("muster", model, faces, &faces.groups(&partition)).map_err(ReportError::from)?;
        if let Some(bare) = faces.without_captures() {
            let partition = grouping::group(bare.snapshot(), &figures.params)?.partition;
            report.add("muster without times", model, &bare, &bare.groups(&partition)).map_err(ReportError::from)?;
        }
        if self.peers {
            say(&format!("comparing {} faces two by two, then grouping them in six other ways", faces.faces().len()));
            report.add_peers(faces, figures.threshold)?;
        }
        Ok(report)
    }
}
