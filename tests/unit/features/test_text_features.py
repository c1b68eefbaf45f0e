"""Texts are encoded once, and what a model cannot see of them is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_encoders import save_tiny
from trainer.core.errors import InputError
from trainer.data.demo import ENCODER
from trainer.features import store_admin
from trainer.features.settings import EncoderSettings
from trainer.features.text_encoder import TextEncoder
from trainer.features.text_features import encode_texts

TEXTS = ["a red bird", "", "a house | a home", "a red bird", "bird " * 200]


def settings(cache_dir: Path, encoder: Path = ENCODER) -> EncoderSettings:
    return EncoderSettings(encoder=str(encoder), cache_dir=cache_dir, device="cpu")


def test_each_text_gets_its_own_vector_and_is_encoded_once(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = encode_texts(
        TEXTS,
        settings(tmp_path),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.encoded == 4
    assert seen == [(4, 4)]
    assert np.allclose(found.vectors_ne, TextEncoder(ENCODER, device="cpu").encode(TEXTS), atol=2e-3)
    assert np.array_equal(found.vectors_ne[0], found.vectors_ne[3])
    assert found.truncated_n.tolist() == [False, False, False, False, True]
    again = encode_texts([*TEXTS, "new"], settings(tmp_path))
    assert again.encoded == 1
    assert np.array_equal(again.vectors_ne[:5], found.vectors_ne)


def test_texts_have_a_key_of_their_own(tmp_path: Path) -> None:
    encode_texts(["a bird"], settings(tmp_path))
    (entry,) = store_admin.entries(tmp_path / "features")
    assert entry.key is not None
    assert {"tokenizer", "weights", "compute_dtype"} <= entry.key.fields.keys()
    assert entry.vectors == 1


def test_no_texts_are_no_vectors(tmp_path: Path) -> None:
    assert len(encode_texts([], settings(tmp_path)).vectors_ne) == 0


def test_an_encoder_without_a_text_tower_is_refused(tmp_path: Path) -> None:
    saved = save_tiny("vit", tmp_path / "vit")
    with pytest.raises(InputError, match="no text tower"):
        encode_texts(["a bird"], settings(tmp_path, saved))
