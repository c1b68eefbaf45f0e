"""What every command says before it works: how data was understood, and copies with other labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.image_files import class_folders
from tests.support.odd_inputs import two_labels
from trainer.core.config import DataConfig
from trainer.core.errors import InputError
from trainer.experiments.inputs import read_rows


def test_rows_are_summed_up_and_other_files_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    class_folders(tmp_path, {f"class {i}": 3 + i for i in range(12)})
    (tmp_path / "class 0" / "notes.txt").touch()
    read_rows(DataConfig(data=str(tmp_path)))
    said = capsys.readouterr().err
    assert "Classes (12): class 11 14, class 10 13, class 9 12, …, class 2 5, class 1 4, class 0 3 · " in said
    assert "Passed over: 1 .txt." in said
    assert "Warning" not in said


def test_copies_with_other_labels_are_warned_of_dropped_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = two_labels(tmp_path)
    assert len(read_rows(DataConfig(data=data))) == 9
    assert "Warning: 1 image occurs with several labels: cat/0.png (cat) and dog/again.png (dog)." in (
        capsys.readouterr().err
    )
    kept = read_rows(DataConfig(data=data, label_conflicts="drop"))
    assert (len(kept), kept.dropped_conflicts) == (7, 2)
    with pytest.raises(InputError, match=r"1 image occurs .* pass --label-conflicts drop"):
        read_rows(DataConfig(data=data, label_conflicts="refuse"))
