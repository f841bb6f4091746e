//! The lanes of this machine: one engine beside the other, each on its own thread.

use std::sync::Arc;

use muster_actors::ports::engine::{Engine, EngineError};

use super::analyser::FACES;
use super::engine::{OnnxEngine, Options};
use super::engine_cache::Engines;
use super::graph::int8::Target;
use super::home::Home;
use super::pack::Pack;
use super::place::{OnCard, Place};
use super::plan::{Found, Kind, Plan, Without, plan};
use super::pull::Build;
use super::runtime::is_installed;
use super::tally::{Tally, TensorRuns};
use crate::gpu::{self, Card, Choice, NoGpu};
use crate::substitute;
use muster_config::{Models, Provider};

/// Lanes on one card: while one computes, the other uploads and prepares.
const ON_A_CARD: usize = 2;
/// Most images in a batch, where nobody says. A card's memory may bound it further; a processor gains nothing by more.
const BATCH_ON_A_CARD: usize = 32;
const BATCH: usize = 5;
/// Part of a card's free memory that its lanes may fill.
const USED: f64 = 0.9;
/// Models of a lane: each has an arena of its own.
const MODELS: usize = 2;

/// Engines that share nothing but a tally.
pub struct Lanes {
    engines: Vec<Arc<dyn Engine>>,
    tally: Tally,
    place: &'static str,
    cards: Vec<Card>,
    batch: usize,
}

/// What lanes are wanted.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Where, and how many.
    pub models: &'a Models,
    /// Most lanes.
    pub most: usize,
    /// Most images in a batch; 0 for as many as suits the place.
    pub batch: usize,
    /// How each works.
    pub options: Options,
}

impl Lanes {
    /// Starts the lanes that are wanted at the best place that can be had, and tells where that is.
    pub fn start(pack: &Pack, home: &Home, wanted: &Wanted<'_>) -> Result<Self, EngineError> {
        if let Some(substitute) = substitute::named(&pack.manifest().name) {
            tracing::warn!("models.stand_in: what is found is made up");
            return Ok(Self::substitute(vec![(substitute.engine)()]));
        }
        let models = wanted.models;
        let choice = Choice::parse(&models.devices);
        let plan = plan(models.provider, &choice, &found(models.provider, &choice, home))
            .map_err(|error| EngineError::Misconfigured(error.to_string()))?;
        match &plan.without {
            Some(Without::Warn(reason)) => tracing::warn!(reason, "models.place: no card is used"),
            Some(Without::AsUsual(reason)) => tracing::debug!(reason, "models.place"),
            None => {}
        }
        let Plan { kinds, cards, .. } = plan;
        let mut tried = kinds.into_iter().peekable();
        while let Some(kind) = tried.next() {
            match Self::on(kind, &cards, pack, home, wanted) {
                Ok(lanes) => {
                    tracing::info!(place = lanes.place, lanes = lanes.engines.len(), "models.place");
                    return Ok(lanes);
                }
                // A broken machine is no reason to work slowly on it.
                Err(error @ EngineError::DeviceLost(_)) => return Err(error),
                Err(error) => match tried.peek() {
                    Some(next) => tracing::warn!(%error, "models.place: {kind:?} cannot be had, {next:?} is tried"),
                    None => return Err(error),
                },
            }
        }
        Err(EngineError::Misconfigured(String::from("there is no place to run models")))
    }

    /// Starts lanes at one kind of place. On cards: those that start, if any does.
    fn on(kind: Kind, cards: &[Card], pack: &Pack, home: &Home, wanted: &Wanted<'_>) -> Result<Self, EngineError> {
        let place: &dyn Fn(&Card, OnCard) -> Place = match kind {
            Kind::Cpu => return Self::on_processor(Place::Cpu, pack, home, wanted),
            Kind::OpenVino => return Self::on_processor(Place::OpenVino, pack, home, wanted),
            Kind::Cuda => &|_, on| Place::Cuda(on),
            Kind::TensorRt => &|card, on| Place::TensorRt(on, engines_of(card, home)),
        };
        let cards = &cards[..cards.len().min(wanted.most.max(1))];
        let most = wanted.most / cards.len().max(1);
        let lanes = if wanted.models.lanes == 0 { ON_A_CARD } else { wanted.models.lanes }.min(most);
        let batch = batch_on_a_card(wanted.batch);
        let mut all = Self { engines: Vec::new(), tally: Tally::default(), place: "", cards: Vec::new(), batch };
        let mut failed = None;
        for card in cards {
            let limit = (card.free as f64 * USED / (lanes * MODELS) as f64) as u64;
            let place = place(card, OnCard { ordinal: card.ordinal, limit });
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

    fn on_processor(place: Place, pack: &Pack, home: &Home, wanted: &Wanted<'_>) -> Result<Self, EngineError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = if wanted.models.lanes == 0 { cores } else { wanted.models.lanes }.clamp(1, wanted.most.max(1));
        let batch = if wanted.batch == 0 { BATCH } else { wanted.batch };
        let target = pack.manifest().product.as_ref().and_then(|product| product.target);
        if target == Some(Target::Vnni) && Target::here() != Target::Vnni {
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

    /// Lanes of other engines, which count nothing.
    fn substitute(engines: Vec<Arc<dyn Engine>>) -> Self {
        Self { engines, tally: Tally::default(), place: Place::Cpu.name(), cards: Vec::new(), batch: BATCH }
    }

    /// The engines, as the pipeline takes them.
    pub fn engines(&self) -> Vec<Arc<dyn Engine>> {
        self.engines.clone()
    }

    /// What the models run, as they run it.
    pub fn tally(&self) -> Tally {
        self.tally.clone()
    }

    /// What the models ran so far.
    pub fn tensors(&self) -> Vec<TensorRuns> {
        self.tally.runs()
    }

    /// Where they run: cpu, openvino, cuda, tensorrt.
    pub fn place(&self) -> &'static str {
        self.place
    }

    /// Most images in a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The cards they run on.
    pub fn cards(&self) -> &[Card] {
        &self.cards
    }
}

fn engine(pack: &Pack, home: &Home, options: &Options, tally: &Tally) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(Arc::new(OnnxEngine::start(pack, home, options.clone(), tally.clone())?))
}

/// Images in a batch on a card, at most: what was asked for, or as many as cards do well with.
pub fn batch_on_a_card(wanted: usize) -> usize {
    if wanted == 0 { BATCH_ON_A_CARD } else { wanted }
}

/// The place that a plan would try first, on its first card: where one model is timed, or tried.
pub fn first_place(models: &Models, home: &Home) -> Result<Place, EngineError> {
    let choice = Choice::parse(&models.devices);
    let misfit = |text: String| EngineError::Misconfigured(text);
    let plan =
        plan(models.provider, &choice, &found(models.provider, &choice, home)).map_err(|e| misfit(e.to_string()))?;
    if let (Provider::Cuda | Provider::TensorRt, Some(Without::Warn(reason))) = (models.provider, &plan.without) {
        return Err(misfit(reason.clone()));
    }
    let on = |card: &Card| OnCard { ordinal: card.ordinal, limit: (card.free as f64 * USED) as u64 };
    Ok(match (plan.kinds.first(), plan.cards.first()) {
        (Some(Kind::Cuda), Some(card)) => Place::Cuda(on(card)),
        (Some(Kind::TensorRt), Some(card)) => Place::TensorRt(on(card), engines_of(card, home)),
        (Some(Kind::OpenVino), _) => Place::OpenVino,
        _ => Place::Cpu,
    })
}

fn engines_of(card: &Card, home: &Home) -> Engines {
    Engines { folder: home.engines(), compute: card.compute, driver: card.driver }
}

/// Looks for what a plan needs to know. The driver is asked only where a card might be used: that takes tenths of a second a card.
pub fn found(wanted: Provider, choice: &Choice, home: &Home) -> Found {
    let cuda = is_installed(Build::Cuda, home);
    let asked = match (wanted, choice) {
        (Provider::Cpu | Provider::OpenVino, _) | (_, Choice::Cpu) => false,
        // Nobody asks for a card, and none could be used.
        (Provider::Auto, Choice::All) => cuda,
        (Provider::Auto | Provider::Cuda | Provider::TensorRt, _) => true,
    };
    let openvino = Build::OpenVino.library(home).is_ok_and(|path| path.is_file());
    Found { cards: if asked { gpu::cards() } else { Err(NoGpu::NotAsked) }, cuda, openvino }
}
