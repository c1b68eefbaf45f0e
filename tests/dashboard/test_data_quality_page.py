"""The page "Data quality": what its charts draw, what the store gives it, and what it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.charts import data_quality as charts
from dashboard.frames import data_quality
from dashboard.runs.store import Store
from dashboard.ui import state
from tests.support import synthetic_ablation, synthetic_runs
from tests.support.pages import Showing, active, open_page, restart, words
from tests.support.pages import charts as drawn
from trainer.tracking.schema import Artifact, Duplicates, Images, Kind, RunState, Tag

PAGE = "views/quality.py"


# --- frames and charts ------------------------------------------------------------------------


def images(values: list[float | None], split: str = "train") -> pd.DataFrame:
    n = len(values)
    return pd.DataFrame(
        {
            Images.SAMPLE_ID: [f"{split}/{i}" for i in range(n)],
            Images.SPLIT: split,
            Images.SHARPNESS: values,
            Images.WIDTH: 40.0,
            Images.HEIGHT: 30.0,
            Images.THUMBNAIL: pd.Series([None] * n, dtype=object),
        }
    )


@pytest.mark.parametrize("wide", [False, True])
def test_every_value_lies_in_a_bin_and_each_split_adds_up_to_one(wide: bool) -> None:
    rng = np.random.default_rng(0)
    frame = pd.concat([images([*rng.lognormal(3, 2, 300), None, 0.0]), images([7.0] * 5, "test")])
    bins = data_quality.histogram(frame, Images.SHARPNESS, wide=wide)
    assert bins.groupby("split")["n"].sum().to_dict() == {"train": 301, "test": 5}
    assert bins.groupby("split")["share"].sum().tolist() == pytest.approx([1, 1])
    assert (bins["low"] < bins["high"]).all()
    chart = charts.histogram(bins, title="sharpness", wide=wide).to_dict()
    names = chart["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert names == ["train (n = 301)", "test (n = 5)"]
    assert chart["layer"][0]["encoding"]["x"]["title"] == "sharpness"


def test_values_that_are_all_alike_are_one_bin() -> None:
    bins = data_quality.histogram(images([32.0] * 4), Images.SHARPNESS, wide=True)
    assert bins[["low", "high", "n"]].to_numpy().tolist() == [[31.5, 32.5, 4]]
    charts.histogram(bins, title="size", wide=True).to_dict()
    assert data_quality.histogram(images([None, None]), Images.SHARPNESS, wide=True).empty


def test_extremes_are_the_ends_and_images_that_can_be_seen_come_first_among_equals() -> None:
    frame = images([0.0, 0.0, 5.0, 9.0, None, 9.0])
    frame.loc[[1, 5], Images.THUMBNAIL] = b"webp"
    low, high = data_quality.extremes(frame, Images.SHARPNESS)
    assert low.index.tolist() == [1, 0]
    assert high.index.tolist() == [5, 3]


def test_size_is_the_shorter_side() -> None:
    assert data_quality.with_size(images([1.0]))[Images.SIZE].tolist() == [30.0]


def test_reasons_are_counted_without_their_particulars() -> None:
    told = [
        "not an image (begins with b'<')",
        "not an image (begins with b'x')",
        "too large: 9 x 9",
        "empty file",
    ]
    counted = data_quality.reasons(pd.DataFrame({"path": list("abcd"), "reason": told}))
    assert dict(zip(counted["reason"], counted["n"], strict=True)) == {
        "not an image": 2, "too large": 1, "empty file": 1,
    }  # fmt: skip


def test_duplicates_are_counted_leaks_first_and_only_where_there_are_some() -> None:
    pairs = pd.DataFrame(
        [("train", "train", Duplicates.SAME), ("test", "train", Duplicates.SAME), ("test", "train", "near")],
        columns=[Duplicates.SPLIT_A, Duplicates.SPLIT_B, Duplicates.KIND],
    )
    counts = data_quality.duplicate_counts(pairs, {"test/train": 4, "val/val": 2, "train/train": 0})
    assert counts.to_numpy().tolist() == [["test/train", 1, 4], ["val/val", 0, 2], ["train/train", 1, 0]]


def test_copies_with_different_labels_are_conflicts() -> None:
    frame = images([1.0] * 5).assign(label=["a", "b", "a", "", "b"])
    pairs = pd.DataFrame(
        [(0, 1, Duplicates.SAME), (0, 2, Duplicates.SAME), (0, 3, Duplicates.SAME), (0, 4, Duplicates.NEAR)],
        columns=["a", "b", Duplicates.KIND],
    )
    ids = frame[Images.SAMPLE_ID]
    pairs = pairs.assign(
        **{Duplicates.SAMPLE_ID_A: pairs["a"].map(ids), Duplicates.SAMPLE_ID_B: pairs["b"].map(ids)}
    )
    conflicts = data_quality.label_conflicts(data_quality.with_labels(pairs, frame))
    assert conflicts.to_numpy().tolist() == [["train/0", "a", "train/1", "b"]]


# --- store ------------------------------------------------------------------------------------


def test_extractions_are_listed_apart_from_sweeps(tracking_uri: str) -> None:
    sweep, extraction = synthetic_runs.sweep(tracking_uri), synthetic_runs.extraction(tracking_uri)
    store = Store(tracking_uri)
    assert [info.run_id for info in store.sweeps()] == [sweep]
    (info,) = store.of_kind(Kind.EXTRACTION)
    assert (info.run_id, info.kind, info.ours, info.state) == (
        extraction,
        Kind.EXTRACTION,
        True,
        RunState.DONE,
    )
    assert store.summary(extraction)["found"] == 65  # type: ignore[index]
    assert len(store.table(extraction, Artifact.QUARANTINE)) == 3  # type: ignore[arg-type]
    assert len(store.table(extraction, Artifact.IMAGES)) == 60  # type: ignore[arg-type]
    assert len(store.table(extraction, Artifact.DUPLICATES)) == 5  # type: ignore[arg-type]
    assert store.table(sweep, Artifact.QUARANTINE) is None


def test_many_extractions_do_not_hide_a_sweep(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.runs.store.NEWEST", 2)
    sweep = synthetic_runs.sweep(tracking_uri, started=1.7e9)
    for _ in range(3):
        synthetic_runs.extraction(tracking_uri)
    store = Store(tracking_uri)
    assert [info.run_id for info in store.sweeps()] == [sweep]
    assert len(store.of_kind(Kind.EXTRACTION)) == 2


# --- page -------------------------------------------------------------------------------------


def body(app: AppTest) -> str:
    assert not app.exception, app.exception[0].message
    return words(app)


def test_the_page_accounts_for_everything_and_shows_leaks_first(showing: Showing) -> None:
    showing(synthetic_runs.extraction)
    app = open_page(PAGE)
    said = body(app)
    assert "**60 of 65 files used, 3 unusable, 1 label conflict, 3 duplicates, 4 near-duplicates**" in said
    assert "65 found = 60 used + 3 unusable + 2 dropped duplicates" in said
    assert len(drawn(app)) == 2  # classes, and the chosen measure
    tables = [table.value for table in app.dataframe]
    assert tables[0]["n"].tolist() == [2, 1]
    assert len(tables[1]) == 3
    assert tables[2]["between"].tolist() == ["test/train", "train/train"]
    assert "cosine 0.990" in said
    assert "1 pair of identical files with different labels" in said
    conflicts = tables[3]
    assert conflicts.drop(columns="image").to_numpy().tolist() == [["digit-0000", "0", "digit-0002", "2"]]
    assert conflicts["image"].str.startswith("data:image/webp;base64,").all()
    assert "same bytes; labels differ" not in said  # the pair is in train/train
    assert "4 .heic, 1 .dcm" in said
    assert len(app.get("image")) >= 2 * 2 + 16


@pytest.mark.parametrize("measure", Images.SHOWN)
def test_every_measure_can_be_chosen(showing: Showing, measure: str) -> None:
    showing(synthetic_runs.extraction)
    app = open_page(PAGE)
    app.segmented_control(key="measure").set_value(measure).run()
    assert f"{measure.capitalize()} of 60 images" in body(app)
    assert drawn(app)


def test_a_hostile_extraction_renders_no_markdown(showing: Showing) -> None:
    showing(synthetic_runs.extraction, hostile=True)
    app = open_page(PAGE)
    body(app)
    for node in [*app.markdown, *app.caption, *app.header, *app.subheader]:
        assert "](http" not in active(node.value)
        assert "<img" not in active(node.value)
    for image in app.get("image"):
        for picture in image.proto.imgs:  # its alternative text is an attribute, and never rendered
            assert "](http" not in active(picture.caption)


def test_without_an_extraction_the_page_gives_the_command(showing: Showing) -> None:
    showing(synthetic_runs.sweep)
    assert "python -m trainer.extract" in body(open_page(PAGE))


def test_an_extraction_alone_leaves_the_other_pages_at_their_first_visit(showing: Showing) -> None:
    showing(synthetic_runs.extraction)
    assert "make demo" in body(open_page("views/home.py"))


def test_a_sweep_that_quarantined_files_shows_that_part(uri: str, tmp_path: Path) -> None:
    run_id = synthetic_runs.sweep(uri)
    (trials,) = (tmp_path / "artifacts").rglob(Artifact.TRIALS)
    synthetic_runs.quarantine().to_parquet(trials.with_name(Artifact.QUARANTINE))
    app = open_page(PAGE)
    assert app.session_state[state.REPORT] == run_id
    assert "3 files unusable" in body(app)
    assert "python -m trainer.extract" in words(app)


def test_an_extraction_without_images_says_so(showing: Showing) -> None:
    showing(synthetic_runs.extraction, measured=False)
    assert "No images were measured" in body(open_page(PAGE))


def test_clean_data_are_said_to_be_clean(uri: str, tmp_path: Path) -> None:
    synthetic_runs.extraction(uri)
    for name in (Artifact.QUARANTINE, Artifact.DUPLICATES):
        (path,) = (tmp_path / "artifacts").rglob(name)
        pd.read_parquet(path).head(0).to_parquet(path)
    (path,) = (tmp_path / "artifacts").rglob(Artifact.SUMMARY)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"near_duplicates": {}}))
    said = body(open_page(PAGE))
    assert "All files readable" in said
    assert "No duplicates or near-duplicates" in said


def test_label_conflicts_without_images_are_a_table_of_names(uri: str, tmp_path: Path) -> None:
    synthetic_runs.extraction(uri)
    (path,) = (tmp_path / "artifacts").rglob(Artifact.IMAGES)
    pd.read_parquet(path).assign(**{Images.THUMBNAIL: None}).to_parquet(path)
    app = open_page(PAGE)
    body(app)
    assert app.dataframe[3].value.columns.tolist() == ["sample_id_a", "label_a", "sample_id_b", "label_b"]


def test_an_extraction_that_was_cut_short_says_so(uri: str, tmp_path: Path) -> None:
    run_id = synthetic_runs.extraction(uri)
    shutil.rmtree(next((tmp_path / "artifacts").rglob(Artifact.SUMMARY)).parent)
    synthetic_runs.MlflowClient(uri).update_run(run_id, status="RUNNING")
    assert "recorded no summary" in body(open_page(PAGE))


def test_a_link_opens_the_extraction_that_it_names(uri: str) -> None:
    old = synthetic_runs.extraction(uri, name="the old one", started=1.7e9)
    synthetic_runs.extraction(uri, name="the new one")
    assert open_page(PAGE, report=old).session_state[state.REPORT] == old


def test_labels_of_an_ablation_on_other_rows_are_not_in_doubt_here(uri: str) -> None:
    client = synthetic_runs.MlflowClient(uri)
    run_id, ablated = synthetic_runs.extraction(uri), synthetic_ablation.ablation(uri)
    client.set_tag(ablated, Tag.DATA, "path/to/digits")
    assert "with the lowest probability p of their label" in words(open_page(PAGE))
    client.set_tag(run_id, Tag.DIGEST, "a")
    client.set_tag(ablated, Tag.DIGEST, "a, with planted damage")
    restart()
    said = words(open_page(PAGE))
    assert "with the lowest probability" not in said
    assert "used other rows" in said


@pytest.mark.parametrize("label", ["", "images"])
def test_a_folder_without_classes_is_said_to_have_none(uri: str, label: str) -> None:
    """All images in one folder: its name is no class."""
    run_id = synthetic_runs.extraction(uri)
    run = synthetic_runs.MlflowClient(uri).get_run(run_id)
    path = synthetic_runs.folder_of(run.info.artifact_uri) / Artifact.IMAGES
    pd.read_parquet(path).assign(**{Images.LABEL: label}).to_parquet(path)
    told = words(open_page("views/quality.py"))
    assert "No classes: a folder per class" in told
    assert "no label" in told  # below the images
