"""How heads train on this machine: the precision of products, and how many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.core.config import StudyConfig

if TYPE_CHECKING:
    from trainer.heads.population import Precision
    from trainer.heads.training_data import TrainingData


def precision(config: StudyConfig) -> Precision:
    """What ``--precision`` stands for on this machine."""
    from trainer.features.backbone import pick_dtype

    return pick_dtype(config.precision, config.device)  # type: ignore[return-value]


def slab_bytes(config: StudyConfig, data: TrainingData, *, seeds: int) -> float | None:
    """How much to train side by side: on a CPU measured once and remembered, on a GPU everything."""
    import torch

    from trainer.core.json_cache import read_cache, write_cache
    from trainer.heads.slab_autotune import fastest_slab

    if data.train.x_nd.device.type != "cpu":
        return None
    memory = config.cache_dir / "slabs.json"
    name = (
        f"{torch.get_num_threads()} threads, {data.features} features, {data.classes} classes, "
        f"{seeds} seeds, {precision(config)}"
    )
    known = read_cache(memory)
    if name not in known:
        known[name] = fastest_slab(data, seeds=range(seeds), precision=precision(config))
        write_cache(memory, known)
    return float(known[name])
