"""The best head as MLflow serves it: by itself, from any folder, without a pickle."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import invocations
from PIL import Image

from tests.support.image_files import encoded, noise
from tests.support.trained_sweep import CLASSES, Answering
from trainer.serving import pyfunc
from trainer.serving.packaging import registered_name
from trainer.serving.predictor import Predictor, read_head
from trainer.serving.pyfunc import ServedModel
from trainer.tracking.reader import RunFiles
from trainer.tracking.schema import Artifact, Tag

START_WITHIN_S = 120


@pytest.fixture(scope="module")
def server(answering: Answering, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of a sweep's head."""
    with serving(answering.uri, answering.model_uri, tmp_path_factory.mktemp("nowhere")) as address:
        yield address


@contextmanager
def serving(uri: str, model_uri: str, folder: Path) -> Iterator[str]:
    """``mlflow models serve``, begun where none of our code is, with pickles forbidden."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bin_folder = Path(sys.executable).parent  # mlflow starts uvicorn by its name
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-P", "-m", "mlflow", "models", "serve", "-m", model_uri]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/ping", process, folder / "log")
        yield address
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"The server did not start:\n{log.read_text()[-3000:]}")


def ask(address: str, rows: list[dict[str, str]], **params: int) -> list[dict]:
    body = json.dumps({"dataframe_records": rows, "params": params}).encode()
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.loads(answer.read(), parse_constant=pytest.fail)["predictions"]  # no NaN in JSON


def image(path: Path) -> dict[str, str]:
    return {"image": base64.b64encode(path.read_bytes()).decode()}


@pytest.mark.slow
def test_a_server_answers_an_image_as_the_sweep_did(server: str, answering: Answering) -> None:
    recorded = answering.probabilities()["red/3.png"]
    (told,) = ask(server, [image(answering.images / "red" / "3.png")], top_k=2)
    assert np.abs(np.array(told["probabilities"]) - recorded).max() < 1e-5
    assert len(told["top_k"]) == 2
    assert told["top_k"][0] == {"label": told["label"], "probability": told["confidence"]}
    assert told["label"] in CLASSES
    assert told["error"] == ""


@pytest.mark.slow
def test_a_bad_image_is_named_beside_the_answers_to_the_others(server: str, answering: Answering) -> None:
    good = image(answering.images / "red" / "0.png")
    first, bad, last = ask(server, [good, {"image": base64.b64encode(b"<html>").decode()}, good])
    assert first == last
    assert "not an image" in bad["error"]
    assert bad["label"] is bad["confidence"] is bad["probabilities"] is None


@pytest.mark.slow
def test_a_server_reads_no_file_that_a_client_names(server: str, answering: Answering) -> None:
    (told,) = ask(server, [{"path": str(answering.images / "red" / "0.png")}])
    assert told["label"] is None
    assert "reads no paths" in told["error"]


@pytest.mark.slow
def test_a_server_answers_with_a_fine_tuned_encoder_that_is_nowhere_else(
    finetuned: tuple[str, str], tmp_path: Path
) -> None:
    uri, run_id = finetuned
    run = MlflowClient(uri).get_run(run_id)
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    model_uri = json.loads((folder / Artifact.SUMMARY).read_text())["model_uri"]
    table = pd.read_parquet(folder / Artifact.PREDICTIONS)
    rows = table[table["head"] == "best"].head(3)
    images = [image(Path(run.data.tags[Tag.DATA]) / name) for name in rows["sample_id"]]
    with serving(uri, model_uri, tmp_path) as address:
        told = ask(address, images)
    for one, recorded, label in zip(told, rows["probs"], rows["pred"], strict=True):
        assert np.abs(np.array(one["probabilities"]) - recorded).max() < 1e-5
        assert one["label"] == label


def test_the_model_is_registered_carries_its_encoder_and_holds_no_pickle(answering: Answering) -> None:
    name, number = answering.model_uri.removeprefix("models:/").split("/")
    registered = MlflowClient(answering.uri).get_model_version(name, number)
    assert registered.run_id == answering.run_id
    model = answering.folder / "model"
    files = {str(path.relative_to(model)) for path in model.rglob("*") if path.is_file()}
    assert {"MLmodel", "data/head/head.safetensors", "data/head/encoder/model.safetensors"} <= files
    assert "code/trainer/serving/pyfunc.py" in files
    known = {".py", ".json", ".safetensors", ".yaml", ".txt"}
    others = {name for name in files if Path(name).suffix not in known}
    assert others <= {"MLmodel", "registered_model_meta"}  # text; MLflow notes the second when it loads one


@pytest.mark.parametrize("study", ["a/b:c", "…", "../..", "x" * 400, "plain-1.2_3"])
def test_any_study_has_a_name_that_the_registry_takes(tracking_uri: str, study: str) -> None:
    client = MlflowClient(tracking_uri)
    client.create_registered_model(registered_name(study))
    assert client.search_registered_models(f"name = '{registered_name(study)}'")


# --- in process -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(answering: Answering) -> ServedModel:
    return ServedModel(Predictor.from_folder(answering.folder / "model" / "data" / "head", device="cpu"))


@pytest.fixture(scope="module")
def loaded(answering: Answering) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(answering.folder / "model"))


def test_rows_have_bytes_or_paths_or_say_that_they_have_neither(
    served: ServedModel, answering: Answering, tmp_path: Path
) -> None:
    path = answering.images / "red" / "0.png"
    rows = pd.DataFrame(
        {"image": [path.read_bytes(), None, None, float("nan")], "path": [None, str(path), None, ""]}
    )
    told = served.predict(rows, {"top_k": 1})
    assert told["label"].tolist()[0] == told["label"].tolist()[1]
    assert told["error"].tolist() == ["", "", pyfunc.NOTHING, pyfunc.NOTHING]
    assert told[pyfunc.SET][0][0] == told["label"][0]  # a set begins with the most probable class
    assert told[pyfunc.IS_OOD].tolist()[0] in (True, False)
    assert np.isfinite(told[pyfunc.SCORE][0])
    assert told[pyfunc.SCORE].tolist()[2] is None
    assert len(served.predict(pd.DataFrame({"image": []}))) == 0


def test_an_image_may_come_as_base64_of_any_kind(served: ServedModel, answering: Answering) -> None:
    read = (answering.images / "red" / "0.png").read_bytes()
    plain = base64.b64encode(read).decode()
    ways = [
        *(read, plain, plain.rstrip("="), base64.urlsafe_b64encode(read).decode()),
        *(base64.encodebytes(read).decode(), f"data:image/png;base64,{plain}", f"{{'b64': '{plain}'}}"),
    ]
    told = served.predict(pd.DataFrame({"image": ways}))
    assert told["error"].tolist() == [""] * len(ways)
    assert len({tuple(one) for one in told["probabilities"]}) == 1


@pytest.mark.parametrize("text", ["red/0.png", "http://a/b.png", "data:image/png,abc", "é"])
def test_text_that_is_no_image_is_told_what_was_expected(served: ServedModel, text: str) -> None:
    (error,) = served.predict(pd.DataFrame({"image": [text]}))["error"]
    assert "not base64" in error or "not an image" in error


@pytest.mark.parametrize(
    "payload",
    [
        {"dataframe_records": [{"image": "IMAGE"}, {"image": "IMAGE"}]},
        {"dataframe_records": [{"image": "URL"}, {"image": "IMAGE"}]},
        {"dataframe_split": {"columns": ["image"], "data": [["IMAGE"], ["URL"]]}},
        {"instances": [{"image": "IMAGE"}, {"image": "URL"}]},
        {"instances": [{"image": {"b64": "IMAGE"}}, {"image": {"b64": "IMAGE"}}]},
        {"inputs": {"image": ["IMAGE", "URL"]}},
        {"dataframe_records": [{"picture": "IMAGE"}, {"picture": "IMAGE"}]},
        {"instances": ["IMAGE", "IMAGE"]},
        {"inputs": ["IMAGE"]},
        {"dataframe_records": []},
    ],
)
def test_every_payload_of_mlflow_is_answered_row_by_row_or_refused_with_a_sentence(
    loaded: mlflow.pyfunc.PyFuncModel, answering: Answering, payload: dict
) -> None:
    plain = image(answering.images / "red" / "0.png")["image"]
    text = json.dumps(payload).replace("IMAGE", plain).replace("URL", f"data:image/png;base64,{plain}")
    schema = loaded.metadata.get_input_schema()
    answerable = '"image"' in text
    if not answerable:
        with pytest.raises(MlflowException, match="no row with 'image' or 'path'") as refused:
            invocations(text.encode(), "application/json", loaded, schema)
        assert refused.value.get_http_status_code() == 400
        return
    answer = invocations(text.encode(), "application/json", loaded, schema)
    assert answer.status == 200
    first, second = json.loads(answer.response)["predictions"]
    assert first == second
    assert first["error"] == ""


def test_a_server_may_be_given_one_folder(
    served: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    for folder in (allowed, tmp_path):
        (folder / "a.png").write_bytes(encoded(noise(1)))
    (allowed / "link.png").symlink_to(tmp_path / "a.png")
    monkeypatch.setenv(pyfunc.IN_A_SERVER, "model")
    monkeypatch.setenv(pyfunc.FOLDER, str(allowed))
    paths = [allowed / "a.png", tmp_path / "a.png", allowed / ".." / "a.png", allowed / "link.png"]
    told = served.predict(pd.DataFrame({"path": [str(path) for path in paths]}))
    assert [bool(error) for error in told["error"]] == [False, True, True, True]


def test_a_head_knows_what_its_record_says(answering: Answering) -> None:
    card = (answering.folder / "head" / "head.json").read_bytes()
    recorded = read_head(card, (answering.folder / "head" / "head.safetensors").read_bytes())
    assert recorded.classes == tuple(sorted(CLASSES))
    (used,) = recorded.encoders
    assert (used.name, used.dtype) == ("demo", "float32")


def test_a_16_bit_image_is_read_with_the_bits_of_the_training_images(answering: Answering) -> None:
    files = RunFiles(answering.uri, answering.run_id)
    recorded = read_head(files.read(Artifact.HEAD_CARD), files.read(Artifact.HEAD_WEIGHTS))
    assert recorded.bits is None  # it learned from images of 8 bits
    grey = noise(3)[..., 0]
    plain, dark = (encoded(Image.fromarray(one)) for one in (grey, np.uint16(grey) * 16))
    answers = {
        bits: Predictor(dataclasses.replace(recorded, bits=bits)).predict([dark, plain]).probabilities_nc
        for bits in (None, 12, 16)
    }
    for bits, (of_dark, of_plain) in answers.items():
        assert np.allclose(of_dark, of_plain, atol=0.05) == (bits != 16)
    too_bright = encoded(Image.fromarray(np.uint16(grey) * 256))
    assert (
        "uses 12 bits" in Predictor(dataclasses.replace(recorded, bits=12)).predict([too_bright]).reasons[0]
    )


def test_good_rows_are_answered_among_bad_ones_of_every_kind(
    served: ServedModel, answering: Answering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("a served model reached for the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setenv(pyfunc.FOLDER, str(answering.images))
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    good = (answering.images / "red" / "0.png").read_bytes()
    bad_images = [
        *(b"<html>", b"\x00" * 9, good[:50], "junk!", "http://a/b.png", "https://a/b.png", "data:,x", "AAAA"),
        *("file:///etc/passwd", "/etc/passwd", 5, 2.5, True, [1], {"b64": 1}, None, float("nan"), "", b""),
        *("\ud800", "=" * 99, "A", "data:image/png;base64,http://a"),
    ]
    inside = str(answering.images)
    bad_paths = [
        *("/etc/passwd", "../../etc/passwd", f"{inside}/../x.png", "http://a/b.png", "a\x00b", "x" * 9000),
        *(str(tmp_path / "pipe.png"), str(tmp_path / "loop.png"), inside, f"{inside}/none.png", 7, None),
        *("\ud800", "", "/dev/zero", "/proc/self/environ", f"{inside}/red/0.png/x"),
    ]
    rows = [{"image": one, "path": None} for one in bad_images]
    rows += [{"image": None, "path": one} for one in bad_paths]
    mixed = [one for row in rows for one in (row, {"image": good, "path": None})]
    told = served.predict(pd.DataFrame(mixed, dtype=object))
    errors = told["error"].tolist()
    assert errors[1::2] == [""] * len(rows)
    assert all(errors[::2])
    assert told["label"].tolist()[::2] == [None] * len(rows)
    assert len({tuple(one) for one in told["probabilities"][1::2]}) == 1


@pytest.mark.slow
def test_a_long_request_is_answered_as_its_rows_are(served: ServedModel, answering: Answering) -> None:
    files = list(map(str, sorted(answering.images.rglob("*.png"))[:50]))
    alone = served.predict(pd.DataFrame({"path": files}))
    told = served.predict(pd.DataFrame({"path": [*files, "none.png"] * 12}))
    assert told["label"].tolist() == [*alone["label"], None] * 12
    assert told["confidence"].tolist() == [*alone["confidence"], None] * 12
