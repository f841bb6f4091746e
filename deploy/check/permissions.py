"""Who may do what. A permission more, or one less, is a fault until it stands here too."""

from template import each, left, text

# Actions that know no resource, by the service authorization reference: only these may have "*".
NO_RESOURCE = {
    "batch:ListJobs": "names no resource",
    "batch:DescribeJobs": "names no resource",
    "cloudwatch:ListMetrics": "metrics are no resources",
    "cloudwatch:GetMetricData": "metrics are no resources",
    "ecr:GetAuthorizationToken": "a token is for the whole registry",
    "ecs:DiscoverPollEndpoint": "asks where the service is",
    "sqs:ListQueues": "lists an account's queues",
    "xray:PutTraceSegments": "spans are no resources",
    "xray:PutSpans": "spans are no resources",
    "xray:PutSpansForIndexing": "spans are no resources",
}

RECEIVE = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
SEND = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
SPANS = ["xray:PutTraceSegments", "xray:PutSpans", "xray:PutSpansForIndexing"]
WATCH = ["batch:ListJobs", "batch:DescribeJobs", "cloudwatch:ListMetrics", "cloudwatch:GetMetricData"]
LOG = ["logs:CreateLogStream", "logs:PutLogEvents"]
KEY = {"${DataKey}": ["kms:Decrypt", "kms:GenerateDataKey"]}
PACK = {"arn:${AWS::Partition}:s3:::${ModelsBucket}/*": ["s3:GetObject"]}
ECS = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}"
# Below which prefix a bucket may be listed, where that is said. A read names none: with IfExists what is missing is still a 404.
LISTED = {"${InputBucket.Arn}": "requests/*", "${OutputBucket.Arn}": "answers/*"}
STATE = {"${GroupsBucket.Arn}/fleet/*": ["s3:GetObject", "s3:PutObject"], "${GroupsBucket.Arn}": ["s3:ListBucket"]}

# What the web tier may do besides where it serves people, and below which prefix it may list there.
PEOPLE = {
    "${GalleriesQueue.Arn}": ["sqs:SendMessage"],
    "${GroupsBucket.Arn}": ["s3:ListBucket"],
    "${GroupsBucket.Arn}/galleries/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    "${GroupsBucket.Arn}/packs/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    "${GroupsBucket.Arn}/results/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    "${ImagesBucket.Arn}": ["s3:ListBucket"],
    "${ImagesBucket.Arn}/results/*": ["s3:GetObject", "s3:DeleteObject"],
    "arn:${AWS::Partition}:s3:::${ModelsBucket}/*manifest.toml": ["s3:GetObject"],
}
LISTED_BY = {"WebRole": {"${GroupsBucket.Arn}": "galleries/*", "${ImagesBucket.Arn}": "results/*"}}
# Role: the condition that part of its permissions has, and that part.
ONLY_WHERE = {"WebRole": ("ServesPeople", PEOPLE)}

# Role: who takes it, and actions by resource.
ROLES = {
    "MachineRole": ("ec2", {
        "*": ["ecs:DiscoverPollEndpoint"],
        f"{ECS}:cluster/*${{Name}}-*": [
            "ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance", "ecs:SubmitContainerStateChange",
            "ecs:SubmitTaskStateChange", "ecs:SubmitAttachmentStateChanges"],
        f"{ECS}:container-instance/*${{Name}}-*/*": [
            "ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState", "ecs:TagResource"],
    }),
    "ExecutionRole": ("ecs-tasks", {
        "*": ["ecr:GetAuthorizationToken"],
        "${Repository.Arn}": ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
        "${WorkersLog.Arn}": LOG,
        "${GalleryImagesMongoSecret}": ["secretsmanager:GetSecretValue"],
        "${HuemnMongoSecret}": ["secretsmanager:GetSecretValue"],
        "${RedisSecret}": ["secretsmanager:GetSecretValue"],
        "${ApiKeysSecret}": ["secretsmanager:GetSecretValue"],
    }),
    "DetectionRole": ("ecs-tasks", {
        "*": SPANS,
        "${ImagesQueue.Arn}": RECEIVE,
        "${EcsImagesQueue.Arn}": RECEIVE,
        "${GalleriesQueue.Arn}": SEND,
        "${ImagesDeadLetters.Arn}": SEND,
        "${ImagesBucket.Arn}": ["s3:ListBucket"],
        "${ImagesBucket.Arn}/*": ["s3:GetObject"],
        "${ImagesBucket.Arn}/results/*": ["s3:DeleteObject"],
        "${GroupsBucket.Arn}": ["s3:ListBucket"],
        "${GroupsBucket.Arn}/galleries/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        "${GroupsBucket.Arn}/packs/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        "${GroupsBucket.Arn}/results/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        **PACK, **KEY,
    }),
    "GroupingRole": ("ecs-tasks", {
        "*": SPANS,
        "${GalleriesQueue.Arn}": RECEIVE,
        "${GalleriesDeadLetters.Arn}": SEND,
        "${GroupsBucket.Arn}": ["s3:ListBucket"],
        "${GroupsBucket.Arn}/galleries/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        "${GroupsBucket.Arn}/packs/*": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        **PACK, **KEY,
    }),
    "CutoverRole": ("ecs-tasks", {
        "*": SPANS,
        "${IntakeQueue.Arn}": RECEIVE,
        "${EcsImagesQueue.Arn}": SEND,
        "${ImagesQueue.Arn}": RECEIVE + ["sqs:SendMessage"],
        "${ImagesDeadLetters.Arn}": ["sqs:GetQueueAttributes"],
        "${FallbackService}": ["ecs:DescribeServices"],
        **STATE, **KEY,
    }),
    "WebRole": ("ecs-tasks", {
        "*": SPANS + ["sqs:ListQueues"],
        "${RequestsQueue.Arn}": SEND + ["sqs:PurgeQueue"],
        "${ResponsesQueue.Arn}": RECEIVE + ["sqs:PurgeQueue"],
        "${ResponsesQueue.Arn}-*": RECEIVE + [
            "sqs:PurgeQueue", "sqs:CreateQueue", "sqs:DeleteQueue", "sqs:TagQueue", "sqs:ListQueueTags"],
        "${InputBucket.Arn}": ["s3:ListBucket"],
        "${InputBucket.Arn}/requests/*": ["s3:PutObject", "s3:DeleteObject"],
        "${OutputBucket.Arn}": ["s3:ListBucket"],
        "${OutputBucket.Arn}/answers/*": ["s3:GetObject", "s3:DeleteObject"],
        **PEOPLE, **KEY,
    }),
    "RespondRole": ("ecs-tasks", {
        "*": SPANS,
        "${RequestsQueue.Arn}": RECEIVE,
        "${ResponsesQueue.Arn}": ["sqs:SendMessage"],
        "${ResponsesQueue.Arn}-*": ["sqs:SendMessage"],
        "${RecognitionDeadLetters.Arn}": ["sqs:SendMessage"],
        "${InputBucket.Arn}": ["s3:ListBucket"],
        "${InputBucket.Arn}/requests/*": ["s3:GetObject"],
        "${OutputBucket.Arn}/answers/*": ["s3:PutObject"],
        **PACK, **KEY,
    }),
    "SubmitterRole": ("lambda", {
        "*": WATCH,
        "${ImagesQueue.Arn}": ["sqs:GetQueueAttributes"],
        "${GalleriesQueue.Arn}": ["sqs:GetQueueAttributes"],
        "${DetectionJob}": ["batch:SubmitJob"],
        "${GroupingJob}": ["batch:SubmitJob"],
        "${PrimaryQueue}": ["batch:SubmitJob"],
        "${SecondaryQueue}": ["batch:SubmitJob"],
        "${FallbackQueue}": ["batch:SubmitJob"],
        "${SubmitterLog.Arn}": LOG,
        "${SubmitterDeadLetters.Arn}": ["sqs:SendMessage"],
        **STATE, **KEY,
    }),
    "ScheduleRole": ("scheduler", {"${Submitter.Arn}": ["lambda:InvokeFunction"]}),
}


def statements(role, off=frozenset()):
    for policy in role.get("Policies", []):
        yield from left(each(policy["PolicyDocument"]["Statement"]), off)


def granted(role, off=frozenset()):
    out = {}
    for statement in statements(role, off):
        for resource in left(each(statement["Resource"]), off):
            out.setdefault(text(resource), set()).update(each(statement["Action"]))
    return out


def cases(name, may):
    """Conditions that do not hold, and what a role may do then."""
    yield frozenset(), may
    if name in ONLY_WHERE:
        condition, part = ONLY_WHERE[name]
        yield frozenset({condition}), {resource: actions for resource, actions in may.items() if resource not in part}


def check(template):
    faults, roles = [], template.of("AWS::IAM::Role")
    for kind in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::User", "AWS::IAM::Group"):
        faults += [f"{name}: permissions stand in roles, not in a {kind}" for name in template.of(kind)]
    for name in roles.keys() | ROLES.keys():
        if name not in roles or name not in ROLES:
            faults.append(f"{name} is a role {'that permissions.py does not know' if name in roles else 'no more'}")
            continue
        role, (service, may), listed = roles[name], ROLES[name], LISTED | LISTED_BY.get(name, {})
        if role.get("ManagedPolicyArns"):
            faults.append(f"{name} has managed policies: {', '.join(map(text, role['ManagedPolicyArns']))}")
        who = [s.get("Principal") for s in role["AssumeRolePolicyDocument"]["Statement"]]
        if who != [{"Service": f"{service}.amazonaws.com"}]:
            faults.append(f"{name} may be taken by {who}, not by {service} alone")
        for statement in statements(role):
            actions = each(statement["Action"])
            faults += [f"{name}: {action} is no exact action" for action in actions if "*" in action]
            if statement["Effect"] != "Allow" or "NotAction" in statement or "NotResource" in statement:
                faults.append(f"{name}: {statement} is not a plain Allow")
            for resource in map(text, left(each(statement["Resource"]))):
                if resource == "*":
                    faults += [f"{name}: {action} on every resource" for action in actions if action not in NO_RESOURCE]
                elif resource.endswith((":*", ":::*")):
                    faults.append(f"{name}: {resource} is every resource of a service")
                only = {"StringLikeIfExists": {"s3:prefix": listed.get(resource)}}
                if "s3:ListBucket" in actions and resource in listed and statement.get("Condition") != only:
                    faults.append(f"{name}: may list {resource} elsewhere than below {listed[resource]}")
        for off, may in cases(name, may):
            now, where = granted(role, off), "".join(f" without {condition}" for condition in off)
            for resource in now.keys() | may.keys():
                more = now.get(resource, set()) - set(may.get(resource, []))
                less = set(may.get(resource, [])) - now.get(resource, set())
                faults += [f"{name}: {action} on {resource} is not in permissions.py{where}" for action in sorted(more)]
                faults += [f"{name}: {action} on {resource} is missing{where}" for action in sorted(less)]
    print(f"permissions {len(roles)} roles, {sum(len(list(statements(r))) for r in roles.values())} statements")
    return faults
