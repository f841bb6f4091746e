//! Jobs that change the model of a library and tell of missing photos, and faces that a caller adds.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::service::{Service, ok, refused};
use crate::support::{self, export, index, muster, photos};
use crate::{copy, copy_into, portraits};

/// Waits for the end of a job, over a change of the service's parts.
fn end_of(service: &Service, job: &Value) -> Value {
    let path = format!("/v1/jobs/{}", job["id"]);
    for _ in 0..3_000 {
        let job = service.get(&path);
        if job["state"] != "running" {
            return job;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the job does not end");
}

/// A home with the models of the tests, and with the default pack under another name.
fn home_with_another_pack(folder: &Path) {
    copy_into(&support::home(), folder);
    let pack = folder.join("models/other");
    copy_into(&folder.join("models/open"), &pack);
    let manifest = pack.join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert!(text.contains("name = \"open\""), "{text}");
    std::fs::write(&manifest, text.replace("name = \"open\"", "name = \"other\"")).unwrap();
}

#[test]
fn a_service_changes_the_model_in_the_background_and_keeps_everybody() {
    let (library, home) = (copy(), tempfile::tempdir().unwrap());
    home_with_another_pack(home.path());
    let start = || {
        let mut command = muster();
        command.args(["serve", "--listen", "127.0.0.1:0", "--library"]).arg(library.path());
        command.arg(library.folder.path().join("demo")).env("MUSTER_HOME", home.path());
        Service::spawn(command)
    };
    let service = start();
    let person = service.all("/v1/people", 50).remove(0);
    let id = person["id"].as_str().unwrap();
    service.client.patch(format!("{}/v1/people/{id}", service.url)).json(&json!({ "name": "Ada" })).send().unwrap();
    let model = || serde_json::from_slice::<Value>(&export(&library.path())).unwrap()["images"][0]["model"].clone();
    assert_eq!(model(), "open@1");
    for (order, code) in [
        (json!({ "kind": "model" }), "INVALID"),
        (json!({ "kind": "index", "model": "other" }), "INVALID"),
        (json!({ "kind": "model", "model": "nowhere" }), "BAD_MODEL"),
        (json!({ "kind": "model", "model": "../models/other" }), "BAD_MODEL"),
        (json!({ "kind": "model", "model": "open" }), "BAD_MODEL"),
    ] {
        let answer = service.client.post(format!("{}/v1/jobs", service.url)).json(&order).send().unwrap();
        assert_eq!(refused(answer), (422, code.to_owned()), "{order}");
    }
    let portrait = &portraits()[0].1[0];
    let job = service.post("/v1/jobs", &json!({ "kind": "model", "model": "other" }));
    // Callers have answers at all times: of the old model, and then of the new one.
    let mut answers = 0;
    while service.get(&format!("/v1/jobs/{}", job["id"]))["state"] == "running" {
        let found = service.recognize(portrait);
        assert_eq!(found["faces"].as_array().unwrap().len(), 1, "{found}");
        answers += 1;
    }
    let job = end_of(&service, &job);
    assert_eq!((job["state"].as_str(), job["kind"].as_str()), (Some("done"), Some("model")), "{job}");
    assert!(answers > 0 && job["detail"].as_str().unwrap().contains("The model is other@1 now"), "{job}");
    let found = service.recognize(portrait);
    assert_eq!((model(), found["model"].as_str()), (json!("other@1"), Some("other@1")), "{found}");
    let after = service.get(&format!("/v1/people/{id}"));
    assert_eq!((after["name"].as_str(), &after["faces"]), (Some("Ada"), &person["faces"]));
    assert_eq!(service.stop(), 0);
    // A library stays with its model, whatever the default is.
    let service = start();
    assert_eq!(service.recognize(portrait)["model"], "other@1");
    assert_eq!(end_of(&service, &service.post("/v1/jobs", &json!({ "kind": "index" })))["state"], "done");
    assert_eq!(model(), "other@1");
}

#[test]
fn an_index_job_with_another_pack_than_the_librarys_mixes_no_models() {
    let (library, home) = (copy(), tempfile::tempdir().unwrap());
    home_with_another_pack(home.path());
    let mut command = muster();
    command.args(["serve", "--listen", "127.0.0.1:0", "--library"]).arg(library.path());
    command.arg(library.folder.path().join("demo"));
    command.env("MUSTER_HOME", home.path()).env("MUSTER_MODELS__PACK", "other");
    let service = Service::spawn(command);
    // A round alone would write the new photo's faces among those of the other model.
    std::fs::copy(&portraits()[0].1[0], library.folder.path().join("demo/new.jpg")).unwrap();
    let job = end_of(&service, &service.post("/v1/jobs", &json!({ "kind": "index" })));
    assert_eq!(job["state"], "done", "{job}");
    assert!(job["detail"].as_str().is_some_and(|detail| detail.contains("other@1 now, and was open@1")), "{job}");
    let exported: Value = serde_json::from_slice(&export(&library.path())).unwrap();
    let models: BTreeSet<&str> =
        exported["images"].as_array().unwrap().iter().map(|image| image["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["other@1"].into());
    let found = service.recognize(&portraits()[0].1[0]);
    assert_eq!(found["model"], "other@1", "{found}");
}

#[test]
fn a_job_tells_of_missing_photos_and_takes_them_out_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    copy_into(&photos("demo").join("P001"), &pictures);
    index(&pictures, &folder.path().join("library"));
    let service = Service::start(&folder.path().join("library"));
    let known = service.get("/v1/totals")["images"].as_u64().unwrap();
    std::fs::remove_dir_all(&pictures).unwrap();
    std::fs::create_dir(&pictures).unwrap();
    let job = end_of(&service, &service.post("/v1/jobs", &json!({ "kind": "index" })));
    assert_eq!((&job["missing"][0]["missing"], &job["missing"][0]["cause"]), (&json!(known), &json!("all_gone")));
    assert_eq!(service.get("/v1/totals")["images"], known);
    let order = json!({ "kind": "index", "accept_removals": true });
    let job = end_of(&service, &service.post("/v1/jobs", &order));
    assert_eq!((job["state"].as_str(), &job["missing"]), (Some("done"), &json!([])));
    assert_eq!(service.get("/v1/totals")["images"], 0);
}

#[test]
fn a_caller_adds_a_face_that_was_not_found() {
    let library = copy();
    let service = Service::start(&library.path());
    let wall = service.all("/v1/photos", 50).into_iter().find(|photo| photo["path"].to_string().contains("brick"));
    let wall = wall.expect("a photo without faces");
    let id = wall["id"].as_str().unwrap();
    let side = wall["width"].as_u64().unwrap() / 2;
    let add =
        |body: &Value| service.client.post(format!("{}/v1/photos/{id}/faces", service.url)).json(body).send().unwrap();
    let drawn = json!({ "x": side / 2, "y": side / 2, "width": side, "height": side });
    for (body, refusal) in [
        (json!({ "box": { "x": 0, "y": 0, "width": 3, "height": 30 } }), (422, "BAD_BOX")),
        (json!({ "box": drawn, "name": " " }), (422, "BAD_NAME")),
        (json!({ "box": drawn, "name": "Ada", "person": "0".repeat(32) }), (422, "INVALID")),
        (json!({ "box": drawn, "person": "0".repeat(32) }), (404, "NOT_FOUND")),
    ] {
        assert_eq!(refused(add(&body)), (refusal.0, refusal.1.to_owned()), "{body}");
    }
    let added = ok(add(&json!({ "box": drawn, "name": "Ada" })));
    let face = service.get(&format!("/v1/faces/{}", added["face"].as_str().unwrap()));
    assert_eq!((face["person"]["name"].as_str(), face["confirmed"].as_bool()), (Some("Ada"), Some(true)), "{face}");
    assert_eq!(service.get(&format!("/v1/photos/{id}"))["faces"].as_array().unwrap().len(), 1);
    // The same box again is the same face; another name for it is that person's.
    let again = ok(add(&json!({ "box": drawn, "name": "Ada" })));
    assert_eq!((&again["face"], &again["change"]), (&added["face"], &Value::Null), "{again}");
    let person = &service.all("/v1/people", 50)[0]["id"];
    let moved = ok(add(&json!({ "box": drawn, "person": person })));
    assert_eq!(moved["moved"][0]["to"], *person, "{moved}");
}
