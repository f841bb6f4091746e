"""The whole stack on an emulator: created, read back, updated, deleted."""

import collections
import io
import json
import zipfile

from botocore.exceptions import ClientError, ParamValidationError

import kinds
from difference import differences
from emulator import ACCOUNT, REGION, Emulator
from recognition import TIER, TOUCHED
from resolve import Resolver
from storage import KEPT
from template import ROOT

KNOWN = ROOT / "deploy" / "emulator.json"
STACK = "muster"


def secret(name):
    return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf"


class Stack:
    def __init__(self, emulator, template):
        self.template, self.emulator, self.clients = template, emulator, {}
        self.parameters = {name: str(p["Default"]) for name, p in template.parameters.items() if "Default" in p}
        self.ids = {}

    def api(self, service):
        if service not in self.clients:
            self.clients[service] = self.emulator.client(service)
        return self.clients[service]

    def prepare(self):
        """What has to be there before: a network, the submitter's zip, Batch's own role, a load balancer's group. And a value for
        whatever is optional."""
        network = self.api("ec2").describe_subnets()["Subnets"]
        balancer = self.api("ec2").create_security_group(GroupName="balancer", Description="-", VpcId=network[0]["VpcId"])["GroupId"]
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("bootstrap", "")
        self.api("s3").create_bucket(Bucket="code")
        self.api("s3").put_object(Bucket="code", Key="submitter.zip", Body=package.getvalue())
        self.api("iam").create_role(
            RoleName="AWSServiceRoleForBatch", Path="/aws-service-role/batch.amazonaws.com/", AssumeRolePolicyDocument="{}")
        self.parameters |= {
            "VpcId": network[0]["VpcId"], "SubnetIds": ",".join(subnet["SubnetId"] for subnet in network[:2]),
            "CodeBucket": "code", "GalleryImagesMongoSecret": secret("faces"), "HuemnMongoSecret": secret("huemn"),
            "RedisSecret": secret("redis"), "ModelsBucket": "models", "AlarmEmail": "operator@example.com",
            "DataKey": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000",
            "WebTasks": "2", "WebPeople": "yes", "WebGallery": "holidays", "WebFrom": balancer, "ApiKeysSecret": secret("keys"),
            "WebTargetGroup": f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/web/0123456789abcdef",
        }

    def call(self, call):
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        getattr(self.api("cloudformation"), call)(
            StackName=STACK, TemplateBody=self.template.text, Parameters=given, Capabilities=["CAPABILITY_IAM"])
        status = self.api("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
        resources = self.api("cloudformation").describe_stack_resources(StackName=STACK)
        return status, resources["StackResources"]

    def attribute(self, name, attribute):
        """What Fn::GetAtt gives."""
        kind, physical = self.template.resources[name]["Type"], self.ids[name]
        last = physical.rsplit("/", 1)[-1]
        own = {
            "AWS::SQS::Queue": {"Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{last}", "QueueName": last},
            "AWS::S3::Bucket": {"Arn": f"arn:aws:s3:::{physical}"},
            "AWS::Logs::LogGroup": {"Arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{physical}:*"},
            "AWS::Lambda::Function": {"Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{physical}"},
            "AWS::EC2::LaunchTemplate": {"LatestVersionNumber": "1"},
            "AWS::IAM::Role": {"Arn": f"arn:aws:iam::{ACCOUNT}:role/{physical}"},
            "AWS::ECS::Service": {"Name": last},
            "AWS::IAM::InstanceProfile": {"Arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{physical}"},
            "AWS::ECR::Repository": {
                "Arn": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{physical}",
                "RepositoryUri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{physical}",
            },
        }
        return own[kind][attribute]

    def wanted(self):
        """Properties of every resource that the parameters ask for."""
        resolver = Resolver(self.template, self.parameters, self.ids, self.attribute)
        there = {name: r for name, r in self.template.resources.items() if "Condition" not in r or resolver.holds(r["Condition"])}
        return {name: (r["Type"], resolver.value(r.get("Properties", {}))) for name, r in there.items()}


def create(stack):
    """Faults, and a line of what was made."""
    stack.prepare()
    status, made = stack.call("create_stack")
    faults = [] if status == "CREATE_COMPLETE" else [f"the stack is {status}"]
    # What the emulator's CloudFormation does not know it leaves out, without a name.
    stack.ids = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in made if "LogicalResourceId" in r}
    faults += [f"{r['LogicalResourceId']} is {r['ResourceStatus']}" for r in made
               if "LogicalResourceId" in r and r["ResourceStatus"] != "CREATE_COMPLETE"]
    wanted, by_api, only_checked = stack.wanted(), collections.Counter(), []
    for name, (kind, properties) in wanted.items():
        if name in stack.ids:
            continue
        if kind in kinds.MODELS:
            only_checked.append(name)
            fault = kinds.validate(stack.api, kind, properties)
            faults += [f"{name}: {fault}"] if fault else []
            continue
        if kind not in kinds.MAKERS:
            faults.append(f"{name}: {kind} was not created")
            continue
        try:
            kinds.MAKERS[kind](stack.api, properties)
            by_api[kind] += 1
        except (ClientError, ParamValidationError) as error:
            faults.append(f"{name}: {error}")
    print(f"created    {len(wanted)} resources: {len(stack.ids)} by CloudFormation, {by_api.total()} by their own API ("
          + ", ".join(f"{count} {kind.removeprefix('AWS::')}" for kind, count in by_api.items())
          + f"); not on this emulator, only held against the service's model: {', '.join(only_checked)}")
    return faults


def read_back(stack):
    """What the emulator dropped or changed, by kind and path."""
    found = collections.defaultdict(dict)
    for name, (kind, properties) in stack.wanted().items():
        if kind not in kinds.MODELS:
            got = kinds.READERS[kind](stack.api, stack.ids.get(name), properties)
            found[kind] |= dict(differences(properties, got))
    return found


def compare(found):
    """Holds what the emulator did against what it is known to do (deploy/emulator.json)."""
    known, faults = json.loads(KNOWN.read_text())["differs"], []
    for kind in sorted(known.keys() | found.keys()):
        now = {path: what.split(":")[0] for path, what in found.get(kind, {}).items()}
        for path, what in now.items() - known.get(kind, {}).items():
            faults.append(f"{kind} {path} was {found[kind][path]}, which deploy/emulator.json does not know")
        for path, what in known.get(kind, {}).items() - now.items():
            faults.append(f"{kind} {path} was not {what} as deploy/emulator.json says")
        for what in ("dropped", "changed"):
            paths = [path for path, became in now.items() if became == what]
            if paths:
                print(f"{what:<10} {kind.removeprefix('AWS::')}: {', '.join(paths)}")
    return faults


def update(stack):
    """Other parameters reach the resources that they are for."""
    stack.parameters |= {"EcsTasks": "2", "Intake": "intake", "Rate": "31.5", "RespondTasks": "5"}
    status, _ = stack.call("update_stack")
    wanted = stack.wanted()
    got = {name: kinds.READERS[wanted[name][0]](stack.api, stack.ids[name], wanted[name][1])
           for name in ("FallbackService", "RespondService", "Submitter", "ImagesBucket")}
    told = wanted["ImagesBucket"][1]["NotificationConfiguration"]["QueueConfigurations"]
    held = {
        f"the stack is {status}": status == "UPDATE_COMPLETE",
        "the service has other tasks": got["FallbackService"]["desiredCount"] == 2,
        "there are other workers for callers": got["RespondService"]["desiredCount"] == 5,
        "the submitter has another rate": got["Submitter"]["Environment"]["Variables"]["MUSTER_SCALE__RATE"] == "31.5",
        "S3 tells another queue": told[0]["Queue"].endswith("-intake"),
    }
    print(f"updated    {'; '.join(held)}")
    return [f"not so after the update: {what}" for what, so in held.items() if not so]


def callers_only(stack):
    """Where the web tier only recognises, it knows nothing of the fleet's. Only worked out, as below."""
    before, parameters = stack.wanted(), stack.parameters
    stack.parameters = parameters | {"WebPeople": "no"}
    try:
        after = stack.wanted()
    finally:
        stack.parameters = parameters
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    faults = [] if changed == TOUCHED else [f"without people {sorted(changed)} are others, not {sorted(TOUCHED)}"]
    foreign = [stack.ids[name] for name in ("GalleriesQueue", "GroupsBucket", "ImagesBucket")]
    foreign += [stack.attribute("GalleriesQueue", "Arn"), "27017", "6379"]
    foreign += [parameters[name] for name in ("GalleryImagesMongoSecret", "HuemnMongoSecret", "RedisSecret", "ModelsBucket")]
    for name in sorted(TOUCHED):
        with_people, said = str(before[name]), str(after[name])
        faults += [f"{name}: names {what} without people" for what in foreign if what in said]
        if not any(what in with_people for what in foreign):
            faults.append(f"{name}: names nothing of the fleet's with people")
    print(f"without    people: {', '.join(sorted(changed))} name nothing of the fleet's")
    return faults


def without(stack):
    """Without web tasks there is nothing of recognition, and all else is as it was. Only worked out: of a condition that holds no more
    moto takes nothing away."""
    before, parameters, ids = stack.wanted(), stack.parameters, stack.ids
    stack.parameters, stack.ids = parameters | {"WebTasks": "0"}, {name: ids[name] for name in ids.keys() - TIER}
    try:
        after = stack.wanted()
    except KeyError as name:
        return [f"without web tasks something refers to {name}"]
    finally:
        stack.parameters, stack.ids = parameters, ids
    # Traced names services whose traces are looked for.
    changed = {name for name in after if before[name] != after[name]} - {"Traced"}
    faults = [f"{name} is another one without web tasks" for name in sorted(changed)]
    faults += [f"{name} {'goes' if name in before else 'comes'} without web tasks"
               for name in sorted((before.keys() - TIER) ^ after.keys())]
    print(f"without    web tasks: {len(before)} resources become {len(after)}")
    return faults


def delete(stack):
    """What is to be kept is kept, all else is gone."""
    wanted, faults = stack.wanted(), []
    # Of these moto deletes nothing with a stack.
    stays = json.loads(KNOWN.read_text())["stays"]
    stack.api("cloudformation").delete_stack(StackName=STACK)
    for name, physical in stack.ids.items():
        kind, properties = wanted[name]
        try:
            there = bool(kinds.READERS[kind](stack.api, physical, properties))
        except (ClientError, IndexError, StopIteration):
            there = False
        if there != (name in KEPT or kind in stays):
            faults.append(f"after the stack was deleted, {name} is {'still there' if there else 'gone'}")
    print(f"deleted    kept: {', '.join(sorted(KEPT))}; left by the emulator: {', '.join(kind.removeprefix('AWS::') for kind in stays)}")
    return faults


def check(template):
    with Emulator() as emulator:
        stack = Stack(emulator, template)
        return create(stack) or compare(read_back(stack)) + update(stack) + callers_only(stack) + without(stack) + delete(stack)
