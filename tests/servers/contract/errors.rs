//! Errors as the servers send them, and the class that each adapter gives them.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use mongodb::bson::{Document, doc};
use muster_actors::domain::exit::Remedy;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{Locator, RejectReason};
use muster_actors::errors::Class;
use muster_actors::errors::class::Classified;
use muster_actors::ports::faces::Faces;
use muster_actors::ports::objects::{Objects, ObjectsError};
use muster_actors::ports::queue::Queue;

use super::faces::{self, result};
use super::real::{stack, store};
use crate::support::fleet::clients;
use crate::support::moody::{Moody, Refusal};
use muster_aws::s3::{S3Bucket, S3Objects, When};
use muster_aws::sqs::{SqsQueue, Urls};

const THROTTLED: Class = Class::Throttled { retry_after: None };
const PERMISSION: Class = Class::Misconfigured(Remedy::Permission);
const SETTINGS: Class = Class::Misconfigured(Remedy::Settings);
// As S3 writes them ("Error responses", Amazon S3 API Reference).
const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
const DISABLED: &str = "<Error><Code>KMS.DisabledException</Code><Message>The key is disabled.</Message></Error>";

fn locator(bucket: &str, key: &str) -> Locator {
    Locator { gallery: GalleryId("g".into()), bucket: bucket.into(), key: key.into() }
}

/// A server fails in one way at a time.
static FAILING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A failure that mongod sends in the place of its next answer to an `update`, but only to `application`.
async fn fail_next(connection: &muster_stores::mongo::Connection, application: &str, data: Document) {
    let mut all = doc! { "failCommands": ["update"], "appName": application };
    all.extend(data);
    let admin = connection.faces.client().database("admin");
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": all }).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_the_server_ends_for_its_time_or_size_is_no_conflict() {
    let (connection, store) = store("mongo", "", "ended").await;
    let galleries = connection.faces.collection::<Document>("galleries");
    for (round, (code, staged)) in [(112, 0), (290, 2), (257, 4)].into_iter().enumerate() {
        faces::commit(&store, vec![result(&format!("{round}.jpg"), 1)]).await;
        let read = store.gallery(&faces::gallery()).await.unwrap();
        let made = faces::partition(read.faces.iter().map(|face| face.id).collect());
        let label = doc! { "errorCode": code, "errorLabels": ["TransientTransactionError"] };
        fail_next(&connection, "ended", label).await;
        // A conflict is tried again, the others are done in parts.
        store.save(&faces::gallery(), read.version, &made).await.unwrap();
        assert_eq!(store.gallery(&faces::gallery()).await.unwrap().previous, made.partition, "{code}");
        let gallery = galleries.find_one(doc! {}).await.unwrap().unwrap();
        assert_eq!(gallery.get_i64("partition").unwrap_or(0), staged, "{code}");
    }
}

#[tokio::test]
async fn each_failure_of_mongodb_has_its_class() {
    let _alone = FAILING.lock().await;
    // A name of its own: the servers are shared.
    let (connection, faces) = store("mongo", "", "errors").await;
    for (data, expected) in [
        (doc! { "errorCode": 91 }, Class::Transient),
        (doc! { "errorCode": 189, "errorLabels": ["RetryableWriteError"] }, Class::Transient),
        (doc! { "errorCode": 11600 }, Class::Transient),
        (doc! { "errorCode": 462, "errorLabels": ["SystemOverloadedError", "RetryableError"] }, THROTTLED),
        (doc! { "errorCode": 13 }, PERMISSION),
        (doc! { "errorCode": 59 }, SETTINGS),
        (doc! { "closeConnection": true }, Class::Transient),
        (doc! { "writeConcernError": { "code": 91, "errmsg": "Replication is being shut down" } }, Class::Transient),
    ] {
        fail_next(&connection, "errors", data.clone()).await;
        let error = faces.commit(vec![result("a.jpg", 1)]).await.unwrap_err();
        assert_eq!(error.class(), expected, "{data}: {error}");
        // The driver looks at the server again in its own time.
        let patience = std::time::Instant::now() + Duration::from_secs(30);
        while let Err(error) = faces.commit(vec![result("a.jpg", 1)]).await {
            assert!(error.class() == Class::Transient && std::time::Instant::now() < patience, "{data}: {error}");
        }
    }
}

/// A server may refuse a command as a whole for one thing in it, and for what has nothing to do with any document.
#[tokio::test]
async fn a_command_that_is_refused_as_a_whole_condemns_no_image() {
    let _alone = FAILING.lock().await;
    // What stands in for MongoDB 8 cannot be told to fail.
    for (command, metadata) in [("update", "huemn"), ("delete", "")] {
        let (connection, faces) = store("mongo", metadata, "refused").await;
        let admin = connection.faces.client().database("admin");
        let fail = async |mode: Document, code: i32| {
            let data = doc! { "failCommands": [command], "appName": "refused", "errorCode": code };
            admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data }).await.unwrap();
        };
        for code in [2, 9, 14] {
            let batch = || (0..20).map(|n| result(&format!("{code}/{n}.jpg"), 1)).collect::<Vec<_>>();
            fail(doc! { "times": 1 }, code).await;
            let outcomes = faces.commit(batch()).await.unwrap();
            assert!(outcomes.iter().all(Result::is_ok), "{command} {code}: {outcomes:?}");
            fail(doc! { "times": 1_000 }, code).await;
            let error = faces.commit(batch()).await.unwrap_err();
            admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await.unwrap();
            assert_eq!(error.class(), SETTINGS, "{command} {code}: {error}");
        }
    }
}

#[tokio::test]
async fn a_document_that_its_collection_refuses_fails_alone() {
    for (server, metadata) in [("mongo", "huemn"), ("mongo8", "")] {
        let (connection, faces) = store(server, metadata, "suite").await;
        faces.commit(vec![result("a.jpg", 1)]).await.unwrap();
        let rule = doc! { "collMod": "images", "validator": { "key": { "$ne": "bad.jpg" } } };
        connection.faces.run_command(rule).await.unwrap();
        let batch = ["a.jpg", "b.jpg", "bad.jpg", "c.jpg"].map(|key| result(key, 1));
        let outcomes = faces.commit(batch.to_vec()).await.unwrap();
        let classes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err().map(Classified::class)).collect();
        assert_eq!(classes, [None, None, Some(Class::Poison), None], "{server}");
    }
}

/// A server that gives one answer to everything.
async fn always(status: u16, body: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer =
        move || async move { (StatusCode::from_u16(status).unwrap(), [("content-type", "application/xml")], body) };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

#[tokio::test]
async fn each_answer_of_s3_has_its_class() {
    let get = async |url: &str, bucket: &str| {
        S3Objects::new(clients(url).await.s3, bucket).get(&locator(bucket, "none.jpg"), 100).await.unwrap_err()
    };
    // As S3 writes them ("Error responses", Amazon S3 API Reference).
    for (status, body, expected) in [
        (503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>", THROTTLED),
        (503, "<Error><Code>ServiceUnavailable</Code><Message>Please try again.</Message></Error>", Class::Transient),
        (500, "<Error><Code>InternalError</Code><Message>We encountered an error.</Message></Error>", Class::Transient),
        (403, DENIED, PERMISSION),
        (403, "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>", PERMISSION),
        (403, "<Error><Code>RequestTimeTooSkewed</Code><Message>no</Message></Error>", Class::Transient),
        (403, "<Error><Code>InvalidObjectState</Code><Message>archived</Message></Error>", Class::Poison),
        (301, "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>", SETTINGS),
        (400, "<Error><Code>KeyTooLongError</Code><Message>Your key is too long</Message></Error>", Class::Poison),
        (400, DISABLED, PERMISSION),
        (400, "<Error><Code>KMS.NotFoundException</Code><Message>no key</Message></Error>", PERMISSION),
        (400, "<Error><Code>SomethingNew</Code><Message>of tomorrow</Message></Error>", Class::Transient),
        (404, "<html>a balancer's page</html>", Class::Transient),
        (502, "<html>a balancer's page</html>", Class::Transient),
    ] {
        let error = get(&always(status, body).await, "b").await;
        assert_eq!(error.class(), expected, "{status} {body}: {error}");
    }
    let real = get(stack().url("aws"), "nobodys-bucket").await;
    assert_eq!(real.class(), SETTINGS, "{real}");
    // Nobody listens there: no machine gives out this port.
    let refused = get("http://127.0.0.1:1", "b").await;
    assert_eq!(refused.class(), Class::Transient, "{refused}");
    assert!(refused.to_string().contains("onnection refused"), "{refused}");
}

#[tokio::test]
async fn a_bucket_that_only_a_message_names_is_that_messages_fault() {
    let get = async |url: &str, bucket: &str| {
        let objects = S3Objects::new(clients(url).await.s3, "the-settings-bucket");
        objects.get(&locator(bucket, "none.jpg"), 100).await.unwrap_err()
    };
    for (status, body, expected) in [
        (404, "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>", Class::Poison),
        (301, "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>", Class::Poison),
        (400, "<Error><Code>AuthorizationHeaderMalformed</Code><Message>us-east-2</Message></Error>", Class::Poison),
        (403, DENIED, Class::Poison),
        (400, DISABLED, Class::Transient),
        (403, "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>", Class::Transient),
        (503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>", THROTTLED),
    ] {
        let error = get(&always(status, body).await, "another-bucket").await;
        assert_eq!(error.class(), expected, "{status} {body}: {error}");
    }
    for bucket in ["nobodys-bucket", "No Bucket At All"] {
        let real = get(stack().url("aws"), bucket).await;
        assert_eq!(real.class(), Class::Poison, "{real}");
    }
}

/// A bucket with a photo, and an adapter that reads it through a service whose mood may turn.
async fn readable(bucket: &str) -> (Moody, S3Objects) {
    let moody = Moody::calm(stack().url("aws")).await;
    let client = clients(moody.url()).await.s3;
    client.create_bucket().bucket(bucket).send().await.unwrap();
    client.put_object().bucket(bucket).key("good.jpg").body(b"x".to_vec().into()).send().await.unwrap();
    let objects = S3Objects::new(client, bucket);
    objects.get(&locator(bucket, "good.jpg"), 9).await.unwrap();
    (moody, objects)
}

#[tokio::test]
async fn one_forbidden_object_among_others_is_rejected() {
    let (moody, objects) = readable("some-forbidden").await;
    moody.refuse(Some(Refusal { times: usize::MAX, path: "a.jpg", status: 403, body: DENIED }));
    let mut reasons = Vec::new();
    for _ in 0..4 {
        match objects.get(&locator("some-forbidden", "a.jpg"), 9).await.unwrap_err() {
            ObjectsError::Rejected(rejection) => reasons.push(Some(rejection.reason)),
            ObjectsError::Failed { class, .. } => {
                assert_eq!(class, Class::Transient);
                reasons.push(None);
            }
        }
    }
    // Nobody else reads: what was read before is read again, to know.
    assert_eq!(reasons, [None, None, None, Some(RejectReason::Unreadable)]);
    objects.get(&locator("some-forbidden", "good.jpg"), 9).await.unwrap();
}

#[tokio::test]
async fn a_policy_or_a_key_that_breaks_after_the_first_success_is_no_objects_fault() {
    for (bucket, status, body) in [("policy-breaks", 403, DENIED), ("key-disabled", 400, DISABLED)] {
        let (moody, objects) = readable(bucket).await;
        moody.refuse(Some(Refusal { times: usize::MAX, path: "", status, body }));
        for n in 0..50 {
            let key = if n % 2 == 0 { "good.jpg".to_owned() } else { format!("{}.jpg", n % 3) };
            let error = objects.get(&locator(bucket, &key), 9).await.unwrap_err();
            assert_eq!(error.class(), Class::Transient, "{key}: {error}");
            let error = objects.head(&locator(bucket, &key), 9).await.unwrap_err();
            assert_eq!(error.class(), Class::Transient, "{key}: {error}");
        }
        moody.refuse(None);
        objects.get(&locator(bucket, "good.jpg"), 9).await.unwrap();
    }
}

#[tokio::test]
async fn a_write_without_a_condition_is_made_or_fails() {
    let moody = Moody::calm(stack().url("aws")).await;
    let client = clients(moody.url()).await.s3;
    client.create_bucket().bucket("written").send().await.unwrap();
    let bucket = S3Bucket::new(client, "written", "");
    let put = async |when: When| bucket.put("crop.jpg", b"x".to_vec().into(), "image/jpeg", None, when).await;
    let once = |status, body| moody.refuse(Some(Refusal { times: 1, path: "", status, body }));
    // A permission that was never there is missing.
    once(400, DISABLED);
    assert_eq!(put(When::Always).await.unwrap_err().class, PERMISSION);
    for (status, body) in [
        (409, "<Error><Code>OperationAborted</Code><Message>A conflicting operation</Message></Error>"),
        (409, "<Error><Code>ConditionalRequestConflict</Code><Message>A conflict</Message></Error>"),
        (412, "<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"),
    ] {
        once(status, body);
        assert_eq!(put(When::Always).await.unwrap_err().class, Class::Transient, "{body}");
        assert_eq!(put(When::Always).await, Ok(true), "{body}");
        once(status, body);
        assert_eq!(put(When::Absent).await, Ok(false), "{body}");
    }
    // It was allowed a moment ago: that is waited for.
    for (status, body) in [(400, DISABLED), (403, DENIED)] {
        once(status, body);
        assert_eq!(put(When::Always).await.unwrap_err().class, Class::Transient, "{body}");
    }
}

#[tokio::test]
async fn each_answer_of_sqs_has_its_class() {
    let receive = async |url: &str| {
        let urls = Urls { queue: format!("{url}/000000000000/none"), dead_letters: String::new() };
        let queue = SqsQueue::new(clients(url).await.sqs, urls, Duration::from_secs(30), Duration::ZERO);
        queue.receive(1).await.unwrap_err()
    };
    // As SQS writes them (its JSON protocol).
    for (status, body, expected) in [
        (400, r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"none"}"#, SETTINGS),
        (400, r#"{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow"}"#, THROTTLED),
        (400, r#"{"__type":"com.amazonaws.sqs#KmsThrottled","message":"slow"}"#, THROTTLED),
        (400, r#"{"__type":"com.amazonaws.sqs#KmsDisabled","message":"no"}"#, PERMISSION),
        (400, r#"{"__type":"com.amazonaws.sqs#SomethingNew","message":"no"}"#, Class::Transient),
        (400, r#"{"__type":"com.amazonaws.sqs#OverLimit","message":"120000 in flight"}"#, THROTTLED),
        (403, r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}"#, PERMISSION),
        (403, r#"{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"no"}"#, Class::Transient),
        (500, r#"{"__type":"com.amazon.coral.service#InternalFailure","message":"oops"}"#, Class::Transient),
    ] {
        let error = receive(&always(status, body).await).await;
        assert_eq!(error.class(), expected, "{status} {body}: {error}");
    }
    let real = receive(stack().url("aws")).await;
    assert_eq!(real.class(), SETTINGS, "{real}");
}
