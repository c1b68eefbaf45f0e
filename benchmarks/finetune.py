"""An epoch of fine-tuning on cached activations against one that runs the whole encoder:
``python benchmarks/finetune.py [--device cuda]``.

The built-in encoder, and CLIP ViT-B/32 (and L/14) in their published shapes with random weights; the last two
blocks learn. All arms train the same blocks on the same rows in the same order with the same optimiser, batch
and precision, in turn, ``--rounds`` times; medians, seconds per epoch:

- whole: images that are decoded and scaled already and lie in memory go through the whole encoder, whose
  frozen part builds no graph: the best that a loop without a cache can do;
- cached_plain: activations from the cache, the last block for all tokens;
- cached: as `trainer.finetune` trains, the last block for the class token alone.

``once_s`` is what filling the cache took, decoding and writing included. ``loss`` is that of the epoch: the
arms do the same. Needs no network and no data. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.data.demo import ENCODER
from trainer.data.manifest import Columns, Manifest, build_manifest
from trainer.experiments.finetuning.learner import Learner
from trainer.experiments.finetuning.training import IndexedRows, Recipe, Splits, Training, autocast
from trainer.features.activations import activations
from trainer.features.backbone import pick_device, pick_dtype
from trainer.features.encoder import preparation_of
from trainer.features.partial_encoder import FrozenFront, TrainableTail, run_to_block
from trainer.features.settings import EncoderSettings
from trainer.features.unfreezing import Unfreezing
from trainer.heads.head import Head
from trainer.heads.head_config import HeadSpec
from trainer.heads.training_data import Scale

CLASSES, VAL = 10, 32
SHAPES = {
    "vit-b-32": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "patch_size": 32,
    },
    "vit-l-14": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
    },
}


def saved(name: str, folder: Path) -> Path:
    """The folder of a model of that shape."""
    if name == "demo":
        return ENCODER
    from transformers import CLIPVisionConfig, CLIPVisionModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    CLIPVisionModel(CLIPVisionConfig(image_size=224, **SHAPES[name])).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    return folder


def photos(count: int) -> Manifest:
    """Noise, as JPEG files in memory."""
    random = np.random.default_rng(0)
    files = []
    for _ in range(count):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    return build_manifest(
        "noise",
        Columns(
            sample_id=[f"{i:06d}" for i in range(count)],
            label=[str(i % CLASSES) for i in range(count)],
            split=["val" if i < VAL else "train" for i in range(count)],
            content=[hashlib.sha256(file).hexdigest() for file in files],
            images=files,
        ),
    )


class Whole:
    """A source that runs the frozen part of the encoder anew for every batch."""

    views = 0

    def __init__(self, front: FrozenFront, pixels_nchw: Tensor, folder: Path, dtype: str) -> None:
        self._front, self._pixels, self._dtype = front, pixels_nchw, dtype
        prepared = preparation_of(folder)
        self._mean, self._std = (
            torch.tensor(three, device=front.device).view(3, 1, 1) for three in (prepared.mean, prepared.std)
        )

    @torch.no_grad()
    def batch(self, rows: np.ndarray, views: np.ndarray | None = None) -> Tensor:
        pixels = self._pixels[torch.from_numpy(rows)].to(self._front.device, non_blocking=True)
        with autocast(self._front.device, self._dtype):
            ready = (pixels.float() - self._mean) / self._std
            return run_to_block(self._front._model, self._front._last[0], ready).h.float()


def plain(tail: TrainableTail) -> TrainableTail:
    """The same, with the last block for all tokens."""
    tail._parts = dataclasses.replace(tail._parts, token=None)
    return tail


def measure(name: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    device = pick_device(options.device)
    dtype = pick_dtype(options.dtype, device)
    folder, manifest = saved(name, scratch / name), photos(options.images + VAL)
    began = time.perf_counter()
    settings = EncoderSettings(
        encoder=str(folder),
        cache_dir=scratch / "cache",
        device=device,
        dtype=dtype,
        batch_size="auto",
        workers="auto",
    )
    how = Unfreezing(options.unfreeze_last)
    stored = activations(manifest, settings, how)
    once_s = time.perf_counter() - began
    resident = stored.move_to_gpu()
    side = preparation_of(folder).shape
    front = FrozenFront(folder, how, side=side, device=device, dtype=dtype)
    prepared = preparation_of(folder)
    decoded = [np.asarray(Image.open(io.BytesIO(file))) for file in manifest.images or ()]
    pixels = torch.from_numpy(np.stack([prepared.pixels(image) for image in decoded]))
    if device != "cpu":
        pixels = pixels.to(device)
    width = stored.tail(stored.batch(np.arange(1))).shape[1]
    random = torch.Generator().manual_seed(0)
    linear = {
        "layers.0.weight": torch.randn(CLASSES, width, generator=random) * 0.01,
        "layers.0.bias": torch.zeros(CLASSES),
    }
    head = Head(HeadSpec(), Scale(torch.zeros(width), torch.ones(1)), linear)
    y_n = torch.from_numpy(manifest.label_n).to(device)
    splits = Splits(*(IndexedRows(rows, y_n[rows]) for rows in map(manifest.rows, ("train", "val"))))
    recipe = Recipe(
        lr=1e-4,
        head_lr=1e-4,
        layer_decay=0.7,
        weight_decay=0.05,
        warmup=0.1,
        label_smoothing=0.1,
        clip_norm=1.0,
        batch_size=options.batch,
        epochs=1,
        patience=1,
        precision=dtype,
    )
    arms = {
        "whole": (plain(front.tail()), Whole(front, pixels, folder, dtype)),
        "cached_plain": (plain(front.tail()), stored),
        "cached": (front.tail(), stored),
    }
    spent: dict[str, list[float]] = {arm: [] for arm in arms}
    losses: dict[str, float] = {}
    for round_ in range(options.rounds + 1):  # the first one warms up
        for arm, (tail, source) in arms.items():
            training = Training(Learner(tail, head), source, splits, recipe=recipe, seed=0)
            began = time.perf_counter()
            training.run()
            if round_:
                spent[arm].append(time.perf_counter() - began)
            losses[arm] = round(training.standing.curves["train_loss"][0], 4)
    epoch_s = {arm: statistics.median(seconds) for arm, seconds in spent.items()}
    ratios = [whole / cached for whole, cached in zip(spent["whole"], spent["cached"], strict=True)]
    return {
        "blocks": f"last {options.unfreeze_last} of {front.blocks}",
        "precision": dtype,
        "epoch_s": {arm: round(seconds, 3) for arm, seconds in epoch_s.items()},
        "faster": round(epoch_s["whole"] / epoch_s["cached"], 2),
        "faster_by_round": [round(ratio, 2) for ratio in ratios],
        "faster_without_shortcut": round(epoch_s["whole"] / epoch_s["cached_plain"], 2),
        "images_per_s": {arm: round(options.images / seconds, 1) for arm, seconds in epoch_s.items()},
        "once_s": round(once_s, 2),
        "cached_bytes_per_image": int(np.prod(stored.shape)) * 2,
        "resident_on_gpu": resident,
        "loss": losses,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, or auto: what the device has")
    parser.add_argument("--models", nargs="+", default=["demo", "vit-b-32"], choices=["demo", *SHAPES])
    parser.add_argument("--images", type=int, default=256, help="training images in an epoch")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--unfreeze-last", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    device = pick_device(options.device)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        "threads": torch.get_num_threads(),
        "images": options.images,
        "batch": options.batch,
        "rounds": options.rounds,
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.models:
            found[name] = measure(name, options, Path(scratch))
            print(f"{name}: {found[name]}", file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
