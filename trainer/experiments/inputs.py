"""Rows and their vectors as every command reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainer.core import text
from trainer.core.config import DataConfig, Recipe
from trainer.core.console import bar, say
from trainer.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from trainer.data.manifest import Manifest
    from trainer.features.extract import ExtractReport, Features
    from trainer.features.image_augmentation import Augmentation
    from trainer.features.settings import EncoderSettings
    from trainer.heads.training_data import TrainingData


def encoder_settings(
    config: DataConfig, device: str, *, augment: Augmentation | None = None, **changed: Any
) -> EncoderSettings:
    """With what a command encodes; ``changed`` as :class:`EncoderSettings` names it.

    Raises:
        InputError: several recipes are named, and none is in ``changed``.
    """
    from trainer.features.hub import default_encoder
    from trainer.features.image_augmentation import Augmentation, AugmentationSpec
    from trainer.features.settings import EncoderSettings

    usual = {
        "encoder": config.encoder or default_encoder(config.data),
        "cache_dir": config.cache_folder,
        "device": device,
        "space": changed.get("space") or recipe_of(config),
        "dtype": config.dtype,
        "batch_size": config.batch_size,
        "workers": config.workers,
        "max_bad": config.max_bad,
        "drop_duplicates": config.drop_duplicates,
        "measure": config.measure,
        "augmentation": AugmentationSpec(augment or Augmentation(), seed=config.seed),
    }
    return EncoderSettings(**{**usual, **changed})


def recipe_of(config: DataConfig) -> Recipe:
    """Return the feature recipe of a command that takes one.

    Raises:
        InputError: there are several.
    """
    if len(config.features) != 1:
        raise InputError(
            f"--features names {len(config.features)} recipes. A sweep chooses among several; pass one here."
        )
    return config.features[0]


def read_features(
    config: DataConfig,
    settings: EncoderSettings,
    *,
    to_train: bool,
    corrupt: Callable[[Manifest], Manifest] | None = None,
) -> Features:
    """Rows with their vectors, from the cache where they are in it; says what was found.

    Args:
        to_train: refuse data on which no head can be trained.
        corrupt: what is to be done to the rows before they are encoded.

    Raises:
        InputError: data or encoder cannot be used.
        TooManyBadFiles: more images than ``config.max_bad`` are unreadable.
    """
    manifest = read_labelled_rows(config) if to_train else read_rows(config)
    if corrupt is not None:
        manifest = corrupt(manifest)
    return encode_rows(config, manifest, settings, to_train=to_train)


def encode_rows(
    config: DataConfig, manifest: Manifest, settings: EncoderSettings, *, to_train: bool
) -> Features:
    """The rows with their vectors; arguments and errors as :func:`read_features`."""
    from trainer.data.duplicates import check_leaks
    from trainer.data.manifest import check_trainable
    from trainer.data.vector_range import check_vectors
    from trainer.features.extract import extract

    if to_train:
        check_trainable(manifest)
    if manifest.features_nd is None and not (config.allow_leaks or config.drop_duplicates):
        check_leaks(manifest)
    with bar("Encoding", "images") as progress:
        features = extract(manifest, settings, progress=progress.update)
    notice = ""
    if to_train:
        check_trainable(features.manifest)
        notice = check_vectors(features.manifest, features.vectors_nd)
    _report(features.report, encoded=manifest.features_nd is None)
    if notice:
        say(notice)
    return features


def read_rows(config: DataConfig) -> Manifest:
    """Read the rows with their groups, none of which is in two splits unless that is allowed.

    Raises:
        InputError: as of `understand_rows`; a group is divided; copies of an image have different labels and
            that is refused.
    """
    from trainer.data.groups import check_group_leaks, drop_shared_groups

    manifest = _without_label_conflicts(config, understand_rows(config))
    if config.drop_shared_groups:
        whole, manifest = manifest, drop_shared_groups(manifest)
        if len(manifest) < len(whole):
            left_out = text.count(len(whole) - len(manifest), "row")
            say(f"Left out: {left_out} whose group is also in test or val.")
    elif not config.allow_leaks:
        check_group_leaks(manifest)
    return manifest


def read_labelled_rows(config: DataConfig) -> Manifest:
    """Read the rows that have a label, and say which have none. Errors as of :func:`read_rows`."""
    from trainer.data.unlabelled import labelled

    manifest, others = labelled(read_rows(config))
    if others:
        say(others)
    return manifest


def understand_rows(config: DataConfig) -> Manifest:
    """Read the rows as they are, and say how they were understood: classes, splits, what was passed over.

    Raises:
        InputError: the data cannot be read; a flag is out of its range.
    """
    from trainer.data import image_memory
    from trainer.data.bit_depth import BIT_DEPTHS, with_used_bits
    from trainer.data.corrected_labels import corrected
    from trainer.data.dataset_summary import notices, summarise
    from trainer.data.groups import with_groups
    from trainer.data.load import load
    from trainer.data.table_columns import ColumnChoice, separated

    if not 0 <= config.max_bad <= 1:
        raise InputError(f"--max-bad is {config.max_bad}; it must be a share between 0 and 1.")
    image_memory.set_limit(config.max_memory)
    columns = ColumnChoice(
        *(config.image_column, config.label_column, config.caption_column, config.group_column),
        labels=separated(config.label_columns),
    )
    manifest = load(config.data, seed=config.seed, columns=columns, unlabelled=config.unlabelled)
    if config.groups is not None:
        manifest = with_groups(manifest, config.groups, seed=config.seed)
    said: list[str] = []
    if config.corrections is not None:
        manifest, said = corrected(manifest, config.corrections, test_too=config.correct_test)
    elif config.correct_test:
        raise InputError("--correct-test is for --corrections, and there are none. Drop it.")
    manifest = with_label_kind(config, manifest)
    if config.corrections is not None and manifest.target != "class":
        raise InputError(f"{config.data}: --corrections are of classes, and here there are none.")
    manifest = with_used_bits(manifest, cache_file=config.cache_folder / BIT_DEPTHS)
    say(summarise(manifest))
    for line in said:
        say(line)
    for notice in notices(manifest):
        say(notice)
    return manifest


def with_label_kind(config: DataConfig, manifest: Manifest) -> Manifest:
    """Return the rows with their labels as numbers, or as several per row, where the command is to learn
    these; said where that was found out.

    Raises:
        InputError: a label is no finite number; a row has several labels, and the command takes one.
    """
    from trainer.data.label_numbers import are_numbers
    from trainer.data.label_target import with_several_labels
    from trainer.data.number_target import with_number_target
    from trainer.data.table_columns import separated

    kind = config.label_kind
    if kind == "labels" or (several := why_several_labels(config, manifest)):
        if not config.takes_several_labels:
            refuse_several_labels(config, several)
        if manifest.joined and kind is None and config.label_columns is None:
            say("Target: several labels per image, as they are lists.")
        columns = separated(config.label_columns)
        if config.label_columns is not None and not columns:
            raise InputError(
                f"--label-columns {config.label_columns!r} names no column. Pass names joined by commas: "
                "cat,dog."
            )
        return with_several_labels(manifest, config.label_separator, seed=config.seed, columns=columns)
    if kind is None and are_numbers(manifest.classes, manifest.label_n):
        shown = ", ".join(text.cut(one, 12) for one in manifest.classes[:3])
        say(
            f"Target: a number ({len(manifest.classes):,} distinct values, such as {shown}). --target class "
            "takes each for a class."
        )
        kind = "number"
    return (
        with_number_target(manifest, seed=config.seed) if kind == "number" and manifest.classes else manifest
    )


def why_several_labels(config: DataConfig, manifest: Manifest) -> str:
    """Return what says that rows have several labels: a flag, or lists in the data; "" for nothing."""
    flags = {"--label-separator": config.label_separator, "--label-columns": config.label_columns}
    given = [f"{flag} {value}" for flag, value in flags.items() if value is not None]
    if given:
        return " and ".join(given)
    return "lists of several labels" if manifest.joined else ""


def refuse_several_labels(config: DataConfig, several: str) -> None:
    """Raise InputError for rows with several labels where the command learns one class, or one number.

    Args:
        several: see `why_several_labels`.
    """
    from trainer.data.table_columns import NO_COLUMN

    raise InputError(
        f"{config.data}: this command takes one label per image, and there are {several}. Several are for "
        "check, extract, search_images, and sweep without another --target. Give each image one label, or "
        f"read none: --label-column {NO_COLUMN}."
    )


def require_one_encoder(config: DataConfig, reason: str) -> None:
    """Raise InputError with the ``reason`` for an ``--encoder`` that joins several.

    Args:
        reason: what needs a single one, as a sentence.
    """
    from trainer.features.hub import encoder_names

    if config.encoder is not None and len(names := encoder_names(config.encoder)) > 1:
        raise InputError(
            f"--encoder {config.encoder} names {len(names)} encoders. {reason} Pass one, such as --encoder "
            f"{names[0]}."
        )


def _without_label_conflicts(config: DataConfig, manifest: Manifest) -> Manifest:
    """Warn of copies of an image with different labels, drop them or refuse them, as the flag says."""
    from trainer.data.duplicates import describe_label_conflicts, drop_label_conflicts, label_conflicts

    conflicts = label_conflicts(manifest)
    if not conflicts:
        return manifest
    found = describe_label_conflicts(manifest, conflicts)
    if config.label_conflicts == "refuse":
        raise InputError(f"{config.data}: {found} Correct or remove them, or pass --label-conflicts drop.")
    if config.label_conflicts == "drop":
        say(f"Dropped: {found}")
        return drop_label_conflicts(manifest, conflicts)
    say(f"Warning: {found} Pass --label-conflicts drop to leave them out.")
    return manifest


def require_images(config: DataConfig, manifest: Manifest, reason: str) -> None:
    """Raise InputError with the ``reason`` for data that comes as features."""
    if manifest.features_nd is not None:
        raise InputError(f"{config.data} holds precomputed features, no images. {reason}")


def require_captions(config: DataConfig, manifest: Manifest, *, wanted: str, flag: str) -> None:
    """Raise InputError where no row has a caption.

    Args:
        wanted: what for, to follow "has no captions".
        flag: that asks for them.
    """
    if not any(manifest.caption):
        raise InputError(
            f"{config.data} has no captions{wanted}. Give each image one (a column caption of a table, or a "
            f"metadata.csv beside the images), or leave {flag} out."
        )


def learning_rows(manifest: Manifest) -> np.ndarray:
    """Return the rows of train, then of val: what a final head learns from."""
    import numpy as np

    return np.concatenate([manifest.rows("train"), manifest.rows("val")])


def training_data(features: Features, device: str, *, refit: bool = False) -> TrainingData:
    """Training and validation rows of what was read, on the device, with the views if there are any.

    Args:
        refit: learn from the validation rows, too, after the training rows; nothing is left to validate on.
            They have no views, and are shown as they are.
    """
    import numpy as np

    from trainer.heads.training_data import to_training_data

    manifest, x_nd = features.manifest, features.vectors_nd
    train, val = manifest.rows("train"), manifest.rows("val")
    views_vnd = features.views_vnd
    if refit:
        if views_vnd is not None:
            plain_vnd = np.broadcast_to(x_nd[val], (len(views_vnd), len(val), x_nd.shape[1]))
            views_vnd = np.concatenate([views_vnd, plain_vnd], axis=1)
        train, val = learning_rows(manifest), val[:0]
    return to_training_data(
        (x_nd[train], manifest.learned_n[train]),
        (x_nd[val], manifest.learned_n[val]),
        classes=outputs_of(manifest),
        views_vnd=views_vnd,
        device=device,
    )


def outputs_of(manifest: Manifest) -> int:
    """Return how many outputs a head of these rows has: one per class or label, one of numbers."""
    if manifest.label_nc is not None:
        return len(manifest.labels)
    return len(manifest.classes) if manifest.target_n is None else 1


def _report(report: ExtractReport, *, encoded: bool) -> None:
    """What became of the rows, for people."""
    for warning in report.warnings:
        say(f"Warning: {warning}")
    say(
        f"Data: found {report.found} = used {report.used} + quarantined {len(report.quarantined)} + dropped "
        f"duplicates {report.dropped_duplicates}"
        + (f" + dropped label conflicts {report.dropped_conflicts}." if report.dropped_conflicts else ".")
        + (f" {report.duplicates} rows are duplicates of another image." if report.duplicates else "")
    )
    if encoded:
        say(f"Features: {report.reused} from the cache, {report.encoded} encoded now{_how(report)}.")


def _how(report: ExtractReport) -> str:
    """How the encoding went, for people: speed, settings, where the time was spent."""
    if not report.encoded:
        return ""
    by = f"{report.processes} processes" if report.processes else "threads"
    spent = ", ".join(f"{what} {share:.0%}" for what, share in report.share.items() if share >= 0.005)
    return (
        f" in {report.elapsed_s:.1f} s ({report.encoded / report.elapsed_s:.0f} images/s; batches of "
        f"{report.batch_size}, decoded by {by}; time for {spent})"
    )
