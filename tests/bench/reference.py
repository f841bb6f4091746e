#!/usr/bin/env python3
"""The service muster replaces, as faithfully as one file can be: OpenCV full decode, letterbox to
640x640, ONNX Runtime with the same ONNX files, one face at a time, sequential, one insert a face into SQLite.

    reference.py --models DIR --photos DIR --out DB [--threads N] [--provider NAME]

Prints one JSON object: images, faces, seconds, model_seconds (time inside the runtime), peak_mb. `DB` holds every face
with its embedding, for the equality gate.
"""

import argparse
import json
import resource
import sqlite3
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

SIDE = 640
MIN_SCORE, NMS_IOU = 0.6, 0.3
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
                    dtype=np.float32)
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


class Model:
    """A session that counts the seconds spent inside the runtime."""

    seconds = 0.0

    def __init__(self, path: Path, threads: int, provider: str = "CPUExecutionProvider"):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(str(path), options, providers=[provider])
        # ONNX Runtime takes the CPU in silence where a provider cannot be had.
        assert self.session.get_providers()[0] == provider, self.session.get_providers()
        self.input = self.session.get_inputs()[0].name
        self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, tensor):
        start = time.perf_counter()
        result = self.session.run(self.outputs, {self.input: tensor})
        Model.seconds += time.perf_counter() - start
        return dict(zip(self.outputs, result))


def letterbox(image):
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    resized = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
    padded = np.zeros((SIDE, SIDE, 3), np.uint8)
    padded[: resized.shape[0], : resized.shape[1]] = resized
    return padded, scale


def detect(model, image):
    """Boxes (x, y, w, h), five landmarks and scores in pixels of the image."""
    padded, scale = letterbox(image)
    out = model(padded.astype(np.float32).transpose(2, 0, 1)[None])
    boxes, points, scores = [], [], []
    for stride in (8, 16, 32):
        columns = SIDE // stride
        cls, obj = out[f"cls_{stride}"][0, :, 0], out[f"obj_{stride}"][0, :, 0]
        score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))
        for cell in np.flatnonzero(score >= MIN_SCORE):
            row, column = divmod(int(cell), columns)
            dx, dy, w, h = out[f"bbox_{stride}"][0, cell]
            w, h = np.exp(w) * stride, np.exp(h) * stride
            boxes.append([(column + dx) * stride - w / 2, (row + dy) * stride - h / 2, w, h])
            points.append((out[f"kps_{stride}"][0, cell].reshape(5, 2) + (column, row)) * stride)
            scores.append(score[cell])
    if not boxes:
        return []
    keep = cv2.dnn.NMSBoxes(np.array(boxes).tolist(), np.array(scores).tolist(), MIN_SCORE, NMS_IOU)
    return [(np.array(boxes[i]) / scale, points[i] / scale, float(scores[i])) for i in np.array(keep).flatten()]


def similarity(points):
    """The least-squares similarity onto the template (Umeyama 1991), as InsightFace's norm_crop fits it."""
    centre, goal = points.mean(0), TEMPLATE.mean(0)
    a, b = (points - centre) @ [1, 1j], (TEMPLATE - goal) @ [1, 1j]
    turn = (a.conj() @ b) / (a.conj() @ a).real
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, goal - linear @ centre])


def embed(model, image, points):
    matrix = similarity(points)
    crop = cv2.warpAffine(image, matrix, (112, 112), borderValue=0)
    vector = next(iter(model(crop[:, :, ::-1].astype(np.float32).transpose(2, 0, 1)[None]).values()))[0]
    return vector / np.linalg.norm(vector)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--provider", default="CPUExecutionProvider")
    arguments = parser.parse_args()
    cv2.setNumThreads(arguments.threads)
    start = time.perf_counter()
    detector = Model(arguments.models / "face_detection_yunet_2023mar.onnx", arguments.threads, arguments.provider)
    embedder = Model(arguments.models / "face_recognition_sface_2021dec.onnx", arguments.threads, arguments.provider)
    arguments.out.unlink(missing_ok=True)
    store = sqlite3.connect(arguments.out)
    store.execute("CREATE TABLE faces (path TEXT, x REAL, y REAL, w REAL, h REAL, score REAL, embedding BLOB)")
    ready = time.perf_counter()
    images = faces = 0
    for path in sorted(p for p in arguments.photos.rglob("*") if p.suffix.lower() in SUFFIXES):
        image = cv2.imread(str(path))
        if image is None:
            continue
        images += 1
        for box, points, score in detect(detector, image):
            vector = embed(embedder, image, points)
            store.execute("INSERT INTO faces VALUES (?, ?, ?, ?, ?, ?, ?)",
                          (str(path.relative_to(arguments.photos.parent)), *map(float, box), score, vector.tobytes()))
            store.commit()
            faces += 1
    end = time.perf_counter()
    print(json.dumps({"images": images, "faces": faces, "seconds": end - ready, "start_seconds": ready - start,
                      "model_seconds": Model.seconds,
                      "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


if __name__ == "__main__":
    main()
