//! Who asks whose faces are in a photo: each gets the answer to their own, or is told why there is none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Split, becomes, gallery, stack};
use crate::service::{ok, refused};
use crate::support::stack::Stack;

/// Which face of the gallery a photo's own face is: the one that is just the same.
fn itself(answer: &Value) -> BTreeSet<String> {
    let faces = answer["faces"].as_array().unwrap().iter();
    let nearest = faces.filter_map(|face| face["candidates"].get(0));
    let same = nearest.filter(|candidate| candidate["similarity"].as_f64().unwrap() > 0.995);
    same.map(|candidate| candidate["face"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn two_hundred_callers_have_their_own_answers_though_a_worker_dies_among_them() {
    const CALLERS: usize = 200;
    let split = Split::new(&stack());
    let portraits = split.runtime.block_on(gallery(&split.fleet));
    assert!(portraits.len() > 30, "{} portraits are in a group", portraits.len());
    // Two web servers, who share the queue of replies.
    let settings = [("MUSTER_SERVE__REQUESTS", "200"), ("MUSTER_SERVE__SECONDS", "500")];
    let webs = [split.web(&settings), split.web(&settings)];
    let (doomed, _other) = (std::sync::Mutex::new(Some(split.worker())), split.worker());
    let answered = AtomicUsize::new(0);
    let (portraits, webs, doomed, answered) = (&portraits, &webs, &doomed, &answered);
    let begun = Instant::now();
    let ask = |n: usize| {
        let (photo, own) = &portraits[n % portraits.len()];
        let asked = Instant::now();
        let response = webs[n % 2].asking(std::fs::read(photo).unwrap()).send().unwrap();
        let took = asked.elapsed();
        if answered.fetch_add(1, Ordering::SeqCst) == CALLERS / 5 {
            // Dropped: killed.
            drop(doomed.lock().unwrap().take());
        }
        // One worker is left, and the time limit is far longer than the lease of what the other held: nobody need be sent away.
        assert_eq!(itself(&ok(response)), *own, "caller {n} has another's answer");
        took
    };
    let ask = &ask;
    let longest = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|n| scope.spawn(move || ask(n))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).max()
    });
    println!("{CALLERS} answered in {:.1?}, the slowest in {:.1?}", begun.elapsed(), longest.unwrap());
    assert!(doomed.lock().unwrap().is_none(), "a worker was killed");
    split.clean();
    assert_eq!(split.depth(&split.fleet.dead_letters), (0, 0));
}

#[test]
fn what_cannot_be_answered_is_refused_with_its_reason_and_leaves_nothing_behind() {
    let split = Split::new(&stack());
    let portraits = split.runtime.block_on(gallery(&split.fleet));
    let photo = std::fs::read(&portraits[0].0).unwrap();
    let web = split.web(&[("MUSTER_SERVE__SECONDS", "3")]);
    // What a worker needs, and what a web server without people does.
    for (service, without, parts) in [
        ("recognition", &[][..], &["queue of requests", "bucket of photos", "bucket of answers", "mongodb"][..]),
        (
            "",
            &["QUEUE_URL", "GALLERY_IMAGES_MONGO_URI"],
            &["queue of responses", "bucket of photos", "bucket of answers"],
        ),
    ] {
        let mut check = split.muster();
        check.envs(without.iter().map(|name| (name, "")));
        let checked = check.env("SERVICE_TYPE", service).arg("check").output().unwrap();
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success(), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
        assert_eq!(text.contains("mongodb"), without.is_empty(), "{text}");
    }
    becomes(&Vec::new(), || [split.objects(&split.input), split.objects(&split.output)].concat());
    // Nobody works yet.
    let asked = Instant::now();
    assert_eq!(refused(web.asking(photo.clone()).send().unwrap()), (503, "TIMEOUT".into()));
    assert!((2.5..20.0).contains(&asked.elapsed().as_secs_f64()), "{:?}", asked.elapsed());
    // This caller leaves; the request stays in the queue, the photo does not.
    let left = web.asking(photo.clone()).timeout(Duration::from_secs(1)).send();
    assert!(left.unwrap_err().is_timeout());
    becomes(&Vec::new(), || split.objects(&split.input));
    assert_ne!(split.depth(&split.requests), (0, 0));
    // This one's server stops, and does not wait for ever.
    let stopping = split.web(&[("MUSTER_PIPELINE__DRAIN_SECONDS", "1")]);
    let request = stopping.asking(photo.clone());
    let caller = std::thread::spawn(move || request.send().unwrap());
    becomes(&1, || split.objects(&split.input).len());
    assert_eq!(stopping.stop(), 0);
    assert_eq!(refused(caller.join().unwrap()), (503, "STOPPING".into()));
    becomes(&Vec::new(), || split.objects(&split.input));
    // A letter that is no request is for a person to look at.
    let letter = [r#"{"bucket":"secrets","key":"all"}"#.to_owned()];
    split.runtime.block_on(split.fleet.send_to(&split.requests, letter));
    let (_worker, web) = (split.worker(), split.web(&[]));
    // The first answer waits for the models.
    becomes(&200, || web.asking(photo.clone()).send().unwrap().status().as_u16());
    let post = |query: &str, body: Vec<u8>| web.client.post(format!("{}/v1/recognize{query}", web.url)).body(body);
    for (what, request, expected) in [
        ("half a photo", post("", photo[..photo.len() / 2].to_vec()), (422, "TRUNCATED")),
        ("no photo", post("", vec![7; 100]), (415, "UNKNOWN_FORMAT")),
        ("a gallery that is none", post("?gallery=nobodys", photo.clone()), (404, "NOT_FOUND")),
        ("a name that is none", post("?gallery=a%2Fb", photo.clone()), (422, "INVALID")),
        ("indexing", web.client.get(format!("{}/v1/jobs", web.url)), (404, "NOT_FOUND")),
    ] {
        let (status, code) = refused(request.send().unwrap());
        assert_eq!((status, code.as_str()), expected, "{what}");
    }
    assert_eq!(web.get("/health/ready")["status"], "ok");
    assert_eq!(web.stop(), 0);
    split.clean();
    assert_eq!(split.depth(&split.fleet.dead_letters), (1, 0), "the letter that was none");
}

#[test]
fn a_purge_is_asked_for_twice_and_empties_what_was_named() {
    let split = Split::new(&stack());
    let web = split.web(&[]);
    let put = |bucket: &str, key: &str| {
        let put = split.fleet.s3.put_object().bucket(bucket).key(key).body(b"x".to_vec().into());
        split.runtime.block_on(put.send()).unwrap();
    };
    (0..3).for_each(|n| put(&split.input, &format!("requests/{n}")));
    put(&split.input, "elsewhere/0");
    put(&split.output, "answers/0.json");
    split.runtime.block_on(split.fleet.send_to(&split.requests, (0..2).map(|n| format!("letter {n}"))));
    let ask = |body: Value| web.client.post(format!("{}/v1/admin/purge", web.url)).json(&body).send().unwrap();
    let first = ok(ask(json!({ "stores": ["requests", "photos"] })));
    let counts: Vec<_> = first["content"].as_array().unwrap().iter().map(|c| c["count"].as_u64().unwrap()).collect();
    assert_eq!((counts, &first["done"]), (vec![2, 3], &json!(false)));
    assert_eq!((split.objects(&split.input).len(), split.depth(&split.requests)), (4, (2, 0)), "nothing is done yet");
    let word = first["confirm"].as_str().unwrap();
    for (what, body) in [
        ("another word", json!({ "stores": ["requests", "photos"], "confirm": "0".repeat(32) })),
        ("other stores", json!({ "stores": ["requests", "answers"], "confirm": word })),
        ("a word that was said", json!({ "stores": ["requests", "photos"], "confirm": word })),
    ] {
        assert_eq!(refused(ask(body)), (409, "NOT_CONFIRMED".into()), "{what}");
    }
    let again = ok(ask(json!({ "stores": ["photos", "requests"] })));
    let done = ok(ask(json!({ "stores": ["requests", "photos"], "confirm": again["confirm"] })));
    assert_eq!(done["done"], true);
    becomes(&(0, 0), || split.depth(&split.requests));
    assert_eq!(split.objects(&split.input), ["elsewhere/0"], "only what callers sent");
    assert_eq!(split.objects(&split.output), ["answers/0.json"], "nobody named it");
    assert_eq!(refused(ask(json!({ "stores": [] }))), (422, "INVALID".into()));
    let document = web.get("/openapi.json");
    let paths = document["paths"].as_object().unwrap();
    assert!(
        paths.contains_key("/v1/admin/purge") && paths.contains_key("/v1/people") && !paths.contains_key("/v1/jobs")
    );
}

#[test]
fn a_web_server_whose_queues_are_away_says_so_and_comes_back_with_them() {
    let stack = Arc::new(Stack::start(&["mongo", "redis", "aws"]));
    let split = Split::new(&stack);
    let web = split.web(&[]);
    let status = |path: &str| web.client.get(format!("{}{path}", web.url)).send().unwrap().status().as_u16();
    becomes(&200, || status("/health/ready"));
    stack.tell("stop", "aws");
    becomes(&503, || status("/health/ready"));
    assert_eq!(status("/health/live"), 200);
    assert_eq!(refused(web.asking(vec![1; 100]).send().unwrap()), (503, "UNAVAILABLE".into()));
    stack.tell("start", "aws");
    becomes(&200, || status("/health/ready"));
}
