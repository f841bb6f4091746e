"""moto, on a free port of this machine, while a `with` lasts."""

import os
import socket
import subprocess
import sys
import tempfile
import time

import boto3
from botocore.config import Config

REGION = "us-east-1"
ACCOUNT = "123456789012"


class Emulator:
    def __enter__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = tempfile.TemporaryFile("w+")
        own = {"AWS_DEFAULT_REGION": REGION, "PYTHONWARNINGS": "ignore"}
        self.server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            env={**os.environ, **own}, stdout=self.log, stderr=subprocess.STDOUT,
        )
        for _ in range(1200):
            if self.server.poll() is not None:
                raise SystemExit(f"moto ended with {self.server.returncode}")
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.1)
        self.server.kill()
        raise SystemExit("moto did not start within two minutes")

    def __exit__(self, fault, *_):
        self.server.terminate()
        self.server.wait(10)
        if fault:
            self.log.seek(0)
            words = [line for line in self.log if line.strip() and '" 200 -' not in line]
            print("moto's last words:\n", *words[-30:], sep="")
        self.log.close()

    def client(self, service):
        return boto3.client(
            service, region_name=REGION, endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="test", aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 1}),
        )
