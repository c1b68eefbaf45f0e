"""Vector images → pixels."""

from __future__ import annotations

import io
import zlib
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from tqdm import tqdm

from scripts.demo_pack.sources import Drawing

SIDE = 160  # pixels; the pack's images are scaled down from here, training crops are cut from here


def rgba(svg: bytes, *, side: int = SIDE) -> np.ndarray | None:
    """[side, side, 4] uint8, the drawing centred in a square with its proportions kept; None if it is blank.

    Cairo draws what it understands; a file that it cannot draw counts as blank.
    """
    import cairosvg

    try:
        png = cairosvg.svg2png(bytestring=svg, output_width=side * 2, output_height=side * 2)
        image = Image.open(io.BytesIO(png)).convert("RGBA")
    except Exception:  # cairosvg raises whatever its parsers meet
        return None
    box = image.getchannel("A").getbbox()
    if box is None:
        return None
    image = image.crop(box)
    scale = side * 0.94 / max(image.size)
    size = tuple(max(1, round(edge * scale)) for edge in image.size)
    canvas = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    canvas.paste(image.resize(size, Image.Resampling.LANCZOS), ((side - size[0]) // 2, (side - size[1]) // 2))
    pixels = np.asarray(canvas)
    return None if is_blank(on_white(pixels)) else pixels


def on_white(pixels: np.ndarray) -> np.ndarray:
    """[H, W, 4] → [H, W, 3], flattened on white."""
    alpha = pixels[..., 3:].astype(np.float32) / 255
    return np.round(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def is_blank(pixels: np.ndarray) -> bool:
    """Nothing to be seen on white: hardly any contrast anywhere."""
    return float(pixels.astype(np.float32).std()) < 4.0


def render_all(drawings: list[Drawing], folder: Path, *, processes: int = 2) -> None:
    """Draw everything once: ``pixels.npy`` uint8 [n, SIDE, SIDE, 4] and ``drawings.parquet``, its rows."""
    if (folder / "drawings.parquet").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(drawings), SIDE, SIDE, 4)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    kept: list[Drawing] = []
    with Pool(processes) as pool:
        drawn = pool.imap(rgba, (drawing.svg for drawing in drawings), chunksize=32)
        for drawing, image in zip(tqdm(drawings, desc="render"), drawn, strict=True):
            if image is not None:
                pixels[len(kept)] = image
                kept.append(drawing)
    pixels.flush()
    columns = ("source", "name", "title", "keywords", "author", "ink")
    frame = pd.DataFrame([{column: getattr(one, column) for column in columns} for one in kept])
    frame.to_parquet(folder / "drawings.parquet")


def tiles(name: str, content: bytes, *, count: int) -> list[np.ndarray]:
    """``count`` square pieces of a photograph, [SIDE, SIDE, 3] each, from a sixth of it to all of it."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    image.thumbnail((2400, 2400))
    pieces = []
    for i in range(count):
        smallest = min(1.0, 1.2 * SIDE / min(image.size))
        share = 1.0 if i == 0 else float(rng.uniform(max(0.17, smallest) if smallest < 1 else 0.6, 1.0))
        edge = round(min(image.size) * share)
        left = int(rng.integers(0, image.width - edge + 1))
        top = int(rng.integers(0, image.height - edge + 1))
        piece = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=(left, top, left + edge, top + edge))
        pieces.append(np.asarray(piece))
    return pieces
