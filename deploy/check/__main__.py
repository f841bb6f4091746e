"""`make deploy-check`: the template is linted, held against the design, created on an emulator, updated and deleted there."""

import sys
import time

import alarms
import jobs
import lint
import permissions
import planted
import recognition
import settings
import stack
import storage
import template


def main():
    began, read = time.monotonic(), template.load()
    faults = [fault for check in (permissions, jobs, storage, recognition, settings, alarms, planted, lint, stack) for fault in check.check(read)]
    print(f"\n{len(read.resources)} resources, {len(faults)} faults, {time.monotonic() - began:.0f} s")
    for fault in faults:
        print(f"FAULT      {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
