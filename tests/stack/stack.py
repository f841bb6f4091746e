#!/usr/bin/env python3
"""Starts the servers that a fleet needs, on 127.0.0.1 and on free ports, and stops them when standard input ends.

    stack.py [SERVER ...]      mongo, mongo8, redis, aws (SQS and S3), otlp (a collector)
    stack.py --shell           all but mongo8, for a person: prints the variables that a worker knows them by, until Ctrl-C

Prints one JSON line once all answer: {"mongo": {"url", "pid"}, "redis": ..., "aws": ...}. Then obeys lines on standard
input, each answered by one JSON line: "stop SERVER" (SIGTERM, waits), "kill SERVER" (SIGKILL, waits) and "start SERVER" (same
port, same data; waits until it answers).
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pymongo

PACKAGES = Path(pymongo.__file__).parent.parent
SERVER_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server: how it starts, how it is known to answer, where it is."""

    def __init__(self, folder):
        self.folder = folder
        # From the first start on, through every stop.
        self.port = None
        self.process = None

    def start(self):
        if self.port:
            self.attempt()
            return
        # Between the look for a free port and the server's own bind somebody else may take it.
        for last in (False, False, True):
            self.port = free_port()
            try:
                self.attempt()
                return
            except SystemExit:
                if last or self.process.poll() is None:
                    raise

    def attempt(self):
        with open(self.folder / f"{type(self).__name__.lower()}.log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.folder, env={**os.environ, **self.environment()})
        deadline = time.monotonic() + SERVER_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.command()[0]} did not start; see {self.folder}")
            time.sleep(0.05)

    def end(self, kill=False):
        (self.process.kill if kill else self.process.terminate)()
        try:
            self.process.wait(SERVER_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def environment(self):
        return {}


class Mongo(Server):
    def command(self):
        data = self.folder / "mongo"
        data.mkdir(exist_ok=True)
        return [str(PACKAGES / "fiftyone/db/bin/mongod"), "--dbpath", str(data), "--port", str(self.port),
                "--bind_ip", "127.0.0.1", "--replSet", "rs0", "--setParameter", "enableTestCommands=1",
                "--setParameter", "ttlMonitorSleepSecs=2", "--wiredTigerCacheSizeGB", "0.5", "--nounixsocket"]

    def answers(self):
        client = pymongo.MongoClient("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=500)
        try:
            if client.admin.command("hello")["isWritablePrimary"]:
                return True
            members = [{"_id": 0, "host": f"127.0.0.1:{self.port}"}]
            client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
        except pymongo.errors.PyMongoError:
            pass
        finally:
            client.close()
        return False

    def url(self):
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet=rs0"


class Mongo8(Server):
    """SecantusDB: speaks the protocol of MongoDB 8, with the client's bulkWrite."""

    def command(self):
        return [str(Path(sys.executable).parent / "secantusd-py"), "--host", "127.0.0.1", "--port", str(self.port),
                "--storage-path", str(self.folder / "mongo8"), "--cache-size", "256M"]

    def answers(self):
        client = pymongo.MongoClient("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=500)
        try:
            return client.admin.command("hello")["isWritablePrimary"]
        except pymongo.errors.PyMongoError:
            return False
        finally:
            client.close()

    def url(self):
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"


class Redis(Server):
    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def url(self):
        return f"redis://127.0.0.1:{self.port}/"


class Aws(Server):
    def command(self):
        return [str(Path(sys.executable).parent / "ministack")]

    def environment(self):
        # Kept through a stop, as the services themselves would.
        return {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "PERSIST_STATE": "1", "S3_PERSIST": "1",
                "STATE_DIR": str(self.folder / "aws"), "S3_DATA_DIR": str(self.folder / "s3")}

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.url()}/_ministack/health", timeout=1):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def url(self):
        return f"http://127.0.0.1:{self.port}"


class Otlp(Server):
    """rotel: a collector that takes OTLP over gRPC (its address) and HTTP, and prints what it receives."""

    def command(self):
        self.http = free_port()
        return [str(PACKAGES / "rotel/rotel-agent"), "start", "--exporter", "blackhole", "--debug-log", "traces",
                "--otlp-grpc-endpoint", f"127.0.0.1:{self.port}", "--otlp-http-endpoint", f"127.0.0.1:{self.http}"]

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
            return True
        except OSError:
            return False

    def url(self):
        return f"http://127.0.0.1:{self.port}"


KINDS = {"mongo": Mongo, "mongo8": Mongo8, "redis": Redis, "aws": Aws, "otlp": Otlp}
# The names that a worker knows them by.
VARIABLES = {"mongo": "GALLERY_IMAGES_MONGO_URI HUEMN_MONGO_URI", "redis": "REDIS_URL", "aws": "AWS_ENDPOINT_URL",
             "otlp": "OTEL_EXPORTER_OTLP_ENDPOINT"}


def furnish(url):
    """Buckets and queues, and a message for every object in the bucket of photos. What a shell must know of them."""
    def put(path, body=b""):
        urllib.request.urlopen(urllib.request.Request(f"{url}/{path}", data=body, method="PUT")).close()

    for bucket in ("photos", "groups"):
        put(bucket)
    for queue in ("images", "galleries", "dead-letters"):
        urllib.request.urlopen(f"{url}/?Action=CreateQueue&Version=2012-11-05&QueueName={queue}").close()
    put("photos?notification", b"""<NotificationConfiguration><QueueConfiguration>
        <Queue>arn:aws:sqs:us-east-1:000000000000:images</Queue><Event>s3:ObjectCreated:*</Event>
        </QueueConfiguration></NotificationConfiguration>""")
    queue = f"{url}/000000000000"
    return f"""export BUCKET_NAME=photos FACE_GROUP_BUCKET_NAME=groups AWS_EC2_METADATA_DISABLED=true
export QUEUE_URL='{queue}/images' GROUP_FACE_QUEUE_URL='{queue}/galleries' DEAD_LETTER_QUEUE_URL='{queue}/dead-letters'
# A photo that is put into the bucket is a message in the queue of images:
#   curl -T photo.jpg $AWS_ENDPOINT_URL/photos/wedding/photo.jpg
#   muster check; muster detect --mode batch; muster group --mode batch
#   curl $AWS_ENDPOINT_URL/groups/galleries/wedding/index.json"""


def main():
    folder = Path(tempfile.mkdtemp(prefix="muster-stack-"))
    shell = sys.argv[1:] == ["--shell"]
    servers = {name: KINDS[name](folder) for name in (not shell and sys.argv[1:]) or VARIABLES}
    # Started in the background by a shell, this process would pass Ctrl-C over.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for server in servers.values():
            server.start()
        if shell:
            print(f"# logs and data: {folder}\nexport AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test")
            for name, server in servers.items():
                print("export " + " ".join(f"{variable}='{server.url()}'" for variable in VARIABLES[name].split()), flush=True)
            if home := os.environ.get("MUSTER_HOME"):
                print(f"export MUSTER_HOME='{home}'")
            print(furnish(servers["aws"].url()), flush=True)
            threading.Event().wait()
        told = {name: {"url": server.url(), "pid": server.process.pid} for name, server in servers.items()}
        print(json.dumps(told), flush=True)
        for line in sys.stdin:
            verb, name = line.split()
            if verb == "start":
                servers[name].start()
            else:
                servers[name].end(kill=verb == "kill")
            print(json.dumps({"pid": servers[name].process.pid}), flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        for server in servers.values():
            if server.process and server.process.poll() is None:
                server.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
