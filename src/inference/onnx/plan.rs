//! Plans the execution targets that are tried for the lanes, best first. Pure functions.

use super::pull::RuntimeBuild;
use crate::gpu::{Card, CardSelection, CardSelectionError, NoGpu};
use muster_config::Provider;

/// The cards and runtimes that this machine has.
#[derive(Clone, Debug)]
pub struct AvailableHardware {
    /// Cards that this process may use, or the reason why there are none.
    pub cards: Result<Vec<Card>, NoGpu>,
    /// Whether ONNX Runtime's build for cards is installed.
    pub cuda: bool,
    /// Whether ONNX Runtime's build with OpenVINO is installed.
    pub openvino: bool,
}

/// A kind of execution target, without its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// ONNX Runtime's own kernels.
    Cpu,
    /// ONNX Runtime's provider for Intel's OpenVINO.
    OpenVino,
    /// CUDA on every chosen card.
    Cuda,
    /// TensorRT on every chosen card.
    TensorRt,
}

/// The kinds of targets that are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionPlan {
    /// The kinds, best first; never empty.
    pub kinds: Vec<TargetKind>,
    /// The chosen cards; empty where no kind needs one.
    pub cards: Vec<Card>,
    /// Reason why no card is used, if none is.
    pub without: Option<NoCardReason>,
}

impl ExecutionPlan {
    /// Returns the build of ONNX Runtime that is loaded.
    pub fn build(&self) -> RuntimeBuild {
        match self.kinds.first() {
            None | Some(TargetKind::Cpu) => RuntimeBuild::Cpu,
            Some(TargetKind::OpenVino) => RuntimeBuild::OpenVino,
            Some(TargetKind::Cuda | TargetKind::TensorRt) => RuntimeBuild::Cuda,
        }
    }
}

/// The reason why no card is used, and whether the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCardReason {
    /// No card was expected.
    AsUsual(String),
    /// A card was asked for, or something that can be fixed prevents its use.
    Warn(String),
}

/// Plans the targets for a provider and a selection of cards.
///
/// `auto` takes cards if there are any and their build of ONNX Runtime is installed. A named provider that cannot be
/// used falls back to the next: TensorRT to CUDA, CUDA to the CPU.
///
/// # Errors
/// [`CardSelectionError`] when the selection names cards that do not exist.
pub fn plan(
    wanted: Provider,
    choice: &CardSelection,
    found: &AvailableHardware,
) -> Result<ExecutionPlan, CardSelectionError> {
    let without = |kind, without| Ok(ExecutionPlan { kinds: vec![kind], cards: Vec::new(), without });
    let (kinds, processor) = match wanted {
        Provider::Cpu => return without(TargetKind::Cpu, None),
        Provider::OpenVino => return without(TargetKind::OpenVino, None),
        // TensorRT takes minutes to compile its engines, so it is used only where the user asks for it.
        Provider::Auto if found.openvino => (vec![TargetKind::Cuda, TargetKind::Cpu], TargetKind::OpenVino),
        Provider::Auto | Provider::Cuda => (vec![TargetKind::Cuda, TargetKind::Cpu], TargetKind::Cpu),
        Provider::TensorRt => (vec![TargetKind::TensorRt, TargetKind::Cuda, TargetKind::Cpu], TargetKind::Cpu),
    };
    let cards = match (choice, &found.cards) {
        (CardSelection::Cpu, _) => return without(processor, None),
        (CardSelection::All | CardSelection::Named(_), Err(error)) => {
            let usual = match error {
                NoGpu::NotBuilt | NoGpu::NotAsked | NoGpu::NoDriver | NoGpu::NoCard { .. } => {
                    wanted == Provider::Auto && *choice == CardSelection::All
                }
                NoGpu::OldDriver { .. } | NoGpu::Driver(_) => false,
            };
            let why = if usual { NoCardReason::AsUsual } else { NoCardReason::Warn };
            return without(processor, Some(why(error.to_string())));
        }
        (CardSelection::All | CardSelection::Named(_), Ok(cards)) => choice.of(cards)?,
    };
    if !found.cuda {
        let missing = "ONNX Runtime's build for cards is not installed. To mend it: muster models pull open --cuda";
        return without(processor, Some(NoCardReason::Warn(missing.to_owned())));
    }
    Ok(ExecutionPlan { kinds, cards: cards.into_iter().cloned().collect(), without: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cards: Result<u32, NoGpu>, cuda: bool, openvino: bool) -> AvailableHardware {
        let card = |ordinal| Card {
            ordinal,
            uuid: format!("GPU-{ordinal}"),
            name: String::from("Tesla T4"),
            compute: (7, 5),
            driver: 12_080,
            total: 16 << 30,
            free: 15 << 30,
        };
        AvailableHardware { cards: cards.map(|count| (0..count).map(card).collect()), cuda, openvino }
    }

    #[test]
    fn the_best_place_that_is_there_comes_first_and_the_processor_last() {
        use TargetKind::{Cpu, Cuda, OpenVino, TensorRt};
        let old = || NoGpu::OldDriver { found: 11_040, needed: 12_000 };
        let none = || Err(NoGpu::NoDriver);
        type Row = (Provider, &'static str, AvailableHardware, &'static [TargetKind], usize, Option<&'static str>);
        let table: [Row; 16] = [
            (Provider::Auto, "auto", found(none(), false, false), &[Cpu], 0, Some("usual: no NVIDIA driver")),
            (Provider::Auto, "auto", found(none(), true, true), &[OpenVino], 0, Some("usual: no NVIDIA driver")),
            (Provider::Auto, "auto", found(Ok(2), true, false), &[Cuda, Cpu], 2, None),
            (Provider::Auto, "auto", found(Ok(2), false, false), &[Cpu], 0, Some("warn: ONNX Runtime's build")),
            (
                Provider::Auto,
                "auto",
                found(Err(old()), true, false),
                &[Cpu],
                0,
                Some("warn: the NVIDIA driver is too old"),
            ),
            (Provider::Auto, "cpu", found(Ok(2), true, false), &[Cpu], 0, None),
            (Provider::Auto, "0", found(none(), true, false), &[Cpu], 0, Some("warn: no NVIDIA driver")),
            (Provider::Auto, "1", found(Ok(2), true, false), &[Cuda, Cpu], 1, None),
            (Provider::Cuda, "auto", found(none(), true, false), &[Cpu], 0, Some("warn: no NVIDIA driver")),
            (Provider::Cuda, "auto", found(none(), true, true), &[Cpu], 0, Some("warn: no NVIDIA driver")),
            (Provider::Cuda, "auto", found(Ok(1), true, true), &[Cuda, Cpu], 1, None),
            (Provider::TensorRt, "auto", found(Ok(1), true, false), &[TensorRt, Cuda, Cpu], 1, None),
            (Provider::TensorRt, "auto", found(Ok(1), false, false), &[Cpu], 0, Some("warn: ONNX Runtime's build")),
            (Provider::Cpu, "0", found(Ok(1), true, true), &[Cpu], 0, None),
            (Provider::OpenVino, "0", found(Ok(1), true, false), &[OpenVino], 0, None),
            (
                Provider::Auto,
                "auto",
                found(Err(NoGpu::Driver("999".into())), true, false),
                &[Cpu],
                0,
                Some("warn: the"),
            ),
        ];
        for (wanted, devices, found, kinds, cards, without) in table {
            let plan = plan(wanted, &CardSelection::parse(devices), &found).unwrap();
            assert_eq!((&plan.kinds[..], plan.cards.len()), (kinds, cards), "{wanted:?} {devices}");
            let text = plan.without.map(|without| match without {
                NoCardReason::AsUsual(reason) => format!("usual: {reason}"),
                NoCardReason::Warn(reason) => format!("warn: {reason}"),
            });
            let right =
                text.as_deref().zip(without).map_or(text.as_deref() == without, |(t, part)| t.starts_with(part));
            assert!(right, "{wanted:?} {devices}: {text:?}, not {without:?}");
        }
        assert!(plan(Provider::Auto, &CardSelection::parse("7"), &found(Ok(2), true, false)).is_err());
    }
}
