//! Writes metrics for CloudWatch as log lines in its embedded metric format, without a call to CloudWatch.
//!
//! A counter is written as the difference from the line before. A histogram is written as values with counts, as
//! Amazon's own collector does, although the specification only knows numbers and lists of numbers.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};

use super::metrics::{Labels, Sample, Value, deltas};
use super::names::Kind;

pub use muster_aws::queue_metrics::NAMESPACE;

/// Most metrics in one directive.
const METRICS: usize = 100;

/// Most dimensions in a set.
const DIMENSIONS: usize = 30;

/// Most values of one metric.
const VALUES: usize = 100;

/// Most characters in the value of a dimension.
const CHARACTERS: usize = 1024;

/// Most bytes of a line: 256 KiB, at which agents and log drivers cut an event, minus a reserve for the event itself.
const BYTES: usize = (256 << 10) - 1024;

/// Writes samples as lines in the embedded metric format, with counters as differences.
#[derive(Debug, Default)]
pub(crate) struct EmfWriter {
    log_group: String,
    before: Vec<Sample>,
}

impl EmfWriter {
    /// Creates a writer that has written nothing. An empty log group is not named.
    pub fn new(log_group: &str) -> Self {
        Self { log_group: log_group.to_owned(), before: Vec::new() }
    }

    /// Renders what happened since the last call. A counter that is still zero is left out, because every combination
    /// of dimensions is a metric that costs money.
    pub fn tell(&mut self, now: Vec<Sample>, at: SystemTime) -> Vec<String> {
        let mut told = deltas(&self.before, &now);
        let mut ever = now.iter().map(|sample| match &sample.value {
            Value::Number(total) => sample.metric.kind != Kind::Counter || *total != 0.0,
            Value::Histogram(_) => true,
        });
        told.retain(|_| ever.next().unwrap_or(true));
        self.before = now;
        let milliseconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        lines(&told, &self.log_group, u64::try_from(milliseconds).unwrap_or(u64::MAX))
    }
}

/// Renders one line for each set of labels, or more where one cannot hold all.
pub fn lines(samples: &[Sample], log_group: &str, milliseconds: u64) -> Vec<String> {
    let mut groups: Vec<(&Labels, Vec<(&Sample, Json)>)> = Vec::new();
    for sample in samples {
        let Some(target) = target(&sample.value) else { continue };
        match groups.iter_mut().find(|(labels, _)| **labels == sample.labels) {
            Some((_, group)) => group.push((sample, target)),
            None => groups.push((&sample.labels, vec![(sample, target)])),
        }
    }
    let mut lines = Vec::new();
    for (labels, group) in groups {
        for part in group.chunks(METRICS) {
            split(labels, part, log_group, milliseconds, &mut lines);
        }
    }
    lines
}

/// Writes a line, or two halves of one that is too long.
fn split(labels: &Labels, part: &[(&Sample, Json)], log_group: &str, milliseconds: u64, lines: &mut Vec<String>) {
    let line = line(labels, part, log_group, milliseconds);
    if line.len() <= BYTES {
        lines.push(line);
    } else if part.len() > 1 {
        let (one, two) = part.split_at(part.len() / 2);
        split(labels, one, log_group, milliseconds, lines);
        split(labels, two, log_group, milliseconds, lines);
    }
}

fn line(labels: &Labels, part: &[(&Sample, Json)], log_group: &str, milliseconds: u64) -> String {
    let dimensions: Vec<(&str, String)> = labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .take(DIMENSIONS)
        .map(|(name, value)| (*name, value.chars().take(CHARACTERS).collect()))
        .collect();
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let metrics: Vec<Json> = part
        .iter()
        .map(|(sample, _)| {
            json!({ "Name": sample.metric.name, "Unit": sample.metric.unit.cloudwatch(), "StorageResolution": 60 })
        })
        .collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": metrics });
    let mut metadata = json!({ "Timestamp": milliseconds, "CloudWatchMetrics": [directive] });
    if let (false, Some(metadata)) = (log_group.is_empty(), metadata.as_object_mut()) {
        metadata.insert("LogGroupName".into(), log_group.into());
    }
    let mut root = Map::from_iter([("_aws".to_owned(), metadata)]);
    root.extend(dimensions.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
    root.extend(part.iter().map(|(sample, target)| (sample.metric.name.to_owned(), target.clone())));
    Json::Object(root).to_string()
}

/// Renders a value as CloudWatch reads it; `None` for an empty histogram.
fn target(value: &Value) -> Option<Json> {
    match value {
        Value::Number(number) => number.is_finite().then(|| json!(number)),
        Value::Histogram(histogram) => {
            let points: Vec<(f64, u64)> = histogram.points().into_iter().take(VALUES).collect();
            let (values, counts): (Vec<f64>, Vec<u64>) = points.into_iter().unzip();
            let (min, max) = (values.first()?, values.last()?);
            let (count, sum) = (histogram.count(), histogram.sum());
            Some(json!({ "Values": values, "Counts": counts, "Min": min, "Max": max, "Count": count, "Sum": sum }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::samples;
    use crate::metrics::tests::busy;
    use crate::names;
    use std::time::Duration;

    fn valid(line: &str) -> Json {
        let schema =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/emf.schema.json")).unwrap();
        let schema: Json = serde_json::from_slice(&schema).unwrap();
        let document: Json = serde_json::from_str(line).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<String> = validator.iter_errors(&document).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?} in {line}");
        // A schema cannot state this rule: every reference has its target at the root, of the right kind.
        for directive in document["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            for metric in directive["Metrics"].as_array().unwrap() {
                let target = &document[metric["Name"].as_str().unwrap()];
                let values = target["Values"].as_array().map_or(0, Vec::len);
                assert!(target.is_number() || (1..=100).contains(&values), "{metric} is {target}");
                assert_eq!(values, target["Counts"].as_array().map_or(0, Vec::len));
            }
            for dimension in directive["Dimensions"][0].as_array().unwrap() {
                assert!(document[dimension.as_str().unwrap()].is_string(), "{dimension} has no value");
            }
        }
        // With its line feed, and with what CloudWatch Logs counts for each event.
        assert!(line.len() + 1 + 26 <= 256 << 10 && !line.contains('\n'), "{} bytes", line.len());
        document
    }

    #[test]
    fn every_line_follows_the_specification() {
        let (progress, process) = busy();
        let at = UNIX_EPOCH + Duration::from_millis(1_574_109_732_004);
        let lines = EmfWriter::new("/muster").tell(samples(&progress, &process), at);
        assert!(lines.len() > 3, "{lines:?}");
        let documents: Vec<Json> = lines.iter().map(|line| valid(line)).collect();
        let of = |name: &str| documents.iter().find(|document| !document[name].is_null()).unwrap();
        let fetched = of("muster_fetcher_received_images");
        assert_eq!(fetched["muster_fetcher_received_images"], 12.0);
        assert_eq!((&fetched["service"], &fetched["device"]), (&json!("detection"), &json!("cpu")));
        assert_eq!(fetched["_aws"]["Timestamp"], 1_574_109_732_004u64);
        assert_eq!(fetched["_aws"]["LogGroupName"], "/muster");
        let work = &of("muster_stage_work_seconds")["muster_stage_work_seconds"];
        assert_eq!((&work["Counts"], &work["Count"]), (&json!([1, 1, 1]), &json!(3)));
    }

    #[test]
    fn the_second_line_tells_what_happened_since_the_first() {
        let (progress, process) = busy();
        let mut emf = EmfWriter::new("");
        emf.tell(samples(&progress, &process), UNIX_EPOCH);
        let mut later = progress.clone();
        later.fetched += 4;
        let lines = emf.tell(samples(&later, &process), UNIX_EPOCH);
        let documents: Vec<Json> = lines.iter().map(|line| valid(line)).collect();
        let told = |name: &str| documents.iter().find_map(|document| document.get(name));
        assert_eq!(told("muster_fetcher_received_images"), Some(&json!(4.0)));
        assert_eq!(told("muster_writer_written_faces"), Some(&json!(0.0)), "it happened, but not since");
        assert_eq!(told("muster_grouper_reconciled_galleries"), None, "it never happened");
        assert_eq!(told("muster_stage_work_seconds"), None, "nothing was done since");
        assert!(documents.iter().all(|document| document["_aws"].get("LogGroupName").is_none()));
    }

    #[test]
    fn what_does_not_fit_one_line_goes_into_more() {
        let labels: Labels = vec![("service", "é".repeat(2000)), ("device", String::new())];
        let sample = Sample { metric: names::DONE, labels, value: Value::Number(1.0) };
        let mut many = vec![sample; 250];
        many[0].value = Value::Number(f64::NAN);
        let lines = lines(&many, "", 0);
        let sizes: Vec<usize> = lines
            .iter()
            .map(|line| valid(line)["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len())
            .collect();
        assert_eq!(sizes, [100, 100, 49]);
    }

    #[test]
    fn a_line_is_no_longer_than_an_event_of_a_log_may_be() {
        let bounds: Vec<f64> = (1..200).map(|n| 1.0 / 3.0 + f64::from(n)).collect();
        let bounds: &'static [f64] = bounds.leak();
        let mut histogram = muster_actors::domain::histogram::Histogram::new(bounds);
        bounds.iter().for_each(|value| histogram.record_times(*value, 1_000_000_007));
        // As many labels as are told, each as long as it may be and of characters that JSON writes with six bytes.
        let names: Vec<String> = (0..40).map(|n| format!("label{n}")).collect();
        let labels: Labels = names.leak().iter().map(|name| (name.as_str(), "\u{1}".repeat(2 * CHARACTERS))).collect();
        let sample = |n: usize| Sample {
            metric: names::Metric { name: format!("muster_metric_{n}").leak(), ..names::WORK },
            labels: labels.clone(),
            value: Value::Histogram(histogram.clone()),
        };
        let samples: Vec<Sample> = (0..120).map(sample).collect();
        let told: usize = lines(&samples, &"g".repeat(512), u64::MAX)
            .iter()
            .map(|line| valid(line)["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len())
            .sum();
        assert_eq!(told, samples.len(), "nothing is left out");
    }
}
