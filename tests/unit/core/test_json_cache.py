"""What is remembered in a JSON file is used where it makes sense, and measured again where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.core.json_cache import is_number, read_cache, write_cache
from trainer.features.key import encoder_key


@pytest.mark.parametrize(
    "junk", [b"", b"\0" * 99, b"[]", b"null", b"5", b"\xff", b"[" * 200_000, b'{"a": ' * 200_000, b'{"a": 1']
)
def test_a_damaged_file_counts_as_empty(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "cache.json").write_bytes(junk)
    assert read_cache(tmp_path / "cache.json", is_number) == {}
    write_cache(tmp_path / "cache.json", {"b": 2})
    assert read_cache(tmp_path / "cache.json", is_number) == {"b": 2}


def test_values_of_another_kind_are_left_out(tmp_path: Path) -> None:
    odd = {"a": 1, "b": "1", "c": None, "d": [1], "e": True, "f": float("nan"), "g": float("inf"), "h": 0.5}
    write_cache(tmp_path / "cache.json", odd)
    assert read_cache(tmp_path / "cache.json", is_number) == {"a": 1, "h": 0.5}


@pytest.mark.parametrize("junk", [5, None, "x", [], {}, [1, 2], [1, 2, 3], {"0": 1}])
def test_weights_are_hashed_again_where_what_is_remembered_of_them_is_junk(
    saved_clip: Path, tmp_path: Path, junk: Any
) -> None:
    def key() -> str:
        return encoder_key(saved_clip, dtype="float32", cache_dir=tmp_path).digest

    before = key()
    memory = tmp_path / "weights.json"
    memory.write_text(json.dumps(dict.fromkeys(json.loads(memory.read_text()), junk)))
    assert key() == before
