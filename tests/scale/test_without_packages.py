"""What works on one machine needs none of the packages for many."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.image_files import class_folders
from tests.support.paths import REPO
from tests.support.tiny_clip import save_tiny_clip

pytestmark = pytest.mark.scale

BARE = """
import runpy, sys
sys.modules |= dict.fromkeys(("obstore", "ray"))  # importing them fails
sys.argv = ["extract", *sys.argv[1:]]
runpy.run_module("trainer.extract", run_name="__main__")
"""


def extract(cache_dir: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BARE, "--cache-dir", cache_dir, *flags],
        cwd=REPO,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_folder_needs_no_package_and_a_bucket_names_the_one_that_it_needs(
    tmp_path: Path, tracking_uri: str
) -> None:
    images = str(class_folders(tmp_path / "images", {"a": 4, "b": 4}))
    model = str(save_tiny_clip(tmp_path / "model"))
    flags = ["--data", images, "--encoder", model, "--tracking-uri", tracking_uri]
    here = extract(str(tmp_path / "cache"), *flags, "--part", "1/1")
    assert here.returncode == 0, here.stderr
    assert json.loads(here.stdout.splitlines()[-1])["encoded"] == 8
    away = extract("s3://bucket/cache", *flags)
    assert away.returncode == 2
    assert "pip install 'headroom[scale]'" in away.stderr
    assert "Classes" not in away.stderr  # no data were read
