//! The settings of prices, for estimates of costs.

use muster_actors::domain::cost::{Prices, Requests, Usage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Settings;

/// Prices in US dollars, and figures for estimates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Price of a Spot machine for a worker, for an hour.
    pub spot_hour: f64,
    /// Price of such a machine on demand, for an hour.
    pub on_demand_hour: f64,
    /// Price of a thousand reads of S3 (GET, HEAD).
    pub s3_reads_thousand: f64,
    /// Price of a thousand writes of S3 (PUT, POST, LIST).
    pub s3_writes_thousand: f64,
    /// Price of a million requests of SQS.
    pub sqs_million: f64,
    /// Price of a gigabyte read from S3.
    pub gigabyte: f64,
    /// Number of machines of the service around the clock with which this fleet is compared.
    pub always_on: u64,
    /// Reads of S3 for each image, for simulations.
    pub reads_per_image: f64,
    /// Writes of S3 for each image, for simulations.
    pub writes_per_image: f64,
    /// Requests of SQS for each image, for simulations.
    pub messages_per_image: f64,
}

impl Cost {
    /// Returns the prices with machines of the Spot market.
    pub fn spot(&self) -> Prices {
        Prices {
            machine_hour: self.spot_hour,
            reads_thousand: self.s3_reads_thousand,
            writes_thousand: self.s3_writes_thousand,
            messages_million: self.sqs_million,
            gigabyte: self.gigabyte,
        }
    }

    /// Returns the prices with machines on demand.
    pub fn on_demand(&self) -> Prices {
        Prices { machine_hour: self.on_demand_hour, ..self.spot() }
    }

    /// Computes the usage of `images` images on machines that run for `machine_seconds` in total.
    pub fn usage(&self, images: u64, machine_seconds: f64) -> Usage {
        let each = |requests: f64| (images as f64 * requests).round() as u64;
        let requests = Requests {
            reads: each(self.reads_per_image),
            writes: each(self.writes_per_image),
            messages: each(self.messages_per_image),
        };
        Usage { images, machine_seconds, requests, ..Usage::default() }
    }
}

/// Checks that the figures are within their ranges.
pub(super) fn ranges(settings: &Settings, range: &mut impl FnMut(&str, f64, f64, f64)) {
    let cost = &settings.cost;
    for (key, dollars) in [
        ("cost.spot_hour", cost.spot_hour),
        ("cost.on_demand_hour", cost.on_demand_hour),
        ("cost.s3_reads_thousand", cost.s3_reads_thousand),
        ("cost.s3_writes_thousand", cost.s3_writes_thousand),
        ("cost.sqs_million", cost.sqs_million),
        ("cost.gigabyte", cost.gigabyte),
        ("cost.reads_per_image", cost.reads_per_image),
        ("cost.writes_per_image", cost.writes_per_image),
        ("cost.messages_per_image", cost.messages_per_image),
    ] {
        range(key, dollars, 0.0, 1000.0);
    }
    range("cost.always_on", cost.always_on as f64, 1.0, 10_000.0);
}
