//! Converts the user's settings into those of the pipeline, for a folder as well as for a fleet.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use muster_actors::domain::gallery::{GalleryId, GalleryRule};
use muster_actors::domain::message::Intake;
use muster_actors::flow::concurrency::{Bounds, Limits};
use muster_actors::grouping::Params;
use muster_actors::pipeline::batcher::plan::BatchLimits;
use muster_actors::pipeline::settings::{
    CreditSettings, FetcherSettings, LeaseManagerSettings, PrefilterSettings, Settings as PipelineSettings, Timeouts,
    WriterSettings,
};
use muster_actors::ports::decoder::Decoder;

use crate::onnx::manifest::Manifest;
use crate::onnx::pack::Pack;
use crate::substitute;
use muster_config::{Serve, Settings};
use muster_vision::decode::{Limits as DecodeLimits, VisionDecoder};
use muster_vision::isolated::IsolatedDecoder;

/// Bytes of an image in which its header thumbnail is searched. An EXIF block has at most 64 KiB and comes first (EXIF
/// 2.32, section 4.7).
const HEAD_BYTES: u64 = 68 << 10;

/// Builds the pipeline's settings, except those that depend on its adapters.
pub fn settings(settings: &Settings, model: String) -> PipelineSettings {
    let ours = &settings.pipeline;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let decodes = if ours.decoders == 0 { cores } else { ours.decoders };
    let hang = Duration::from_secs(ours.hang_seconds);
    let defaults = PipelineSettings::default();
    let drain = Duration::from_secs(ours.drain_seconds);
    PipelineSettings {
        model,
        object_bytes: settings.limits.image_megabytes << 20,
        credits: CreditSettings { count: ours.credits, bytes: ours.credit_megabytes << 20, ..defaults.credits },
        prefilter: (settings.prefilter.threshold > 0.0).then_some(PrefilterSettings {
            threshold: settings.prefilter.threshold,
            sibling: None,
            head_bytes: HEAD_BYTES,
            at_once: decodes,
        }),
        limits: Limits { downloads: decodes, decodes },
        bounds: Bounds { least: Limits { downloads: 1, decodes: 1 }, most: Limits { downloads: 4 * decodes, decodes } },
        batch: BatchLimits {
            count: ours.batch.max(1),
            age: Duration::from_millis(ours.batch_milliseconds),
            ..defaults.batch
        },
        timeouts: Timeouts { engine: hang, rebuild: hang, ..defaults.timeouts },
        // A part of the drain's time is reserved for the messages of a last receive.
        fetcher: FetcherSettings { grace: defaults.fetcher.grace.min(drain / 4), ..defaults.fetcher },
        drain_deadline: drain,
        ..defaults
    }
}

/// Adapts settings for callers who wait for answers: batches are small, and nothing waits to fill them.
pub fn answering(serve: &Serve, common: PipelineSettings) -> PipelineSettings {
    PipelineSettings {
        intake: Intake {
            gallery: GalleryRule::Always(GalleryId("requests".to_owned())),
            results: String::new(),
            thumbnails: None,
            removals: false,
        },
        object_bytes: (serve.photo_megabytes as u64) << 20,
        fetcher: FetcherSettings { pause: Duration::ZERO, ..common.fetcher },
        prefilter: None,
        batch: BatchLimits { count: serve.batch, age: Duration::from_millis(serve.batch_milliseconds), ..common.batch },
        writer: WriterSettings { age: Duration::ZERO, ..common.writer },
        lease_manager: LeaseManagerSettings { linger: Duration::ZERO, ..common.lease_manager },
        ..common
    }
}

/// Creates the decoder of images for a pack's detector, and the isolated one, which decodes in a process of its own.
pub fn decoders(settings: &Settings, pack: &Pack) -> (Arc<dyn Decoder>, Arc<dyn Decoder>) {
    let limits = &settings.limits;
    let limits = DecodeLimits { bytes: limits.image_megabytes << 20, pixels: limits.image_megapixels * 1_000_000 };
    let side = pack.manifest().detector.side;
    let options = [("--bytes", limits.bytes), ("--pixels", limits.pixels), ("--side", u64::from(side))];
    let options = options.iter().flat_map(|(name, value)| [OsString::from(name), value.to_string().into()]);
    // If the program's own path is unknown, an isolated decode fails with that message, and the image is released.
    let program = std::env::current_exe().unwrap_or_default();
    let mut options: Vec<OsString> = options.collect();
    let decoder: Arc<dyn Decoder> = Arc::new(VisionDecoder { limits, side });
    let Some(substitute) = substitute::named(&pack.manifest().name) else {
        return (decoder, Arc::new(IsolatedDecoder::new(program, options, limits)));
    };
    options.push(substitute.decoder_option.into());
    ((substitute.decoder)(decoder), Arc::new(IsolatedDecoder::new(program, options, limits)))
}

/// Returns the grouping parameters that apply: those of the settings where they are set, otherwise the pack's.
pub fn params(settings: &Settings, manifest: &Manifest) -> Params {
    let mut params = manifest.grouping.params();
    if settings.grouping.threshold > 0.0 {
        // The other thresholds move by as much as the user's threshold differs from the pack's.
        let shift = settings.grouping.threshold - manifest.grouping.similarity;
        params.settled += shift;
        params.edge += shift;
    }
    params.caution = settings.grouping.caution;
    params.min_size = settings.grouping.min_size;
    params
}
