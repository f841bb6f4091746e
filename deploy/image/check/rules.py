"""What linters do not know: the images are pinned, hold no secret, and are what deploy/template.yaml asks for."""

import re
import sys
import tomllib

from dockerfile import CARRIED_OUT, ROOT, context

sys.path.append(str(ROOT / "deploy" / "check"))

import jobs  # noqa: E402
import template  # noqa: E402

# Parameters of the template, and the targets that they name an image of.
IMAGES = {"ImageTag": "gpu", "CpuImageTag": "cpu"}
EXACT = re.compile(r"(@sha256:[0-9a-f]{64}|:([\w.-]*\D)?(\d+\.\d+\.\d+|\d{8}|\d\d\.\d\d-py3)([-.]\w+)*)$")
SECRET = re.compile(r"(?i)(passw|secret|token|credential|api_?key|access_?key|private|_uri$|_url$)")
# In no RUN of an image's own stages: what builds and fetches stays behind.
BUILD_ONLY = ("cargo", "cmake", "gcc", "g++", "build-essential", "python3-pip", "nasm", "curl", "wget", "git")


def final(dockerfile, target, name):
    """Instructions of a name in a target and the stages below it, the last one first."""
    for stage in dockerfile.chain(target):
        yield from (one for one in reversed(stage.instructions) if one.name == name)


def environment(dockerfile, target):
    values = {}
    for one in final(dockerfile, target, "ENV"):
        values = one.pairs() | values
    return values


def built(dockerfile):
    """The program is built from features and a profile that there are, without what is for tests."""
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())
    text = " ".join(one.text for one in dockerfile.stages["build"].instructions if one.name == "RUN")
    features = {name for names in re.findall(r"--features (\S+)", text) for name in names.split(",")}
    yield from (f"build: Cargo.toml has no feature {name}" for name in sorted(features - cargo["features"].keys()))
    yield from (f"build: Cargo.toml has no profile {name}" for name in re.findall(r"--profile (\S+)", text) if name not in cargo["profile"])
    if features != set(cargo["features"]["default"]) - {"chaos"}:
        yield f"build: {sorted(features)} are not the default features without chaos"


def pinned(dockerfile):
    for stage in dockerfile.stages.values():
        base = dockerfile.base(stage)
        if base not in dockerfile.stages and not EXACT.search(base):
            yield f"line {stage.line}: {base} is no exact image"
    rust = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    if f":{rust}." not in dockerfile.arguments["RUST"]:
        yield f"{dockerfile.arguments['RUST']} is not the Rust {rust} of Cargo.toml"
    wheels = (ROOT / "deploy/image/cuda.txt").read_text()
    for entry in re.sub(r"\\\n", "", re.sub(r"(?m)^#.*\n", "", wheels)).splitlines():
        if not re.fullmatch(r"[\w-]+==[\w.]+ +--hash=sha256:[0-9a-f]{64}", entry.strip()):
            yield f"cuda.txt: {entry.strip()[:60]} is not pinned"
    for stage in dockerfile.stages.values():
        for one in stage.instructions:
            if one.name == "RUN" and re.search(r"\bcargo (build|install)\b", one.text) and "--locked" not in one.text:
                yield f"line {one.line}: cargo without --locked"
            if one.name == "RUN" and re.search(r"\bpip3? install\b", one.text) and "--require-hashes" not in one.text:
                yield f"line {one.line}: pip without --require-hashes"
            if one.name == "RUN" and re.search(r"\b(curl|wget|git clone)\b|https?://", one.text):
                yield f"line {one.line}: fetches what nothing pins"


def understood(dockerfile):
    sees, names = context(), set()
    for stage in dockerfile.stages.values():
        for one in stage.instructions:
            if one.name not in CARRIED_OUT:
                yield f"line {one.line}: {one.name} is not what this image is made with"
            where = [value for value in one.flag("from") if value not in dockerfile.stages]
            yield from (f"line {one.line}: there is no stage {name}" for name in where)
            if one.name == "COPY" and not one.flag("from"):
                names.update(one.words()[:-1])
            for mount in one.flag("mount"):
                names.update(re.findall(r"^type=bind,source=([^,]+)", mount))
                if not mount.startswith(("type=bind,source=", "type=cache,target=")):
                    yield f"line {one.line}: {mount.split(',')[0]} is not known here"
    yield from (f"{name} is not in what the build sees" for name in sorted(names) if not sees.holds(name))
    for path in sees.allowed:
        if not any(f"{path}/".startswith(f"{name}/") for name in names):
            yield f".dockerignore: nothing copies {path}"


def included():
    """Files that the program takes in when it is compiled."""
    sees = context()
    for top in ("src", "actors", "deploy/submitter"):
        for path in sorted((ROOT / top).rglob("*.rs")):
            text = "" if "tests" in path.parts else path.read_text().split("#[cfg(test)]\nmod ")[0]
            for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', text):
                file = (path.parent / name).resolve()
                if file.is_file() and not sees.holds(str(file.relative_to(ROOT))):
                    yield f"{path.relative_to(ROOT)} takes in {name}, which the build does not see"


def secrets(dockerfile):
    given = [(0, dockerfile.arguments)]
    for stage in dockerfile.stages.values():
        given += [(one.line, one.pairs()) for one in stage.instructions if one.name in ("ARG", "ENV")]
    for line, pairs in given:
        for name, value in pairs.items():
            if SECRET.search(name) or re.search(r"\w+://[^/\s]*:[^/\s]*@", value or ""):
                yield f"line {line}: {name} looks like a secret, which an image tells whoever has it"


def asked_for(dockerfile, read):
    """Each image against the containers of the template that run it."""
    if sorted(dockerfile.targets()) != sorted(IMAGES.values()):
        yield f"the targets are {dockerfile.targets()}, the template wants {sorted(IMAGES.values())}"
        return
    for where, container in jobs.containers(read):
        tag = re.search(r":\$\{(\w+)\}$", template.text(container["Image"]))[1]
        target = IMAGES[tag]
        users = [one.text for one in final(dockerfile, target, "USER")][:1]
        if users != [container["User"]]:
            yield f"{where}: the user is {container['User']}, that of {target} {users or 'root'}"
        volumes = {path for one in final(dockerfile, target, "VOLUME") for path in one.words()}
        mounts = {mount["ContainerPath"] for mount in container.get("MountPoints", [])}
        if volumes != mounts:
            yield f"{where}: mounts {sorted(mounts)}; VOLUME of {target}, which Fargate fills them from, is {sorted(volumes)}"
        home = environment(dockerfile, target).get("MUSTER_HOME")
        given = {entry["Name"]: entry["Value"] for entry in template.left(container["Environment"])}.get("MUSTER_HOME", home)
        if given != home:
            yield f"{where}: MUSTER_HOME is {given}, the models of {target} are at {home}"
        if ["muster"] not in [one.words() for one in final(dockerfile, target, "ENTRYPOINT")][:1]:
            yield f"{where}: the command {container['Command']} is one of muster's, which is not the entry point of {target}"


def ends(dockerfile):
    """What each image is at its end."""
    for target in dockerfile.targets():
        user = next((one.text for one in final(dockerfile, target, "USER")), "root")
        if not re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user):
            yield f"{target}: runs as {user}, not as a number of its own"
        if next((one.text for one in final(dockerfile, target, "STOPSIGNAL")), None) != "SIGTERM":
            yield f"{target}: is not stopped by SIGTERM, at which muster hands its work back"
        home = environment(dockerfile, target).get("MUSTER_HOME")
        copies = [one for one in final(dockerfile, target, "COPY") if one.words()[-1] == home and one.flag("from")]
        if not home or [one.flag("chown") for one in copies] != [[user]]:
            yield f"{target}: the models at {home} are not the user's"
        for one in final(dockerfile, target, "RUN"):
            if "apt-get update" in one.text and "rm -rf /var/lib/apt/lists/*" not in one.text:
                yield f"{target}: keeps apt's lists"
            yield from (f"{target}: {name} is for building" for name in BUILD_ONLY if re.search(rf"(^|\s){re.escape(name)}(\s|$)", one.text))
        labels = {}
        for one in final(dockerfile, target, "LABEL"):
            labels = one.pairs() | labels
        for name in ("title", "description", "licenses", "version", "revision"):
            if f"org.opencontainers.image.{name}" not in labels:
                yield f"{target}: the label {name} is missing"
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    for target in dockerfile.targets():
        given = [one.pairs().get("VERSION") for one in final(dockerfile, target, "ARG") if "VERSION" in one.pairs()]
        if given != [version]:
            yield f"{target}: VERSION is {given}, that of Cargo.toml {version}"
    gpu = environment(dockerfile, "gpu")
    if not {"compute", "utility"} <= set(gpu.get("NVIDIA_DRIVER_CAPABILITIES", "").split(",")):
        yield "gpu: without compute and utility there is neither libcuda nor NVML"


def check(dockerfile, read):
    faults = [fault for one in (built, pinned, understood, secrets, ends) for fault in one(dockerfile)]
    return [*faults, *asked_for(dockerfile, read)]
