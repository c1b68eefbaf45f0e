"""Corrections change labels and nothing else: splits stay, test rows too, unless that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.core.corrections import Action, Correction, append, undo
from trainer.core.errors import InputError
from trainer.data.corrected_labels import corrected
from trainer.data.manifest import Columns, Manifest, build_manifest

NAMES = [f"{i}.png" for i in range(6)]


def pets() -> Manifest:
    label = ["cat", "dog", "cat", "dog", "cat", ""]
    split = ["train", "train", "val", "test", "test", "train"]
    return build_manifest("pets", Columns(sample_id=NAMES, content=NAMES, label=label, split=split))


def file(folder: Path, *rows: Correction) -> Path:
    append(folder / "c.csv", rows)
    return folder / "c.csv"


def labels(manifest: Manifest) -> dict[str, str]:
    return {
        name: manifest.classes[label] if label >= 0 else ""
        for name, label in zip(manifest.sample_id, manifest.label_n, strict=True)
    }


RELABEL = Correction("0.png", "cat", "dog", Action.RELABEL)
DROP = Correction("2.png", "cat", "", Action.DROP)
OF_TEST = Correction("4.png", "cat", "dog", Action.RELABEL)
LABELLED = Correction("5.png", "", "cat", Action.RELABEL)


def test_rows_are_relabelled_dropped_and_counted(tmp_path: Path) -> None:
    before = pets()
    after, said = corrected(before, file(tmp_path, RELABEL, DROP, LABELLED, OF_TEST), test_too=False)
    assert labels(after) == {"0.png": "dog", "1.png": "dog", "3.png": "dog", "4.png": "cat", "5.png": "cat"}
    assert (
        dict(zip(after.sample_id, after.split_n, strict=True)).items()
        <= dict(zip(before.sample_id, before.split_n, strict=True)).items()
    )
    assert after.digest != before.digest
    assert said[0].endswith("2 relabelled, 1 dropped.")
    assert said[1] == "1 test row as in the data: only --correct-test corrects them."


def test_test_rows_are_corrected_only_when_that_is_asked_for(tmp_path: Path) -> None:
    path = file(tmp_path, OF_TEST)
    same, _ = corrected(pets(), path, test_too=False)
    assert (labels(same), same.digest) == (labels(pets()), pets().digest)
    after, said = corrected(pets(), path, test_too=True)
    assert labels(after)["4.png"] == "dog"
    assert after.digest != pets().digest
    assert said[1].startswith("1 test row among them: scores are not comparable")


def test_the_digest_knows_what_was_done_and_not_in_which_order(tmp_path: Path) -> None:
    other = DROP._replace(who="somebody", when="2026-11-30")
    (tmp_path / "other").mkdir()
    one, _ = corrected(pets(), file(tmp_path, RELABEL, DROP), test_too=False)
    two, _ = corrected(pets(), file(tmp_path / "other", other, RELABEL), test_too=False)
    assert one.digest == two.digest


def test_what_is_already_so_in_the_data_is_no_contradiction(tmp_path: Path) -> None:
    done = Correction("1.png", "cat", "dog", Action.RELABEL)
    after, _ = corrected(pets(), file(tmp_path, done), test_too=False)
    assert labels(after) == labels(pets())


def test_who_was_overruled_is_said(tmp_path: Path) -> None:
    of_bob = DROP._replace(sample_id="0.png", who="Bob", when="11:00")
    path = file(tmp_path, RELABEL._replace(who="Ann", when="10:00"), of_bob)
    _, said = corrected(pets(), path, test_too=False)
    assert said[-1] == "'0.png': relabel 'dog' by Ann was overruled, drop by Bob counts."


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (RELABEL._replace(sample_id="gone.png"), "names 1 image that pets does not have: 'gone.png'. Is it"),
        (RELABEL._replace(new="dgo"), "'dgo', which is no class of pets. Is 'dog' meant?"),
        (RELABEL._replace(new="whale"), "'whale', which is no class of pets. Its classes: 'cat', 'dog'."),
        (DROP._replace(old="dog"), "had the label 'dog' when it was corrected, and has 'cat' now"),
    ],
)
def test_what_does_not_fit_the_data_is_named(row: Correction, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        corrected(pets(), file(tmp_path, row), test_too=False)
    assert told in str(refused.value)


def test_what_was_undone_changes_nothing(tmp_path: Path) -> None:
    path = file(tmp_path, RELABEL._replace(when="10:00"), RELABEL._replace(when="11:00", new="cat"))
    undo(path, RELABEL._replace(when="11:00"), who="", when="12:00")
    undo(path, RELABEL._replace(when="10:00"), who="", when="13:00")
    same, said = corrected(pets(), path, test_too=False)
    assert (labels(same), same.digest) == (labels(pets()), pets().digest)
    assert said == [f"Corrections of {path}: 0 relabelled, 0 dropped."]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            (RELABEL, DROP._replace(sample_id="0.png")),
            "relabel 'dog' by nobody named, and drop by nobody named",
        ),
        ((RELABEL._replace(who="Ann"), RELABEL._replace(new="cat", who="Bob")), "neither says when"),
        (
            (RELABEL._replace(when="9:00"), RELABEL._replace(new="", action=Action.KEEP, when="9:00")),
            "at 9:00",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_refused_by_name(
    rows: tuple[Correction, ...], told: str, tmp_path: Path
) -> None:
    path = file(tmp_path, *rows)
    with pytest.raises(InputError) as refused:
        corrected(pets(), path, test_too=False)
    assert "two rows disagree about '0.png'" in str(refused.value)
    assert told in str(refused.value)


def test_a_later_row_contradicts_nothing_and_neither_does_the_same_once_more(tmp_path: Path) -> None:
    path = file(tmp_path, RELABEL, RELABEL, DROP._replace(sample_id="0.png", when="10:00"))
    after, _ = corrected(pets(), path, test_too=False)
    assert "0.png" not in labels(after)


def test_another_image_under_the_same_name_is_refused_with_where_the_corrected_one_is(tmp_path: Path) -> None:
    """The manifest of these tests has names for hashes."""
    right = RELABEL._replace(content_hash="0.png")
    after, _ = corrected(pets(), file(tmp_path, right), test_too=False)
    assert labels(after)["0.png"] == "dog"
    append(tmp_path / "c.csv", [DROP._replace(content_hash="elsewhere")])
    with pytest.raises(InputError) as refused:
        corrected(pets(), tmp_path / "c.csv", test_too=False)
    assert "1 row of pets has another image than when corrected: '2.png'. Correct again" in str(refused.value)
    append(tmp_path / "c.csv", [DROP._replace(content_hash="3.png", when="10:00")])
    with pytest.raises(InputError, match=r"The image of '2\.png' is '3\.png' now"):
        corrected(pets(), tmp_path / "c.csv", test_too=False)
    append(tmp_path / "c.csv", [DROP._replace(sample_id="old.png", content_hash="1.png")])
    with pytest.raises(
        InputError, match=r"does not have: 'old\.png'\. The image of 'old\.png' is '1\.png' now"
    ):
        corrected(pets(), tmp_path / "c.csv", test_too=False)
