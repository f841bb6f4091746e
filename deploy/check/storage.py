"""Queues of messages and buckets."""

import re
import tomllib

import settings
from permissions import granted
from template import ROOT

FORTNIGHT = 1209600
# Queue: where its dead letters go.
QUEUES = {
    "ImagesQueue": "ImagesDeadLetters", "EcsImagesQueue": "ImagesDeadLetters", "IntakeQueue": "ImagesDeadLetters",
    "GalleriesQueue": "GalleriesDeadLetters", "RequestsQueue": "RecognitionDeadLetters",
}
# Queues of which nothing may become a dead letter: a web task without a queue of its own gives back what is for another, as often as it takes.
HANDED_ON = {"ResponsesQueue"}
# Queues whose messages are worth nothing soon: whoever asked has left.
SECONDS = {"RequestsQueue": 600, "ResponsesQueue": 600}
# Queues that are leased from, and the setting that says for how long.
WORK = {
    "ImagesQueue": "visibility_seconds", "EcsImagesQueue": "visibility_seconds", "GalleriesQueue": "visibility_seconds",
    "RequestsQueue": "request_visibility_seconds", "ResponsesQueue": "request_visibility_seconds",
}
# Queues that S3 may tell of photos.
TOLD = {"ImagesQueue", "IntakeQueue"}
KEPT = {"ImagesBucket", "GroupsBucket", "Repository", "ImagesDeadLetters", "GalleriesDeadLetters"}
# Buckets of what callers leave behind: the name of the prefix in src/worker/recognition/wire_protocol.rs, which is deleted after a day.
FLEETING = {"InputBucket": "PHOTOS", "OutputBucket": "ANSWERS"}


def queues(template):
    settings = tomllib.loads((ROOT / "config" / "default.toml").read_text())["queues"]
    found = template.of("AWS::SQS::Queue")
    for name, queue in found.items():
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name}: not encrypted"
        kept, needed = queue.get("MessageRetentionPeriod"), SECONDS.get(name, FORTNIGHT)
        if kept != needed:
            yield f"{name}: messages are kept {kept} s, not {'14 days' if needed == FORTNIGHT else f'{needed} s'}"
        if name in WORK and queue.get("VisibilityTimeout") != settings[WORK[name]]:
            yield f"{name}: visibility is not queues.{WORK[name]}"
        redrive, letters = queue.get("RedrivePolicy", {}), QUEUES.get(name)
        if letters is None:
            if redrive or not ("DeadLetters" in name or name in HANDED_ON):
                yield f"{name}: storage.py does not know where its dead letters go"
            continue
        if redrive.get("deadLetterTargetArn") != {"Fn::GetAtt": [letters, "Arn"]}:
            yield f"{name}: dead letters do not go to {letters}"
        # SQS counts what was given back too, and machines are taken away again and again.
        if not 10 * settings["max_receives"] <= redrive.get("maxReceiveCount", 0) <= 1000:
            yield f"{name}: SQS takes a message away that was only given back (queues.max_receives = {settings['max_receives']})"
    policies = template.of("AWS::SQS::QueuePolicy").values()
    covered = sorted(entry["Ref"] for policy in policies for entry in policy["Queues"])
    if covered != sorted(found):
        yield f"policies cover {covered}: each queue has one, and only one"
    for policy in policies:
        yield from tls(policy, "sqs:*")
        queues = {entry["Ref"] for entry in policy["Queues"]}
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] != "Allow":
                continue
            if statement["Action"] != "sqs:SendMessage" or not queues <= TOLD:
                yield f"{statement['Sid']}: lets {statement['Principal']} do {statement['Action']} on {sorted(queues)}"
            if statement["Condition"].keys() != {"StringEquals", "ArnEquals"}:
                yield f"{statement['Sid']}: whose bucket may send is not said"


def tls(policy, actions):
    deny = {"Effect": "Deny", "Principal": "*", "Action": actions, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    if not any(deny.items() <= statement.items() for statement in policy["PolicyDocument"]["Statement"]):
        yield "a policy does not refuse what comes without TLS"


def buckets(template):
    found = template.of("AWS::S3::Bucket")
    policies = {policy["Bucket"]["Ref"]: policy for policy in template.of("AWS::S3::BucketPolicy").values()}
    for name, bucket in found.items():
        if set(bucket.get("PublicAccessBlockConfiguration", {}).values()) != {True}:
            yield f"{name}: may become public"
        if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name}: objects may have other owners"
        if "BucketEncryption" not in bucket:
            yield f"{name}: not encrypted"
        if not any("AbortIncompleteMultipartUpload" in rule for rule in bucket["LifecycleConfiguration"]["Rules"]):
            yield f"{name}: unfinished uploads stay"
        if name not in policies:
            yield f"{name}: has no policy"
        else:
            yield from (f"{name}: {fault}" for fault in tls(policies[name], "s3:*"))
    versioned = {name for name, bucket in found.items() if bucket.get("VersioningConfiguration") == {"Status": "Enabled"}}
    if versioned != {"ImagesBucket"}:
        yield f"versions are kept of {sorted(versioned)}: photos have them, faces must not"
    if "ToldQueuesPolicy" != template.resources["ImagesBucket"].get("DependsOn"):
        yield "ImagesBucket does not wait for the policy by which it may send"


def told(template):
    """What S3 tells a queue of are photos: nothing else is written to such a bucket."""
    tells = {name for name, bucket in template.of("AWS::S3::Bucket").items() if "NotificationConfiguration" in bucket}
    for role, has in template.of("AWS::IAM::Role").items():
        for resource, actions in granted(has).items():
            if "s3:PutObject" in actions and any(resource.startswith(f"${{{bucket}.Arn}}") for bucket in tells):
                yield f"{role}: may write to {resource}, which tells a queue of it"
    for where, values in settings.environments(template):
        for name in ("FACE_GROUP_BUCKET_NAME", "MUSTER_BUCKETS__RESULTS_BUCKET"):
            bucket = values.get(name)
            if isinstance(bucket, dict) and bucket.get("Ref") in tells:
                yield f"{where}: results go to {bucket['Ref']}, which tells a queue of them"


def fleeting(template):
    letters = (ROOT / "src/worker/recognition/wire_protocol.rs").read_text()
    for name, constant in FLEETING.items():
        prefix = re.search(rf'{constant}: &str = "([^"]+)"', letters)[1]
        rules = template.of("AWS::S3::Bucket").get(name, {}).get("LifecycleConfiguration", {}).get("Rules", [])
        if not any((r.get("Status"), r.get("Prefix"), r.get("ExpirationInDays")) == ("Enabled", prefix, 1) for r in rules):
            yield f"{name}: what muster does not delete below {prefix} stays for longer than a day"


def kept(template):
    now = {name for name, r in template.resources.items() if r.get("DeletionPolicy") == "Retain"}
    if now != KEPT:
        yield f"kept when the stack is deleted: {sorted(now)}, not {sorted(KEPT)}"
    yield from (f"{name}: is lost when it is replaced" for name in now
                if template.resources[name].get("UpdateReplacePolicy") != "Retain")


def check(template):
    faults = [fault for one in (queues, buckets, told, fleeting, kept) for fault in one(template)]
    print(f"storage    {len(template.of('AWS::SQS::Queue'))} queues, {len(template.of('AWS::S3::Bucket'))} buckets")
    return faults
