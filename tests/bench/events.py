#!/usr/bin/env python3
"""Gives labelled faces times of made-up events, for `muster evaluate --labels`.

    events.py LABELS.csv > TIMED.csv            events of three people with two photos each, and of two more photos
    events.py LABELS.csv --strangers > ...      events of eight photos at random: moments that tell nothing

Photos of an event are half a minute apart, events a day. The same seed gives the same times.
"""

import argparse
import csv
import random
import sys


def events(rows, strangers):
    """Lists of photos."""
    if strangers:
        photos = sorted({row["photo"] for row in rows})
        random.shuffle(photos)
        return [photos[start:start + 8] for start in range(0, len(photos), 8)]
    of_person = {}
    for row in rows:
        if row["person"] not in ("", "-1"):
            of_person.setdefault(row["person"], set()).add(row["photo"])
    pairs, single = [], []
    for photos in of_person.values():
        photos = sorted(photos)
        random.shuffle(photos)
        pairs += zip(photos[::2], photos[1::2])
        single += photos[len(photos) // 2 * 2:]
    random.shuffle(pairs)
    random.shuffle(single)
    made = []
    for start in range(0, len(pairs), 3):
        more, single = single[:2], single[2:]
        event = [photo for pair in pairs[start:start + 3] for photo in pair] + more
        random.shuffle(event)
        made.append(event)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels")
    parser.add_argument("--strangers", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with open(arguments.labels, newline="") as file:
        rows = list(csv.DictReader(file))
    times = {}
    for day, event in enumerate(events(rows, arguments.strangers)):
        # A photo of two people is at the event of the first.
        for order, photo in enumerate(event):
            times.setdefault(photo, day * 86_400 + order * 30)
    table = csv.writer(sys.stdout)
    table.writerow(["photo", "person", "overall", "taken"])
    for row in rows:
        table.writerow([row["photo"], row["person"], row.get("overall", 1), times.get(row["photo"], "")])


if __name__ == "__main__":
    main()
