//! What a worker tells of one image: its spans, its log, the page of metrics. `make stack-telemetry` prints it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{MessageSystemAttributeNameForSends, MessageSystemAttributeValue};
use serde_json::Value;

use super::{stack, support};
use crate::support::fleet::{Fleet, Worker};
use crate::support::spans::{PARENT, Seen, TRACE, collector, header, received, tree};

fn page(port: u16) -> String {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_one_trace_from_its_message_to_its_end_and_its_log_and_metrics_say_the_same() {
    let fleet = Fleet::new(&stack()).await;
    let photos = support::photos("demo").join("P004");
    let keys = fleet.upload(&photos, "demo/").await;
    let attribute = MessageSystemAttributeValue::builder().data_type("String").string_value(header()).build().unwrap();
    // The first image comes with the trace of whoever uploaded it.
    for (n, key) in keys.iter().enumerate() {
        let message = fleet.sqs.send_message().queue_url(&fleet.images).message_body(fleet.event(key));
        let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
        let message = if n == 0 { message.message_system_attributes(name, attribute.clone()) } else { message };
        message.send().await.unwrap();
    }
    let (collector, traced) = collector().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let configured = |command: &str| {
        let mut worker = fleet.worker(command);
        worker
            .env("REDIS_URL", "")
            .env("MUSTER_TELEMETRY__LOG_FORMAT", "json")
            .envs(traced.clone())
            .stderr(Stdio::piped());
        worker
    };
    let mut detect = configured("detect");
    detect
        .env("MUSTER_TELEMETRY__METRICS_LISTEN", port.to_string())
        .env("MUSTER_LOG", "muster=debug,muster_actors=debug")
        .env("MUSTER_FLEET__MODE", "ecs");
    let worker = Worker::start(&mut detect);
    let acked =
        format!("muster_keeper_images_total{{device=\"cpu\",service=\"detection\",state=\"indexed\"}} {}", keys.len());
    let patience = Instant::now() + Duration::from_secs(60);
    let mut metrics = page(port);
    while !metrics.lines().any(|line| line.contains("state=\"indexed\"") && line.ends_with(&format!(" {}", keys.len())))
    {
        assert!(Instant::now() < patience, "{acked} is not in\n{metrics}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        metrics = page(port);
    }
    let waiting = metrics.lines().find(|line| line.starts_with("muster_queue_waiting_messages{"));
    assert!(waiting.is_some_and(|line| line.rsplit(' ').next().unwrap().parse::<f64>().is_ok()), "{metrics}");
    assert!(std::process::Command::new("kill").args(["-TERM", &worker.id().to_string()]).status().unwrap().success());
    let log = worker.said(80);
    let said = Worker::start(&mut configured("group")).said(0);
    assert!(!said.contains("ERROR"), "{said}");

    let all = received(&collector).await;
    let roots: Vec<&Seen> = all.iter().filter(|span| span.name == "image.process").collect();
    assert_eq!(roots.len(), keys.len());
    let steps: BTreeSet<&str> =
        ["fetcher.receive", "downloader.get", "downloader.decode", "device.analyse", "writer.commit", "keeper.ack"]
            .into();
    for root in &roots {
        let below: Vec<&Seen> = all.iter().filter(|span| span.parent == root.id).collect();
        assert_eq!(below.iter().map(|span| span.name.as_str()).collect::<BTreeSet<_>>(), steps);
        assert!(below.iter().all(|span| span.trace == root.trace && span.start >= root.start && span.end <= root.end));
        let batches = all.iter().filter(|span| span.name == "device.batch" && span.links.contains(&root.id));
        assert_eq!(batches.count(), 1, "each image was in one batch, linked and no child");
    }
    let sent: Vec<&&Seen> = roots.iter().filter(|root| root.parent == PARENT).collect();
    assert_eq!(sent.iter().map(|root| root.trace.as_str()).collect::<Vec<_>>(), [TRACE]);
    // Grouping belongs to the trace of an image that asked for it.
    let grouping: Vec<&Seen> = all.iter().filter(|span| span.name == "grouper.reconcile").collect();
    assert!(!grouping.is_empty());
    assert!(grouping.iter().all(|span| roots.iter().any(|root| root.trace == span.trace)), "{grouping:#?}");

    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["level"].is_string()), "{log}");
    let told: BTreeSet<&str> = lines
        .iter()
        .filter(|line| line["message"] == "writer.stored")
        .filter_map(|line| line["trace_id"].as_str())
        .collect();
    assert_eq!(
        told,
        roots.iter().map(|root| root.trace.as_str()).collect(),
        "each image's line names its trace: {log}"
    );
    for secret in ["demo/", "fleet", "mongodb://"] {
        let loud = lines.iter().filter(|line| line["level"] != "DEBUG" && line["level"] != "TRACE");
        assert!(!loud.map(Value::to_string).any(|line| line.contains(secret) && !line.contains("fleet::")), "{log}");
    }

    println!("--- spans of one image");
    print!("{}", tree(&all, sent[0]));
    let linked = all.iter().find(|span| span.links.contains(&sent[0].id)).unwrap();
    println!(
        "linked from {} {:.1} ms, with {} images",
        linked.name,
        (linked.end - linked.start) as f64 / 1e6,
        linked.links.len()
    );
    println!("--- log");
    log.lines().filter(|line| line.contains(TRACE) || !line.contains("trace_id")).for_each(|line| println!("{line}"));
    println!("--- metrics");
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for line in metrics.lines() {
        // A sample of each histogram's buckets is enough to see.
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let seen = names.entry(name).or_default();
        *seen += 1;
        if line.starts_with('#') || *seen <= 4 {
            println!("{line}");
        }
    }
}
