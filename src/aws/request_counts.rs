//! Counts the requests that cost money when they are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use muster_actors::domain::cost::Requests;

/// Counts of requests, shared by all clients that hold it.
#[derive(Clone, Debug, Default)]
pub struct RequestCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    reads: AtomicU64,
    writes: AtomicU64,
    messages: AtomicU64,
}

impl RequestCounts {
    /// Returns the counts so far.
    pub fn requests(&self) -> Requests {
        let Counts { reads, writes, messages } = &*self.0;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Requests { reads: of(reads), writes: of(writes), messages: of(messages) }
    }

    /// Creates a counter for a client of S3.
    pub(super) fn s3(&self) -> RequestCounter {
        RequestCounter(self.clone(), CountedService::S3)
    }

    /// Creates a counter for a client of SQS.
    pub(super) fn sqs(&self) -> RequestCounter {
        RequestCounter(self.clone(), CountedService::Sqs)
    }
}

#[derive(Clone, Copy, Debug)]
enum CountedService {
    S3,
    Sqs,
}

/// Counts each request of a client, including each attempt.
#[derive(Debug)]
pub(super) struct RequestCounter(RequestCounts, CountedService);

impl Intercept for RequestCounter {
    fn name(&self) -> &'static str {
        "muster::requests"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Self(RequestCounts(counts), service) = self;
        let request = context.request();
        let count = match service {
            CountedService::Sqs => Some(&counts.messages),
            CountedService::S3 => match priced(request.method(), request.uri()) {
                Some(Price::Read) => Some(&counts.reads),
                Some(Price::Write) => Some(&counts.writes),
                None => None,
            },
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The two prices of S3's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    Read,
    Write,
}

/// Returns the price of a request. Source: Amazon S3 pricing, "Requests & data retrievals". Deletions are free.
fn priced(method: &str, uri: &str) -> Option<Price> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    match method {
        "DELETE" => None,
        "POST" if has("delete") => None,
        "GET" if has("list-type") || has("versions") || has("uploads") => Some(Price::Write),
        "GET" | "HEAD" => Some(Price::Read),
        _ => Some(Price::Write),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_has_its_price() {
        for (method, uri, price) in [
            ("GET", "http://s3/b/a.jpg?x-id=GetObject", Some(Price::Read)),
            ("HEAD", "http://s3/b/a.jpg", Some(Price::Read)),
            ("GET", "http://s3/b?list-type=2&prefix=a", Some(Price::Write)),
            ("PUT", "http://s3/b/a.jpg?x-id=PutObject", Some(Price::Write)),
            ("DELETE", "http://s3/b/a.jpg", None),
            ("POST", "http://s3/b?delete", None),
            ("POST", "http://s3/b/a.jpg?uploads", Some(Price::Write)),
            // A key may look like anything.
            ("GET", "http://s3/b/list-type%3D2.jpg", Some(Price::Read)),
        ] {
            assert_eq!(priced(method, uri), price, "{method} {uri}");
        }
    }
}
