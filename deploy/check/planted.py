"""Faults that are planted in the template, each of which a check must find: a check that finds nothing proves nothing."""

import contextlib
import io

import alarms
import jobs
import permissions
import recognition
import settings
import storage
from template import Template

RULE = '          - {OnStatusReason: "Task failed to start*", Action: RETRY}\n'
ADMIN = "      ManagedPolicyArns: [arn:aws:iam::aws:policy/AmazonSQSFullAccess]\n      AssumeRolePolicyDocument:\n"
WEB_BUCKET = "      BucketName: !Sub ${Name}-requests-${AWS::AccountId}-${AWS::Region}\n"

# Check, what is replaced (the first time it stands there), by what, what the fault says.
FAULTS = [
    (permissions, "      AssumeRolePolicyDocument:\n", ADMIN, "managed policies"),
    (permissions, "Action: batch:SubmitJob", "Action: batch:*", "no exact action"),
    (permissions, "Action: s3:ListBucket", 'Action: "*"', "no exact action"),
    (permissions, "Resource: !GetAtt SubmitterDeadLetters.Arn", 'Resource: "*"', "on every resource"),
    (permissions, "Resource: !Sub ${ImagesBucket.Arn}/results/*", "Resource: !Sub ${ImagesBucket.Arn}/*", "is not in permissions.py"),
    (permissions, "sqs:ChangeMessageVisibility, ", "", "is missing"),
    (permissions, "Principal: {Service: lambda.amazonaws.com}", 'Principal: "*"', "not by lambda alone"),
    (permissions, "Resource: !Sub ${InputBucket.Arn}/requests/*", "Resource: !Sub ${InputBucket.Arn}/*", "is not in permissions.py"),
    (permissions, "[sqs:SendMessage, sqs:PurgeQueue, sqs:GetQueueAttributes]", "[sqs:SendMessage, sqs:ReceiveMessage]", "is not in permissions.py"),
    (permissions, "Condition: {StringLikeIfExists: {s3:prefix: requests/*}}", "Condition: {StringLike: {s3:prefix: requests/*}}", "may list"),
    (permissions, "                Condition: {StringLikeIfExists: {s3:prefix: answers/*}}\n", "", "may list"),
    (permissions, "                  - !If [HasApiKeys, !Ref ApiKeysSecret, !Ref \"AWS::NoValue\"]\n", "", "is missing"),
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
    (storage, "maxReceiveCount: 200", "maxReceiveCount: 20", "was only given back"),
    (storage, "MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 345600", "not 14 days"),
    (storage, "SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false", "not encrypted"),
    (storage, '{aws:SecureTransport: "false"}', '{aws:SecureTransport: "true"}', "without TLS"),
    (storage, "        - !Ref GalleriesQueue\n", "", "each queue has one"),
    (storage, "Action: sqs:SendMessage\n            Resource: \"*\"", "Action: sqs:*\n            Resource: \"*\"", "lets"),
    (storage, "StringEquals: {aws:SourceAccount: !Ref AWS::AccountId}\n              ArnEquals", "ArnEquals", "is not said"),
    (storage, "BlockPublicAcls: true", "BlockPublicAcls: false", "become public"),
    (storage, WEB_BUCKET, WEB_BUCKET + "      VersioningConfiguration: {Status: Enabled}\n", "faces must not"),
    (storage, "    DeletionPolicy: Retain\n", "", "kept when the stack is deleted"),
    (storage, "    DependsOn: ToldQueuesPolicy\n", "", "does not wait"),
    (storage, "RecognitionDeadLetters.Arn, maxReceiveCount: 200", "RecognitionDeadLetters.Arn, maxReceiveCount: 12", "was only given back"),
    (storage, "VisibilityTimeout: 15", "VisibilityTimeout: 1800", "not queues.request_visibility_seconds"),
    (storage, "MessageRetentionPeriod: 600", "MessageRetentionPeriod: 1209600", "not 600 s"),
    (storage, "!Ref ResponsesQueue, !Ref RecognitionDeadLetters]", "!Ref ResponsesQueue]", "each queue has one"),
    (storage, "            Prefix: requests/\n", "            Prefix: request/\n", "below requests/ stays"),
    (storage, "Prefix: answers/\n            ExpirationInDays: 1", "Prefix: answers/\n            ExpirationInDays: 30", "below answers/ stays"),
    (storage, "Action: s3:DeleteObject\n                Resource: !Sub ${ImagesBucket.Arn}/results/*", "Action: [s3:PutObject, s3:DeleteObject]\n                Resource: !Sub ${ImagesBucket.Arn}/results/*", "which tells a queue"),
    (storage, "[s3:GetObject, s3:DeleteObject]\n                    Resource: !Sub ${ImagesBucket.Arn}/results/*", "[s3:GetObject, s3:PutObject]\n                    Resource: !Sub ${ImagesBucket.Arn}/results/*", "which tells a queue"),
    (storage, "          - {Name: FACE_GROUP_BUCKET_NAME, Value: !Ref GroupsBucket}", "          - {Name: FACE_GROUP_BUCKET_NAME, Value: !Ref ImagesBucket}", "results go to"),
    (storage, "          - {Name: BUCKET_NAME, ", "          - {Name: MUSTER_BUCKETS__RESULTS_BUCKET, Value: !Ref ImagesBucket}\n          - {Name: BUCKET_NAME, ", "results go to"),
    (recognition, "  WebRole:\n    Type: AWS::IAM::Role\n    Condition: Recognises\n", "  WebRole:\n    Type: AWS::IAM::Role\n", "without recognition"),
    (recognition, "  Dashboard:\n", "  Dashboard:\n    Condition: Recognises\n", "does not know it"),
    (recognition, "    Default: 0\n    MinValue: 0\n", "    Default: 1\n    MinValue: 0\n", "without being asked for"),
    (recognition, "Assert: !Not [!Equals [!Ref ApiKeysSecret", "Assert: !Not [!Equals [!Ref RedisSecret", "without ApiKeysSecret"),
    (recognition, "InputBucketName: {Condition: Recognises, ", "InputBucketName: {", "what may not be there"),
    (recognition, "SourceSecurityGroupId: !Ref WebFrom", "CidrIp: 0.0.0.0/0", "others than WebFrom"),
    (recognition, "AssignPublicIp: DISABLED", "AssignPublicIp: ENABLED", "public address"),
    (recognition, "DesiredCount: !Ref RespondTasks", "DesiredCount: !Ref WebTasks", "is not RespondTasks"),
    (recognition, "GET /health/live", "GET /health/alive", "does not answer"),
    (recognition, "            Command:\n              - CMD\n", "            Command:\n              - NONE\n", "whether it lives"),
    (recognition, "Value: \"0.0.0.0:8080\"", "Value: \"127.0.0.1:8080\"", "no load balancer"),
    (recognition, "Name: MUSTER_QUEUES__OWN_RESPONSES, Value: \"true\"", "Name: MUSTER_QUEUES__OWN_RESPONSES, Value: \"false\"", "received by each"),
    (permissions, "Resource: !Sub ${ResponsesQueue.Arn}-*", "Resource: !Sub ${ResponsesQueue.Arn}*", "is not in permissions.py"),
    (permissions, "                  - sqs:DeleteQueue\n", "", "is missing"),
    (permissions, "Resource: !Ref FallbackService", "Resource: !Ref WebService", "is not in permissions.py"),
    (permissions, "ServesPeople\n                  - Effect: Allow", "Recognises\n                  - Effect: Allow", "without ServesPeople"),
    (permissions, "Resource: [!Sub \"${GroupsBucket.Arn}/galleries/*\", ", "Resource: [!Sub \"${GroupsBucket.Arn}/*\", ", "is not in permissions.py"),
    (permissions, "Condition: {StringLikeIfExists: {s3:prefix: results/*}}", 'Condition: {StringLikeIfExists: {s3:prefix: "*"}}', "may list"),
    (recognition, "!And [{Condition: Recognises}, ", "!Or [{Condition: Recognises}, ", "not whether there are"),
    (recognition, "ServesPeople\n            - {IpProtocol: tcp, FromPort: 27017", "Recognises\n            - {IpProtocol: tcp, FromPort: 27017", "Amazon's services alone"),
    (recognition, "[ServesPeople, {Name: MUSTER_MODELS__PACK, Value: !Ref ModelPack}", "[ServesPeople, {Name: MUSTER_MODELS__PACK, Value: open}", "that of the workers"),
    (settings, "[ServesPeople, {Name: HUEMN_MONGO_URI", "[HasApiKeys, {Name: HUEMN_MONGO_URI", "has no use for"),
    (settings, "[ServesPeople, {Name: FACE_GROUP_BUCKET_NAME", "[Recognises, {Name: FACE_GROUP_BUCKET_NAME", "has no use for"),
    (settings, "Name: MUSTER_FLEET__MODE", "Name: MUSTER_FLEET__MOOD", "does not know"),
    (settings, "Name: MUSTER_TELEMETRY__EMF, Value: \"true\"", "Name: MUSTER_TELEMETRY__EMF, Value: \"yes\"", "neither true nor false"),
    (settings, "Name: LOG_GROUP, Value:", "Name: REDIS_URL, Value:", "is a secret"),
    (settings, "Value: detection}", "Value: \"mongodb://u:p@h\"}", "a password"),
    (settings, "          - {Name: QUEUE_URL, Value: !Ref ImagesQueue}\n", "", "QUEUE_URL is missing"),
    (settings, "            - {Name: RESPONSE_QUEUE_URL, Value: !Ref ResponsesQueue}\n", "", "RESPONSE_QUEUE_URL is missing"),
    (settings, "Name: MUSTER_API_KEYS, ValueFrom: !Ref ApiKeysSecret", "Name: HUEMN_MONGO_URI, ValueFrom: !Ref HuemnMongoSecret", "has no use for"),
    (settings, "Name: MUSTER_API_KEYS, ValueFrom", "Name: MUSTER_API_KEY, ValueFrom", "MUSTER_API_KEYS is missing"),
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
