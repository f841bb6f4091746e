//! One model, ready to run.

use std::time::Instant;

use muster_actors::ports::engine::EngineError;
use ort::environment::Environment;
use ort::ep::OpenVINO;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionOutputs};
use ort::value::TensorRef;

use super::classify::classify;
use super::graph::{Rewrite, rewrite};
use super::tally::Tally;
use crate::settings::Provider;

/// How a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads within one operator, at least 1.
    pub threads: usize,
    /// Who executes it.
    pub provider: Provider,
    /// What to change in its graph.
    pub rewrite: Rewrite,
}

/// A model with one image input.
#[derive(Debug)]
pub struct Model {
    session: Session,
    name: String,
    input: String,
    outputs: Vec<String>,
    tally: Tally,
}

impl Model {
    /// Loads the model in `bytes`; `name` appears in errors.
    ///
    /// Fails as [`EngineError::Misconfigured`] when the bytes are not a model that this runtime can run.
    pub fn load(
        environment: &Environment,
        name: &str,
        bytes: &[u8],
        options: SessionOptions,
    ) -> Result<Self, EngineError> {
        let bytes =
            rewrite(bytes, &options.rewrite).map_err(|error| EngineError::Misconfigured(format!("{name}: {error}")))?;
        let session = open(environment, &bytes, options).map_err(|error| named(name, error))?;
        let inputs = session.inputs();
        let [input] = inputs else {
            let count = inputs.len();
            return Err(EngineError::Misconfigured(format!(
                "{name}: a model with one input is needed, this has {count}"
            )));
        };
        let input = input.name().to_string();
        let outputs = session.outputs().iter().map(|output| output.name().to_string()).collect();
        Ok(Self { session, name: name.to_string(), input, outputs, tally: Tally::default() })
    }

    /// Counts its runs in `tally`.
    pub fn count_in(&mut self, tally: Tally) {
        self.tally = tally;
    }

    /// Names of its outputs, in the model's order.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Runs it on `data` of `shape` (batch, channels, height, width), and hands its outputs to `read`.
    pub fn run<R>(
        &mut self,
        shape: [usize; 4],
        data: &[f32],
        read: impl FnOnce(&Outputs<'_>) -> Result<R, EngineError>,
    ) -> Result<R, EngineError> {
        let tensor = TensorRef::from_array_view((shape, data)).map_err(|error| named(&self.name, classify(&error)))?;
        let started = Instant::now();
        let outputs = self.session.run(ort::inputs![self.input.as_str() => tensor]);
        self.tally.add(&self.name, shape, started.elapsed());
        let outputs = outputs.map_err(|error| named(&self.name, classify(&error)))?;
        read(&Outputs { outputs, name: &self.name })
    }
}

/// What a run gave.
pub struct Outputs<'a> {
    outputs: SessionOutputs<'a>,
    name: &'a str,
}

impl Outputs<'_> {
    /// Shape and values of the one float output.
    pub fn only(&self) -> Result<(&[i64], &[f32]), EngineError> {
        let mut names = self.outputs.keys();
        match (names.next(), names.next()) {
            (Some(name), None) => self.tensor(name),
            _ => Err(EngineError::Misconfigured(format!("{}: a model with one output is needed", self.name))),
        }
    }

    /// Shape and values of the float output `name`.
    pub fn tensor(&self, name: &str) -> Result<(&[i64], &[f32]), EngineError> {
        let value = self.outputs.get(name);
        let value =
            value.ok_or_else(|| EngineError::Misconfigured(format!("{}: it has no output {name}", self.name)))?;
        let (shape, data) = value.try_extract_tensor::<f32>().map_err(|error| named(self.name, classify(&error)))?;
        Ok((shape, data))
    }
}

fn open(environment: &Environment, bytes: &[u8], options: SessionOptions) -> Result<Session, EngineError> {
    let builder = Session::builder(environment).map_err(|error| classify(&error))?;
    let builder = builder.with_optimization_level(GraphOptimizationLevel::All).map_err(|error| classify(&error))?;
    let builder = builder.with_intra_threads(options.threads.max(1)).map_err(|error| classify(&error))?;
    // A waiting thread that spins takes its core from the decoders.
    let builder = builder.with_intra_op_spinning(false).map_err(|error| classify(&error))?;
    let mut builder = match options.provider {
        Provider::Cpu | Provider::Auto => builder,
        Provider::OpenVino => {
            let provider = OpenVINO::default().with_device_type("CPU").with_num_threads(options.threads.max(1));
            // Without this, a provider that fails to load is passed over in silence.
            let provider = provider.with_num_streams(1).build().error_on_failure();
            builder.with_execution_providers([provider]).map_err(|error| classify(&error))?
        }
    };
    builder.commit_from_memory(bytes).map_err(|error| classify(&error))
}

/// The same error, with the model's name before its message.
fn named(name: &str, error: EngineError) -> EngineError {
    match error {
        EngineError::OutOfMemory(text) => EngineError::OutOfMemory(format!("{name}: {text}")),
        EngineError::Sticky(text) => EngineError::Sticky(format!("{name}: {text}")),
        EngineError::DeviceLost(text) => EngineError::DeviceLost(format!("{name}: {text}")),
        EngineError::Misconfigured(text) => EngineError::Misconfigured(format!("{name}: {text}")),
        EngineError::Gone => EngineError::Gone,
    }
}
