"""Makes the images without Docker and holds each against what it has to be."""

import fcntl

import dockerfile
import image
import layers
import sandbox
import spoilt


def check(parsed, given):
    for option in ("program", "photos", "cache"):
        path = getattr(given, option)
        if path is None or option != "cache" and not path.exists():
            raise SystemExit(f"image-check wants --{option}{f': there is no {path}' if path else ''}")
    given.cache.mkdir(parents=True, exist_ok=True)
    with open(given.cache / "lock", "w") as lock:
        # Two runs would make the same layers.
        fcntl.flock(lock, fcntl.LOCK_EX)
        sandbox.private()
        builder, faults = layers.Builder(parsed, dockerfile.context(), given.cache, given.program), []
        for target in given.only or parsed.targets():
            try:
                made = builder.stage(target)
            except (layers.Failed, dockerfile.Unclear) as why:
                faults.append(f"{target}: {why}")
                continue
            faults += [f"{target}: {fault}" for fault in image.check(target, made, builder.cache, given.photos)]
        if not faults:
            faults += spoilt.check(made, builder.cache)
        if not given.only and not faults:
            builder.sweep()
    return faults
