"""What the encoder is worth: linear probes, zero-shot, CLIP score, retrieval, each with its interval.

Nothing measured here was seen in training. Probes choose their strength on validation rows and touch the
test rows once.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import roc_auc_score

from trainer.data import demo
from trainer.data.decode import decode
from trainer.data.duplicates import unit_numbers
from trainer.data.load import load
from trainer.data.manifest import SPLITS, Manifest
from trainer.features.encoder import ImageEncoder
from trainer.features.text_encoder import TextEncoder
from trainer.stats import intervals
from trainer.stats.macro_f1 import macro_f1_interval

PROMPTS = ("a drawing of a {}", "an image of a {}", "clip art: {}", "an icon of a {}", "{}")
STRENGTHS = tuple(
    10.0**p for p in (-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 1)
)  # C of the logistic regression
RETRIEVED = 200
BATCH = 128


def everything(encoder: Path, cifar: Path | None, sources: Path | None) -> dict[str, Any]:
    """All figures.

    Args:
        encoder: the nano CLIP.
        cifar: the folder of CIFAR-10 images; its figures are left out without it.
        sources: where the recipe's packages lie; without them the teacher's figures are left out.
    """
    rows = demo.read()
    report: dict[str, Any] = {"pack": probes(rows, encoder, sources)}
    if cifar is not None:
        report["cifar10_small"] = probes(load(str(cifar), seed=0), encoder, sources)
    return report | {"text": text_figures(rows, encoder)}


# --- Linear probes ---------------------------------------------------------------------------------------


def probes(rows: Manifest, encoder: Path, sources: Path | None) -> dict[str, Any]:
    """The same probe on the features of the encoder, of its untrained twin, of the teacher, and on pixels."""
    pictures = [decode(image) for image in rows.images or ()]
    features: dict[str, Callable[[], np.ndarray]] = {
        "nano_clip": lambda: encode(ImageEncoder(encoder, device="cpu"), pictures),
        "random_weights": lambda: encode(untrained(encoder), pictures),
        "raw_pixels_16": lambda: _pixels(pictures),
    }
    if sources is not None:
        features["teacher_96px"] = lambda: _ask_teacher(sources, pictures)
    return {"test_rows": len(rows.rows("test"))} | {
        name: probe(make(), rows) for name, make in features.items()
    }


def probe(features_nd: np.ndarray, rows: Manifest) -> dict[str, Any]:
    """Multinomial logistic regression on standardised features, as Radford et al. 2021 probe (appendix
    A.3): C by validation accuracy, then trained on train and val together, tested once."""
    from sklearn.linear_model import LogisticRegression

    train, val, test = (rows.rows(name) for name in SPLITS)
    x = (features_nd - features_nd[train].mean(0)) / (features_nd[train].std(0) + 1e-6)
    y = rows.label_n
    heads = [LogisticRegression(C=c, max_iter=400).fit(x[train], y[train]) for c in STRENGTHS]
    best = max(range(len(heads)), key=lambda i: (heads[i].score(x[val], y[val]), -i))
    both = np.concatenate([train, val])
    said = LogisticRegression(C=STRENGTHS[best], max_iter=400).fit(x[both], y[both]).predict(x[test])
    unit = unit_numbers(rows)[test]
    f1 = macro_f1_interval(y[test], said, classes=len(rows.classes), unit_n=unit, seed=0)
    accuracy = intervals.wilson_of_groups(said == y[test], unit)
    return {
        "f1_macro": _figure(f1.value), "f1_macro_ci95": [_figure(f1.low), _figure(f1.high)],
        "accuracy": _figure(accuracy.value), "accuracy_ci95": [_figure(accuracy.low), _figure(accuracy.high)],
        "dimension": features_nd.shape[1], "C": STRENGTHS[best],
    }  # fmt: skip


def untrained(encoder: Path) -> ImageEncoder:
    """The same architecture and preprocessing, with the random weights it began with."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        CLIPModel(CLIPConfig.from_pretrained(encoder)).save_pretrained(folder)
        shutil.copy(encoder / "preprocessor_config.json", folder)
        return ImageEncoder(Path(folder), device="cpu")


def encode(encoder: ImageEncoder, pictures: list[np.ndarray]) -> np.ndarray:
    """uint8 [H, W, 3] each → float32 [N, D]."""
    return np.concatenate([encoder.encode(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)])


def _pixels(pictures: list[np.ndarray]) -> np.ndarray:
    small = [Image.fromarray(one).resize((16, 16), Image.Resampling.BOX) for one in pictures]
    return np.stack([np.asarray(one, dtype=np.float32).ravel() / 255 for one in small])


def _ask_teacher(sources: Path, pictures: list[np.ndarray]) -> np.ndarray:
    from scripts.demo_pack.teacher import Teacher

    teacher = Teacher(sources)
    at_96 = [np.asarray(Image.fromarray(one).resize((96, 96), Image.Resampling.BICUBIC)) for one in pictures]
    stack = torch.from_numpy(np.stack(at_96)).permute(0, 3, 1, 2)
    return torch.cat([teacher(part).mean((2, 3)) for part in stack.split(BATCH)]).numpy()


# --- Words and images ----------------------------------------------------------------------------------


def text_figures(data: Manifest, encoder: Path) -> dict[str, Any]:
    """Zero-shot, CLIP score of true against shuffled captions, retrieval: on the pack's test rows."""
    texts = TextEncoder(encoder, device="cpu")

    def say(some: list[str]) -> torch.Tensor:
        return F.normalize(torch.from_numpy(texts.encode(some)), dim=-1)

    test = data.rows("test")
    pictures = [decode(data.images[i]) for i in test]  # type: ignore[index]
    seen = encode(ImageEncoder(encoder, device="cpu", space="shared"), pictures)
    image = F.normalize(torch.from_numpy(seen), dim=-1)
    captions = [data.caption[i] for i in test]
    return {
        "zero_shot": _zero_shot(image, say, data),
        "clip_score": _clip_score(image, say(captions), captions),
        "retrieval": _retrieval(image, say, captions),
    }


def _zero_shot(image: torch.Tensor, say: Callable, data: Manifest) -> dict[str, Any]:
    test, classes = data.rows("test"), data.classes
    label, unit = data.label_n[test], unit_numbers(data)[test]
    prompts = torch.stack([say([prompt.format(name) for name in classes]) for prompt in PROMPTS])
    said = (image @ F.normalize(prompts.mean(0), dim=-1).T).argmax(1).numpy()
    accuracy = intervals.wilson_of_groups(said == label, unit)
    f1 = macro_f1_interval(label, said, classes=len(classes), unit_n=unit, seed=0)
    return {
        "accuracy": _figure(accuracy.value), "accuracy_ci95": [_figure(accuracy.low), _figure(accuracy.high)],
        "f1_macro": _figure(f1.value), "f1_macro_ci95": [_figure(f1.low), _figure(f1.high)],
        "chance": _figure(1 / len(classes)), "times_chance": round(accuracy.value * len(classes), 2),
        "largest_class": _figure(float(np.bincount(label).max() / len(label))), "n": len(label),
    }  # fmt: skip


def bootstrap_auroc(
    positive_n: np.ndarray, score_n: np.ndarray, *, seed: int, draws: int = 1000
) -> intervals.Interval:
    """Return the area under the ROC curve, its interval by percentile bootstrap within each class."""
    random = np.random.default_rng(seed)
    yes, no = np.flatnonzero(positive_n), np.flatnonzero(~positive_n.astype(bool))
    target = np.r_[np.ones(len(yes)), np.zeros(len(no))]
    areas = [
        roc_auc_score(target, score_n[np.r_[random.choice(yes, len(yes)), random.choice(no, len(no))]])
        for _ in range(draws)
    ]
    low, high = np.quantile(areas, [0.025, 0.975])
    return intervals.Interval(float(roc_auc_score(positive_n, score_n)), float(low), float(high))


def _clip_score(image: torch.Tensor, text: torch.Tensor, captions: list[str]) -> dict[str, Any]:
    """AUC of cosine(image, own caption) against cosine(image, caption of another row), one such per row."""
    rng = np.random.default_rng(0)
    others = np.array(
        [rng.choice([j for j in range(len(captions)) if captions[j] != own]) for own in captions]
    )
    true, shuffled = (image * text).sum(1).numpy(), (image * text[others]).sum(1).numpy()
    is_true = np.repeat([True, False], len(true))
    area = bootstrap_auroc(is_true, np.concatenate([true, shuffled]), seed=0)
    return {
        "auc": _figure(area.value), "auc_ci95": [_figure(area.low), _figure(area.high)], "pairs": len(true),
        "mean_true": _figure(float(true.mean())), "mean_shuffled": _figure(float(shuffled.mean())),
    }  # fmt: skip


def _retrieval(image: torch.Tensor, say: Callable, captions: list[str]) -> dict[str, Any]:
    """Share of images whose own caption is among the ten nearest of RETRIEVED different captions."""
    first = {caption: i for i, caption in reversed(list(enumerate(captions)))}
    distinct = np.random.default_rng(0).permutation(sorted(first.values()))[:RETRIEVED]
    cosine = image[distinct] @ say([captions[i] for i in distinct]).T
    rank = (cosine > cosine.diagonal()[:, None]).sum(1).numpy()
    recall = intervals.wilson(int((rank < 10).sum()), len(rank))
    return {
        "recall_at_10": _figure(recall.value),
        "recall_at_10_ci95": [_figure(recall.low), _figure(recall.high)],
        "chance": _figure(10 / len(rank)), "pairs": len(rank),
    }  # fmt: skip


def _figure(value: float) -> float:
    return round(float(value), 4)
