"""The encoding loop: threads or processes, any batch, too little memory: the same vectors come out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.image_files import class_folders, encoded, noise
from tests.support.paths import REPO
from trainer.core.errors import InputError
from trainer.data.decode import decode
from trainer.data.load import load
from trainer.features import batch_size, encoding_loop
from trainer.features.backbone import OutOfMemory, catch_out_of_memory, pick_dtype
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.extract import Features, extract
from trainer.features.settings import EncoderSettings


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "images", {"a": 20, "b": 20})


def _extract(pictures: Path, model: Path, cache: Path, **options: object) -> Features:
    options = {"batch_size": 8, "device": "cpu"} | options
    settings = EncoderSettings(encoder=str(model), cache_dir=cache, **options)
    return extract(load(str(pictures), seed=0), settings)


def test_processes_and_threads_give_the_same(pictures: Path, saved_clip: Path, tmp_path: Path) -> None:
    (pictures / "a" / "broken.png").write_bytes(b"no image")
    threads, processes = (
        _extract(pictures, saved_clip, tmp_path / str(count), workers=count, max_bad=0.1) for count in (0, 2)
    )
    assert np.array_equal(threads.vectors_nd, processes.vectors_nd)
    assert threads.report.quarantined == processes.report.quarantined != ()
    assert (threads.report.processes, processes.report.processes) == (0, 2)


def test_when_threads_do_not_keep_up_processes_take_over(
    pictures: Path, saved_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _extract(pictures, saved_clip, tmp_path / "threads")
    monkeypatch.setattr(encoding_loop, "CORES", 3)
    monkeypatch.setattr(encoding_loop, "WATCHED_S", 0.0)
    monkeypatch.setattr(encoding_loop, "STARVED", -1.0)
    monkeypatch.setattr(encoding_loop, "AHEAD", 0)
    taken_over = _extract(pictures, saved_clip, tmp_path / "auto", workers="auto")
    assert taken_over.report.processes == 3
    assert np.array_equal(taken_over.vectors_nd, expected.vectors_nd)


class Deadly:
    """An image that kills the process that reads it."""

    def read_bytes(self) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""


def test_the_death_of_a_decoding_process_ends_with_advice(
    pictures: Path, saved_clip: Path, tmp_path: Path
) -> None:
    manifest = load(str(pictures), seed=0)
    assert manifest.images is not None
    manifest = replace(manifest, images=(*manifest.images[:-1], Deadly()))
    with pytest.raises(InputError, match="--workers 0"):
        extract(
            manifest,
            EncoderSettings(encoder=str(saved_clip), cache_dir=tmp_path, device="cpu", workers=1),
        )


def test_decoding_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = """
import multiprocessing, os, sys, time
from trainer.features.image_loader import ImageLoader
if __name__ == "__main__":
    feed = ImageLoader(iter([]), None, processes=2, ahead=8)
    workers = [feed._pools[-1].submit(os.getpid).result() for _ in range(8)]
    print(*{process.pid for process in multiprocessing.active_children()}, flush=True)
    time.sleep(600)
"""
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert children
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in children)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(
    pictures: Path, saved_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _extract(pictures, saved_clip, tmp_path / "roomy", batch_size=16)
    send = ImageEncoder.to_device

    def cramped(self: ImageEncoder, pixels_bchw: np.ndarray) -> object:
        if len(pixels_bchw) > 5:
            raise OutOfMemory
        return send(self, pixels_bchw)

    monkeypatch.setattr(ImageEncoder, "to_device", cramped)
    features = _extract(pictures, saved_clip, tmp_path / "cramped", batch_size=16)
    assert (features.report.encoded, features.report.batch_size) == (40, 4)
    assert [warning for warning in features.report.warnings if "Batches of 16 did not fit" in warning]
    assert np.allclose(features.vectors_nd, expected.vectors_nd, atol=1e-3)


def test_no_room_for_a_single_image_is_said(
    pictures: Path, saved_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(self: ImageEncoder, pixels_bchw: np.ndarray) -> object:
        raise OutOfMemory

    monkeypatch.setattr(ImageEncoder, "to_device", none)
    with pytest.raises(InputError, match="single image does not fit"):
        _extract(pictures, saved_clip, tmp_path)


def test_torch_without_memory_is_too_large_and_other_errors_stay() -> None:
    import torch

    with pytest.raises(OutOfMemory), catch_out_of_memory():
        torch.empty(1 << 55, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="shape"), catch_out_of_memory():
        torch.zeros(2).view(3)


def test_the_batch_size_is_measured_once_and_remembered(
    pictures: Path, saved_clip: Path, tmp_path: Path
) -> None:
    report = _extract(pictures, saved_clip, tmp_path, batch_size="auto").report
    assert report.batch_size in batch_size.CANDIDATES
    memory = tmp_path / "batch_sizes.json"
    ((name, size),) = json.loads(memory.read_text()).items()
    assert size == report.batch_size
    memory.write_text(json.dumps({name: 7}))
    (pictures / "a" / "new.png").write_bytes(encoded(noise(900)))
    assert _extract(pictures, saved_clip, tmp_path, batch_size="auto").report.batch_size == 7
    memory.write_text("torn")
    (pictures / "a" / "newer.png").write_bytes(encoded(noise(901)))
    assert _extract(pictures, saved_clip, tmp_path, batch_size="auto").report.encoded == 1


def test_the_time_is_accounted_for(pictures: Path, saved_clip: Path, tmp_path: Path) -> None:
    share = _extract(pictures, saved_clip, tmp_path).report.share
    assert share.keys() == {"load", "decode", "transfer", "encode", "write"}
    assert all(value >= 0 for value in share.values())
    assert 0 < sum(share.values()) <= 1


def test_a_large_jpeg_is_read_at_a_fraction_and_looks_the_same(saved_clip: Path) -> None:
    smooth = np.kron(noise(3, height=8, width=12).astype(np.float32), np.ones((280, 280, 1), np.float32))
    data = encoded(smooth.astype(np.uint8), kind="JPEG")
    preparation = preparation_of(saved_clip)
    assert preparation.min_side == 512  # twice its 32 would be less than what is measured needs
    small, whole = decode(data, min_side=preparation.min_side), decode(data)
    assert whole.shape == (2240, 3360, 3)
    assert small.shape == (560, 840, 3)  # a quarter: an eighth would leave 280 pixels
    difference = preparation.pixels(small).astype(float) - preparation.pixels(whole)
    assert np.abs(difference).mean() < 1.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_is_small_or_no_jpeg_is_read_whole(kind: str) -> None:
    data = encoded(noise(4, height=120, width=180), kind=kind)
    least = 100 if kind == "JPEG" else 20
    assert np.array_equal(decode(data, min_side=least), decode(data))


def test_a_dtype_is_chosen_for_the_device() -> None:
    assert pick_dtype("float32", "cpu") == "float32"
    assert pick_dtype("auto", "cpu") in ("float32", "bfloat16")
