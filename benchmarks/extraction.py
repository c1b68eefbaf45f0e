"""Extraction against the loops that people write: ``python benchmarks/extraction.py [--device cuda]``.

CLIP ViT-B/32 in its published shape with random weights, on JPEG files of ``../shared/data``: half of them
CIFAR-10 (32 px), half photographs (340 px), of which every third is tiled to 1,360 px. Arms, measured in
turn, median of ``--repeats`` rounds, in images per second:

- one_by_one: open, Hugging Face processor, model, for each image (the tutorials' loop), float32;
- dataloader: torch's DataLoader with the processor in its workers, batches of 32, float32;
- headroom: listing, hashing, decoding, encoding and storing with ``auto`` everywhere; the model is loaded
  before the clock, as in the other arms;
- headroom_float32: the same in float32, on one thread pool;
- forward: the model alone on a batch that is there already, dtype and batch size of headroom's arm;
- decoded: prepared images through the encoder, with the copies to the device;
- decode: reading, decoding and preparing alone.

Prints one JSON line.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.data.load import load
from trainer.features.backbone import pick_device, pick_dtype
from trainer.features.batch_size import fastest_batch_size
from trainer.features.encoder import ImageEncoder, preparation_of
from trainer.features.extract import extract
from trainer.features.image_loader import CORES, ImageLoader, ImageRequest
from trainer.features.settings import EncoderSettings

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TILED_EVERY = 6
TILES = 4  # a side


def lay_out(folder: Path, count: int) -> list[Path]:
    """So many JPEG files; each is different from all others."""
    photos = sorted((SHARED / "flickr_captions" / "images").iterdir())
    small = sorted((SHARED / "cifar10_small" / "train").rglob("*.jpg"))
    files = []
    for i in range(count):
        source = (photos if i % 2 else small)[i // 2 % len(photos)]
        files.append(folder / ("photograph" if i % 2 else "small") / f"{i:06d}.jpg")
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        data = tiled(source) if i % TILED_EVERY == 1 else source.read_bytes()
        files[-1].write_bytes(data + i.to_bytes(4, "big"))  # behind the image's end: another SHA-256
    return files


def tiled(photo: Path) -> bytes:
    with Image.open(photo) as opened:
        pixels = np.tile(np.asarray(opened.convert("RGB")), (TILES, TILES, 1))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


# --- arms -------------------------------------------------------------------------------------


def one_by_one(model: CLIPVisionModel, processor: CLIPImageProcessorPil, files: list[Path]) -> None:
    with torch.inference_mode():
        for file in files:
            pixels = processor(Image.open(file).convert("RGB"), return_tensors="pt")["pixel_values"]
            model(pixel_values=pixels.to(model.device)).pooler_output.cpu()


class Files(torch.utils.data.Dataset):
    def __init__(self, files: list[Path], processor: CLIPImageProcessorPil) -> None:
        self.files, self.processor = files, processor

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(self.files[index]).convert("RGB")
        return self.processor(image, return_tensors="pt")["pixel_values"][0]


def dataloader(model: CLIPVisionModel, processor: CLIPImageProcessorPil, files: list[Path]) -> None:
    loader = torch.utils.data.DataLoader(
        Files(files, processor), batch_size=32, num_workers=CORES, pin_memory=model.device.type == "cuda"
    )
    with torch.inference_mode():
        for pixels in loader:
            model(pixel_values=pixels.to(model.device, non_blocking=True)).pooler_output.cpu()


def headroom(folder: Path, saved: Path, device: str, seen: dict[str, object], **options: object) -> float:
    """Returns the seconds, without those for loading the model and measuring its batch size."""
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        manifest = load(str(folder), seed=0)
        settings = EncoderSettings(encoder=str(saved), cache_dir=Path(cache), device=device, **options)
        report = extract(manifest, settings).report
        seen.update(batch_size=report.batch_size, processes=report.processes, encoder=report.encoder)
        return time.perf_counter() - began - report.share["load"] * report.elapsed_s


def forward(encoder: ImageEncoder, size: int, count: int) -> None:
    resident = encoder.to_device(np.zeros((size, 3, *encoder.shape), np.uint8))
    waits = [encoder.forward_async(resident) for _ in range(-(-count // size))]
    for wait in waits:
        wait()


def decoded(encoder: ImageEncoder, size: int, prepared: list[np.ndarray]) -> None:
    waiting: Callable[[], np.ndarray] | None = None
    for at in range(0, len(prepared), size):
        started = encoder.forward_async(encoder.to_device(np.stack(prepared[at : at + size])))
        if waiting is not None:
            waiting()
        waiting = started
    if waiting is not None:
        waiting()


def wanted(folder: Path) -> list[ImageRequest]:
    manifest = load(str(folder), seed=0)
    assert manifest.images is not None
    return [
        ImageRequest((i,), (image,), content, views=(0,), measure=False)
        for i, (image, content) in enumerate(zip(manifest.images, manifest.content, strict=True))
    ]


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    taken = work()
    return taken if isinstance(taken, float) else time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    device = pick_device(asked.device)
    dtype = pick_dtype("auto", device)
    with tempfile.TemporaryDirectory() as temporary:
        folder, saved = Path(temporary) / "images", Path(temporary) / "b32"
        files = lay_out(folder, asked.images)
        torch.manual_seed(0)
        CLIPModel(CLIPConfig()).save_pretrained(saved)
        processor = CLIPImageProcessorPil()
        processor.save_pretrained(saved)
        model = CLIPVisionModel.from_pretrained(saved).eval().to(device)
        encoder = ImageEncoder(saved, device=device, dtype=dtype)
        size = fastest_batch_size(encoder)
        feed = ImageLoader(iter(wanted(folder)), preparation_of(saved), processes=0, ahead=64)
        prepared = [view.pixels for one in feed for view in one.views]
        feed.close()
        seen: dict[str, object] = {}
        processes = 0 if CORES <= 2 else CORES

        def decode() -> float:
            """Without the birth of the processes."""
            feed = ImageLoader(iter(wanted(folder)), preparation_of(saved), processes=processes, ahead=256)
            pictures = iter(feed)
            next(pictures)
            began = time.perf_counter()
            count = sum(1 for _ in pictures)
            taken = (time.perf_counter() - began) * asked.images / count
            feed.close()
            return taken

        auto = {"dtype": "auto", "batch_size": "auto", "workers": "auto"}
        arms: dict[str, Callable[[], object]] = {
            "one_by_one": lambda: one_by_one(model, processor, files),
            "dataloader": lambda: dataloader(model, processor, files),
            "headroom_float32": lambda: headroom(folder, saved, device, {}, dtype="float32", batch_size=32),
            "headroom": lambda: headroom(folder, saved, device, seen, **auto),
            "forward": lambda: forward(encoder, size, asked.images),
            "decoded": lambda: decoded(encoder, size, prepared),
            "decode": decode,
        }
        taken: dict[str, list[float]] = {name: [] for name in arms}
        for repeat in range(asked.repeats):
            for name, arm in arms.items():
                taken[name].append(seconds(arm))
                print(f"round {repeat + 1}: {name} {asked.images / taken[name][-1]:.1f}/s", file=sys.stderr)
    rate = {name: asked.images / statistics.median(times) for name, times in taken.items()}
    ceiling = min(rate["decode"], rate["forward"])
    figures = {
        "device": encoder.device_name,
        "cores": CORES,
        "torch_threads": torch.get_num_threads(),
        "images": asked.images,
        "images_per_s": {name: round(value, 1) for name, value in rate.items()},
        "headroom_used": seen,
        "against_one_by_one": round(rate["headroom"] / rate["one_by_one"], 2),
        "against_dataloader": round(rate["headroom"] / rate["dataloader"], 2),
        "float32_against_one_by_one": round(rate["headroom_float32"] / rate["one_by_one"], 2),
        "float32_against_dataloader": round(rate["headroom_float32"] / rate["dataloader"], 2),
        "decoded_of_forward": round(rate["decoded"] / rate["forward"], 3),
        "jpeg_of_ceiling": round(rate["headroom"] / ceiling, 3),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
