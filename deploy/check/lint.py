"""cfn-lint and checkov, with every exception and its reason."""

import json
import subprocess
import sys
from pathlib import Path

from template import PATH

BIN = Path(sys.executable).parent

# checkov's rules that this template does not follow, and why.
EXCEPTIONS = {
    "CKV_AWS_18": "access logs of S3 are CloudTrail's here: a third bucket for them would hold names of photos",
    "CKV_AWS_21": "the buckets of groups, of requests and of answers keep no versions: what muster forgets must be gone",
    "CKV_AWS_26": "alarms cannot publish through the key alias/aws/sns, and a message says no more than which alarm",
    "CKV_AWS_27": "queues are encrypted with keys of SQS, which the rule does not look for; S3 could not send through alias/aws/sqs",
    "CKV_AWS_117": "the submitter speaks to Amazon's services alone",
    "CKV_AWS_136": "container images hold no data of anybody's; ECR encrypts them with AES-256",
    "CKV_AWS_158": "log lines hold no photo, key or face (docs/telemetry.md); CloudWatch encrypts them itself",
    "CKV_AWS_173": "the submitter's variables are addresses and figures, no secret",
}


def run(*command):
    return subprocess.run([sys.executable, BIN / command[0], *command[1:]], capture_output=True, text=True)


def cfn_lint():
    ran = run("cfn-lint", "--format", "parseable", PATH)
    print(f"cfn-lint   exit {ran.returncode}")
    return [f"cfn-lint: {line}" for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]


def checkov():
    ran = run("checkov", "--file", PATH, "--framework", "cloudformation", "--skip-download", "--output", "json")
    try:
        found = json.loads(ran.stdout)
        failed, passed = found["results"]["failed_checks"], found["summary"]["passed"]
    except (ValueError, KeyError):
        return [f"checkov said nothing of use: {ran.stdout[-300:]}{ran.stderr[-300:]}"]
    faults = [f"checkov: {entry['check_id']} {entry['resource']}: {entry['check_name']}"
              for entry in failed if entry["check_id"] not in EXCEPTIONS]
    unused = EXCEPTIONS.keys() - {entry["check_id"] for entry in failed}
    faults += [f"lint.py: nothing needs the exception {name}" for name in sorted(unused)]
    print(f"checkov    {passed} passed, {len(failed)} findings excepted by {len(EXCEPTIONS)} rules:")
    for name, why in EXCEPTIONS.items():
        print(f"             {name} {why}")
    return faults


def check(_):
    return cfn_lint() + checkov()
