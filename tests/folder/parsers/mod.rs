//! Every parser of outside bytes over the kept seeds of the fuzz targets (`tests/fuzz/seeds`) and over mutations of them.
//! `MUSTER_SEED=N` gives other mutations, `MUSTER_MUTATIONS=N` so many.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use muster_vision::decode::Format;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

mod document;
mod mutate;
#[path = "../../fuzz/src/lib.rs"]
mod targets;
mod trace_header;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Tells what a target was at when it did not hold.
struct At<'a>(String, &'a [u8]);

impl Drop for At<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: {} bytes, b\"{}\"", self.0, self.1.len(), self.1.escape_ascii());
        }
    }
}

/// The seeds of a target, then `count` mutations of them.
fn hold(name: &str, count: u64, target: fn(&[u8])) {
    let folder = fuzz().join("seeds").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for (file, seed) in files.iter().zip(&seeds) {
        let _at = At(file.display().to_string(), seed);
        target(seed);
    }
    let seed = number("MUSTER_SEED").unwrap_or(0);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for n in 0..number("MUSTER_MUTATIONS").unwrap_or(count) {
        let bytes = mutate::mutated(&mut rng, &seeds);
        let _at = At(format!("mutation {n} of {name} with MUSTER_SEED={seed}"), &bytes);
        target(&bytes);
    }
}

/// A test for each target, and the list of them.
macro_rules! targets {
    ($list:ident; $($name:ident: $count:literal, $target:expr;)*) => {
        const $list: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                hold(stringify!($name), $count, $target);
            }
        )*
    };
}

targets! {
    FUZZED;
    header: 5_000, targets::header::header;
    exif: 5_000, targets::exif::exif;
    jpeg: 1_000, |data| targets::image::decode(Format::Jpeg, data);
    png: 1_000, |data| targets::image::decode(Format::Png, data);
    webp: 1_000, |data| targets::image::decode(Format::WebP, data);
    heif: 1_000, |data| targets::image::decode(Format::Heif, data);
    message: 5_000, targets::message::message;
    split: 3_000, targets::split::split_message;
    sibling: 10_000, targets::sibling::sibling;
    manifest: 2_000, targets::manifest::manifest;
    model: 10_000, targets::model::model;
    wheel: 2_000, targets::wheel::wheel;
    settings: 1_000, targets::settings::settings;
    trace: 10_000, targets::trace::trace;
    memory: 3_000, targets::memory::memory;
    cutover: 2_000, targets::cutover::cutover;
    key: 10_000, targets::key::key;
    library: 500, targets::library::library;
}

// Not under libFuzzer, which would have to build every client of the cloud.
targets! {
    CLOUD;
    document: 10_000, document::document;
    trace_header: 10_000, trace_header::trace_header;
}

#[test]
fn every_target_is_fuzzed() {
    let files = std::fs::read_dir(fuzz().join("fuzz_targets")).unwrap();
    let files = files.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
    let makefile = std::fs::read_to_string(fuzz().join("../../Makefile")).unwrap();
    let listed = makefile.lines().find_map(|line| line.strip_prefix("FUZZED       := ")).unwrap();
    let listed: BTreeSet<String> = listed.split(' ').map(str::to_owned).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), listed);
    let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(FUZZED), listed);
    assert!(names(CLOUD).is_disjoint(&listed));
}
