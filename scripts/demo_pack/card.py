"""CARD.md: what is in the pack, where it comes from, what it is worth."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from scripts.demo_pack import images, sources
from trainer.core import atomic
from trainer.data.demo import IMAGES, PACK

TRAINING = PACK / "training.json"
KINDS = {
    "caption_swapped": "has the caption of a row of another class",
    "label_wrong": "has another class as its label",
    "blur": "is blurred beyond recognition",
    "crop": "shows a corner of the image only, sometimes nothing",
    "near_duplicate": "was added: another one again, trimmed by a few pixels and badly compressed",
}


def keep_training_facts(facts: dict[str, Any]) -> None:
    """Beside the encoder: the card tells of the training that made it, whatever the recipe says later."""
    atomic.write_bytes(TRAINING, json.dumps(facts, indent=1).encode())


def write(report: dict[str, Any]) -> None:
    """Write the card from the pack as it lies there and from what was just measured."""
    template = Template(Path(__file__).with_name("card_template.md").read_text())
    frame = pd.read_parquet(IMAGES)
    seen = pd.read_parquet(PACK / "trained_on.parquet")
    card = template.substitute(_pack_facts(frame), **_training_facts(seen), **_figures(report))
    atomic.write_bytes(PACK / "CARD.md", card.encode())


def _pack_facts(frame: pd.DataFrame) -> dict[str, Any]:
    kinds = [f"- `{kind}` ({int((frame.spoiled_how == kind).sum())}) {what}" for kind, what in KINDS.items()]
    return {
        "images": f"{len(frame):,}",
        "side": images.SIDE,
        "per_class": _table(_per_class(frame)),
        "fewest": int(frame[frame.split == "test"].label.value_counts().min()),
        "spoiled": "\n".join(kinds),
    }


def _training_facts(seen: pd.DataFrame) -> dict[str, Any]:
    return {
        "drawings": f"{int((seen.source != 'photograph').sum()):,}",
        "photographs": int((seen.source == "photograph").sum()),
        **json.loads(TRAINING.read_text()),
        "per_source": _table(_per_source(seen)),
    }


def _figures(report: dict[str, Any]) -> dict[str, Any]:
    said, score, found = (report["text"][key] for key in ("zero_shot", "clip_score", "retrieval"))
    return {
        "probes": _table(_probes(report)),
        "n": said["n"],
        "zero_shot": _with_interval(said, "accuracy"),
        "times": said["times_chance"],
        "chance": said["chance"],
        "largest": said["largest_class"],
        "zero_shot_f1": _with_interval(said, "f1_macro"),
        "pairs": score["pairs"],
        "auc": _with_interval(score, "auc"),
        "captions": found["pairs"],
        "recall": _with_interval(found, "recall_at_10"),
        "recall_chance": found["chance"],
        "figures": json.dumps(report, indent=1),
    }


def _per_class(frame: pd.DataFrame) -> list[list[Any]]:
    counts = frame.groupby(["label", "split"]).size().unstack(fill_value=0)
    groups = frame.groupby("label").group.nunique()
    rows = [
        [label, *(int(counts.loc[label, split]) for split in ("train", "val", "test")), int(groups[label])]
        for label in counts.index
    ]
    total = [
        "all",
        *(int(counts[split].sum()) for split in ("train", "val", "test")),
        int(frame.group.nunique()),
    ]
    return [["class", "train", "val", "test", "series"], *rows, total]


def _per_source(seen: pd.DataFrame) -> list[list[Any]]:
    counts = seen.source.value_counts()
    key = {package.name: package.name.split("/")[-1] for package in sources.PACKAGES}
    key["openclipart-svg"] = "openclipart"
    photographs = seen[seen.source == "photograph"].name.str.split("/").str[0].value_counts()
    photographs = photographs.rename({"gcompris": "gcompris-qt-data"})
    rows = [
        [
            f"{package.name} {package.version}", package.licence, package.credit, package.role,
            int(counts.get(key[package.name], photographs.get(package.name, 0))) or "",
        ]
        for package in sources.PACKAGES
    ]  # fmt: skip
    return [["package", "licence", "by", "used for", "seen"], *rows]


def _probes(report: dict[str, Any]) -> list[list[Any]]:
    names = {
        "nano_clip": "this encoder",
        "random_weights": "the same, untrained",
        "raw_pixels_16": "16 × 16 raw pixels",
        "teacher_96px": "the teacher at 96 px",
    }
    rows: list[list[Any]] = [["features", "data", "n", "macro-F1", "accuracy"]]
    for data in ("pack", "cifar10_small"):
        for key, name in names.items():
            if key in report.get(data, {}):
                one = report[data][key]
                figures = [_with_interval(one, "f1_macro"), _with_interval(one, "accuracy")]
                rows.append([name, data, report[data]["test_rows"], *figures])
    return rows


def _with_interval(figures: dict[str, Any], name: str) -> str:
    low, high = figures[f"{name}_ci95"]
    return f"{figures[name]:.3f} [{low:.3f}, {high:.3f}]"


def _table(rows: list[list[Any]]) -> str:
    head, *body = [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
