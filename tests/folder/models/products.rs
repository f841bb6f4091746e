//! Packs that `muster models optimize` makes, by the program itself: a process holds one runtime.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::home;

/// A data folder with the pack `open` and the runtime, to put products into.
fn fresh() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    for part in ["models/open", "runtime"] {
        symlink(home().folder().canonicalize().unwrap().join(part), folder.path().join(part)).unwrap();
    }
    folder
}

fn photos(part: &str) -> String {
    let root = std::env::var("MUSTER_PHOTOS").expect("set MUSTER_PHOTOS to the folder that `make setup` filled");
    format!("{root}/{part}")
}

fn muster(home: &Path, arguments: &[&str], code: i32) -> Output {
    let done = Command::new(env!("CARGO_BIN_EXE_muster")).args(arguments).env("MUSTER_HOME", home).output().unwrap();
    assert_eq!(done.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done
}

fn lines(done: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_pack_in_bytes_finds_the_same_faces_and_says_how_well_it_was_judged() {
    let home = fresh();
    let demo = photos("demo");
    let make = ["models", "optimize", "--precision", "int8", "--photos", &demo, "--json"];
    let made = lines(&muster(home.path(), &make, 0)).remove(0);
    println!("{made}");
    assert_eq!((&made["name"], &made["refused"]), (&"open-int8".into(), &Value::Array(Vec::new())));
    assert!(made["parity"]["cosine_mean"].as_f64().unwrap() > 0.99);
    assert!(made["bytes"]["product"].as_u64().unwrap() * 3 < made["bytes"]["source"].as_u64().unwrap());

    // It is a pack as any other: listed, verified by its own checksums, timed, and indexed with.
    let listed = lines(&muster(home.path(), &["models", "list", "--json"], 0));
    assert!(listed.iter().any(|pack| pack["name"] == "open-int8" && pack["state"] == "installed"), "{listed:?}");
    muster(home.path(), &["models", "verify", "open-int8"], 0);
    let library = home.path().join("library");
    let library = library.to_str().unwrap();
    let people = photos("demo/P001");
    let index = ["index", &people, "--library", library, "--model", "open-int8", "--json"];
    let outcome = lines(&muster(home.path(), &index, 0)).pop().unwrap();
    assert!(outcome.to_string().contains("face_recognition_sface"), "{outcome}");
    assert_eq!(outcome["indexed"], 6, "{outcome}");
    // A library stays with its pack where nobody names one.
    let same = lines(&muster(home.path(), &["index", &people, "--library", library, "--json"], 0)).pop().unwrap();
    assert_eq!((&same["indexed"], &same["skipped"]), (&0.into(), &6.into()), "{same}");
    // Its vectors are not taken for those of the pack that it was made from: every photo is looked at again.
    let index = ["index", &people, "--library", library, "--model", "open", "--json"];
    let other = lines(&muster(home.path(), &index, 0)).pop().unwrap();
    assert_eq!(other["indexed"], 6, "{other}");

    // A file of it that changes is noticed.
    let file = home.path().join("models/open-int8/face_recognition_sface_2021dec.onnx");
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    muster(home.path(), &["models", "verify", "open-int8"], 66);
}

#[test]
fn the_gate_judges_people_as_evaluate_does() {
    let home = fresh();
    let demo = photos("demo");
    let make = ["models", "optimize", "--precision", "float", "--photos", &demo, "--labelled", &demo, "--json"];
    let made = lines(&muster(home.path(), &make, 0)).remove(0);
    let evaluated = lines(&muster(home.path(), &["evaluate", &demo, "--json"], 0)).remove(0);
    let expected = &evaluated["rows"][0]["scores"];
    for found in made["parity"]["people"].as_array().unwrap() {
        let f = |value: &Value| value.as_f64().unwrap();
        assert!((f(&found["b_cubed_f"]) - f(&expected["b_cubed"]["f"])).abs() < 1e-9, "{found} and {expected}");
        for figure in ["groups", "mixed_groups"] {
            assert_eq!(found[figure], expected[figure], "{found} and {expected}");
        }
    }
}

#[test]
fn too_few_photos_a_taken_name_and_a_pack_that_is_none_are_refused_with_their_reason() {
    let home = fresh();
    let (few, demo) = (photos("demo/P001"), photos("demo"));
    for (arguments, code, part) in [
        (&["--photos", &few][..], 65, "60 photos and 200 faces are needed"),
        (&["--photos", &demo, "--name", "open"], 64, "choose another --name"),
        (&["--photos", &demo, "--name", "../open"], 64, "choose another --name"),
        (&["--photos", "/nowhere"], 65, "0 photos and 0 faces"),
        (&["nothing", "--photos", &demo], 66, "there is no model pack"),
    ] {
        let arguments = [&["models", "optimize", "--precision", "half"], arguments].concat();
        let done = muster(home.path(), &arguments, code);
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    assert_eq!(fs::read_dir(home.path().join("models")).unwrap().count(), 1, "a draft was left");
}

#[test]
fn what_tensorrt_would_run_is_judged_on_it_or_not_at_all() {
    if muster_inference::gpu::cards().is_ok() {
        return;
    }
    let (home, demo) = (fresh(), photos("demo"));
    let mut float = Command::new(env!("CARGO_BIN_EXE_muster"));
    float.args(["models", "optimize", "--precision", "float", "--photos", &demo]).env("MUSTER_HOME", home.path());
    let done = float.env("MUSTER_MODELS__PROVIDER", "tensorrt").output().unwrap();
    assert_eq!(done.status.code(), Some(66), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("driver"), "{done:?}");
}

#[test]
fn packs_are_timed_beside_each_other_and_drawn() {
    let home = fresh();
    let plot = home.path().join("bench.svg");
    let bench = ["models", "bench", "open", "open", "--json", "--plot", plot.to_str().unwrap()];
    let rows = lines(&muster(home.path(), &bench, 0));
    assert!(rows.len() >= 14 && rows.iter().all(|row| row["milliseconds"].as_f64().unwrap() > 0.0), "{rows:?}");
    assert!(rows.iter().all(|row| row["first_milliseconds"].as_f64() > Some(0.0) && row["provider"] == "cpu"));
    assert!(fs::read_to_string(plot).unwrap().contains("items a second"));
    // Where a card is named and cannot be had, a bench says so: it measures nothing else instead.
    if muster_inference::gpu::cards().is_err() {
        let done = muster(home.path(), &["models", "bench", "--provider", "cuda"], 66);
        assert!(String::from_utf8_lossy(&done.stderr).contains("driver"), "{done:?}");
    }
}
