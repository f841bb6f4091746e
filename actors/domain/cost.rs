//! What work costs. Pure.

use serde::{Deserialize, Serialize};

/// What some work has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Images that were decided.
    pub images: u64,
    /// Seconds of machines, their waiting included.
    pub machine_seconds: f64,
    /// Seconds in which a device worked.
    pub device_seconds: f64,
    /// Bytes of images that were read.
    pub bytes: u64,
    /// Requests.
    pub requests: Requests,
}

/// Requests that are paid for. Failed ones are, too; deletions in S3 are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Of S3: GET, HEAD.
    pub reads: u64,
    /// Of S3: PUT, POST, LIST.
    pub writes: u64,
    /// Of SQS.
    pub messages: u64,
}

/// US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// An hour of a machine.
    pub machine_hour: f64,
    /// A thousand reads of S3.
    pub reads_thousand: f64,
    /// A thousand writes of S3.
    pub writes_thousand: f64,
    /// A million requests of SQS.
    pub messages_million: f64,
    /// A gigabyte (10⁹ bytes) read.
    pub gigabyte: f64,
}

/// What it comes to, in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bill {
    /// Machines.
    pub machines: f64,
    /// Reads of S3.
    pub reads: f64,
    /// Writes of S3.
    pub writes: f64,
    /// Requests of SQS.
    pub messages: f64,
    /// Bytes that were moved.
    pub transfer: f64,
}

impl Usage {
    /// At these prices.
    pub fn at(&self, prices: &Prices) -> Bill {
        let Requests { reads, writes, messages } = self.requests;
        Bill {
            machines: self.machine_seconds / 3600.0 * prices.machine_hour,
            reads: reads as f64 / 1e3 * prices.reads_thousand,
            writes: writes as f64 / 1e3 * prices.writes_thousand,
            messages: messages as f64 / 1e6 * prices.messages_million,
            transfer: self.bytes as f64 / 1e9 * prices.gigabyte,
        }
    }
}

impl Bill {
    /// All of it, by name.
    pub fn items(&self) -> [(&'static str, f64); 5] {
        let Self { machines, reads, writes, messages, transfer } = *self;
        [("machines", machines), ("reads", reads), ("writes", writes), ("messages", messages), ("transfer", transfer)]
    }

    /// In all.
    pub fn total(&self) -> f64 {
        self.items().iter().map(|(_, dollars)| dollars).sum()
    }

    /// A million images at this rate; `None` where there was none.
    pub fn per_million(&self, images: u64) -> Option<f64> {
        (images > 0).then(|| self.total() / images as f64 * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_is_what_was_used_at_its_price() {
        let prices = Prices {
            machine_hour: 0.36,
            reads_thousand: 0.0004,
            writes_thousand: 0.005,
            messages_million: 0.4,
            gigabyte: 0.01,
        };
        let usage = Usage {
            images: 1_000,
            machine_seconds: 50.0,
            device_seconds: 40.0,
            bytes: 2_000_000_000,
            requests: Requests { reads: 1_000, writes: 3_000, messages: 500 },
        };
        let bill = usage.at(&prices);
        let near = |value: f64, expected: f64| (value - expected).abs() < 1e-12;
        for ((name, dollars), expected) in bill.items().into_iter().zip([0.005, 0.0004, 0.015, 0.0002, 0.02]) {
            assert!(near(dollars, expected), "{name}: {dollars}");
        }
        assert!(near(bill.total(), 0.0406), "{bill:?}");
        assert!(bill.per_million(usage.images).is_some_and(|dollars| (dollars - 40.6).abs() < 1e-9));
        assert_eq!(Usage::default().at(&prices).per_million(0), None);
    }
}
