#!/usr/bin/env python3
"""muster beside the Python service it replaces, in one interleaved run on one machine.

    run.py --muster target/release/muster --photos .cache/photos --work .cache/bench [--rounds 3] [--json FILE]

(a) 12-megapixel JPEGs made here from the openpeople portraits, (b) every fourth gallery photo; each with one thread (both
programs pinned to one core) and with all. Prints medians of wall seconds, ratios, peak memory, muster's wall time over the raw
ONNX Runtime time of the tensors it ran, and the equality gate (faces found, cosine to the reference).
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
GOALS = {("a", 1): 2.5, ("a", 0): 4.0, ("b", 1): 1.5, ("b", 0): 2.5}


def twelve_megapixels(photos: Path, into: Path) -> Path:
    """The single portraits as a 12-megapixel camera would have stored them (4:2:0, quality 90)."""
    if not into.is_dir():
        work = into.with_suffix(".new")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for path in sorted(photos.glob("P*/*.jpg")):
            if "sheet" in path.name:
                continue
            image = cv2.imread(str(path))
            scale = (12e6 / (image.shape[0] * image.shape[1])) ** 0.5
            large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(work / f"{path.parent.name}-{path.name}"), large, [cv2.IMWRITE_JPEG_QUALITY, 90])
        work.rename(into)
    return into


def every_fourth(photos: Path, into: Path) -> Path:
    if not into.is_dir():
        into.mkdir(parents=True)
        for path in sorted(photos.glob("*.jpg"))[::4]:
            os.link(path, into / path.name)
    return into


def run(command, cores):
    """Wall seconds, peak megabytes and standard output of a command on some cores."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: os.sched_setaffinity(0, cores))
    out, err = child.communicate()
    seconds = time.perf_counter() - start
    if child.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed with {child.returncode}:\n{err}")
    return seconds, out


def peak(command, cores):
    """Peak megabytes and output of a command; a parent of its own, so that ru_maxrss is the command's."""
    code = ("import resource,subprocess,sys;"
            "r=subprocess.run(sys.argv[1:]);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024,file=sys.stderr);"
            "sys.exit(r.returncode)")
    child = subprocess.run([sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True,
                           preexec_fn=lambda: os.sched_setaffinity(0, cores))
    if child.returncode != 0:
        sys.exit(child.stderr)
    return float(child.stderr.strip().splitlines()[-1]), child.stdout


def raw_seconds(muster, tensors, work: Path, cores) -> float:
    """Seconds the runtime alone needs, one after another, for the tensors that muster ran, on the graphs that muster runs."""
    file = work / "tensors.json"
    file.write_text(json.dumps(tensors))
    _, out = run([muster, "models", "bench", "--tensors", file, "--json"], cores)
    rows = {(row["model"], *row["shape"]): row["milliseconds"] for row in map(json.loads, out.splitlines())}
    return sum(rows[tensor["model"], *tensor["shape"]] * tensor["count"] for tensor in tensors) / 1e3


def overlap(a, b):
    x = max(0.0, min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0]))
    y = max(0.0, min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1]))
    return x * y / (a[2] * a[3] + b[2] * b[3] - x * y)


def equality(reference: Path, muster: str, library: Path, work: Path):
    """Cosines of matched faces, and reference faces (score >= 0.8, side >= 40 px) that muster lacks."""
    vectors = work / "vectors.npy"
    _, out = run([muster, "export", "--json", "--library", library, "--embeddings", vectors], os.sched_getaffinity(0))
    faces = json.loads(out)["faces"]
    embeddings = np.load(vectors)
    ours = {}
    for face, vector in zip(faces, embeddings):
        box = face["box"]
        ours.setdefault(face["path"], []).append(([box["x"], box["y"], box["width"], box["height"]], vector))
    cosines, missing, wanted = [], [], 0
    for path, x, y, w, h, score, blob in sqlite3.connect(reference).execute("SELECT * FROM faces ORDER BY path, x"):
        best = max(((overlap((x, y, w, h), box), vector) for box, vector in ours.get(path, [])), key=lambda t: t[0],
                   default=(0.0, None))
        strong = score >= 0.8 and min(w, h) >= 40
        wanted += strong
        if best[0] >= 0.5:
            cosines.append(float(best[1] @ np.frombuffer(blob, np.float32)))
        elif strong:
            missing.append(path)
    return cosines, missing, wanted


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--muster", required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sets", default="ab")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    muster, work = arguments.muster, arguments.work
    work.mkdir(parents=True, exist_ok=True)
    models = Path(os.environ["MUSTER_HOME"]) / "models" / "open"
    sets = {"a": twelve_megapixels(arguments.photos / "demo", work / "megapixels"),
            "b": every_fourth(arguments.photos / "gallery", work / "gallery")}
    all_cores = os.sched_getaffinity(0)
    print(f"machine: {machine()}")
    results = []
    for name in arguments.sets:
        photos = sets[name]
        for threads in (1, 0):
            cores = {min(all_cores)} if threads == 1 else all_cores
            times = {"reference": [], "muster": []}
            for _ in range(arguments.rounds):
                database = work / f"reference-{name}.db"
                _, out = run([sys.executable, HERE / "reference.py", "--models", models, "--photos", photos, "--out", database,
                              "--threads", str(len(cores))], cores)
                reference = json.loads(out)
                times["reference"].append(reference["seconds"])
                library = work / f"library-{name}"
                shutil.rmtree(library, ignore_errors=True)
                mb, out = peak([muster, "index", photos, "--library", library, "--json"], cores)
                ours = json.loads(out)
                times["muster"].append(ours["seconds"])
            wall = {who: statistics.median(values) for who, values in times.items()}
            raw = raw_seconds(muster, ours["stages"]["device"]["tensors"], work, {min(all_cores)})
            ratio = wall["reference"] / wall["muster"]
            cosines, missing, wanted = equality(database, muster, library, work)
            row = {"set": name, "threads": len(cores), "images": ours["images"], "faces": ours["faces"],
                   "reference_seconds": wall["reference"], "muster_seconds": wall["muster"], "ratio": ratio,
                   "goal": GOALS[name, threads], "raw_seconds": raw, "reference_model_seconds": reference["model_seconds"],
                   "wall_over_raw": wall["muster"] * len(cores) / raw,
                   "reference_mb": reference["peak_mb"], "muster_mb": mb, "spread": times,
                   "cosine_mean": statistics.fmean(cosines), "cosine_min": min(cosines), "missing": len(missing),
                   "wanted": wanted}
            results.append(row)
            print(f"({name}) {row['threads']} thread(s), {row['images']} images, {row['faces']} faces: reference "
                  f"{wall['reference']:.2f} s, muster {wall['muster']:.2f} s: {ratio:.2f}x (goal {row['goal']}x); core-seconds "
                  f"over raw model time {row['wall_over_raw']:.2f}; peak {row['reference_mb']:.0f} / {mb:.0f} MB; cosine mean "
                  f"{row['cosine_mean']:.5f} min {row['cosine_min']:.4f}; {len(missing)} of {wanted} reference faces missing",
                  flush=True)
            for path in missing:
                print(f"    missing a face in {path}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    equal = all(row["cosine_mean"] >= 0.999 and row["missing"] == 0 for row in results)
    print("equality gate:", "passed" if equal else "FAILED")
    sys.exit(0 if equal else 1)


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown CPU")
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


if __name__ == "__main__":
    main()
