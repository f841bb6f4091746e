"""Trees of files as a container has them: layers on each other, a /dev and a /proc of its own, and a command inside."""

import contextlib
import ctypes
import os
import pathlib
import subprocess
import sys

CLONE_NEWNS = 0x20000
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of this machine, for the build alone: Docker passes the first ones on too.
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL")
AUTHORITIES = ("SSL_CERT_FILE", "PIP_CERT", "CARGO_HTTP_CAINFO")


def private():
    """Whatever is mounted from now on is this process's, and gone when it ends."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise SystemExit(f"image-check mounts file systems, and so must be root: {os.strerror(ctypes.get_errno())}")
    mount("--make-rprivate", "/")


def mount(*options):
    ran = subprocess.run(["mount", *map(str, options)], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"mount {' '.join(map(str, options))}: {ran.stderr.strip()}")


@contextlib.contextmanager
def mounted(*options, at):
    at.mkdir(parents=True, exist_ok=True)
    mount(*options, at)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", at], check=True)


def tree(layers, at, changes=None):
    """Layers on each other, the last one on top; read-only without a folder for changes."""
    # Beneath all of them nothing: one layer alone is no overlay.
    nothing = at.with_name("nothing")
    nothing.mkdir(parents=True, exist_ok=True)
    lower = ":".join(str(layer) for layer in (*reversed(layers), nothing))
    if changes is None:
        return mounted("-t", "overlay", "-o", f"ro,lowerdir={lower}", "overlay", at=at)
    work = changes.with_name("work")
    for folder in (changes, work):
        folder.mkdir(parents=True, exist_ok=True)
    return mounted("-t", "overlay", "-o", f"lowerdir={lower},upperdir={changes},workdir={work}", "overlay", at=at)


@contextlib.contextmanager
def devices(root):
    """What a container has in /dev and /sys; a file of authorities of this machine lies there too."""
    with mounted("-t", "tmpfs", "-o", "mode=755", "tmpfs", at=root / "dev"), mounted("-o", "bind,ro", "/sys", at=root / "sys"):
        for name in DEVICES:
            (root / "dev" / name).touch()
            mount("--bind", f"/dev/{name}", root / "dev" / name)
        for name, target in (("fd", "self/fd"), ("stdin", "self/fd/0"), ("stdout", "self/fd/1"), ("stderr", "self/fd/2")):
            (root / "dev" / name).symlink_to(f"/proc/{target}")
        (root / "dev" / "shm").mkdir(mode=0o1777)
        yield


def of_this_machine(root):
    """What a build here needs to reach the registries: variables, and files at places that no layer keeps."""
    given = {name: os.environ[name] for name in PROXIES if name in os.environ}
    bundle = next((os.environ[name] for name in AUTHORITIES if os.environ.get(name)), None)
    if bundle:
        (root / "dev" / "authorities.crt").write_bytes(pathlib.Path(bundle).read_bytes())
        given |= dict.fromkeys(AUTHORITIES, "/dev/authorities.crt")
    return given


def command(root, words, environment, user="0:0", folder="/", network=True):
    """The words of a process in a tree, and its environment. It has processes of its own, and no network but itself unless asked for."""
    namespaces = ["--fork", "--pid", "--kill-child", f"--mount-proc={root}/proc", *([] if network else ["--net"])]
    inside = ["chroot", f"--userspec={user}", "--groups=", str(root), "env", f"--chdir={folder}", *words]
    alone = [] if network else [sys.executable, str(pathlib.Path(__file__).with_name("loopback.py"))]
    return ["unshare", *namespaces, *alone, *inside], {"PATH": PATH, **environment}


def run(root, words, environment, **options):
    words, environment = command(root, words, environment, **options)
    return subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def size(folder):
    """Bytes on the disk."""
    seen, total = set(), 0
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(here, name))
            if status.st_ino not in seen:
                seen.add(status.st_ino)
                total += status.st_blocks * 512
    return total
