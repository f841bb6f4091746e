//! Checks the services that a fleet's worker depends on: whether they can be reached and used, have indexes, and keep time.

use std::time::{Duration, SystemTime};

use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use muster_actors::domain::exit::{Exit, Remedy};
use muster_actors::errors::Class;

use crate::cli::finding::Finding;
use muster_aws::classify::{Fault, fault};
use muster_aws::clients::Clients;
use muster_aws::s3::{S3Bucket, When};
use muster_config::{Buckets, Layout, Settings};
use muster_stores::mongo::{Connection, MongoFaces, Uris};
use muster_stores::redis::Cache;
use muster_worker::fleet::FleetError;
use muster_worker::recognition::wire_protocol::{ANSWERS, PHOTOS};

/// Amazon refuses requests that are signed this far from its own time.
const SKEW: Duration = Duration::from_secs(300);
const CLOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// What is written to try whether it may be.
const PROBE: &str = "galleries/.muster-check";
/// The same among crops and results of many photos, which a policy may name apart.
const PACKS_PROBE: &str = "packs/.muster-check";
const NOBODYS: &str = "muster-check";

fn is_forbidden(fault: &Fault) -> bool {
    matches!(fault.class, Class::Misconfigured(Remedy::Permission))
}

/// Whether these settings are a fleet's.
pub fn is_fleet(settings: &Settings) -> bool {
    let Settings { queues, buckets, mongo, .. } = settings;
    !(queues.images.is_empty()
        && queues.galleries.is_empty()
        && queues.requests.is_empty()
        && buckets.images.is_empty()
        && buckets.groups.is_empty()
        && mongo.gallery_images.is_empty())
}

/// Tries everything.
pub fn findings(settings: &Settings) -> Vec<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(all(settings)),
        Err(error) => vec![Finding::broken("runtime", &error, "free some threads", 70)],
    }
}

async fn all(settings: &Settings) -> Vec<Finding> {
    let aws = Clients::new(settings).await;
    let Settings { queues, buckets, .. } = settings;
    let mut findings = vec![clock(settings).await];
    let service = settings.fleet.service.as_str();
    // A web server in front of workers is no worker itself.
    let web = service.is_empty() && queues.images.is_empty() && !queues.requests.is_empty();
    // A worker that groups has nothing to do with images: its role need not reach them. Nor has one that answers callers.
    let answers = service == "recognition";
    let (detects, tier) = (!web && !answers && service != "grouping", web || answers);
    for (needed, what, url, variable, reads) in [
        (detects, "queue of images", &queues.images, "QUEUE_URL", true),
        (!tier, "queue of galleries", &queues.galleries, "GROUP_FACE_QUEUE_URL", service != "detection"),
        (tier, "queue of requests", &queues.requests, "REQUEST_QUEUE_URL", answers),
        (tier, "queue of responses", &queues.responses, "RESPONSE_QUEUE_URL", web),
        (!web, "dead letters", &queues.dead_letters, "DEAD_LETTER_QUEUE_URL", false),
    ] {
        if needed {
            findings.push(queue(&aws, what, url, variable, reads).await);
        }
    }
    if detects {
        findings.push(images(&aws, &buckets.images).await);
    }
    for (what, name, variable, prefix, writes) in [
        ("bucket of photos", &buckets.input, "INPUT_BUCKET_NAME", PHOTOS, web),
        ("bucket of answers", &buckets.output, "OUTPUT_BUCKET_NAME", ANSWERS, answers),
    ] {
        if tier {
            let bucket = S3Bucket::new(aws.s3.clone(), name, &buckets.kms_key);
            findings.push(between(&aws, &bucket, what, variable, prefix, writes).await);
        }
    }
    let people = !web || !settings.mongo.gallery_images.is_empty();
    if people && !answers {
        findings.push(groups(&aws, buckets).await);
    }
    if detects {
        findings.extend(results(&aws, buckets).await);
    }
    if !people {
        return findings;
    }
    findings.extend(mongo(settings).await);
    findings.push(redis(settings).await);
    findings
}

fn unset(what: &'static str, variable: &str) -> Finding {
    Finding::broken(what, &"not set", &format!("set {variable}"), 78)
}

/// A fault with its mend.
fn faulty(what: &'static str, mut fault: Fault, permission: &str) -> Finding {
    // Not there, or not a name at all: no item is at fault here, a setting is.
    if fault.is_refusal() {
        fault.class = Class::Misconfigured(Remedy::Settings);
    }
    let mend = match fault.class {
        Class::Misconfigured(Remedy::Permission) => format!("give the task's role {permission}"),
        Class::Misconfigured(_) => "correct its name and fleet.region".to_owned(),
        _ => "see whether the network reaches it, and try again".to_owned(),
    };
    let error = FleetError::Aws(fault);
    Finding::broken(what, &error, &mend, error.exit().code())
}

/// How far our clock is from Amazon's.
async fn clock(settings: &Settings) -> Finding {
    let url = match settings.fleet.endpoint.as_str() {
        "" => format!("https://sqs.{}.amazonaws.com/ping", settings.fleet.region),
        url => url.to_owned(),
    };
    let answer = match reqwest::Client::new().get(&url).timeout(CLOCK_TIMEOUT).send().await {
        Ok(answer) => answer,
        Err(error) => {
            let code = Exit::DependencyDown(String::new()).code();
            return Finding::broken("clock", &error.without_url(), "see whether the network reaches Amazon", code);
        }
    };
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
    let theirs = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let Some(theirs) = theirs.and_then(|theirs| SystemTime::try_from(theirs).ok()) else {
        return Finding::ok("clock", "the service does not tell its time");
    };
    let now = SystemTime::now();
    let skew = now.duration_since(theirs).or_else(|_| theirs.duration_since(now)).unwrap_or_default();
    let detail = format!("{} s from the service's", skew.as_secs());
    if skew < SKEW {
        Finding::ok("clock", detail)
    } else {
        Finding::broken("clock", &detail, "set the host's clock (chrony)", 78)
    }
}

/// A queue that this worker `reads`, or only sends to.
async fn queue(aws: &Clients, what: &'static str, url: &str, variable: &str, reads: bool) -> Finding {
    if url.is_empty() {
        return unset(what, variable);
    }
    let asked = aws.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    let needs = match reads {
        true => "sqs:GetQueueAttributes, ReceiveMessage, DeleteMessage and ChangeMessageVisibility on it",
        false => "sqs:GetQueueAttributes and SendMessage on it",
    };
    if reads {
        // A receipt that nobody has: what is asked changes nothing, and is refused before that where it is not permitted.
        let (delete, change) = (aws.sqs.delete_message(), aws.sqs.change_message_visibility());
        let deleted = delete.queue_url(url).receipt_handle(NOBODYS).send().await;
        let changed = change.queue_url(url).receipt_handle(NOBODYS).visibility_timeout(0).send().await;
        let refused = [
            deleted.err().map(|error| fault("DeleteMessage", &error)),
            changed.err().map(|error| fault("ChangeMessageVisibility", &error)),
        ];
        if let Some(fault) = refused.into_iter().flatten().find(is_forbidden) {
            return faulty(what, fault, needs);
        }
    }
    match asked.send().await {
        Ok(answer) => {
            let depth = |name| answer.attributes()?.get(&name).cloned();
            let visible = depth(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or_else(|| "?".to_owned());
            let held =
                depth(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).unwrap_or_else(|| "?".to_owned());
            Finding::ok(what, format!("{visible} messages, {held} in flight"))
        }
        Err(error) => faulty(what, fault("GetQueueAttributes", &error), needs),
    }
}

/// A bucket between a web server and its workers: one `writes` what says nothing, and the other asks for what is not there.
async fn between(
    aws: &Clients,
    bucket: &S3Bucket,
    what: &'static str,
    variable: &str,
    prefix: &str,
    writes: bool,
) -> Finding {
    if bucket.name().is_empty() {
        return unset(what, variable);
    }
    let (name, key) = (bucket.name(), format!("{prefix}{NOBODYS}"));
    if writes {
        let nothing = bytes::Bytes::from_static(b"{}");
        if let Err(fault) = bucket.put(&key, nothing, "application/json", None, When::Always).await {
            return faulty(
                what,
                fault,
                &format!("s3:PutObject on {prefix}, and kms:GenerateDataKey where it has a key"),
            );
        }
        // A worker may not: then the bucket's lifecycle does.
        let _ = bucket.discard(&key).await;
        return Finding::ok(what, format!("{name}, written"));
    }
    match aws.s3.get_object().bucket(name).key(key).send().await.map_err(|error| fault("GetObject", &error)) {
        Err(fault) if fault.code.as_deref() != Some("NoSuchKey") => {
            faulty(what, fault, &format!("s3:GetObject and s3:ListBucket on {prefix}"))
        }
        _ => Finding::ok(what, name),
    }
}

/// The bucket of images, which is only read.
async fn images(aws: &Clients, bucket: &str) -> Finding {
    if bucket.is_empty() {
        return unset("bucket of images", "BUCKET_NAME");
    }
    let needs = "s3:ListBucket and s3:GetObject on it";
    if let Err(error) = aws.s3.head_bucket().bucket(bucket).send().await {
        return faulty("bucket of images", fault("HeadBucket", &error), needs);
    }
    // Not there is as good as there: it may be read.
    match aws.s3.get_object().bucket(bucket).key(PROBE).send().await.map_err(|error| fault("GetObject", &error)) {
        Err(fault) if fault.status != Some(404) => faulty("bucket of images", fault, needs),
        _ => Finding::ok("bucket of images", bucket),
    }
}

/// The bucket of results, where there are any: nothing belongs in a bucket of images, since S3 tells a queue of it.
async fn results(aws: &Clients, buckets: &Buckets) -> Option<Finding> {
    let (what, name, prefix) = ("bucket of results", buckets.of_results(), buckets.results_prefix.as_str());
    if prefix.is_empty() || name.is_empty() {
        return None;
    }
    if buckets.results_are_told() {
        let detail = format!("{name} is the bucket of images: what is written becomes messages, counted as photos");
        let mend = match buckets.groups == buckets.images {
            true => "set FACE_GROUP_BUCKET_NAME to another bucket",
            false => "set buckets.results_bucket to another bucket, or leave it empty",
        };
        return Some(Finding::lacking(what, &detail, mend));
    }
    if buckets.results == Layout::Packed {
        // It is tried as the bucket of groups.
        return Some(Finding::ok(what, format!("{name}, in packs")));
    }
    let bucket = S3Bucket::new(aws.s3.clone(), name, &buckets.kms_key);
    Some(match written(&bucket, &format!("{prefix}.muster-check")).await {
        Ok(()) => Finding::ok(what, format!("{name}, written and deleted below {prefix}")),
        Err(fault) => faulty(what, fault, &format!("s3:PutObject and s3:DeleteObject on {prefix}* there")),
    })
}

/// Puts an object that says nothing, and deletes it.
async fn written(bucket: &S3Bucket, key: &str) -> Result<(), Fault> {
    bucket.put(key, bytes::Bytes::from_static(b"{}"), "application/json", None, When::Always).await?;
    bucket.remove(key).await.map(drop)
}

/// The bucket that is written to: an object that says nothing is.
async fn groups(aws: &Clients, buckets: &Buckets) -> Finding {
    let what = "bucket of groups";
    if buckets.groups.is_empty() {
        return unset(what, "FACE_GROUP_BUCKET_NAME");
    }
    let bucket = S3Bucket::new(aws.s3.clone(), &buckets.groups, &buckets.kms_key);
    let needs = "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject on it, and kms:GenerateDataKey where it has a key";
    for key in [PROBE, PACKS_PROBE] {
        if let Err(fault) = written(&bucket, key).await {
            return faulty(what, fault, needs);
        }
    }
    Finding::ok(what, format!("{}, written, read and deleted", buckets.groups))
}

async fn mongo(settings: &Settings) -> Vec<Finding> {
    let mongo = &settings.mongo;
    if mongo.gallery_images.is_empty() {
        return vec![unset("mongodb", "GALLERY_IMAGES_MONGO_URI")];
    }
    let uris = Uris { gallery_images: &mongo.gallery_images, huemn: &mongo.huemn };
    let broken = |error: muster_stores::mongo::MongoError| {
        let error = FleetError::from(error);
        let (mend, code) = match error.exit() {
            Exit::Misconfigured(Remedy::Permission, _) => ("give the user readWrite on both databases", 77),
            Exit::Misconfigured(..) => ("correct the connection string or the server", 78),
            exit => ("see whether the network reaches it, and try again", exit.code()),
        };
        Finding::broken("mongodb", &error, mend, code)
    };
    let connection = match Connection::open(&uris).await {
        Ok(connection) => connection,
        Err(error) => return vec![broken(error)],
    };
    let how = if connection.metadata.is_some() { "both databases" } else { "no database of metadata" };
    let mut findings = vec![match MongoFaces::new(&connection, None).may_write().await {
        Ok(()) => {
            Finding::ok("mongodb", format!("{} ({}), {how}, written to", mongo.gallery_images, connection.version))
        }
        Err(error) => broken(error),
    }];
    findings.push(match connection.missing_indexes(mongo.lineage()).await {
        Ok(missing) if missing.is_empty() => Finding::ok("indexes", "all there"),
        Ok(missing) => Finding::lacking("indexes", &missing.join(", "), "the first worker makes them"),
        Err(error) => broken(error),
    });
    match connection.foreign().await {
        Ok(foreign) if foreign.is_empty() => {}
        Ok(foreign) => {
            let counts: Vec<String> = foreign.iter().map(|(name, count)| format!("{count} in {name}")).collect();
            let detail = format!(
                "documents of another program are left alone: {} (of each, 1000 are counted)",
                counts.join(", ")
            );
            findings.push(Finding::ok("other documents", detail));
        }
        Err(error) => findings.push(broken(error)),
    }
    findings
}

async fn redis(settings: &Settings) -> Finding {
    let url = &settings.redis.url;
    if url.is_empty() {
        return Finding::lacking("redis", "not set", "set REDIS_URL, if images come more than once");
    }
    let mend = "a worker goes on without it, slower; see whether the network reaches it";
    match Cache::new(&settings.redis) {
        Ok(cache) if cache.answers().await => Finding::ok("redis", url.to_string()),
        Ok(_) => Finding::lacking("redis", "does not answer", mend),
        Err(error) => Finding::broken("redis", &error, "correct REDIS_URL", 78),
    }
}
