"""Machines, job queues and jobs: what the template must say of them, and what AWS Batch takes."""

from template import text

# What follows when an attempt ends: these rules in this order (docs/errors.md has the exit codes). AWS Batch takes five at most.
RULES = [
    {"OnStatusReason": "Host EC2*", "Action": "RETRY"},
    {"OnStatusReason": "Task failed to start*", "Action": "RETRY"},
    {"OnExitCode": "8*", "Action": "RETRY"},
    {"OnExitCode": "13*", "Action": "RETRY"},
    {"OnReason": "*", "Action": "EXIT"},
]

# Environment: type, strategy, vCPUs at most, the parameter that caps its workers.
ENVIRONMENTS = {
    "SpotPrimary": ("SPOT", "SPOT_CAPACITY_OPTIMIZED", 16, "PrimaryWorkers"),
    "SpotSecondary": ("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED", 256, "SecondaryWorkers"),
    "OnDemand": ("EC2", "BEST_FIT_PROGRESSIVE", {"Ref": "OnDemandVcpus"}, "FallbackWorkers"),
}
VCPUS = 4

QUEUES = {"PrimaryQueue": (100, "SpotPrimary"), "SecondaryQueue": (50, "SpotSecondary"), "FallbackQueue": (10, "OnDemand")}
REASONS = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
}
# Seconds without Spot after which muster turns to the fallback queue.
NO_SPOT = 900


def environments(template):
    found = template.of("AWS::Batch::ComputeEnvironment")
    if found.keys() != ENVIRONMENTS.keys():
        yield f"environments are {sorted(found)}"
    for name, (kind, strategy, vcpus, cap) in ENVIRONMENTS.items():
        has = found.get(name, {}).get("ComputeResources", {})
        table = {
            "Type": kind, "AllocationStrategy": strategy, "MaxvCpus": vcpus, "MinvCpus": 0,
            "Ec2Configuration": [{"ImageType": "ECS_AL2023_NVIDIA"}], "InstanceRole": {"Fn::GetAtt": ["MachineProfile", "Arn"]},
        }
        yield from (f"{name}: {key} is {has.get(key)}, not {value}" for key, value in table.items() if has.get(key) != value)
        # The first loses machines; the second would be set again by each update, which Batch refuses while workers run.
        yield from (f"{name}: {key} stays empty" for key in ("BidPercentage", "DesiredvCpus") if key in has)
        most = template.default(vcpus["Ref"]) if isinstance(vcpus, dict) else vcpus
        # Workers that group run beside the others, but never in the first queue (src/config/scale.rs).
        groupers = 0 if cap == "PrimaryWorkers" else 1
        if (template.default(cap) + groupers) * VCPUS > most:
            yield f"{cap} workers of {VCPUS} vCPUs, and {groupers} that groups, do not fit into {most} of {name}"


def machines(template):
    for name, properties in template.of("AWS::EC2::LaunchTemplate").items():
        data = properties["LaunchTemplateData"]
        if data.get("MetadataOptions", {}).get("HttpTokens") != "required":
            yield f"{name}: metadata without a token"
        if not all(disk["Ebs"].get("Encrypted") is True for disk in data["BlockDeviceMappings"]):
            yield f"{name}: a disk is not encrypted"
        script = text(data["UserData"]["Fn::Base64"])
        for line in ("ECS_ENABLE_SPOT_INSTANCE_DRAINING=true", "ECS_CONTAINER_STOP_TIMEOUT=${StopSeconds}s"):
            if line not in script:
                yield f"{name}: {line} is missing"


def queues(template):
    found = template.of("AWS::Batch::JobQueue")
    if found.keys() != QUEUES.keys():
        yield f"job queues are {sorted(found)}"
    for name, (priority, environment) in QUEUES.items():
        has = found.get(name, {})
        if has.get("Priority") != priority:
            yield f"{name}: priority {has.get('Priority')}, not {priority}"
        if [entry["ComputeEnvironment"] for entry in has.get("ComputeEnvironmentOrder", [])] != [{"Ref": environment}]:
            yield f"{name}: not on {environment} alone"
        limits = has.get("JobStateTimeLimitActions", [])
        if {limit["Reason"] for limit in limits} != REASONS:
            yield f"{name}: limits are for {sorted(limit['Reason'] for limit in limits)}"
        for limit in limits:
            seconds, reason = limit["MaxTimeSeconds"], limit["Reason"]
            least = 2 * NO_SPOT if reason.startswith("CAPACITY") else 900 if reason.endswith("JOB_RESOURCE_REQUIREMENT") else 600
            if not least <= seconds <= 86400:
                yield f"{name}: {reason} after {seconds} s, outside {least} to 86400"
            if (limit["Action"], limit["State"]) != ("CANCEL", "RUNNABLE"):
                yield f"{name}: {reason} is not cancelled while RUNNABLE"


def definitions(template):
    longest = (template.parameters["TimeLimitMinutes"]["MaxValue"] + 10) * 60
    for name, job in template.of("AWS::Batch::JobDefinition").items():
        retry = job.get("RetryStrategy", {})
        if retry.get("EvaluateOnExit") != RULES or len(RULES) > 5:
            yield f"{name}: evaluateOnExit differs from RULES in deploy/check/jobs.py: {retry.get('EvaluateOnExit')}"
        if retry.get("Attempts") != 3:
            yield f"{name}: {retry.get('Attempts')} attempts, not 3"
        if job.get("Timeout", {}).get("AttemptDurationSeconds", 0) <= longest:
            yield f"{name}: the timeout, which nothing retries, comes before a worker has left by itself ({longest} s)"
        container = job["ContainerProperties"]
        yield from (f"{name}: {old} is deprecated for ResourceRequirements" for old in ("Vcpus", "Memory") if old in container)
        needs = {need["Type"]: need["Value"] for need in container["ResourceRequirements"]}
        if needs.get("VCPU") != str(VCPUS) or ("GPU" in needs) != (name == "DetectionJob"):
            yield f"{name}: asks for {needs}"
        if template.default("WorkerMemory") > 16384 * 0.95:
            yield f"{name}: leaves less than 5 % of 16 GiB to the host"


def containers(template):
    """Properties of every container, by where it stands."""
    for name, job in template.of("AWS::Batch::JobDefinition").items():
        yield name, job["ContainerProperties"]
    for name, task in template.of("AWS::ECS::TaskDefinition").items():
        for container in task["ContainerDefinitions"]:
            yield name, container


def confined(template):
    for name, container in containers(template):
        user = str(container.get("User", "root"))
        if user.split(":")[0] in ("root", "0"):
            yield f"{name}: runs as {user}"
        if container.get("ReadonlyRootFilesystem") is not True:
            yield f"{name}: the root file system can be written"
        if container.get("Privileged") is not False:
            yield f"{name}: privileged"
        if text(container["Image"]).endswith(":latest"):
            yield f"{name}: the image is whatever is latest"


def check(template):
    checks = (environments, machines, queues, definitions, confined)
    faults = [fault for one in checks for fault in one(template)]
    print(f"jobs       {len(ENVIRONMENTS)} environments, {len(QUEUES)} job queues, {len(list(containers(template)))} containers")
    return faults
