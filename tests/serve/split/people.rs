//! The people of a fleet, over the API and in the page.

use std::collections::BTreeSet;
use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::{Value, json};

use super::{Split, becomes, gallery, stack};
use crate::page::browse;
use crate::service::{Service, ok, refused};

/// Ids of faces.
fn ids(faces: &[Value]) -> BTreeSet<String> {
    faces.iter().map(|face| face["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn people_of_a_fleet_are_named_merged_split_and_forgotten_as_those_of_a_library() {
    let split = Split::new(&stack());
    let portraits = split.runtime.block_on(gallery(&split.fleet));
    let (web, other) = (split.web(&[]), split.web(&[("MUSTER_SERVE__GALLERY", "")]));
    let _worker = split.worker();
    let people = web.all("/v1/people", 3);
    let groups = split.runtime.block_on(split.fleet.people()).into_iter().filter(|group| group.len() > 1).count();
    assert_eq!(people.len(), groups, "{people:#?}");
    let path = |person: &Value, rest: &str| format!("/v1/people/{}{rest}", person["id"].as_str().unwrap());
    let faces = |person: &Value| web.all(&path(person, "/faces"), 4);
    let (ada, bob) = (&people[0], &people[1]);
    let (adas, bobs) = (faces(ada), faces(bob));
    assert_eq!((ada["faces"].as_u64().unwrap(), ids(&adas).len()), (adas.len() as u64, adas.len()));
    let patch = |web: &Service, person: &Value, gallery: &str, name: &str| {
        let url = format!("{}{}{gallery}", web.url, path(person, ""));
        ok(web.client.patch(url).json(&json!({ "name": name })).send().unwrap())
    };
    // Two servers, at the same time; one of them is told which gallery.
    std::thread::scope(|scope| {
        scope.spawn(|| patch(&web, ada, "", "Ada"));
        scope.spawn(|| patch(&other, bob, "?gallery=demo", "Bob"));
    });
    assert_eq!(
        (web.get(&path(ada, ""))["name"].as_str(), web.get(&path(bob, ""))["name"].as_str()),
        (Some("Ada"), Some("Bob"))
    );
    let published = || split.runtime.block_on(split.fleet.published_groups("demo")).1;
    // Where others read the groups, a moment later.
    becomes(&json!(true), || json!(published().iter().any(|group| group["name"] == "Ada")));
    let own = portraits.iter().find(|(_, faces)| ids(&adas).is_superset(faces)).unwrap();
    becomes(&json!("Ada"), || web.recognize(&own.0)["faces"][0]["person"]["name"].clone());

    // What is said moves what it names, and taken back nothing is moved.
    let one = json!({ "faces": [adas[0]["id"]] });
    let moved = |told: &Value, face: &Value| {
        let moved = told["moved"].as_array().unwrap().iter().find(|moved| moved["face"] == face["id"]);
        moved.unwrap_or_else(|| panic!("it did not move: {told:#}"))["to"].clone()
    };
    let told = web.post(&path(ada, "/split"), &one);
    assert_eq!(told["said"], "split");
    assert_ne!(moved(&told, &adas[0]), ada["id"]);
    assert!(!ids(&faces(ada)).contains(adas[0]["id"].as_str().unwrap()));
    web.post("/v1/undo", &json!({}));
    assert_eq!(ids(&faces(ada)), ids(&adas));
    let told = web.post("/v1/people/merge", &json!({ "ids": [ada["id"], bob["id"]] }));
    assert_eq!(told["said"], "merged");
    assert_eq!(web.get(&path(bob, ""))["id"], ada["id"], "an id leads where its faces went");
    assert_eq!(ids(&faces(ada)), &ids(&adas) | &ids(&bobs));
    web.post("/v1/undo", &json!({}));
    assert_eq!((ids(&faces(ada)), ids(&faces(bob))), (ids(&adas), ids(&bobs)));
    let told = web.post(&path(bob, "/move"), &one);
    assert_eq!(moved(&told, &adas[0]), bob["id"]);
    web.post("/v1/undo", &json!({}));

    // It survives the workers' next grouping.
    web.post("/v1/faces/not-same", &json!({ "a": adas[0]["id"], "b": adas[1]["id"] }));
    let message = json!({ "gallery_id": "demo" }).to_string();
    split.runtime.block_on(split.fleet.send_to(&split.fleet.galleries, [message]));
    split.fleet.work("group");
    let whose = |face: &Value| web.get(&format!("/v1/faces/{}", face["id"].as_str().unwrap()))["person"]["id"].clone();
    assert_ne!(whose(&adas[0]), whose(&adas[1]));
    let why = format!("/v1/faces/{}/why/{}", adas[0]["id"].as_str().unwrap(), adas[1]["id"].as_str().unwrap());
    assert!(web.get(&why)["text"].as_str().unwrap().contains("said"), "{}", web.get(&why));

    let crop = web.client.get(format!("{}/v1/faces/{}/crop", web.url, bobs[0]["id"].as_str().unwrap())).send().unwrap();
    assert_eq!(crop.bytes().unwrap()[..3], [0xff, 0xd8, 0xff], "a JPEG");
    let all = web.all("/v1/photos", 7);
    assert_eq!(web.get("/v1/totals")["images"], all.len());
    assert_eq!(web.get("/v1/galleries")["items"], json!([{ "id": "demo" }]));
    let photo = web.get(&format!("/v1/photos/{}", bobs[0]["photo"].as_str().unwrap()));
    assert!(photo["faces"].as_array().unwrap().iter().any(|face| face["id"] == bobs[0]["id"]));
    let delete = |path: &str| web.client.delete(format!("{}{path}", web.url)).send().unwrap();
    let receipt = ok(delete(&format!("/v1/photos/{}", photo["id"].as_str().unwrap())));
    assert_eq!((receipt["images"].as_u64(), receipt["regrouped"].as_bool()), (Some(1), Some(true)), "{receipt:#}");
    let receipt = ok(delete(&path(ada, "")));
    assert!(receipt["faces"].as_u64() > Some(0), "{receipt:#}");
    // Faces that were taken out of the group before may have become one of its name: the receipt says so.
    if !receipt["appeared"].as_array().unwrap().contains(&ada["id"]) {
        assert_eq!(refused(delete(&path(ada, ""))), (404, "NOT_FOUND".into()));
    }
    assert_eq!(
        refused(other.client.get(format!("{}/v1/people", other.url)).send().unwrap()),
        (422, "WHICH_GALLERY".into())
    );
    let nobodys = web.client.get(format!("{}/v1/people?gallery=nobodys", web.url)).send().unwrap();
    assert_eq!(refused(nobodys), (404, "NOT_FOUND".into()));
}

#[test]
fn what_is_said_of_a_gallery_that_changes_all_the_time_is_noted_and_the_workers_group_by_it() {
    let split = Split::new(&stack());
    split.runtime.block_on(gallery(&split.fleet));
    let web = split.web(&[]);
    let ada = web.get("/v1/people?limit=1")["items"][0].clone();
    let (path, body) = (format!("{}/v1/people/{}", web.url, ada["id"].as_str().unwrap()), json!({ "name": "Ada" }));
    let database = split.runtime.block_on(split.fleet.database("gallery_images"));
    let changing = split.runtime.spawn(async move {
        let galleries = database.collection::<Document>("galleries");
        loop {
            // As every bulk of a worker does.
            let raised = galleries.update_one(doc! { "_id": "demo" }, doc! { "$inc": { "generation": 1i64 } });
            raised.await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    let told = ok(web.client.patch(&path).json(&body).send().unwrap());
    assert_eq!((told["said"].as_str(), told["moved"].as_array().unwrap().len()), (Some("named"), 0), "{told:#}");
    changing.abort();
    split.fleet.work("group");
    assert_eq!(ok(web.client.get(&path).send().unwrap())["name"], "Ada");
    ok(web.client.post(format!("{}/v1/undo", web.url)).send().unwrap());
    assert_eq!(ok(web.client.get(&path).send().unwrap())["name"], Value::Null);
}

#[test]
fn the_page_of_a_fleet_does_what_people_come_for() {
    let split = Split::new(&stack());
    split.runtime.block_on(gallery(&split.fleet));
    let (web, _worker) = (split.web(&[]), split.worker());
    let page = web.client.get(&web.url).send().unwrap().text().unwrap();
    assert!(page.contains("<body class=\"fleet\">"), "it offers no indexing");
    let checks = [
        "upload", "rename", "merge", "split", "move", "no group", "keyboard", "hostile", "by state", "forget",
        "console",
    ];
    browse(&web, "page-fleet", &checks);
}
