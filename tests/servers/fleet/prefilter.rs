//! What the prefilter saves and what it costs: real photos, made worse on purpose, through S3.
//!
//! `cargo test --test servers fleet::prefilter:: -- --nocapture` prints the table of docs/quality.md. What a photo is worth is not laid down
//! here: a photo is useful when the same worker, without a prefilter, finds a face in it that it takes for the person's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use exif::experimental::Writer;
use exif::{Field, In, Tag, Value as ExifValue};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use mongodb::bson::binary::Vector;
use mongodb::bson::{Bson, Document};
use muster_actors::domain::image::Pixels;
use muster_actors::ports::decoder::Decoder;
use muster_vision::decode::{Limits, VisionDecoder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::{count, stack, support};
use crate::support::fleet::{Fleet, Worker, ended};

/// As docs/quality.md advises.
const THRESHOLD: f64 = 0.65;
/// What muster reads to find a header's thumbnail.
const HEAD: i64 = 68 << 10;

fn resize(pixels: &Pixels, width: u32, height: u32) -> Pixels {
    let source = ImageRef::new(pixels.width, pixels.height, &pixels.data, PixelType::U8x3).unwrap();
    let mut target = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut target, &options).unwrap();
    Pixels { width, height, data: target.into_vec() }
}

/// At most `side` pixels on the longer side.
fn small(pixels: &Pixels, side: u32) -> Pixels {
    let longer = pixels.width.max(pixels.height);
    resize(pixels, (pixels.width * side / longer).max(1), (pixels.height * side / longer).max(1))
}

fn blurred(pixels: &Pixels, side: u32) -> Pixels {
    resize(&small(pixels, side), pixels.width, pixels.height)
}

fn each(pixels: &Pixels, value: impl Fn(f32) -> f32) -> Pixels {
    let data = pixels.data.iter().map(|v| value(f32::from(*v)).round().clamp(0.0, 255.0) as u8).collect();
    Pixels { data, ..*pixels }
}

/// The noise of a sensor: what makes the file of a blurred photo large.
fn noisy(pixels: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
    let data = pixels.data.iter().map(|v| v.saturating_add(rng.random_range(0..5)).saturating_sub(2)).collect();
    Pixels { data, ..*pixels }
}

fn jpeg(pixels: &Pixels, quality: i32) -> Vec<u8> {
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let format = turbojpeg::PixelFormat::RGB;
    let image = turbojpeg::Image { pixels: pixels.data.as_slice(), width, pitch: width * 3, height, format };
    turbojpeg::compress(image, quality, turbojpeg::Subsamp::Sub2x2).unwrap().to_vec()
}

/// A photo as cameras write them: with a small picture of itself in its header.
fn photo(pixels: &Pixels) -> Vec<u8> {
    let thumbnail = jpeg(&small(pixels, 160), 85);
    let maker = Field { tag: Tag::Make, ifd_num: In::PRIMARY, value: ExifValue::Ascii(vec![b"muster".to_vec()]) };
    let mut writer = Writer::new();
    writer.push_field(&maker);
    writer.set_jpeg(&thumbnail, In::THUMBNAIL);
    let mut block = std::io::Cursor::new(Vec::new());
    writer.write(&mut block, false).unwrap();
    let (block, jpeg) = (block.into_inner(), jpeg(pixels, 92));
    let length = u16::try_from(block.len() + 8).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, b"Exif\0\0", &block, &jpeg[2..]].concat()
}

/// What is done to a photo, from nothing to too much.
type Change = (&'static str, fn(&Pixels) -> Pixels);
const CHANGES: [Change; 8] = [
    ("as it was", Pixels::clone),
    ("soft (as if 640 pixels wide)", |p| blurred(p, 640)),
    ("dim (light × 0.4)", |p| each(p, |v| v * 0.4)),
    ("blurred (as if 96 pixels wide)", |p| blurred(p, 96)),
    ("blurred (as if 24 pixels wide)", |p| blurred(p, 24)),
    ("dark (light × 0.02)", |p| each(p, |v| v * 0.02)),
    ("washed out (98 % white)", |p| each(p, |v| 250.0 + v * 0.02)),
    ("fog (contrast × 0.02)", |p| each(p, |v| 128.0 + (v - 128.0) * 0.02)),
];

/// Uploads every photo in every state, with a thumbnail beside three of four of them; what was done to each key.
async fn upload(fleet: &Fleet, folder: &Path) -> BTreeMap<String, &'static str> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let decoder = VisionDecoder { limits: Limits::default(), side: u32::MAX };
    let mut keys = BTreeMap::new();
    for person in 1..=10 {
        let source = folder.join(format!("P{person:03}/amateur_selfie.jpg"));
        let pixels = decoder.decode(std::fs::read(source).unwrap().into()).unwrap().pixels;
        for (number, (change, apply)) in CHANGES.into_iter().enumerate() {
            let changed = noisy(&apply(&pixels), &mut rng);
            let key = format!("demo/P{person:03}-{number}.jpg");
            fleet.put(&key, photo(&changed)).await;
            match (person + number) % 4 {
                0 => {}
                1 if person == 1 => fleet.put(&format!("thumbs/{key}"), b"no image".to_vec()).await,
                _ => fleet.put(&format!("thumbs/{key}"), jpeg(&small(&changed, 320), 85)).await,
            }
            keys.insert(key, change);
        }
    }
    keys
}

/// What a run leaves: its summary, and the records by key.
async fn run(fleet: &Fleet, events: &[String], changes: &[(&str, &str)]) -> (Value, BTreeMap<String, Document>) {
    for database in ["gallery_images", "huemn"] {
        fleet.database(database).await.drop().await.unwrap();
    }
    fleet.send(events.iter().cloned()).await;
    let mut worker = fleet.worker("detect");
    worker.env("REDIS_URL", "").envs(changes.iter().copied());
    let summary = ended(Worker::start(&mut worker), 0);
    let records = fleet.documents("gallery_images", "images").await;
    (summary, records.into_iter().map(|record| (record.get_str("key").unwrap().to_owned(), record)).collect())
}

/// Photos in which the person of the unchanged photo is found by the similarity that the models' pack groups by.
async fn useful(fleet: &Fleet, all: &BTreeMap<String, Document>) -> BTreeSet<String> {
    let mut vectors: BTreeMap<String, Vec<Vec<f32>>> = BTreeMap::new();
    for face in fleet.documents("gallery_images", "faces").await {
        let Some(Bson::Binary(embedding)) = face.get("embedding") else { panic!("{face}") };
        let Ok(Vector::Float32(embedding)) = Vector::try_from(embedding) else { panic!("{face}") };
        vectors.entry(face.get("image").unwrap().to_string()).or_default().push(embedding);
    }
    let faces = |key: &str| vectors.get(&all[key].get("_id").unwrap().to_string()).cloned().unwrap_or_default();
    let alike = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let manifest: muster_inference::onnx::manifest::Manifest =
        toml::from_str(&std::fs::read_to_string(support::repository().join("config/models/open.toml")).unwrap())
            .unwrap();
    let is_useful = |key: &&String| {
        let clean = format!("{}-0.jpg", key.rsplit_once('-').unwrap().0);
        let person = faces(&clean).into_iter().next().unwrap_or_default();
        faces(key).iter().any(|face| alike(face, &person) >= manifest.grouping.similarity)
    };
    all.keys().filter(is_useful).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prefilter_drops_what_is_worth_nothing_reads_little_of_it_and_drops_nothing_else() {
    let fleet = Fleet::new(&stack()).await;
    let keys = upload(&fleet, &support::photos("demo")).await;
    // S3 tells of thumbnails too, where they lie in the same bucket.
    let events: Vec<String> =
        keys.keys().flat_map(|key| [fleet.event(key), fleet.event(&format!("thumbs/{key}"))]).collect();
    let images: Vec<String> = keys.keys().map(|key| fleet.event(key)).collect();

    let (_, all) = run(&fleet, &images, &[]).await;
    assert_eq!(all.len(), keys.len());
    let useful = useful(&fleet, &all).await;
    let is_useful = |key: &str| useful.contains(key);

    let threshold = THRESHOLD.to_string();
    let header = [("MUSTER_PREFILTER__THRESHOLD", threshold.as_str())];
    let sibling = [header[0], ("MUSTER_PREFILTER__THUMBNAIL", "thumbs/{key}")];
    let mut table: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for key in keys.keys() {
        let row = table.entry(keys[key]).or_default();
        row[0] += 1;
        row[1] += usize::from(is_useful(key));
    }
    for (way, (name, settings, events)) in
        [("header", &header[..], &images), ("beside", &sibling[..], &events)].into_iter().enumerate()
    {
        let (summary, records) = run(&fleet, events, settings).await;
        assert_eq!(records.len(), keys.len(), "{name}: a thumbnail is no image");
        assert_eq!(count(&summary, "ignored_messages"), (events.len() - images.len()) as u64);
        let (mut wrong, mut missed, mut saved, mut size) = (Vec::new(), 0, 0, 0);
        for (key, record) in &records {
            size += all[key].get_i64("bytes").unwrap();
            let quality = record.get_f64("quality").unwrap();
            if record.get_str("state").unwrap() == "low_quality" {
                table.get_mut(keys[key]).unwrap()[2 + way] += 1;
                assert!(quality < THRESHOLD && record.get_i64("width").unwrap() == 0, "{name}: {record}");
                // Its size and version are those of the image itself.
                for field in ["bytes", "etag"] {
                    assert_eq!(record.get(field), all[key].get(field), "{name}: {record}");
                }
                if is_useful(key) {
                    wrong.push(key);
                }
                saved += record.get_i64("bytes").unwrap();
            } else {
                assert!(quality >= THRESHOLD, "{name}: {record}");
                missed += usize::from(!is_useful(key));
                let mut record = record.clone();
                record.insert("quality", Bson::Null);
                assert_eq!(&record, &all[key], "{name}: what passes is what it was");
            }
        }
        let dropped = count(&summary, "low_quality");
        if way == 0 {
            saved -= HEAD * dropped as i64;
            assert_eq!(count(&summary["stages"]["prefilter"], "bytes_saved"), saved as u64, "{summary:#}");
        }
        let told = count(&summary["stages"]["prefilter"], "bytes_saved");
        let right = keys.len() - wrong.len() - missed;
        println!(
            "{name}: {dropped} of {} dropped, {} of them useful; {missed} useless passed; decisions right {:.3}; {:.1} of {:.1} MB saved",
            keys.len(),
            wrong.len(),
            right as f64 / keys.len() as f64,
            told as f64 / 1e6,
            size as f64 / 1e6
        );
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        assert!(told as f64 > 0.5 * saved as f64 && right as f64 >= 0.9 * keys.len() as f64, "{name}: {told} {right}");
    }
    println!("| What was done | Photos | Useful | Dropped by the header | Dropped by a thumbnail beside |");
    for (change, _) in CHANGES {
        let [photos, useful, header, beside] = table[change];
        println!("| {change} | {photos} | {useful} | {header} | {beside} |");
    }
}

#[test]
fn photos_as_people_take_them_pass() {
    let decoder = VisionDecoder { limits: Limits::default(), side: u32::MAX };
    let (mut photos, mut dropped) = (0, [0; 2]);
    for file in std::fs::read_dir(support::photos("gallery")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let Ok(frame) = decoder.decode(bytes.into()) else { continue };
        photos += 1;
        for (dropped, side) in dropped.iter_mut().zip([160, 320]) {
            let quality = decoder.judge_thumbnail(&jpeg(&small(&frame.pixels, side), 85));
            *dropped += usize::from(quality.is_some_and(|quality| f64::from(quality) < THRESHOLD));
        }
    }
    println!(
        "of {photos} photos of the gallery {} are dropped by thumbnails of 160 pixels, {} by 320",
        dropped[0], dropped[1]
    );
    assert!(photos > 1_000 && dropped.iter().all(|dropped| dropped * 100 <= photos), "{dropped:?} of {photos}");
}
