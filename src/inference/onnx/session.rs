//! A loaded model that is ready to run.

use std::fs;
use std::time::Instant;

use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionOutputs};
use ort::value::TensorRef;

use super::classify::classify;
use super::engine_cache::EngineProfile;
use super::execution_target::ExecutionTarget;
use super::graph::{GraphError, Rewrite, input_name, rewrite};
use super::staging::Staging;
use super::tally::Tally;

/// Options of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads within one operator, at least 1.
    pub threads: usize,
    /// Processor or card on which the session runs.
    pub place: ExecutionTarget,
    /// Changes to its graph.
    pub rewrite: Rewrite,
    /// Smallest, usual and largest input (batch, channels, height, width), for targets that compile for a range.
    pub range: [[usize; 4]; 3],
}

/// A model with one image input.
#[derive(Debug)]
pub struct Model {
    /// It is dropped before the session, whose memory it holds.
    staging: Option<Staging>,
    session: Session,
    name: String,
    input: String,
    outputs: Vec<String>,
    tally: Tally,
}

impl Model {
    /// Loads the model in `bytes`; `name` appears in errors.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] when the bytes are not a model that this runtime can run; other variants when the
    /// device fails.
    pub fn load(
        environment: &Environment,
        name: &str,
        bytes: &[u8],
        options: &SessionOptions,
    ) -> Result<Self, EngineError> {
        let misfit = |error: GraphError| EngineError::Misconfigured(format!("{name}: {error}"));
        let bytes = rewrite(bytes, &options.rewrite).map_err(misfit)?;
        let profile = match &options.place {
            ExecutionTarget::TensorRt(_, engines) => {
                let input = input_name(&bytes).map_err(misfit)?.unwrap_or_default();
                let profile = EngineProfile::new(&input, &bytes, options.range);
                // Without a folder the compiled engine is not kept.
                if let Err(error) = fs::create_dir_all(profile.folder(engines)) {
                    tracing::warn!(%error, "models.engine_cache");
                }
                Some(profile)
            }
            ExecutionTarget::Cpu | ExecutionTarget::OpenVino | ExecutionTarget::Cuda(_) => None,
        };
        let session = open(environment, &bytes, options, profile.as_ref()).map_err(|error| named(name, error))?;
        let inputs = session.inputs();
        let [input] = inputs else {
            let count = inputs.len();
            return Err(EngineError::Misconfigured(format!(
                "{name}: a model with one input is needed, this has {count}"
            )));
        };
        let input = input.name().to_string();
        let outputs = session.outputs().iter().map(|output| output.name().to_string()).collect();
        let staging = options.place.card().map(|card| Staging::pinned(&session, card.ordinal)).transpose();
        let staging = staging.map_err(|error| named(name, classify(&error)))?;
        Ok(Self { staging, session, name: name.to_string(), input, outputs, tally: Tally::default() })
    }

    /// Gives its tensors fixed places in the processor's memory. On a card they have them anyway, in pinned memory.
    pub fn staged(mut self) -> Self {
        self.staging = Some(Staging::host());
        self
    }

    /// Makes the model count its runs in `tally`.
    pub(crate) fn count_in(&mut self, tally: Tally) {
        self.tally = tally;
    }

    /// Returns the names of its outputs, in the model's order.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Runs it on `data` of `shape` (batch, channels, height, width), and hands its outputs to `read`.
    ///
    /// # Errors
    /// [`EngineError`] when the run fails, or `read` returns one.
    pub fn run<R>(
        &mut self,
        shape: [usize; 4],
        data: &[f32],
        read: impl FnOnce(&Outputs<'_>) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let Self { staging, session, name, input, outputs, tally } = self;
        let padded = staging.as_ref().map_or(shape[0], |_| Staging::padded(shape[0]));
        let started = Instant::now();
        let ran = match staging.as_mut() {
            Some(staging) => staging.run(session, (input.as_str(), outputs), shape, data),
            None => TensorRef::from_array_view((shape, data))
                .and_then(|tensor| session.run(ort::inputs![input.as_str() => tensor])),
        };
        tally.add(name, shape, started.elapsed());
        let outputs = ran.map_err(|error| named(name, classify(&error)))?;
        read(&Outputs { outputs, name, items: shape[0], ran: padded })
    }
}

/// The outputs of a run.
pub struct Outputs<'a> {
    outputs: SessionOutputs<'a>,
    name: &'a str,
    /// Number of items that were asked for, and (`ran`) of those that ran, with padding.
    items: usize,
    ran: usize,
}

impl Outputs<'_> {
    /// Returns shape and values of the only float output.
    ///
    /// # Errors
    /// [`EngineError::Misconfigured`] when there are several outputs.
    pub fn only(&self) -> Result<(&[i64], &[f32]), EngineError> {
        let mut names = self.outputs.keys();
        match (names.next(), names.next()) {
            (Some(name), None) => self.tensor(name),
            _ => Err(EngineError::Misconfigured(format!("{}: a model with one output is needed", self.name))),
        }
    }

    /// Returns shape and values of the float output `name`.
    ///
    /// # Errors
    /// [`EngineError`] when there is no such output, or it is not float32.
    pub fn tensor(&self, name: &str) -> Result<(&[i64], &[f32]), EngineError> {
        let value = self.outputs.get(name);
        let value =
            value.ok_or_else(|| EngineError::Misconfigured(format!("{}: it has no output {name}", self.name)))?;
        let (shape, data) = value.try_extract_tensor::<f32>().map_err(|error| named(self.name, classify(&error)))?;
        // Values beyond the items belong to padding.
        Ok((shape, &data[..data.len() / self.ran.max(1) * self.items]))
    }
}

fn open(
    environment: &Environment,
    bytes: &[u8],
    options: &SessionOptions,
    profile: Option<&EngineProfile>,
) -> Result<Session, EngineError> {
    let builder = Session::builder(environment).map_err(|error| classify(&error))?;
    let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|error| classify(&error))?;
    let builder = builder.with_intra_threads(options.threads.max(1)).map_err(|error| classify(&error))?;
    // A waiting thread that spins would take its core from the decoders.
    let builder = builder.with_intra_op_spinning(false).map_err(|error| classify(&error))?;
    let providers = options.place.providers(options.threads, profile);
    let mut builder = builder.with_execution_providers(providers).map_err(|error| classify(&error))?;
    builder.commit_from_memory(bytes).map_err(|error| classify(&error))
}

/// Puts the model's name before the message of an error.
fn named(name: &str, error: EngineError) -> EngineError {
    match error {
        EngineError::OutOfMemory(text) => EngineError::OutOfMemory(format!("{name}: {text}")),
        EngineError::Sticky(text) => EngineError::Sticky(format!("{name}: {text}")),
        EngineError::DeviceLost(text) => EngineError::DeviceLost(format!("{name}: {text}")),
        EngineError::Misconfigured(text) => EngineError::Misconfigured(format!("{name}: {text}")),
        EngineError::Gone => EngineError::Gone,
    }
}
