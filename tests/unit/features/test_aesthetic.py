"""Aesthetic predictors: what is read is what the file holds, and a file cannot do anything else."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.support.paths import SHARED
from trainer.core.errors import InputError
from trainer.experiments.ablation.scores import aesthetic_score
from trainer.features.aesthetic import AestheticHead, check_fits, load_aesthetic

LAION = SHARED / "laion_heads"
HEADS = {
    "sa_0_4_vit_b_16_linear.pth": 512,
    "sa_0_4_vit_b_32_linear.pth": 512,
    "sa_0_4_vit_l_14_linear.pth": 768,
}
needs_laion = pytest.mark.skipif(not LAION.is_dir(), reason="LAION's predictors are not here")


def linear(features: int = 6, *, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(features, 1)


def saved(state: object, path: Path) -> str:
    torch.save(state, path)
    return str(path)


def expected_scores(layer: nn.Linear, image_ne: np.ndarray) -> np.ndarray:
    """As LAION's own code has it: the layer on embeddings divided by their norm."""
    image = torch.from_numpy(image_ne)
    with torch.no_grad():
        return layer(image / image.norm(dim=-1, keepdim=True)).squeeze(1).numpy()


# --- what is read -----------------------------------------------------------------------------------


@needs_laion
@pytest.mark.parametrize(("name", "features"), HEADS.items())
def test_laions_own_files_score_as_a_torch_layer_with_their_weights(name: str, features: int) -> None:
    head = load_aesthetic(str(LAION / name))
    assert head.weight_e.shape == (features,)
    layer = nn.Linear(features, 1)
    layer.load_state_dict(torch.load(LAION / name, weights_only=True))
    image = np.random.default_rng(0).normal(size=(50, features)).astype(np.float32) * 9
    np.testing.assert_allclose(
        aesthetic_score(image, head), expected_scores(layer, image), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("prefix", ["", "linear.", "model.head."])
def test_a_file_of_either_kind_scores_as_a_torch_layer(tmp_path: Path, prefix: str) -> None:
    layer = linear()
    state = {prefix + name: one.detach().clone() for name, one in layer.state_dict().items()}
    save_file(state, tmp_path / "head.safetensors")
    paths = [saved(state, tmp_path / "head.pth"), str(tmp_path / "head.safetensors")]
    image = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)
    for path in paths:
        found = aesthetic_score(image, load_aesthetic(path))
        np.testing.assert_allclose(found, expected_scores(layer, image), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(aesthetic_score(image * 7, load_aesthetic(path)), found, atol=1e-6)


def test_a_file_of_half_precision_and_one_without_bias_are_read(tmp_path: Path) -> None:
    weight = torch.tensor([[0.5, -0.25]], dtype=torch.bfloat16)
    head = load_aesthetic(saved({"weight": weight}, tmp_path / "head.pth"))
    assert head.weight_e.tolist() == [0.5, -0.25]
    assert head.weight_e.dtype == np.float64
    assert head.bias == 0


def test_a_path_below_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    saved(linear().state_dict(), tmp_path / "head.pth")
    assert load_aesthetic("~/head.pth").weight_e.shape == (6,)


# --- what is refused --------------------------------------------------------------------------------


class Touches:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("writer", ["pickle", "torch", "torch_legacy"])
def test_a_file_that_would_run_code_is_refused_and_did_not_run(tmp_path: Path, writer: str) -> None:
    trace, file = tmp_path / "trace", tmp_path / "head.pth"
    evil = {**linear().state_dict(), "extra": Touches(trace)}
    if writer == "pickle":
        file.write_bytes(pickle.dumps(evil, protocol=2))
    else:
        torch.save(evil, file, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(InputError, match=r"head\.pth cannot be read as weights"):
        load_aesthetic(str(file))
    assert not trace.exists()
    if writer != "torch_legacy":  # the trap is a real one
        (pickle.loads if writer == "pickle" else lambda _: torch.load(file, weights_only=False))(
            file.read_bytes()
        )
        assert trace.exists()


@pytest.mark.parametrize(
    "state",
    [
        {"weight": torch.zeros(2, 6), "bias": torch.zeros(2)},
        {"weight": torch.zeros(6), "bias": torch.zeros(1)},
        {"weight": torch.zeros(1, 6, 1)},
        {"0.weight": torch.zeros(1, 6), "1.weight": torch.zeros(1, 6)},
        {"layers.0.weight": torch.zeros(4, 6), "layers.2.weight": torch.zeros(1, 4)},
        {"weight": torch.zeros(1, 6), "bias": torch.zeros(3)},
        {"weight": torch.zeros(1, 6), "bias": torch.zeros(0)},
        {"bias": torch.zeros(1)},
        {},
    ],
    ids=[
        "two outputs",
        "a vector",
        "three axes",
        "two layers",
        "a network",
        "three biases",
        "an empty bias",
        "no weight",
        "nothing",
    ],
)
def test_what_is_no_layer_of_one_output_is_refused_with_what_it_is(tmp_path: Path, state: dict) -> None:
    with pytest.raises(InputError, match=r"head\.pth is not a linear predictor; it holds") as refused:
        load_aesthetic(saved(state, tmp_path / "head.pth"))
    for name, one in state.items():
        assert f"{name} {list(one.shape)}" in str(refused.value)
    assert "Expected" in str(refused.value)


@pytest.mark.parametrize("state", [[torch.zeros(1, 6)], torch.zeros(1, 6)], ids=["list", "tensor"])
def test_tensors_without_names_are_refused(tmp_path: Path, state: object) -> None:
    with pytest.raises(InputError, match=r"head\.pth cannot be read as weights"):
        load_aesthetic(saved(state, tmp_path / "head.pth"))


@pytest.mark.parametrize("name", ["head.pth", "head.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"not weights at all", b"\x80\x02}q\x00.", b"PK\x03\x04 half a zip"]
)
def test_files_of_something_else_are_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        load_aesthetic(str(tmp_path / name))
    assert str(tmp_path / name) in str(refused.value)


@pytest.mark.parametrize(("part", "value"), [("weight", np.nan), ("weight", np.inf), ("bias", -np.inf)])
def test_weights_that_are_no_finite_numbers_are_refused(tmp_path: Path, part: str, value: float) -> None:
    state = linear().state_dict()
    state[part].view(-1)[0] = value
    with pytest.raises(InputError, match=r"head\.pth has weights that are not finite"):
        load_aesthetic(saved(state, tmp_path / "head.pth"))


@pytest.mark.parametrize(
    "where", ["nowhere.pth", "./a/b/nowhere.pth", "/a/b/nowhere.pth", "~/a/nowhere.pth", ""]
)
def test_a_missing_file_is_refused_by_name(where: str) -> None:
    with pytest.raises(InputError, match="There is no file") as refused:
        load_aesthetic(where)
    assert repr(where) in str(refused.value)
    assert "Check the spelling" in str(refused.value)


def test_a_file_of_the_hub_that_cannot_be_fetched_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"'nobody/nothing/head\.pth' here, and it cannot be downloaded"):
        load_aesthetic("nobody/nothing/head.pth")


# --- whether it fits --------------------------------------------------------------------------------


def test_a_predictor_for_another_encoder_is_refused_with_both_lengths() -> None:
    head = AestheticHead(np.zeros(512), 0.0)
    check_fits(head, 512, where="head.pth", encoder="some/clip")
    with pytest.raises(
        InputError,
        match=r"head\.pth expects image embeddings of length 512; those of some/clip have length 768",
    ):
        check_fits(head, 768, where="head.pth", encoder="some/clip")
