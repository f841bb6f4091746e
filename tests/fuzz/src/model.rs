//! ONNX files: rewriting changes what it is asked to and copies the rest; a model in other numbers is one that can be read.

use std::collections::BTreeSet;

use muster_inference::onnx::graph::int8::{self, QuantizationTarget};
use muster_inference::onnx::graph::range::Range;
use muster_inference::onnx::graph::{Rewrite, half, rewrite};
use muster_inference::onnx::wire::{Field, Value, fields};

/// `ModelProto.graph`.
const GRAPH: u64 = 7;

type Parts<'a> = Vec<(u64, Value<'a>)>;

/// The fields of a message; `None` where it is none.
fn read(message: &[u8]) -> Option<Vec<Field<'_>>> {
    fields(message).collect::<Result<_, _>>().ok()
}

/// What a model says beside its graph, and in its graph. How long numbers were written is left out.
fn said(model: &[u8]) -> (Parts<'_>, Vec<Parts<'_>>) {
    let all = read(model).expect("it was read");
    let parts = |fields: &[Field<'_>]| fields.iter().map(|field| field.number).collect::<Vec<_>>();
    let is_graph = |field: &Field<'_>| field.number == GRAPH && matches!(field.value, Value::Bytes(_));
    let graphs = all.iter().filter(|field| is_graph(field));
    let graphs = graphs.map(|graph| read(graph.bytes()).unwrap_or_else(|| panic!("graph of {:?}", parts(&all))));
    let graphs = graphs.map(|graph| graph.iter().map(|field| (field.number, field.value)).collect());
    (all.iter().filter(|field| !is_graph(field)).map(|field| (field.number, field.value)).collect(), graphs.collect())
}

/// A byte that says what to rewrite, and a model.
pub fn model(data: &[u8]) {
    let Some((&asked, model)) = data.split_first() else { return };
    if let Some(all) = read(model) {
        assert_eq!(all.iter().flat_map(|field| field.raw).copied().collect::<Vec<_>>(), model, "fields are the whole");
    }
    let is = |bit: u32| asked >> bit & 1 == 1;
    let wanted =
        Rewrite { fold_weights: is(0), free_batch: is(1), free_size: is(2), batch_reshapes: is(3), split_prelu: is(4) };
    if let Ok(same) = rewrite(model, &Rewrite::default()) {
        assert_eq!(said(&same), said(model), "nothing was to change");
    }
    if let Ok(changed) = rewrite(model, &wanted) {
        assert_eq!(said(&changed).0, said(model).0, "beside the graph");
        let kept = Rewrite { split_prelu: false, ..wanted };
        let once = rewrite(model, &kept).expect("it asks for less");
        assert_eq!(rewrite(&once, &kept), Ok(once.clone()), "once is enough");
    }
    if let Ok(made) = half::to_half(model) {
        assert!(read(&made).is_some(), "in half");
    }
    if let Ok((tapped, taps)) = int8::tapped(model) {
        assert!(read(&tapped).is_some(), "tapped");
        let ranges = taps.into_iter().map(|tap| (tap, Range { low: -1.0, high: 2.0 })).collect();
        if let Ok(made) = int8::quantize(model, &ranges, &BTreeSet::new(), QuantizationTarget::AnyCpu) {
            assert!(read(&made).is_some(), "in bytes");
        }
    }
}
