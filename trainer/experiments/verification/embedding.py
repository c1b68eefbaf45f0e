"""Ways to embed faces so that a cosine tells whether two are of one person; each learned from other people.

`METHODS` in the order of what they use: nothing (raw), the photos without names (whitened), names in closed
form (LDA), names by descent (trained). Each has some candidates; which is taken is for validation people to
say.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from trainer.heads.contrastive import ContrastiveSpec
from trainer.heads.contrastive import train as train_contrastive
from trainer.heads.head_config import HeadSpec
from trainer.heads.population import Population, Precision
from trainer.heads.training_data import to_training_data
from trainer.stats.roc import area, roc
from trainer.stats.vectors import unit_rows
from trainer.tracking.schema import PairMethod

VAL_SHOWN = 256  # training rows on which a head's own curves are followed; nothing is chosen by them

Embedding = Callable[[np.ndarray], np.ndarray]  # raw features [N, D] → [N, W]


class PersonRows(NamedTuple):
    """Photos of known people, the people numbered from 0."""

    x_nd: np.ndarray
    y_n: np.ndarray


@dataclass(frozen=True)
class Candidate:
    """One way to learn an embedding."""

    method: PairMethod
    name: str
    how: HeadSpec | ContrastiveSpec | float | None  # of whitening the components, of LDA the shrinkage

    @property
    def random(self) -> bool:
        """Whether it begins at random, so that one seed may differ much from another."""
        return isinstance(self.how, HeadSpec)

    @property
    def described(self) -> dict[str, Any]:
        """For the record."""
        how = self.how
        return asdict(how) if isinstance(how, HeadSpec | ContrastiveSpec) else {"value": how}


def _heads() -> list[Candidate]:
    """Return classifiers of the training people, whose last layer's input (or the linear map) is the
    embedding; with a cosine output they are NormFace (Wang et al. 2017), without the margin that ArcFace
    adds."""
    tanh: dict[str, Any] = {"activation": "tanh", "dropout": 0.2, "epochs": 40, "weights": "last"}
    heads = {
        "linear map": HeadSpec(lr=3e-3, epochs=40, weights="last"),
        "MLP 128": HeadSpec(hidden=(128,), **tanh),
        "MLP 128, cosine": HeadSpec(hidden=(128,), output="cosine", **tanh),
        "MLP 256, cosine": HeadSpec(hidden=(256,), output="cosine", **tanh),
        "MLP 128, cosine, whitened": HeadSpec(hidden=(128,), output="cosine", scaling="whiten", **tanh),
    }
    return [Candidate(PairMethod.TRAINED, f"classifier: {name}", spec) for name, spec in heads.items()]


def _contrastive() -> list[Candidate]:
    specs = {
        "τ 0.1": ContrastiveSpec(temperature=0.1),
        "τ 0.2": ContrastiveSpec(temperature=0.2),
        "τ 0.1, whitened": ContrastiveSpec(temperature=0.1, scaling="whiten", steps=40),
    }
    return [Candidate(PairMethod.TRAINED, f"contrastive: {name}", spec) for name, spec in specs.items()]


def candidates() -> list[Candidate]:
    """Return all of all methods; a method's first is the plainest."""
    whitened = [Candidate(PairMethod.WHITENED, f"{k} components", float(k)) for k in (128, 64, 32, 16)]
    lda = [
        Candidate(PairMethod.LDA, f"shrinkage {'by Ledoit and Wolf' if s is None else s}", s)
        for s in (None, 0.1, 0.5, 0.9)
    ]
    return [
        Candidate(PairMethod.RAW, "cosine of the features", None),
        *whitened,
        *lda,
        *_heads(),
        *_contrastive(),
    ]


def learn(
    tried: Sequence[Candidate], rows: PersonRows, *, seed: int, device: str, precision: Precision = "float32"
) -> list[Embedding]:
    """Return what each candidate learns from these rows; all classifiers side by side in one Population."""
    heads = [one for one in tried if isinstance(one.how, HeadSpec)]
    trained = iter(_train_heads(heads, rows, seed=seed, device=device, precision=precision))
    return [
        next(trained) if isinstance(one.how, HeadSpec) else _learn_alone(one, rows, seed=seed, device=device)
        for one in tried
    ]


def _train_heads(
    heads: Sequence[Candidate], rows: PersonRows, *, seed: int, device: str, precision: Precision
) -> list[Embedding]:
    if not heads:
        return []
    shown = np.random.default_rng(seed).permutation(len(rows.y_n))[:VAL_SHOWN]
    data = to_training_data(
        (rows.x_nd, rows.y_n),
        (rows.x_nd[shown], rows.y_n[shown]),
        classes=int(rows.y_n.max()) + 1,
        device=device,
    )
    specs = [one.how for one in heads if isinstance(one.how, HeadSpec)]
    population = Population(specs, data, seeds=[seed], precision=precision)
    population.train(max(spec.epochs for spec in specs))
    return [
        _on_device(population.head(number, seed_index=0).embedding, device) for number in range(len(specs))
    ]


def _learn_alone(one: Candidate, rows: PersonRows, *, seed: int, device: str) -> Embedding:
    if one.method is PairMethod.RAW:
        return lambda x_nd: x_nd
    if one.method is PairMethod.WHITENED:
        return whitening(rows.x_nd, components=int(one.how or 1))  # type: ignore[arg-type]
    if one.method is PairMethod.LDA:
        return discriminants(rows, shrinkage=one.how)  # type: ignore[arg-type]
    assert isinstance(one.how, ContrastiveSpec)
    x_nd, y_n = (torch.as_tensor(of).to(device) for of in (rows.x_nd, rows.y_n))
    return _on_device(train_contrastive(x_nd, y_n, one.how, seed=seed).embedding, device)


def _on_device(embedding: Callable[[torch.Tensor], torch.Tensor], device: str) -> Embedding:
    return lambda x_nd: embedding(torch.as_tensor(x_nd).to(device)).cpu().numpy()


def whitening(x_nd: np.ndarray, *, components: int) -> Embedding:
    """Return centred, and turned to the first principal axes of these rows, of which each gets the same
    variance."""
    centre_d = x_nd.mean(0, dtype=np.float64)
    _, spread, axes = np.linalg.svd(x_nd - centre_d, full_matrices=False)
    used = int(min(components, (spread > 1e-6 * spread[0]).sum()))
    matrix = axes[:used].T / spread[:used]
    return lambda z_nd: (z_nd - centre_d) @ matrix


def discriminants(rows: PersonRows, *, shrinkage: float | None) -> Embedding:
    """Return Fisher's linear discriminants with a covariance that is shrunk; None: as much as Ledoit and
    Wolf (2004) estimate."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto" if shrinkage is None else shrinkage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows.x_nd.astype(np.float64), rows.y_n)
    return model.transform


def cosines(embedded_nw: np.ndarray, row_p2: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair of rows, float64 [P]; 0 where a vector has no length."""
    unit = unit_rows(embedded_nw.astype(np.float64))
    return np.einsum("pw,pw->p", unit[row_p2[:, 0]], unit[row_p2[:, 1]])


def area_under_roc(embedding: Embedding, x_nd: np.ndarray, row_p2: np.ndarray, same_p: np.ndarray) -> float:
    """Return the area under the ROC curve of these pairs."""
    used, place = np.unique(row_p2, return_inverse=True)
    return float(area(roc(cosines(embedding(x_nd[used]), place.reshape(-1, 2)), same_p))[0])
