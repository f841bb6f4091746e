"""Environment variables are ones that muster reads, and no secret stands in one; metrics are ones that it tells."""

import re
import tomllib

from jobs import containers
from template import ROOT

# Read elsewhere than in the settings, and where.
ELSEWHERE = {"MUSTER_HOME": "src/onnx/home.rs", "AWS_EC2_METADATA_DISABLED": "src/aws/host.rs"}

# What a worker cannot do without (docs/fleet.md).
NEEDED = {
    "detection": {"QUEUE_URL", "GROUP_FACE_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "BUCKET_NAME", "FACE_GROUP_BUCKET_NAME"},
    "grouping": {"GROUP_FACE_QUEUE_URL", "DEAD_LETTER_QUEUE_URL", "BUCKET_NAME", "FACE_GROUP_BUCKET_NAME"},
}
MONGO = {"GALLERY_IMAGES_MONGO_URI", "HUEMN_MONGO_URI"}


def read(path):
    return (ROOT / path).read_text()


def known():
    """Setting by variable, and the defaults."""
    defaults = tomllib.loads(read("config/default.toml"))
    names = {f"MUSTER_{section}__{key}".upper(): f"{section}.{key}" for section, keys in defaults.items() for key in keys}
    table = re.search(r"NAMES: \[\(&str, &str\); \d+\] = \[(.*?)\];", read("src/settings/fleet.rs"), re.S)[1]
    return names | dict(re.findall(r'\("(\w+)", "([\w.]+)"\)', table)), defaults


def secrets():
    table = re.search(r"SECRETS: \[&str; \d+\] = \[(.*?)\];", read("src/settings/fleet.rs"), re.S)[1]
    return set(re.findall(r'"([\w.]+)"', table))


def environments(template):
    """Variables of everything that runs, by where they stand."""
    for name, container in containers(template):
        yield name, {entry["Name"]: entry["Value"] for entry in container["Environment"]}
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
        given = {(e["Fn::If"][1] if "Fn::If" in e else e)["Name"] for e in container["Secrets"]}
        # The cutover reads what images became, and nothing else.
        works = any(entry["Name"] == "SERVICE_TYPE" for entry in container["Environment"])
        needed = MONGO if works else {"GALLERY_IMAGES_MONGO_URI"}
        if not needed <= given:
            yield f"{where}: {', '.join(needed - given)} is missing"
        yield from (f"{where}: the secret {name} is nothing that muster knows" for name in given if names.get(name) not in secrets())


def metrics(template):
    told = set(re.findall(r'= "(muster_\w+)"', read("src/telemetry/names.rs")))
    used = set(re.findall(r"\bmuster_\w+", template.text))
    yield from (f"{name} is no metric of src/telemetry/names.rs" for name in sorted(used - told))
    namespace = re.search(r'NAMESPACE: &str = "(\w+)"', read("src/aws/gauge.rs"))[1]
    if set(re.findall(r"\bSEARCH\('\{(\w+),", template.text)) != {namespace}:
        yield f"a search of the dashboard is not in the namespace {namespace}"
    services = {f"muster-{service}" for service in NEEDED}
    for name, group in template.of("AWS::XRay::Group").items():
        if set(re.findall(r'service\("([\w-]+)"\)', group["FilterExpression"])) != services:
            yield f"{name}: traces of {sorted(services)} are what it is for"


def check(template):
    faults = [fault for one in (variables, metrics) for fault in one(template)]
    count = len({name for _, values in environments(template) for name in values})
    print(f"settings   {count} variables")
    return faults
