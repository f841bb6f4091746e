//! Traces in the format of X-Ray: `AWSTraceHeader` to and from an OpenTelemetry context, sampling by the sender's
//! decision, and the endpoint for spans.

use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_aws::trace::xray_propagator::{span_context_from_str, span_context_to_string};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// Longest header that is read; Amazon's own have about 200 characters.
const LONGEST: usize = 1024;

/// Flags that the propagator sets where the sender leaves the decision to the receiver (`Sampled=?`, or nothing).
const DEFERRED: TraceFlags = TraceFlags::new(0x02);

/// Reads from an `AWSTraceHeader` the span in which a message was sent:
/// `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. `None` where it names none.
pub fn from_header(header: &str) -> Option<SpanContext> {
    if header.len() > LONGEST {
        return None;
    }
    // Other parts (Self, Lineage, a tenant's own) are not passed on, because the propagator would refuse the whole
    // header if one of them were malformed.
    let known = |part: &&str| ["Root=", "Parent=", "Sampled="].iter().any(|name| part.starts_with(name));
    let parts: Vec<&str> = header.split(';').map(str::trim).filter(known).collect();
    // A sign is not a hexadecimal digit, although Rust's parser accepts it.
    let signed = parts.iter().any(|part| part.contains('+'));
    let context = if signed { None } else { span_context_from_str(&parts.join(";")) };
    context.filter(SpanContext::is_valid)
}

/// Renders the header that makes the receiver's spans children of this one; `None` for an invalid span.
pub fn to_header(context: &SpanContext) -> Option<String> {
    let flags = if context.is_sampled() { TraceFlags::SAMPLED } else { context.trace_flags() };
    let state = context.trace_state().clone();
    let decided = SpanContext::new(context.trace_id(), context.span_id(), flags, context.is_remote(), state);
    span_context_to_string(&decided)
}

/// A sampler that samples what the sender of the message sampled, and a share of the traces for which the sender has
/// not decided.
#[derive(Clone, Debug)]
pub(crate) struct ParentSampler {
    share: Sampler,
}

impl ParentSampler {
    /// Creates a sampler with this share, 0 to 1, of the undecided traces.
    pub(crate) fn or_share(ratio: f64) -> Self {
        Self { share: Sampler::TraceIdRatioBased(ratio) }
    }
}

/// Returns the parent's decision; `None` where there is no parent or it left the decision open.
fn decision(parent: &SpanContext) -> Option<SamplingDecision> {
    if !parent.is_valid() {
        None
    } else if parent.is_sampled() {
        Some(SamplingDecision::RecordAndSample)
    } else if parent.trace_flags() & DEFERRED == DEFERRED {
        None
    } else {
        Some(SamplingDecision::Drop)
    }
}

impl ShouldSample for ParentSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let context = parent.map(|parent| parent.span().span_context().clone());
        match context.as_ref().and_then(decision) {
            Some(decision) => SamplingResult {
                decision,
                attributes: Vec::new(),
                trace_state: context.map(|context| context.trace_state().clone()).unwrap_or_default(),
            },
            None => self.share.should_sample(parent, trace_id, name, kind, attributes, links),
        }
    }
}

/// Returns the address at which X-Ray takes spans as OTLP over HTTP.
pub fn endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://xray.{region}.{domain}/v1/traces")
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::SpanId;
    use proptest::prelude::*;

    const HEADER: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

    #[test]
    fn a_header_is_a_remote_span_and_comes_back_as_it_was() {
        for (header, sampled, back) in [
            (HEADER, true, HEADER),
            (" Root=1-5759e988-bd862e3fe1be46a994272793; Parent=53995c3f42cd8ad8; Sampled=1 ", true, HEADER),
            (&HEADER.replace("=1;", "=1;Lineage=1:a b,c=d|0;"), true, HEADER),
            (&HEADER.replace("Sampled=1", "Sampled=0"), false, &HEADER.replace("Sampled=1", "Sampled=0")),
            (&HEADER.replace("Sampled=1", "Sampled=?"), false, &HEADER.replace("Sampled=1", "Sampled=?")),
            (&HEADER.replace(";Sampled=1", ""), false, &HEADER.replace("Sampled=1", "Sampled=?")),
        ] {
            let context = from_header(header).unwrap_or_else(|| panic!("{header} names no span"));
            assert_eq!(context.trace_id().to_string(), "5759e988bd862e3fe1be46a994272793", "{header}");
            assert_eq!(context.span_id().to_string(), "53995c3f42cd8ad8", "{header}");
            assert!(context.is_remote());
            assert_eq!(context.is_sampled(), sampled, "{header}");
            assert_eq!(to_header(&context).as_deref(), Some(back), "{header}");
        }
    }

    #[test]
    fn what_names_no_span_is_none() {
        for header in [
            "",
            ";;;",
            "Root=",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=nothing",
            "Root=1-00000000-000000000000000000000000;Parent=53995c3f42cd8ad8",
            "Root=1-+759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988;Parent=53995c3f42cd8ad8",
            "Root=1-ü759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
            &format!("{HEADER};{}", "x".repeat(2000)),
        ] {
            assert_eq!(from_header(header), None, "{header}");
        }
        assert_eq!(to_header(&SpanContext::NONE), None);
    }

    #[test]
    fn a_sampled_child_of_an_undecided_sender_says_so() {
        let flags = DEFERRED | TraceFlags::SAMPLED;
        let context = SpanContext::new(TraceId::from(7), SpanId::from(8), flags, false, Default::default());
        assert!(to_header(&context).unwrap().ends_with("Sampled=1"));
    }

    #[test]
    fn the_sender_decides_and_else_the_share() {
        let parent = |header: &str| Context::new().with_remote_span_context(from_header(header).unwrap());
        let sampled = |ratio: f64, parent: Option<&Context>| {
            let result = ParentSampler::or_share(ratio);
            let result = result.should_sample(parent, TraceId::from(7), "x", &SpanKind::Internal, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        };
        for (name, header, with_none, with_all) in [
            ("the sender sampled", Some(HEADER.to_owned()), true, true),
            ("the sender did not", Some(HEADER.replace("Sampled=1", "Sampled=0")), false, false),
            ("the sender left it open", Some(HEADER.replace("Sampled=1", "Sampled=?")), false, true),
            ("the sender said nothing", Some(HEADER.replace(";Sampled=1", "")), false, true),
            ("there is no sender", None, false, true),
        ] {
            let context = header.as_deref().map(parent);
            assert_eq!(sampled(0.0, context.as_ref()), with_none, "{name}, share 0");
            assert_eq!(sampled(1.0, context.as_ref()), with_all, "{name}, share 1");
        }
    }

    #[test]
    fn each_region_has_its_endpoint() {
        assert_eq!(endpoint("eu-west-1"), "https://xray.eu-west-1.amazonaws.com/v1/traces");
        assert_eq!(endpoint("cn-north-1"), "https://xray.cn-north-1.amazonaws.com.cn/v1/traces");
    }

    proptest! {
        #[test]
        fn a_hostile_header_does_no_harm(header in "(Root=|Parent=|Sampled=|1|-|;|=|\\+|[0-9a-f]{8,24}|\\PC){0,40}") {
            if let Some(context) = from_header(&header) {
                prop_assert!(context.is_valid() && to_header(&context).is_some());
            }
        }
    }
}
