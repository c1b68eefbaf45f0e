"""One configuration of a head and of how it is trained."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal, get_args

Activation = Literal["relu", "gelu", "silu", "tanh"]
Optimizer = Literal["adam", "adamw", "sgd"]
Scheduler = Literal[
    "none", "step", "multistep", "exponential", "cosine", "onecycle", "warmup_cosine", "plateau"
]
ClassWeight = Literal["none", "balanced", "effective"]
Scaling = Literal["centre", "standardise", "unit_norm", "whiten"]
Output = Literal["linear", "cosine"]
Solver = Literal["descent", "lbfgs", "gda", "ridge"]
CLOSED_FORMS = ("gda", "ridge")  # solvers of a single step
Weights = Literal["best", "last"]
Start = Literal["own", "given"]
Target = Literal["class", "number", "labels"]
Loss = Literal["mse", "huber", "bce", "asymmetric", "focal"]

CHOICES = {
    "activation": Activation,
    "optimizer": Optimizer,
    "scheduler": Scheduler,
    "class_weight": ClassWeight,
    "scaling": Scaling,
    "output": Output,
    "solver": Solver,
    "weights": Weights,
    "start": Start,
    "target": Target,
    "loss": Loss,
}
OF_NUMBERS = ("descent", "ridge")  # solvers of heads of numbers
OF_LABELS = ("descent", "lbfgs")  # of several labels per row
SOLVERS: dict[str, tuple[str, ...]] = {"number": OF_NUMBERS, "labels": OF_LABELS}
LOSSES: dict[str, tuple[str, ...]] = {"number": ("mse", "huber"), "labels": ("bce", "asymmetric", "focal")}


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A linear head (``hidden == ()``) or an MLP: Linear → LayerNorm → activation → dropout, per layer.

    Epochs count from 1; fields that do not apply (``momentum`` of Adam, ``gamma`` of cosine) are ignored.
    With ``solver="lbfgs"`` a linear head is a logistic regression, fitted to its optimum on all rows at once;
    of the fields only ``scaling``, ``l2``, ``label_smoothing``, ``class_weight`` and ``epochs`` (the most
    iterations) apply then. With ``solver="gda"`` it is a Gaussian discriminant in closed form, of
    ``scaling``, ``shrinkage`` and ``class_weight`` ("balanced": even priors); with ``solver="ridge"`` a ridge
    regression on class indicators, of ``scaling``, ``l2`` and ``class_weight``.

    A head of numbers (``target="number"``) has one output, and learns targets of mean 0 and variance 1. Its
    losses are ``loss`` and ``huber_delta``; whatever is about classes is ignored.

    A head of several labels per row (``target="labels"``) has an output per label, whose sigmoid is its
    probability. Its losses are ``loss``, with ``focal_gamma`` or with ``gamma_pos``, ``gamma_neg`` and
    ``margin``; with ``solver="lbfgs"`` it is a logistic regression of each label, of ``scaling`` and ``l2``.

    Raises:
        ValueError: a value outside its range; the message names the field.
    """

    hidden: tuple[int, ...] = ()
    target: Target = "class"
    output: Output = "linear"  # cosine: cosine_scale × cosine of the last layer's input and a class's weights
    cosine_scale: float = 16.0
    activation: Activation = "relu"
    layer_norm: bool = False
    gate_at: int = 0  # above 0: the first so many features are of one kind, the others of another, and the
    # first hidden layer mixes a layer on each by a learned gate, see `trainer.heads.stack.gated`
    dropout: float = 0.0  # share of hidden units set to zero while training

    scaling: Scaling = "centre"  # what is done to the features first, see `trainer.heads.training_data.Scale`
    augment: bool = False  # train on augmented views, too: each row in each epoch is one of its views
    mixup: float = 0.0  # alpha of mixup (Zhang et al. 2018) on the features; 0 for none

    solver: Solver = "descent"
    start: Start = (
        "own"  # lbfgs: given, from `TrainingData.start`; then l2 pulls the weights there, not to zero
    )
    l2: float = 0.1  # lbfgs, ridge: strength λ of λ/2·‖W‖² beside the mean loss, of ridge half the squared
    # error; scikit-learn's C is 1 / (n·λ), its alpha n·λ
    shrinkage: float = 0.3  # gda: share of a sphere in the covariance within classes; 1 is the nearest mean
    optimizer: Optimizer = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0  # decoupled for adamw, added to the gradient for adam and sgd
    momentum: float = 0.9  # sgd
    clip_norm: float | None = None  # largest gradient norm of one head

    scheduler: Scheduler = "cosine"
    gamma: float = 0.5  # step, multistep, plateau: factor at a drop
    decay: float = 0.95  # exponential: factor per epoch
    step_size: int = 10  # step: epochs between drops
    milestones: tuple[float, ...] = (0.5, 0.75)  # multistep: drops, as shares of the epochs
    warmup: float = 0.1  # onecycle, warmup_cosine: share of the steps in which the rate rises
    plateau_patience: int = 5  # plateau: epochs without a lower loss, see `Plateau`, that are put up with

    label_smoothing: float = 0.0
    focal_gamma: float = 0.0  # focal loss (Lin et al. 2017): easy rows count (1 - p)^γ; 0 for cross-entropy
    class_weight: ClassWeight = "none"
    class_beta: float = 0.99  # effective: β of the class-balanced loss (Cui et al. 2019)
    loss: Loss = "mse"  # mse, huber: of a number; bce, asymmetric, focal: of several labels
    huber_delta: float = 1.0  # huber: standard deviations from which an error counts linearly

    gamma_pos: float = 0.0  # asymmetric loss (Ridnik et al. 2021): labels that a row has count (1 - p)^γ, …
    gamma_neg: float = 4.0  # … and those that it has not p^γ, …
    margin: float = 0.05  # … where p is lowered by as much, to 0 at least

    batch_size: int = 128
    epochs: int = 60
    patience: int = 12  # epochs without a better validation macro-F1 before the head stops
    weights: Weights = (
        "best"  # those of the epoch best on validation, or of the last; then patience is nothing
    )

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; allowed: {', '.join(get_args(allowed))}"
                )
        if self.solver != "descent" and (self.hidden or self.output != "linear"):
            raise ValueError(f"solver is {self.solver!r}; expected a linear head without hidden layers")
        self._check("hidden", all(width >= 1 for width in self.hidden), "widths of at least 1")
        self._check_target()
        if self.start == "given" and (
            self.solver != "lbfgs" or self.scaling not in ("centre", "standardise")
        ):
            raise ValueError(
                "start is 'given'; expected solver 'lbfgs', and scaling 'centre' or 'standardise'"
            )
        self._check("gate_at", self.gate_at >= 0, "gate_at ≥ 0")
        if self.gate_at and not self.hidden:
            raise ValueError(f"gate_at is {self.gate_at}; expected a head with a hidden layer")
        self._check("dropout", 0 <= self.dropout < 1, "0 ≤ dropout < 1")
        self._check("lr", self.lr > 0, "lr > 0")
        self._check("weight_decay", self.weight_decay >= 0, "weight_decay ≥ 0")
        self._check("momentum", 0 <= self.momentum < 1, "0 ≤ momentum < 1")
        self._check("clip_norm", self.clip_norm is None or self.clip_norm > 0, "clip_norm > 0, or none")
        self._check("gamma", 0 < self.gamma <= 1, "0 < gamma ≤ 1")
        self._check("decay", 0 < self.decay <= 1, "0 < decay ≤ 1")
        self._check("step_size", self.step_size >= 1, "step_size ≥ 1")
        self._check("milestones", all(0 < m < 1 for m in self.milestones), "shares between 0 and 1")
        self._check("warmup", 0 < self.warmup < 1, "0 < warmup < 1")
        self._check("plateau_patience", self.plateau_patience >= 0, "plateau_patience ≥ 0")
        self._check("cosine_scale", self.cosine_scale > 0, "cosine_scale > 0")
        self._check("mixup", self.mixup >= 0, "mixup ≥ 0")
        self._check("l2", self.l2 > 0, "l2 > 0")
        self._check("shrinkage", 0 < self.shrinkage <= 1, "0 < shrinkage ≤ 1")
        self._check("focal_gamma", self.focal_gamma >= 0, "focal_gamma ≥ 0")
        self._check("huber_delta", self.huber_delta > 0, "huber_delta > 0")
        self._check("gamma_pos", self.gamma_pos >= 0, "gamma_pos ≥ 0")
        self._check("gamma_neg", self.gamma_neg >= 0, "gamma_neg ≥ 0")
        self._check("margin", 0 <= self.margin < 1, "0 ≤ margin < 1")
        self._check("class_beta", 0 <= self.class_beta < 1, "0 ≤ class_beta < 1")
        self._check("label_smoothing", 0 <= self.label_smoothing < 1, "0 ≤ label_smoothing < 1")
        for name in ("batch_size", "epochs", "patience"):
            self._check(name, getattr(self, name) >= 1, f"{name} ≥ 1")

    def _check_target(self) -> None:
        if self.target not in SOLVERS:
            return
        solvers, losses = SOLVERS[self.target], LOSSES[self.target]
        if self.solver not in solvers or self.output != "linear":
            raise ValueError(
                f"target is {self.target!r}; expected solver {' or '.join(solvers)}, and a linear output"
            )
        if self.solver == "descent" and self.loss not in losses:
            raise ValueError(f"loss is {self.loss!r}; expected {', '.join(losses)} of {self.target}")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ValueError(f"{name} is {getattr(self, name)!r}; expected {expected}")

    @property
    def cohort_key(self) -> tuple[object, ...]:
        """Heads with the same key can be trained as one tensor program."""
        if self.solver != "descent":
            return self.solver, self.scaling, self.start
        return self.solver, self.hidden, self.batch_size, self.gate_at

    @property
    def is_random(self) -> bool:
        """Whether seeds change anything: not where a head is fitted to its optimum."""
        return self.solver == "descent"

    def steps(self, rows: int) -> int:
        """Return the optimiser steps that training on so many rows takes without stopping early."""
        if self.solver in CLOSED_FORMS:
            return 1
        return self.epochs * (1 if self.solver == "lbfgs" else -(-rows // self.batch_size))

    def parameters(self, *, features: int, classes: int) -> int:
        """Return how many weights and biases (LayerNorm's included) such a head has."""
        widths = (features, *self.hidden, classes)
        dense = sum(a * b + b for a, b in itertools.pairwise(widths))
        unused = classes if self.output == "cosine" else 0  # a cosine has no bias
        # a gate of as many inputs as the layer, and three biases for one
        gate = (features + 2) * self.hidden[0] if self.gate_at else 0
        return dense + gate - unused + (2 * sum(self.hidden) if self.layer_norm else 0)
