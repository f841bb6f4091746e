//! Starts the lanes of this machine, each of which is an engine on a thread of its own.

use std::sync::Arc;

use muster_actors::ports::engine::{Engine, EngineError};

use super::analyser::FACES;
use super::engine::{OnnxEngine, Options};
use super::engine_cache::TensorRtCache;
use super::execution_target::{CardTarget, ExecutionTarget};
use super::graph::int8::QuantizationTarget;
use super::home::Home;
use super::pack::Pack;
use super::plan::{AvailableHardware, ExecutionPlan, NoCardReason, TargetKind, plan};
use super::pull::RuntimeBuild;
use super::runtime::is_installed;
use super::tally::{Tally, TensorRuns};
use crate::gpu::{self, Card, CardSelection, NoGpu};
use crate::substitute;
use muster_config::{Models, Provider};

/// Number of lanes on one card: while one computes, the other uploads and prepares its input.
const ON_A_CARD: usize = 2;
/// Default batch size on a card. The card's memory may limit it further. A processor gains nothing by a larger one.
const BATCH_ON_A_CARD: usize = 32;
const BATCH: usize = 5;
/// Share of a card's free memory that its lanes may use.
const USED: f64 = 0.9;
/// Number of models in a lane; each has an arena of its own.
const MODELS: usize = 2;

/// The engines of this machine, which share only a tally.
pub struct Lanes {
    engines: Vec<Arc<dyn Engine>>,
    tally: Tally,
    place: &'static str,
    cards: Vec<Card>,
    batch: usize,
}

/// Options of starting lanes.
#[derive(Clone, Debug)]
pub struct LaneOptions<'a> {
    /// Settings of the models: where they run, and how many lanes.
    pub models: &'a Models,
    /// Greatest number of lanes.
    pub most: usize,
    /// Most images in a batch; 0 for a number that suits the target.
    pub batch: usize,
    /// Options of each engine.
    pub options: Options,
}

impl Lanes {
    /// Starts lanes on the best execution target that works, and logs which that is.
    ///
    /// # Errors
    /// [`EngineError`] when no target works, a card is lost, or the settings name cards that do not exist.
    pub fn start(pack: &Pack, home: &Home, wanted: &LaneOptions<'_>) -> Result<Self, EngineError> {
        if let Some(substitute) = substitute::named(&pack.manifest().name) {
            tracing::warn!("models.stand_in: what is found is made up");
            return Ok(Self::substitute(vec![(substitute.engine)()]));
        }
        let models = wanted.models;
        let choice = CardSelection::parse(&models.devices);
        let plan = plan(models.provider, &choice, &found(models.provider, &choice, home))
            .map_err(|error| EngineError::Misconfigured(error.to_string()))?;
        match &plan.without {
            Some(NoCardReason::Warn(reason)) => tracing::warn!(reason, "models.place: no card is used"),
            Some(NoCardReason::AsUsual(reason)) => tracing::debug!(reason, "models.place"),
            None => {}
        }
        let ExecutionPlan { kinds, cards, .. } = plan;
        let mut tried = kinds.into_iter().peekable();
        while let Some(kind) = tried.next() {
            match Self::on(kind, &cards, pack, home, wanted) {
                Ok(lanes) => {
                    tracing::info!(place = lanes.place, lanes = lanes.engines.len(), "models.place");
                    return Ok(lanes);
                }
                // A lost card ends the worker; falling back to a slower target would hide it.
                Err(error @ EngineError::DeviceLost(_)) => return Err(error),
                Err(error) => match tried.peek() {
                    Some(next) => tracing::warn!(%error, "models.place: {kind:?} cannot be had, {next:?} is tried"),
                    None => return Err(error),
                },
            }
        }
        Err(EngineError::Misconfigured(String::from("there is no place to run models")))
    }

    /// Starts lanes on one kind of target. On cards, the lanes that start are used, even if others fail.
    fn on(
        kind: TargetKind,
        cards: &[Card],
        pack: &Pack,
        home: &Home,
        wanted: &LaneOptions<'_>,
    ) -> Result<Self, EngineError> {
        let place: &dyn Fn(&Card, CardTarget) -> ExecutionTarget = match kind {
            TargetKind::Cpu => return Self::on_processor(ExecutionTarget::Cpu, pack, home, wanted),
            TargetKind::OpenVino => return Self::on_processor(ExecutionTarget::OpenVino, pack, home, wanted),
            TargetKind::Cuda => &|_, on| ExecutionTarget::Cuda(on),
            TargetKind::TensorRt => &|card, on| ExecutionTarget::TensorRt(on, engines_of(card, home)),
        };
        let cards = &cards[..cards.len().min(wanted.most.max(1))];
        let most = wanted.most / cards.len().max(1);
        let lanes = if wanted.models.lanes == 0 { ON_A_CARD } else { wanted.models.lanes }.min(most);
        let batch = batch_on_a_card(wanted.batch);
        let mut all = Self { engines: Vec::new(), tally: Tally::default(), place: "", cards: Vec::new(), batch };
        let mut failed = None;
        for card in cards {
            let limit = (card.free as f64 * USED / (lanes * MODELS) as f64) as u64;
            let place = place(card, CardTarget { ordinal: card.ordinal, limit });
            let options =
                Options { place: place.clone(), lanes, frames: batch, faces: batch * FACES, ..wanted.options.clone() };
            let before = all.engines.len();
            for lane in 0..lanes {
                match engine(pack, home, &options, &all.tally) {
                    Ok(engine) => all.engines.push(engine),
                    Err(error) => {
                        tracing::warn!(%error, %place, lane, "models.place: this lane is left out");
                        failed = Some(error);
                        break;
                    }
                }
            }
            if all.engines.len() > before {
                all.cards.push(card.clone());
                all.place = place.name();
            }
        }
        match failed {
            Some(error) if all.engines.is_empty() => Err(error),
            _ => Ok(all),
        }
    }

    fn on_processor(
        place: ExecutionTarget,
        pack: &Pack,
        home: &Home,
        wanted: &LaneOptions<'_>,
    ) -> Result<Self, EngineError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = if wanted.models.lanes == 0 { cores } else { wanted.models.lanes }.clamp(1, wanted.most.max(1));
        let batch = if wanted.batch == 0 { BATCH } else { wanted.batch };
        let target = pack.manifest().product.as_ref().and_then(|product| product.target);
        if target == Some(QuantizationTarget::Vnni) && QuantizationTarget::here() != QuantizationTarget::Vnni {
            let mend = "make it anew here with --target any-cpu";
            tracing::warn!(
                pack = pack.id(),
                mend,
                "models.place: made for processors with VNNI: sums overflow on this one"
            );
        }
        let (name, tally) = (place.name(), Tally::default());
        let options = Options { place, ..wanted.options.clone() };
        let engines = (0..lanes).map(|_| engine(pack, home, &options, &tally)).collect::<Result<_, _>>()?;
        Ok(Self { engines, tally, place: name, cards: Vec::new(), batch })
    }

    /// Creates lanes from engines that another crate supplied and that count nothing.
    fn substitute(engines: Vec<Arc<dyn Engine>>) -> Self {
        Self { engines, tally: Tally::default(), place: ExecutionTarget::Cpu.name(), cards: Vec::new(), batch: BATCH }
    }

    /// Returns the engines, as the pipeline takes them.
    pub fn engines(&self) -> Vec<Arc<dyn Engine>> {
        self.engines.clone()
    }

    /// Returns the shared counts of runs.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// Returns the tensors that the models ran so far.
    pub fn tensors(&self) -> Vec<TensorRuns> {
        self.tally.runs()
    }

    /// Returns the name of the execution target: cpu, openvino, cuda, tensorrt.
    pub fn place(&self) -> &'static str {
        self.place
    }

    /// Returns the most images in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Returns the cards that the lanes run on.
    pub fn cards(&self) -> &[Card] {
        &self.cards
    }
}

fn engine(pack: &Pack, home: &Home, options: &Options, tally: &Tally) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(Arc::new(OnnxEngine::start(pack, home, options.clone(), tally.clone())?))
}

/// Returns the batch size on a card: the requested one, or the default where that is 0.
pub fn batch_on_a_card(wanted: usize) -> usize {
    if wanted == 0 { BATCH_ON_A_CARD } else { wanted }
}

/// Returns the target that a plan tries first, on its first card, for a single model that is timed or tried.
///
/// # Errors
/// [`EngineError`] when the settings ask for a target that cannot be used.
pub fn first_place(models: &Models, home: &Home) -> Result<ExecutionTarget, EngineError> {
    let choice = CardSelection::parse(&models.devices);
    let misfit = |text: String| EngineError::Misconfigured(text);
    let plan =
        plan(models.provider, &choice, &found(models.provider, &choice, home)).map_err(|e| misfit(e.to_string()))?;
    if let (Provider::Cuda | Provider::TensorRt, Some(NoCardReason::Warn(reason))) = (models.provider, &plan.without) {
        return Err(misfit(reason.clone()));
    }
    let on = |card: &Card| CardTarget { ordinal: card.ordinal, limit: (card.free as f64 * USED) as u64 };
    Ok(match (plan.kinds.first(), plan.cards.first()) {
        (Some(TargetKind::Cuda), Some(card)) => ExecutionTarget::Cuda(on(card)),
        (Some(TargetKind::TensorRt), Some(card)) => ExecutionTarget::TensorRt(on(card), engines_of(card, home)),
        (Some(TargetKind::OpenVino), _) => ExecutionTarget::OpenVino,
        _ => ExecutionTarget::Cpu,
    })
}

fn engines_of(card: &Card, home: &Home) -> TensorRtCache {
    TensorRtCache { folder: home.engines(), compute: card.compute, driver: card.driver }
}

/// Finds the hardware and runtimes that a plan needs to know. The driver is asked only where a card might be used,
/// because asking takes tenths of a second for each card.
pub fn found(wanted: Provider, choice: &CardSelection, home: &Home) -> AvailableHardware {
    let cuda = is_installed(RuntimeBuild::Cuda, home);
    let asked = match (wanted, choice) {
        (Provider::Cpu | Provider::OpenVino, _) | (_, CardSelection::Cpu) => false,
        // Cards were not asked for, and none could be used.
        (Provider::Auto, CardSelection::All) => cuda,
        (Provider::Auto | Provider::Cuda | Provider::TensorRt, _) => true,
    };
    let openvino = RuntimeBuild::OpenVino.library(home).is_ok_and(|path| path.is_file());
    AvailableHardware { cards: if asked { gpu::cards() } else { Err(NoGpu::NotAsked) }, cuda, openvino }
}
