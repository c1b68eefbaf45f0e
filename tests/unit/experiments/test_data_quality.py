"""What is said of an extraction's rows, from rows whose copies and near-duplicates are known."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from trainer.core.config import DataConfig, command_line
from trainer.data.image_quality import MEASURE_NAMES
from trainer.data.manifest import Columns, Manifest, build_manifest
from trainer.experiments import data_quality
from trainer.experiments.data_quality import Quality
from trainer.features.extract import ExtractReport, Features
from trainer.tracking.schema import Duplicates, Extracted, Images

RNG = np.random.default_rng(0)


def _features(
    contents: str, splits: str, *, near: dict[int, int] | None = None, measured: bool = True
) -> Features:
    """Rows of one letter each; rows of one letter show the same image; ``near`` rows look like others."""
    n = len(contents)
    letters = {letter: i for i, letter in enumerate(dict.fromkeys(contents))}
    vectors_kd = RNG.normal(size=(len(letters), 64)).astype(np.float32)
    measures_km = RNG.integers(0, 256, size=(len(letters), len(MEASURE_NAMES))).astype(np.float32)
    which = np.array([letters[letter] for letter in contents])
    vectors_nd, measures_nm = vectors_kd[which], measures_km[which]
    for row, other in (near or {}).items():
        vectors_nd[row] = vectors_nd[other] + 0.01
        measures_nm[row, -8:] = measures_nm[other, -8:]
    if not measured:
        measures_nm[:] = np.nan
    names = {"e": "test", "v": "val", "r": "train"}
    manifest = build_manifest(
        "letters",
        Columns(
            sample_id=[f"{i:02d}" for i in range(n)],
            label=["ab"[i % 2] for i in range(n)],
            split=[names[one] for one in splits],
            content=[hashlib.sha256(letter.encode()).hexdigest() for letter in contents],
            images=[b""] * n,
        ),
    )
    return Features(manifest, vectors_nd, measures_nm, _report(manifest))


def _report(manifest: Manifest) -> ExtractReport:
    return ExtractReport(
        found=len(manifest), used=len(manifest), quarantined=(), dropped_duplicates=0, duplicates=0,
        reused=len(manifest), encoded=0, encoder_calls=0, elapsed_s=1.0, batch_size=0, processes=0, share={},
        encoder="", warnings=(),
    )  # fmt: skip


def test_copies_are_paired_with_the_row_that_stays_and_do_not_count_as_near() -> None:
    found = Quality(_features("abcdefga" + "hijka", "rrrrrrrr" + "vvvee"))
    figures = found.figures()
    assert figures[Extracted.SAME_BYTES] == {"test/train": 2}
    (copies,) = found.pairs
    assert copies.rows_p2.tolist() == [[12, 7], [12, 0]]  # labels of 12 and 7 differ
    assert set(figures[Extracted.NEAR_DUPLICATES]) == set(Duplicates.BETWEEN)
    assert sum(figures[Extracted.NEAR_DUPLICATES].values()) == figures[Extracted.NEAR_LEAKS] == 0


def test_near_duplicates_are_counted_within_and_across_splits_leaks_first() -> None:
    found = Quality(_features("abcdefghijkl", "rrrrrrvvveee", near={1: 0, 6: 2, 10: 3, 11: 4}))
    figures = found.figures()
    counts = {b: n for b, n in figures[Extracted.NEAR_DUPLICATES].items() if n}
    assert counts == {"test/train": 2, "val/train": 1, "train/train": 1}
    assert figures[Extracted.NEAR_LEAKS] == 3
    assert [pairs.between for pairs in found.pairs] == ["test/train", "val/train", "train/train"]
    assert sorted(map(sorted, found.pairs[0].rows_p2.tolist())) == [[3, 10], [4, 11]]
    assert (found.pairs[0].similarity_p > 0.9).all()


def test_rows_without_measures_take_no_part_and_this_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    features = _features("abcdefghij", "rrrrrrrree", near={8: 0, 9: 1})
    assert features.measures_nm is not None
    features.measures_nm[9] = np.nan
    found = Quality(features)
    assert found.figures()[Extracted.NOT_COMPARED] == 1
    assert found.figures()[Extracted.NEAR_LEAKS] == 1
    found.tell()
    said = " ".join(capsys.readouterr().err.split())
    assert "among 9 different images: 1 test/train." in said
    assert "08 and 00" in said
    assert "1 images not compared" in said
    assert "Warning: 1 test images have near-duplicates in train" in said


def test_without_any_measures_nothing_is_compared() -> None:
    figures = Quality(_features("abcd", "rrve", measured=False)).figures()
    assert (figures[Extracted.NEAR_DUPLICATES], figures[Extracted.NOT_COMPARED]) == ({}, 4)


def test_more_than_can_be_compared_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(data_quality, "MOST_IMAGES", 3)
    found = Quality(_features("abcd", "rrve"))
    found.tell()
    assert found.figures()[Extracted.NOT_COMPARED] == 4
    assert "not searched among more than 3 images" in capsys.readouterr().err


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_rows_are_no_trouble(count: int) -> None:
    figures = Quality(_features("abc", "rve")).figures()
    assert figures[Extracted.NEAR_LEAKS] == 0
    features = _features("abc", "rve")
    few = Features(
        features.manifest.take(range(count)),
        features.vectors_nd[:count],
        features.measures_nm[:count],  # type: ignore[index]
        features.report,
    )
    assert Quality(few).figures()[Extracted.NEAR_DUPLICATES] == {}


def test_the_measures_that_people_see_are_those_that_are_measured() -> None:
    assert MEASURE_NAMES[:-8] == Images.MEASURES


def test_the_command_of_a_run_gives_its_flags_again() -> None:
    config = DataConfig(data="a b", drop_duplicates=True, measure=False, batch_size=8)
    assert command_line("trainer.extract", config) == (
        "python -m trainer.extract --data 'a b' --batch-size 8 --no-measure --drop-duplicates"
    )
