"""Every alarm tells somebody, and the runbook tells what to do, in commands that name what the stack has."""

import re

from template import ROOT, text

RUNBOOK = ROOT / "docs" / "operations.md"
# Alarms that the template must have. It may have more.
TOPICS = {
    "JobsFailed", "ImagesDepth", "ImagesAge", "SpotInterruptions", "DeadLetters", "DeadGalleries", "Rejections", "Cost", "RequestsAge",
    "DeadRequests",
}


def metrics_of(alarm):
    if "MetricName" in alarm:
        yield alarm
    for entry in alarm.get("Metrics", []):
        if "MetricStat" in entry:
            yield entry["MetricStat"]["Metric"]


def faults_of(name, alarm):
    if alarm.get("AlarmName") != {"Fn::Sub": f"${{Name}}-{name}"}:
        yield f"{name}: the alarm's name is not that of its section in docs/operations.md"
    for key in ("AlarmActions", "OKActions"):
        if alarm.get(key) != [{"Ref": "AlarmsTopic"}]:
            yield f"{name}: {key} does not tell AlarmsTopic"
    if "TreatMissingData" not in alarm:
        yield f"{name}: what missing data means is not said"
    if len(list(metrics_of(alarm))) > 10:
        yield f"{name}: more than ten metrics"
    if sum(entry.get("ReturnData") is True for entry in alarm.get("Metrics", [])) != ("Metrics" in alarm):
        yield f"{name}: not exactly one result"


def check(template):
    alarms = template.of("AWS::CloudWatch::Alarm")
    faults = [fault for name, alarm in alarms.items() for fault in faults_of(name, alarm)]
    faults += [f"there is no alarm {name}" for name in TOPICS - alarms.keys()]
    told = {text(dimension["Value"]) for alarm in alarms.values() for metric in metrics_of(alarm) for dimension in metric["Dimensions"]}
    faults += [f"{name}: no alarm counts this rule" for name in template.of("AWS::Events::Rule") if f"${{{name}}}" not in told]
    runbook = RUNBOOK.read_text()
    outputs = set(re.findall(r"\$\(out (\w+)\)", runbook)) - template.body["Outputs"].keys()
    faults += [f"docs/operations.md: the stack has no output {name}" for name in sorted(outputs)]
    part = runbook.partition("\n## Alarms\n")[2].partition("\n## ")[0]
    sections = set(re.findall(r"^### (\w+)$", part, re.M))
    faults += [f"{name}: docs/operations.md does not say what to do" for name in alarms.keys() - sections]
    faults += [f"docs/operations.md: there is no alarm {name}" for name in sections - alarms.keys()]
    print(f"alarms     {len(alarms)}, each with its section in docs/operations.md")
    return faults
