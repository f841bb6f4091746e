"""Faults that are planted in an image, each of which image.py must find."""

import os
import shutil

import image
import sandbox


def setuid(root):
    (root / "usr/bin/env").chmod(0o4755)


def open_to_all(root):
    (root / "usr/local/bin").chmod(0o777)


def compiler(root):
    shutil.copy(root / "usr/bin/env", root / "usr/bin/gcc-12")


def python(root):
    (root / "usr/local/bin/python3.11").symlink_to("/usr/bin/env")


def apt(root):
    (root / "var/lib/apt/lists/deb.debian.org").write_text("")


def of_root(root):
    (root / "var/lib/muster/models").mkdir(exist_ok=True)
    os.chown(root / "var/lib/muster/models", 0, 0)


def of_user(root):
    os.chown(root / "usr/local/bin/muster", 10001, 10001)


def without_library(root):
    """The runtime's place is taken by a program whose library is gone."""
    shutil.copy(root / "usr/bin/dpkg", root / "usr/local/bin/muster")
    for path in (root / "usr/lib/x86_64-linux-gnu").glob("libmd.so*"):
        path.unlink()


# What is done, and what is said of it.
FAULTS = {
    setuid: "runs as somebody else", open_to_all: "written by everybody", compiler: "is for building", python: "is for building",
    apt: "is not empty", of_root: "belongs to 0:0", of_user: "belongs to 10001:10001", without_library: "libmd.so.0",
}


def check(made, cache):
    for spoil, says in FAULTS.items():
        changes = cache / "spoilt" / "fs"
        with sandbox.tree(made.layers, cache / "tree", changes) as root:
            spoil(root)
            with sandbox.devices(root):
                found = [*image.confined(root, made), *image.libraries(root, files=[root / "usr/local/bin/muster"])]
        shutil.rmtree(changes.parent)
        if not any(says in fault for fault in found):
            yield f"spoilt.py: image.py says nothing of {spoil.__name__}: {found[:3]}"
    print(f"{'spoilt':<17} {len(FAULTS)} faults planted in an image")
