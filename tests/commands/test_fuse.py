"""The fusion command from end to end, and what its forms promise."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from tests.support import trained_comparison, wording
from trainer.core.errors import InputError
from trainer.data.metadata import read_metadata
from trainer.experiments.fusion import run as fuse
from trainer.experiments.fusion.config import FuseConfig
from trainer.experiments.fusion.run import AUGMENTED, GATED, IMAGE, JOINED, LATE, TEXT, run
from trainer.experiments.fusion.views import Wording
from trainer.features.caption_augmentation import CaptionAugmentation
from trainer.features.image_augmentation import Augmentation
from trainer.heads import fusion_heads
from trainer.heads.fusion_heads import HeadOutput, ImageTextRows
from trainer.serving import pyfunc
from trainer.serving.batch_predict import run as predict
from trainer.serving.config import PredictConfig
from trainer.serving.fused import FUSED_CARD, FUSED_WEIGHTS, read_fusion, write_fusion
from trainer.tracking.schema import Artifact, Fused, Kind, Methods, Predictions, Tag


@pytest.fixture
def config(tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FuseConfig:
    every = fusion_heads.candidates

    def few(*, gate_at: int = 0) -> list[Any]:
        return [
            dataclasses.replace(spec, epochs=min(spec.epochs, 30)) for spec in every(gate_at=gate_at)[5::4]
        ]

    monkeypatch.setattr(fusion_heads, "candidates", few)
    return trained_comparison.fuse_config(tracking_uri, tmp_path)


@pytest.mark.slow
def test_all_forms_answer_and_rows_without_a_caption_are_the_image_heads(
    config: FuseConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(config)
    identity = MlflowClient(config.tracking_uri).get_run(figures[Fused.RUN_ID]).data.tags[Tag.IDENTITY]
    assert not {"views", "augment", "wording"} & set(json.loads(identity))  # as before there were any
    json.dumps(figures, allow_nan=False)
    said = capsys.readouterr().err
    assert "McNemar" not in said  # one comparison, one p-value
    lacking = "9 of 30 train rows, 9 of 30 val rows, 9 of 30 test rows"
    assert f"Without a caption, so classified by image only: {lacking}." in said
    assert "captions name their own class: 71% in train" in said
    assert figures[Fused.WITHOUT_CAPTION] == {"train": 9, "val": 9, "test": 9}
    assert list(figures[Fused.METHODS]) == [IMAGE, TEXT, JOINED, GATED, LATE]

    client = MlflowClient(config.tracking_uri)
    tags = client.get_run(figures[Fused.RUN_ID]).data.tags
    assert tags[Tag.KIND] == Kind.FUSION
    answers, methods = (
        pd.read_parquet(client.download_artifacts(figures[Fused.RUN_ID], name))
        for name in (Artifact.PREDICTIONS, Artifact.METHODS)
    )
    assert methods[Methods.CHOSEN].sum() == 1
    best = methods.loc[methods[Methods.VAL_F1_MACRO].idxmax(), Methods.METHOD]
    assert figures[Fused.CHOSEN] == best
    said_by = answers.pivot_table(
        index=Predictions.SAMPLE_ID, columns=Predictions.HEAD, values=Predictions.PRED, aggfunc="first"
    )
    without = said_by[[Path(name).stem in ("0", "4", "8") for name in said_by.index]]
    assert len(without) == 9
    for form in (JOINED, GATED, LATE):
        assert (without[form] == without[IMAGE]).all()


@pytest.mark.slow
def test_hidden_names_leave_less_to_read_and_make_another_study(
    config: FuseConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = run(dataclasses.replace(config, hide_class_names=True))
    assert "These names are hidden" in capsys.readouterr().err
    with pytest.raises(InputError, match="class names hidden"):
        run(config)
    named = run(dataclasses.replace(config, study="named"))
    assert bare[Fused.NAMED] == named[Fused.NAMED]
    assert bare[Fused.METHODS][TEXT]["f1_macro"] < named[Fused.METHODS][TEXT]["f1_macro"]


@pytest.mark.slow
def test_a_run_that_was_cut_off_does_not_train_again_what_it_had(
    config: FuseConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(dataclasses.replace(config, study="whole"))
    trained: list[str] = []
    best_of = fusion_heads.best_of

    def watched(name: str, *args: Any, **how: Any) -> HeadOutput:
        if name == JOINED and JOINED not in trained:
            trained.append(name)
            raise KeyboardInterrupt
        trained.append(name)
        return best_of(name, *args, **how)

    monkeypatch.setattr(fusion_heads, "best_of", watched)
    with pytest.raises(KeyboardInterrupt):
        run(config)
    resumed = run(config)
    assert trained == [IMAGE, TEXT, JOINED, JOINED, GATED]
    assert resumed[Fused.METHODS] == whole[Fused.METHODS]
    assert run(config) == resumed
    assert "is on record" in capsys.readouterr().err


@pytest.mark.slow
def test_views_of_images_and_captions_train_a_second_arm_that_is_compared_with_the_first(
    config: FuseConfig,
) -> None:
    config = dataclasses.replace(config, views=2, seeds=1, wording=CaptionAugmentation(deletion=0.3))
    figures = run(config)
    forms = [IMAGE, TEXT, JOINED, GATED, LATE]
    assert list(figures[Fused.METHODS]) == [*forms, *(form + AUGMENTED for form in forms)]
    chosen = figures[Fused.CHOSEN].removesuffix(AUGMENTED)
    pairs = [(pair["method"], pair["against"]) for pair in figures[Fused.PAIRS]]
    assert (chosen + AUGMENTED, chosen) in pairs
    assert "\nAugmented views: " in figures[Fused.ADVICE]
    assert figures[Fused.VIEWS] == 2
    with pytest.raises(InputError, match="wording was"):
        run(dataclasses.replace(config, wording=CaptionAugmentation()))
    assert run(config) == figures


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"wording": CaptionAugmentation(deletion=0.3)}, r"--wording\.\* describes augmented views"),
        ({"augment": Augmentation(flip=0.1)}, r"--augment\.\* describes augmented views"),
        ({"views": 1, "wording": CaptionAugmentation(deletion=1.0)}, "--wording.deletion is 1.0"),
        ({"views": -1}, "--views is -1; it must be at least 0"),
    ],
)
def test_settings_of_views_that_make_no_sense_are_refused(
    config: FuseConfig, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        run(dataclasses.replace(config, **changed))


def test_synonyms_without_wordnet_are_refused_before_anything_is_encoded(
    config: FuseConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"--wording\.synonyms is 0\.1, but WordNet is not installed"):
        run(dataclasses.replace(config, views=1, wording=CaptionAugmentation(synonyms=0.1)))
    assert not list(config.cache_dir.glob("features/*"))


# --- the chosen head --------------------------------------------------------------------------


@pytest.mark.slow
def test_predict_and_the_logged_model_answer_images_with_captions_as_the_run_did(
    config: FuseConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run(dataclasses.replace(config, seeds=1, hide_class_names=True))
    root, out = Path(config.data), tmp_path / "out.csv"
    flags = {"tracking_uri": config.tracking_uri, "cache_dir": tmp_path / "another", "device": "cpu"}
    predict(PredictConfig(images=(root,), run=figures[Fused.RUN_ID], out=out, top_k=9, **flags))  # type: ignore[arg-type]
    assert "Captions: 63 of 90 images have one" in capsys.readouterr().err
    folder = Path(
        MlflowClient(config.tracking_uri).get_run(figures[Fused.RUN_ID]).info.artifact_uri[len("file://") :]
    )
    answers = pd.read_parquet(folder / Artifact.PREDICTIONS)
    answers = answers[answers[Predictions.HEAD] == figures[Fused.CHOSEN]].set_index(Predictions.SAMPLE_ID)
    assert len(answers) == 30
    told = pd.read_csv(out).set_index("path")
    captions = {name: entry.caption for name, entry in read_metadata(root).entries.items()}
    names = list(answers.index)
    likeliest_n = np.array([told.loc[str(root / name), "probability_1"] for name in names])
    recorded_nc = np.stack(list(answers[Predictions.PROBS]))
    assert np.abs(likeliest_n - recorded_nc.max(1)).max() < 1e-4
    served = pyfunc.load(str(folder / Artifact.MODEL_DATA))
    rows = pd.DataFrame({"path": [str(root / name) for name in names]})
    rows["text"] = [captions.get(name) for name in names]
    served_nc = np.stack(list(served.predict(rows)["probabilities"]))
    assert np.abs(served_nc - recorded_nc).max() < 1e-4
    name, number = figures[Fused.MODEL].removeprefix("models:/").split("/")
    assert MlflowClient(config.tracking_uri).get_model_version(name, number).run_id == figures[Fused.RUN_ID]


@pytest.mark.parametrize("place", range(5))
def test_every_form_answers_raw_features_as_it_answered_balanced_ones(place: int) -> None:
    raw = [both(40, missing=10, seed=0), both(20, missing=5, seed=1), both(20, missing=5, seed=2)]
    train, val, test = fusion_heads.balanced(raw[0], raw[1:])
    rows = fusion_heads.LearningRows(train, val, (), 2)
    blocks = {IMAGE: lambda one: one.image_nd, TEXT: lambda one: one.text_ne}
    blocks |= dict.fromkeys((JOINED, GATED), lambda one: one.joined_nf)
    forms = []
    for name, block in blocks.items():
        specs = fusion_heads.candidates(gate_at=4 if name == GATED else 0)[:3]
        specs = [dataclasses.replace(spec, epochs=5) for spec in specs]
        (population,) = rows.populations(block, specs, seeds=[0])
        forms.append(fusion_heads.best_of(name, population, block(test), seeds=1))
    late, weight = fusion_heads.late_fusion(*forms[:2], val, test, classes=2)
    fallen = [fusion_heads.with_image_fallback(one, forms[0], val, test, classes=2) for one in forms[2:]]
    forms = [*forms[:2], *fallen, late]
    head = fusion_heads.fused_head(forms, place, fusion_heads.Balance.of(raw[0]), weight=weight)
    described = {"classes": ["a", "b"], "encoder": "", "trial": 0, "seed": 0}
    files = write_fusion(head, described, hidden=[["cat"]], text_key="0123")
    again = read_fusion(files[FUSED_CARD], files[FUSED_WEIGHTS])
    assert again.hidden == (("cat",),)
    found = again.head.probabilities(raw[2].image_nd, raw[2].text_ne, raw[2].has_text_n)
    assert torch.allclose(found, forms[place].test_snc[0], atol=1e-4)


# --- views ------------------------------------------------------------------------------------


def without_cats(several: Sequence[str]) -> list[str]:
    """Captions in which the word cat is hidden."""
    return [" ".join(word for word in one.split() if word != "cat") for one in several]


def test_a_view_of_a_caption_depends_on_its_image_and_number_and_hides_what_it_must() -> None:
    content = [hashlib.sha256(name.encode()).hexdigest() for name in "ab"]
    wording = Wording.of(CaptionAugmentation(deletion=0.5), views=3, seed=0)
    line = "a red ball on the green grass near a cat"
    views = wording.captions([(line,), (line, "cat"), ()], [*content, content[0]], without_cats)
    assert [len(rows) for rows in views] == [3, 3, 3]
    assert len({rows[0] for rows in views} | {rows[1][:1] for rows in views}) == 6
    assert all(rows[1][1] == "cat" for rows in views)  # nothing would be left of it
    assert all(rows[2] == () for rows in views)
    words = {word for rows in views for one in (*rows[0], rows[1][0]) for word in one.split()}
    assert words <= set(line.split()) - {"cat"}
    again = Wording.of(CaptionAugmentation(deletion=0.5), views=1, seed=0)
    assert again.captions([(line,)], content[:1], without_cats)[0][0] == views[0][0]


def test_a_regression_sees_rows_and_views_at_once_and_an_mlp_one_view_in_each_epoch() -> None:
    train, val = both(20, missing=4, seed=0), both(10, missing=2, seed=1)
    views = (both(20, missing=4, seed=2), both(20, missing=4, seed=3))
    rows = fusion_heads.LearningRows(train, val, views, 2)
    linear, mlps = rows.populations(lambda one: one.joined_nf, fusion_heads.candidates(), seeds=[0])
    assert {spec.solver for spec in linear.specs} == {"lbfgs"}
    assert linear.data.train.x_nd.shape == (60, 8)
    assert torch.equal(linear.data.train.x_nd[20:40], views[0].joined_nf)
    assert torch.equal(linear.data.train.y_n, train.y_n.repeat(3))
    assert all(spec.augment for spec in mlps.specs)
    assert mlps.data.views_vnd is not None
    assert torch.equal(mlps.data.views_vnd[1], views[1].joined_nf)
    gated = fusion_heads.candidates(gate_at=2)
    (alone,) = rows.populations(lambda one: one.joined_nf, gated, seeds=[0])
    assert len(alone.specs) == len(gated)


def test_data_without_captions_is_refused(config: FuseConfig) -> None:
    (Path(config.data) / "metadata.csv").unlink()
    with pytest.raises(InputError, match="has no captions"):
        run(config)
    with pytest.raises(InputError, match="Captions are encoded by the text tower of one"):
        run(dataclasses.replace(config, encoder="demo+other"))


# --- the forms --------------------------------------------------------------------------------


def both(rows: int, *, missing: int, seed: int) -> ImageTextRows:
    random = torch.Generator().manual_seed(seed)
    has = torch.arange(rows) >= missing
    text = torch.randn(rows, 3, generator=random) * 100 + 7
    return ImageTextRows(
        torch.randn(rows, 4, generator=random) - 3, text * has[:, None], has, torch.arange(rows) % 2
    )


def test_both_blocks_weigh_the_same_and_a_missing_text_is_the_mean_text() -> None:
    train, val = fusion_heads.balanced(both(40, missing=10, seed=0), [both(20, missing=5, seed=1)])
    for block in (train.image_nd, train.text_ne[10:]):
        assert block.mean(0).abs().max() < 1e-4
        assert block.square().mean() == pytest.approx(1, abs=1e-4)
    assert not train.text_ne[:10].any()
    assert not val.text_ne[:5].any()
    assert train.joined_nf.shape == (40, 8)
    assert train.joined_nf[:, 7].sum() == 30
    nobody, _ = fusion_heads.balanced(both(10, missing=10, seed=0), [both(4, missing=4, seed=1)])
    assert torch.isfinite(nobody.joined_nf).all()


def said(name: str, right: list[bool], y: torch.Tensor, sure: float = 0.9) -> HeadOutput:
    """Two classes; right or wrong with the same confidence, one head."""
    p = torch.tensor([sure if one else 1 - sure for one in right])
    probability = torch.where(torch.arange(2) == y[:, None], p[:, None], 1 - p[:, None])[None]
    return HeadOutput(name, "", 0.0, probability, probability)


def test_late_fusion_is_on_validation_rows_never_worse_than_either_part() -> None:
    rows = both(8, missing=0, seed=0)
    image = said(IMAGE, [True] * 6 + [False] * 2, rows.y_n, sure=0.6)
    text = said(TEXT, [False] * 3 + [True] * 5, rows.y_n, sure=0.55)
    found, weight = fusion_heads.late_fusion(image, text, rows, rows, classes=2)
    parts = [
        fusion_heads.late_fusion(image, text, rows, rows, classes=2)[0].val_f1_macro,
        *(np.mean([True] * 6 + [False] * 2), np.mean([False] * 3 + [True] * 5)),
    ]
    assert found.val_f1_macro >= max(parts[1:]) - 1e-9
    assert 0 <= weight <= 1
    assert torch.allclose(found.test_snc.sum(-1), torch.ones(1, 8))


def test_a_row_without_a_text_is_the_images_whatever_the_weight() -> None:
    rows = both(6, missing=2, seed=0)
    image, text = said(IMAGE, [False] * 6, rows.y_n), said(TEXT, [True] * 6, rows.y_n)
    late, weight = fusion_heads.late_fusion(image, text, rows, rows, classes=2)
    assert weight > 0
    joined = fusion_heads.with_image_fallback(text, image, rows, rows, classes=2)
    for form in (late, joined):
        torch.testing.assert_close(form.test_snc[:, :2], image.test_snc[:, :2])
        assert (form.test_snc[:, 2:].argmax(2) == rows.y_n[2:]).all()


def test_what_is_advised_names_the_part_where_no_form_is_better() -> None:
    def said(effect: float, p: float, chosen: int = 2) -> str:
        ends = {"effect_low": effect - 0.04, "effect_high": effect + 0.04}
        row = {"effect": effect, **ends, "effect_p_holm": p}
        stub = SimpleNamespace(
            methods=[SimpleNamespace(name=name, how="") for name in (IMAGE, TEXT, LATE)],
            verdict=lambda one, other: f"{one} {other}.",
            could_show=lambda *_: "",
            row=lambda *_: row,
        )
        first = str(fuse.advice(stub, chosen=chosen, part=min(chosen, 1))).split("\n")[0]
        assert wording.count(first) <= wording.VERDICT
        return first

    assert said(0.0, 1.0, chosen=0) == f"Use {IMAGE}: no fusion is better on validation rows."
    assert said(0.01, 0.4) == f"No fusion is shown to beat {TEXT}: {LATE} +0.010 [-0.030, +0.050], p = 0.400."
    assert said(0.1, 0.01) == f"Use {LATE}: macro-F1 +0.100 [+0.060, +0.140] over {TEXT}, p = 0.010."
    assert said(-0.1, 0.01).startswith(f"Use {TEXT}: {LATE} is worse, macro-F1 -0.100")
    assert said(0.1, 0.06).startswith("No fusion is shown to beat")
