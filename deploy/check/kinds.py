"""How each kind of resource is read back through its own API, in the words of CloudFormation.

A reader takes `api`, which gives the client of a service, the physical id, and the properties as the template has them.
"""

import json

from botocore.validate import ParamValidator

READERS, MAKERS = {}, {}


def reads(kind):
    return lambda function: READERS.setdefault(kind, function)


def makes(kind):
    """For a kind that the emulator's CloudFormation does not know: it is made by its own API, with the same properties."""
    return lambda function: MAKERS.setdefault(kind, function)


@reads("AWS::SQS::Queue")
def queue(api, url, _):
    attributes = api("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return {**attributes, "QueueName": url.rsplit("/", 1)[-1]}


@reads("AWS::SQS::QueuePolicy")
def queue_policy(api, _, wanted):
    def policy(url):
        return api("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"].get("Policy")
    policies = {url: policy(url) for url in wanted["Queues"]}
    first = policies[wanted["Queues"][0]]
    return {"PolicyDocument": first, "Queues": [url for url, text in policies.items() if text == first]}


@makes("AWS::SQS::QueuePolicy")
def make_queue_policy(api, wanted):
    for url in wanted["Queues"]:
        api("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(wanted["PolicyDocument"])})


@reads("AWS::S3::Bucket")
def bucket(api, name, _):
    s3 = api("s3")
    s3.head_bucket(Bucket=name)

    def asked(call, *path):
        try:
            answer = getattr(s3, call)(Bucket=name)
        except s3.exceptions.ClientError:
            return None
        for step in path:
            answer = answer[step]
        return answer
    encryption = asked("get_bucket_encryption", "ServerSideEncryptionConfiguration", "Rules") or []
    lifecycle = asked("get_bucket_lifecycle_configuration", "Rules") or []
    told = asked("get_bucket_notification_configuration").get("QueueConfigurations", [])
    return {
        "BucketName": name,
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [
            {**rule, "ServerSideEncryptionByDefault": rule["ApplyServerSideEncryptionByDefault"]} for rule in encryption]},
        "OwnershipControls": asked("get_bucket_ownership_controls", "OwnershipControls"),
        "PublicAccessBlockConfiguration": asked("get_public_access_block", "PublicAccessBlockConfiguration"),
        "VersioningConfiguration": asked("get_bucket_versioning"),
        "LifecycleConfiguration": {"Rules": lifecycle},
        "NotificationConfiguration": {"QueueConfigurations": [
            {"Event": event, "Queue": entry["QueueArn"]} for entry in told for event in entry["Events"]]},
    }


@reads("AWS::S3::BucketPolicy")
def bucket_policy(api, _, wanted):
    name = wanted["Bucket"]
    return {"Bucket": name, "PolicyDocument": api("s3").get_bucket_policy(Bucket=name)["Policy"]}


@makes("AWS::S3::BucketPolicy")
def make_bucket_policy(api, wanted):
    api("s3").put_bucket_policy(Bucket=wanted["Bucket"], Policy=json.dumps(wanted["PolicyDocument"]))


@reads("AWS::ECR::Repository")
def repository(api, name, _):
    ecr = api("ecr")
    found = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
    try:
        found["LifecyclePolicy"] = {"LifecyclePolicyText": ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]}
    except ecr.exceptions.ClientError:
        pass
    return found


@reads("AWS::Logs::LogGroup")
def log_group(api, name, _):
    return next(group for group in api("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"] if group["logGroupName"] == name)


@reads("AWS::Logs::ResourcePolicy")
def log_policy(api, name, _):
    return next(p for p in api("logs").describe_resource_policies()["resourcePolicies"] if p["policyName"] == name)


@reads("AWS::EC2::SecurityGroup")
def security_group(api, group, _):
    found = api("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    egress = [{**rule, **to} for rule in found["IpPermissionsEgress"] for to in rule["IpRanges"]]
    ingress = [{**rule, "SourceSecurityGroupId": by["GroupId"], "Description": by.get("Description")}
               for rule in found["IpPermissions"] for by in rule["UserIdGroupPairs"]]
    return {**found, "GroupDescription": found["Description"], "SecurityGroupEgress": egress, "SecurityGroupIngress": ingress}


@reads("AWS::EC2::LaunchTemplate")
def launch_template(api, template, _):
    return api("ec2").describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"][-1]


@reads("AWS::Batch::ComputeEnvironment")
def compute_environment(api, arn, _):
    return api("batch").describe_compute_environments(computeEnvironments=[arn])["computeEnvironments"][0]


@reads("AWS::Batch::JobQueue")
def job_queue(api, arn, _):
    return api("batch").describe_job_queues(jobQueues=[arn])["jobQueues"][0]


@reads("AWS::Batch::JobDefinition")
def job_definition(api, arn, _):
    return api("batch").describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"][0]


@reads("AWS::IAM::Role")
def role(api, name, _):
    iam = api("iam")
    policies = [iam.get_role_policy(RoleName=name, PolicyName=p) for p in iam.list_role_policies(RoleName=name)["PolicyNames"]]
    return {**iam.get_role(RoleName=name)["Role"], "Policies": policies}


@reads("AWS::IAM::InstanceProfile")
def instance_profile(api, name, _):
    found = api("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    return {"Roles": [role["RoleName"] for role in found["Roles"]]}


@reads("AWS::Lambda::Function")
def function(api, name, wanted):
    client = api("lambda")
    found = client.get_function(FunctionName=name)
    # The code itself is not given back.
    return {**found["Configuration"], **found.get("Concurrency", {}), "Code": wanted["Code"]}


@reads("AWS::Lambda::EventInvokeConfig")
def event_invoke(api, _, wanted):
    found = api("lambda").get_function_event_invoke_config(FunctionName=wanted["FunctionName"])
    _, _, qualifier = found["FunctionArn"].partition(f":function:{wanted['FunctionName']}:")
    return {**found, "FunctionName": wanted["FunctionName"], "Qualifier": qualifier or None}


@makes("AWS::Lambda::EventInvokeConfig")
def make_event_invoke(api, wanted):
    api("lambda").put_function_event_invoke_config(**wanted)


@reads("AWS::Scheduler::Schedule")
def schedule(api, _, wanted):
    return api("scheduler").get_schedule(Name=wanted["Name"])


@makes("AWS::Scheduler::Schedule")
def make_schedule(api, wanted):
    api("scheduler").create_schedule(**wanted)


@reads("AWS::ECS::Cluster")
def cluster(api, name, _):
    found = api("ecs").describe_clusters(clusters=[name], include=["SETTINGS"])["clusters"][0]
    return {**found, "clusterSettings": found.get("settings")}


@reads("AWS::ECS::TaskDefinition")
def task_definition(api, arn, _):
    return api("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]


@reads("AWS::ECS::Service")
def service(api, arn, wanted):
    found = api("ecs").describe_services(cluster=wanted["Cluster"], services=[arn])["services"][0]
    return {**found, "cluster": found["clusterArn"].rsplit("/", 1)[-1]}


@reads("AWS::Events::Rule")
def rule(api, name, wanted):
    events = api("events")
    return {**events.describe_rule(Name=wanted["Name"]), "Targets": events.list_targets_by_rule(Rule=wanted["Name"])["Targets"]}


@reads("AWS::SNS::Topic")
def topic(api, arn, _):
    return {**api("sns").get_topic_attributes(TopicArn=arn)["Attributes"], "TopicName": arn.rsplit(":", 1)[-1]}


@reads("AWS::SNS::TopicPolicy")
def topic_policy(api, _, wanted):
    arn = wanted["Topics"][0]
    return {"Topics": [arn], "PolicyDocument": api("sns").get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"]}


@makes("AWS::SNS::TopicPolicy")
def make_topic_policy(api, wanted):
    for arn in wanted["Topics"]:
        api("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(wanted["PolicyDocument"]))


@reads("AWS::SNS::Subscription")
def subscription(api, _, wanted):
    return api("sns").list_subscriptions_by_topic(TopicArn=wanted["TopicArn"])["Subscriptions"][0]


@makes("AWS::SNS::Subscription")
def make_subscription(api, wanted):
    api("sns").subscribe(**wanted)


@reads("AWS::CloudWatch::Alarm")
def alarm(api, _, wanted):
    return api("cloudwatch").describe_alarms(AlarmNames=[wanted["AlarmName"]])["MetricAlarms"][0]


@makes("AWS::CloudWatch::Alarm")
def make_alarm(api, wanted):
    api("cloudwatch").put_metric_alarm(**{**wanted, "Threshold": float(wanted["Threshold"])})


@reads("AWS::CloudWatch::Dashboard")
def dashboard(api, name, _):
    return api("cloudwatch").get_dashboard(DashboardName=name)


# The emulator has nothing of the kind: what the service's own model says of the parameters is all that is known.
MODELS = {"AWS::XRay::Group": ("xray", "CreateGroup")}


def validate(api, kind, wanted):
    service, operation = MODELS[kind]
    shape = api(service).meta.service_model.operation_model(operation).input_shape
    report = ParamValidator().validate(wanted, shape)
    return report.generate_report() if report.has_errors() else None
