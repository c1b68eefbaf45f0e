"""Train heads on images and captions together, and compare the ways to join them."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.core import text
from trainer.core.config import require_at_least
from trainer.core.console import bar, say
from trainer.core.errors import InputError
from trainer.experiments.base import Experiment, Figures, begin
from trainer.experiments.fusion.config import FuseConfig
from trainer.experiments.inputs import (
    encode_rows,
    encoder_settings,
    read_labelled_rows,
    require_images,
    require_one_encoder,
)
from trainer.tracking.schema import Artifact, Fused, Kind, MethodPairs

# Heavy rooms (torch, transformers, MLflow) are imported where they are entered.
if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import torch

    from trainer.experiments.comparison import Comparison
    from trainer.experiments.fusion.views import Wording
    from trainer.features.extract import Features
    from trainer.features.settings import EncoderSettings
    from trainer.heads.fused_head import FusedHead
    from trainer.heads.fusion_heads import HeadOutput, ImageTextRows
    from trainer.tracking.writer import RunWriter

IMAGE, TEXT, JOINED, GATED, LATE = "image only", "text only", "concatenated", "gated", "late"
AUGMENTED = ", augmented"  # behind the name of a form that learned from augmented views, too
FORMS_PER_ARM = 5
FIRST = {"trial": 0, "seed": 0}  # of a form the first seed is kept
FORMS = "forms"  # folder of artifacts: what each form says, so that a killed run goes on
TELLING = 0.05  # share of captions that may name their class before a warning is given


@dataclass(frozen=True)
class Texts:
    """The captions as they are used."""

    vectors_ne: np.ndarray  # float32 [N, E]; zeros where there is none
    has_n: np.ndarray  # bool [N]
    names_class_n: np.ndarray  # bool [N]: the caption, before anything was hidden, names its own class
    cut: int
    names: dict[str, tuple[str, ...]]
    views_vne: np.ndarray  # float32 [V, N, E], views 1…V of the N rows of train
    hidden: tuple[tuple[str, ...], ...]  # names of each class that captions are rid of; () for none


def run(config: FuseConfig) -> Figures:
    """Run a comparison, or the rest of one. Returns its figures (`schema.Fused`).

    Raises:
        InputError: something given cannot be used; nothing has been written to MLflow then.
        TooManyBadFiles: more images than ``max_bad`` are unreadable.
    """
    from trainer.experiments.fusion.views import Wording
    from trainer.features.text_features import check_texts

    require_at_least(config, seed=0, seeds=1, views=0)
    check_views(config)
    wording = Wording.of(config.wording, views=config.views, seed=config.seed)
    require_one_encoder(config, "Captions are encoded by the text tower of one.")
    plan = begin(config)
    manifest = read_labelled_rows(config)
    require_images(config, manifest, "Fusion needs images with captions.")
    if not any(manifest.caption):
        raise InputError(
            f"{config.data} has no captions. Give each image one: a column caption of a table, or a "
            "metadata.csv beside the images."
        )
    settings = encoder_settings(config, plan.device, augment=config.augment, views=config.views)
    check_texts(settings)
    features = encode_rows(config, manifest, settings, to_train=True)
    texts = read_texts(config, settings, features, wording)
    report_texts(config, features, texts)
    return Fusion(config, plan, features, texts).run()


def check_views(config: FuseConfig) -> None:
    """Raise InputError for settings of views of which there are none."""
    for flag in ("augment", "wording"):
        value = getattr(config, flag)
        if not config.views and value != type(value)():
            raise InputError(f"--{flag}.* describes augmented views, and --views is 0. Pass --views 4.")


@dataclass
class Fusion(Experiment[FuseConfig]):
    """Five forms of heads on the same rows."""

    kind = Kind.FUSION
    module = "trainer.fuse"
    only_in_file = Fused.ONLY_IN_FILE

    texts: Texts

    @property
    def about(self) -> str:
        views = f", without and with {text.count(self.config.views, 'view')}" if self.config.views else ""
        return f"{FORMS_PER_ARM} forms × {self.config.seeds} seeds{views}"

    def settings(self) -> Figures:
        config = self.config
        # only where there are views, so that earlier studies go on
        views = {
            "views": config.views,
            "augment": asdict(config.augment),
            "wording": asdict(config.wording),
        }
        return {
            **(views if config.views else {}),
            "class names hidden": self.config.hide_class_names,
            "class names": {name: list(of_class) for name, of_class in self.texts.names.items()},
            "precision": self.plan.precision,
            "seeds": self.config.seeds,
            "seed": self.config.seed,
        }

    def on_record(self, summary: Figures, writer: RunWriter) -> str | None:
        done = super().on_record(summary, writer)
        return done and f"{done}\n\n{summary[Fused.ADVICE]}\n"

    def execute(self, writer: RunWriter) -> Figures:
        from trainer.heads import fusion_heads

        features, device = self.features, self.plan.device
        rows = {split: both(features, self.texts, split, device) for split in ("train", "val", "test")}
        arms = [all_forms(self, rows, [], writer)]
        if self.config.views:
            arms.append(all_forms(self, rows, view_rows(features, self.texts, device), writer))
        forms = [form for arm, _ in arms for form in arm]
        figures = conclude(self.config, features, self.texts, forms, writer)
        place = [form.name for form in forms].index(figures[Fused.CHOSEN])
        arm, weight = arms[place // FORMS_PER_ARM]
        balance = fusion_heads.Balance.of(rows["train"])
        head = fusion_heads.fused_head(arm, place % FORMS_PER_ARM, balance, weight=weight)
        return {
            **figures,
            Fused.WEIGHT: weight,
            Fused.VIEWS: self.config.views,
            Fused.MODEL: self.log_model(head, writer),
            **self.cost(),
            Fused.CLASSES: list(features.manifest.classes),
        }

    def log_model(self, head: FusedHead, writer: RunWriter) -> str | None:
        """Log the chosen head as MLflow serves it. Returns its address in the registry."""
        from trainer.experiments.evaluation import encoder_folders
        from trainer.features.key import text_encoder_key
        from trainer.serving.fused import write_fusion
        from trainer.serving.packaging import pack, registered_name

        settings, encoder = encoder_settings(self.config, self.plan.device), self.features.report.encoder
        key = text_encoder_key(settings.folder, dtype=settings.compute_dtype, cache_dir=settings.cache_dir)
        described = {
            "classes": list(self.manifest.classes),
            "encoder": encoder,
            "encoder_folder": encoder_folders(encoder),
            "bits": self.manifest.bits,
            **FIRST,
        }
        files = write_fusion(head, described, hidden=self.texts.hidden, text_key=key.digest[:16])
        for name, data in files.items():
            writer.file(f"{Artifact.HEAD}/{name}", data)
        with tempfile.TemporaryDirectory() as scratch:
            writer.folder(Artifact.MODEL, pack(Path(scratch), files, [settings.folder]))
        return writer.register(registered_name(writer.study), Artifact.MODEL)


# --- captions ---------------------------------------------------------------------------------


def read_texts(config: FuseConfig, settings: EncoderSettings, features: Features, wording: Wording) -> Texts:
    """Return the captions with their vectors: of several captions of a row the mean, each of length 1.

    Raises:
        InputError: the encoder has no text tower; the file of names cannot be used; no caption is left.
    """
    import numpy as np

    from trainer.data import caption_leakage
    from trainer.data.table_columns import split_captions
    from trainer.features.prompts import read_class_names

    manifest = features.manifest
    names = read_class_names(config.class_names, manifest.classes)
    of_classes = [
        tuple({*names[name], name.replace("_", " ")}) if name.strip("_ ") else names[name]
        for name in manifest.classes
    ]
    names_class_n = caption_leakage.mentions_own_class(manifest.caption, manifest.label_n, of_classes)
    caption = [tuple(split_captions(one)) for one in manifest.caption]

    def hide(several: Sequence[str]) -> Sequence[str]:
        return caption_leakage.remove_class_names(several, of_classes) if config.hide_class_names else several

    caption = [tuple(one for one in hide(several) if one) for several in caption]
    has_n = np.array([bool(several) for several in caption])
    if not has_n[manifest.rows("train")].any():
        raise InputError(
            f"No training row of {config.data} has a caption, so nothing can be learnt from text."
        )
    vectors_ne, cut = mean_vectors(caption, settings)
    train = manifest.rows("train")
    views = wording.captions([caption[row] for row in train], [manifest.content[row] for row in train], hide)
    views_vne = np.empty((len(views), len(train), vectors_ne.shape[1]), dtype=np.float32)
    for view, several in enumerate(views):
        views_vne[view] = mean_vectors(several, settings)[0]
    hidden = tuple(tuple(of_class) for of_class in of_classes) if config.hide_class_names else ()
    return Texts(vectors_ne, has_n, names_class_n, cut, names, views_vne, hidden)


def mean_vectors(captions: Sequence[Sequence[str]], settings: EncoderSettings) -> tuple[np.ndarray, int]:
    """Return `fused.mean_text_vectors` of rows, and how many of their captions were truncated."""
    from trainer.features.text_features import encode_texts
    from trainer.serving.fused import mean_text_vectors

    cut = 0

    def encode(texts: Sequence[str]) -> np.ndarray:
        nonlocal cut
        with bar("Encoding", "captions") as progress:
            encoded = encode_texts(texts, settings, progress=progress.update)
        cut = int(encoded.truncated_n.sum())
        return encoded.vectors_ne

    return mean_text_vectors(captions, encode), cut


def caption_counts(
    features: Features, texts: Texts
) -> tuple[dict[str, int], dict[str, int], dict[str, float]]:
    """Return for each split: rows, rows without a caption, share of its captions that name their class."""
    splits = {split: features.manifest.rows(split) for split in ("train", "val", "test")}
    had_n = [bool(one.strip()) for one in features.manifest.caption]
    named = {
        split: round(float(texts.names_class_n[rows].sum()) / max(sum(had_n[row] for row in rows), 1), 4)
        for split, rows in splits.items()
    }
    return (
        {split: len(rows) for split, rows in splits.items()},
        {split: int((~texts.has_n[rows]).sum()) for split, rows in splits.items()},
        named,
    )


def report_texts(config: FuseConfig, features: Features, texts: Texts) -> None:
    """Say what the captions are, and whether they give the answer away."""
    counts, without, named = caption_counts(features, texts)
    lacking = ", ".join(f"{without[split]} of {counts[split]} {split} rows" for split in counts)
    said = f"Without a caption, so classified by image only: {lacking}."
    if not any(without.values()):
        said = "All rows have captions."
    say(said + (f" {texts.cut} captions were truncated by the encoder." if texts.cut else ""))
    if max(named.values()) > TELLING:
        shares = ", ".join(f"{share:.0%} in {split}" for split, share in named.items())
        what = (
            "These names are hidden."
            if config.hide_class_names
            else "That leaks the label; run again with --hide-class-names to exclude it."
        )
        say(f"Warning: captions name their own class: {shares}. {what}")


# --- the forms --------------------------------------------------------------------------------


def both(features: Features, texts: Texts, split: str, device: str) -> ImageTextRows:
    """Return the rows of a split on the device."""
    import torch

    from trainer.heads.fusion_heads import ImageTextRows

    rows = features.manifest.rows(split)
    arrays = (features.vectors_nd, texts.vectors_ne, texts.has_n, features.manifest.label_n)
    return ImageTextRows(*(torch.as_tensor(one[rows]).to(device) for one in arrays))


def view_rows(features: Features, texts: Texts, device: str) -> list[ImageTextRows]:
    """Return the training rows in each augmented view: view v of an image with view v of its caption."""
    import torch

    assert features.views_vnd is not None
    plain = both(features, texts, "train", device)
    images_vnd, texts_vne = (
        torch.from_numpy(one).to(device) for one in (features.views_vnd, texts.views_vne)
    )
    return [
        plain._replace(image_nd=image_nd, text_ne=text_ne)
        for image_nd, text_ne in zip(images_vnd, texts_vne, strict=True)
    ]


def all_forms(
    fusion: Fusion, rows: dict[str, ImageTextRows], views: list[ImageTextRows], writer: RunWriter
) -> tuple[list[HeadOutput], float]:
    """Train what is not on record: image, text, concatenated, gated; then join the first two.

    Args:
        fusion: flags, classes and device.
        rows: of each split.
        views: the training rows in augmented views; []: heads learn without.

    Returns:
        What each form says, and the weight of the text in late fusion.
    """
    from trainer.heads import fusion_heads
    from trainer.search.study import head_seeds

    config, plan, classes = fusion.config, fusion.plan, len(fusion.manifest.classes)
    train, val, test, *views = fusion_heads.balanced(rows["train"], [rows["val"], rows["test"], *views])
    dimensions, suffix = train.image_nd.shape[1], AUGMENTED if views else ""
    plans = {
        IMAGE: (lambda one: one.image_nd, fusion_heads.candidates()),
        TEXT: (lambda one: one.text_ne, fusion_heads.candidates()),
        JOINED: (lambda one: one.joined_nf, fusion_heads.candidates()),
        GATED: (lambda one: one.joined_nf, fusion_heads.candidates(gate_at=dimensions)),
    }
    learning = fusion_heads.LearningRows(train, val, tuple(views), classes)
    seeds = head_seeds(config.seed, config.seeds)
    slab_bytes = plan.slab_bytes(learning.data(lambda one: one.joined_nf), seeds=config.seeds)
    found: dict[str, HeadOutput] = {}
    with bar(f"Training{suffix}", "forms") as progress:
        for number, (name, (block, specs)) in enumerate(plans.items()):
            earlier = read_form(writer, name + suffix, train.image_nd.device)
            if earlier is None:
                populations = learning.populations(
                    block, specs, seeds=seeds, precision=plan.precision, slab_bytes=slab_bytes
                )
                earlier = max(
                    (
                        fusion_heads.best_of(name + suffix, one, block(test), seeds=len(seeds))
                        for one in populations
                    ),
                    key=lambda output: output.val_f1_macro,
                )
                writer.file(f"{FORMS}/{name}{suffix}.npz", form_to_bytes(earlier))
            found[name] = earlier
            progress.update(number + 1, len(plans))
    late, weight = fusion_heads.late_fusion(found[IMAGE], found[TEXT], val, test, classes=classes)
    falling = [
        fusion_heads.with_image_fallback(found[name], found[IMAGE], val, test, classes=classes)
        for name in (JOINED, GATED)
    ]
    return [found[IMAGE], found[TEXT], *falling, replace(late, name=LATE + suffix)], weight


def form_to_bytes(said: HeadOutput) -> bytes:
    """Serialise the outputs of a form, to resume from."""
    import numpy as np

    from trainer.heads.ensemble import Ensemble
    from trainer.serving.predictor import write_head

    buffer = io.BytesIO()
    words = json.dumps({"how": said.how, "val_f1_macro": said.val_f1_macro})
    assert said.head is not None
    card, weights = write_head(Ensemble.of(said.head, trial=0), {"classes": [], "encoder": "", **FIRST})
    np.savez(
        buffer,
        words=np.array(words),
        card=np.frombuffer(card, dtype=np.uint8),
        weights=np.frombuffer(weights, dtype=np.uint8),
        val_snc=said.val_snc.cpu().numpy(),
        test_snc=said.test_snc.cpu().numpy(),
    )
    return buffer.getvalue()


def read_form(writer: RunWriter, name: str, device: torch.device) -> HeadOutput | None:
    """Return the recorded outputs of a form; None where there are none, or an earlier version kept no head
    beside them."""
    import numpy as np
    import torch

    from trainer.heads.fusion_heads import HeadOutput
    from trainer.serving.predictor import read_head

    data = writer.read_file(f"{FORMS}/{name}.npz")
    if data is None:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        if "card" not in arrays:
            return None
        words = json.loads(str(arrays["words"]))
        recorded = read_head(arrays["card"].tobytes(), arrays["weights"].tobytes())
        val_snc, test_snc = (torch.from_numpy(arrays[key]).to(device) for key in ("val_snc", "test_snc"))
    head = recorded.head.members[0].heads[0].to(device)
    return HeadOutput(name, words["how"], words["val_f1_macro"], val_snc, test_snc, head)


# --- the end ----------------------------------------------------------------------------------


def conclude(
    config: FuseConfig, features: Features, texts: Texts, forms: list[HeadOutput], writer: RunWriter
) -> Figures:
    """Choose on validation, compare on test rows, log. Returns figures."""
    import numpy as np

    from trainer.experiments.comparison import Comparison, Method

    methods = [Method(form.name, form.how, form.val_f1_macro, form.test_snc.cpu().numpy()) for form in forms]
    chosen = int(np.argmax([method.val_f1_macro for method in methods]))
    first = chosen - chosen % FORMS_PER_ARM  # of the arm that the chosen one is in
    of_image, of_text = first, first + 1
    part = of_image if methods[of_image].val_f1_macro >= methods[of_text].val_f1_macro else of_text
    fused = range(first + 2, first + FORMS_PER_ARM)
    forms_first = sorted(fused, key=lambda place: place != chosen)
    other = of_text if part == of_image else of_image
    pairs = [(place, one) for place in forms_first for one in (part, other)] + [(of_text, of_image)]
    twin = chosen % FORMS_PER_ARM
    pairs += [(twin + FORMS_PER_ARM, twin)] if len(methods) > FORMS_PER_ARM else []
    comparison = Comparison(methods, pairs, features.manifest, chosen=chosen, seed=config.seed)
    comparison.tell("Image, text, and both")
    said = advice(comparison, chosen=chosen, part=part)
    counts, without, named = caption_counts(features, texts)
    if max(named.values()) > TELLING and not config.hide_class_names:
        said += (
            f"\n{named['test']:.0%} of the test captions name their class. Run again with --hide-class-names "
            "to exclude this."
        )
    say(f"\n{said}\n")
    comparison.log(writer)
    of_methods, of_pairs = comparison.figures()
    writer.metrics(comparison.metrics())
    return {
        Fused.COUNTS: counts,
        Fused.WITHOUT_CAPTION: without,
        Fused.NAMED: named,
        Fused.HIDDEN: config.hide_class_names,
        Fused.CUT: texts.cut,
        Fused.CHOSEN: methods[chosen].name,
        **comparison.drawn(),
        Fused.METHODS: of_methods,
        Fused.PAIRS: of_pairs,
        Fused.ADVICE: said,
    }


def advice(comparison: Comparison, *, chosen: int, part: int) -> str:
    """Return the conclusion, a line each, the verdict first: the form chosen on validation rows against the
    better of its parts there."""
    from trainer.experiments.comparison import ends_of

    names = [method.name for method in comparison.methods]
    twin, first = chosen % FORMS_PER_ARM, chosen - chosen % FORMS_PER_ARM
    augmented = (
        f"Augmented views: {comparison.verdict(twin + FORMS_PER_ARM, twin)}"
        if len(names) > FORMS_PER_ARM
        else ""
    )
    if twin < 2:
        lines = [
            f"Use {names[chosen]}: no fusion is better on validation rows.",
            comparison.verdict(first + 1, first),
            augmented,
        ]
        return "\n".join(line for line in lines if line)
    row = comparison.row(chosen, part)
    ends, p = ends_of(row), row[MethodPairs.EFFECT_P_HOLM]
    effect = text.interval(row[MethodPairs.EFFECT], ends, text.change)
    if not text.significant(ends, p):
        verdict = f"No fusion is shown to beat {names[part]}: {names[chosen]} {effect}, {text.p_equals(p)}."
    elif row[MethodPairs.EFFECT] > 0:
        verdict = f"Use {names[chosen]}: macro-F1 {effect} over {names[part]}, {text.p_equals(p)}."
    else:
        verdict = f"Use {names[part]}: {names[chosen]} is worse, macro-F1 {effect}, {text.p_equals(p)}."
    lines = [
        verdict,
        comparison.could_show(chosen, part),
        comparison.verdict(chosen, 2 * first + 1 - part),
        augmented,
        f"{names[chosen]} was chosen on validation rows ({comparison.methods[chosen].how}).",
    ]
    return "\n".join(line for line in lines if line)
