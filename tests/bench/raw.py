#!/usr/bin/env python3
"""Seconds that ONNX Runtime alone needs for given tensors: raw.py MODELS '[{"model": file, "shape": [..], "count": n}]' THREADS

Each shape is timed for up to 40 runs after 3 to warm up, and its median is counted `count` times.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

models, tensors, threads = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
options = ort.SessionOptions()
options.intra_op_num_threads = threads
options.log_severity_level = 3
sessions, total = {}, 0.0
for tensor in tensors:
    file = tensor["model"]
    if file not in sessions:
        sessions[file] = ort.InferenceSession(str(models / file), options, providers=["CPUExecutionProvider"])
    session = sessions[file]
    feed = {session.get_inputs()[0].name: np.random.default_rng(1).uniform(0, 255, tensor["shape"]).astype(np.float32)}
    times = []
    for _ in range(3 + min(40, tensor["count"])):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    total += statistics.median(times[3:]) * tensor["count"]
print(total)
