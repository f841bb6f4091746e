"""What an image has to be: small, confined, complete, and at work as deploy/template.yaml runs it."""

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import stat
import subprocess
import time

import rules
import sandbox

# Megabytes at most, the program of a debug build among them.
LARGEST = {"cpu": 500, "gpu": 3700}
# What builds or fetches, below these folders.
TOOLS = re.compile(r"(cc|gcc|g\+\+|c\+\+|ld|as|make|cmake|nasm|cargo|rustc|rustup|python3?|pip3?|git|curl|wget)(-?[\d.]+)?")
FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin", "root", "setup", "src", "out")
LEFT_BEHIND = ("var/lib/apt/lists", "var/cache/apt", "root/.cache", "root/.cargo", "usr/include", "setup", "src", "out", "tmp")
# The driver's, which the container toolkit brings from the machine.
DRIVER = {"libcuda.so.1", "libnvidia-ml.so.1"}
# TensorRT's, which an image has only if it was asked for; ONNX Runtime loads that provider only if it is told to.
TENSORRT = {"libonnxruntime_providers_tensorrt.so": {"libnvinfer.so.10", "libnvonnxparser.so.10"}}
PHOTOS = 3


def check(target, made, cache, photos):
    """Faults of an image."""
    with sandbox.tree(made.layers, cache / "tree") as root, sandbox.devices(root):
        faults = [*confined(root, made), *sizes(target, made), *libraries(root, loaded(root))]
        with volumes(root, made, cache / "volumes"):
            faults += at_work(target, root, made, photos, cache)
    return faults


# What lies there.

def walk(root):
    for here, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not os.path.ismount(os.path.join(here, name))]
        for name in (*folders, *files):
            yield pathlib.Path(here, name)


def confined(root, made):
    uid, gid = (int(part) for part in made.user.split(":"))
    homes = [root / volume.strip("/") for volume in made.volumes]
    for path in walk(root):
        status, at = path.lstat(), path.relative_to(root)
        if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
            yield f"/{at} runs as somebody else"
        if status.st_mode & stat.S_IWOTH and not stat.S_ISLNK(status.st_mode) and not status.st_mode & stat.S_ISVTX:
            yield f"/{at} can be written by everybody"
        inside = any(path == home or home in path.parents for home in homes)
        if inside != ((status.st_uid, status.st_gid) == (uid, gid)):
            yield f"/{at} belongs to {status.st_uid}:{status.st_gid}"
        if path.parent.relative_to(root).as_posix() in FOLDERS and TOOLS.fullmatch(path.name):
            yield f"/{at} is for building"
    for name in LEFT_BEHIND:
        if (root / name).is_dir() and any((root / name).iterdir()):
            yield f"/{name} is not empty: {sorted(path.name for path in (root / name).iterdir())[:3]}"


def sizes(target, made):
    total = sum(sandbox.size(layer) for layer in made.layers) / 1e6
    print(f"{target:<17} {total:7.1f} MB in {len(made.layers)} layers")
    if total > LARGEST[target]:
        yield f"{total:.0f} MB, more than {LARGEST[target]}"


def loaded(root):
    """The program, and every library that Debian did not bring."""
    found = [root / "usr/local/bin/muster", *sorted((root / "var/lib/muster").rglob("*.so*")), *sorted((root / "opt").rglob("*.so*"))]
    found = [path for path in found if path.is_file() and not path.is_symlink()]
    print(f"{'':<17} {len(found)} programs and libraries to find what they load")
    return found


def libraries(root, files):
    """Everything that is loaded finds what it wants."""
    for path in files:
        ran = sandbox.run(root, ["ldd", f"/{path.relative_to(root)}"], {}, network=False)
        missing = set(re.findall(r"(\S+) => not found", ran.stdout)) - DRIVER
        if "libnvinfer.so.10" in missing:
            missing -= TENSORRT.get(path.name, set())
        if missing or ran.returncode and "not a dynamic executable" not in ran.stdout:
            yield f"{path.name} wants {sorted(missing) or ran.stdout.strip()}"


# How it works.

@contextlib.contextmanager
def volumes(root, made, scratch):
    """The only places to write to, filled with what the image has there, as Docker and Fargate do."""
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.ExitStack() as mounts:
        for number, volume in enumerate(made.volumes):
            scratch.mkdir(exist_ok=True)
            subprocess.run(["cp", "-a", root / volume.strip("/"), scratch / str(number)], check=True)
            mounts.enter_context(sandbox.mounted("--bind", scratch / str(number), at=root / volume.strip("/")))
        yield
    shutil.rmtree(scratch, ignore_errors=True)


def home(root, user):
    """HOME as Docker sets it: that of the user in /etc/passwd."""
    lines = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines()]
    return next((line[5] for line in lines if line[2] == user.split(":")[0]), "/")


def chosen(photos, folder):
    """A few photos, in a folder of their own."""
    folder.mkdir()
    found = sorted(path for path in photos.rglob("*") if path.suffix in (".jpg", ".png"))
    for number, path in enumerate([path for path in found if path.stem == "astronaut"] + found[:PHOTOS - 1]):
        shutil.copy(path, folder / f"{number}{path.suffix}")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)


def at_work(target, root, made, photos, cache):
    environment = made.environment | {"HOME": home(root, made.user)}
    options = {"user": made.user, "folder": made.folder, "network": False}
    library = "/var/lib/muster/library"

    def muster(*words):
        began = time.monotonic()
        ran = sandbox.run(root, [*made.entry, *words], environment, **options)
        lines = ran.stdout.strip().splitlines() or [""]
        print(f"{target:<17} exit {ran.returncode} {time.monotonic() - began:6.1f} s  muster {' '.join(words):<40} {lines[-1][:60]}", flush=True)
        return ran

    for where in ("/", "/tmp", "/usr/local/bin"):
        if sandbox.run(root, ["touch", f"{where}/x"], environment, **options).returncode == 0:
            yield f"{where} can be written to"
    for words in (["--version"], ["check"], ["models", "verify"]):
        ran = muster(*words)
        if ran.returncode:
            yield f"muster {' '.join(words)}: exit {ran.returncode}: {ran.stdout[-500:]}"
        if words == ["check"]:
            yield from lacking(target, ran.stdout)
    few = cache / "few"
    shutil.rmtree(few, ignore_errors=True)
    chosen(photos, few)
    with sandbox.mounted("--bind", few, at=root / "mnt"):
        ran = muster("index", "/mnt", "--library", library)
        faces = sandbox.run(root, [*made.entry, "export", "--csv", "--library", library], environment, **options)
        if ran.returncode or faces.returncode:
            yield f"muster index: exit {ran.returncode}, export: exit {faces.returncode}: {ran.stdout[-500:]}{faces.stdout[-300:]}"
        elif len(faces.stdout.splitlines()) < 2:
            yield "muster index found no face in photos of people"
        else:
            yield from served(target, root, made, [*made.entry, "serve", "--library", library], environment, options)
    shutil.rmtree(few)


def lacking(target, said):
    """Nothing but a card, which there is none of here: then the models run on the CPU, and `muster check` says so."""
    states = {line.split()[1]: line for line in said.splitlines() if line.split()[:1] in (["ok"], ["missing"], ["BROKEN"])}
    yield from (f"muster check: {line}" for what, line in states.items() if not line.startswith("ok") and what != "cards")
    if "run on the CPU" not in states.get("cards", ""):
        yield f"muster check does not say where the models run: {said[-400:]}"


def served(target, root, made, words, environment, options):
    """The web tier: alive by the template's own health check, and gone at SIGTERM."""
    probe = next(container["HealthCheck"]["Command"] for _, container in rules.jobs.containers(rules.template.load()) if "HealthCheck" in container)
    # One network for both: the probe is a process of the server's.
    script = f"""probe=({shlex.join(probe[1:])})
        "$@" & server=$!
        for _ in $(seq 100); do "${{probe[@]}}" 2>/dev/null && break; sleep 0.2; done
        "${{probe[@]}}"; alive=$?
        kill -TERM $server; wait $server; echo alive=$alive ended=$?"""
    ran = sandbox.run(root, ["bash", "-c", script, "bash", *words], environment, **options)
    said = ran.stdout.strip().splitlines()[-1:]
    print(f"{target:<17} muster serve: {' '.join(said)}")
    if said != ["alive=0 ended=0"]:
        yield f"muster serve: {ran.stdout[-500:]}"
