"""A verification's tables: what is on record, what the pages draw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from trainer.data.manifest import Manifest
from trainer.experiments.verification.embedding import Candidate
from trainer.experiments.verification.identify import Identified
from trainer.experiments.verification.protocol import Protocol
from trainer.experiments.verification.split import SplitScores
from trainer.features.projection import DEFAULT_PERPLEXITY, sample_rows, tsne
from trainer.stats.roc import PersonBootstrap, VerificationPairs, grid_of_far, points
from trainer.tracking.schema import Candidates, FacePairs, Faces, PairMethod, RocCurves


class VerificationRecord:
    """PAIRS and CANDIDATES, those on record before and those added since.

    Args:
        pairs, candidates: the tables of the part that ran before, None for a new verification.
    """

    def __init__(
        self,
        manifest: Manifest,
        protocol: Protocol,
        pairs: pd.DataFrame | None,
        candidates: pd.DataFrame | None,
    ) -> None:
        names = np.asarray(manifest.sample_id, dtype=object)
        people = np.asarray(manifest.classes, dtype=object)[manifest.label_n]
        one, other = protocol.row_p2.T
        self.pairs = pd.DataFrame(
            {
                FacePairs.SAMPLE_ID_A: names[one],
                FacePairs.SAMPLE_ID_B: names[other],
                FacePairs.PERSON_A: people[one],
                FacePairs.PERSON_B: people[other],
                FacePairs.SAME: protocol.same_p,
                FacePairs.FOLD: protocol.fold_p.astype(np.int16),
                FacePairs.SPLIT: protocol.split_p.astype(np.int16),
            }
        )
        for column in [] if pairs is None else pairs.columns:
            if str(column).startswith(FacePairs.SCORE_PREFIX) and pairs is not None:
                self.pairs[column] = pairs[column]
        self.candidates = pd.DataFrame() if candidates is None or pairs is None else candidates

    def has(self, split: int) -> bool:
        """Whether the pairs of a split have their scores."""
        of_split = self.pairs[self.pairs[FacePairs.SPLIT] == split]
        scores = of_split.filter(like=FacePairs.SCORE_PREFIX)
        return bool(scores.shape[1]) and bool(scores.notna().all(axis=None))

    def add(self, split: int, tried: Sequence[Candidate], scored: SplitScores) -> None:
        """Count in what one split found."""
        here = self.pairs[FacePairs.SPLIT] == split
        for method, score_p in scored.score_p.items():
            self.pairs.loc[here, FacePairs.SCORE_PREFIX + method] = score_p
        frame = pd.DataFrame(
            {
                Candidates.SPLIT: np.int16(split),
                Candidates.METHOD: [str(one.method) for one in tried],
                Candidates.NAME: [one.name for one in tried],
                Candidates.CONFIG: [json.dumps(one.described) for one in tried],
                Candidates.VAL_AUC: scored.val_auc_c,
                Candidates.CHOSEN: [c == scored.chosen[one.method] for c, one in enumerate(tried)],
            }
        )
        earlier = self.candidates  # of a split that was being written when the process died: written again
        if len(earlier):
            earlier = earlier[earlier[Candidates.SPLIT] != split]
        self.candidates = pd.concat([one for one in (earlier, frame) if len(one)], ignore_index=True)

    def scores(self) -> dict[PairMethod, np.ndarray]:
        """Scores of all pairs, of the methods that have them all."""
        columns = {method: FacePairs.SCORE_PREFIX + method for method in PairMethod}
        return {
            method: self.pairs[column].to_numpy(np.float64)
            for method, column in columns.items()
            if column in self.pairs and self.pairs[column].notna().all()
        }


def roc_table(
    scores: Mapping[PairMethod, np.ndarray], pairs: VerificationPairs, bootstrap: PersonBootstrap
) -> pd.DataFrame:
    """ROC: every method's curve, with the interval of its TAR at each FAR."""
    far_g = grid_of_far(int((~pairs.same_p).sum()))
    frames = []
    for method, score_p in scores.items():
        found = points(score_p, pairs.same_p, far_g)
        low, high = bootstrap.curve_band(score_p, far_g)
        frames.append(
            pd.DataFrame(
                {
                    RocCurves.METHOD: str(method),
                    RocCurves.FAR: far_g,
                    RocCurves.TAR: found["tar"],
                    RocCurves.TAR_LOW: low,
                    RocCurves.TAR_HIGH: high,
                    RocCurves.THRESHOLD: np.where(
                        np.isfinite(found["threshold"]), found["threshold"], np.nan
                    ),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def faces_table(
    manifest: Manifest,
    x_nd: np.ndarray,
    identified: Identified | None,
    thumbnails: Mapping[int, bytes | None],
    *,
    seed: int,
) -> pd.DataFrame:
    """FACES of the rows that ``thumbnails`` has: whose they are, who they were said to be, where they lie."""
    rows = np.array(sorted(thumbnails), dtype=np.int64)
    people = np.asarray(manifest.classes, dtype=object)
    frame = pd.DataFrame(
        {
            Faces.SAMPLE_ID: [manifest.sample_id[row] for row in rows],
            Faces.PERSON: people[manifest.label_n[rows]],
            Faces.THUMBNAIL: pd.Series([thumbnails[row] for row in rows], dtype=object),
            Faces.PRED: pd.Series([None] * len(rows), dtype=object),
            **dict.fromkeys((Faces.CONFIDENCE, Faces.RANK, Faces.RAW_RANK), np.nan),
            Faces.HELD_OUT: False,
            **dict.fromkeys((Faces.X, Faces.Y, Faces.TRAINED_X, Faces.TRAINED_Y), np.nan),
        },
        index=rows,
    )
    if identified is None:
        return frame
    answers = pd.DataFrame(
        {
            Faces.PRED: people[identified.pred_m],
            Faces.CONFIDENCE: identified.confidence_m,
            Faces.RANK: identified.rank_m.astype(float),
            Faces.RAW_RANK: identified.raw_rank_m.astype(float),
            Faces.HELD_OUT: identified.part_m == 0,
        },
        index=identified.row_m,
    )
    asked = np.intersect1d(rows, identified.row_m)
    frame.loc[asked, answers.columns] = answers.loc[asked]
    mapped = _mapped(manifest.label_n, asked, seed=seed)
    if len(mapped) > 1:
        at = np.searchsorted(identified.embedded_row_n, mapped)
        places: np.ndarray = np.hstack(
            [
                tsne(features_nd, seed=seed, perplexities=())[DEFAULT_PERPLEXITY]
                for features_nd in (x_nd[mapped], identified.embedded_nw[at])
            ]
        )
        axes = [Faces.X, Faces.Y, Faces.TRAINED_X, Faces.TRAINED_Y]
        frame[axes] = pd.DataFrame(places, index=mapped, columns=axes).reindex(frame.index)
    return frame.astype({Faces.HELD_OUT: bool})


def _mapped(label_n: np.ndarray, rows: np.ndarray, *, seed: int) -> np.ndarray:
    """Photos of those with the most photos, each person keeping their share."""
    count = np.bincount(label_n[rows])
    most = np.argsort(-count, kind="stable")[: Faces.MAPPED_PEOPLE]
    of_them = rows[np.isin(label_n[rows], most)]
    return of_them[sample_rows(label_n[of_them], at_most=Faces.MAPPED, seed=seed)]


def shown_rows(protocol: Protocol, identified: Identified | None, *, seed: int) -> np.ndarray:
    """Rows whose image the page may want: those of pairs first, then the known people's."""
    of_pairs = np.unique(protocol.row_p2)
    others = np.setdiff1d(identified.row_m, of_pairs) if identified is not None else of_pairs[:0]
    random = np.random.default_rng(seed)
    wanted = np.concatenate([random.permutation(of_pairs), random.permutation(others)])
    return np.sort(wanted[: Faces.SHOWN])
