//! `muster index` over folders that hold libraries, lose photos, or cannot be read.

use crate::support;

use std::path::Path;

use serde_json::Value;
use support::{assert_states_add_up, count, export, index, muster, photos, run};

/// `muster index` with more arguments and this exit code: its JSON, and what it says to a person.
pub fn index_with(paths: &[&Path], library: &Path, more: &[&str], code: i32) -> (Value, String) {
    let output = run(muster().arg("index").args(paths).arg("--library").arg(library).arg("--json").args(more), code);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_states_add_up(&summary);
    (summary, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Copies photos of some of the ten people into a folder, a file a person: `P001.jpg`, …
fn portraits(folder: &Path, people: std::ops::RangeInclusive<u32>) {
    std::fs::create_dir_all(folder).unwrap();
    for person in people.map(|n| format!("P{n:03}")) {
        let photo = photos("demo").join(&person).join("amateur_selfie.jpg");
        std::fs::copy(photo, folder.join(format!("{person}.jpg"))).unwrap();
    }
}

#[test]
fn a_library_among_photos_gets_a_folder_of_its_own_and_hides_no_photo() {
    let base = tempfile::tempdir().unwrap();
    let base = base.path().canonicalize().unwrap();
    let (pictures, older) = (base.join("pictures"), base.join("older"));
    portraits(&pictures, 1..=2);
    portraits(&older, 3..=3);
    assert_eq!(count(&index(&pictures, &pictures), "images"), 2);
    assert!(!pictures.join("library.db").exists() && pictures.join(".muster/library.db").is_file());
    let people = run(muster().args(["people", "--json", "--library"]).arg(&pictures), 0);
    assert!(people.stdout.starts_with(b"["), "{people:?}");

    // An older release put it among the photos.
    drop(muster_library::Library::create(&older).unwrap());
    assert_eq!(count(&index(&older, &older), "images"), 1);
    assert!(!older.join(".muster").exists());

    let all = index(&base, &base.join("apart"));
    assert_eq!(count(&all, "images"), 3, "{all:#}");
    let others: Vec<&str> = all["other_libraries"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    assert_eq!(others, ["older", "pictures/.muster"]);
    let output = run(muster().arg("index").arg(&base).arg("--library").arg(base.join("apart")), 0);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Other libraries lie below") && text.contains("\n  pictures/.muster\n"), "{text}");
    assert!(index(&older, &older)["other_libraries"] == Value::Array(vec![]), "its own is no other");
}

#[test]
fn a_disk_that_is_away_takes_no_photo_out_and_the_others_are_indexed() {
    let base = tempfile::tempdir().unwrap();
    let (disk, here, library) = (base.path().join("disk"), base.path().join("here"), base.path().join("library"));
    portraits(&disk, 1..=3);
    portraits(&here, 4..=4);
    let both = [disk.as_path(), here.as_path()];
    assert_eq!(count(&index_with(&both, &library, &[], 0).0, "indexed"), 4);
    let before = export(&library);

    // Unmounted: an empty folder is left, or none at all.
    let away = base.path().join("away");
    std::fs::rename(&disk, &away).unwrap();
    for (is_there, cause) in [(true, "all_gone"), (false, "root_missing")] {
        if is_there {
            std::fs::create_dir(&disk).unwrap();
        } else {
            std::fs::remove_dir(&disk).unwrap();
        }
        let (summary, said) = index_with(&both, &library, &[], 69);
        assert_eq!((count(&summary, "removed"), count(&summary, "faces")), (0, 4), "{summary:#}");
        let missing = &summary["missing"][0];
        assert_eq!((&missing["root"], &missing["cause"]), (&"disk".into(), &cause.into()));
        assert_eq!((count(missing, "missing"), count(missing, "known")), (3, 3));
        assert!(said.contains("3 of the 3 images known below it") && said.contains("--accept-removals"), "{said}");
        assert!(export(&library) == before, "everything is as it was");
    }
    portraits(&here, 5..=5);
    let (summary, _) = index_with(&both, &library, &[], 69);
    assert_eq!(count(&summary, "indexed"), 1, "what is new elsewhere is indexed: {summary:#}");

    std::fs::rename(&away, &disk).unwrap();
    let (summary, _) = index_with(&both, &library, &[], 0);
    assert_eq!((count(&summary, "skipped"), count(&summary, "indexed")), (5, 0), "{summary:#}");
    std::fs::remove_file(disk.join("P001.jpg")).unwrap();
    assert_eq!(count(&index_with(&both, &library, &[], 0).0, "removed"), 1, "one of three asks nobody");
    std::fs::remove_dir_all(&disk).unwrap();
    let (summary, _) = index_with(&[&disk], &library, &["--accept-removals"], 0);
    assert_eq!((count(&summary, "removed"), count(&summary, "faces")), (2, 2), "{summary:#}");
    run(muster().arg("index").arg(&disk).arg("--library").arg(&library), 66);
}

#[test]
fn a_watch_goes_on_while_a_disk_is_away() {
    use std::io::{BufRead, BufReader};
    let base = tempfile::tempdir().unwrap();
    let (disk, library) = (base.path().join("disk"), base.path().join("library"));
    portraits(&disk, 1..=1);
    let mut command = muster();
    command.arg("index").arg(&disk).arg("--watch").arg("--library").arg(&library);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut hear = |part: &str| {
        let heard = lines.find(|line| line.contains(part));
        assert!(heard.is_some(), "it ended before it said {part:?}");
    };
    hear("people: ");
    let away = base.path().join("away");
    std::fs::rename(&disk, &away).unwrap();
    hear("is not there: 1 of the 1 image known below it");
    hear("people: ");
    std::fs::rename(&away, &disk).unwrap();
    hear("1 unchanged");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A program that may not read what permissions forbid, as root may.
fn without_privilege(arguments: &[&std::ffi::OsStr]) -> std::process::Command {
    let mut command = std::process::Command::new("setpriv");
    command.arg("--bounding-set=-dac_override,-dac_read_search").args(arguments);
    command.envs(muster().get_envs().filter_map(|(key, value)| Some((key, value?))));
    command
}

#[test]
fn photos_that_cannot_be_read_now_keep_their_faces() {
    use std::os::unix::fs::PermissionsExt;
    let base = tempfile::tempdir().unwrap();
    let (pictures, library) = (base.path().join("pictures"), base.path().join("library"));
    portraits(&pictures.join("listed"), 1..=2);
    portraits(&pictures.join("closed"), 3..=3);
    portraits(&pictures, 4..=4);
    assert_eq!(count(&index(&pictures, &library), "indexed"), 4);
    let faces = || {
        let mut exported: Value = serde_json::from_slice(&export(&library)).unwrap();
        [exported["faces"].take(), exported["images"].take()]
    };
    let before = faces();
    let mode = |path: &str, mode| {
        std::fs::set_permissions(pictures.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("listed", 0o400);
    mode("closed", 0o300);
    mode("P004.jpg", 0o000);
    // Other bytes, as far as the walk sees: the file itself must be read.
    let file = std::fs::File::options().append(true).open(pictures.join("P004.jpg"));
    let path = |path: &Path| path.as_os_str().to_owned();
    let is_root = file.is_ok();
    let program = path(Path::new(env!("CARGO_BIN_EXE_muster")));
    let arguments = ["index".into(), path(&pictures), "--library".into(), path(&library), "--json".into()];
    let mut whole: Vec<&std::ffi::OsStr> = vec![&program];
    whole.extend(arguments.iter().map(std::ffi::OsString::as_os_str));
    if let Ok(file) = file {
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    let output = if is_root { run(&mut without_privilege(&whole), 0) } else { run(muster().args(&arguments), 0) };
    ["listed", "closed"].iter().for_each(|folder| mode(folder, 0o700));
    mode("P004.jpg", 0o600);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_states_add_up(&summary);
    assert_eq!((count(&summary, "faces"), count(&summary, "removed")), (4, 0), "{summary:#}");
    assert_eq!(count(&summary, "kept"), 2 + u64::from(is_root), "{summary:#}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("could not be read now") && said.contains("closed: cannot be looked into"), "{said}");
    let problems: Vec<&str> =
        summary["problems"].as_array().unwrap().iter().map(|p| p["path"].as_str().unwrap()).collect();
    assert_eq!(problems, ["pictures/closed", "pictures/listed/P001.jpg", "pictures/listed/P002.jpg"]);
    assert!(faces() == before, "faces, groups and rows are as they were");
    assert_eq!(count(&index(&pictures, &library), "kept"), 0);
}

#[test]
fn what_is_forgotten_is_shown_before_and_comes_back_when_it_is_lifted() {
    let base = tempfile::tempdir().unwrap();
    let (pictures, library) = (base.path().join("pictures"), base.path().join("library"));
    portraits(&pictures, 1..=1);
    portraits(&pictures.join("private"), 2..=3);
    index(&pictures, &library);
    let forget = |path: &Path, more: &[&str], code| {
        let output = run(muster().arg("forget").arg(path).arg("--library").arg(&library).args(more), code);
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    let (private, before) = (pictures.join("private"), export(&library));
    let [told, _] = forget(&private, &["--dry-run"], 0);
    assert!(told.contains("Would be forgotten: pictures/private") && told.contains("faces             2"), "{told}");
    let seen: Value = serde_json::from_str(&forget(&private, &["--dry-run", "--json"], 0)[0]).unwrap();
    assert_eq!((count(&seen, "images"), count(&seen, "faces")), (2, 2));
    assert!(export(&library) == before, "nothing was changed");
    let [_, said] = forget(&private, &["--lift"], 66);
    assert!(said.contains("nothing was forgotten"), "{said}");

    forget(&private, &[], 0);
    assert_eq!(count(&index(&pictures, &library), "faces"), 1);
    let [_, said] = forget(&private.join("P002.jpg"), &["--lift"], 66);
    assert!(said.contains("was forgotten with all of"), "{said}");
    let [told, _] = forget(&private, &["--lift"], 0);
    assert!(told.contains("Taken back: ") && told.contains("muster index"), "{told}");
    let summary = index(&pictures, &library);
    assert_eq!((count(&summary, "indexed"), count(&summary, "faces")), (2, 3), "{summary:#}");
}

#[test]
fn a_folder_without_photos_says_what_was_looked_for() {
    let base = tempfile::tempdir().unwrap();
    std::fs::write(base.path().join("song.mp3"), "x").unwrap();
    let (summary, said) = index_with(&[base.path()], &base.path().join("library"), &[], 0);
    assert_eq!((count(&summary, "images"), count(&summary, "ignored")), (0, 1), "{summary:#}");
    assert!(
        said.contains("end in jpg, jpeg, jpe, png, webp, heic, heif") && said.contains("1 file of other"),
        "{said}"
    );
}
