"""The comparison of encoders, from images to the advice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from tests.support.image_files import encoded
from tests.support.tiny_encoders import save_tiny
from trainer.core.errors import InputError
from trainer.data import demo
from trainer.experiments.encoder_comparison.config import EncodersConfig
from trainer.experiments.encoder_comparison.run import choices, measure_costs, names, run
from trainer.features import encoder_cost, hub
from trainer.features.encoder_cost import Cost
from trainer.tracking.schema import Artifact, EncoderCosts, EncodersCompared, Kind, Methods, Tag

FAMILIES = ["vit", "resnet", "dinov2", "siglip", "deit"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("models")
    return [str(save_tiny(family, folder / family)) for family in FAMILIES]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and bright ones."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 8), ("test", 15)):
        for name, low in (("bright", 150), ("dark", 0)):
            for number in range(count):
                pixels = random.integers(low, low + 100, (40, 40, 3), dtype=np.uint8)
                path = folder / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encoded(pixels))
    return folder


@pytest.fixture
def config(
    tracking_uri: str, tmp_path: Path, images: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> EncodersConfig:
    monkeypatch.setattr(encoder_cost, "LEAST_S", 0.0)
    return EncodersConfig(
        data=str(images),
        encoders=tuple(models),
        tracking_uri=tracking_uri,
        cache_dir=tmp_path / "cache",
        device="cpu",
        dtype="float32",
        batch_size=8,
        workers=0,
        seeds=3,
        study="five",
    )


@pytest.mark.slow
def test_all_architectures_get_the_same_probe_and_the_table_says_which_to_take(
    config: EncodersConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(config)
    json.dumps(figures, allow_nan=False)
    told = capsys.readouterr().err
    assert re.search(r"Linear probe on each encoder \(95 % intervals over [^)]*30 test rows", told)
    assert f"Use {figures[EncodersCompared.RECOMMENDED]}" in figures[EncodersCompared.RECOMMENDATION]
    assert figures[EncodersCompared.ADVICE].startswith(figures[EncodersCompared.RECOMMENDATION])
    assert list(figures[EncodersCompared.METHODS]) == FAMILIES

    client = MlflowClient(config.tracking_uri)
    run_id = figures[EncodersCompared.RUN_ID]
    assert client.get_run(run_id).data.tags[Tag.KIND] == Kind.ENCODERS
    costs, methods = (
        pd.read_parquet(client.download_artifacts(run_id, name))
        for name in (Artifact.ENCODERS, Artifact.METHODS)
    )
    assert costs[EncoderCosts.ENCODER].tolist() == methods[Methods.METHOD].tolist() == FAMILIES
    assert (costs[EncoderCosts.ENCODED] == 86).all()
    for column in (EncoderCosts.IMAGES_PER_S, EncoderCosts.PARAMETERS, EncoderCosts.PEAK_BYTES):
        assert (costs[column] > 0).all()
    best = methods.loc[methods[Methods.VAL_F1_MACRO].idxmax(), Methods.METHOD]
    assert figures[EncodersCompared.CHOSEN] == best

    again = run(config)  # a study that is done is not done again
    assert again[EncodersCompared.RUN_ID] == run_id
    assert "is on record" in capsys.readouterr().err


def test_parameters_are_those_of_the_image_tower_alone(models: list[str]) -> None:
    import transformers

    cost = encoder_cost.cost_of(Path(models[3]), device="cpu", dtype="float32", batch_size=2)
    tower = transformers.SiglipVisionModel.from_pretrained(models[3])
    assert cost.parameters == sum(weight.numel() for weight in tower.parameters())
    assert (cost.dimension, cost.side, cost.batch_size) == (32, 32, 2)


def test_every_encoder_is_probed_on_the_same_choices_which_keep_each_class() -> None:
    label_n = np.repeat([0, 1, 2], [50, 10, 1])
    kept_sn = choices(label_n, seeds=4, seed=1)
    assert (kept_sn == choices(label_n, seeds=4, seed=1)).all()
    for kept_n in kept_sn:
        assert np.bincount(label_n[kept_n]).tolist() == [45, 9, 1]
    assert not (kept_sn[0] == kept_sn[1]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoders": ("demo",)}, "two encoders or more"),
        ({"encoders": ("demo", "demo")}, "twice"),
        ({"encoder": "demo"}, "--encoders"),
    ],
)
def test_flags_that_make_no_comparison_are_refused(change: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"encoders": ("demo", "other"), **change}
    with pytest.raises(InputError, match=said):
        run(EncodersConfig(**given))  # type: ignore[arg-type]


def test_encoders_whose_names_end_alike_keep_their_whole_names() -> None:
    assert names(EncodersConfig(encoders=("a/x", "b/y/"))) == ["x", "y"]
    assert names(EncodersConfig(encoders=("a/x", "b/x"))) == ["a/x", "b/x"]
    assert names(EncodersConfig(encoders=("a/x", "a/x+b/y"))) == ["x", "x + y"]


def test_joined_encoders_cost_what_their_parts_cost_together(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Cost("cpu", 4, 10, 32, 16, 100.0, 7), Cost("cpu", 6, 20, 64, 8, 50.0, 5)
    measured: list[Path] = []

    def cost_of(folder: Path, **_: object) -> Cost:
        measured.append(folder)
        return one if folder == demo.ENCODER else other

    monkeypatch.setattr(encoder_cost, "cost_of", cost_of)
    monkeypatch.setattr(hub, "resolve", lambda name: demo.ENCODER if name == "demo" else Path(name))
    config = EncodersConfig(encoders=("demo", "b", "demo+b"))
    costs = measure_costs(config, "cpu", _Nowhere())  # type: ignore[arg-type]
    assert len(measured) == 2
    assert costs[:2] == [one, other]
    assert costs[2][:5] == ("cpu", 10, 30, 64, 8)
    assert costs[2].images_per_s == pytest.approx(1 / (1 / 100 + 1 / 50))
    assert costs[2].peak_bytes == 12


class _Nowhere:
    """A run that keeps nothing."""

    def read_file(self, name: str) -> None:
        return None

    def file(self, name: str, data: bytes) -> None:
        pass
