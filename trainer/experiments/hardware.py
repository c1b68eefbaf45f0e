"""What a command's flags stand for on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.core.config import StudyConfig

if TYPE_CHECKING:
    from trainer.heads.population import Precision
    from trainer.heads.training_data import TrainingData


@dataclass(frozen=True)
class Plan:
    """Where and how heads are trained, resolved once; and since when the command runs."""

    device: str
    precision: Precision
    cache_dir: Path
    began: float = field(default_factory=time.time)  # UNIX seconds

    @classmethod
    def of(cls, config: StudyConfig, *, began: float | None = None) -> Plan:
        """Raises InputError for a device that is not there."""
        began = time.time() if began is None else began
        from trainer.features.backbone import pick_device, pick_dtype

        precision: Precision = pick_dtype(config.precision, config.device)  # type: ignore[assignment]
        return cls(pick_device(config.device), precision, config.cache_folder, began)

    def elapsed_s(self) -> float:
        """Return seconds since the command began, to the millisecond."""
        return round(max(time.time() - self.began, 0), 3)  # the clock may be set meanwhile

    def slab_bytes(self, data: TrainingData, *, seeds: int) -> float | None:
        """Return how much to train side by side: on a CPU measured once and remembered, on a GPU
        everything."""
        import torch

        from trainer.core.json_cache import is_number, read_cache, write_cache
        from trainer.heads.slab_autotune import fastest_slab

        if data.train.x_nd.device.type != "cpu":
            return None
        memory = self.cache_dir / "slabs.json"
        name = (
            f"{torch.get_num_threads()} threads, {data.features} features, {data.classes} classes, "
            f"{seeds} seeds, {self.precision}"
        )
        known = read_cache(memory, partial(is_number, least=1))
        if name not in known:
            known[name] = fastest_slab(data, seeds=range(seeds), precision=self.precision)
            write_cache(memory, known)
        return float(known[name])
