//! `muster index` over folders of real photos, as a person would run it.

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use muster_actors::domain::image::Pixels;
use muster_library::{Library, view};
use muster_vision::decode::{Limits, VisionDecoder};
use rand::{Rng, SeedableRng};
use serde_json::Value;
use support::{assert_states_add_up, count, export, index, link_some, muster, photos, run};

/// Waits for what another process does; five minutes are more than it takes anywhere.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(300), "five minutes passed before {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ten_people_come_out_as_ten_groups_and_a_second_run_skips_everything() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("library");
    let demo = photos("demo");
    let summary = index(&demo, &library);
    assert_eq!(count(&summary, "images"), 63, "60 of openpeople, astronaut, coffee, brick");
    assert_eq!(count(&summary, "rejected"), 0, "{summary:#}");

    let exported: Value = serde_json::from_slice(&export(&library)).unwrap();
    // Single portraits: every photo that is not a sheet of many. Its best face is the person.
    let mut best: BTreeMap<&str, &Value> = BTreeMap::new();
    for face in exported["faces"].as_array().unwrap() {
        let path = face["path"].as_str().unwrap();
        let known = best.entry(path).or_insert(face);
        if face["score"].as_f64() > known["score"].as_f64() {
            *known = face;
        }
    }
    let is_single = |path: &str| path.contains("/P0") && !path.contains("sheet");
    let groups: BTreeMap<&str, Option<&str>> =
        best.iter().filter(|(path, _)| is_single(path)).map(|(path, face)| (*path, face["group"].as_str())).collect();
    assert_eq!(groups.len(), 40, "every single portrait has a face: {groups:#?}");
    let person = |path: &str| path.split('/').rev().nth(1).unwrap().to_owned();
    let entries: Vec<_> = groups.iter().collect();
    let (mut together, mut mixed, mut same) = (0, 0, 0);
    for (i, (path, group)) in entries.iter().enumerate() {
        for (other, other_group) in &entries[..i] {
            let joined = group.is_some() && group == other_group;
            let one_person = person(path) == person(other);
            same += u32::from(one_person);
            together += u32::from(one_person && joined);
            mixed += u32::from(!one_person && joined);
        }
    }
    assert_eq!(mixed, 0, "no group holds two people");
    assert!(f64::from(together) / f64::from(same) >= 0.95, "recall {together} of {same}");
    let ids: BTreeSet<_> = groups.values().flatten().collect();
    assert_eq!(ids.len(), 10, "{groups:#?}");

    let before = export(&library);
    let again = index(&demo, &library);
    assert_eq!((count(&again, "skipped"), count(&again, "indexed")), (63, 0));
    assert_eq!(export(&library), before, "a second run changes nothing");
}

#[test]
fn an_index_killed_fifty_times_ends_as_if_undisturbed() {
    let seed = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u64>);
    eprintln!("MUSTER_SEED={seed}");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let (pictures, calm, storm) =
        (folder.path().join("pictures"), folder.path().join("calm"), folder.path().join("storm"));
    link_some(&photos("gallery"), &pictures, 4);
    let started = std::time::Instant::now();
    index(&pictures, &calm);
    let whole = started.elapsed();

    for _ in 0..50 {
        let mut child = muster()
            .arg("index")
            .arg(&pictures)
            .arg("--library")
            .arg(&storm)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Mostly early moments, so that fifty kills find work; some reach grouping and the page.
        let share: f64 = random.random_range(0.0..1.0);
        std::thread::sleep(whole.mul_f64(0.02 + 0.25 * share * share));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    index(&pictures, &storm);
    assert!(export(&calm) == export(&storm), "exports differ after 50 kills with MUSTER_SEED={seed}");
}

#[test]
fn ctrl_c_hands_back_and_the_next_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, library) = (folder.path().join("pictures"), folder.path().join("library"));
    link_some(&photos("gallery"), &pictures, 1);
    let child = muster()
        .arg("index")
        .arg(&pictures)
        .arg("--library")
        .arg(&library)
        .arg("--json")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stored = || view::totals(Library::read(&library).ok()?.db()).ok().map(|totals| totals.images);
    wait_until("the first results are stored", || stored().is_some_and(|images| images > 0));
    run(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]), 0);
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(80), "{told}");
    assert!(told.contains("go on"), "says how to go on: {told}");
    let rest = index(&pictures, &library);
    assert!(count(&rest, "indexed") + count(&rest, "no_faces") > 0, "there was work left: {rest:#}");
}

#[test]
fn changed_and_deleted_files_are_reconciled() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, library) = (folder.path().join("pictures"), folder.path().join("library"));
    std::fs::create_dir(&pictures).unwrap();
    let demo = photos("demo");
    for (from, to) in [("P001", "one.jpg"), ("P002", "two.jpg"), ("P003", "three.jpg")] {
        std::fs::copy(demo.join(from).join("amateur_selfie.jpg"), pictures.join(to)).unwrap();
    }
    assert_eq!(count(&index(&pictures, &library), "indexed"), 3);

    std::fs::remove_file(pictures.join("one.jpg")).unwrap();
    std::fs::copy(demo.join("coffee.png"), pictures.join("two.jpg")).unwrap();
    let summary = index(&pictures, &library);
    assert_eq!((count(&summary, "images"), count(&summary, "skipped"), count(&summary, "no_faces")), (2, 1, 1));
    let exported: Value = serde_json::from_slice(&export(&library)).unwrap();
    let paths: BTreeSet<_> =
        exported["faces"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    assert!(paths.first().unwrap().ends_with("three.jpg"));
}

#[test]
fn a_second_writer_is_told_who_holds_the_library() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, library) = (folder.path().join("pictures"), folder.path().join("library"));
    link_some(&photos("demo").join("P001"), &pictures, 1);
    let mut first = muster()
        .arg("index")
        .arg(&pictures)
        .arg("--watch")
        .arg("--library")
        .arg(&library)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let holder = || std::fs::read_to_string(library.join("writer.lock")).unwrap_or_default();
    wait_until("the first holds the lock", || holder().trim() == first.id().to_string());
    let second = run(muster().arg("index").arg(&pictures).arg("--library").arg(&library), 75);
    let told = String::from_utf8_lossy(&second.stderr);
    assert!(told.contains(&first.id().to_string()), "names the process: {told}");
    first.kill().unwrap();
    first.wait().unwrap();
}

/// Portraits of some people side by side, as one photo.
fn beside(people: &[&str], portrait: &str, to: &Path) {
    let decoder = VisionDecoder { limits: Limits::default(), side: 640 };
    let pixels = |person: &&str| {
        let bytes = std::fs::read(photos("demo").join(person).join(portrait)).unwrap();
        decoder.decode(bytes.into()).unwrap().pixels
    };
    let portraits: Vec<_> = people.iter().map(pixels).collect();
    let height = portraits.iter().map(|p| p.height).min().unwrap();
    let row = |p: &Pixels, y: u32| p.data[(y * p.width * 3) as usize..][..(p.width * 3) as usize].to_vec();
    let data: Vec<u8> = (0..height).flat_map(|y| portraits.iter().flat_map(move |p| row(p, y))).collect();
    let width = portraits.iter().map(|p| p.width).sum();
    image::save_buffer(to, &data, width, height, image::ColorType::Rgb8).unwrap();
}

#[test]
fn merging_two_people_of_one_photo_puts_all_their_faces_together_until_it_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, library) = (folder.path().join("pictures"), folder.path().join("library"));
    std::fs::create_dir(&pictures).unwrap();
    beside(&["P001", "P003"], "amateur_selfie.jpg", &pictures.join("one.png"));
    beside(&["P001", "P003"], "studio_portrait.jpg", &pictures.join("two.png"));
    index(&pictures, &library);
    let before = export(&library);
    let people =
        |arguments: &[&str]| run(muster().arg("people").arg("--library").arg(&library).args(arguments), 0).stdout;
    let groups = || -> BTreeMap<String, u64> {
        let listed: Value = serde_json::from_slice(&people(&["--json"])).unwrap();
        let people = listed.as_array().unwrap().iter();
        people.map(|p| (p["id"].as_str().unwrap().to_owned(), count(p, "faces"))).collect()
    };
    let there: Vec<String> = groups().into_keys().collect();
    assert_eq!(groups().into_values().collect::<Vec<_>>(), [2, 2], "two faces of each");
    people(&["merge", &there[0], &there[1]]);
    assert_eq!(groups().get(&there[0]), Some(&4), "{:?}", groups());
    index(&pictures, &library);
    assert_eq!(groups().get(&there[0]), Some(&4), "after another run: {:?}", groups());
    people(&["undo"]);
    assert!(export(&library) == before, "undo restores everything: {:?}", groups());
}

#[test]
fn a_hostile_folder_is_survived_and_every_file_listed_with_a_reason() {
    use std::os::unix::ffi::OsStrExt;

    let folder = tempfile::tempdir().unwrap();
    let (pictures, library) = (folder.path().join("pictures"), folder.path().join("library"));
    std::fs::create_dir(&pictures).unwrap();
    let portrait = std::fs::read(photos("demo").join("P001/amateur_selfie.jpg")).unwrap();
    let portrait = &portrait[..];
    let mut expected = BTreeMap::new();
    let mut put = |name: &str, bytes: &[u8], reason: Option<&'static str>| {
        std::fs::write(pictures.join(name), bytes).unwrap();
        expected.insert(name.to_owned(), reason);
    };
    // Truncated at every kilobyte of a small photo: only a cut inside the header may be another reason.
    let mut gallery: Vec<_> = std::fs::read_dir(photos("gallery")).unwrap().map(|e| e.unwrap().path()).collect();
    gallery.retain(|path| path.extension().is_some_and(|e| e == "jpg"));
    gallery.sort();
    let small = std::fs::read(&gallery[0]).unwrap();
    for cut in (1024..small.len()).step_by(1024) {
        put(&format!("cut-{cut:07}.jpg"), &small[..cut], Some("TRUNCATED"));
    }
    put("good.jpg", portrait, None);
    put("zero.jpg", b"", Some("EMPTY"));
    put("text.jpg", b"this is a shopping list, not a photo\n", Some("UNKNOWN_FORMAT"));
    put("bomb.png", &png_header(60_000, 60_000), Some("TOO_MANY_PIXELS"));
    std::fs::write(pictures.join(std::ffi::OsStr::from_bytes(b"b\xe9b\xe9.jpg")), portrait).unwrap();
    std::os::unix::fs::symlink(&pictures, pictures.join("loop")).unwrap();
    run(std::process::Command::new("mkfifo").arg(pictures.join("pipe.jpg")), 0);
    // A path of more than 5,000 characters can only be made step by step.
    let deep = "d=$(printf 'x%.0s' $(seq 200)); for i in $(seq 26); do mkdir $d && cd $d; done; echo hi > deep.jpg";
    run(std::process::Command::new("sh").args(["-c", deep]).current_dir(&pictures), 0);

    let output = run(
        std::process::Command::new("sh")
            .args(["-c", "ulimit -v 4000000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_muster"), "index"])
            .arg(&pictures)
            .arg("--library")
            .arg(&library)
            .arg("--json")
            .envs(muster().get_envs().filter_map(|(key, value)| Some((key, value?)))),
        0,
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_states_add_up(&summary);
    let peak = summary["peak_megabytes"].as_f64().unwrap();
    assert!(peak < 1000.0, "peak memory {peak} MB");

    let exported: Value = serde_json::from_slice(&export(&library)).unwrap();
    let reasons: BTreeMap<String, Option<String>> = exported["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| {
            let reason = image["rejection"]["reason"].as_str().map(str::to_owned);
            (image["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(), reason)
        })
        .collect();
    for (name, reason) in &expected {
        assert_eq!(reasons.get(name).map(Option::as_deref), Some(*reason), "{name} in {reasons:#?}");
    }
    assert_eq!(reasons["pipe.jpg"].as_deref(), Some("UNREADABLE"));
    let faces = exported["faces"].as_array().unwrap();
    assert!(faces.iter().any(|face| face["path"].as_str().unwrap().contains("%E9")), "non-UTF-8 name is indexed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("too long"), "the deep path is named: {told}");
    assert!(!told.contains("panicked"), "{told}");
    // Leave nothing that the temporary folder's removal cannot walk.
    run(std::process::Command::new("rm").args(["-rf", "--"]).arg(&pictures), 0);
}

/// A PNG that claims a size and holds nothing.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0]);
    let crc = crc32(&bytes[12..]);
    bytes.extend(crc.to_be_bytes());
    bytes.extend(b"\0\0\x04\0IDAT");
    bytes
}

/// CRC-32 as PNG uses it (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}
