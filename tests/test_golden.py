"""What an earlier version wrote and named goes on to work: `tests/golden` holds a store, a model and names.

`tests/golden/make.py` tells how these were made. They are never made anew: a test that fails here says that
people's stores, cached vectors, models or scripts would not work any more as they did.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

GOLDEN = Path(__file__).resolve().parent / "golden"
REPO = GOLDEN.parents[1]
PLACE = "/yesterday"  # stands for the folder of the store, where MLflow keeps absolute paths
VALUES = json.loads((GOLDEN / "values.json").read_text())
ANSWER = json.loads((GOLDEN / "model_answers.json").read_text())
CONFIGS = {
    "sweep": "SweepConfig",
    "ablate": "AblateConfig",
    "verify": "VerifyConfig",
    "zeroshot": "ZeroShotConfig",
    "fuse": "FuseConfig",
    "encoders": "EncodersConfig",
    "finetune": "FinetuneConfig",
    "extract": "ExtractConfig",
}
PAGES = {  # page → which run it opens, and the parameter of the address that says so
    "home": ("pictures", "run"),
    "curves": ("pictures", "run"),
    "hyperparameters": ("two classes", "run"),
    "confusion": ("pictures", "run"),
    "embeddings": ("fine-tuning", "run"),
    "twoclass": ("two classes", "run"),
    "tryit": ("pictures", "run"),
    "ablation": ("ablation", "ablation"),
    "verification": ("verification", "verification"),
    "zeroshot": ("zero-shot", "zero_shot"),
    "fusion": ("fusion", "fusion"),
    "encoders": ("encoders", "encoders"),
    "quality": ("extraction", "report"),
}
OTHER_CHOICES = {"tryit": {"source": "a test row"}}

# --- our own code, which may move: nothing else here imports it ---------------------------------


def config_of(command: str, words: Sequence[str]) -> Any:
    """The settings that a command makes of the words behind it."""
    import tyro

    module = importlib.import_module(f"trainer.{command}")
    return tyro.cli(getattr(module, CONFIGS[command]), args=list(words))


def run_again(command: str, config: Any) -> dict[str, Any]:
    return importlib.import_module(f"trainer.{command}").run(config)


def command_line(command: str, config: Any, **changed: str) -> str:
    from trainer.core.config import command_line

    return command_line(f"trainer.{command}", config, **changed)


def digest_of(data: str) -> str:
    from trainer.data.load import load

    return load(data, seed=0).digest


def key_of(name: str, cache_dir: Path) -> dict[str, str]:
    """The key of the built-in encoder that ``name`` describes, and the folder of its vectors."""
    from trainer.features.hub import resolve
    from trainer.features.image_augmentation import Augmentation, AugmentationSpec
    from trainer.features.key import encoder_key, text_encoder_key
    from trainer.features.store import FeatureStore

    space, dtype, *view = name.split(", ")
    how: dict[str, Any] = {"dtype": dtype, "cache_dir": cache_dir}
    if space == "text":
        key = text_encoder_key(resolve("demo"), **how)
    else:
        number = int(view[0].removeprefix("view "))
        augmentation = AugmentationSpec(Augmentation(), seed=0)
        key = encoder_key(resolve("demo"), space=space, view=number, augmentation=augmentation, **how)  # type: ignore[arg-type]
    return {"digest": key.digest, "folder": FeatureStore(cache_dir / "features", key).folder.name}


def identity_of(config: Any) -> dict[str, Any]:
    """What a sweep with these settings records as what must not change."""
    from trainer.core.stopwatch import Stopwatch
    from trainer.experiments.hardware import Plan
    from trainer.experiments.inputs import encoder_settings, read_features
    from trainer.experiments.sweep.run import Sweep
    from trainer.experiments.sweep.validation import folds_of, plan_validation
    from trainer.search.space import load_space

    features = read_features(config, encoder_settings(config, "cpu"), to_train=True)
    space = load_space(config.space, views=config.views)
    validation = plan_validation(config, features.manifest, None)
    folds = folds_of(features, validation, "cpu")
    sweep = Sweep(config, Plan.of(config), features, folds, space, validation, Stopwatch())
    return json.loads(json.dumps(sweep.identity()))


# --- the store ----------------------------------------------------------------------------------


def unpacked(folder: Path) -> str:
    """The store of yesterday in ``folder``; its address."""
    with tarfile.open(GOLDEN / "store.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)", [f"file://{PLACE}", folder.as_uri()]
            )
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yesterday's store, which no test changes."""
    folder = tmp_path_factory.mktemp("yesterday").resolve()
    unpacked(folder)
    return folder


@pytest.fixture
def inside(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with the working directory in it, as commands had it, and its database as the usual one."""
    monkeypatch.chdir(store)
    monkeypatch.setenv("HEADROOM_TRACKING_URI", f"sqlite:///{store / 'mlflow.db'}")
    return store


def recorded_words(study: str) -> tuple[str, list[str]]:
    """The command that made a run, and the words behind it."""
    python, flag, module, *words = shlex.split(VALUES["recorded"][study])
    assert (python, flag) == ("python", "-m")
    return module.removeprefix("trainer."), words


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_a_run_that_an_earlier_version_wrote(inside: Path, page: str) -> None:
    from streamlit.testing.v1 import AppTest

    from tests.support.pages import nobody_looking, restart

    restart()
    study, parameter = PAGES[page]
    run_id = VALUES["runs"][study]
    app = AppTest.from_file(str(REPO / "dashboard" / "Home.py"), default_timeout=300)
    app.query_params[parameter] = run_id
    for name, value in OTHER_CHOICES.get(page, {}).items():
        app.query_params[name] = value
    if page != "home":
        app.switch_page(f"views/{page}.py")
    with nobody_looking():
        app.run()
    assert not app.exception, app.exception[0].message
    assert not app.error, app.error[0].value
    assert app.header or app.title
    assert app.session_state["opened"] == ("" if page == "home" else page)
    assert not app.toast  # which says that a run is not in the store
    assert app.get("vega_lite_chart"), page
    assert app.query_params[parameter] in (run_id, [run_id])


def test_every_table_of_an_earlier_store_is_where_its_run_says(inside: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(os.environ["HEADROOM_TRACKING_URI"])
    for study, run_id in VALUES["runs"].items():
        run = client.get_run(run_id)
        folder = Path(run.info.artifact_uri.removeprefix("file://"))
        tables = sorted(folder.glob("*.parquet"))
        assert run.info.status == "FINISHED"
        assert folder.is_relative_to(inside)
        assert (folder / "summary.json").is_file(), study
        assert tables, study
        assert all(len(pd.read_parquet(table).columns) for table in tables)


def test_a_sweep_of_an_earlier_version_is_resumed_by_the_command_that_it_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    folder = tmp_path.resolve()
    uri = unpacked(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HEADROOM_TRACKING_URI", uri)
    (folder / "space.yaml").write_text("width: {choice: [8]}\nepochs: 4\n")
    run_id = VALUES["runs"]["pictures"]
    before = MlflowClient(uri).get_run(run_id)
    command, words = recorded_words("pictures")
    figures = run_again(command, config_of(command, words))
    after = MlflowClient(uri).get_run(run_id)
    assert figures["mlflow_run_id"] == run_id
    assert figures["trials"] == 6
    assert figures["best_val_f1_macro"] == before.data.metrics["best_val_f1_macro"]
    assert figures["encoder_calls"] > 0  # the cache was empty: the key is the recorded one all the same
    assert after.info.status == "FINISHED"
    assert after.data.metrics == before.data.metrics
    of_who_writes = {"headroom.heartbeat", "headroom.writer"}  # of each process that opens the run
    assert {k: v for k, v in after.data.tags.items() if k not in of_who_writes} == {
        k: v for k, v in before.data.tags.items() if k not in of_who_writes
    }


# --- the model ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that a sweep of an earlier version logged."""
    folder = tmp_path_factory.mktemp("model")
    with tarfile.open(GOLDEN / "model.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    return folder / "model"


def assert_answered(label: str, probabilities: Sequence[float]) -> None:
    assert label == ANSWER["label"]
    np.testing.assert_allclose(probabilities, ANSWER["probabilities"], atol=1e-4)


def test_a_model_of_an_earlier_version_answers_with_the_code_of_today(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow.pyfunc

    import trainer

    assert Path(str(trainer.__file__)).is_relative_to(REPO)
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the model's own code there
    loaded = mlflow.pyfunc.load_model(str(model))
    told = loaded.predict(pd.DataFrame({"path": [str(GOLDEN / ANSWER["picture"])]})).iloc[0]
    assert Path(str(sys.modules["trainer.serving"].__file__)).is_relative_to(REPO)
    assert told["error"] == ""
    assert_answered(told["label"], told["probabilities"])
    assert sorted(one["label"] for one in told["top_k"]) == ANSWER["classes"]


@pytest.mark.slow
def test_a_model_of_an_earlier_version_answers_by_itself_in_a_process_of_its_own(
    model: Path, tmp_path: Path
) -> None:
    script = """
import json, sys
import mlflow.pyfunc, pandas as pd
told = mlflow.pyfunc.load_model(sys.argv[1]).predict(pd.DataFrame({"path": [sys.argv[2]]})).iloc[0]
import trainer
answer = {"code": trainer.__file__, "label": told["label"], "probabilities": list(told["probabilities"])}
print(json.dumps(answer))
"""
    words = [sys.executable, "-P", "-c", script, str(model), str(GOLDEN / ANSWER["picture"])]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert Path(told["code"]).is_relative_to(model)
    assert_answered(told["label"], told["probabilities"])


# --- names --------------------------------------------------------------------------------------


def test_vectors_that_were_cached_are_found_under_their_key(tmp_path: Path) -> None:
    assert {name: key_of(name, tmp_path) for name in VALUES["keys"]} == VALUES["keys"]


@pytest.mark.parametrize("data", VALUES["digests"])
def test_the_same_data_has_the_same_digest(inside: Path, data: str) -> None:
    assert digest_of(data) == VALUES["digests"][data]


def test_a_sweep_takes_itself_for_the_same_as_before(inside: Path) -> None:
    now, before = identity_of(config_of(*recorded_words("two classes"))), VALUES["identity"]
    assert set(now) > set(before)
    changed = {name for name in before if now[name] != before[name]}
    assert changed == {"space: solver"}  # and a study of before goes on with what it began with: see above


@pytest.mark.parametrize("command", VALUES["commands"])
def test_a_command_is_recorded_word_for_word_as_before(command: str) -> None:
    before = VALUES["commands"][command]
    config = config_of(command, before["flags"])
    named = {"study": "a study: it's mine"} if hasattr(config, "study") else {}
    recorded = command_line(command, config, **named)
    assert recorded == before["command"]
    again = config_of(command, shlex.split(recorded)[3:])
    assert again == (dataclasses.replace(config, **named) if named else config)


@pytest.mark.parametrize("study", VALUES["recorded"])
def test_a_command_on_record_is_understood_and_would_be_recorded_the_same(inside: Path, study: str) -> None:
    from mlflow import MlflowClient

    tags = MlflowClient(os.environ["HEADROOM_TRACKING_URI"]).get_run(VALUES["runs"][study]).data.tags
    assert VALUES["recorded"][study] in tags.values()
    command, words = recorded_words(study)
    assert command_line(command, config_of(command, words)) == VALUES["recorded"][study]


@pytest.mark.parametrize("command", VALUES["flags"])
def test_help_names_the_flags_their_choices_and_defaults_of_before(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADROOM_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    module, *rest = command.split()
    words = [sys.executable, "-m", f"trainer.{module}", *rest, "--help"]
    told = subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=True).stdout
    before = VALUES["flags"][command]
    assert without_choices(before) <= without_choices(flags_in(told))  # others may have come
    known = choices_of(flags_in(told))
    for name, choices in choices_of(before).items():
        assert choices <= known[name], name


CHOICES = re.compile(r"\{([^{}]*)\}")


def without_choices(flags: Sequence[str]) -> set[str]:
    """Flags with their defaults; which choices they have is not in it."""
    return {CHOICES.sub("{}", flag) for flag in flags}


def choices_of(flags: Sequence[str]) -> dict[str, set[str]]:
    """By what a flag is called, its choices."""
    return {
        CHOICES.sub("{}", flag): set(found[1].split(","))
        for flag in flags
        if (found := CHOICES.search(flag)) is not None
    }


def flags_in(told: str) -> list[str]:
    """One line for each flag in a help text: names, kind or choices, default. Sorted."""
    flags: list[str] = []
    for line in told.splitlines():
        inside = re.fullmatch(r"│ (.*?)\s*│", line)
        if inside is None:
            continue
        if re.match(r"-|\[\[", inside[1]):
            flags.append(inside[1])
        elif inside[1].startswith("  ") and flags:
            flags[-1] += "  " + inside[1].strip()
    found = []
    for flag in flags:
        name, _, about = flag.partition("  ")
        default = re.findall(r"\(default: ([^()]*)\)|\((required)\)", about)
        found.append(f"{name} = {default[-1][0] or default[-1][1]}" if default else name)
    return sorted(one.replace(str(REPO), "CHECKOUT") for one in found)
