"""With whom commands and servers speak: nobody but this machine, unless a hub or a remote store is named."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from mkdocs.config.defaults import MkDocsConfig
from mlflow.models.cli import commands as serving

from tests.support import network
from tests.support.browser import free_port, wait_for
from tests.support.image_files import class_folders
from tests.support.paths import REPO
from tests.support.slow_sockets import UPGRADE

ONE_AFTER_ANOTHER = """
import runpy, sys

for line in sys.stdin:
    command, *arguments = line.split()
    sys.argv = [command, *arguments]
    try:
        runpy.run_module(f"trainer.{command}", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            print(f"{line.strip()} has failed", file=sys.stderr)
"""


@pytest.mark.slow
def test_no_command_speaks_to_another_machine(tmp_path: Path, tracking_uri: str, saved_clip: Path) -> None:
    """In one process, because loading the libraries takes longer than the work."""
    images = class_folders(tmp_path / "images", {"a": 24, "b": 24})
    (images / "metadata.jsonl").write_text(
        "".join(
            json.dumps({"file_name": str(path.relative_to(images)), "caption": f"image {path.stem}"}) + "\n"
            for path in sorted(images.rglob("*.png"))
        )
    )
    people = class_folders(tmp_path / "people", dict.fromkeys("cdefghijk", 4), first_seed=100)
    where = f"--tracking-uri {tracking_uri} --cache-dir {tmp_path / 'cache'} --device cpu"
    data = f"--data {images} --encoder demo"
    lines = [
        f"check {data}",
        f"extract {data} {where}",
        f"sweep {data} --trials 4 --seeds 1 {where}",
        f"zeroshot {data} --shots 1 --draws 2 {where}",
        f"fuse {data} {where}",
        f"encoders --data {images} --encoders demo {saved_clip} --seeds 3 {where}",
        f"ablate {data} --bad-source 0.25 --filters quality>=top80% --seeds 6 {where}",
        f"finetune {data} --epochs 1 --seeds 1 --unfreeze-last 1 {where}",
        f"verify --data {people} --encoder demo --folds 3 --seeds 1 {where}",
        f"predict {images} --out {tmp_path / 'predictions.csv'} {where}",
        f"cache list --cache-dir {tmp_path / 'cache'}",
        f"doctor --no-hub {where}",
    ]
    record = tmp_path / "record"
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_ANOTHER],
        cwd=REPO,
        env=network.recorded_in(record),
        input="\n".join(lines),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "has failed" not in done.stderr, done.stderr
    assert network.strangers(record) == []


def answered(port: int, host: str, origin: str) -> str:
    """What a server says to a page that wants a connection: the status."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as asking:
        asking.sendall(UPGRADE.format(host=f"{host}:{port}", origin=f"http://{origin}").encode())
        return asking.recv(4096).split()[1].decode()


def test_the_dashboard_listens_here_only_and_lets_in_no_page_of_another_site(
    tmp_path: Path, tracking_uri: str
) -> None:
    record, port = tmp_path / "record", free_port()
    command = [sys.executable, "-m", "trainer", "dashboard", "--server.port", str(port)]
    environment = network.recorded_in(record) | {"HEADROOM_TRACKING_URI": tracking_uri}
    server = subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        for host in ("127.0.0.1", "localhost"):
            assert answered(port, host, f"{host}:{port}") == "101"
        assert answered(port, "127.0.0.1", "evil.example") == "403"
        # a page of a site that turned its name into this machine's address after it was loaded
        assert answered(port, "evil.example", f"evil.example:{port}") == "403"
    finally:
        server.terminate()
        server.wait()
    assert "127.0.0.1" in network.hosts(record, "bind")
    assert network.strangers(record) == []


def test_other_servers_listen_here_only_unless_told_otherwise() -> None:
    rules = (REPO / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"mlflow ui .*--host (\S+)", rules) == ["127.0.0.1"]
    (host,) = (one for one in serving.commands["serve"].params if one.name == "host")
    assert host.default == "127.0.0.1"  # of `mlflow models serve`
    assert "dev_addr" not in (REPO / "mkdocs.yml").read_text(encoding="utf-8")
    assert str(MkDocsConfig.dev_addr.default) == "127.0.0.1:8000"
