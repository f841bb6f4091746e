//! Values of other crates as arguments of the command line, with their help, because those crates know no command line.

use clap::ValueEnum;

/// Who executes the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// The quickest that is installed and gives the same embeddings: CUDA where there is a card, else the CPU. See
    /// docs/models.md for what was measured.
    Auto,
    /// ONNX Runtime's own CPU kernels.
    Cpu,
    /// OpenVINO for the embedder, ONNX Runtime's kernels for the detector.
    #[value(name = "openvino")]
    OpenVino,
    /// CUDA on NVIDIA cards.
    Cuda,
    /// TensorRT in half precision on NVIDIA cards, and CUDA for what it does not take. Builds engines at its first start.
    #[value(name = "tensorrt")]
    TensorRt,
}

impl From<Provider> for muster_config::Provider {
    fn from(provider: Provider) -> Self {
        match provider {
            Provider::Auto => Self::Auto,
            Provider::Cpu => Self::Cpu,
            Provider::OpenVino => Self::OpenVino,
            Provider::Cuda => Self::Cuda,
            Provider::TensorRt => Self::TensorRt,
        }
    }
}

/// In which numbers a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// 32 bits, with constants folded, operators fused and the batch freed: the same results, and nothing left to do at a
    /// start.
    Float,
    /// 16 bits, but for operators that need more: for cards.
    Half,
    /// 8 bits, scaled by what the model saw of your photos: for processors.
    Int8,
}

impl From<Precision> for muster_inference::onnx::derived_pack::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Float => Self::Float,
            Precision::Half => Self::Half,
            Precision::Int8 => Self::Int8,
        }
    }
}

/// Who runs a quantised model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// ONNX Runtime on any CPU. On x86 without VNNI `VPMADDUBSW` adds two products of an unsigned and a signed byte in 16
    /// bits, and 2 · 255 · 127 does not fit; with weights from -63 to 63 it does. Source:
    /// <https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html>.
    AnyCpu,
    /// The same on a CPU that multiplies bytes into 32 bits (AVX-512 VNNI, AVX-VNNI, AMX; ARM with dot products): weights from
    /// -127 to 127.
    Vnni,
    /// TensorRT, which takes only steps around zero: activations are signed, and a bias stays float32.
    #[value(name = "tensorrt")]
    TensorRt,
}

impl From<Target> for muster_inference::onnx::graph::int8::QuantizationTarget {
    fn from(target: Target) -> Self {
        match target {
            Target::AnyCpu => Self::AnyCpu,
            Target::Vnni => Self::Vnni,
            Target::TensorRt => Self::TensorRt,
        }
    }
}

/// What is asked of an isolated decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ask {
    /// Pixels.
    Decode,
    /// A quality, from an image's header.
    Header,
    /// A quality, from a thumbnail.
    Thumbnail,
}

impl From<Ask> for muster_vision::isolated::Ask {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::Decode => Self::Decode,
            Ask::Header => Self::Header,
            Ask::Thumbnail => Self::Thumbnail,
        }
    }
}

/// Which people are in a synthetic library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Synthetic {
    /// Mostly children, photographed within few years, among children whom nobody knows.
    Children,
    /// Grown people, children, and children who grow up, among passers-by.
    Mixed,
}

impl From<Synthetic> for muster_evaluation::synthetic::LibraryKind {
    fn from(kind: Synthetic) -> Self {
        match kind {
            Synthetic::Children => Self::Children,
            Synthetic::Mixed => Self::Mixed,
        }
    }
}

/// What a caller of the API may do; each may do what the one before it may.
#[cfg(feature = "serve")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Look, and recognise.
    Read,
    /// Correct groups, enrol, forget, index.
    Write,
    /// Everything.
    Admin,
}

#[cfg(feature = "serve")]
impl From<Role> for muster_http::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Read => Self::Read,
            Role::Write => Self::Write,
            Role::Admin => Self::Admin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails to compile where a library has a value that the command line lacks, and fails where one is spelt as another.
    macro_rules! mirrors {
        ($theirs:path as $Theirs:ident, $Ours:ident: $($value:ident),+) => {{
            type $Theirs = $theirs;
            let ours = |theirs: &$Theirs| match theirs {
                $($Theirs::$value => $Ours::$value),+
            };
            let all = [$($Theirs::$value),+];
            assert!(all.iter().all(|theirs| $Theirs::from(ours(theirs)) == *theirs));
            assert_eq!(all.len(), $Ours::value_variants().len());
        }};
    }

    #[test]
    fn the_command_line_has_every_value_of_the_libraries() {
        mirrors!(muster_config::Provider as P, Provider: Auto, Cpu, OpenVino, Cuda, TensorRt);
        mirrors!(muster_inference::onnx::derived_pack::Precision as N, Precision: Float, Half, Int8);
        mirrors!(muster_inference::onnx::graph::int8::QuantizationTarget as T, Target: AnyCpu, Vnni, TensorRt);
        mirrors!(muster_vision::isolated::Ask as A, Ask: Decode, Header, Thumbnail);
        mirrors!(muster_evaluation::synthetic::LibraryKind as K, Synthetic: Children, Mixed);
        #[cfg(feature = "serve")]
        mirrors!(muster_http::Role as R, Role: Read, Write, Admin);
    }
}
