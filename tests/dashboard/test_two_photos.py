"""Two photos on the page "Verification": what is said of them is what the run's encoder and pairs say."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from safetensors.numpy import save
from streamlit.testing.v1 import AppTest

from dashboard.frames import verification
from tests.dashboard.test_verification import pairs as few_pairs
from tests.support import synthetic_runs, synthetic_verification
from tests.support.image_files import noise
from tests.support.pages import Showing, open_page, words
from trainer.data import demo
from trainer.features.encoder import ImageEncoder
from trainer.features.key import encoder_key, encoder_text
from trainer.serving.pair_verifier import PairVerifier, score
from trainer.stats.vectors import unit_rows
from trainer.tracking.schema import Artifact, FacePairs, OpenSet, PairMethod, Tag, Verified

PAGE = "views/verification.py"


def photo(seed: int) -> bytes:
    """A photo of somebody: smooth, so that two of them differ."""
    small = Image.fromarray(noise(seed, height=3, width=4)).resize((96, 72), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    small.save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def encoded() -> tuple[str, np.ndarray]:
    """The demo encoder as runs record it, and its vectors of four photos."""
    encoder = ImageEncoder(demo.ENCODER, device="cpu", dtype="float32")
    images = [np.asarray(Image.open(io.BytesIO(photo(seed))).convert("RGB")) for seed in range(4)]
    key = encoder_key(demo.ENCODER, dtype="float32", cache_dir=Path("/nowhere"), space="pooled")
    name = encoder_text("demo", dtype="float32", space="pooled", digest=key.digest)
    return name, encoder.encode(images)


def recorded(uri: str, encoded: tuple[str, np.ndarray], *, threshold: float | None = 0.9) -> None:
    """A verification that knows the people of photos 0 and 1, with an open-set threshold if one is given."""
    run_id = synthetic_verification.verification(uri)
    client = MlflowClient(uri)
    client.set_tag(run_id, Tag.ENCODER, encoded[0])
    folder = synthetic_runs.folder_of(client.get_run(run_id).info.artifact_uri)
    others = np.random.default_rng(0).normal(size=(78, encoded[1].shape[1]))
    known = np.concatenate([encoded[1][:2], others]).astype(np.float16)
    (folder / Artifact.VECTORS).write_bytes(save({"vectors": known}))
    summary = json.loads((folder / Artifact.SUMMARY).read_text())
    summary[Verified.OPEN_SET] = threshold and {
        OpenSet.THRESHOLD: threshold,
        OpenSet.RATE: 0.1,
        OpenSet.FALSE_ALARMS: [0.1, 0.05, 0.2],
        OpenSet.FOUND: [0.8, 0.7, 0.9],
        OpenSet.PEOPLE: 10,
        OpenSet.PHOTOS: 80,
    }
    (folder / Artifact.SUMMARY).write_text(json.dumps(summary))


def drop(app: AppTest, *data: bytes) -> AppTest:
    app.file_uploader[0].set_value([(f"{i}.png", one, "image/png") for i, one in enumerate(data)]).run()
    assert not app.exception, app.exception[0].message
    return app


def test_two_photos_are_decided_at_the_chosen_threshold(uri: str, encoded: tuple[str, np.ndarray]) -> None:
    recorded(uri, encoded)
    app = drop(open_page(PAGE, method="raw cosine"), photo(0), photo(1))
    unit_nd = unit_rows(encoded[1])
    found = f"{unit_nd[0] @ unit_nd[1]:.3f}"
    slider = app.slider(key="at_raw")
    slider.set_value(slider.min).run()
    assert f"**Same person: score {found}, at least {slider.min:.3f}**" in words(app)
    assert "At this threshold 100.0% [" in words(app)
    app.slider(key="at_raw").set_value(slider.max).run()
    if float(found) < slider.max:
        assert f"**Different people: score {found}, below" in words(app)
    assert not app.exception


def test_each_photo_is_of_a_known_person_or_of_nobody_known(
    uri: str, encoded: tuple[str, np.ndarray]
) -> None:
    recorded(uri, encoded, threshold=0.9999)
    said = words(drop(open_page(PAGE), photo(0), photo(3)))
    assert said.count("Known person: **d0**") == 1
    assert said.count("**Nobody known**; nearest: d") == 1
    assert "10.0% [5.0%, 20.0%] of unknown people’s photos are taken for one of 10 known people" in said
    assert "80.0% [70.0%, 90.0%] of known people’s photos are found" in said


def test_one_photo_alone_is_looked_for_and_corrupt_ones_are_named(
    uri: str, encoded: tuple[str, np.ndarray]
) -> None:
    recorded(uri, encoded, threshold=None)
    app = drop(open_page(PAGE), b"<html>", photo(1))
    assert app.warning[0].value.startswith("“0.png” cannot be used: not an image")
    said = words(app)
    assert "Upload a second photo" in said
    assert "Nearest known person: **d0**" in said
    assert "Too few known photos for a threshold" in said
    assert "The first two of 3 photos" in words(drop(app, photo(0), photo(1), photo(2)))


def test_an_encoder_that_is_gone_or_changed_is_said_to_be(uri: str, encoded: tuple[str, np.ndarray]) -> None:
    recorded(uri, ("/nowhere/model (float32, key 0123456789abcdef)", encoded[1]))
    app = drop(open_page(PAGE), photo(0))
    assert "/nowhere/model" in app.error[0].value


def test_older_runs_and_precomputed_features_say_why_not(showing: Showing, uri: str) -> None:
    showing(synthetic_verification.verification)
    assert "This run kept no vectors" in words(open_page(PAGE))


def test_precomputed_features_cannot_be_asked(uri: str, encoded: tuple[str, np.ndarray]) -> None:
    recorded(uri, ("ready features", encoded[1]))
    assert "new photos cannot be encoded" in words(open_page(PAGE))


def test_a_score_is_the_cosine_of_the_run(encoded: tuple[str, np.ndarray]) -> None:
    verifier = PairVerifier(encoded[0], save({"vectors": encoded[1]}))
    one, other = verifier.photo(photo(0), neighbours=2), verifier.photo(photo(1))
    unit_nd = unit_rows(encoded[1])
    assert score(one, other) == pytest.approx(unit_nd[0] @ unit_nd[1], abs=1e-3)
    assert one.near[0][0] == 0
    assert one.near[0][1] == pytest.approx(1, abs=1e-3)
    assert verifier.photo(b"").reason


def test_the_promise_is_of_all_pairs() -> None:
    found = verification.promised(few_pairs(), PairMethod.RAW, 0.5)
    assert found["far"][0] == pytest.approx(2 / 3)
    assert found["frr"][0] == pytest.approx(1 / 2)
    for value, low, high in found.values():
        assert 0 <= low <= value <= high <= 1
    assert FacePairs.SAME in few_pairs()


def test_the_page_loads_torch_only_when_a_photo_is_dropped() -> None:
    code = "import dashboard.ui.two_photos, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
