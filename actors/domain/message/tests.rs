//! Every shape of message, and what is none.

use super::*;

fn intake() -> Intake {
    Intake {
        gallery: GalleryRule::Always(GalleryId("g".into())),
        results: "results/".into(),
        thumbnails: "thumbs/{key}".parse().ok(),
        removals: false,
    }
}

fn read(body: &str) -> Result<Message, RejectReason> {
    parse(body, &intake(), 4096).map_err(|rejection| rejection.reason)
}

fn images(of: &[(&str, &str, &str)]) -> Result<Message, RejectReason> {
    let locator = |(gallery, bucket, key): &(&str, &str, &str)| Locator {
        gallery: GalleryId((*gallery).into()),
        bucket: (*bucket).into(),
        key: (*key).into(),
    };
    Ok(Message::Images(
        of.iter().map(|of| ImageEvent { locator: locator(of), sequencer: None, removed: false }).collect(),
    ))
}

fn s3(version: &str, event: &str, key: &str) -> String {
    format!(
        r#"{{"eventVersion":"{version}","eventSource":"aws:s3","eventName":"{event}",
            "s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}","size":1}}}}}}"#
    )
}

#[test]
fn every_shape_of_message_is_read() {
    let one = |record: String| format!(r#"{{"Records":[{record}]}}"#);
    let put = "ObjectCreated:Put";
    for (body, expected) in [
        (r#"{"bucket":"b","key":"k +%41","gallery_id":"mine"}"#.into(), images(&[("mine", "b", "k +%41")])),
        (r#"{"bucket":"b","key":"k"}"#.into(), images(&[("g", "b", "k")])),
        (one(s3("2.1", put, "a+b%2Bc/%C3%A9.jpg")), images(&[("g", "b", "a b+c/é.jpg")])),
        (one(s3("99.7", put, "k")), images(&[("g", "b", "k")])),
        (
            one(s3("2.1", "ObjectRemoved:Delete", "k")),
            Ok(Message::Ignored("nothing was created, or a result or thumbnail")),
        ),
        (one(s3("2.1", put, "thumbs/k.jpg")), Ok(Message::Ignored("nothing was created, or a result or thumbnail"))),
        (one(s3("2.1", put, "results/k.json")), Ok(Message::Ignored("nothing was created, or a result or thumbnail"))),
        (
            r#"{"source":"aws.s3","detail-type":"Object Created",
                "detail":{"bucket":{"name":"b"},"object":{"key":"results/k"}}}"#
                .into(),
            Ok(Message::Ignored("a result or thumbnail")),
        ),
        (
            format!(r#"{{"Records":[{},{}]}}"#, s3("2.1", put, "k"), s3("2.1", put, "l")),
            images(&[("g", "b", "k"), ("g", "b", "l")]),
        ),
        (r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#.into(), Ok(Message::Ignored("s3:TestEvent"))),
        (
            r#"{"source":"aws.s3","detail-type":"Object Created",
                "detail":{"bucket":{"name":"b"},"object":{"key":"a+b"}}}"#
                .into(),
            images(&[("g", "b", "a+b")]),
        ),
        (
            r#"{"source":"aws.s3","detail-type":"Object Deleted","detail":{}}"#.into(),
            Ok(Message::Ignored("nothing was created")),
        ),
        (
            serde_json::json!({"Type": "Notification", "Message": one(s3("2.1", put, "k"))}).to_string(),
            images(&[("g", "b", "k")]),
        ),
    ] {
        assert_eq!(read(&body), expected, "{body}");
    }
}

#[test]
fn images_that_were_deleted_are_named_where_somebody_asks_for_them() {
    let intake = Intake { removals: true, ..intake() };
    let one = |record: String| format!(r#"{{"Records":[{record}]}}"#);
    let bridge = |kind: &str| {
        format!(
            r#"{{"source":"aws.s3","detail-type":"{kind}","detail":{{"bucket":{{"name":"b"}},"object":{{"key":"k"}}}}}}"#
        )
    };
    for (body, removed) in [
        (one(s3("2.1", "ObjectRemoved:Delete", "k")), Some(true)),
        (one(s3("2.1", "ObjectRemoved:DeleteMarkerCreated", "k")), Some(true)),
        (one(s3("2.1", "LifecycleExpiration:Delete", "k")), Some(true)),
        (one(s3("2.1", "ObjectRemoved:Delete", "results/k")), None),
        (one(s3("2.1", "ObjectRemoved:Delete", "thumbs/k")), None),
        (one(s3("2.1", "ObjectCreated:Put", "k")), Some(false)),
        (bridge("Object Deleted"), Some(true)),
        (bridge("Object Created"), Some(false)),
        (r#"{"bucket":"b","key":"k"}"#.to_owned(), Some(false)),
    ] {
        let named = match parse(&body, &intake, 4096).unwrap() {
            Message::Images(images) => Some(images[0].removed),
            Message::Ignored(_) => None,
        };
        assert_eq!(named, removed, "{body}");
    }
}

#[test]
fn an_event_says_where_it_stands_among_those_of_its_image() {
    let records =
        |object: &str| format!(r#"{{"Records":[{{"s3":{{"bucket":{{"name":"b"}},"object":{{{object}}}}}}}]}}"#);
    let bridge =
        |object: &str| format!(r#"{{"source":"aws.s3","detail":{{"bucket":{{"name":"b"}},"object":{{{object}}}}}}}"#);
    for (object, expected) in [
        (r#""key":"k","sequencer":"0055AED6DCD90281E5""#, Sequencer::new("0055AED6DCD90281E5")),
        (r#""key":"k""#, None),
        (r#""key":"k","sequencer":null"#, None),
        (r#""key":"k","sequencer":"no digits""#, None),
        (r#""key":"k","sequencer":7"#, None),
    ] {
        for body in [records(object), bridge(object)] {
            let Ok(Message::Images(images)) = read(&body) else { panic!("{body}") };
            assert_eq!(images[0].sequencer, expected, "{body}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_a_bad_message() {
    let long = format!(r#"{{"bucket":"b","key":"{}"}}"#, "k".repeat(5000));
    for body in [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        r#"{"bucket":"b"}"#,
        r#"{"bucket":"","key":"k"}"#,
        r#"{"Records":7}"#,
        r#"{"Records":[{"eventSource":"aws:sns"}]}"#,
        r#"{"Records":[{"eventSource":"aws:sqs","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}"#,
        r#"{"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"%4"}}}]}"#,
        r#"{"Records":[{"s3":{"bucket":{"name":"b"},"object":{"key":"%ff"}}}]}"#,
        r#"{"source":"aws.s3","detail-type":"Object Created"}"#,
        r#"{"Type":"Notification","Message":"not json"}"#,
        r#"{"bucket":"b","key":"k","gallery_id":""}"#,
        r#"{"bucket":"b","key":"k","gallery_id":"../other"}"#,
        r#"{"bucket":"b","key":"k","gallery_id":".."}"#,
        r#"{"bucket":"b","key":"k","gallery_id":"a\u0000b"}"#,
        &long,
    ] {
        assert_eq!(read(body), Err(RejectReason::BadMessage), "{body}");
    }
}

#[test]
fn a_grouping_message_names_its_gallery() {
    let read = |body: &str| parse_grouping(body, 4096).map_err(|rejection| rejection.reason);
    let mine = Ok(GalleryId("mine".into()));
    assert_eq!(read(r#"{"gallery_id":"mine"}"#), mine);
    assert_eq!(read(r#"{"Type":"Notification","Message":"{\"gallery_id\":\"mine\"}"}"#), mine);
    for body in ["", "{}", r#"{"gallery_id":7}"#, r#"{"gallery_id":"a/b"}"#, r#"{"bucket":"b","key":"k"}"#] {
        assert_eq!(read(body), Err(RejectReason::BadMessage), "{body}");
    }
}

#[test]
fn an_image_without_a_gallery_goes_where_the_rule_says() {
    let other = GalleryId("other".into());
    for (rule, key, gallery) in [
        (GalleryRule::Always(other.clone()), "wedding/1.jpg", "other"),
        (GalleryRule::FirstFolder(other.clone()), "wedding/a/1.jpg", "wedding"),
        (GalleryRule::FirstFolder(other.clone()), "1.jpg", "other"),
        (GalleryRule::FirstFolder(other), "/1.jpg", "other"),
    ] {
        assert_eq!(rule.of(key).0, gallery, "{rule:?} {key}");
    }
}
