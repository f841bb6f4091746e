#!/usr/bin/env python3
"""Uses the page of `muster serve` as a person does, in Chromium, against a server with the demo photos.

    page.py BASE_URL PHOTOS SCREENSHOTS [--only PART]... [--key KEY]

Needs /usr/bin/chromium (apt-get install --no-install-recommends chromium) and requirements.txt. PHOTOS holds demo/P001 to
demo/P010, of which the server has indexed at least five people. The library is changed, and a photo and a person are
forgotten at the end: let it be a copy. Prints a line a check; 1 where one failed.
"""

import argparse
import sys
import traceback
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from bench import CHECKS, Bench, check
from server import TIMEOUT_SECONDS

# In this order they run: what nothing takes back comes last.
import recognition  # noqa: F401
import changes  # noqa: F401
import persons  # noqa: F401
import naming  # noqa: F401
import review  # noqa: F401
import history  # noqa: F401
import addresses  # noqa: F401
import keyboard  # noqa: F401
import hostile  # noqa: F401
import lists  # noqa: F401
import looks  # noqa: F401
import forget  # noqa: F401


@check("no errors in the console, nothing that the policy blocked")
def console(b):
    assert not b.complaints, "\n    ".join(b.complaints)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("photos", type=Path)
    parser.add_argument("screenshots", type=Path)
    parser.add_argument("--only", action="append", default=[], help="a part of a check's name")
    parser.add_argument("--key", help="API key, with the role write")
    options = parser.parse_args()
    options.screenshots.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=TIMEOUT_SECONDS * 1000)
    failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"], timeout=TIMEOUT_SECONDS * 1000)
        bench = Bench(browser, options)
        for name, run in CHECKS:
            if options.only and not any(part in name for part in options.only):
                continue
            try:
                note = run(bench)
                print(f"ok      {name}" + (f" ({note})" if note else ""), flush=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other checks run
                failed += 1
                ours = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == Path(__file__).parent]
                print(f"FAILED  {name}\n    {Path(ours[-1].filename).name}:{ours[-1].lineno}: {str(error).strip()[:1500]}", flush=True)
                if bench.context and bench.context.pages:
                    bench.context.pages[0].screenshot(path=options.screenshots / f"failed-{run.__name__}.png")
        browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
