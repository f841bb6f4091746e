//! Persons in a library, as their owner knows them: names and corrections outlive whatever is computed, deleted, moved or
//! copied.

mod added_faces;
mod other_models;
mod travel;

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use muster_actors::domain::image::Pixels;
use muster_vision::decode::{Limits, VisionDecoder};
use serde_json::Value;
use support::{count, export, index, muster, photos, run};

/// Photos of the ten people of the demo, a library beside them, and what is asked of it.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    /// Copies of the single portraits, indexed.
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        for person in (1..=10).map(|n| format!("P{n:03}")) {
            let to = home.photos().join(&person);
            std::fs::create_dir_all(&to).unwrap();
            for portrait in portraits(&person) {
                std::fs::copy(&portrait, to.join(portrait.file_name().unwrap())).unwrap();
            }
        }
        home.index();
        home
    }

    fn photos(&self) -> PathBuf {
        self.folder.path().join("photos")
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("library")
    }

    fn index(&self) -> Value {
        index(&self.photos(), &self.library())
    }

    /// What `muster people …` prints with `--json`.
    fn people(&self, arguments: &[&str]) -> Value {
        let output = run(muster().args(["people", "--json", "--library"]).arg(self.library()).args(arguments), 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What it prints for a reader, and the message where it fails.
    fn told(&self, arguments: &[&str], code: i32) -> String {
        let output = run(muster().args(["people", "--library"]).arg(self.library()).args(arguments), code);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// The names that are shown, each with the people whose portraits carry it.
    fn names(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for face in self.faces() {
            if let (Some(name), false) = (face["name"].as_str(), sheet(&face)) {
                names.entry(name.to_owned()).or_default().insert(owner(&face));
            }
        }
        names
    }

    fn faces(&self) -> Vec<Value> {
        let exported: Value = serde_json::from_slice(&export(&self.library())).unwrap();
        exported["faces"].as_array().unwrap().clone()
    }

    /// The faces of the group that most portraits of a person are in, the best first.
    fn faces_of(&self, person: &str) -> (String, Vec<String>) {
        let mut groups: BTreeMap<String, u32> = BTreeMap::new();
        for face in self.faces().iter().filter(|face| owner(face) == person && !sheet(face)) {
            face["group"].as_str().into_iter().for_each(|group| *groups.entry(group.to_owned()).or_default() += 1);
        }
        let (group, _) = groups.into_iter().max_by_key(|(_, count)| *count).expect("a group");
        let shown = self.people(&["show", &group]);
        let faces = shown["faces"].as_array().unwrap().iter();
        (group, faces.map(|face| face["id"].as_str().unwrap().to_owned()).collect())
    }

    /// Names the group of each person after it.
    fn name_all(&self) {
        for person in (1..=10).map(|n| format!("P{n:03}")) {
            let (group, _) = self.faces_of(&person);
            self.people(&["name", &group, &format!("Person {person}")]);
        }
    }
}

/// The portraits of one of the ten, sorted: photos of one face each.
fn portraits(person: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(photos("demo").join(person)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| !path.to_string_lossy().contains("sheet")).collect();
    files.sort();
    files
}

/// Whose portrait a face is on.
fn owner(face: &Value) -> String {
    face["path"].as_str().unwrap().split('/').rev().nth(1).unwrap_or_default().to_owned()
}

fn sheet(face: &Value) -> bool {
    face["path"].as_str().unwrap().contains("sheet")
}

/// Ten names, each of one person.
fn assert_ten(names: &BTreeMap<String, BTreeSet<String>>) {
    assert_eq!(names.len(), 10, "{names:#?}");
    for (name, people) in names {
        assert!(people.len() == 1 && people.iter().all(|person| name.ends_with(person.as_str())), "{name}: {people:?}");
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn a_name_stays_with_its_person_when_the_cover_is_split_off_or_moved() {
    let home = Home::new();
    let (anna, faces) = home.faces_of("P001");
    let (ben, _) = home.faces_of("P002");
    home.people(&["name", &anna, "Anna"]);
    home.people(&["name", &ben, "Ben"]);
    let cover = home.people(&["show", "Anna"])["cover"].as_str().unwrap().to_owned();
    let split = home.people(&["split", "anna", &cover]);
    assert_eq!(home.people(&["show", "Anna"])["faces"].as_array().unwrap().len(), faces.len() - 1);
    let changed = split["people"].as_array().unwrap();
    assert_eq!(changed.len(), 2, "Anna lost a face, and somebody came: {split:#}");
    let part = split["moved"][0]["to"].as_str().unwrap();
    assert_eq!((split["moved"][0]["face"].as_str(), split["moved"][0]["from"].as_str()), (Some(&*cover), Some(&*anna)));
    assert!(home.people(&["show", part])["name"].is_null());
    // To Ben, who keeps his name; and back.
    let moved = home.people(&["move", "Ben", &cover]);
    assert_eq!(moved["moved"][0]["to"].as_str(), Some(&*ben));
    home.people(&["move", "Anna", &cover]);
    let shown = home.people(&["show", "Anna"]);
    assert_eq!((shown["id"].as_str(), shown["faces"].as_array().unwrap().len()), (Some(&*anna), faces.len()));
    // Taken back one by one, to where it began.
    for _ in 0..3 {
        home.people(&["undo"]);
    }
    assert_eq!(home.people(&["show", "Anna"])["faces"].as_array().unwrap().len(), faces.len());
    home.index();
    let names = home.names();
    assert_eq!((names["Anna"].len(), names["Ben"].len()), (1, 1), "{names:?}");
}

#[test]
fn ten_names_outlive_deleted_photos_and_photos_that_come_back() {
    let home = Home::new();
    home.name_all();
    assert_ten(&home.names());
    let ids: BTreeMap<String, String> = (1..=10)
        .map(|n| format!("Person P{n:03}"))
        .map(|name| (name.clone(), home.people(&["show", &name])["id"].as_str().unwrap().to_owned()))
        .collect();
    // All but one portrait of each go.
    let kept = home.folder.path().join("kept");
    copy_all(&home.photos(), &kept);
    for person in (1..=10).map(|n| format!("P{n:03}")) {
        let files = std::fs::read_dir(home.photos().join(&person)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.collect();
        files.sort();
        files[1..].iter().for_each(|file| std::fs::remove_file(file).unwrap());
    }
    let arguments = ["index", "--accept-removals", "--json", "--library"];
    run(muster().args(arguments).arg(home.library()).arg(home.photos()), 0);
    assert_ten(&home.names());
    // They come back, as other files with other times.
    copy_all(&kept, &home.photos());
    home.index();
    assert_ten(&home.names());
    for (name, id) in ids {
        assert_eq!(home.people(&["show", &name])["id"].as_str(), Some(&*id), "{name}");
    }
}

#[test]
fn people_without_a_photo_are_listed_and_can_be_forgotten() {
    let home = Home::new();
    // Nobody has said anything of these strangers, who are in four photos each: rare ones can be left out.
    let shown = |least: &str| home.people(&["list", "--min-photos", least]).as_array().unwrap().len();
    assert_eq!((shown("4"), shown("5")), (10, 0));
    home.name_all();
    std::fs::remove_dir_all(home.photos().join("P001")).unwrap();
    std::fs::remove_dir_all(home.photos().join("P002")).unwrap();
    let arguments = ["index", "--accept-removals", "--json", "--library"];
    run(muster().args(arguments).arg(home.library()).arg(home.photos()), 0);
    let names = |people: &Value| -> Vec<String> {
        people.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&home.people(&["list", "--waiting"])), ["Person P001", "Person P002"]);
    assert_eq!(names(&home.people(&["list"])).len(), 8);
    assert!(home.told(&["list"], 0).contains("2 without a photo now"));
    run(muster().args(["forget", "person p001", "--library"]).arg(home.library()), 0);
    assert_eq!(names(&home.people(&["list", "--waiting"])), ["Person P002"]);
    assert_eq!(home.people(&["history"])[0]["said"], "forgotten");
    assert!(!home.people(&["history"]).to_string().contains("Person P001"));
    home.people(&["name", "Person P003", ""]);
    assert_eq!(shown("100"), 8, "somebody spoke of all of them");
}

#[test]
fn forgetting_a_photo_takes_no_name_and_undoing_touches_nothing_else() {
    let home = Home::new();
    let (anna, faces) = home.faces_of("P001");
    let (ben, _) = home.faces_of("P002");
    home.people(&["name", &ben, "Ben"]);
    home.people(&["name", &anna, "Anna"]);
    let cover = home.people(&["show", "Anna"])["cover"].as_str().unwrap().to_owned();
    let photo =
        home.faces().into_iter().find(|face| face["id"] == *cover).unwrap()["path"].as_str().unwrap().to_owned();
    let photo = if photo.starts_with('/') { PathBuf::from(photo) } else { home.folder.path().join(photo) };
    run(muster().arg("forget").arg(&photo).arg("--library").arg(home.library()), 0);
    let shown = home.people(&["show", "Anna"]);
    assert_eq!((shown["id"].as_str(), shown["faces"].as_array().unwrap().len()), (Some(&*anna), faces.len() - 1));
    // The last change cannot be taken back, and says so; another is left alone.
    let refused = home.told(&["undo"], 2);
    assert!(refused.contains("forgotten"), "{refused}");
    assert_eq!(home.names().keys().filter(|name| ["Anna", "Ben"].contains(&name.as_str())).count(), 2);
    let history = home.people(&["history"]);
    let last = &history.as_array().unwrap()[0];
    assert_eq!(last["said"], "forgotten");
    assert!(!history.to_string().contains(&cover), "the history holds nothing of it");
    home.people(&["undo", "1"]);
    assert!(!home.names().contains_key("Ben") && home.names().contains_key("Anna"));
    home.told(&["undo", "77"], 66);
    home.told(&["undo", "1"], 2);
}

#[test]
fn a_face_that_is_not_somebody_comes_back_when_that_is_taken_back() {
    let home = Home::new();
    let (anna, faces) = home.faces_of("P001");
    home.people(&["name", &anna, "Anna"]);
    // A face that a computation added, which nobody confirmed.
    let (cleo, others) = home.faces_of("P005");
    home.people(&["confirm", &cleo, &others[0]]);
    for (person, face) in [("Anna", faces.last().unwrap()), (&*cleo, others.last().unwrap())] {
        let before = home.people(&["show", person])["faces"].as_array().unwrap().len();
        home.people(&["not-person", person, face]);
        assert_eq!(home.people(&["show", person])["faces"].as_array().unwrap().len(), before - 1);
        home.people(&["undo"]);
        assert_eq!(home.people(&["show", person])["faces"].as_array().unwrap().len(), before, "{person}");
    }
}

#[test]
fn a_merge_keeps_the_name_of_the_first_and_lists_read_well() {
    let home = Home::new();
    let (anna, _) = home.faces_of("P001");
    let (ben, _) = home.faces_of("P002");
    home.people(&["name", &anna, "Anna"]);
    home.people(&["name", &ben, "Ben"]);
    let cover = home.people(&["show", "Anna"])["cover"].clone();
    let told = home.told(&["merge", "Anna", "Ben"], 0);
    assert!(told.contains("went into") && told.contains("Anna"), "{told}");
    let shown = home.people(&["show", "Anna"]);
    assert_eq!((shown["id"].as_str(), &shown["cover"]), (Some(&*anna), &cover));
    assert_eq!(home.people(&["show", &ben])["id"].as_str(), Some(&*anna), "the old id leads there");
    home.people(&["undo"]);
    assert_eq!(home.people(&["show", "Ben"])["id"].as_str(), Some(&*ben));
}

#[test]
fn everything_that_is_known_of_a_person_is_kept() {
    let home = Home::new();
    let (anna, faces) = home.faces_of("P003");
    home.people(&["name", &anna, "Anna"]);
    home.people(&["born", "Anna", "1984-05-17"]);
    home.people(&["note", "Anna", "a friend of the family"]);
    let other = faces.last().unwrap();
    home.people(&["cover", "Anna", other]);
    home.people(&["hide", "Anna"]);
    home.index();
    let shown = home.people(&["show", "Anna"]);
    assert_eq!((shown["born"].as_str(), shown["cover"].as_str()), (Some("1984-05-17"), Some(&**other)));
    assert_eq!((shown["notes"].as_str(), shown["hidden"].as_bool()), (Some("a friend of the family"), Some(true)));
    let listed = |arguments: &[&str]| home.people(arguments).as_array().unwrap().iter().any(|p| p["name"] == "Anna");
    assert!(!listed(&["list"]) && listed(&["list", "--hidden"]));
    home.people(&["unhide", "Anna"]);
    assert!(listed(&["list"]));
    home.told(&["born", "Anna", "17.5.1984"], 2);
    home.told(&["show", "Nobody"], 66);
    // A face that is in no group gets a name.
    let ungrouped = home.faces().into_iter().find(|face| face["group"].is_null() && face["is_face"] == true);
    if let Some(face) = ungrouped {
        home.people(&["name", face["id"].as_str().unwrap(), "Seen once"]);
        home.index();
        assert_eq!(home.people(&["show", "Seen once"])["faces"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn names_and_corrections_outlive_other_paths_encodings_and_cropped_edges() {
    let home = Home::new();
    home.name_all();
    // One face is somebody else's than its looks say.
    let (_, faces) = home.faces_of("P001");
    let odd = faces.last().unwrap().clone();
    home.people(&["move", "Person P002", &odd]);
    let exported = home.faces();
    let odd_photo = exported.iter().find(|face| face["id"] == *odd).unwrap()["path"].as_str().unwrap().to_owned();
    let odd_name = Path::new(&odd_photo).file_stem().unwrap().to_string_lossy().into_owned();
    // All photos are re-encoded with three pixels less at each edge, under other names in another folder.
    let renamed = home.folder.path().join("photos/elsewhere");
    let decoder = VisionDecoder { limits: Limits::default(), side: 640 };
    for person in (1..=10).map(|n| format!("P{n:03}")) {
        std::fs::create_dir_all(renamed.join(&person)).unwrap();
        for portrait in portraits(&person) {
            let bytes = std::fs::read(&portrait).unwrap();
            let Pixels { width, height, data } = decoder.decode(bytes.into()).unwrap().pixels;
            let picture = image::RgbImage::from_raw(width, height, data).unwrap();
            let cropped = image::imageops::crop_imm(&picture, 3, 3, width - 6, height - 6).to_image();
            let name = format!("{}-small.png", portrait.file_stem().unwrap().to_string_lossy());
            cropped.save(renamed.join(&person).join(name)).unwrap();
        }
        std::fs::remove_dir_all(home.photos().join(&person)).unwrap();
    }
    run(muster().args(["index", "--accept-removals", "--json", "--library"]).arg(home.library()).arg(home.photos()), 0);
    let moved: Vec<Value> = home
        .faces()
        .into_iter()
        .filter(|face| owner(face) == "P001" && face["path"].as_str().unwrap().contains(&odd_name))
        .collect();
    assert!(moved.iter().any(|face| face["name"] == "Person P002"), "the correction holds: {moved:#?}");
    let names = home.names();
    assert_eq!(names.len(), 10, "{names:#?}");
    assert!(count(&home.index(), "images") > 0);
}

#[test]
fn people_are_named_while_an_index_watches_and_a_second_index_groups_nothing() {
    let home = Home::new();
    let mut watching = muster()
        .args(["index", "--watch", "--json", "--library"])
        .arg(home.library())
        .arg(home.photos())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let (anna, _) = home.faces_of("P001");
    home.people(&["name", &anna, "Anna"]);
    assert_eq!(home.people(&["show", "Anna"])["id"].as_str(), Some(&*anna));
    watching.kill().unwrap();
    watching.wait().unwrap();
    home.index();
    let again = home.index();
    assert_eq!(count(&again["stages"]["grouper"], "done"), 0, "{again:#}");
    assert_eq!(home.people(&["show", "Anna"])["id"].as_str(), Some(&*anna));
}

#[test]
fn questions_are_asked_once() {
    let home = Home::new();
    let (anna, faces) = home.faces_of("P001");
    home.people(&["name", &anna, "Anna"]);
    // Half of her faces are taken for another person: that the two are one is a question.
    let half = &faces[..faces.len() / 2];
    let mut split = vec!["split", "Anna"];
    split.extend(half.iter().map(String::as_str));
    let part = home.people(&split)["moved"][0]["to"].as_str().unwrap().to_owned();
    home.index();
    let asked = home.people(&["suggestions"]);
    assert!(
        asked.as_array().unwrap().iter().all(|one| one["of"] != *part && one["group"] != *part),
        "it was said: {asked:#}"
    );
    home.people(&["undo"]);
    home.index();
    for one in home.people(&["suggestions"]).as_array().unwrap() {
        let (face, group) = (one["face"].as_str().unwrap(), one["group"].as_str().unwrap());
        home.people(&["answer", face, group, "skip"]);
    }
    assert_eq!(home.people(&["suggestions"]), serde_json::json!([]));
    home.index();
    let left = home.people(&["suggestions"]);
    assert_eq!(left, serde_json::json!([]), "what was skipped does not come again");
}
