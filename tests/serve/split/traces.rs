//! A request in one trace, from its caller through the web server to the worker that answers. `-- --nocapture` prints it.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::Value;

use super::{Split, becomes, gallery, stack};
use crate::service::ok;
use crate::support::fleet::Worker;
use crate::support::spans::{PARENT, Seen, TRACE, collector, header, received, tree};

#[test]
fn a_request_is_one_trace_from_its_caller_to_the_worker_and_is_counted() {
    let split = Split::new(&stack());
    let portraits = split.runtime.block_on(gallery(&split.fleet));
    let photo = std::fs::read(&portraits[0].0).unwrap();
    let (collector, traced) = split.runtime.block_on(collector());
    let settings: Vec<(&str, &str)> = traced.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let web = split.web(&settings);
    let mut responding = split.responding();
    let worker = Worker::start(
        responding.envs(traced.clone()).env("MUSTER_TELEMETRY__LOG_FORMAT", "json").stderr(Stdio::piped()),
    );
    // The first answer waits for the models.
    becomes(&200, || web.asking(photo.clone()).send().unwrap().status().as_u16());
    let sent = web.asking(photo).header("X-Amzn-Trace-Id", header()).send().unwrap();
    assert!(!ok(sent)["faces"].as_array().unwrap().is_empty());
    let metrics = web.client.get(format!("{}/metrics", web.url)).send().unwrap().text().unwrap();
    let labels = r#"{service="web",device="none",route="/v1/recognize",method="POST""#;
    let counted = metrics
        .lines()
        .find(|line| line.starts_with(&format!("muster_server_given_answers_total{labels},status=\"200\"}}")));
    assert_eq!(counted.and_then(|line| line.rsplit(' ').next()), Some("2"), "{metrics}");
    assert!(metrics.contains(&format!("muster_server_answer_seconds_count{labels}}}")), "{metrics}");
    assert!(
        metrics.contains("muster_server_waiting_callers{service=\"web\",device=\"none\"} 1\n"),
        "this one: {metrics}"
    );
    assert!(!metrics.contains("muster_worker_"), "the alarm about cost counts workers: {metrics}");
    assert_eq!(web.stop(), 0);
    let told = std::process::Command::new("kill").args(["-TERM", &worker.id().to_string()]).status();
    assert!(told.unwrap().success());
    let log = worker.said(80);
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");

    let all = split.runtime.block_on(received(&collector));
    let ours: Vec<&Seen> = all.iter().filter(|span| span.trace == TRACE).collect();
    let find = |name: &str| {
        let found: Vec<&&Seen> = ours.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name} in {ours:#?}");
        *found[0]
    };
    let (answer, wait, image) = (find("server.answer"), find("server.wait"), find("image.process"));
    assert_eq!((&*answer.parent, &wait.parent, &image.parent), (PARENT, &answer.id, &wait.id));
    assert_eq!(find("server.put").parent, answer.id);
    let below = ours.iter().filter(|span| span.parent == image.id).map(|span| &*span.name).collect::<BTreeSet<_>>();
    assert!(below.contains("device.analyse") && below.contains("writer.commit"), "{below:?}");
    let others: Vec<&Seen> = all.iter().filter(|span| span.name == "server.answer" && span.trace != TRACE).collect();
    assert!(!others.is_empty(), "whoever names no trace begins one");
    assert!(others.iter().all(|span| span.parent.trim_matches('0').is_empty()), "{others:#?}");
    print!("{}", tree(&all, answer));
}
