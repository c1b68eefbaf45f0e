"""Training views: every drawing several times, moved, recoloured, on other grounds; photographs in pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from scripts.demo_pack.render import tiles
from scripts.demo_pack.student import SIDE

CLIP_ART = 12  # views of each drawing of Open Clip Art: the pack's own kind, of which there are few
EMOJI = 3
ICON = 1  # of an interface icon: there are many, and they are alike
ICONS = ("game-icons", "flat-color-icons", "streamline-")
TILES = 36  # pieces of one photograph
PER_TILE = 3
BATCH = 256


def facts() -> dict[str, str]:
    """For the card."""
    drawn = f"{CLIP_ART} views of each drawing of Open Clip Art, {EMOJI} of each emoji, {ICON} of each icon"
    return {"views": f"{drawn}, {TILES * PER_TILE} pieces of each photograph"}


def how_many(source: str) -> int:
    """How often each drawing of a source is shown."""
    if source == "openclipart":
        return CLIP_ART
    return ICON if source.startswith(ICONS) else EMOJI


def make(
    pixels: np.ndarray,
    rows: np.ndarray,
    ink: np.ndarray,
    often: np.ndarray,
    photographs: list[tuple[str, bytes]],
    folder: Path,
    *,
    seed: int,
) -> None:
    """Write ``views.npy`` uint8 [V, 3, SIDE, SIDE] and ``origin.npy`` int64 [V]: place in ``rows``, or -1.

    Args:
        pixels: uint8 [all, S, S, 4].
        rows: int [n] into ``pixels``: the drawings to show.
        ink: bool [n]: drawn in one colour, which is therefore free.
        often: int [n]: how many views of each.
    """
    if (folder / "origin.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    cut = [
        tile for name, content in tqdm(photographs, desc="cut") for tile in tiles(name, content, count=TILES)
    ]
    tiles_nchw = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).contiguous()
    origin = np.concatenate([np.repeat(np.arange(len(rows)), often), np.full(len(cut) * PER_TILE, -1)])
    views = np.lib.format.open_memmap(
        folder / "views.npy", mode="w+", dtype=np.uint8, shape=(len(origin), 3, SIDE, SIDE)
    )
    draw = torch.Generator().manual_seed(seed)
    for start in tqdm(range(0, len(origin), BATCH), desc="views"):
        which = origin[start : start + BATCH]
        flat = torch.empty(len(which), 3, SIDE, SIDE)
        drawn, photo = np.flatnonzero(which >= 0), np.flatnonzero(which < 0)
        if len(drawn):
            rgba = torch.from_numpy(pixels[rows[which[drawn]]]).permute(0, 3, 1, 2).float() / 255
            flat[drawn] = drawing_views(rgba, torch.from_numpy(ink[which[drawn]]), tiles_nchw, draw)
        if len(photo):
            tile = (start + photo - (len(origin) - len(cut) * PER_TILE)) % len(cut)
            flat[photo] = photo_views(tiles_nchw[tile].float() / 255, draw)
        flat = poor_copies(recoloured(flat, draw), draw)
        views[start : start + len(which)] = (flat.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    views.flush()
    np.save(folder / "origin.npy", origin)


def drawing_views(
    rgba: torch.Tensor, ink: torch.Tensor, tiles_nchw: torch.Tensor, draw: torch.Generator
) -> torch.Tensor:
    """[B, 4, S, S] in 0…1 → [B, 3, SIDE, SIDE]: moved, on white (half), a colour, or a photograph."""
    n = len(rgba)
    colour = torch.rand(n, 3, 1, 1, generator=draw)
    repaint = ink & (torch.rand(n, generator=draw) < 0.5)
    rgb = torch.where(repaint[:, None, None, None], colour * 0.8, rgba[:, :3])
    grid = _moves(n, draw, zoom=(0.8, 1.45), turn=0.25)
    premultiplied = torch.cat([rgb * rgba[:, 3:], rgba[:, 3:]], 1)  # so that edges do not darken when sampled
    moved = F.grid_sample(premultiplied, grid, align_corners=False)
    ground = torch.ones(n, 3, SIDE, SIDE)
    kind = torch.rand(n, generator=draw)
    plain = (kind > 0.55) & (kind <= 0.75)
    ground[plain] = torch.rand(int(plain.sum()), 3, 1, 1, generator=draw).expand(-1, -1, SIDE, SIDE)
    photo = kind > 0.75
    picked = torch.randint(len(tiles_nchw), (int(photo.sum()),), generator=draw)
    if len(picked):
        ground[photo] = photo_views(tiles_nchw[picked].float() / 255, draw)
    return moved[:, :3] + ground * (1 - moved[:, 3:])


def photo_views(rgb: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """[B, 3, S, S] → [B, 3, SIDE, SIDE]: zoomed in, turned a little, mirrored."""
    grid = _moves(len(rgb), draw, zoom=(0.45, 0.95), turn=0.1)
    return F.grid_sample(rgb, grid, align_corners=False, padding_mode="reflection")


def _moves(n: int, draw: torch.Generator, *, zoom: tuple[float, float], turn: float) -> torch.Tensor:
    """[n, SIDE, SIDE, 2] sampling grids: zoom (below 1 enlarges), rotation in radians, shift, mirror."""

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, generator=draw)

    scale = torch.exp(uniform(float(np.log(zoom[0])), float(np.log(zoom[1]))))
    stretch = torch.exp(uniform(-0.15, 0.15))
    angle = uniform(-turn, turn)
    mirror = torch.where(torch.rand(n, generator=draw) < 0.5, -1.0, 1.0)
    room = (1 - scale).abs().clamp(min=0.05)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = torch.cos(angle) * scale * stretch * mirror
    theta[:, 0, 1] = -torch.sin(angle) * scale * stretch
    theta[:, 1, 0] = torch.sin(angle) * scale / stretch * mirror
    theta[:, 1, 1] = torch.cos(angle) * scale / stretch
    theta[:, 0, 2] = uniform(-1, 1) * room
    theta[:, 1, 2] = uniform(-1, 1) * room
    return F.affine_grid(theta, [n, 3, SIDE, SIDE], align_corners=False)


def recoloured(rgb: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Half of them with other brightness, contrast and saturation; one in twenty grey."""
    n = len(rgb)
    change = (torch.rand(n, generator=draw) < 0.5).float()

    def factor(spread: float) -> torch.Tensor:
        return (1 + change * spread * (2 * torch.rand(n, generator=draw) - 1))[:, None, None, None]

    grey = rgb.mean(1, keepdim=True)
    saturation = factor(0.6)
    saturation[torch.rand(n, generator=draw) < 0.05] = 0
    rgb = grey + (rgb - grey) * saturation
    middle = rgb.mean((1, 2, 3), keepdim=True)
    return (middle + (rgb - middle) * factor(0.4)) * factor(0.3)


def poor_copies(rgb: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """A quarter of them as if enlarged from 24 to 64 pixels, as small images are."""
    poor = torch.nonzero(torch.rand(len(rgb), generator=draw) < 0.25)[:, 0]
    sides = (24, 32, 48, 64)
    which = torch.randint(len(sides), (len(poor),), generator=draw)
    for i, side in enumerate(sides):
        some = poor[which == i]
        if len(some):
            small = F.interpolate(rgb[some], side, mode="area")
            rgb[some] = F.interpolate(small, SIDE, mode="bicubic", align_corners=False)
    return rgb
