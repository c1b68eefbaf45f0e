"""Write a study as event files for TensorBoard: curves, hyperparameters, and the projector's rows."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.core import scratch
from trainer.core.errors import InputError
from trainer.tracking.schema import Artifact, Samples

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch.utils.tensorboard import SummaryWriter

    from trainer.search.trial_log import TrialLog
    from trainer.tracking.children import ChildRun
    from trainer.tracking.writer import RunWriter

MOST_EPOCHS = 2000  # of a curve; of longer ones TensorBoard, too, shows a sample
MAP = "projector"
METADATA = (Samples.LABEL, Samples.SPLIT, Samples.SAMPLE_ID)


def check_event_files(folder: Path) -> None:
    """Refuse before the search what could not be written during it.

    Raises:
        InputError: TensorBoard is not installed, or ``folder`` is no folder.
    """
    if find_spec("tensorboard") is None:
        raise InputError("--tensorboard needs TensorBoard, which is not installed: pip install tensorboard")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--tensorboard is {folder}, a file; name a folder: tensorboard --logdir shows it.")


class EventFiles:
    """A folder per trial that has ended, and one of the rows on the map. Each appears by rename, complete.

    Args:
        folder: what ``tensorboard --logdir`` is given. The study has a folder of its own in it.
    """

    def __init__(self, folder: Path, *, study: str, run_id: str) -> None:
        self._folder = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', study)[:80]}-{run_id[:8]}"
        self._written: set[int] | None = None  # trials; None: nobody has looked
        self._followed = 0  # trials of the log

    def follow(self, trial_log: TrialLog) -> None:
        """Write the trials that have no folder yet."""
        from trainer.experiments.child_runs import children, tables_since

        if self._written is None:
            self._written = {int(path.name.rpartition("-")[2]) for path in self._folder.glob("trial-*")}
        for tables in tables_since(trial_log, self._followed):
            for child in children(tables.without(self._written), most_points=MOST_EPOCHS):
                with self._new(f"trial-{child.trial:04d}") as writer:
                    _write_trial(writer, child)
                self._written.add(child.trial)
        self._followed = len(trial_log.finished)

    def map(self, run: RunWriter) -> None:
        """Write the vectors of the rows on the map, as logged, with labels and thumbnails."""
        from safetensors.torch import load

        samples, vectors = run.read_table(Artifact.SAMPLES), run.read_file(Artifact.VECTORS)
        if samples is None or vectors is None or (self._folder / MAP).exists():
            return
        with self._new(MAP) as writer:
            writer.add_embedding(
                load(vectors)["vectors"].float(),
                metadata=[[_one_line(text) for text in row] for row in samples[[*METADATA]].to_numpy()],
                metadata_header=[*METADATA],
                label_img=_thumbnails(samples),
                tag="vectors",
            )

    @contextmanager
    def _new(self, name: str) -> Iterator[SummaryWriter]:
        from torch.utils.tensorboard import SummaryWriter

        self._folder.mkdir(parents=True, exist_ok=True)
        with scratch.folder(self._folder, f".{name}.") as beside:
            with SummaryWriter(str(beside / name)) as writer:
                yield writer
            (beside / name).rename(self._folder / name)


def _write_trial(writer: SummaryWriter, child: ChildRun) -> None:
    """Write the curves, means over seeds, and the hyperparameters with the best scores."""
    from torch.utils.tensorboard.summary import hparams

    length_s = (child.ended_ms - child.started_ms) / 1000
    for name, values in child.epochs.items():
        for epoch, value in enumerate(values, start=1):
            if math.isfinite(value):
                time_s = child.started_ms / 1000 + length_s * epoch / len(values)
                writer.add_scalar(name, value, epoch, walltime=time_s)
    scores = {name: float(value) for name, value in child.final.items() if math.isfinite(value)}
    params = {name: _plain(value) for name, value in child.params.items() if value is not None}
    assert writer.file_writer is not None
    for summary in hparams({**params, "state": str(child.state)}, scores):
        writer.file_writer.add_summary(summary)
    for name, value in scores.items():
        writer.add_scalar(name, value, 0, walltime=child.ended_ms / 1000)


def _plain(value: object) -> bool | int | float | str:
    """Return a hyperparameter as TensorBoard takes it."""
    return value if isinstance(value, bool | int | float) else str(value)


def _one_line(text: object) -> str:
    """Return a text without what separates rows and columns of the projector's table."""
    return re.sub(r"\s+", " ", str(text)).strip() or "-"


def _thumbnails(samples: pd.DataFrame) -> torch.Tensor | None:
    """Return thumbnails on white squares, (rows, 3, side, side) in [0, 1]; None where there are none."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    from trainer.data.thumbnails import SIDE

    stored = samples[Samples.THUMBNAIL].tolist()
    if not any(stored):
        return None
    blank = Image.new("RGB", (SIDE, SIDE), "white")
    images = (Image.open(io.BytesIO(one)).convert("RGB") if one else blank for one in stored)
    squares = [np.asarray(ImageOps.pad(image, (SIDE, SIDE), color="white")) for image in images]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2) / 255
