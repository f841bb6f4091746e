//! Another model looks at a library: everybody stays who they were.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::{Home, copy_all};
use crate::support::{self, count, export, muster, run};

/// A pack like the default one, of another version: every face gets another id.
pub(super) fn another_pack(home: &Home) -> PathBuf {
    let pack = home.folder.path().join("pack");
    copy_all(&support::home().join("models/open"), &pack);
    let manifest = pack.join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("version = \"1\""), "{text}");
    std::fs::write(&manifest, text.replace("version = \"1\"", "version = \"2\"")).unwrap();
    pack
}

#[test]
fn another_model_keeps_everybody_however_often_it_is_killed_on_the_way() {
    let home = Home::new();
    home.name_all();
    let (_, faces) = home.faces_of("P001");
    home.people(&["move", "Person P002", faces.last().unwrap()]);
    home.people(&["not-same", &faces[0], &home.faces_of("P003").1[0]]);
    let before = home.people(&["list"]);
    let known = |people: &Value| -> Vec<(String, String, u64)> {
        let one = |p: &Value| (p["id"].to_string(), p["name"].to_string(), count(p, "faces"));
        people.as_array().unwrap().iter().map(one).collect()
    };
    let pack = another_pack(&home);
    let mut index = muster();
    index.args(["index", "--json", "--model"]).arg(&pack).arg("--library").arg(home.library()).arg(home.photos());
    let (mut kills, mut delay) = (0, 300);
    loop {
        let mut child = index.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        (kills, delay) = (kills + 1, delay + 37);
        // Until the exchange the old answers stay; after it the new ones are whole.
        assert_eq!(known(&home.people(&["list"])), known(&before), "after {kills} kills");
        assert!(kills < 200, "it never ends");
    }
    assert!(kills > 3, "it was killed {kills} times");
    run(&mut index, 0);
    assert_eq!(known(&home.people(&["list"])), known(&before));
    let exported: Value = serde_json::from_slice(&export(&home.library())).unwrap();
    assert!(exported["images"].as_array().unwrap().iter().all(|image| image["model"] == "open@2"));
    assert!(!home.library().join(".muster-next").exists());
    let odd = home.people(&["show", "Person P002"]);
    let paths: BTreeSet<_> = odd["faces"].as_array().unwrap().iter().map(|face| face["path"].to_string()).collect();
    assert!(paths.iter().any(|path| path.contains("P001")), "the correction holds: {paths:?}");
    // A model for a part of the photos is refused, and says why.
    let part = run(muster().args(["index", "--library"]).arg(home.library()).arg(home.photos().join("P001")), 2);
    assert!(String::from_utf8_lossy(&part.stderr).contains("name all"), "{part:?}");
}
