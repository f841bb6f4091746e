#!/usr/bin/env python3
"""Renders the pictures of the README and of docs/ from the demo photos: a library of its own, ten people with names, the
page of `muster serve` in Chromium.

    pictures.py --muster PROGRAM --photos FOLDER --out docs/pictures
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from server import TIMEOUT_SECONDS, Api

NAMES = ["Ada", "Ben", "Clara", "Dora", "Emil", "Fay", "Gabriel", "Henry", "Iris", "Julia"]
WIDTH, HEIGHT = 1200, 610


def run(muster, *arguments):
    done = subprocess.run([muster, *map(str, arguments), "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"muster {' '.join(map(str, arguments))} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def serve(muster, library):
    """A server on a port that the system picks, and its address."""
    server = subprocess.Popen([muster, "serve", "--library", str(library), "--listen", "127.0.0.1:0"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in server.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return server, found[0]
    sys.exit("muster serve said no address")


def pictures(browser, base, person, out):
    for name, hash in (("people", "people"), ("person", f"people/{person}")):
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce")
        page.set_default_timeout(TIMEOUT_SECONDS * 1000)
        page.goto(f"{base}/#/{hash}")
        expect(page.get_by_test_id("person" if name == "people" else "face").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=out / f"{name}.jpg", type="jpeg", quality=82)
        page.close()
        print(out / f"{name}.jpg")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--muster", required=True)
    options.add_argument("--photos", required=True, type=Path, help="the folder of the demo photos")
    options.add_argument("--out", required=True, type=Path)
    options = options.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        run(options.muster, "index", options.photos, "--library", library)
        server, base = serve(options.muster, library)
        try:
            people = Api(base, None).subjects()
            for person, name in zip(people, NAMES):
                run(options.muster, "people", "name", "--library", library, person["id"], name)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
                pictures(browser, base, people[0]["id"], options.out)
                browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
