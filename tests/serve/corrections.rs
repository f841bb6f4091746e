//! What people say over HTTP means what it means on the command line.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};

use crate::service::{Service, ok, refused};
use crate::support::{muster, photos, run};
use crate::{copy, portraits};

fn ids(list: &[Value]) -> Vec<&str> {
    list.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn names_merges_splits_and_moves_are_told_and_taken_back() {
    let library = copy();
    let service = Service::start(&library.path());
    let people = service.all("/v1/people", 3);
    assert!(people.len() >= 10, "{people:?}");
    let (one, two) = (people[0]["id"].as_str().unwrap(), people[1]["id"].as_str().unwrap());
    let person = |id: &str| service.get(&format!("/v1/people/{id}"));
    let before = (person(one), person(two));

    let renamed = service.client.patch(format!("{}/v1/people/{one}", service.url)).json(&json!({ "name": "Ada" }));
    assert_eq!(ok(renamed.send().unwrap())["renamed"], json!([{ "group": one, "name": "Ada" }]));
    assert_eq!(person(one)["name"], "Ada");
    assert_eq!(ids(&service.all("/v1/people?named=true", 10)), [one]);
    assert_eq!(ids(&service.all("/v1/people?q=aDa", 10)), [one]);

    let merged = service.post("/v1/people/merge", &json!({ "ids": [one, two] }));
    assert!(merged["events"].as_array().unwrap().iter().any(|event| event["event"] == "merged"), "{merged}");
    let whole = person(two);
    assert_eq!(whole["name"], "Ada", "either id leads to the whole");
    // A larger group may find faces that were nobody's.
    let both: u64 = [&before.0, &before.1].iter().map(|person| person["faces"].as_u64().unwrap()).sum();
    assert!(whole["faces"].as_u64().unwrap() >= both, "{whole}");
    service.post("/v1/undo", &json!(null));
    assert_eq!(person(two), before.1);

    let faces = service.all(&format!("/v1/people/{one}/faces"), 4);
    assert_eq!(faces.len() as u64, before.0["faces"].as_u64().unwrap());
    let chosen = ids(&faces)[faces.len() - 2..].to_vec();
    let split = service.post(&format!("/v1/people/{one}/split"), &json!({ "faces": chosen }));
    assert_eq!(split["said"], "split");
    let whose = |face: &str| service.get(&format!("/v1/faces/{face}"))["person"]["id"].clone();
    assert!(chosen.iter().all(|face| whose(face) != one), "{split}");
    let moved = service.post(&format!("/v1/people/{two}/move"), &json!({ "faces": chosen }));
    assert_eq!(moved["said"], "moved");
    assert!(chosen.iter().all(|face| whose(face) == two), "{moved}");
    for _ in 0..3 {
        service.post("/v1/undo", &json!(null));
    }
    assert_eq!((person(one), person(two)), before, "all of it was taken back");
    let undo = service.client.post(format!("{}/v1/undo", service.url)).send().unwrap();
    assert_eq!(refused(undo), (409, "NOTHING_TO_UNDO".into()));
    assert_eq!(service.stop(), 0);
}

#[test]
fn what_was_said_over_http_is_what_the_command_line_shows_and_survives_a_re_index() {
    let library = copy();
    let service = Service::start(&library.path());
    let person = service.all("/v1/people", 50).remove(0);
    let person = person["id"].as_str().unwrap();
    let faces = service.all(&format!("/v1/people/{person}/faces"), 50);
    let (a, b) = (faces[0]["id"].as_str().unwrap(), faces[1]["id"].as_str().unwrap());
    let why = service.get(&format!("/v1/faces/{a}/why/{b}"));
    assert!(why["together"].as_bool().unwrap() && !why["text"].as_str().unwrap().is_empty(), "{why}");
    service.post("/v1/faces/not-same", &json!({ "a": a, "b": b }));
    let apart = |service: &Service| {
        let of = |face: &str| service.get(&format!("/v1/faces/{face}"))["person"]["id"].clone();
        of(a) != of(b)
    };
    assert!(apart(&service));

    // Photos are found again, looked at, and grouped, as the page asks for it.
    let job = service.post("/v1/jobs", &json!({ "kind": "index" }));
    let mut events = String::new();
    let stream = service.client.get(format!("{}/v1/jobs/{}/events", service.url, job["id"]));
    // The whole job, not one answer.
    let stream = stream.timeout(Duration::from_secs(1200)).send().unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    { stream }.read_to_string(&mut events).unwrap();
    let last = events.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!((last["state"].as_str(), last["found"].as_u64()), (Some("done"), Some(63)), "{last}");
    assert!(apart(&service), "a person's word holds");

    let text =
        String::from_utf8(run(muster().args(["people", "explain", a, b, "--library"]).arg(library.path()), 0).stdout)
            .unwrap();
    assert!(text.contains("apart"), "{text}");
    assert_eq!(service.stop(), 0);
}

#[test]
fn photos_can_be_asked_about_while_photos_are_indexed() {
    let library = tempfile::tempdir().unwrap();
    drop(muster_library::Library::create(library.path()).unwrap());
    let mut command = muster();
    let listen = ["serve", "--listen", "127.0.0.1:0", "--library"];
    command.args(listen).arg(library.path()).arg(photos("gallery"));
    let service = Service::spawn(command);
    let ada = &portraits()[0].1;
    ok(service.enrol("Ada", &[&ada[0]]));
    let job = service.post("/v1/jobs", &json!({ "kind": "index" }));
    let path = format!("/v1/jobs/{}", job["id"]);
    let mut answers = 0;
    while service.get(&path)["state"] == "running" && answers < 20 {
        let found = service.recognize(&ada[1]);
        assert_eq!(found["faces"][0]["person"]["name"], "Ada", "{found}");
        answers += 1;
    }
    assert!(answers > 3, "photos were indexed too soon to tell");
    let second =
        service.client.post(format!("{}/v1/jobs", service.url)).json(&json!({ "kind": "index" })).send().unwrap();
    if second.status() != 202 {
        assert_eq!(refused(second), (409, "JOB_RUNNING".into()));
    } else {
        assert_ne!(service.get(&path)["state"], "running", "two at once");
    }
    // A service that is asked to stop hands back what is left.
    assert_eq!(service.stop(), 0);
}

/// The group of each face.
fn homes(service: &Service) -> BTreeMap<String, String> {
    let grouped = service.all("/v1/faces?in_group=true", 500);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    grouped.iter().map(|face| (text(&face["id"]), text(&face["person"]["id"]))).collect()
}

#[test]
fn a_face_that_leaves_its_group_makes_no_two_others_one() {
    let library = copy();
    let service = Service::start(&library.path());
    let before = homes(&service);
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    before.iter().for_each(|(face, group)| groups.entry(group).or_default().push(face));
    for group in groups.keys() {
        let best = service.all(&format!("/v1/people/{group}/faces"), 500).remove(0);
        service.post(&format!("/v1/people/{group}/split"), &json!({ "faces": [best["id"]] }));
        let after = homes(&service);
        // Where more than half of each group is now.
        let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, faces) in &groups {
            let here = |place: &str| faces.iter().filter(|face| after.get(**face).is_some_and(|p| p == place)).count();
            let most = faces.iter().filter_map(|face| after.get(*face)).find(|place| 2 * here(place) > faces.len());
            most.into_iter().for_each(|place| places.entry(place).or_default().push(id));
        }
        let merged: Vec<_> = places.values().filter(|ids| ids.len() > 1).collect();
        assert!(merged.is_empty(), "a face left {group}, and these became one: {merged:?}");
        service.post("/v1/undo", &json!(null));
        assert_eq!(homes(&service).len(), before.len(), "the undo");
    }
}
