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

import reference

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


READINGS = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2, 1: cv2.IMREAD_COLOR}


def readings(longer: int, faces):
    """For each face of an image with this longer side the denominator at which muster reads its pixels: what covers the
    detector's input, or more where that would magnify a face."""
    frame = next(k for k in READINGS if k == 1 or -(-longer // k) >= reference.SIDE)
    wanted = [min(1.0, float(np.hypot(*reference.similarity(np.array(face["landmarks"]))[0, :2]))) for face in faces]
    short = [scale for scale in wanted if 1.05 / frame < scale]
    closer = next(k for k in READINGS if k == 1 or 1 / k >= max(short, default=0.0))
    return [closer if 1.05 / frame < scale else frame for scale in wanted]


def separation(people, vectors):
    """d' between cosines of one person's photos and of two people's; NaN where nobody is known."""
    cosines = np.array(vectors) @ np.array(vectors).T
    same = np.equal.outer(people, people)
    upper = np.triu(np.ones_like(same), 1)
    own, others = cosines[same & upper], cosines[~same & upper]
    return float((own.mean() - others.mean()) / np.sqrt((own.var() + others.var()) / 2)) if own.size else float("nan")


def equality(database: Path, muster: str, library: Path, work: Path, embedder):
    """What muster's faces are to the reference's: cosines of matched faces from end to end; cosines to the reference's own
    alignment and model at muster's five points, from pixels read at the same scale; how well either tells people apart; and
    strong reference faces (score >= 0.8, side >= 40 px) that muster lacks."""
    vectors = work / "vectors.npy"
    _, out = run([muster, "export", "--json", "--library", library, "--embeddings", vectors], os.sched_getaffinity(0))
    exported, ours = json.loads(out), {}
    longer = {image["path"]: max(image["width"], image["height"]) for image in exported["images"]}
    for face, vector in zip(exported["faces"], np.load(vectors)):
        ours.setdefault(face["path"], []).append((face, vector))
    end_to_end, same_points, people, theirs, mine, missing, wanted = [], [], [], [], [], [], 0
    for path, x, y, w, h, score, blob in sqlite3.connect(database).execute("SELECT * FROM faces ORDER BY path, x"):
        found = ours.get(path, [])
        near = [overlap((x, y, w, h), [face["box"][side] for side in ("x", "y", "width", "height")]) for face, _ in found]
        strong = score >= 0.8 and min(w, h) >= 40
        wanted += strong
        if max(near, default=0.0) < 0.5:
            if strong:
                missing.append(path)
            continue
        best = near.index(max(near))
        face, vector = found[best]
        people.append(Path(path).name.split("-")[0])
        theirs.append(np.frombuffer(blob, np.float32))
        mine.append(vector)
        end_to_end.append(float(vector @ theirs[-1]))
        k = readings(longer[path], [face for face, _ in found])[best]
        points = (np.array(face["landmarks"]) + 0.5) / k - 0.5
        same_points.append(float(vector @ reference.embed(embedder, cv2.imread(str(work / path), READINGS[k]), points)))
    apart = [separation(people, vectors) for vectors in (theirs, mine)]
    return end_to_end, same_points, apart, missing, wanted


def resized(interpolation, reading=cv2.IMREAD_COLOR, enlarge=True):
    """A letterbox as the reference's, but for one thing, and how the photo is read for it."""
    def letterbox(image):
        height, width = image.shape[:2]
        scale = reference.SIDE / max(height, width)
        scale = scale if enlarge else min(1.0, scale)
        padded = np.zeros((reference.SIDE, reference.SIDE, 3), np.uint8)
        small = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=interpolation)
        padded[: small.shape[0], : small.shape[1]] = small
        return padded, scale
    return letterbox, reading


VARIANTS = {
    "INTER_CUBIC": resized(cv2.INTER_CUBIC),
    "INTER_AREA": resized(cv2.INTER_AREA),
    "read at half size": resized(cv2.INTER_LINEAR, cv2.IMREAD_REDUCED_COLOR_2),
    "not enlarged": resized(cv2.INTER_LINEAR, enlarge=False),
}


def against_itself(photos: Path, models: Path, embedder):
    """How well the reference agrees with itself from end to end when one thing of its own letterbox changes."""
    detector = reference.Model(models / "face_detection_yunet_2023mar.onnx", len(os.sched_getaffinity(0)))
    plain, cosines = reference.letterbox, {name: [] for name in VARIANTS}
    for path in sorted(photos.glob("*.jpg")):
        image = cv2.imread(str(path))
        reference.letterbox = plain
        found = reference.detect(detector, image)
        for name, (letterbox, reading) in VARIANTS.items() if found else ():
            reference.letterbox = letterbox
            read = cv2.imread(str(path), reading)
            factor = image.shape[1] / read.shape[1]
            others = [(box * factor, points * factor) for box, points, _ in reference.detect(detector, read)]
            for box, points, _ in found:
                near = max(others, key=lambda other: overlap(box, other[0]), default=None)
                if near is not None and overlap(box, near[0]) >= 0.5:
                    cosines[name].append(float(reference.embed(embedder, image, points) @ reference.embed(embedder, image, near[1])))
    reference.letterbox = plain
    return ", ".join(f"{name} {statistics.fmean(values):.3f}" for name, values in cosines.items())


def as_shipped(muster, models: Path, photo: Path, cores):
    """Milliseconds a run on one core: ONNX Runtime on the files as they are shipped, muster's graphs, and the pack in bytes that
    `muster models optimize` made of the photos; in turns. On a photo: the PRelu of the shipped SFace branches on every value,
    and is quicker the more alike they are."""
    rows = []
    for file, shape in (("face_detection_yunet_2023mar.onnx", (1, 3, 640, 640)), ("face_recognition_sface_2021dec.onnx", (1, 3, 112, 112))):
        pixels = cv2.resize(cv2.imread(str(photo)), shape[:1:-1]).astype(np.float32).transpose(2, 0, 1)[None]
        model, tensor, shipped, ours = reference.Model(models / file, 1), np.ascontiguousarray(pixels), [], {"open": [], "open-int8": []}
        for _ in range(3):
            for _ in range(20):
                start = time.perf_counter()
                model(tensor)
                shipped.append((time.perf_counter() - start) * 1e3)
            _, out = run([muster, "models", "bench", *ours, "--json"], cores)
            for row in map(json.loads, out.splitlines()):
                if row["model"] == file and tuple(row["shape"]) == shape:
                    ours[row["pack"].split("@")[0]].append(row["milliseconds"])
        before = statistics.median(shipped)
        after = (f"{pack} {statistics.median(times):.1f} ms ({before / statistics.median(times):.2f}x)" for pack, times in ours.items())
        rows.append(f"{file}: as shipped {before:.1f} ms, {', '.join(after)}")
    return rows


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
    embedder = reference.Model(models / "face_recognition_sface_2021dec.onnx", 1)
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
                theirs = json.loads(out)
                times["reference"].append(theirs["seconds"])
                library = work / f"library-{name}"
                shutil.rmtree(library, ignore_errors=True)
                mb, out = peak([muster, "index", photos, "--library", library, "--json"], cores)
                ours = json.loads(out)
                times["muster"].append(ours["seconds"])
            wall = {who: statistics.median(values) for who, values in times.items()}
            raw = raw_seconds(muster, ours["stages"]["device"]["tensors"], work, {min(all_cores)})
            ratio = wall["reference"] / wall["muster"]
            end_to_end, same_points, apart, missing, wanted = equality(database, muster, library, work, embedder)
            row = {"set": name, "threads": len(cores), "images": ours["images"], "faces": ours["faces"],
                   "reference_seconds": wall["reference"], "muster_seconds": wall["muster"], "ratio": ratio,
                   "goal": GOALS[name, threads], "raw_seconds": raw, "reference_model_seconds": theirs["model_seconds"],
                   "wall_over_raw": wall["muster"] * len(cores) / raw,
                   "reference_mb": theirs["peak_mb"], "muster_mb": mb, "spread": times,
                   "separation": apart if name == "a" else None, "cosine": statistics.fmean(end_to_end), "cosine_same_points": statistics.fmean(same_points),
                   "cosine_same_points_least": min(same_points), "missing": len(missing), "wanted": wanted}
            results.append(row)
            print(f"({name}) {row['threads']} thread(s), {row['images']} images, {row['faces']} faces: reference "
                  f"{wall['reference']:.2f} s, muster {wall['muster']:.2f} s: {ratio:.2f}x (goal {row['goal']}x); core-seconds "
                  f"over raw model time {row['wall_over_raw']:.2f}; peak {row['reference_mb']:.0f} / {mb:.0f} MB; cosine at the "
                  f"same points {row['cosine_same_points']:.5f} (least {row['cosine_same_points_least']:.4f}), end to end "
                  f"{row['cosine']:.4f}" + (f", people apart by d' {apart[0]:.2f} / {apart[1]:.2f}" if name == "a" else "")
                  + f"; {len(missing)} of {wanted} reference faces missing",
                  flush=True)
            for path in missing:
                print(f"    missing a face in {path}")
        print(f"({name}) the reference against itself, end to end: {against_itself(photos, models, embedder)}", flush=True)
    one = {min(all_cores)}
    os.sched_setaffinity(0, one)
    photo = min(sets["a"].glob("*selfie.jpg"))
    print("one run on one core:", *as_shipped(muster, models, photo, one), sep="\n    ")
    os.sched_setaffinity(0, all_cores)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    equal = all(row["cosine_same_points"] >= 0.999 and row["missing"] == 0 for row in results)
    print("equality gate:", "passed" if equal else "FAILED")
    sys.exit(0 if equal else 1)


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown CPU")
    return f"{model}, {len(os.sched_getaffinity(0))} cores"


if __name__ == "__main__":
    main()
