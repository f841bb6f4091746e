//! Keeps a model's input and outputs at fixed places in memory, so that a run neither allocates nor copies twice.
//!
//! For a card the places are in pinned memory, which its copy engine reads and writes by itself. The memory that the
//! model needs on the card comes from ONNX Runtime's arena, which keeps what it once took. Uploads overlap with
//! computing, because a card has several lanes, each with a stream of its own.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, Session, SessionOutputs};
use ort::value::Tensor;

/// Batch, channels, height, width.
type Shape = [usize; 4];

/// Most shapes that are kept. Pinned memory is missing to the rest of the machine, and photos have many shapes.
const KEPT: usize = 16;

/// Memory for the tensors of a model, by shape.
#[derive(Debug)]
pub(crate) struct Staging {
    inputs: Allocator,
    outputs: Allocator,
    slots: BTreeMap<Shape, StagedTensors>,
    runs: u64,
    /// The shape of the last run.
    last: Option<Shape>,
    /// Whether a run began and did not succeed, because memory ran out or the session is broken.
    broken: bool,
}

/// The tensors of one shape.
#[derive(Debug)]
struct StagedTensors {
    input: Tensor<f32>,
    binding: IoBinding,
    /// Shapes of the outputs, known after the first run.
    shapes: Option<Vec<(String, Vec<i64>)>>,
    /// Whether the outputs have their places.
    settled: bool,
    used: u64,
}

impl Staging {
    /// Creates staging in memory that `card` reads and writes by itself.
    ///
    /// # Errors
    /// An error of ONNX Runtime when it cannot provide pinned memory.
    pub fn pinned(session: &Session, card: u32) -> ort::Result<Self> {
        let card = i32::try_from(card).unwrap_or(i32::MAX);
        let memory = |kind| {
            Allocator::new(session, MemoryInfo::new(AllocationDevice::CUDA_PINNED, card, AllocatorType::Device, kind)?)
        };
        Ok(Self::new(memory(MemoryType::CPUInput)?, memory(MemoryType::CPUOutput)?))
    }

    /// Creates staging in the processor's memory. It gains nothing, but lets the same code be tested without a card.
    pub fn host() -> Self {
        Self::new(Allocator::default(), Allocator::default())
    }

    fn new(inputs: Allocator, outputs: Allocator) -> Self {
        Self { inputs, outputs, slots: BTreeMap::new(), runs: 0, last: None, broken: false }
    }

    /// Returns the number of items that a run of `items` really has: the next power of two, so that few shapes serve
    /// all batches. The padding keeps its old input, and its outputs are ignored.
    pub(crate) fn padded(items: usize) -> usize {
        items.next_power_of_two()
    }

    /// Runs `session` on `data` of `shape`, padded. The outputs are overwritten by the next run of this shape.
    ///
    /// # Errors
    /// An error of ONNX Runtime when memory cannot be bound or the run fails.
    pub fn run<'a>(
        &'a mut self,
        session: &'a mut Session,
        (name, outputs): (&str, &[String]),
        shape: Shape,
        data: &[f32],
    ) -> ort::Result<SessionOutputs<'a>> {
        self.runs += 1;
        if std::mem::replace(&mut self.broken, true) {
            self.slots.clear();
        }
        let shape = [Self::padded(shape[0]), shape[1], shape[2], shape[3]];
        // A binding keeps a copy of its input on the card.
        if let Some(last) = self.last.replace(shape).and_then(|last| self.slots.get_mut(&last)) {
            last.binding.clear_inputs();
        }
        if !self.slots.contains_key(&shape) {
            self.forget_one();
        }
        let slot = match self.slots.entry(shape) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(place) => place.insert(StagedTensors::new(session, &self.inputs, shape)?),
        };
        slot.used = self.runs;
        slot.input.extract_tensor_mut().1[..data.len()].copy_from_slice(data);
        // This copies the input to the card. The tensor is owned, because binding a borrowed one waits for itself (ort
        // 2.0.0-rc.15).
        slot.binding.bind_input(name, &slot.input)?;
        slot.binding.synchronize_inputs()?;
        slot.place(outputs, &self.outputs)?;
        let outputs = session.run_binding(&slot.binding)?;
        slot.binding.synchronize_outputs()?;
        if slot.shapes.is_none() {
            let shapes = outputs
                .iter()
                .map(|(name, value)| Ok((name.to_owned(), value.try_extract_tensor::<f32>()?.0.to_vec())));
            slot.shapes = Some(shapes.collect::<ort::Result<_>>()?);
        }
        self.broken = false;
        Ok(outputs)
    }

    /// Removes the shape that was used longest ago if there is no room for another one.
    fn forget_one(&mut self) {
        if self.slots.len() >= KEPT
            && let Some(oldest) = self.slots.iter().min_by_key(|(_, slot)| slot.used).map(|(shape, _)| *shape)
        {
            self.slots.remove(&oldest);
        }
    }
}

impl StagedTensors {
    fn new(session: &Session, inputs: &Allocator, shape: Shape) -> ort::Result<Self> {
        let (input, binding) = (Tensor::new(inputs, shape)?, session.create_binding()?);
        Ok(Self { input, binding, shapes: None, settled: false, used: 0 })
    }

    /// Gives the outputs their places. As long as their shapes are unknown, the runtime chooses the places.
    fn place(&mut self, outputs: &[String], places: &Allocator) -> ort::Result<()> {
        match &self.shapes {
            None => {
                for output in outputs {
                    self.binding.bind_output_to_device(output.as_str(), &MemoryInfo::default())?;
                }
            }
            Some(shapes) if !self.settled => {
                self.binding.clear_outputs();
                for (output, shape) in shapes {
                    self.binding.bind_output(output.as_str(), Tensor::<f32>::new(places, shape.clone())?)?;
                }
                self.settled = true;
            }
            Some(_) => {}
        }
        Ok(())
    }
}
