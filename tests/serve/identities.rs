//! Who is who: people that were enrolled by one photo, and people that were not.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::portraits;
use crate::service::{Service, ok, refused};
use crate::support::photos;

/// The name of the face that fills most of a photo; `None` where nobody is named.
fn name(answer: &Value) -> Option<String> {
    let faces = answer["faces"].as_array().unwrap();
    let area = |face: &Value| face["box"]["width"].as_f64().unwrap() * face["box"]["height"].as_f64().unwrap();
    let largest = faces.iter().max_by(|a, b| area(a).total_cmp(&area(b)))?;
    let known = largest["verdict"] == "known";
    known.then(|| largest["person"]["name"].as_str().unwrap().to_owned())
}

fn empty_library() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    drop(muster_library::Library::create(folder.path()).unwrap());
    folder
}

#[test]
fn people_enrolled_by_one_photo_are_recognised_in_others_and_strangers_are_not() {
    let library = empty_library();
    let service = Service::start(library.path());
    let people = portraits();
    let (enrolled, strangers) = people.split_at(7);
    for (person, files) in enrolled {
        let answer = ok(service.enrol(person, &[&files[0]]));
        assert_eq!((answer["name"].as_str(), answer["faces"].as_u64()), (Some(person.as_str()), Some(1)));
    }
    let mut right = 0;
    let mut wrong = BTreeMap::new();
    for (person, files) in enrolled {
        for file in &files[1..] {
            match name(&service.recognize(file)) {
                Some(found) if found == *person => right += 1,
                found => drop(wrong.insert(file.clone(), found)),
            }
        }
    }
    println!("enrolled by one photo: {right} of 21 others right, {wrong:?}");
    assert!(wrong.values().all(Option::is_none), "nobody is called by another's name: {wrong:?}");
    assert!(right * 100 >= 21 * 95, "{right} of 21: {wrong:?}");

    let mut asked = 0;
    let folder = photos("gallery");
    let crowd = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).step_by(2);
    let crowd = crowd.filter(|file| file.extension().is_some_and(|e| e == "jpg"));
    let others: Vec<_> = strangers.iter().flat_map(|(_, files)| files.clone()).chain(crowd).collect();
    for file in others {
        let answer = service.recognize(&file);
        for face in answer["faces"].as_array().unwrap() {
            asked += 1;
            assert_ne!(face["verdict"], "known", "{} is called {}", file.display(), face["person"]);
        }
    }
    println!("{asked} faces of people who were not enrolled, none named");
    assert!(asked > 50, "{asked}");
}

#[test]
fn all_ten_are_told_apart() {
    let library = empty_library();
    let service = Service::start(library.path());
    let people = portraits();
    for (person, files) in &people {
        ok(service.enrol(person, &[&files[0]]));
    }
    let asked = people.iter().flat_map(|(person, files)| files[1..].iter().map(move |file| (person, file)));
    let answers: Vec<_> = asked.map(|(person, file)| (person, name(&service.recognize(file)))).collect();
    let right = answers.iter().filter(|(person, found)| found.as_ref() == Some(person)).count();
    let wrong = answers.iter().filter(|(person, found)| found.as_ref().is_some_and(|found| found != *person)).count();
    println!("ten people: {right} of {} right, {wrong} wrong", answers.len());
    assert_eq!((answers.len(), wrong), (30, 0), "{answers:?}");
    assert!(right >= 29, "{answers:?}");
}

#[test]
fn an_enrolment_wants_one_good_face_and_a_new_name() {
    let library = empty_library();
    let service = Service::start(library.path());
    let people = portraits();
    let (ada, ben) = (&people[0].1, &people[1].1);
    let coffee = photos("demo").join("coffee.png");
    let sheet = std::fs::read_dir(photos("demo").join("P001")).unwrap().map(|file| file.unwrap().path());
    let sheet = sheet.into_iter().find(|file| file.to_string_lossy().contains("sheet")).unwrap();
    for (photos, name, expected) in [
        (vec![coffee.as_path()], "Ada", (422, "NO_FACE")),
        (vec![&ada[0], &sheet], "Ada", (422, "SEVERAL_FACES")),
        (vec![&ada[0]], " ", (422, "INVALID")),
        (vec![&ada[0]], "A\nda", (422, "BAD_NAME")),
        (vec![], "Ada", (422, "INVALID")),
    ] {
        let (status, code) = refused(service.enrol(name, &photos));
        assert_eq!((status, code.as_str()), expected, "{photos:?} {name:?}");
    }
    assert_eq!(service.all("/v1/people", 10).len(), 0, "nothing is kept of what was refused");
    let first = ok(service.enrol("Ada", &[&ada[0], &ada[1]]));
    assert_eq!((first["faces"].as_u64(), first["photos"].as_u64()), (Some(2), Some(2)));
    assert_eq!(refused(service.enrol("Ben", &[&ada[2]])), (409, "SOMEBODY_ELSE".into()));
    // The same photo again changes nothing, another of the same person adds to her.
    let again = ok(service.enrol("Ada", &[&ada[0]]));
    assert_eq!((&again["id"], again["faces"].as_u64()), (&first["id"], Some(2)));
    let more = ok(service.enrol("Ada", &[&ada[2]]));
    assert_eq!((&more["id"], more["faces"].as_u64()), (&first["id"], Some(3)));
    assert_ne!(ok(service.enrol("Ben", &[&ben[0]]))["id"], first["id"]);
    // Whose photo was forgotten is not known any more, and may be enrolled anew.
    let gone: Value = ok(service
        .client
        .delete(format!("{}/v1/people/{}", service.url, first["id"].as_str().unwrap()))
        .send()
        .unwrap());
    assert_eq!((gone["faces"].as_u64(), gone["rewritten"].as_bool()), (Some(3), Some(true)), "{gone}");
    assert_eq!(name(&service.recognize(Path::new(&ada[0]))), None);
    assert_eq!(ok(service.enrol("Ada", &[&ada[0]]))["faces"], 1);
    assert_eq!(name(&service.recognize(Path::new(&ada[0]))).as_deref(), Some("Ada"));
}
