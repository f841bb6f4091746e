"""Environment variables are ones that muster reads, and no secret stands in one; metrics are ones that it tells."""

import re
import tomllib

from jobs import containers
from template import ROOT, left

# Read elsewhere than in the settings, and where.
ELSEWHERE = {
    "MUSTER_HOME": "src/inference/onnx/home.rs", "AWS_EC2_METADATA_DISABLED": "src/aws/host.rs", "MUSTER_API_KEYS": "src/cli/serve/mod.rs",
}

CALLERS = {"REQUEST_QUEUE_URL", "RESPONSE_QUEUE_URL", "INPUT_BUCKET_NAME", "OUTPUT_BUCKET_NAME"}
# What a worker cannot do without (docs/fleet.md).
NEEDED = {
    "detection": {"QUEUE_URL", "GROUP_FACE_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "BUCKET_NAME", "FACE_GROUP_BUCKET_NAME"},
    "grouping": {"GROUP_FACE_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "BUCKET_NAME", "FACE_GROUP_BUCKET_NAME"},
    "recognition": CALLERS | {"DEAD_LETTER_QUEUE_URL"},
}
# What a command that is no such worker cannot do without.
COMMANDS = {"serve": CALLERS | {"MUSTER_SERVE__LISTEN"}}
# What a command cannot do without where a condition holds, and has no use for where it does not.
ONLY_WHERE = {"serve": ("ServesPeople", {"BUCKET_NAME", "FACE_GROUP_BUCKET_NAME", "GROUP_FACE_QUEUE_URL", "MUSTER_MODELS__PACK"})}
FACES, CACHE = {"GALLERY_IMAGES_MONGO_URI"}, {"REDIS_URL"}
# Secrets that a command cannot do without, and those that it may have besides: the cutover reads what images became, and nothing else.
SECRETS = {
    "worker": (FACES | {"HUEMN_MONGO_URI"}, CACHE), "cutover": (FACES, set()),
    "serve": ({"MUSTER_API_KEYS"}, set()), "respond": (FACES, CACHE),
}
# Of these too it has more where that condition holds.
SECRETS_WHERE = {"serve": (FACES | {"HUEMN_MONGO_URI"}, CACHE)}


def read(path):
    return (ROOT / path).read_text()


def known():
    """Setting by variable, and the defaults."""
    defaults = tomllib.loads(read("config/default.toml"))
    names = {f"MUSTER_{section}__{key}".upper(): f"{section}.{key}" for section, keys in defaults.items() for key in keys}
    table = re.search(r"NAMES: \[\(&str, &str\); \d+\] = \[(.*?)\];", read("src/config/fleet.rs"), re.S)[1]
    return names | dict(re.findall(r'\("(\w+)", "([\w.]+)"\)', table)), defaults


def secrets():
    table = re.search(r"SECRETS: \[&str; \d+\] = \[(.*?)\];", read("src/config/fleet.rs"), re.S)[1]
    return set(re.findall(r'"([\w.]+)"', table))


def environments(template):
    """Variables of everything that runs, by where they stand."""
    for name, container in containers(template):
        yield name, {entry["Name"]: entry["Value"] for entry in left(container["Environment"])}
    for name, function in template.of("AWS::Lambda::Function").items():
        yield name, function["Environment"]["Variables"]


def variables(template):
    names, defaults = known()
    for where, values in environments(template):
        for name, value in values.items():
            if name in names:
                section, key = names[name].split(".")
                if isinstance(defaults[section][key], bool) and value not in ("true", "false"):
                    yield f"{where}: {name} is {value}, which is neither true nor false"
                if names[name] in secrets():
                    yield f"{where}: {name} is a secret"
            elif name in ELSEWHERE:
                if f'"{name}"' not in read(ELSEWHERE[name]):
                    yield f"{where}: {ELSEWHERE[name]} does not read {name}"
            else:
                yield f"{where}: muster does not know {name}"
            if isinstance(value, str) and re.search(r"mongodb(\+srv)?://|rediss?://|:[^/@]+@", value):
                yield f"{where}: {name} looks like an address with a password"
        service = values.get("SERVICE_TYPE")
        yield from (f"{where}: {name} is missing" for name in NEEDED.get(service, set()) - values.keys())
    for where, container in containers(template):
        for name in sorted({entry["Name"] for entry in left(container["Secrets"])}):
            if name in ELSEWHERE:
                if f'"{name}"' not in read(ELSEWHERE[name]):
                    yield f"{where}: {ELSEWHERE[name]} does not read {name}"
            elif names.get(name) not in secrets():
                yield f"{where}: the secret {name} is nothing that muster knows"
        yield from (f"{where}: {fault}" for fault in has(container))


def has(container):
    """What a container has, with its command's condition and without."""
    command = container["Command"][0]
    condition, more = ONLY_WHERE.get(command, (None, set()))
    for off in [frozenset(), frozenset({condition})] if condition else [frozenset()]:
        suffix = f" without {condition}" if off else ""
        (needed, besides), settings = SECRETS[command], COMMANDS.get(command, set())
        if condition and not off:
            needed, besides, settings = needed | SECRETS_WHERE[command][0], besides | SECRETS_WHERE[command][1], settings | more
        given = {entry["Name"] for entry in left(container["Secrets"], off)}
        yield from (f"{name} is missing{suffix}" for name in sorted(needed - given))
        yield from (f"muster {command} has no use for the secret {name}{suffix}" for name in sorted(given - needed - besides))
        given = {entry["Name"] for entry in left(container["Environment"], off)}
        yield from (f"{name} is missing{suffix}" for name in sorted(settings - given))
        yield from (f"muster {command} has no use for {name}{suffix}" for name in sorted(given & more if off else ()))


def metrics(template):
    told = set(re.findall(r'= "(muster_\w+)"', read("src/telemetry/names.rs")))
    used = set(re.findall(r"\bmuster_\w+", template.text))
    yield from (f"{name} is no metric of src/telemetry/names.rs" for name in sorted(used - told))
    namespace = re.search(r'NAMESPACE: &str = "(\w+)"', read("src/aws/queue_metrics.rs"))[1]
    if set(re.findall(r"\bSEARCH\('\{(\w+),", template.text)) != {namespace}:
        yield f"a search of the dashboard is not in the namespace {namespace}"
    services = {f"muster-{service}" for service in [*NEEDED, "web"]}
    for name, group in template.of("AWS::XRay::Group").items():
        if set(re.findall(r'service\("([\w-]+)"\)', str(group["FilterExpression"]))) != services:
            yield f"{name}: traces of {sorted(services)} are what it is for"


def check(template):
    faults = [fault for one in (variables, metrics) for fault in one(template)]
    count = len({name for _, values in environments(template) for name in values})
    print(f"settings   {count} variables")
    return faults
