//! The paths that only a card can try: `make gpu-test`. Without a card it says so and succeeds.
//!
//! One program and no test harness: the checks share one card, so they go one after the other, and print what they measured.
//! The context is killed in a process of its own, since it may not survive that.

mod card;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use muster_actors::domain::exit::Exit;
use muster_actors::domain::image::Frame;
use muster_actors::flow::progress::Progress;
use muster_actors::ports::engine::{Analysis, Engine, EngineError};
use muster_config::{Layers, Models, Provider, Settings};
use muster_inference::gpu;
use muster_inference::onnx::bench;
use muster_inference::onnx::engine::Options;
use muster_inference::onnx::home::Home;
use muster_inference::onnx::lanes::{LaneOptions, Lanes, first_place};
use muster_inference::onnx::pack::Pack;
use muster_inference::onnx::pull::RuntimeBuild;
use muster_inference::onnx::runtime::is_installed;
use muster_library::runner::{IndexRound, RoundObserver, Runner};
use muster_library::{Library, ScanReport, SqliteFaces};

use crate::card::{Filled, kill_context};

fn main() {
    let cards = match gpu::cards() {
        Ok(cards) => cards,
        Err(error) => {
            println!("gpu-test: SKIPPED, no device: {error}");
            return;
        }
    };
    let home = Home::from_env().expect("set MUSTER_HOME");
    assert!(
        is_installed(RuntimeBuild::Cuda, &home),
        "a card is there, and its runtime is not: muster models pull open --cuda"
    );
    let bench = Bench { home, pack: "open".into(), photos: photos() };
    if let Some(library) = std::env::var_os(VICTIM) {
        bench.die(Path::new(&library));
        return;
    }
    println!("gpu-test: {:?}", cards[0]);
    bench.parity();
    bench.throughput();
    bench.two_lanes_share_a_card();
    bench.memory_that_runs_out_halves_and_comes_back();
    bench.a_killed_context_loses_nothing();
    println!("gpu-test: all checks passed");
}

/// Names the library of a process whose context is killed.
const VICTIM: &str = "MUSTER_GPU_VICTIM";

fn photos() -> PathBuf {
    PathBuf::from(std::env::var_os("MUSTER_PHOTOS").expect("set MUSTER_PHOTOS")).join("gallery")
}

struct Bench {
    home: Home,
    pack: String,
    photos: PathBuf,
}

/// Counts its calls, and the images in them.
struct Counting {
    inner: Arc<dyn Engine>,
    images: Arc<AtomicUsize>,
}

#[async_trait]
impl Engine for Counting {
    async fn analyse(&self, frames: Vec<Arc<Frame>>) -> Result<Vec<Analysis>, EngineError> {
        let count = frames.len();
        let done = self.inner.analyse(frames).await?;
        self.images.fetch_add(count, Ordering::Relaxed);
        Ok(done)
    }

    async fn rebuild(&self) -> Result<(), EngineError> {
        self.inner.rebuild().await
    }

    fn max_batch_size(&self) -> Option<usize> {
        self.inner.max_batch_size()
    }
}

/// Calls a function with every look at the progress.
struct Each<F: FnMut(&Progress)>(F);

impl<F: FnMut(&Progress)> RoundObserver for Each<F> {
    fn show(&mut self, progress: &Progress, _: &ScanReport, _: Option<u64>) {
        (self.0)(progress);
    }
    fn stopping(&mut self) {}
    fn ended(&mut self) {}
}

impl Bench {
    fn settings(&self, provider: Provider, lanes: usize) -> Settings {
        let mut settings = Layers::defaults().settings().unwrap();
        settings.models.provider = provider;
        settings.models.lanes = lanes;
        settings.pipeline.credits = 256;
        settings.pipeline.credit_megabytes = 4096;
        settings
    }

    fn pack(&self) -> Pack {
        Pack::open(&self.pack, &self.home).unwrap()
    }

    fn lanes(&self, settings: &mut Settings) -> Lanes {
        let wanted = LaneOptions {
            models: &settings.models,
            most: usize::MAX,
            batch: settings.pipeline.batch,
            options: Options::default(),
        };
        let lanes = Lanes::start(&self.pack(), &self.home, &wanted).unwrap();
        settings.pipeline.batch = lanes.batch();
        lanes
    }

    /// Indexes the photos into a library of its own; what was found, by photo, and how it went.
    fn index(
        &self,
        settings: Settings,
        engines: Vec<Arc<dyn Engine>>,
        watch: &mut dyn RoundObserver,
    ) -> (Found, IndexRound) {
        let folder = tempfile::tempdir().unwrap();
        let round = self.index_into(folder.path(), settings, engines, watch);
        (found(folder.path()), round)
    }

    fn index_into(
        &self,
        folder: &Path,
        settings: Settings,
        engines: Vec<Arc<dyn Engine>>,
        watch: &mut dyn RoundObserver,
    ) -> IndexRound {
        let store = Arc::new(SqliteFaces::start(Library::create(folder).unwrap()).unwrap());
        let runner = Runner::new(settings, Arc::new(self.pack()), engines, store);
        runner.round(std::slice::from_ref(&self.photos), std::future::pending(), watch).unwrap()
    }

    fn on(&self, provider: Provider, lanes: usize) -> (Found, IndexRound) {
        let mut settings = self.settings(provider, lanes);
        let lanes = self.lanes(&mut settings);
        assert_eq!(lanes.place() == "cpu", provider == Provider::Cpu, "{}", lanes.place());
        self.index(settings, lanes.engines(), &mut Each(|_| {}))
    }

    fn parity(&self) {
        let (on_card, _) = self.on(Provider::Cuda, 0);
        let (on_cpu, _) = self.on(Provider::Cpu, 0);
        let (mut cosines, mut missing) = (Vec::new(), 0);
        for (photo, faces) in &on_cpu {
            let others = on_card.get(photo).map_or(&[][..], Vec::as_slice);
            for face in faces {
                let best = others.iter().map(|other| face.iter().zip(other).map(|(a, b)| a * b).sum::<f32>());
                match best.fold(f32::MIN, f32::max) {
                    best if best > 0.9 => cosines.push(best),
                    _ => missing += 1,
                }
            }
        }
        cosines.sort_by(f32::total_cmp);
        let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
        println!("parity: {} faces, mean cosine {mean:.6}, least {:.6}, {missing} missing", cosines.len(), cosines[0]);
        assert!(mean > 0.9999 && missing * 200 <= cosines.len(), "the card finds other faces than the processor");
    }

    fn throughput(&self) {
        for provider in [Provider::Cpu, Provider::Cuda, Provider::TensorRt] {
            let models = Models { provider, ..self.settings(provider, 0).models };
            let place = first_place(&models, &self.home).unwrap();
            match bench::models(&self.pack(), &self.home, &place, 1, None) {
                Ok(rows) => rows.iter().for_each(|row| {
                    println!(
                        "{}: {} {:?}: {:.2} ms, {:.0} a second, first {:.0} ms",
                        row.provider,
                        row.model,
                        row.shape,
                        row.milliseconds,
                        row.items_a_second,
                        row.first_milliseconds
                    );
                }),
                Err(error) => println!("{place}: cannot be had: {error}"),
            }
        }
        for lanes in [1, 2, 4] {
            let (_, round) = self.on(Provider::Cuda, lanes);
            let images = round.summary.counts.ended() as f64;
            println!("pipeline on the card, {lanes} lanes: {:.0} images a second", images / round.seconds);
        }
        self.reference();
    }

    /// The plain Python loop on the same card, where Python has a runtime for it.
    fn reference(&self) {
        let Some(python) = std::env::var_os("MUSTER_GPU_PYTHON") else {
            println!("reference: SKIPPED, MUSTER_GPU_PYTHON names no Python with onnxruntime-gpu and OpenCV");
            return;
        };
        let out = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/reference.py");
        let done = Command::new(python)
            .arg(script)
            .args(["--provider", "CUDAExecutionProvider", "--models"])
            .arg(self.pack().folder())
            .arg("--photos")
            .arg(&self.photos)
            .arg("--out")
            .arg(out.path().join("faces.db"))
            .output()
            .unwrap();
        print!("reference: {}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success());
    }

    fn two_lanes_share_a_card(&self) {
        let mut settings = self.settings(Provider::Cuda, 2);
        let lanes = self.lanes(&mut settings);
        let counts: Vec<Arc<AtomicUsize>> = (0..2).map(|_| Arc::default()).collect();
        let engines = lanes.engines().into_iter().zip(&counts);
        let engines = engines.map(|(inner, images)| Arc::new(Counting { inner, images: Arc::clone(images) }) as _);
        let (found, round) = self.index(settings, engines.collect(), &mut Each(|_| {}));
        let each: Vec<usize> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        println!("two lanes: {each:?} images, {} photos with faces", found.len());
        assert!(round.exit == Exit::Drained && each.iter().all(|images| *images > 0));
    }

    fn memory_that_runs_out_halves_and_comes_back(&self) {
        let (calm, _) = self.on(Provider::Cuda, 1);
        let mut settings = self.settings(Provider::Cuda, 1);
        settings.pipeline.batch = 32;
        let lanes = self.lanes(&mut settings);
        // The lane runs; then another program takes what it has not taken yet.
        let mut filled = Some(Filled::all_but(0, 16 << 20));
        let (mut failed_at, mut small, mut back) = (0, usize::MAX, 0);
        let mut watch = Each(|progress: &Progress| {
            if progress.out_of_memory > failed_at {
                failed_at = progress.out_of_memory;
                small = small.min(progress.batch_sizes.keys().copied().min().unwrap_or(usize::MAX));
            }
            // The other program ends when a third is done.
            if progress.counts.ended() > 300 && filled.take().is_some() {
                back = progress.batch_sizes.keys().copied().max().unwrap_or(0);
            }
        });
        let (found, round) = self.index(settings, lanes.engines(), &mut watch);
        let sizes = &round.summary.batch_sizes;
        println!("memory: {failed_at} batches did not fit, smallest {small}, sizes {sizes:?}, largest before {back}");
        assert!(round.exit == Exit::Drained && failed_at > 0, "the card was never full: {sizes:?}");
        assert_eq!(found.keys().collect::<Vec<_>>(), calm.keys().collect::<Vec<_>>(), "an image was lost");
    }

    /// Loses its context in the middle of the work.
    fn die(&self, library: &Path) {
        let mut settings = self.settings(Provider::Cuda, 2);
        let lanes = self.lanes(&mut settings);
        let mut killed = false;
        let mut watch = Each(|progress: &Progress| {
            if !killed && progress.counts.ended() > 100 {
                killed = true;
                kill_context(0);
            }
        });
        let round = self.index_into(library, settings, lanes.engines(), &mut watch);
        println!("killed context: {:?}, {:?}, {} rebuilt", round.exit, round.summary.counts, round.summary.rebuilds);
        assert!(killed, "it was over too soon");
        assert_eq!(round.summary.counts.ended(), round.summary.fetched);
        std::process::exit(i32::from(round.exit.code()));
    }

    fn a_killed_context_loses_nothing(&self) {
        let (calm, _) = self.on(Provider::Cuda, 1);
        let library = tempfile::tempdir().unwrap();
        let victim = Command::new(std::env::current_exe().unwrap()).env(VICTIM, library.path()).output().unwrap();
        let said = String::from_utf8_lossy(&victim.stdout);
        print!("{said}");
        // It may go on with new contexts, leave with the code of a broken engine or a broken host, or die of it.
        println!("killed context: the process ended with {}", victim.status);
        assert!(
            matches!(victim.status.code(), None | Some(0 | 82 | 84)),
            "{}",
            String::from_utf8_lossy(&victim.stderr)
        );
        let mut settings = self.settings(Provider::Cuda, 2);
        let lanes = self.lanes(&mut settings);
        let round = self.index_into(library.path(), settings, lanes.engines(), &mut Each(|_| {}));
        assert!(round.exit == Exit::Drained, "{:?}", round.exit);
        let found = found(library.path());
        assert_eq!(found.keys().collect::<Vec<_>>(), calm.keys().collect::<Vec<_>>(), "an image was lost");
    }
}

/// Embeddings by photo.
type Found = BTreeMap<String, Vec<Vec<f32>>>;

fn found(folder: &Path) -> Found {
    let library = Library::read(folder).unwrap();
    let mut found = Found::new();
    let mut statement =
        library.db().prepare("SELECT images.key, embedding FROM faces JOIN images ON images.n = faces.image").unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (key, bytes): (String, Vec<u8>) = (row.get(0).unwrap(), row.get(1).unwrap());
        let embedding = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        found.entry(key).or_default().push(embedding);
    }
    found
}
