"""Recognition as a service: there or not as a whole, reached by nobody but a load balancer, and no more than it needs."""

import re

from jobs import containers
from template import ROOT, left

# All of it. A stack without it (WebTasks 0, as it comes) has none of these, and is what it was before there was recognition.
TIER = {
    "RequestsQueue", "ResponsesQueue", "RecognitionDeadLetters", "RecognitionQueuesPolicy", "InputBucket", "InputBucketPolicy",
    "OutputBucket", "OutputBucketPolicy", "WebGroup", "WebRole", "WebTask", "WebService", "RespondRole", "RespondTask", "RespondService",
    "RequestsAge", "DeadRequests",
}
CONDITION = "Recognises"
# In this order moto compares them as text, as CloudFormation does in any.
ASKED = {"Fn::Not": [{"Fn::Equals": ["0", {"Ref": "WebTasks"}]}]}
# Whether it also serves the people of the fleet, and what is another one then. docs/tiers.md.
PEOPLE = "ServesPeople"
PEOPLE_ASKED = {"Fn::And": [{"Condition": CONDITION}, {"Fn::Equals": [{"Ref": "WebPeople"}, "yes"]}]}
TOUCHED = {"WebGroup", "WebRole", "WebTask"}
PORT = 8080
# Service: its task, the parameter of its tasks, its security group.
SERVICES = {"WebService": ("WebTask", "WebTasks", "WebGroup"), "RespondService": ("RespondTask", "RespondTasks", "WorkersGroup")}


def whole(template):
    now = {name for name, resource in template.resources.items() if resource.get("Condition") == CONDITION}
    yield from (f"{name}: stands in a stack without recognition" for name in sorted(TIER - now))
    yield from (f"{name}: recognition.py does not know it" for name in sorted(now - TIER))
    if template.default("WebTasks") != 0:
        yield "WebTasks: recognition is there without being asked for"
    if template.body["Conditions"].get(CONDITION) != ASKED:
        yield f"{CONDITION}: not whether there are WebTasks"
    for name, output in template.body["Outputs"].items():
        named = set(re.findall(r"'(?:Ref|Fn::GetAtt)': \[?'(\w+)'", str(output["Value"])))
        if named & TIER and output.get("Condition") != CONDITION:
            yield f"{name}: an output of what may not be there"
    given = {"Fn::Not": [{"Fn::Equals": [{"Ref": "ApiKeysSecret"}, ""]}]}
    rules = [rule for rule in template.body.get("Rules", {}).values() if rule["RuleCondition"] == ASKED]
    if not any(assertion["Assert"] == given for rule in rules for assertion in rule["Assertions"]):
        yield "the web tier may be asked for without ApiKeysSecret, and then does not start"


def reached(template):
    group = template.of("AWS::EC2::SecurityGroup")["WebGroup"]
    wanted = {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "SourceSecurityGroupId": {"Ref": "WebFrom"}}
    branch = group.get("SecurityGroupIngress", {})
    condition, then, otherwise = branch.get("Fn::If", [None] * 3) if isinstance(branch, dict) else [None, branch, None]
    rules = [{key: value for key, value in rule.items() if key != "Description"} for rule in then or []]
    if (condition, rules, otherwise) != ("HasWebFrom", [wanted], {"Ref": "AWS::NoValue"}):
        yield f"WebGroup: lets in others than WebFrom at {PORT}"
    if [rule["ToPort"] for rule in left(group["SecurityGroupEgress"], {PEOPLE})] != [443]:
        yield "WebGroup: without people the web tier speaks to Amazon's services alone"
    if left(group["SecurityGroupEgress"]) != template.of("AWS::EC2::SecurityGroup")["WorkersGroup"]["SecurityGroupEgress"]:
        yield "WebGroup: with people the web tier speaks to whom the workers speak"
    for name, other in template.of("AWS::EC2::SecurityGroup").items():
        if name != "WebGroup" and "SecurityGroupIngress" in other:
            yield f"{name}: nobody has to reach it"
    for name, service in template.of("AWS::ECS::Service").items():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        if network.get("AssignPublicIp") != "DISABLED":
            yield f"{name}: has a public address"
        if name in SERVICES:
            task, count, group = SERVICES[name]
            now = (service["TaskDefinition"], service["DesiredCount"], network["SecurityGroups"])
            if now != ({"Ref": task}, {"Ref": count}, [{"Ref": group}]):
                yield f"{name}: is not {count} of {task} in {group}"


def web(template):
    (container,) = template.of("AWS::ECS::TaskDefinition")["WebTask"]["ContainerDefinitions"]
    if container["Command"] != ["serve"] or [entry["ContainerPort"] for entry in container.get("PortMappings", [])] != [PORT]:
        yield f"WebTask: is not muster serve at {PORT}"
    environment = {entry["Name"]: entry["Value"] for entry in left(container["Environment"])}
    if environment.get("MUSTER_QUEUES__OWN_RESPONSES") != "true":
        yield "WebTask: a reply is received by each of its tasks until the one that asked has it"
    listens = environment.get("MUSTER_SERVE__LISTEN")
    if listens != f"0.0.0.0:{PORT}":
        yield f"WebTask: listens at {listens}, where no load balancer reaches it"
    command = " ".join(container.get("HealthCheck", {}).get("Command", []))
    path = re.search(r"GET (\S+) ", command)
    if not command.startswith("CMD bash ") or f"/127.0.0.1/{PORT} " not in command or not path:
        yield "WebTask: nothing asks whether it lives"
    elif f'path = "{path[1]}"' not in (ROOT / "src" / "http" / "health.rs").read_text():
        yield f"WebTask: src/http/health.rs does not answer {path[1]}"
    for entry in template.of("AWS::ECS::Service")["WebService"].get("LoadBalancers", {}).get("Fn::If", [None, []])[1]:
        if (entry["ContainerName"], entry["ContainerPort"]) != (container["Name"], PORT):
            yield "WebService: registers something else than the web tier"


def people(template):
    if template.default("WebPeople") != "no":
        yield "WebPeople: the people are served without being asked for"
    if template.body["Conditions"].get(PEOPLE) != PEOPLE_ASKED:
        yield f"{PEOPLE}: not whether there are WebTasks and WebPeople"
    for name, resource in template.resources.items():
        if resource.get("Condition") == PEOPLE or (f"'Fn::If': ['{PEOPLE}'" in str(resource)) != (name in TOUCHED):
            yield f"{name}: {'is' if name in TOUCHED else 'is not'} what people change, and only in part"
    all_of = dict(containers(template))
    web, worker = all_of["WebTask"], all_of["GroupingJob"]
    # A correction is grouped and saved in the web tier as a worker would: same pack, same stores.
    for kind, value in ("Environment", "Value"), ("Secrets", "ValueFrom"):
        theirs = {entry["Name"]: entry[value] for entry in left(worker[kind])}
        for entry in left(web[kind]):
            if entry not in left(web[kind], {PEOPLE}) and theirs.get(entry["Name"]) != entry[value]:
                yield f"WebTask: {entry['Name']} is not that of the workers"
    # Redis is optional, here too.
    if "REDIS_URL" in {entry["Name"] for entry in left(web["Secrets"], {"HasRedis"})}:
        yield "WebTask: REDIS_URL is there without a secret"
    gallery = {entry["Name"]: entry["Value"] for entry in left(web["Environment"], {PEOPLE})}.get("MUSTER_SERVE__GALLERY")
    if gallery != {"Ref": "WebGallery"} or template.default("WebGallery") != "":
        yield "WebTask: callers who name no gallery are not given WebGallery, or cannot be without"


def check(template):
    faults = [fault for one in (whole, reached, web, people) for fault in one(template)]
    print(f"recognition {len(TIER)} resources, none of them unless WebTasks are asked for; {len(TOUCHED)} of them change with WebPeople")
    return faults
