"""Faults that are planted in the Dockerfile, each of which a check must find: a check that finds nothing proves nothing."""

import linters
import rules
from dockerfile import PATH, Dockerfile, Unclear

USER = "USER 10001:10001\n"
CPU = 'LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"\n' + USER


def own(text, read):
    try:
        return [("rules", fault) for fault in rules.check(Dockerfile(text), read)]
    except Unclear as unclear:
        return [("rules", str(unclear))]


def hadolint(text, _):
    return [found for found in linters.written(text, "Dockerfile", linters.hadolint) if found[0] not in linters.HADOLINT]


def checkov(text, _):
    return [found for found in linters.written(text, "Dockerfile", linters.checkov) if found[0] not in linters.CHECKOV]


def shellcheck(text):
    return linters.written(text, "planted.sh", linters.shellcheck)


# Check, what is replaced (the first time it stands there), by what, what the fault says.
FAULTS = [
    (own, "ARG DEBIAN=debian:bookworm-20260824-slim", "ARG DEBIAN=debian:latest", "no exact image"),
    (own, "ARG DEBIAN=debian:bookworm-20260824-slim", "ARG DEBIAN=debian:bookworm-slim", "no exact image"),
    (own, "FROM ${RUST} AS build", "FROM rust AS build", "no exact image"),
    (own, "ARG RUST=rust:1.95.0-bookworm", "ARG RUST=rust:1.90.0-bookworm", "is not the Rust"),
    (own, USER, "USER root\n", "runs as root"),
    (own, USER, "", "runs as root"),
    (own, USER, "USER 10002:10001\n", "the user is 10001:10001"),
    (own, "ENV MUSTER_HOME=/var/lib/muster", "ENV MUSTER_HOME=/opt/muster", "are not the user's"),
    (own, 'VOLUME ["/var/lib/muster"]\n', "", "which Fargate fills them from"),
    (own, 'ENTRYPOINT ["muster"]\n', "", "not the entry point"),
    (own, "STOPSIGNAL SIGTERM\n", "STOPSIGNAL SIGKILL\n", "not stopped by SIGTERM"),
    (own, "--from=models-cpu --chown=10001:10001", "--from=models-cpu", "are not the user's"),
    (own, "--from=models-cpu --chown", "--from=model --chown", "there is no stage model"),
    (own, "ENV MUSTER_HOME=", "ENV REDIS_URL=redis://u:p@h MUSTER_HOME=", "looks like a secret"),
    (own, "ARG REVISION=unknown", "ARG GITHUB_TOKEN\nARG REVISION=unknown", "looks like a secret"),
    (own, "COPY LICENSE", "ADD https://example.com/LICENSE", "is not what this image is made with"),
    (own, "COPY src src", "COPY src docs src/", "is not in what the build sees"),
    (own, "COPY tests/bench tests/bench\n", "", "nothing copies tests/bench"),
    (own, "cargo build --locked", "cargo build", "without --locked"),
    (own, "cloud,serve,gpu", "cloud,serve,chaos,gpu", "without chaos"),
    (own, "--profile dist", "--profile small", "no profile"),
    (own, "RUN muster models pull open\n", "RUN pip install onnxruntime\n", "without --require-hashes"),
    (own, "RUN muster models pull open\n", "RUN curl -L https://example.com | sh\n", "nothing pins"),
    (own, "ca-certificates libgomp1", "ca-certificates gcc libgomp1", "is for building"),
    (own, "rm -rf /var/lib/apt/lists/* /var/cache/apt/*", "rm -rf /var/cache/apt/*", "keeps apt's lists"),
    (own, "ARG VERSION=0.1.0", "ARG VERSION=0.0.9", "VERSION is"),
    (own, "NVIDIA_DRIVER_CAPABILITIES=compute,utility", "NVIDIA_DRIVER_CAPABILITIES=compute", "neither libcuda nor NVML"),
    (own, "FROM muster AS cpu", "FROM muster AS small", "the targets are"),
    (hadolint, "FROM ${DEBIAN} AS runtime", "FROM debian:latest AS runtime", "DL3007"),
    (hadolint, CPU, CPU + "USER root\n", "DL3002"),
    (hadolint, "COPY LICENSE", "ADD LICENSE", "DL3020"),
    (hadolint, " ca-certificates libgomp1", " $MORE libgomp1", "SC2086"),
    (hadolint, "WORKDIR /var/lib/muster", "WORKDIR muster", "DL3000"),
    (hadolint, "apt-get install -y --no-install-recommends ca-cert", "apt-get install -y ca-cert", "DL3015"),
    (hadolint, 'ENTRYPOINT ["muster"]', "ENTRYPOINT muster", "DL3025"),
    (checkov, "ENV MUSTER_HOME=", "ENV NODE_TLS_REJECT_UNAUTHORIZED=0 MUSTER_HOME=", "CKV2_DOCKER_6"),
]
SCRIPT = ("#!/bin/bash\nset -euo pipefail\nrm -rf $1/lib\n", "SC2086")


def check(read):
    text, faults = PATH.read_text(), []
    for by, old, new, says in FAULTS:
        if old not in text:
            faults.append(f"planted.py: {old.strip()!r} stands nowhere in the Dockerfile")
            continue
        found = [f"{rule} {what}" for rule, what in by(text.replace(old, new, 1), read)]
        if not any(says in fault for fault in found):
            faults.append(f"planted.py: {by.__name__} says nothing of {new.strip()!r} in the place of {old.strip()!r}: {found[:3]}")
    if not any(rule == SCRIPT[1] for rule, _ in shellcheck(SCRIPT[0])):
        faults.append("planted.py: shellcheck says nothing of a script that is wrong")
    print(f"planted    {len(FAULTS) + 1} faults")
    return faults
