"""`make image-check`: the Dockerfile is linted, and what it says is carried out without Docker. --lint alone takes seconds."""

import argparse
import pathlib
import sys
import time

import dockerfile
import linters
import planted
import rules


def lint(parsed):
    read = rules.template.load()
    faults = [*rules.check(parsed, read), *rules.included()]
    print(f"rules      {len(parsed.stages)} stages, images {', '.join(parsed.targets())}")
    return faults + linters.check() + planted.check(read)


def options():
    parser = argparse.ArgumentParser(prog="image-check", description=__doc__)
    parser.add_argument("--lint", action="store_true", help="lint only")
    parser.add_argument("--program", type=pathlib.Path, help="the built muster, in the place of what the build stage leaves")
    parser.add_argument("--photos", type=pathlib.Path, help="a folder with photos to index")
    parser.add_argument("--cache", type=pathlib.Path, help="where layers are kept from one run to the next")
    parser.add_argument("--only", action="append", choices=("cpu", "gpu"), help="make one image")
    return parser.parse_args()


def main():
    began, given = time.monotonic(), options()
    parsed = dockerfile.load()
    faults = lint(parsed)
    if not given.lint and not faults:
        import making
        faults = making.check(parsed, given)
    print(f"\n{len(faults)} faults, {time.monotonic() - began:.0f} s")
    for fault in faults:
        print(f"FAULT      {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
