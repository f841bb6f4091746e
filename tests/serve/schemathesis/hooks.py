"""Photos for schemathesis (one with a face, one without, and bytes that are none), and ids that there are."""

import json
import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

DEMO = Path(os.environ["MUSTER_PHOTOS"]) / "demo"
PHOTOS = [(DEMO / "P001" / "studio_portrait.jpg").read_bytes(), (DEMO / "coffee.png").read_bytes()]
BROKEN = st.binary(max_size=64).map(lambda tail: b"\xff\xd8\xff" + tail)

schemathesis.openapi.media_type(
    "image/jpeg",
    st.one_of(st.sampled_from(PHOTOS), BROKEN),
    aliases=["image/png", "image/webp", "image/heic", "application/octet-stream"],
)

# Of each kind, by the part of the path that names it.
IDS = json.loads(os.environ["MUSTER_IDS"])


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """An id that fits the pattern is one of the library's: a random one is never found."""
    kind = (context.operation.path.split("/") + ["", ""])[2]
    for name, value in (path_parameters or {}).items():
        if kind in IDS and isinstance(value, str) and len(value) == 32:
            path_parameters[name] = IDS[kind][sum(value.encode()) % len(IDS[kind])]
    return path_parameters
