"""Train and evaluate face verification by pairs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.core.config import require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.base import Experiment, Figures, begin
from trainer.experiments.inputs import encode_rows, encoder_settings, read_rows
from trainer.experiments.verification.config import VerifyConfig
from trainer.tracking.schema import Artifact, Kind, PairMethod, Verified

# Heavy rooms (torch, MLflow) are imported where they are entered.
if TYPE_CHECKING:
    from trainer.data.manifest import Manifest
    from trainer.experiments.verification.identify import Identified
    from trainer.experiments.verification.protocol import Protocol
    from trainer.experiments.verification.record import VerificationRecord
    from trainer.features.extract import Features
    from trainer.tracking.writer import RunWriter


def run(config: VerifyConfig) -> Figures:
    """Verify, or go on. Returns the figures (`schema.Verified`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    if not config.data:
        raise InputError(
            "--data is missing. No faces come along with Headroom, so this command needs yours: a folder "
            "with one folder of photos per person, such as faces/ann/1.jpg, faces/ann/2.jpg, "
            "faces/bob/1.jpg; some ten people or more, two photos each at least. To see it work without "
            "any, --data demo takes the classes of the built-in drawings for people."
        )
    require_at_least(config, folds=3, pairs_per_fold=1, seeds=1, seed=0)
    plan = begin(config)
    return Verification(config, plan, *read(config, plan.device)).run()


@dataclass
class Verification(Experiment[VerifyConfig]):
    """Pairs of photos scored in splits without a person in common."""

    kind = Kind.VERIFICATION
    module = "trainer.verify"
    only_in_file = Verified.ONLY_IN_FILE

    protocol: Protocol
    left_out: int  # photos or pairs

    @property
    def about(self) -> str:
        return f"{len(self.protocol.same_p):,} pairs in {self.protocol.folds} folds"

    def settings(self) -> Figures:
        return {
            "pairs": digest(self.protocol),
            "folds": self.protocol.folds,
            "seeds": self.config.seeds,
            "precision": self.plan.precision,
            "seed": self.config.seed,
        }

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        return f"Study {writer.study} is done; these are its figures." if summary else None

    def finish(self, figures: Figures, writer: RunWriter) -> Figures:
        from trainer.experiments.verification import findings

        for line in findings.table(figures):
            say(line)
        say(f"\n{figures[Verified.ADVICE]}\n")
        return figures

    def execute(self, writer: RunWriter) -> Figures:
        from trainer.experiments.verification.record import VerificationRecord

        earlier = writer.read_table(Artifact.PAIRS), writer.read_table(Artifact.CANDIDATES)
        record = VerificationRecord(self.features.manifest, self.protocol, *earlier)
        self.train(record, writer)
        return self.conclude(record, writer)

    def train(self, record: VerificationRecord, writer: RunWriter) -> None:
        """Score the pairs of every split that is not on record."""
        from trainer.experiments.verification import split as one_split
        from trainer.experiments.verification.embedding import candidates
        from trainer.experiments.verification.protocol import people_of
        from trainer.search.study import head_seeds

        config, protocol = self.config, self.protocol
        missing = [split for split in protocol.splits if not record.has(split)]
        if len(missing) < len(protocol.splits):
            done = len(protocol.splits) - len(missing)
            say(f"Resuming {writer.study}: {done} of {len(protocol.splits)} splits are on record.")
        x_nd, label_n = self.features.vectors_nd, self.features.manifest.label_n
        seeds = head_seeds(config.seed, config.seeds)
        everyone = {split: people_of(protocol, label_n, split, seed=config.seed) for split in protocol.splits}
        able = all(people is not None for people in everyone.values())
        tried = [one for one in candidates() if able or one.method is PairMethod.RAW]
        how = one_split.Learning(tried, seeds, self.plan.device, self.plan.precision)
        with bar("Learning", "trainings") as progress:
            done, total = 0, len(missing) * (config.seeds + 1)

            def tell(added: int) -> None:
                nonlocal done
                done += added
                progress.update(done, total, f"of {len(tried)} candidates each")

            for split in missing:
                people = everyone[split]
                if not able or people is None:
                    found = one_split.score_raw(x_nd, protocol, split=split)
                else:
                    rows = one_split.PersonRows(x_nd, label_n)
                    found = one_split.score(how, rows, protocol, people, split=split, progress=tell)
                record.add(split, tried, found)
                # PAIRS is written last: a split counts once its pairs have scores there
                writer.table(Artifact.CANDIDATES, record.candidates)
                writer.table(Artifact.PAIRS, record.pairs)

    def conclude(self, record: VerificationRecord, writer: RunWriter) -> Figures:
        """Judge, log what the page shows. Returns the figures."""
        import numpy as np

        from trainer.experiments.verification import findings
        from trainer.experiments.verification.record import roc_table
        from trainer.stats.roc import PersonBootstrap, VerificationPairs

        protocol, manifest = self.protocol, self.features.manifest
        person_p2 = manifest.label_n[protocol.row_p2]
        pairs = VerificationPairs(protocol.same_p, person_p2, protocol.fold_p)
        say("Computing intervals: 2,000 bootstrap samples of people.")
        bootstrap, scores = PersonBootstrap(pairs, seed=self.config.seed), record.scores()
        found = findings.figures(scores, pairs, bootstrap)
        identified = self.identify() if self.config.identify else None
        known = findings.identification(identified, seed=self.config.seed)
        figures: Figures = {
            Verified.PEOPLE: len(np.unique(person_p2)),
            Verified.PHOTOS: len(manifest),
            Verified.FOLDS: protocol.folds,
            Verified.DISJOINT: protocol.disjoint,
            Verified.SAME: int(pairs.same_p.sum()),
            Verified.DIFFERENT: int((~pairs.same_p).sum()),
            Verified.LEFT_OUT: self.left_out,
            Verified.BITS: manifest.bits,
            **found,
            Verified.CHOSEN: findings.chosen(record.candidates),
            Verified.IDENTIFICATION: known,
            Verified.ENCODER_CALLS: self.features.report.encoder_calls,
        }
        of_known = findings.of_identification(known) if self.config.identify else ""
        figures[Verified.ADVICE] = f"{findings.advice(figures)}\n{of_known}".strip()
        writer.table(Artifact.ROC, roc_table(scores, pairs, bootstrap))
        figures[Verified.OPEN_SET] = self.log_faces(identified, writer)
        top = {name: figures[name] for name in (Verified.AUC, Verified.EER, Verified.ACCURACY)}
        raw = found[Verified.METHODS][PairMethod.RAW]
        writer.metrics(top | {f"raw_{name}": raw[name] for name in top})
        figures[Verified.ELAPSED_S] = self.plan.elapsed_s()
        return figures

    def identify(self) -> Identified | None:
        """Return who of the known people each photo shows."""
        from trainer.experiments.verification.identify import identify

        with bar("Identifying", "parts") as progress:
            return identify(
                self.features.vectors_nd,
                self.features.manifest.label_n,
                self.features.manifest.group,
                self.plan,
                seed=self.config.seed,
                progress=progress.update,
            )

    def log_faces(self, identified: Identified | None, writer: RunWriter) -> Figures | None:
        """Log FACES, the photos that the page shows, and their vectors. Returns what is promised of those who
        are not among them (`OpenSet`)."""
        from safetensors.numpy import save

        from trainer.data.thumbnails import thumbnails
        from trainer.experiments.verification.open_set import open_set
        from trainer.experiments.verification.record import faces_table, shown_rows

        manifest, seed = self.features.manifest, self.config.seed
        shown = shown_rows(self.protocol, identified, seed=seed).tolist()
        images = dict(zip(shown, thumbnails(manifest, shown, side=96), strict=True))
        faces = faces_table(manifest, self.features.vectors_nd, identified, images, seed=seed)
        writer.table(Artifact.FACES, faces)
        vectors_nd = self.features.vectors_nd[shown]
        writer.file(Artifact.VECTORS, save({"vectors": vectors_nd}))
        return open_set(vectors_nd, manifest.label_n[shown], seed=seed)


def read(config: VerifyConfig, device: str) -> tuple[Features, Protocol, int]:
    """Return photos with vectors, the pairs that are judged, and how many were left out.

    Raises:
        InputError: the data or the file of pairs cannot be used.
    """
    from trainer.data.vector_range import check_vectors
    from trainer.experiments.verification import pairs_file, protocol

    # a person's photos may stand in several splits of the data: splits are of no importance here
    reading = dataclasses.replace(config, allow_leaks=True)

    def pairs_of(manifest: Manifest) -> tuple[Protocol, int]:
        assert config.pairs is not None
        names = [manifest.classes[label] if label >= 0 else "" for label in manifest.label_n]
        missing = [bad.path for bad in manifest.quarantined]
        return pairs_file.read(config.pairs, manifest.sample_id, names, missing=missing, seed=config.seed)

    manifest = read_rows(reading)
    if config.pairs is not None:
        pairs_of(manifest)  # a file that does not fit is refused before images are encoded
    features = encode_rows(reading, manifest, encoder_settings(config, device), to_train=False)
    manifest = features.manifest
    check_vectors(manifest, features.vectors_nd, every_row=True)
    if config.pairs is not None:
        drawn, left_out = pairs_of(manifest)
        if left_out:
            say(f"Left out: {left_out} pairs of {config.pairs}, of which a photo cannot be used.")
        if protocol.people_of(drawn, manifest.label_n, 0, seed=config.seed) is None:
            say("Too few people are left outside the pairs to learn from: the raw cosine alone is judged.")
        return features, drawn, left_out
    unlabelled = int((manifest.label_n < 0).sum())
    if unlabelled:
        raise InputError(
            f"{config.data}: {unlabelled} photos have no person. Put each into a person's folder."
        )
    rows = protocol.distinct(manifest.content)
    left_out = len(manifest) - len(rows)
    if left_out:
        say(f"Left out: {left_out} copies of photos; a pair of copies would say nothing.")
        views = features.measures_nm
        features = dataclasses.replace(
            features,
            manifest=manifest.take(rows),
            vectors_nd=features.vectors_nd[rows],
            measures_nm=None if views is None else views[rows],
        )
    drawn = protocol.draw(
        features.manifest.label_n, folds=config.folds, per_fold=config.pairs_per_fold, seed=config.seed
    )
    if drawn.folds < config.folds:
        say(f"{drawn.folds} folds instead of {config.folds}: each needs two people with two photos.")
    return features, drawn, left_out


def digest(protocol: Protocol) -> str:
    """Return the SHA-256 of these pairs in these folds."""
    import hashlib

    return hashlib.sha256(protocol.row_p2.tobytes() + protocol.fold_p.tobytes()).hexdigest()
