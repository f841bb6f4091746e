//! Faces that the detector did not find, added by a person or taken over from another program.

use std::path::PathBuf;

use muster_actors::domain::image::Pixels;
use muster_vision::decode::{Limits, VisionDecoder};
use serde_json::Value;

use super::other_models::another_pack;
use super::{Home, portraits};
use crate::support::{count, muster, photos, run};

/// A photo in which the detector finds nobody: a portrait that lies on its side.
fn on_its_side(home: &Home) -> (PathBuf, [u32; 2]) {
    let portrait = std::fs::read(&portraits("P001")[1]).unwrap();
    let decoder = VisionDecoder { limits: Limits::default(), side: 100_000 };
    let Pixels { width, height, data } = decoder.decode(portrait.into()).unwrap().pixels;
    let picture = image::imageops::rotate90(&image::RgbImage::from_raw(width, height, data).unwrap());
    let path = home.photos().join("sideways.png");
    picture.save(&path).unwrap();
    (path, [picture.width(), picture.height()])
}

/// The faces of the photo with this name.
fn in_photo(home: &Home, name: &str) -> Vec<Value> {
    home.faces().into_iter().filter(|face| face["path"].as_str().unwrap().ends_with(name)).collect()
}

/// A box in the middle of a photo.
fn middle([width, height]: [u32; 2]) -> String {
    format!("{},{},{},{}", width / 4, height / 4, width / 2, height / 2)
}

fn add(home: &Home, arguments: &[&str], code: i32) -> Value {
    let output =
        run(muster().args(["people", "--json", "--library"]).arg(home.library()).arg("add-face").args(arguments), code);
    serde_json::from_slice(&output.stdout).unwrap_or(Value::String(String::from_utf8(output.stderr).unwrap()))
}

#[test]
fn a_face_that_was_not_found_is_added_and_outlives_every_look_at_its_photo() {
    let home = Home::new();
    let (anna, _) = home.faces_of("P001");
    home.people(&["name", &anna, "Anna"]);
    let (photo, size) = on_its_side(&home);
    home.index();
    let path = photo.to_str().unwrap();
    let in_photo = || in_photo(&home, "sideways.png");
    assert_eq!(in_photo(), Vec::<Value>::new(), "the detector finds nobody");

    let drawn = middle(size);
    let told = add(&home, &[path, &drawn, "Anna"], 0);
    let face = told["face"].as_str().unwrap().to_owned();
    let [added] = &in_photo()[..] else { panic!("one face: {told:#}") };
    assert_eq!((added["id"].as_str(), added["name"].as_str()), (Some(&*face), Some("Anna")));
    assert_eq!(count(&told["people"][0]["after"], "faces"), count(&told["people"][0]["before"], "faces") + 1);
    // The same box again is the same face.
    assert_eq!(add(&home, &[path, &drawn, "Anna"], 0)["face"].as_str(), Some(&*face));

    // Every look at the photo finds it again: after a change of the file's time, and with another model.
    let file = std::fs::File::options().append(true).open(&photo).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
    home.index();
    assert_eq!(in_photo().len(), 1);
    assert_eq!(in_photo()[0]["name"], "Anna");
    let pack = another_pack(&home);
    let mut index = muster();
    run(index.args(["index", "--model"]).arg(&pack).arg("--library").arg(home.library()).arg(home.photos()), 0);
    assert_eq!(in_photo().len(), 1);
    assert_eq!(in_photo()[0]["name"], "Anna");
}

#[test]
fn what_was_added_is_taken_back_and_forgotten_like_any_other_face() {
    let home = Home::new();
    let (photo, size) = on_its_side(&home);
    home.index();
    let (path, drawn) = (photo.to_str().unwrap(), middle(size));
    let told = add(&home, &[path, &drawn, "Grandmother"], 0);
    let shown = home.people(&["show", "Grandmother"]);
    assert_eq!(shown["faces"].as_array().unwrap().len(), 1, "a name that nobody has is a new person");
    home.people(&["undo", &told["change"].to_string()]);
    home.told(&["show", "Grandmother"], 66);
    let left = in_photo(&home, "sideways.png");
    assert!(left.iter().all(|face| face["name"].is_null() && face["group"].is_null()), "nobody is in it: {left:#?}");
    // What cannot be: each with its reason.
    for (arguments, code, reason) in [
        (vec![path, "9,9,3,3"], 2, "12 pixels"),
        (vec![path, "-500,-500,40,40"], 2, "middle"),
        (vec![path, "1,2,3"], 2, "four numbers"),
        (vec!["/no/such/photo.jpg", "9,9,30,30"], 66, "index it first"),
    ] {
        let told = add(&home, &arguments, code);
        assert!(told.as_str().is_some_and(|told| told.contains(reason)), "{arguments:?}: {told}");
    }
    add(&home, &[path, &drawn, "Grandmother"], 0);
    run(muster().arg("forget").arg("Grandmother").arg("--library").arg(home.library()), 0);
    let told = add(&home, &[path, &drawn], 2);
    assert!(told.as_str().is_some_and(|told| told.contains("forgotten")), "{told}");
    home.index();
    assert_eq!(in_photo(&home, "sideways.png"), Vec::<Value>::new(), "what was forgotten stays away");
}

#[test]
fn a_region_of_another_program_without_a_detection_becomes_a_face() {
    let home = Home::new();
    home.name_all();
    let (photo, _) = on_its_side(&home);
    let wall = home.photos().join("wall.png");
    std::fs::copy(photos("demo").join("brick.png"), &wall).unwrap();
    let sidecar = |name: &str, kind: &str| {
        format!(
            r#"<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#">
<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag><rdf:li rdf:parseType="Resource">
<mwg-rs:Name>{name}</mwg-rs:Name><mwg-rs:Type>{kind}</mwg-rs:Type><mwg-rs:Area rdf:parseType="Resource">
<stArea:x>0.5</stArea:x><stArea:y>0.5</stArea:y><stArea:w>0.5</stArea:w><stArea:h>0.5</stArea:h>
<stArea:unit>normalized</stArea:unit></mwg-rs:Area></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>
</rdf:Description></rdf:RDF></x:xmpmeta>"#
        )
    };
    std::fs::write(format!("{}.xmp", photo.display()), sidecar("Person P001", "Face")).unwrap();
    std::fs::write(format!("{}.xmp", wall.display()), sidecar("Rex", "Pet")).unwrap();
    home.index();
    let import = || {
        let output = run(muster().args(["import", "--xmp", "--json", "--library"]).arg(home.library()), 0);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let told = import();
    assert_eq!((count(&told, "added"), count(&told, "faces")), (1, 1), "{told:#}");
    let added = in_photo(&home, "sideways.png");
    assert_eq!((added.len(), added[0]["name"].as_str()), (1, Some("Person P001")));
    assert_eq!(in_photo(&home, "wall.png"), Vec::<Value>::new(), "an animal is no face");
    let again = import();
    assert_eq!((count(&again, "added"), count(&again, "faces"), count(&again, "known")), (0, 0, 1), "{again:#}");
}
