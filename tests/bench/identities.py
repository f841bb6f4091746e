"""How sure a name is: portraits of ten people, each enrolled by one photo, and people who are not.

    identities.py --muster target/debug/muster --photos .cache/photos --work .cache/identities

For each kind of portrait, one person at a time is left out: how many of the others' other portraits are given their name by the rule of
`muster serve`, and how many portraits of whoever is left out are given any. Then how near the faces of the gallery photos come.
"""

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np


def faces(muster: Path, photos: Path, library: Path) -> tuple[list[dict], np.ndarray]:
    vectors = library.with_suffix(".npy")
    subprocess.run([muster, "index", photos, "--library", library], check=True, capture_output=True)
    command = [muster, "export", "--json", "--library", library, "--embeddings", vectors]
    exported = subprocess.run(command, check=True, capture_output=True).stdout
    return json.loads(exported)["faces"], np.load(vectors)


def portraits(found: list[dict], vectors: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """By person and kind: the vector of the largest face of each photo that is no sheet of many."""
    largest, people = {}, {}
    for place, face in enumerate(found):
        path = Path(face["path"])
        area = face["box"]["width"] * face["box"]["height"]
        if path.parent.name.startswith("P0") and "sheet" not in path.name and area > largest.get(path, 0):
            largest[path] = area
            people.setdefault(path.parent.name, {})[path.stem] = vectors[place]
    return people


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--muster", required=True, type=Path)
    parser.add_argument("--photos", required=True, type=Path)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--similarity", type=float, default=0.60)
    parser.add_argument("--margin", type=float, default=0.05)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    people = portraits(*faces(args.muster, args.photos / "demo", args.work / "demo"))
    print(f"similarity {args.similarity}, margin {args.margin}")
    for kind in sorted(next(iter(people.values()))):
        asked = right = strangers = named = 0
        for out in people:
            enrolled = sorted(set(people) - {out})
            known = np.array([people[person][kind] for person in enrolled])
            for person, photos in people.items():
                for photo, probe in photos.items():
                    if person != out and photo == kind:
                        continue
                    scores = known @ probe
                    second, first = np.argsort(scores)[-2:]
                    sure = scores[first] >= args.similarity and scores[first] - scores[second] >= args.margin
                    if person == out:
                        strangers, named = strangers + 1, named + sure
                    else:
                        asked, right = asked + 1, right + (sure and enrolled[first] == person)
        print(f"{kind:16} right {right} of {asked} ({right / asked:.1%}), strangers named {named} of {strangers}")
    _, crowd = faces(args.muster, args.photos / "gallery", args.work / "gallery")
    everybody = np.array([vector for photos in people.values() for vector in photos.values()])
    print(f"gallery: {len(crowd)} faces, the nearest to any portrait {np.max(crowd @ everybody.T):.3f}")


main()
