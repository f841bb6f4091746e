use super::super::wire::put_number;
use super::*;

fn message(parts: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|(number, bytes)| put_bytes(&mut out, *number, bytes));
    out
}

fn value(name: &str, dims: &[u64]) -> Vec<u8> {
    let mut shape = Vec::new();
    for dim in dims {
        let mut length = Vec::new();
        put_number(&mut length, 1, *dim);
        put_bytes(&mut shape, SHAPE_DIM, &length);
    }
    let tensor = message(&[(TENSOR_SHAPE, &shape)]);
    message(&[(VALUE_NAME, name.as_bytes()), (VALUE_TYPE, &message(&[(TYPE_TENSOR, &tensor)]))])
}

fn dims(value: &[u8]) -> Vec<String> {
    let shape = [VALUE_TYPE, TYPE_TENSOR, TENSOR_SHAPE].iter().fold(value, |at, number| text(at, *number).unwrap());
    let dim = |field: Field<'_>| match fields(field.bytes()).next() {
        None => "?".to_string(),
        Some(Ok(Field { value: Value::Varint(length), .. })) => length.to_string(),
        Some(field) => String::from_utf8(field.unwrap().bytes().to_vec()).unwrap(),
    };
    fields(shape).map(|field| dim(field.unwrap())).collect()
}

fn int64s(name: &str, values: &[i64], raw: bool) -> Vec<u8> {
    let mut out = message(&[(TENSOR_NAME, name.as_bytes())]);
    if raw {
        put_bytes(&mut out, TENSOR_RAW, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    } else {
        let mut packed = Vec::new();
        values.iter().for_each(|v| put_varint(&mut packed, *v as u64));
        put_bytes(&mut out, TENSOR_INT64S, &packed);
    }
    out
}

fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut out = Vec::new();
    inputs.iter().for_each(|input| put_bytes(&mut out, NODE_INPUT, input.as_bytes()));
    put_bytes(&mut out, NODE_OUTPUT, output.as_bytes());
    put_bytes(&mut out, NODE_OP, op.as_bytes());
    out
}

fn model(graph: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, 1, 6);
    put_bytes(&mut out, MODEL_GRAPH, &message(graph));
    put_bytes(&mut out, 99, b"unknown");
    out
}

fn graph_of(model: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let graph = text(model, MODEL_GRAPH).unwrap();
    fields(graph).map(|field| field.map(|field| (field.number, field.bytes().to_vec())).unwrap()).collect()
}

#[test]
fn nothing_asked_nothing_changed() {
    let weight = int64s("w", &[1, 2], true);
    let before = model(&[(GRAPH_INPUT, &value("w", &[2])), (GRAPH_INITIALIZER, &weight), (GRAPH_VALUE_INFO, b"")]);
    assert_eq!(rewrite(&before, &Rewrite::default()).unwrap(), before);
}

#[test]
fn a_number_where_a_message_belongs_is_copied() {
    let mut graph = Vec::new();
    [GRAPH_NODE, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO]
        .iter()
        .for_each(|field| put_number(&mut graph, *field, 5));
    let before = message(&[(MODEL_GRAPH, &graph)]);
    let asked = Rewrite { fold_weights: true, free_batch: true, ..Rewrite::default() };
    assert_eq!(rewrite(&before, &asked).unwrap(), before);
}

#[test]
fn weights_leave_the_inputs_and_sizes_are_freed() {
    let weight = int64s("w", &[1, 2], true);
    let before = model(&[
        (GRAPH_INPUT, &value("x", &[1, 3, 640, 640])),
        (GRAPH_INPUT, &value("w", &[2])),
        (GRAPH_INITIALIZER, &weight),
        (GRAPH_VALUE_INFO, &value("t", &[1, 3])),
        (GRAPH_OUTPUT, &value("y", &[1, 6400, 4])),
    ]);
    let asked = Rewrite { fold_weights: true, free_size: true, ..Rewrite::default() };
    let after = graph_of(&rewrite(&before, &asked).unwrap());
    assert_eq!(after.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [11, 5, 12]);
    assert_eq!(dims(&after[0].1), ["batch", "3", "height", "width"]);
    assert_eq!(after[1].1, weight);
    assert_eq!(dims(&after[2].1), ["?", "?", "4"]);
    let asked = Rewrite { free_batch: true, ..Rewrite::default() };
    let after = graph_of(&rewrite(&before, &asked).unwrap());
    assert_eq!(dims(&after[0].1), ["batch", "3", "640", "640"]);
    assert_eq!(dims(&after[1].1), ["2"], "a weight keeps its shape");
    assert_eq!(dims(&after[3].1), ["batch", "6400", "4"]);
}

#[test]
fn reshape_targets_keep_the_batch_and_other_weights_stay() {
    for raw in [true, false] {
        let (target, shared) = (int64s("target", &[1, 196, -1], raw), int64s("shared", &[1, 5], raw));
        let before = model(&[
            (GRAPH_NODE, &node("Reshape", &["x", "target"], "a")),
            (GRAPH_NODE, &node("Reshape", &["x", "shared"], "b")),
            (GRAPH_NODE, &node("Add", &["x", "shared"], "c")),
            (GRAPH_INITIALIZER, &target),
            (GRAPH_INITIALIZER, &shared),
        ]);
        let asked = Rewrite { batch_reshapes: true, ..Rewrite::default() };
        let after = graph_of(&rewrite(&before, &asked).unwrap());
        assert_eq!(after[3].1, int64s("target", &[0, 196, -1], raw));
        assert_eq!(after[4].1, shared);
    }
}

#[test]
fn prelu_is_split_only_after_a_convolution() {
    let mut slope = message(&[(TENSOR_NAME, b"s"), (TENSOR_RAW, &[0u8; 8])]);
    [(TENSOR_DIMS, 2), (TENSOR_DIMS, 1), (TENSOR_DIMS, 1), (TENSOR_TYPE, 1)]
        .iter()
        .for_each(|(number, value)| put_number(&mut slope, *number, *value));
    let before = model(&[
        (GRAPH_NODE, &node("Conv", &["x"], "c")),
        (GRAPH_NODE, &node("PRelu", &["c", "s"], "a")),
        (GRAPH_NODE, &node("PRelu", &["x", "s"], "b")),
        (GRAPH_INITIALIZER, &slope),
    ]);
    let asked = Rewrite { split_prelu: true, ..Rewrite::default() };
    let after = graph_of(&rewrite(&before, &asked).unwrap());
    let ops = |wanted: &[u8]| after.iter().filter(|(n, b)| *n == 1 && Node::read(b).unwrap().op == wanted).count();
    assert_eq!((ops(b"Conv"), ops(b"Relu"), ops(b"Add"), ops(b"PRelu")), (3, 2, 1, 1));
}

#[test]
fn bad_bytes_are_typed_errors() {
    let asked =
        Rewrite { fold_weights: true, free_batch: true, free_size: true, batch_reshapes: true, split_prelu: true };
    assert_eq!(rewrite(b"", &asked), Err(GraphError::NoGraph));
    assert!(matches!(rewrite(b"<html>", &asked), Err(GraphError::Wire(_))));
    let whole = model(&[
        (GRAPH_INPUT, &value("x", &[1, 3, 640, 640])),
        (GRAPH_NODE, &node("Reshape", &["x", "t"], "a")),
        (GRAPH_INITIALIZER, &int64s("t", &[1, 5], false)),
    ]);
    // Every byte wrong in turn, every length cut: an answer, never a panic.
    for at in 0..whole.len() {
        let _ = rewrite(&whole[..at], &asked);
        for bit in 0..8 {
            let mut bad = whole.clone();
            bad[at] ^= 1 << bit;
            let _ = rewrite(&bad, &asked);
        }
    }
}
