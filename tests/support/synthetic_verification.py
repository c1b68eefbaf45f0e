"""Made-up verifications in every state, quickly: handwritten digits take the part of people."""

from __future__ import annotations

import json
import time

import numpy as np
from mlflow import MlflowClient
from sklearn.datasets import load_digits

from tests.support import synthetic_runs
from trainer.data.manifest import Columns, build_manifest
from trainer.experiments.verification import findings
from trainer.experiments.verification.embedding import Candidate, cosines
from trainer.experiments.verification.identify import Identified
from trainer.experiments.verification.protocol import draw
from trainer.experiments.verification.record import VerificationRecord, faces_table, roc_table
from trainer.experiments.verification.split import SplitScores
from trainer.stats.roc import PersonBootstrap, VerificationPairs
from trainer.tracking.schema import Artifact, Kind, PairMethod, RunState, Stopped, Tag, Verified

EACH, FOLDS = 8, 5


def verification(
    uri: str,
    *,
    name: str = "digits",
    state: str = "done",
    scored: bool = True,
    images: bool = True,
    trained: bool = True,
    known: bool = True,
    hostile: str = "",
) -> str:
    """Write one verification in a given `RunState`; returns its run id.

    Args:
        scored: whether some pairs have scores; only a run that is not done lacks them.
        trained: whether there were people to learn from.
        known: whether known people were identified.
        hostile: stands in every word that comes from outside.
    """
    client = MlflowClient(uri)
    tags = {
        Tag.KIND: Kind.VERIFICATION,
        Tag.STUDY: name,
        Tag.DATA: hostile or "digits",
        Tag.ENCODER: "demo",
        Tag.COMMAND: f"python -m trainer.verify --study {name} --data digits",
        Tag.HEARTBEAT: str(time.time() + 3600),
    }
    if state == RunState.INTERRUPTED:
        tags[Tag.STOPPED] = Stopped.INTERRUPTED
    if state == RunState.FAILED:
        tags |= {Tag.STOPPED: Stopped.ERROR, Tag.ERROR: hostile or "MemoryError: no more"}
    run = client.create_run(synthetic_runs.experiment(client, uri), run_name=hostile or name, tags=tags)
    folder = synthetic_runs.folder_of(run.info.artifact_uri)
    folder.mkdir(parents=True)
    digits = load_digits()
    rows = np.concatenate([np.flatnonzero(digits.target == d)[:EACH] for d in range(10)])
    manifest = build_manifest(
        "digits",
        Columns(
            sample_id=[f"{hostile}d{i % 97}/{i:04d}.png" for i in range(len(rows))],
            label=[f"{hostile}d{digits.target[row]}" for row in rows],
            split=["train"] * len(rows),
            content=[str(row) for row in rows],
        ),
    )
    x_nd, label_n = digits.data[rows].astype(np.float32), digits.target[rows]
    protocol = draw(manifest.label_n, folds=FOLDS, per_fold=40, seed=0)
    record = VerificationRecord(manifest, protocol, None, None)
    if scored:
        splits = protocol.splits if state == RunState.DONE else protocol.splits[:2]
        for split in splits:
            score(record, protocol, x_nd, split, trained=trained, hostile=hostile)
        record.pairs.to_parquet(folder / Artifact.PAIRS)
        record.candidates.to_parquet(folder / Artifact.CANDIDATES)
    if state == RunState.DONE:
        pairs = VerificationPairs(protocol.same_p, manifest.label_n[protocol.row_p2], protocol.fold_p)
        bootstrap, scores = PersonBootstrap(pairs, seed=0, draws=60), record.scores()
        identified = _identified(x_nd, label_n) if known else None
        figures = {
            Verified.RUN_ID: run.info.run_id,
            Verified.STUDY: name,
            Verified.PEOPLE: 10,
            Verified.PHOTOS: len(rows),
            Verified.FOLDS: protocol.folds,
            Verified.DISJOINT: True,
            Verified.SAME: int(pairs.same_p.sum()),
            Verified.DIFFERENT: int((~pairs.same_p).sum()),
            **findings.figures(scores, pairs, bootstrap),
            Verified.CHOSEN: findings.chosen(record.candidates),
            Verified.IDENTIFICATION: findings.identification(identified, seed=0),
        }
        figures[Verified.ADVICE] = hostile + findings.advice(figures)
        roc_table(scores, pairs, bootstrap).to_parquet(folder / Artifact.ROC)
        thumbnails = {
            i: synthetic_runs.webp(digits.images[row]) if images else None for i, row in enumerate(rows)
        }
        faces_table(manifest, x_nd, identified, thumbnails, seed=0).to_parquet(folder / Artifact.FACES)
        (folder / Artifact.SUMMARY).write_text(json.dumps(figures))
    if state in synthetic_runs.STATUS:
        client.set_terminated(run.info.run_id, synthetic_runs.STATUS[state])
    return str(run.info.run_id)


def score(record: VerificationRecord, protocol, x_nd, split: int, *, trained: bool, hostile: str) -> None:  # type: ignore[no-untyped-def]
    """Centred cosines take the part of what was learned."""
    here = protocol.row_p2[protocol.split_p == split]
    found = {PairMethod.RAW: cosines(x_nd, here)}
    if trained:
        for method, gain in ((PairMethod.WHITENED, 0.02), (PairMethod.LDA, 0.05), (PairMethod.TRAINED, 0.1)):
            found[method] = (
                cosines(x_nd - x_nd.mean(0), here) + gain * protocol.same_p[protocol.split_p == split]
            )
    tried = [Candidate(method, f"{hostile}one of {method}", None) for method in found]
    record.add(split, tried, SplitScores(found, [0.9] * len(tried), {m: i for i, m in enumerate(found)}))


def _identified(x_nd: np.ndarray, label_n: np.ndarray) -> Identified:
    rows = np.arange(len(label_n))
    rank = 1 + (rows % 9 == 0) * 2
    pred = np.where(rank == 1, label_n, (label_n + 1) % 10)
    confidence = np.full(len(rows), 0.9, dtype=np.float32)
    raw_rank = 1 + (rows % 7 == 0)
    return Identified(rows, label_n, rank, raw_rank, pred, confidence, rows % 5, x_nd, rows, 10)
