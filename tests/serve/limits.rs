//! What is too much, too large, or not for this caller.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::blocking::Response;
use serde_json::{Value, json};

use crate::service::{Service, ok, refused};
use crate::support::{muster, run};
use crate::{copy, portraits};

#[test]
fn what_is_too_large_or_no_photo_is_refused_with_its_reason() {
    let library = copy();
    let service = Service::with(&library.path(), &[("MUSTER_SERVE__PHOTO_MEGABYTES", "1")]);
    let photo = std::fs::read(&portraits()[0].1[0]).unwrap();
    let post = |path: &str| service.client.post(format!("{}{path}", service.url));
    let sized = |bytes: usize| service.asking(vec![0; bytes]);
    for (what, request, expected) in [
        ("more bytes than are taken", sized((1 << 20) + 1), (413, "TOO_MANY_BYTES")),
        ("nothing", sized(0), (422, "EMPTY")),
        ("no photo", sized(1000), (415, "UNKNOWN_FORMAT")),
        ("half a photo", service.asking(photo[..photo.len() / 2].to_vec()), (422, "TRUNCATED")),
        ("text", post("/v1/recognize").header("content-type", "text/plain").body("x"), (415, "UNSUPPORTED_MEDIA_TYPE")),
        ("a limit", post("/v1/recognize?limit=99").body(photo.clone()), (422, "INVALID")),
        ("a query nobody knows", post("/v1/recognize?colour=red").body(photo.clone()), (422, "INVALID")),
        (
            "JSON that is none",
            post("/v1/people/merge").header("content-type", "application/json").body("{"),
            (400, "UNREADABLE"),
        ),
        ("JSON of another shape", post("/v1/people/merge").json(&json!({ "ids": 3 })), (422, "INVALID")),
        (
            "a form without its field",
            post("/v1/recognize").multipart(reqwest::blocking::multipart::Form::new().text("name", "x")),
            (422, "INVALID"),
        ),
        ("another method", service.client.put(format!("{}/v1/people", service.url)), (405, "METHOD_NOT_ALLOWED")),
        ("another page", service.client.get(format!("{}/v2/people", service.url)), (404, "NOT_FOUND")),
        ("no id", service.client.get(format!("{}/v1/people/7", service.url)), (404, "NOT_FOUND")),
    ] {
        let (status, code) = refused(request.send().unwrap());
        assert_eq!((status, code.as_str()), expected, "{what}");
    }
}

#[test]
fn more_photos_than_there_is_room_for_are_refused_and_those_inside_are_answered() {
    let library = copy();
    let settings = [("MUSTER_SERVE__REQUESTS", "3"), ("MUSTER_MODELS__LANES", "1")];
    let service = Service::with(&library.path(), &settings);
    let photo = std::fs::read(&portraits()[0].1[0]).unwrap();
    let statuses: Vec<(u16, Option<String>)> = std::thread::scope(|scope| {
        let ask = || {
            let answer = service.asking(photo.clone()).send().unwrap();
            let after = answer.headers().get("retry-after").map(|after| after.to_str().unwrap().to_owned());
            (answer.status().as_u16(), after)
        };
        let all: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|(status, _)| *status == wanted).count();
    assert!(count(200) >= 3 && count(429) >= 1 && count(200) + count(429) == 16, "{statuses:?}");
    assert!(statuses.iter().all(|(status, after)| (*status == 429) == after.is_some()), "{statuses:?}");
    // All places are free again.
    for _ in 0..4 {
        ok(service.asking(photo.clone()).send().unwrap());
    }
}

#[test]
fn a_caller_that_leaves_frees_its_place() {
    let library = copy();
    let service = Service::with(&library.path(), &[("MUSTER_SERVE__REQUESTS", "1")]);
    let photo = std::fs::read(&portraits()[0].1[0]).unwrap();
    let host = service.url.trim_start_matches("http://").to_owned();
    let head = format!(
        "POST /v1/recognize HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        photo.len()
    );
    // Holds the only place: its photo never comes to an end.
    let hold = || {
        let mut slow = TcpStream::connect(&host).unwrap();
        slow.write_all(head.as_bytes()).unwrap();
        slow.write_all(&photo[..100]).unwrap();
        slow.set_nonblocking(true).unwrap();
        // The service may look at it before it looks at the next.
        std::thread::sleep(Duration::from_millis(100));
        slow
    };
    let mut slow = hold();
    let begun = Instant::now();
    while service.asking(photo.clone()).send().unwrap().status() != 429 {
        assert!(begun.elapsed() < Duration::from_secs(300), "the slow one has no place");
        // It has an answer already: one of ours was inside when it came, and it was refused.
        if slow.peek(&mut [0]).is_ok() {
            slow = hold();
        }
    }
    drop(slow);
    let begun = Instant::now();
    while service.asking(photo.clone()).send().unwrap().status() != 200 {
        assert!(begun.elapsed() < Duration::from_secs(300), "the place of one who left is not free");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_photo_that_never_ends_is_given_up() {
    let library = copy();
    let service = Service::with(&library.path(), &[("MUSTER_SERVE__SECONDS", "1")]);
    let host = service.url.trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(&host).unwrap();
    let head =
        format!("POST /v1/recognize HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\n");
    slow.write_all(head.as_bytes()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = vec![0; 4096];
    let length = std::io::Read::read(&mut slow, &mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
}

/// Sends bytes, and returns the answer up to the end of the connection.
fn raw(service: &Service, request: &str) -> String {
    let mut stream = TcpStream::connect(service.url.trim_start_matches("http://")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_request_names_one_host_and_it_is_this_one() {
    let library = copy();
    let service = Service::start(&library.path());
    for (request, status) in [
        ("GET /v1/people HTTP/1.1\r\nHost: localhost\r\n", "200"),
        ("GET http://localhost/v1/people HTTP/1.1\r\nHost: localhost\r\n", "200"),
        ("GET http://evil.example/v1/people HTTP/1.1\r\nHost: localhost\r\n", "403"),
        ("GET /v1/people HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", "400"),
    ] {
        let answer = raw(&service, &format!("{request}Connection: close\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
    }
}

#[test]
fn connections_that_say_nothing_do_not_stop_the_service() {
    let library = copy();
    let service = Service::start(&library.path());
    let address = service.url.trim_start_matches("http://").to_owned();
    // More than the service takes at a time, and more than this process may have open is not needed.
    let silent: Vec<TcpStream> = (0..600).map_while(|_| TcpStream::connect(&address).ok()).collect();
    assert!(silent.len() >= 512, "{}", silent.len());
    ok(service.client.get(format!("{}/v1/people", service.url)).send().unwrap());
    // Half a head does not hold its end up either.
    let mut half = TcpStream::connect(&address).unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    let begun = Instant::now();
    assert_eq!(service.stop(), 0);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn pages_of_other_origins_may_ask_where_the_settings_name_them_and_with_a_key() {
    const PAGE: &str = "https://photos.example";
    let (library, other) = (copy(), copy());
    let refused = run(muster().args(["serve", "--library"]).arg(library.path()).env("MUSTER_SERVE__CORS", PAGE), 75);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("muster keys add"), "{refused:?}");
    let made = run(muster().args(["keys", "add", "page", "--role", "read", "--library"]).arg(library.path()), 0);
    let key = String::from_utf8(made.stdout).unwrap();
    for wrong in ["*", "https://photos.example/", "photos.example"] {
        let refused =
            run(muster().args(["serve", "--library"]).arg(library.path()).env("MUSTER_SERVE__CORS", wrong), 2);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("scheme, host and port"), "{refused:?}");
    }
    let (open, shut) = (Service::with(&library.path(), &[("MUSTER_SERVE__CORS", PAGE)]), Service::start(&other.path()));
    let preflight = |service: &Service, origin: &str| {
        let request = service.client.request(Method::OPTIONS, format!("{}/v1/recognize", service.url));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization").send().unwrap()
    };
    let told =
        |response: &Response, name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let asked = preflight(&open, PAGE);
    assert_eq!((asked.status().as_u16(), told(&asked, "access-control-allow-origin").as_deref()), (200, Some(PAGE)));
    assert!(told(&asked, "access-control-allow-headers").unwrap().contains("authorization"));
    assert_eq!(told(&preflight(&open, "https://elsewhere.example"), "access-control-allow-origin"), None);
    assert_eq!(told(&preflight(&shut, PAGE), "access-control-allow-origin"), None);
    let ask = |service: &Service, key: Option<&str>| {
        let request = service.client.get(format!("{}/v1/people", service.url)).header("origin", PAGE);
        key.into_iter().fold(request, |request, key| request.bearer_auth(key)).send().unwrap()
    };
    let answer = ask(&open, Some(key.trim()));
    assert_eq!((answer.status().as_u16(), told(&answer, "access-control-allow-origin").as_deref()), (200, Some(PAGE)));
    assert_eq!(ask(&open, None).status().as_u16(), 401, "a page needs a key as everybody does");
    // This one has no key, and lets no page of another origin in.
    let refused = ask(&shut, None);
    assert_eq!((refused.status().as_u16(), told(&refused, "access-control-allow-origin")), (403, None));
}

#[test]
fn keys_say_who_may_do_what() {
    let library = copy();
    let key = |name: &str, role: &str| {
        let made = run(muster().args(["keys", "add", name, "--role", role, "--library"]).arg(library.path()), 0);
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let (reader, writer) = (key("eye", "read"), key("hand", "write"));
    let service = Service::start(&library.path());
    let person = |with: &str| {
        let list = service.client.get(format!("{}/v1/people", service.url)).bearer_auth(with).send().unwrap();
        ok(list)["items"][0]["id"].as_str().unwrap().to_owned()
    };
    let id = person(&reader);
    let rename = |with: Option<&str>| {
        let patch = service.client.patch(format!("{}/v1/people/{id}", service.url)).json(&json!({ "name": "Ada" }));
        match with {
            Some(key) => patch.bearer_auth(key),
            None => patch,
        }
    };
    assert_eq!(refused(rename(None).send().unwrap()), (401, "UNAUTHORIZED".into()));
    assert_eq!(refused(rename(Some("muster_nothing")).send().unwrap()), (401, "UNAUTHORIZED".into()));
    assert_eq!(refused(rename(Some(&reader)).send().unwrap()), (403, "FORBIDDEN".into()));
    ok(rename(Some(&writer)).send().unwrap());
    // What a balancer and a browser need first.
    for path in ["/health/live", "/health/ready", "/openapi.json", "/"] {
        assert_eq!(service.client.get(format!("{}{path}", service.url)).send().unwrap().status(), 200, "{path}");
    }
    // A key that is taken back stops working, and a new one works, without a restart.
    run(muster().args(["keys", "remove", "hand", "--library"]).arg(library.path()), 0);
    let writer = key("hand", "write");
    let begun = Instant::now();
    while rename(Some(&writer)).send().unwrap().status() != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the new key does not work");
        std::thread::sleep(Duration::from_millis(100));
    }
    run(muster().args(["keys", "remove", "eye", "--library"]).arg(library.path()), 0);
    let begun = Instant::now();
    while service.client.get(format!("{}/v1/people", service.url)).bearer_auth(&reader).send().unwrap().status() != 401
    {
        assert!(begun.elapsed() < Duration::from_secs(60), "the removed key goes on working");
        std::thread::sleep(Duration::from_millis(100));
    }
    key("eye", "read");
    drop(service);
    let listed = run(muster().args(["keys", "--json", "--library"]).arg(library.path()), 0);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed, json!([{ "name": "hand", "role": "write" }, { "name": "eye", "role": "read" }]));
    // Off this machine there must be a key.
    for name in ["eye", "hand"] {
        run(muster().args(["keys", "remove", name, "--library"]).arg(library.path()), 0);
    }
    let open = run(muster().args(["serve", "--listen", "0.0.0.0:0", "--library"]).arg(library.path()), 75);
    assert!(String::from_utf8_lossy(&open.stderr).contains("muster keys add"), "{open:?}");
}

#[test]
fn a_caller_may_ask_so_often_in_a_minute() {
    let library = copy();
    let service = Service::with(&library.path(), &[("MUSTER_SERVE__REQUESTS_PER_MINUTE", "3")]);
    let ask = || service.client.get(format!("{}/v1/people", service.url)).send().unwrap();
    let statuses: Vec<u16> = (0..5).map(|_| ask().status().as_u16()).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(refused(ask()), (429, "RATE".into()));
}

#[test]
fn an_answer_is_not_sent_twice_and_a_request_not_done_twice() {
    let library = copy();
    let service = Service::start(&library.path());
    let people = service.client.get(format!("{}/v1/people", service.url)).send().unwrap();
    let tag = people.headers()["etag"].to_str().unwrap().to_owned();
    let id = ok(people)["items"][0]["id"].as_str().unwrap().to_owned();
    let again = service.client.get(format!("{}/v1/people", service.url)).header("if-none-match", &tag).send().unwrap();
    assert_eq!((again.status().as_u16(), again.text().unwrap().len()), (304, 0));
    let faces = service.all(&format!("/v1/people/{id}/faces"), 50);
    let body = json!({ "faces": [faces.last().unwrap()["id"]] });
    let split = || {
        let request = service.client.post(format!("{}/v1/people/{id}/split", service.url)).json(&body);
        request.header("idempotency-key", "once").send().unwrap()
    };
    let first = ok(split());
    let second = split();
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    assert_eq!(ok(second), first);
    // Another body of the same length is another request.
    let other = json!({ "faces": [faces[0]["id"]] });
    assert_eq!(other.to_string().len(), body.to_string().len());
    let request = service.client.post(format!("{}/v1/people/{id}/split", service.url)).json(&other);
    assert_eq!(refused(request.header("idempotency-key", "once").send().unwrap()), (422, "KEY_USED".into()));
    let undone = ok(service.client.post(format!("{}/v1/undo", service.url)).send().unwrap());
    assert_eq!(undone["said"], "undone");
    let nothing = service.client.post(format!("{}/v1/undo", service.url)).send().unwrap();
    assert_eq!(refused(nothing), (409, "NOTHING_TO_UNDO".into()), "it was said once");
    let other =
        service.client.post(format!("{}/v1/undo", service.url)).header("idempotency-key", "once").send().unwrap();
    assert_eq!(refused(other), (422, "KEY_USED".into()));
}

#[test]
fn a_photo_is_the_same_photo_in_every_format() {
    let library = copy();
    let service = Service::start(&library.path());
    let photo = &portraits()[0].1[0];
    let person = |answer: &Value| answer["faces"][0]["candidates"][0]["person"]["id"].as_str().unwrap().to_owned();
    let own = person(&service.recognize(photo));
    let ask = |photo: Vec<u8>, kind: &str| {
        let request = service.client.post(format!("{}/v1/recognize", service.url));
        ok(request.header("content-type", format!("image/{kind}")).body(photo).send().unwrap())
    };
    let decoded = turbojpeg::decompress(&std::fs::read(photo).unwrap(), turbojpeg::PixelFormat::RGB).unwrap();
    let (width, height) = (decoded.width as u32, decoded.height as u32);
    for extension in ["png", "webp"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("photo.{extension}"));
        image::save_buffer(&path, &decoded.pixels, width, height, image::ColorType::Rgb8).unwrap();
        let answer = ask(std::fs::read(&path).unwrap(), extension);
        assert_eq!((person(&answer), answer["width"].as_u64()), (own.clone(), Some(u64::from(width))), "{extension}");
    }
    // Four colours in quarters: nobody is in it.
    let heic = std::fs::read(crate::support::repository().join("tests/fixtures/quarters.heic")).unwrap();
    let answer = ask(heic, "heic");
    assert_eq!((&answer["width"], &answer["height"], &answer["faces"]), (&json!(64), &json!(48), &json!([])));
}
