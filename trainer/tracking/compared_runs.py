"""Runs compared by what they say of the test rows: for the command, the API and the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from trainer.core.errors import InputError
from trainer.core.text import count, cut, natural_key
from trainer.stats.intervals import wilson_of_groups
from trainer.stats.macro_f1 import macro_f1_interval
from trainer.stats.paired_bootstrap import PredictionSet, Resampled, bootstrap_p, holm, unpaired
from trainer.tracking.method_tables import MethodTables
from trainer.tracking.schema import MethodClasses, MethodPairs, Methods, Predictions
from trainer.tracking.tables import with_ends

TEST = "test"
ELSEWHERE = ("study", "tracking_uri", "cache_dir", "experiment", "device", "workers", "max_memory")
BEST = "best"  # head of a sweep or a fine-tuning


@dataclass(frozen=True)
class RunAnswers:
    """What one head of a run says.

    Attributes:
        name: of the run, unlike those of the others.
        table: PREDICTIONS of the head, of all splits that are on record.
        data: what ``--data`` said, "" if unknown.
    """

    name: str
    table: pd.DataFrame
    data: str = ""

    @property
    def tested(self) -> pd.DataFrame:
        """The test rows, by their ids."""
        rows = self.table[self.table[Predictions.SPLIT] == TEST]
        return rows.drop_duplicates(Predictions.SAMPLE_ID).set_index(Predictions.SAMPLE_ID)

    @property
    def learned(self) -> set[str]:
        """Ids of the rows that the head was trained on, or chosen by."""
        return set(self.table.loc[self.table[Predictions.SPLIT] != TEST, Predictions.SAMPLE_ID])


class ComparedRuns(NamedTuple):
    """Tables as of methods on the same rows; METHOD is the name of a run.

    Attributes:
        scores: METHOD, macro-F1 and accuracy with their intervals.
        pairs: METHOD_PAIRS, each run against the base.
        classes: METHOD_CLASSES; empty where no test row is shared.
        answers: PREDICTIONS of the shared rows, HEAD being the name of a run.
        rows: test rows that all runs have; 0: they are compared unpaired, each on its own.
        groups: groups of these rows that intervals and tests draw; None: rows.
    """

    scores: pd.DataFrame
    pairs: pd.DataFrame
    classes: pd.DataFrame
    answers: pd.DataFrame
    rows: int
    groups: int | None
    notes: tuple[str, ...]


def usual_head(predictions: pd.DataFrame, methods: Callable[[], pd.DataFrame | None]) -> str:
    """Return the best head of a run, or of methods the one chosen on validation rows, else the first.

    Args:
        methods: returns METHODS, where the run has some.
    """
    heads = list(dict.fromkeys(predictions[Predictions.HEAD]))
    if BEST in heads:
        return BEST
    table = methods()
    chosen = [] if table is None else list(table.loc[table[Methods.CHOSEN].astype(bool), Methods.METHOD])
    return next((str(one) for one in chosen if one in heads), str(heads[0]) if heads else "")


def different_names(names: Sequence[str], run_ids: Sequence[str]) -> list[str]:
    """Return names of runs, with the beginning of the id behind those that several have."""
    return [
        f"{name} ({run_id[:8]})" if list(names).count(name) > 1 else name
        for name, run_id in zip(names, run_ids, strict=True)
    ]


def differing(flags: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return those flags of each run that are not the same in all, as recorded of its command; None where a
    flag is off or unknown. Where a run is stored and computed does not count."""
    names = dict.fromkeys(name for one in flags for name in one if name not in ELSEWHERE)
    # what is off is as without the flag, which earlier versions may not have had
    values = [{name: one.get(name) or None for name in names} for one in flags]
    differ = [name for name in names if len({str(one[name]) for one in values}) > 1]
    return [{name: one[name] for name in differ} for one in values]


def answers_of(name: str, predictions: pd.DataFrame, head: str) -> RunAnswers:
    """Return what one head says of classes.

    Args:
        name: of the run.
        predictions: PREDICTIONS of a run.

    Raises:
        InputError: the run predicts no single class, or has no such head.
    """
    if Predictions.PRED not in predictions:
        raise InputError(
            f"{name} predicts no single class; runs of numbers or of several labels are compared by the "
            "command compare."
        )
    return rows_of(name, predictions, head)


def rows_of(name: str, predictions: pd.DataFrame, head: str) -> RunAnswers:
    """Return what one head says, of whatever kind.

    Raises:
        InputError: the run has no such head.
    """
    own = predictions[predictions[Predictions.HEAD] == head]
    if own.empty:
        heads = ", ".join(repr(one) for one in predictions[Predictions.HEAD].unique())
        raise InputError(f"{name} has no head {head!r}. Its heads: {heads}.")
    return RunAnswers(name, own)


def compared(runs: Sequence[RunAnswers], *, base: int = 0, seed: int = 0) -> ComparedRuns:
    """Compare runs with one of them: paired on the test rows that all have, else each on its own.

    Args:
        runs: two or more.
        base: place of the one that the others are compared with.
        seed: decides draws and swaps.

    Raises:
        InputError: a test row has different labels, or is among the rows that another run learned from.
    """
    tested, said = [run.tested for run in runs], shared_rows(runs)
    shared = said[0].index
    pairs = [(place, base) for place in range(len(runs)) if place != base]
    if not len(shared):
        return _unpaired(runs, tested, pairs, seed)
    classes = _classes(tested)
    number = {name: index for index, name in enumerate(classes)}
    label_n, *pred = (
        column.map(number).to_numpy(dtype=np.int64)
        for column in (said[0][Predictions.LABEL], *(one[Predictions.PRED] for one in said))
    )
    # runs of earlier versions do not know which rows belong together
    unit_n = next((one[Predictions.UNIT].to_numpy() for one in said if Predictions.UNIT in one), None)
    answers = PredictionSet(label_n, np.stack(pred)[:, None], len(classes), unit_n=unit_n)
    tables = MethodTables(answers, [run.name for run in runs], classes, pairs, seed=seed)
    together = [
        one.reset_index().assign(**{Predictions.HEAD: run.name}) for run, one in zip(runs, said, strict=True)
    ]
    return ComparedRuns(
        scores=pd.DataFrame(
            [
                _scores(run.name, label_n, pred_n, classes=len(classes), unit_n=unit_n, seed=seed)
                for run, pred_n in zip(runs, pred, strict=True)
            ]
        ),
        pairs=tables.differences(),
        classes=tables.by_class(),
        answers=pd.concat(together, ignore_index=True),
        rows=len(shared),
        groups=answers.units.count if answers.units.grouped else None,
        notes=(*_on_data(runs), *_on_rows(runs, tested, len(shared))),
    )


def shared_rows(runs: Sequence[RunAnswers], *, truth: str = Predictions.LABEL) -> list[pd.DataFrame]:
    """Return the answers of each run to the test rows that all have, in one order; empty without any.

    Args:
        truth: column of what is true.

    Raises:
        InputError: a test row has different truths, or is among the rows that another run learned from.
    """
    tested = [run.tested for run in runs]
    _check_none_learned(runs, tested)
    shared = tested[0].index
    for one in tested[1:]:
        shared = shared[shared.isin(one.index)]
    _check_truth(runs, [one.loc[shared, truth] for one in tested])
    return [one.loc[shared] for one in tested]


def _on_data(runs: Sequence[RunAnswers]) -> list[str]:
    """Say that rows of other data are taken for the same, as of features from another encoder."""
    read = list(dict.fromkeys(run.data for run in runs))
    if len(read) < 2:
        return []
    named = ", ".join(cut(one, 60) for one in read)
    return [f"The runs read other data ({named}): rows of the same name, whose labels agree, are paired."]


def _on_rows(runs: Sequence[RunAnswers], tested: Sequence[pd.DataFrame], shared: int) -> list[str]:
    return [
        f"{run.name}: {shared:,} of its {len(one):,} test rows are shared by all."
        for run, one in zip(runs, tested, strict=True)
        if len(one) > shared
    ]


def _unpaired(
    runs: Sequence[RunAnswers],
    tested: Sequence[pd.DataFrame],
    pairs: Sequence[tuple[int, int]],
    seed: int,
) -> ComparedRuns:
    """Compare runs that share no test row, each on its own rows."""
    classes = _classes(tested)
    number = {name: index for index, name in enumerate(classes)}
    scores, arms = [], []
    for place, (run, rows) in enumerate(zip(runs, tested, strict=True)):
        label_n, pred_n = (
            rows[name].map(number).to_numpy(dtype=np.int64) for name in (Predictions.LABEL, Predictions.PRED)
        )
        unit_n = rows[Predictions.UNIT].to_numpy() if Predictions.UNIT in rows else None
        answers = PredictionSet(label_n, pred_n[None, None], len(classes), unit_n=unit_n)
        # another seed for each: draws are independent
        tables = MethodTables(answers, [run.name], classes, [], seed=seed + place)
        scores.append(_scores(run.name, label_n, pred_n, classes=len(classes), unit_n=unit_n, seed=seed))
        arms.append(tables.compared.arm(0))
    differences = [
        {name: unpaired(arms[one][name], arms[other][name]) for name in ("f1_macro", "accuracy")}
        for one, other in pairs
    ]
    p_m = np.array([bootstrap_p(one["f1_macro"]) for one in differences])
    table = [
        {
            MethodPairs.METHOD: runs[one].name,
            MethodPairs.AGAINST: runs[other].name,
            **_ends(MethodPairs.EFFECT, difference["f1_macro"]),
            MethodPairs.EFFECT_P: p,
            MethodPairs.EFFECT_P_HOLM: p_holm,
            **_ends(MethodPairs.ACCURACY, difference["accuracy"]),
            MethodPairs.ONLY_METHOD: np.nan,
            MethodPairs.ONLY_AGAINST: np.nan,
        }
        for (one, other), difference, p, p_holm in zip(pairs, differences, p_m, holm(p_m), strict=True)
    ]
    return ComparedRuns(
        scores=pd.DataFrame(scores),
        pairs=pd.DataFrame(table),
        classes=pd.DataFrame(columns=[MethodClasses.METHOD, MethodClasses.AGAINST]),
        answers=pd.DataFrame(columns=[Predictions.SAMPLE_ID, Predictions.LABEL, Predictions.HEAD]),
        rows=0,
        groups=None,
        notes=("No test row is shared: compared unpaired, each run on its own test rows.",),
    )


def _scores(
    name: str,
    label_n: np.ndarray,
    pred_n: np.ndarray,
    *,
    classes: int,
    unit_n: np.ndarray | None,
    seed: int,
) -> dict[str, object]:
    """Return the scores of a run with the same intervals as the run's own figures."""
    f1 = macro_f1_interval(label_n, pred_n, classes=classes, unit_n=unit_n, seed=seed)
    accuracy = wilson_of_groups(pred_n == label_n, unit_n)
    return {
        Methods.METHOD: name,
        **with_ends(Methods.F1_MACRO, f1),
        **with_ends(Methods.ACCURACY, accuracy),
    }


def _ends(name: str, difference: Resampled) -> dict[str, float]:
    return with_ends(name, difference.interval())


def _classes(tested: Sequence[pd.DataFrame]) -> list[str]:
    """Return the classes among labels and answers, in natural order."""
    found = {
        name for one in tested for column in (Predictions.LABEL, Predictions.PRED) for name in one[column]
    }
    return sorted(found, key=natural_key)


def _check_none_learned(runs: Sequence[RunAnswers], tested: Sequence[pd.DataFrame]) -> None:
    learned_from = [run.learned for run in runs]
    for run, rows in zip(runs, tested, strict=True):
        for other, learned in zip(runs, learned_from, strict=True):
            both = [] if run is other else [one for one in rows.index if one in learned]
            if both:
                raise InputError(
                    f"{other.name} learned from {count(len(both), 'test row')} of {run.name}, such as "
                    f"{both[0]!r}, so it would look better than it is. Run both with the same splits: the "
                    "same --seed, or splits in the data."
                )


def _check_truth(runs: Sequence[RunAnswers], truth: Sequence[pd.Series]) -> None:
    first, *others = [one.map(_comparable) for one in truth]
    for run, other in zip(runs[1:], others, strict=True):
        changed = first.index[(first != other).to_numpy()]
        if len(changed):
            raise InputError(
                f"{changed[0]!r} has the label {first[changed[0]]!r} in {runs[0].name} and "
                f"{other[changed[0]]!r} in {run.name} ({count(len(changed), 'such test row')}). Compare runs "
                "on the same data."
            )


def _comparable(truth: Any) -> Any:
    """Return a class, a number, or a list of labels in one order."""
    return truth if isinstance(truth, str | float) else ", ".join(sorted(map(str, truth)))
