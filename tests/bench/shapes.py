#!/usr/bin/env python3
"""What a model's operators hold and multiply, for the arithmetic of docs/gpu.md: ONNX Runtime runs the file once as it is shipped, with its
profiler on and nothing optimised, and tells the shapes that went in and out of each operator.

    shapes.py MODEL.onnx [MODEL.onnx ...]
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort


def operators(path: Path):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        shape = [side if isinstance(side, int) else 1 for side in given.shape]
        session.run(None, {given.name: np.zeros(shape, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text())
    return shape, [event["args"] for event in events if event["name"].endswith("_kernel_time") and event.get("args", {}).get("op_name")]


def sides(types):
    """The shapes of a list of typed shapes."""
    return [shape for one in types for shape in one.values()]


def multiplications(operator):
    into, out = sides(operator["input_type_shape"]), sides(operator["output_type_shape"])
    if operator["op_name"] == "Conv":
        return math.prod(out[0]) * math.prod(into[1][1:])
    if operator["op_name"] in ("Gemm", "MatMul"):
        return math.prod(out[0]) * into[0][-1]
    return 0


def held(operator):
    """Bytes of its activations: of the inputs of a product only the first is one, the others are weights."""
    into = sides(operator["input_type_shape"])
    into = into[:1] if multiplications(operator) else into
    return 4 * sum(map(math.prod, into + sides(operator["output_type_shape"])))


def main():
    for path in map(Path, sys.argv[1:]):
        shape, ran = operators(path)
        print(f"{path.name} {'x'.join(map(str, shape))}: input {math.prod(shape) * 4 / 1e6:.2f} MB, most that goes in and out of one operator "
              f"{max(map(held, ran)) / 1e6:.1f} MB, {sum(map(multiplications, ran)) / 1e9:.2f} billion multiplications, file {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
