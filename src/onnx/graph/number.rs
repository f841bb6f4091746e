//! Field numbers of `ModelProto`, `GraphProto`, `NodeProto`, `TensorProto` and the types of values.

pub const MODEL_GRAPH: u64 = 7;
pub const GRAPH_NODE: u64 = 1;
pub const GRAPH_INITIALIZER: u64 = 5;
pub const GRAPH_INPUT: u64 = 11;
pub const GRAPH_OUTPUT: u64 = 12;
pub const GRAPH_VALUE_INFO: u64 = 13;
pub const NODE_INPUT: u64 = 1;
pub const NODE_OUTPUT: u64 = 2;
pub const NODE_NAME: u64 = 3;
pub const NODE_OP: u64 = 4;
pub const NODE_ATTRIBUTE: u64 = 5;
pub const TENSOR_DIMS: u64 = 1;
pub const TENSOR_TYPE: u64 = 2;
pub const TENSOR_FLOATS: u64 = 4;
pub const TENSOR_INT64S: u64 = 7;
pub const TENSOR_NAME: u64 = 8;
pub const TENSOR_RAW: u64 = 9;
pub const VALUE_NAME: u64 = 1;
pub const VALUE_TYPE: u64 = 2;
pub const TYPE_TENSOR: u64 = 1;
pub const TENSOR_SHAPE: u64 = 2;
pub const SHAPE_DIM: u64 = 1;
pub const DIM_PARAM: u64 = 2;
