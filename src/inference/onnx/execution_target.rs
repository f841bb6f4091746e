//! The execution target of a model: the processor, or one card.

use std::fmt;

use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{ArenaExtendStrategy, CUDA, ExecutionProviderDispatch, OpenVINO, TensorRT};

use super::engine_cache::{EngineProfile, TensorRtCache};
use super::pull::RuntimeBuild;

/// A card, with the memory that ONNX Runtime may take on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardTarget {
    /// Number of the card in this process.
    pub ordinal: u32,
    /// Most bytes of the arena of one model.
    pub limit: u64,
}

/// The hardware and the kernels with which a model runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ExecutionTarget {
    /// A processor, with ONNX Runtime's own kernels.
    #[default]
    Cpu,
    /// A processor, with OpenVINO.
    OpenVino,
    /// A card, with CUDA.
    Cuda(CardTarget),
    /// A card, with TensorRT.
    TensorRt(CardTarget, TensorRtCache),
}

impl ExecutionTarget {
    /// Returns the card, where the model runs on one.
    pub fn card(&self) -> Option<&CardTarget> {
        match self {
            Self::Cpu | Self::OpenVino => None,
            Self::Cuda(card) | Self::TensorRt(card, _) => Some(card),
        }
    }

    /// Returns the build of ONNX Runtime that has its kernels.
    pub fn build(&self) -> RuntimeBuild {
        match self {
            Self::Cpu => RuntimeBuild::Cpu,
            Self::OpenVino => RuntimeBuild::OpenVino,
            Self::Cuda(_) | Self::TensorRt(..) => RuntimeBuild::Cuda,
        }
    }

    /// Returns the name for tables and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda(_) => "cuda",
            Self::TensorRt(..) => "tensorrt",
        }
    }

    /// Returns the execution providers, best first; operators that none of them supports run on the CPU. A provider
    /// that cannot be used is an error, because ONNX Runtime would skip it silently.
    pub(super) fn providers(&self, threads: usize, profile: Option<&EngineProfile>) -> Vec<ExecutionProviderDispatch> {
        match self {
            Self::Cpu => Vec::new(),
            Self::OpenVino => {
                let provider = OpenVINO::default().with_device_type("CPU").with_num_threads(threads.max(1));
                vec![provider.with_num_streams(1).build().error_on_failure()]
            }
            Self::Cuda(card) => vec![cuda(card)],
            Self::TensorRt(card, engines) => vec![tensorrt(card, engines, profile), cuda(card)],
        }
    }
}

impl fmt::Display for ExecutionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.card() {
            Some(card) => write!(f, "{}:{}", self.name(), card.ordinal),
            None => f.write_str(self.name()),
        }
    }
}

/// Converts the card's number, because CUDA numbers devices with a C int.
fn device(card: &CardTarget) -> i32 {
    i32::try_from(card.ordinal).unwrap_or(i32::MAX)
}

fn cuda(card: &CardTarget) -> ExecutionProviderDispatch {
    CUDA::default()
        .with_device_id(device(card))
        .with_memory_limit(usize::try_from(card.limit).unwrap_or(usize::MAX))
        // An arena that grows by powers of two would take memory that a batch of the measured size does not need.
        .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
        // An exhaustive search would time every algorithm at every new shape, and photos have many shapes.
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        // TF32 rounds to 10 bits, which would change embeddings by more than is allowed.
        .with_tf32(false)
        .build()
        .error_on_failure()
}

fn tensorrt(card: &CardTarget, engines: &TensorRtCache, profile: Option<&EngineProfile>) -> ExecutionProviderDispatch {
    let mut provider =
        TensorRT::default().with_device_id(device(card)).with_fp16(true).with_layer_norm_fp32_fallback(true);
    if let Some(profile) = profile {
        let folder = profile.folder(engines).display().to_string();
        let [least, usual, most] = profile.shapes();
        provider = provider
            .with_engine_cache(true)
            .with_engine_cache_path(&folder)
            .with_timing_cache(true)
            .with_timing_cache_path(folder)
            .with_profile_min_shapes(least)
            .with_profile_opt_shapes(usual)
            .with_profile_max_shapes(most);
    }
    provider.build().error_on_failure()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_place_is_named_with_its_card() {
        let card = CardTarget { ordinal: 1, limit: 1 };
        let engines = TensorRtCache { folder: PathBuf::new(), compute: (7, 5), driver: 12_080 };
        for (place, name, providers) in [
            (ExecutionTarget::Cpu, "cpu", 0),
            (ExecutionTarget::OpenVino, "openvino", 1),
            (ExecutionTarget::Cuda(card.clone()), "cuda:1", 1),
            (ExecutionTarget::TensorRt(card, engines), "tensorrt:1", 2),
        ] {
            assert_eq!((place.to_string().as_str(), place.providers(1, None).len()), (name, providers));
        }
    }
}
