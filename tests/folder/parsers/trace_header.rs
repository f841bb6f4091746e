//! `AWSTraceHeader` of messages: a span that is named is a span, and is named the same again.

use muster_telemetry::xray::{from_header, to_header};

/// Bytes as a header.
pub fn trace_header(data: &[u8]) {
    let header = String::from_utf8_lossy(data);
    let Some(context) = from_header(&header) else { return };
    assert!(context.is_valid() && header.len() <= 1024);
    let written = to_header(&context).expect("a span has a header");
    let again = from_header(&written).unwrap_or_else(|| panic!("{header:?} is written as {written:?}"));
    assert_eq!((again.trace_id(), again.span_id()), (context.trace_id(), context.span_id()), "{written:?}");
    assert_eq!(again.is_sampled(), context.is_sampled(), "{written:?}");
}
