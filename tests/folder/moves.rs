//! Photos that were renamed or moved keep what is known of them.

use crate::folders::index_with;
use crate::support;

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;
use support::{count, index, muster, photos, run};

const ADA: &str = "P001";
const BEN: &str = "P003";

/// A folder with two photos each of two people, one of them named, and its library.
struct World {
    _folder: tempfile::TempDir,
    base: PathBuf,
    pictures: PathBuf,
    library: PathBuf,
}

impl World {
    /// The library lies in `library`, from the folder that holds all.
    fn new(library: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (pictures, library) = (base.join("pictures"), base.join(library));
        for person in [ADA, BEN] {
            fs::create_dir_all(pictures.join(person)).unwrap();
            for portrait in ["amateur_selfie.jpg", "studio_portrait.jpg"] {
                let to = pictures.join(person).join(format!("{person} é {portrait}"));
                fs::copy(photos("demo").join(person).join(portrait), to).unwrap();
            }
        }
        let world = Self { _folder: folder, base, pictures, library };
        assert_eq!(count(&index(&world.pictures, &world.library), "indexed"), 4);
        let groups = world.people();
        assert_eq!(groups.len(), 2, "{groups:#?}");
        let id = groups[0]["id"].as_str().unwrap();
        run(muster().args(["people", "name", id, "Ada", "--library"]).arg(&world.library), 0);
        world
    }

    fn people(&self) -> Vec<Value> {
        let output = run(muster().args(["people", "--json", "--library"]).arg(&self.library), 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Groups by id, with what is known of them whichever path their photos have.
    fn known(&self) -> Vec<[Value; 4]> {
        let known = |person: &Value| ["id", "name", "faces", "photos"].map(|field| person[field].clone());
        let mut known: Vec<_> = self.people().iter().map(known).collect();
        known.sort_by_key(|person| person[0].to_string());
        known
    }

    /// Indexes `root`, and holds that photos moved, that nothing was looked at, and that the people are the same.
    fn index_after_a_move(&self, root: &Path, moved: u64, before: &[[Value; 4]]) {
        let (summary, _) = index_with(&[root], &self.library, &[], 0);
        assert_eq!((count(&summary, "moved"), count(&summary, "skipped")), (moved, count(&summary, "images")));
        assert_eq!((count(&summary, "removed"), count(&summary, "indexed")), (0, 0), "{summary:#}");
        assert_eq!(self.known(), before);
        let (again, _) = index_with(&[root], &self.library, &[], 0);
        assert_eq!((count(&again, "moved"), count(&again, "indexed")), (0, 0), "{again:#}");
    }

    fn photo(&self, person: &str, portrait: &str) -> PathBuf {
        self.pictures.join(person).join(format!("{person} é {portrait}.jpg"))
    }

    /// Stores the content of all photos, as libraries of newer releases have it.
    fn store_contents(&self) {
        let db = Connection::open(self.library.join("library.db")).unwrap();
        let has = "SELECT EXISTS (SELECT 1 FROM pragma_table_info('images') WHERE name = 'content')";
        if !db.query_row(has, [], |row| row.get::<_, bool>(0)).unwrap() {
            db.execute("ALTER TABLE images ADD COLUMN content BLOB", []).unwrap();
        }
        let mut select = db.prepare("SELECT n, key FROM images").unwrap();
        let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))).unwrap();
        for (n, key) in rows.map(Result::unwrap) {
            let content = blake3::hash(&fs::read(self.library.parent().unwrap().join(key)).unwrap());
            db.execute("UPDATE images SET content = ?2 WHERE n = ?1", (n, content.as_bytes())).unwrap();
        }
    }
}

#[test]
fn a_folder_that_was_renamed_or_moved_keeps_its_people() {
    let world = World::new("library");
    let before = world.known();
    fs::rename(world.pictures.join(ADA), world.pictures.join("Ada's photos")).unwrap();
    world.index_after_a_move(&world.pictures, 2, &before);

    // The whole root, to a place that is named from now on; the library does not go along.
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("photos");
    run(std::process::Command::new("cp").arg("-a").arg(&world.pictures).arg(&moved), 0);
    fs::remove_dir_all(&world.pictures).unwrap();
    world.index_after_a_move(&moved, 4, &before);
    let told = run(muster().args(["library", "--json", "--library"]).arg(&world.library), 0);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let roots: Vec<_> = told["roots"].as_array().unwrap().iter().map(|root| count(root, "images")).collect();
    assert_eq!((roots.iter().sum::<u64>(), count(&told, "elsewhere")), (4, 0), "{told:#}");
}

#[test]
fn a_name_that_is_written_another_way_is_the_same() {
    let world = World::new("library");
    let before = world.known();
    for person in [ADA, BEN] {
        for portrait in ["amateur_selfie", "studio_portrait"] {
            let other = world.pictures.join(person).join(format!("{person} e\u{301} {portrait}.jpg"));
            fs::rename(world.photo(person, portrait), other).unwrap();
        }
    }
    world.index_after_a_move(&world.pictures, 4, &before);
}

#[test]
fn files_that_were_renamed_are_known_by_their_content() {
    let world = World::new("library");
    world.store_contents();
    let before = world.known();
    fs::rename(world.photo(ADA, "amateur_selfie"), world.pictures.join("one.jpg")).unwrap();
    // Two that swap their names.
    let (one, other, between) =
        (world.photo(ADA, "studio_portrait"), world.photo(BEN, "studio_portrait"), world.pictures.join("between"));
    fs::rename(&one, &between).unwrap();
    fs::rename(&other, &one).unwrap();
    fs::rename(&between, &other).unwrap();
    world.index_after_a_move(&world.pictures, 3, &before);
    let faces = run(muster().args(["export", "--json", "--library"]).arg(&world.library), 0);
    let exported: Value = serde_json::from_slice(&faces.stdout).unwrap();
    let ada: Vec<&str> = exported["faces"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|face| face["name"] == "Ada")
        .map(|face| face["path"].as_str().unwrap())
        .collect();
    let is_ada = ada.contains(&"pictures/one.jpg");
    assert_eq!(ada.iter().any(|path| path.contains("P003 é studio")), is_ada, "faces went with their files: {ada:?}");
}

#[test]
fn a_root_is_relocated_by_hand_where_copies_got_a_new_time() {
    let world = World::new("library");
    let before = world.known();
    let moved = world.base.join("copies");
    run(std::process::Command::new("cp").arg("-r").arg(&world.pictures).arg(&moved), 0);
    fs::remove_dir_all(&world.pictures).unwrap();
    fs::remove_file(moved.join(BEN).join(format!("{BEN} é studio_portrait.jpg"))).unwrap();
    let told = |arguments: &[&str], paths: &[&Path], code| {
        let mut command = muster();
        command.arg("library").args(arguments).args(paths).arg("--library").arg(&world.library);
        let output = run(&mut command, code);
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    let [text, _] = told(&[], &[], 0);
    assert!(text.contains("4 below ") && text.contains("which is not there"), "{text}");
    let [_, said] = told(&["relocate"], &[&world.pictures, &world.base.join("nowhere")], 66);
    assert!(said.contains("is not there"), "{said}");
    let [_, said] = told(&["relocate"], &[&world.base.join("nowhere"), &moved], 66);
    assert!(said.contains("nothing is stored below"), "{said}");
    let [text, _] = told(&["relocate"], &[&world.pictures, &moved], 0);
    assert!(text.contains("3 images were found below") && text.contains("1 image was not found"), "{text}");
    assert!(text.contains("  pictures/P003/P003 é studio_portrait.jpg\n"), "{text}");

    // The copies are looked at again, because nothing says that they are the same; the faces are.
    let (summary, _) = index_with(&[&moved], &world.library, &[], 0);
    assert_eq!((count(&summary, "images"), count(&summary, "removed")), (3, 0), "{summary:#}");
    let ids = |known: Vec<[Value; 4]>| known.into_iter().map(|[id, name, ..]| [id, name]).collect::<Vec<_>>();
    assert_eq!(ids(world.known()), ids(before));
    let [text, _] = told(&["remove"], &[&world.pictures], 0);
    assert!(text.contains("1 image was taken out that lay below"), "{text}");
    let [_, said] = told(&["remove"], &[&world.pictures], 66);
    assert!(said.contains("nothing is stored below"), "{said}");
}
