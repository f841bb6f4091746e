"""Faults that are planted in the template, each of which a check must find: a check that finds nothing proves nothing."""

import contextlib
import io

import alarms
import jobs
import permissions
import settings
import storage
from template import Template

RULE = '          - {OnStatusReason: "Task failed to start*", Action: RETRY}\n'
ADMIN = "      ManagedPolicyArns: [arn:aws:iam::aws:policy/AmazonSQSFullAccess]\n      AssumeRolePolicyDocument:\n"

# Check, what is replaced (the first time it stands there), by what, what the fault says.
FAULTS = [
    (permissions, "      AssumeRolePolicyDocument:\n", ADMIN, "managed policies"),
    (permissions, "Action: batch:SubmitJob", "Action: batch:*", "no exact action"),
    (permissions, "Action: s3:ListBucket", 'Action: "*"', "no exact action"),
    (permissions, "Resource: !GetAtt SubmitterDeadLetters.Arn", 'Resource: "*"', "on every resource"),
    (permissions, "Resource: !Sub ${ImagesBucket.Arn}/results/*", "Resource: !Sub ${ImagesBucket.Arn}/*", "is not in permissions.py"),
    (permissions, "sqs:ChangeMessageVisibility, ", "", "is missing"),
    (permissions, "Principal: {Service: lambda.amazonaws.com}", 'Principal: "*"', "not by lambda alone"),
    (jobs, RULE, "", "evaluateOnExit"),
    (jobs, '{OnExitCode: "8*", Action: RETRY}', '{OnExitCode: "8*", Action: EXIT}', "evaluateOnExit"),
    (jobs, "Attempts: 3", "Attempts: 10", "10 attempts"),
    (jobs, "AttemptDurationSeconds: 18000", "AttemptDurationSeconds: 3600", "the timeout"),
    (jobs, "User: 10001:10001", "User: root", "runs as root"),
    (jobs, "ReadonlyRootFilesystem: true", "ReadonlyRootFilesystem: false", "can be written"),
    (jobs, "Privileged: false", "Privileged: true", "privileged"),
    (jobs, "AllocationStrategy: SPOT_CAPACITY_OPTIMIZED", "AllocationStrategy: BEST_FIT", "AllocationStrategy"),
    (jobs, "MinvCpus: 0", "MinvCpus: 4", "MinvCpus"),
    (jobs, "ImageType: ECS_AL2023_NVIDIA", "ImageType: ECS_AL2_NVIDIA", "Ec2Configuration"),
    (jobs, "        MaxvCpus: 16\n", "        MaxvCpus: 16\n        BidPercentage: 60\n", "BidPercentage"),
    (jobs, "        MaxvCpus: 16\n", "        MaxvCpus: 16\n        DesiredvCpus: 0\n", "DesiredvCpus"),
    (jobs, "Priority: 50", "Priority: 500", "priority 500"),
    (jobs, "MaxTimeSeconds: 3600", "MaxTimeSeconds: 600", "outside"),
    (jobs, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", "MISCONFIGURATION:ANYTHING", "limits are for"),
    (jobs, "HttpTokens: required", "HttpTokens: optional", "without a token"),
    (jobs, "Encrypted: true", "Encrypted: false", "not encrypted"),
    (jobs, "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true", "", "is missing"),
    (storage, "maxReceiveCount: 20", "maxReceiveCount: 5", "before muster says why"),
    (storage, "MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 345600", "not 14 days"),
    (storage, "SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false", "not encrypted"),
    (storage, '{aws:SecureTransport: "false"}', '{aws:SecureTransport: "true"}', "without TLS"),
    (storage, "        - !Ref GalleriesQueue\n", "", "each queue has one"),
    (storage, "Action: sqs:SendMessage\n            Resource: \"*\"", "Action: sqs:*\n            Resource: \"*\"", "lets"),
    (storage, "StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}\n              ArnEquals", "ArnEquals", "is not said"),
    (storage, "BlockPublicAcls: true", "BlockPublicAcls: false", "become public"),
    (storage, "    DeletionPolicy: Retain\n", "", "kept when the stack is deleted"),
    (storage, "    DependsOn: ToldQueuesPolicy\n", "", "does not wait"),
    (settings, "Name: MUSTER_FLEET__MODE", "Name: MUSTER_FLEET__MOOD", "does not know"),
    (settings, "Name: MUSTER_TELEMETRY__EMF, Value: \"true\"", "Name: MUSTER_TELEMETRY__EMF, Value: \"yes\"", "neither true nor false"),
    (settings, "Name: LOG_GROUP, Value:", "Name: REDIS_URL, Value:", "is a secret"),
    (settings, "Value: detection}", "Value: \"mongodb://u:p@h\"}", "a password"),
    (settings, "          - {Name: QUEUE_URL, Value: !Ref ImagesQueue}\n", "", "QUEUE_URL is missing"),
    (settings, "muster_fetcher_received_images", "muster_fetcher_received_photos", "no metric"),
    (alarms, "      AlarmActions: [!Ref AlarmsTopic]\n", "", "does not tell"),
    (alarms, "AlarmName: !Sub ${Name}-Cost", "AlarmName: !Sub ${Name}-Money", "not that of its section"),
    (alarms, "  IntakeAge:\n", "  IntakeOld:\n", "does not say what to do"),
    (alarms, "  ImagesDeadLettersArn: {Value", "  ImagesDeadArn: {Value", "no output"),
    (alarms, "Value: !Ref SpotInterruptionRule", "Value: !Ref JobFailedRule", "no alarm counts"),
]


def check(template):
    faults = []
    for by, old, new, says in FAULTS:
        if old not in template.text:
            faults.append(f"planted.py: {old.strip()!r} stands nowhere in the template")
            continue
        with contextlib.redirect_stdout(io.StringIO()):
            found = by.check(Template(template.text.replace(old, new, 1)))
        if not any(says in fault for fault in found):
            faults.append(f"planted.py: {by.__name__} does not see {old.strip()!r} become {new.strip()!r}")
    print(f"planted    {len(FAULTS)} faults in copies of the template, each of them to be found")
    return faults
