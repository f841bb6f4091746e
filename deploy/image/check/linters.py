"""hadolint, checkov and shellcheck, with every exception and its reason."""

import json
import pathlib
import subprocess
import sys
import tempfile

from dockerfile import PATH

BIN = pathlib.Path(sys.executable).parent
SCRIPTS = sorted(PATH.parent.glob("*.sh"))

# Rules that the Dockerfile does not follow, and why.
HADOLINT = {
    "DL3006": "the stage tensorrt is chosen by name; rules.py reads the tags of images",
    "DL3008": "Debian's archive keeps one version of a package, the one with the security fixes: a pinned one is gone soon",
}
CHECKOV = {
    "CKV_DOCKER_2": "what lives is another thing for a worker, the web tier and a command; ECS does not read it from an image anyway",
    "CKV_DOCKER_7": "checkov does not look behind an ARG; rules.py does",
}


def run(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def sort_out(tool, found, exceptions):
    """Faults among (rule, text), and exceptions that nothing needs."""
    faults = [f"{tool}: {rule} {text}" for rule, text in found if rule not in exceptions]
    faults += [f"linters.py: nothing needs the exception {rule}" for rule in sorted(exceptions.keys() - {rule for rule, _ in found})]
    return faults


def told(tool, exceptions):
    print(f"{tool:<10} {len(exceptions)} rules excepted:" if exceptions else f"{tool:<10} no exceptions")
    for name, why in exceptions.items():
        print(f"             {name} {why}")


def hadolint(path=PATH):
    ran = run(BIN / "hadolint", "--no-color", "--format", "json", path)
    try:
        return [(entry["code"], f"line {entry['line']}: {entry['message']}") for entry in json.loads(ran.stdout)]
    except ValueError:
        return [("hadolint", f"said nothing of use: {ran.stdout[-300:]}{ran.stderr[-300:]}")]


def checkov(path=PATH):
    ran = run(sys.executable, BIN / "checkov", "--file", path, "--framework", "dockerfile", "--skip-download", "--output", "json")
    try:
        found = json.loads(ran.stdout)
        return [(entry["check_id"], f"line {entry['file_line_range'][0]}: {entry['check_name']}") for entry in found["results"]["failed_checks"]]
    except (ValueError, KeyError):
        return [("checkov", f"said nothing of use: {ran.stdout[-300:]}{ran.stderr[-300:]}")]


def shellcheck(*paths):
    ran = run(BIN / "shellcheck", "--format", "json", *(paths or SCRIPTS))
    try:
        return [(f"SC{entry['code']}", f"{pathlib.Path(entry['file']).name}:{entry['line']}: {entry['message']}") for entry in json.loads(ran.stdout)]
    except ValueError:
        return [("shellcheck", f"said nothing of use: {ran.stdout[-300:]}{ran.stderr[-300:]}")]


def written(text, name, check):
    """What a linter finds in a text."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, name)
        path.write_text(text)
        return check(path)


def check():
    faults = []
    for tool, find, exceptions in (("hadolint", hadolint, HADOLINT), ("checkov", checkov, CHECKOV), ("shellcheck", shellcheck, {})):
        faults += sort_out(tool, find(), exceptions)
        told(tool, exceptions)
    return faults
