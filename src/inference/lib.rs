//! Runs the models: it finds and loads model packs, executes them with ONNX Runtime on processors or NVIDIA cards, and
//! implements the port `Engine` of `muster-actors`. It also derives smaller packs from others ([`optimize`]), and
//! converts the user's settings into those of a pipeline ([`pipeline`]). The program and a fleet's workers use it. It
//! decodes no images (`muster-vision` does) and stores no results.
//!
//! ```text
//! pack (models, manifest) ──────────────────────────┐
//! hardware, settings ─ plan ─► execution targets ───┴─► Lanes: an Engine each, on a thread of its own
//!
//! frames ─► Engine: detect ─ align ─ score doubtful faces again ─ embed ─ measure quality ─► found faces
//! ```

pub mod gpu;
pub mod onnx;
pub mod optimize;
pub mod pipeline;
pub mod substitute;
