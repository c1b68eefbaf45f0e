"""Trials per second, against what people do today: ``python benchmarks/sweep.py``.

All arms train the same trials (one hidden layer; learning rate, weight decay and dropout differ) with
the same seeds, for the same epochs, on the same rows, and take macro-F1 and loss of the validation rows
after every epoch. Nothing is pruned and nothing stops early, so all make the same number of optimiser
steps. A trial is one configuration with all its seeds. The arms, in turn within every repeat:

- headroom: a sweep as the product runs it, with its sampler, tables and MLflow, and in bfloat16 products
  where the CPU has them. The time is that of its search and of writing MLflow's runs, as if the latter
  came on top (a thread does it beside); its trials are what all other arms train.
- headroom_float32: the same with --precision float32.
- population: those trials side by side in float32; no sampler, nothing logged.
- optuna_dataloader_mlflow: a tutorial's way. An Optuna study on SQLite, a torch model and a shuffling
  DataLoader per seed, a nested MLflow run per trial, a report and a call of log_metrics per epoch. It
  is slow, so it trains the first --few trials only; its rate is of those.
- tight_loop: one model at a time; fused AdamW, batches sliced from resident tensors, nothing logged.
- tight_loop_bf16: the same with float32 matrix products of precision "medium": in bfloat16 where the
  CPU can.
- list_of_heads: all heads of a batch of trials in one ModuleList; one batch of rows, one sum of losses
  and one AdamW with a group per head, as DINOv2 evaluates linear heads.
- worker_processes: the tight loop in one process per core, of one thread each; started before the
  clock.

Where something had to be chosen, it is in favour of the other arms: they evaluate in one pass, remember
no best weights, and find their databases ready. Each arm trains one trial before the first clock of a
setting. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import yaml
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from trainer.core.console import say
from trainer.heads.head_config import HeadSpec
from trainer.heads.metrics import f1_macro
from trainer.heads.population import Population
from trainer.heads.slab_autotune import fastest_slab
from trainer.heads.training_data import TrainingData, to_training_data

CLASSES = 20
BATCH = 128
LR, WEIGHT_DECAY, DROPOUT = (1e-4, 1e-2), (1e-4, 1e-1), (0.0, 0.5)  # the limits of what varies
STARTING_S = 300  # after which a worker process is given up
RATIOS = (
    ("headroom", "optuna_dataloader_mlflow"),
    ("headroom", "tight_loop"),
    ("headroom", "tight_loop_bf16"),
    ("headroom", "list_of_heads"),
    ("headroom", "worker_processes"),
    ("headroom_float32", "optuna_dataloader_mlflow"),
    ("headroom_float32", "tight_loop"),
    ("headroom_float32", "list_of_heads"),
    ("headroom_float32", "worker_processes"),
    ("population", "tight_loop"),
)


PRECISIONS: dict[str, Literal["auto", "float32"]] = {"headroom_float32": "float32", "headroom": "auto"}


class Setting(NamedTuple):
    """One size of the problem."""

    rows: int  # that are trained on; a quarter as many validate
    features: int
    width: int
    epochs: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.features} width {self.width}"

    @property
    def cost(self) -> int:
        """Of this setting, relative to others: products of one head."""
        return self.rows * self.features * self.width * self.epochs


class Job(NamedTuple):
    """What an arm is to do."""

    specs: list[HeadSpec]
    seeds: list[int]
    at_once: int
    data: TrainingData
    slab_bytes: float  # `Population`'s
    store: str  # tracking URI of an empty MLflow store, ready for use
    folder: Path  # empty


class Measured(NamedTuple):
    """What came of an arm."""

    trials_per_s: float
    val_f1_macro: float  # mean over trials and seeds, each at its best epoch: all arms shall learn alike


Arm = Callable[[Job], Measured]


def measured(job: Job, train: Callable[[], list[float]]) -> Measured:
    """Time ``train``, which returns validation scores, the last of them from the device."""
    started = time.perf_counter()
    scores = train()
    return Measured(len(job.specs) / (time.perf_counter() - started), statistics.mean(scores))


# --- data and stores --------------------------------------------------------------------------


def save_features(path: Path, setting: Setting) -> None:
    """Overlapping clouds; the few test rows are there because a sweep wants some."""
    random = np.random.default_rng(0)
    centre_cd = random.normal(scale=0.1, size=(CLASSES, setting.features))
    arrays: dict[str, np.ndarray] = {}
    for split, rows in (("train", setting.rows), ("val", setting.rows // 4), ("test", 2 * CLASSES)):
        y = random.permutation(np.arange(rows) % CLASSES)
        noise_nd = random.normal(size=(rows, setting.features))
        arrays |= {f"{split}_x": (centre_cd[y] + noise_nd).astype(np.float32), f"{split}_y": y}
    np.savez(path, **arrays)


def load_features(path: Path, device: str) -> TrainingData:
    arrays = np.load(path)
    return to_training_data(
        (arrays["train_x"], arrays["train_y"]),
        (arrays["val_x"], arrays["val_y"]),
        classes=CLASSES,
        device=device,
    )


def save_space(path: Path, setting: Setting) -> None:
    """A space in which only the learning rate, weight decay and dropout vary."""
    fixed = {"depth": 1, "width": setting.width, "activation": "relu", "layer_norm": False}
    fixed |= {"output": "linear", "scaling": "centre", "optimizer": "adamw", "scheduler": "cosine"}
    fixed |= {"label_smoothing": 0.0, "class_weight": "none"}
    fixed |= {"batch_size": BATCH, "epochs": setting.epochs, "patience": setting.epochs}
    varying = {
        "lr": {"log": list(LR)},
        "weight_decay": {"log": list(WEIGHT_DECAY)},
        "dropout": {"uniform": list(DROPOUT)},
    }
    path.write_text(yaml.safe_dump(fixed | varying))


def new_store(folder: Path, migrated: Path) -> str:
    """A copy of an empty store. Making one takes MLflow seconds, which are nobody's training."""
    folder.mkdir(parents=True)
    shutil.copyfile(migrated, folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


# --- Headroom ---------------------------------------------------------------------------------


def headroom(
    *,
    features: Path,
    space: Path,
    store: str,
    cache: Path,
    trials: int,
    precision: Literal["auto", "float32"],
    args: argparse.Namespace,
) -> tuple[list[HeadSpec], Measured]:
    """A sweep; returns the trials that it ran, too."""
    from trainer.experiments import row_map
    from trainer.experiments.sweep.config import SweepConfig
    from trainer.experiments.sweep.run import MLFLOW, run
    from trainer.search.space import head_spec
    from trainer.search.trial_log import finished_trials
    from trainer.tracking.client import connect, local_folder
    from trainer.tracking.schema import Artifact, Summary

    row_map.MOST_MAPPED = 2 * CLASSES  # the map is drawn after the search, and costs more than it
    config = SweepConfig(
        data=str(features),
        space=space,
        pruner="none",
        trials=trials,
        seeds=args.seeds,
        at_once=args.at_once,
        precision=precision,
        tracking_uri=store,
        cache_dir=cache,
        device=args.device,
        fresh_seeds=0,
        profile=True,
    )
    figures = run(config)
    profile = figures[Summary.PROFILE]
    took_s = profile["search_s"] + profile["seconds"][MLFLOW]
    folder = local_folder(connect(store).get_run(figures[Summary.RUN_ID]).info.artifact_uri)
    assert folder is not None
    ran = sorted(finished_trials(pd.read_parquet(folder / Artifact.TRIALS)), key=lambda t: t.number)
    assert [trial.state for trial in ran] == ["complete"] * trials
    score = statistics.mean(trial.score for trial in ran)
    specs = [head_spec(dict(trial.params)) for trial in ran]
    return specs, Measured(trials / took_s, score)


def in_batches(job: Job) -> Iterator[list[HeadSpec]]:
    for start in range(0, len(job.specs), job.at_once):
        yield job.specs[start : start + job.at_once]


def population(job: Job) -> Measured:
    def train() -> list[float]:
        scores = []
        for specs in in_batches(job):
            heads = Population(specs, job.data, seeds=job.seeds, slab_bytes=job.slab_bytes)
            heads.train(specs[0].epochs)
            scores += [heads.outcome(index).score for index in range(len(specs))]
        return scores

    return measured(job, train)


# --- one model at a time ----------------------------------------------------------------------


def model_of(spec: HeadSpec, data: TrainingData, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    (width,) = spec.hidden
    return nn.Sequential(
        nn.Linear(data.train.x_nd.shape[1], width),
        nn.ReLU(),
        nn.Dropout(spec.dropout),
        nn.Linear(width, data.classes),
    ).to(data.train.x_nd.device)


@torch.no_grad()
def evaluate(model: nn.Module, data: TrainingData) -> tuple[float, float]:
    """Macro-F1 and loss of the validation rows."""
    model.eval()
    logits = model(data.val.x_nd)
    loss = F.cross_entropy(logits, data.val.y_n).item()
    return f1_macro(logits.argmax(1)[None], data.val.y_n, classes=data.classes).item(), loss


def train_one(spec: HeadSpec, data: TrainingData, seed: int) -> float:
    """Returns the best validation macro-F1."""
    x, y = data.train
    model = model_of(spec, data, seed)
    rates = {"lr": spec.lr, "weight_decay": spec.weight_decay}
    optimizer = torch.optim.AdamW(model.parameters(), **rates, fused=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, spec.epochs)
    best = 0.0
    for _ in range(spec.epochs):
        model.train()
        for rows in torch.randperm(len(x), device=x.device).split(spec.batch_size):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        score, _ = evaluate(model, data)
        best = max(best, score)
    return best


def tight_loop(job: Job) -> Measured:
    return measured(job, lambda: [train_one(spec, job.data, s) for spec in job.specs for s in job.seeds])


def tight_loop_bf16(job: Job) -> Measured:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        return tight_loop(job)
    finally:
        torch.set_float32_matmul_precision(before)


# --- a tutorial's way -------------------------------------------------------------------------


def optuna_dataloader_mlflow(job: Job) -> Measured:
    import mlflow
    import optuna

    mlflow.set_tracking_uri(job.store)
    mlflow.set_experiment("tutorial")
    study = optuna.create_study(
        storage=f"sqlite:///{job.folder / 'optuna.db'}",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
    )
    for spec in job.specs:
        varying = {"lr": spec.lr, "weight_decay": spec.weight_decay, "dropout": spec.dropout}
        study.enqueue_trial(varying)
    rows = TensorDataset(*(tensor.cpu() for tensor in job.data.train))

    def objective(trial: Any) -> float:
        spec = dataclasses.replace(
            job.specs[0],
            lr=trial.suggest_float("lr", *LR, log=True),
            weight_decay=trial.suggest_float("weight_decay", *WEIGHT_DECAY, log=True),
            dropout=trial.suggest_float("dropout", *DROPOUT),
        )
        with mlflow.start_run(run_name=f"trial {trial.number}", nested=True):
            mlflow.log_params(trial.params)
            return statistics.mean(
                train_logged(spec, job.data, rows, seed=seed, trial=trial) for seed in job.seeds
            )

    def train() -> list[float]:
        with mlflow.start_run():
            study.optimize(objective, n_trials=len(job.specs))
        return [trial.value for trial in study.trials]

    return measured(job, train)


def train_logged(
    spec: HeadSpec,
    data: TrainingData,
    rows: TensorDataset,
    *,
    seed: int,
    trial: Any,
) -> float:
    """Returns the best validation macro-F1."""
    import mlflow

    device = data.train.x_nd.device
    model = model_of(spec, data, seed)
    loader = DataLoader(rows, batch_size=spec.batch_size, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=spec.lr, weight_decay=spec.weight_decay)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, spec.epochs)
    best = 0.0
    for epoch in range(spec.epochs):
        model.train()
        total = 0.0
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        scheduler.step()
        score, val_loss = evaluate(model, data)
        figures = {"train_loss": total / len(rows), "val_loss": val_loss, "val_f1_macro": score}
        mlflow.log_metrics({f"{name}_{seed}": value for name, value in figures.items()}, step=epoch)
        trial.report(score, step=seed * spec.epochs + epoch)
        best = max(best, score)
    return best


# --- a list of heads --------------------------------------------------------------------------


def list_of_heads(job: Job) -> Measured:
    return measured(
        job, lambda: [s for specs in in_batches(job) for s in train_list(specs, job.data, job.seeds)]
    )


def train_list(specs: Sequence[HeadSpec], data: TrainingData, seeds: Sequence[int]) -> list[float]:
    """Returns the best validation macro-F1 of each head. All seeds see the same batches."""
    x, y = data.train
    pairs = list(itertools.product(specs, seeds))
    heads = nn.ModuleList(model_of(spec, data, seed) for spec, seed in pairs)
    optimizer = torch.optim.AdamW(
        [
            {"params": list(head.parameters()), "lr": spec.lr, "weight_decay": spec.weight_decay}
            for head, (spec, _) in zip(heads, pairs, strict=True)
        ],
        fused=True,
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, specs[0].epochs)
    best_a = torch.zeros(len(heads), dtype=torch.float64, device=x.device)
    for _ in range(specs[0].epochs):
        heads.train()
        for rows in torch.randperm(len(x), device=x.device).split(specs[0].batch_size):
            batch_x, batch_y = x[rows], y[rows]
            loss = torch.stack([F.cross_entropy(head(batch_x), batch_y) for head in heads]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        best_a = torch.maximum(best_a, evaluate_list(heads, data))
    return best_a.tolist()


@torch.no_grad()
def evaluate_list(heads: nn.ModuleList, data: TrainingData) -> torch.Tensor:
    """Macro-F1 of each head on the validation rows, beside their losses."""
    heads.eval()
    x, y = data.val
    logits_anc = torch.stack([head(x) for head in heads])
    target_an = y.expand(len(heads), -1)
    F.cross_entropy(logits_anc.transpose(1, 2), target_an, reduction="none").mean(1).tolist()
    return f1_macro(logits_anc.argmax(2), y, classes=data.classes)


# --- worker processes -------------------------------------------------------------------------

_data: TrainingData  # of a worker


def begin_worker(features: Path, device: str, ready: Any) -> None:
    global _data
    torch.set_num_threads(1)
    _data = load_features(features, device)
    ready.wait()


def train_in_worker(spec: HeadSpec, seed: int) -> float:
    return train_one(spec, _data, seed)


@contextlib.contextmanager
def worker_processes(features: Path, args: argparse.Namespace) -> Iterator[Arm]:
    """The arm; its processes live as long as the block. Heads are handed out one by one."""
    context = get_context("spawn")
    ready = context.Barrier(args.workers + 1, timeout=STARTING_S)
    with context.Pool(args.workers, begin_worker, (features, args.device, ready)) as pool:
        ready.wait()

        def arm(job: Job) -> Measured:
            heads = list(itertools.product(job.specs, job.seeds))
            return measured(job, lambda: pool.starmap(train_in_worker, heads, chunksize=1))

        yield arm


# --- the comparison ---------------------------------------------------------------------------


class Clock:
    """Says how far the whole is."""

    def __init__(self, settings: Sequence[Setting], repeats: int) -> None:
        self.total, self.done = sum(s.cost for s in settings) * repeats, 0.0
        self.started = time.perf_counter()

    def repeat_done(self, setting: Setting, measures: dict[str, Measured]) -> None:
        self.done += setting.cost
        left_s = (time.perf_counter() - self.started) * (self.total / self.done - 1)
        rates = ", ".join(f"{name} {one.trials_per_s:.2f}" for name, one in measures.items())
        say(f"{setting}, trials/s: {rates}. About {left_s:.0f} s left.")


OTHER_ARMS: dict[str, Arm] = {
    "population": population,
    "optuna_dataloader_mlflow": optuna_dataloader_mlflow,
    "tight_loop": tight_loop,
    "tight_loop_bf16": tight_loop_bf16,
    "list_of_heads": list_of_heads,
}


def compare(
    setting: Setting, folder: Path, migrated: Path, clock: Clock, args: argparse.Namespace
) -> dict[str, Any]:
    """All arms on one setting, in turn, repeat after repeat."""
    features, space = folder / "features.npz", folder / "space.yaml"
    save_features(features, setting)
    save_space(space, setting)
    data = load_features(features, args.device)
    results: dict[str, list[Measured]] = defaultdict(list)
    with worker_processes(features, args) as workers:
        for repeat in range(args.repeats + 1):  # the first warms up
            trials = args.trials if repeat else 1
            here = folder / f"repeat{repeat}"
            measures = {}
            for name, precision in PRECISIONS.items():
                specs, measures[name] = headroom(
                    features=features,
                    space=space,
                    store=new_store(here / name, migrated),
                    cache=folder,
                    trials=trials,
                    precision=precision,
                    args=args,
                )
            others = new_store(here / "others", migrated)
            slab_bytes = fastest_slab(data, seeds=range(args.seeds), precision="float32")
            job = Job(specs, list(range(args.seeds)), args.at_once, data, slab_bytes, others, here)
            for name, arm in {**OTHER_ARMS, "worker_processes": workers}.items():
                few = name == "optuna_dataloader_mlflow"
                measures[name] = arm(job._replace(specs=specs[: args.few]) if few else job)
            if repeat:
                clock.repeat_done(setting, measures)
                for name, one in measures.items():
                    results[name].append(one)
    return figures_of(setting, results)


def figures_of(setting: Setting, results: dict[str, list[Measured]]) -> dict[str, Any]:
    rates = {name: [one.trials_per_s for one in of_arm] for name, of_arm in results.items()}
    median = {name: statistics.median(of_arm) for name, of_arm in rates.items()}
    return {
        "epochs": setting.epochs,
        "trials_per_s": {
            name: {"median": round(median[name], 3), "all": [round(rate, 3) for rate in of_arm]}
            for name, of_arm in rates.items()
        },
        "ratios": {f"{a} / {b}": round(median[a] / median[b], 2) for a, b in RATIOS},
        "val_f1_macro": {
            name: round(statistics.mean(one.val_f1_macro for one in of_arm), 4)
            for name, of_arm in results.items()
        },
    }


def processor() -> str:
    """The CPU's model name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def size(text: str) -> tuple[int, int]:
    rows, _, features = text.partition("x")
    return int(rows), int(features)


def read_flags() -> argparse.Namespace:
    layout = argparse.RawDescriptionHelpFormatter
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    sizes = [(2000, 512), (8000, 768)]
    flags.add_argument("--sizes", nargs="+", type=size, default=sizes, metavar="ROWSxFEATURES")
    flags.add_argument("--widths", nargs="+", type=int, default=[64, 256])
    flags.add_argument("--trials", type=int, default=16)
    flags.add_argument("--few", type=int, default=4, help="trials of optuna_dataloader_mlflow")
    flags.add_argument("--seeds", type=int, default=3)
    flags.add_argument("--epochs", type=int, default=8)
    flags.add_argument("--at-once", type=int, default=16, help="trials of a batch")
    flags.add_argument("--repeats", type=int, default=3)
    flags.add_argument("--workers", type=int, default=os.cpu_count())
    flags.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return flags.parse_args()


def main() -> None:
    args = read_flags()
    settings = [
        Setting(rows, features, width, args.epochs) for rows, features in args.sizes for width in args.widths
    ]
    clock = Clock(settings, args.repeats)
    measures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        migrated = scratch / "migrated" / "mlflow.db"
        from trainer.tracking.client import QUIET
        from trainer.tracking.database import prepare as prepare_store

        os.environ.update(QUIET)
        prepare_store(f"sqlite:///{migrated}")
        for setting in settings:
            folder = scratch / str(setting).replace(" ", "-")
            folder.mkdir()
            measures[str(setting)] = compare(setting, folder, migrated, clock, args)
    machine = {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    asked = {name: getattr(args, name) for name in ("trials", "seeds", "at_once", "repeats", "workers")}
    notes = {
        "optuna_dataloader_mlflow": f"the rate of the first {args.few} trials, which are all it trained",
        "worker_processes": f"{args.workers} processes, started before the clock",
    }
    print(json.dumps({**machine, **asked, "notes": notes, "settings": measures}))


if __name__ == "__main__":
    main()
