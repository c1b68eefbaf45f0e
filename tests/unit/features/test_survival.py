"""What was encoded survives: processes that are killed, bits that flip, disks that are full."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.image_files import class_folders
from tests.support.paths import REPO
from trainer import cache
from trainer.core.errors import InputError, NoResultError
from trainer.data.load import load
from trainer.features import encoding_loop
from trainer.features.extract import Features, extract
from trainer.features.settings import EncoderSettings
from trainer.features.store import FeatureStore

KILLS = 30


@pytest.mark.kill
@pytest.mark.slow
def test_extraction_killed_at_random_moments_loses_and_doubles_nothing(
    saved_clip: Path, tmp_path: Path
) -> None:
    images = class_folders(tmp_path / "images", {"a": 150, "b": 150})
    command = [sys.executable, "benchmarks/survival.py", "--kills", str(KILLS), "--data", images]
    done = subprocess.run(
        [*command, "--encoder", saved_clip], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["kills"] == KILLS
    assert [figures[name] for name in ("torn", "lost", "doubled", "unmeasured")] == [0, 0, 0, 0]
    assert figures["identical"]


def _extract(images: Path, model: Path, cache_dir: Path) -> Features:
    manifest = load(str(images), seed=0)
    return extract(
        manifest,
        EncoderSettings(encoder=str(model), cache_dir=cache_dir, device="cpu", batch_size=1, measure=False),
    )


def _flip(file: Path, rng: np.random.Generator) -> None:
    data = bytearray(file.read_bytes())
    data[rng.integers(len(data))] ^= 1 << rng.integers(8)
    file.write_bytes(data)


@pytest.mark.slow
def test_a_thousand_flipped_bits_are_found_and_just_their_shards_made_again(
    saved_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding_loop, "COMMIT_EVERY", 1)
    images = class_folders(tmp_path / "images", {"a": 525, "b": 525})
    first = _extract(images, saved_clip, tmp_path)
    shards = sorted((tmp_path / "features").glob("*/*.safetensors"))
    assert len(shards) == 1050
    rng = np.random.default_rng(0)
    for shard in shards[:1000]:
        _flip(shard if rng.random() < 0.9 else shard.with_suffix(".json"), rng)
    with pytest.raises(NoResultError) as found:
        cache.Verify(cache_dir=tmp_path).run()
    assert found.value.figures is not None
    assert (found.value.figures["damaged"], found.value.figures["shards"]) == (1000, 1050)
    again = _extract(images, saved_clip, tmp_path)
    assert (again.report.encoded, again.report.reused) == (1000, 50)
    assert np.array_equal(again.vectors_nd, first.vectors_nd)
    assert cache.Verify(cache_dir=tmp_path).run()["damaged"] == 0


def test_a_damaged_key_is_found_and_written_again(saved_clip: Path, tmp_path: Path) -> None:
    images = class_folders(tmp_path / "images", {"a": 3, "b": 3})
    _extract(images, saved_clip, tmp_path)
    (key,) = (tmp_path / "features").glob("*/key.json")
    whole = key.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(50):
        key.write_bytes(whole)
        _flip(key, rng)
        with pytest.raises(NoResultError, match=r"1 of \d shards? "):
            cache.Verify(cache_dir=tmp_path).run()
    with pytest.raises(InputError, match="is damaged"):
        cache.Export(cache_dir=tmp_path, key=key.parent.name, file=tmp_path / "out.npz").run()
    assert _extract(images, saved_clip, tmp_path).report.encoded == 0
    assert key.read_bytes() == whole


def test_a_disk_that_cannot_take_it_is_refused_before_the_work(saved_clip: Path, tmp_path: Path) -> None:
    images = class_folders(tmp_path / "images", {"a": 3, "b": 3})
    _extract(images, saved_clip, tmp_path)
    (folder,) = (tmp_path / "features").iterdir()
    store = FeatureStore.__new__(FeatureStore)
    store.folder, store.dtype = folder, np.dtype(np.float16)
    store.check_disk_space(1000, 768)
    with pytest.raises(InputError, match=r"1,568,000,000,000,000 bytes, [\d,]+ are free"):
        store.check_disk_space(10**12, 768)


@pytest.mark.slow
def test_a_write_that_fails_names_the_bytes_and_leaves_the_rest_whole(
    saved_clip: Path, tmp_path: Path
) -> None:
    images = class_folders(tmp_path / "images", {"a": 3, "b": 3})
    _extract(images, saved_clip, tmp_path)
    class_folders(images, {"c": 200}, first_seed=500)
    code = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(REPO)!r})
from trainer.data.load import load
from trainer.core.errors import InputError
from trainer.features.extract import extract
from trainer.features.settings import EncoderSettings
data, model, cache = map(Path, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, {resource.RLIM_INFINITY}))
try:
    settings = EncoderSettings(encoder=str(model), cache_dir=cache, device="cpu", measure=False)
    extract(load(str(data), seed=0), settings)
except InputError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, images, saved_clip, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "File too large. A shard takes" in done.stdout, done.stderr
    assert cache.Verify(cache_dir=tmp_path).run() == {"shards": 1, "damaged": 0, "paths": []}
    assert _extract(images, saved_clip, tmp_path).report.reused == 6
