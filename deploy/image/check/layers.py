"""Carries out a Dockerfile's instructions, one layer each as Docker does, and keeps the layers for the next run."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import time

import sandbox
from dockerfile import Unclear, substitute

SLIM = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/groff/*", "/usr/share/lintian/*"]
SOURCES = """deb http://deb.debian.org/debian {0} main
deb http://deb.debian.org/debian {0}-updates main
deb http://deb.debian.org/debian-security {0}-security main
"""


@dataclasses.dataclass(frozen=True)
class Made:
    """A stage, as far as it was made."""
    key: str
    layers: tuple
    environment: dict = dataclasses.field(default_factory=dict)
    arguments: dict = dataclasses.field(default_factory=dict)
    labels: dict = dataclasses.field(default_factory=dict)
    volumes: tuple = ()
    user: str = "0:0"
    folder: str = "/"
    entry: tuple = ()

    def with_key(self, *parts):
        return hashlib.sha256("\0".join((self.key, *parts)).encode()).hexdigest()[:16]


class Failed(Exception):
    """An instruction that could not be carried out."""


class Builder:
    def __init__(self, parsed, context, cache, program):
        self.parsed, self.context, self.cache, self.program = parsed, context, cache.resolve(), program
        self.stages, self.used = {}, set()

    def stage(self, name):
        if name not in self.stages:
            self.stages[name] = self.make(name)
        return self.stages[name]

    def make(self, name):
        stage = self.parsed.stages[name]
        if name == "build":
            return self.layer(Made(digest(self.program), ()), "build", "muster, built before", self.take_program)
        base = self.parsed.base(stage)
        made = self.stage(base) if base in self.parsed.stages else self.image(base)
        made = dataclasses.replace(made, arguments={})
        for one in stage.instructions:
            made = getattr(self, one.name.lower())(made, one, name)
        return made

    def layer(self, made, where, what, change, *parts):
        """What `change` does to the tree, or the layer of an earlier run that did the same."""
        key = made.with_key(what, *parts)
        self.used.add(key)
        folder, began = self.cache / "layers" / key, time.monotonic()
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            with sandbox.tree(made.layers, self.cache / "tree", folder / "fs") as root:
                change(root)
            shutil.rmtree(folder / "work")
            (folder / "done").write_text(str(sandbox.size(folder / "fs")))
        megabytes, seconds = int((folder / "done").read_text()) / 1e6, time.monotonic() - began
        print(f"{where:<17} {megabytes:7.1f} MB {seconds:6.1f} s  {what[:90]}", flush=True)
        return dataclasses.replace(made, key=key, layers=(*made.layers, folder / "fs"))

    def sweep(self):
        """Removes layers that this run had no use for."""
        for folder in (self.cache / "layers").iterdir():
            if folder.name not in self.used:
                shutil.rmtree(folder)

    # What stages begin with.

    def image(self, reference):
        """debian:…-slim as Debian's own tool makes it, from today's archive."""
        distribution, _, tag = reference.partition(":")
        suite = tag.split("-")[0]
        if distribution != "debian" or not tag.endswith("-slim"):
            raise Failed(f"{reference} cannot be made here, only Debian's slim images")

        def bootstrap(root):
            options = [f"--dpkgopt=path-exclude={path}" for path in SLIM] + ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
            words = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", *options, suite, str(root / "debian"), "-"]
            ran = subprocess.run(words, input=SOURCES.format(suite), capture_output=True, text=True)
            if ran.returncode:
                raise Failed(f"mmdebstrap: {ran.stderr[-600:]}")
            for path in (root / "debian").iterdir():
                path.rename(root / path.name)
            (root / "debian").rmdir()
            for name in ("resolv.conf", "hostname"):
                (root / "etc" / name).write_text("")
        return self.layer(Made("", ()), "debian", f"mmdebstrap {suite}", bootstrap, *SLIM, SOURCES)

    def take_program(self, root):
        (root / "out").mkdir()
        shutil.copyfile(self.program, root / "out" / "muster")
        (root / "out" / "muster").chmod(0o755)

    # Instructions.

    def arg(self, made, one, _):
        given = {name: self.parsed.arguments.get(name) if value is None else value for name, value in one.pairs().items()}
        return dataclasses.replace(made, arguments=made.arguments | given)

    def env(self, made, one, _):
        return dataclasses.replace(made, key=made.with_key(one.text), environment=made.environment | self.pairs(made, one))

    def label(self, made, one, _):
        return dataclasses.replace(made, labels=made.labels | self.pairs(made, one))

    def pairs(self, made, one):
        return {name: substitute(value, made.arguments | made.environment) for name, value in one.pairs().items()}

    def user(self, made, one, _):
        return dataclasses.replace(made, key=made.with_key(one.text), user=one.text)

    def volume(self, made, one, _):
        return dataclasses.replace(made, volumes=(*made.volumes, *one.words()))

    def entrypoint(self, made, one, _):
        return dataclasses.replace(made, entry=tuple(one.words()))

    def cmd(self, made, one, _):
        return made

    def stopsignal(self, made, one, _):
        return made

    def workdir(self, made, one, where):
        def change(root):
            (root / one.text.strip("/")).mkdir(parents=True, exist_ok=True)
        return dataclasses.replace(self.layer(made, where, f"WORKDIR {one.text}", change), folder=one.text)

    def run(self, made, one, where):
        binds = [dict(part.split("=", 1) for part in value.split(",")) for value in one.flag("mount")]
        if any(bind.get("type") != "bind" for bind in binds):
            raise Unclear(f"line {one.line}: only the build stage keeps a cache")
        seen = [f"{file} {digest(self.context.root / file)}" for bind in binds for file in self.context.files(bind["source"])]

        def change(root):
            with sandbox.devices(root):
                (root / "etc/resolv.conf").touch()
                sandbox.mount("--bind", "/etc/resolv.conf", root / "etc/resolv.conf")
                for bind in binds:
                    self.bind(root, bind)
                values = made.environment | {name: value for name, value in made.arguments.items() if value is not None}
                values = {"HOME": "/root", **sandbox.of_this_machine(root), **values}
                ran = sandbox.run(root, ["/bin/sh", "-c", one.text], values, user=made.user, folder=made.folder)
            if ran.returncode:
                raise Failed(f"line {one.line}: exit {ran.returncode}: {ran.stdout[-1500:]}")
        return self.layer(made, where, f"RUN {one.text}", change, *seen, repr(sorted(made.arguments.items())))

    def bind(self, root, bind):
        """What the build sees of a folder, in the tree without becoming part of it."""
        target = root / bind["target"].strip("/")
        target.mkdir(parents=True, exist_ok=True)
        sandbox.mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", target)
        for file in self.context.files(bind["source"]):
            copied = target / file.relative_to(bind["source"])
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.context.root / file, copied)

    def copy(self, made, one, where):
        *sources, target = one.words()
        target = target if target.startswith("/") else f"{made.folder}/{target}"
        owner = [int(part) for part in (one.flag("chown") or ["0:0"])[0].split(":")]
        if one.flag("from"):
            other = self.stage(one.flag("from")[0])
            seen = [other.key]
        else:
            other, seen = None, [f"{file} {digest(self.context.root / file)}" for name in sources for file in self.context.files(name)]

        def change(root):
            if other is None:
                for name in sources:
                    for file in self.context.files(name):
                        inside = file.relative_to(name) if str(file) != name else pathlib.Path(file.name if target.endswith("/") else "")
                        put(self.context.root / file, root / target.strip("/") / inside, owner)
                return
            with sandbox.tree(other.layers, self.cache / "from") as there:
                for name in sources:
                    everything(there / name.strip("/"), root / target.strip("/"), owner, target.endswith("/"))
        text = f"COPY {' '.join(f'--{name}={value}' for name, value in one.flags)} {one.text}"
        return self.layer(made, where, text, change, *seen)


def digest(path):
    with open(path, "rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()} {stat.S_IMODE(path.stat().st_mode):o}"


def put(source, target, owner):
    """One file, link or folder without what is in it."""
    for parent in reversed(target.parents):
        if not parent.exists():
            parent.mkdir()
    if source.is_dir() and not source.is_symlink():
        if target.is_dir():
            return
        target.mkdir()
        shutil.copystat(source, target)
    else:
        target.unlink(missing_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    os.chown(target, *owner, follow_symlinks=False)


def everything(source, target, owner, into):
    """A file, or what is in a folder."""
    if not source.is_dir():
        put(source, target / source.name if into else target, owner)
        return
    put(source, target, owner)
    for here, folders, files in os.walk(source):
        for name in (*folders, *files):
            path = pathlib.Path(here, name)
            put(path, target / path.relative_to(source), owner)
