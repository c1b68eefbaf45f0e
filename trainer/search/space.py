"""Define the search space: read its distributions from YAML, draw configurations from it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainer.core.errors import InputError
from trainer.heads.head_config import CLOSED_FORMS, SOLVERS, HeadSpec, Target

DEFAULT_SPACE = Path(__file__).with_name("space.yaml")
NUMBER_SPACE = Path(__file__).with_name("number_space.yaml")
LABEL_SPACE = Path(__file__).with_name("label_space.yaml")
SPACES: dict[Target, Path] = {"class": DEFAULT_SPACE, "number": NUMBER_SPACE, "labels": LABEL_SPACE}
EXPECTED = "a fixed value, {choice: [a, b]}, {uniform: [low, high]}, {log: [low, high]} or {int: [low, high]}"

MOST_ITERATIONS = 400  # of L-BFGS, which stops by itself long before

Params = dict[str, Any]


def _is_deep(params: Params) -> bool:
    return params["depth"] > 0


def _is_linear(params: Params) -> bool:
    return not _is_deep(params)


def _descends(params: Params) -> bool:
    return params.get("solver", "descent") == "descent"


def _has_loss(params: Params) -> bool:
    return params.get("solver") not in CLOSED_FORMS


def _where(name: str, *values: Any) -> Callable[[Params], bool]:
    return lambda params: params.get(name) in values


# Conditional space: CONDITIONING names are drawn first; CONDITIONS says when another one applies.
CONDITIONING = ("depth", "solver", "output", "optimizer", "scheduler", "class_weight")
CONDITIONS: dict[str, Callable[[Params], bool]] = {
    "solver": _is_linear,
    "l2": _where("solver", "lbfgs", "ridge"),
    "shrinkage": _where("solver", "gda"),
    "output": _descends,
    "cosine_scale": _where("output", "cosine"),
    "width": _is_deep,
    "activation": _is_deep,
    "layer_norm": _is_deep,
    "dropout": _is_deep,
    "augment": _descends,
    "mixup": _descends,
    "optimizer": _descends,
    "lr": _descends,
    "weight_decay": _descends,
    "momentum": _where("optimizer", "sgd"),
    "clip_norm": _descends,
    "scheduler": _descends,
    "gamma": _where("scheduler", "step", "multistep", "plateau"),
    "step_size": _where("scheduler", "step"),
    "decay": _where("scheduler", "exponential"),
    "warmup": _where("scheduler", "onecycle", "warmup_cosine"),
    "plateau_patience": _where("scheduler", "plateau"),
    "label_smoothing": _has_loss,
    "focal_gamma": lambda params: _descends(params) and params.get("loss", "focal") == "focal",
    "loss": _descends,
    "huber_delta": _where("loss", "huber"),
    "gamma_pos": _where("loss", "asymmetric"),
    "gamma_neg": _where("loss", "asymmetric"),
    "margin": _where("loss", "asymmetric"),
    "class_beta": _where("class_weight", "effective"),
    "batch_size": _descends,
    "patience": _descends,
}
WHOLE_NUMBERS = {"depth", "width", "step_size", "plateau_patience", "batch_size", "epochs", "patience"}
SWITCHES = {"layer_norm", "augment"}


@dataclass(frozen=True)
class Space:
    """Distribution or fixed value of every hyperparameter."""

    varying: Mapping[str, BaseDistribution]
    fixed: Mapping[str, Any]
    text: Mapping[str, Any]  # as written in YAML; recorded, and compared on resume

    def propose(self, suggest: Callable[[str, BaseDistribution], Any]) -> Params:
        """Draw one configuration: the value of every hyperparameter that applies.

        Args:
            suggest: called once with each varying name that applies and its distribution; returns the value.
        """
        params: Params = {}
        first = [name for name in CONDITIONING if name in self.text]
        names = [*first, *(name for name in self.text if name not in CONDITIONING)]
        for name in names:
            if name in CONDITIONS and not CONDITIONS[name](params):
                continue
            params[name] = suggest(name, self.varying[name]) if name in self.varying else self.fixed[name]
        return params

    @property
    def target(self) -> Target:
        """Whether heads of classes are searched, of a number or of several labels."""
        return self.fixed.get("target", "class")

    @property
    def max_epochs(self) -> int:
        """Maximum number of epochs that the space allows."""
        return int(max(self.values("epochs")))

    def values(self, name: str) -> list[Any]:
        """Return the choices of a name, the ends of its range, or its fixed value."""
        line = self.varying.get(name)
        return [self.fixed.get(name)] if line is None else _extremes(line)

    def allows(self, name: str, value: Any) -> bool:
        """Return whether a name can take this value, as a choice or as its fixed value."""
        return value in self.values(name)

    def distributions(self, params: Params) -> dict[str, BaseDistribution]:
        """Return the distributions of those of ``params`` that vary."""
        return {name: self.varying[name] for name in params if name in self.varying}


def head_spec(params: Params) -> HeadSpec:
    """Return the head of a configuration. Raises ValueError naming a value out of range.

    A head that is no descent is trained to its optimum, and judged there.
    """
    rest = {name: value for name, value in params.items() if name not in ("depth", "width")}
    if not _descends(params):
        rest |= {"epochs": MOST_ITERATIONS, "weights": "last"}
    return HeadSpec(hidden=(params.get("width", 0),) * params["depth"], **rest)


def load_space(
    override: Path | None = None,
    *,
    views: int = 0,
    recorded: Mapping[str, Any] | None = None,
    target: Target = "class",
) -> Space:
    """Read the default space; lines of ``override`` replace its own.

    Args:
        recorded: the lines of the study to resume, which replace the default space: that of another version
            of Headroom may have others.
        views: number of augmented views per training row; ``augment`` is searched if there are any.
        target: of what heads the default space is.

    Raises:
        InputError: the file cannot be read, has an unknown name or a line that is no distribution, or needs
            augmented views where there are none.
    """
    default = SPACES[target]
    text = dict(recorded) if recorded else _read(default)
    if views:
        text["augment"] = {"choice": [False, True]}
    if override is not None:
        lines = _read(override)
        for name in lines:
            if name not in text:
                near = difflib.get_close_matches(str(name), text, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise InputError(
                    f"{override}: {name!r} is no hyperparameter of this search.{hint} "
                    f"Known names: {', '.join(text)}."
                )
        text = {**text, **lines}
    space = _parse(text, source=override or default)
    solvers = SOLVERS.get(target, ())
    if solvers and not (space.target == target and set(space.values("solver")) <= {*solvers}):
        what = "a number" if target == "number" else "several labels"
        raise InputError(
            f"{override}: heads of {what} have the target {target!r} and the solvers "
            f"{' and '.join(solvers)}. Leave other values out."
        )
    if not views and space.allows("augment", True):
        raise InputError(f"{override}: augment needs augmented views. Pass --views 4, or leave the line out.")
    return space


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The search space {path} cannot be read: {reason}.") from error
    except yaml.YAMLError as error:
        raise InputError(f"The search space {path} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(
            f"The search space {path} must be lines of `name: value`; found a {type(content).__name__}."
        )
    return content


def _parse(text: Mapping[str, Any], *, source: Path) -> Space:
    varying: dict[str, BaseDistribution] = {}
    fixed: dict[str, Any] = {}
    for name, line in text.items():
        try:
            if isinstance(line, dict):
                varying[name] = _distribution(name, line)
            else:
                fixed[name] = _number(line)
            for value in _extremes(varying[name]) if name in varying else [fixed[name]]:
                _check_value(name, value)
        except (ValueError, TypeError) as error:
            raise InputError(f"{source}: {name}: {error}. Expected {EXPECTED}.") from error
    return Space(varying=varying, fixed=fixed, text=dict(text))


def _distribution(name: str, line: dict[str, Any]) -> BaseDistribution:
    if len(line) != 1:
        raise ValueError(f"{line} is not one distribution")
    kind, values = next(iter(line.items()))
    if not isinstance(values, list) or not values:
        raise ValueError(f"{kind} needs a list, found {values!r}")
    values = [_number(value) for value in values]
    if kind == "choice":
        return CategoricalDistribution(values)
    if kind not in ("uniform", "log", "int"):
        raise ValueError(f"{kind!r} is no kind of distribution")
    if len(values) != 2 or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise ValueError(f"{kind} needs [low, high], found {values}")
    low, high = values
    if low > high or (kind == "log" and low <= 0):
        raise ValueError(f"{kind} needs {'0 < ' if kind == 'log' else ''}low ≤ high, found {values}")
    if kind == "int":
        return IntDistribution(int(low), int(high))
    if name in WHOLE_NUMBERS:
        raise ValueError(f"{name} takes whole numbers: use int or choice")
    return FloatDistribution(float(low), float(high), log=kind == "log")


def _number(value: Any) -> Any:
    """Convert text to a number where possible: YAML 1.1 reads 1e-4 as text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _extremes(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def _check_value(name: str, value: Any) -> None:
    """Raise ValueError for a value that `HeadSpec` refuses."""
    if name in WHOLE_NUMBERS and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError(f"{value!r} is not a whole number")
    if name == "depth":
        if not 0 <= value <= 2:
            raise ValueError(f"{value} is not 0, 1 or 2 hidden layers")
    elif name == "width":
        HeadSpec(hidden=(value,))
    elif name == "target":
        if value not in SPACES:
            raise ValueError(f"{value!r} is not {', '.join(SPACES)}")
    elif name in SWITCHES:
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is not true or false")
    else:
        HeadSpec(**{name: value})
