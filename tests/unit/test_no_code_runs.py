"""Nothing that is read runs: no code in a data or model folder, no pickle, no tag of YAML."""

from __future__ import annotations

import ast
import json
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.image_files import class_folders, encoded, noise
from tests.support.paths import REPO
from trainer.core.errors import InputError
from trainer.data.decode import DecodeError, decode
from trainer.data.load import load
from trainer.features.encoder import ImageEncoder
from trainer.features.prompts import read_class_names
from trainer.features.text_encoder import Tokens
from trainer.search.space import load_space

UNPICKLERS = {
    "pickle",
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "jsonpickle",
    "skops",
}
RUNNERS = {"eval", "exec", "os.system", "os.popen", "pd.read_pickle", "yaml.load", "yaml.unsafe_load"}
PYTHON = "import os\nos.mkdir({trace!r})\nclass Trap: ...\n"
AUTO_MAP = {
    **{f"Auto{kind}": "trap.Trap" for kind in ("Config", "Model", "ImageProcessor", "Processor")},
    "AutoTokenizer": ["trap.Trap", "trap.Trap"],
}


class Touches:
    """Unpickled carelessly, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The folder that each trap would make."""
    return tmp_path / "trace"


def test_code_in_a_model_folder_is_never_run(model: Path, trace: Path) -> None:
    (model / "trap.py").write_text(PYTHON.format(trace=str(trace)))
    for name in ("config.json", "preprocessor_config.json", "tokenizer_config.json"):
        told = json.loads((model / name).read_text()) if (model / name).exists() else {}
        (model / name).write_text(json.dumps(told | {"auto_map": AUTO_MAP}))
    for use in (lambda: ImageEncoder(model, device="cpu"), lambda: Tokens(model)):
        with suppress(InputError):  # refused, or read without the code
            use()
    assert not trace.exists()


@pytest.mark.parametrize("writer", ["pickle", "torch", "torch_legacy"])
def test_a_pickle_in_place_of_an_encoders_weights_is_refused_and_not_run(
    model: Path, trace: Path, writer: str
) -> None:
    (model / "model.safetensors").unlink()
    weights = model / "pytorch_model.bin"
    if writer == "pickle":
        weights.write_bytes(pickle.dumps({"x": Touches(trace), "y": bytes(200_000)}, protocol=2))
    else:  # as large as the weights would be
        content = {"x": Touches(trace), "y": torch.zeros(50_000)}
        torch.save(content, weights, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(InputError, match=r"cannot be loaded"):
        ImageEncoder(model, device="cpu")
    assert not trace.exists()


def test_objects_in_ready_features_are_refused_and_not_unpickled(tmp_path: Path, trace: Path) -> None:
    file = tmp_path / "features.npz"
    np.savez(file, train_x=np.ones((4, 2), np.float32), train_y=np.array([Touches(trace)] * 4, dtype=object))
    with pytest.raises(InputError, match="no Python objects"):
        load(str(file), seed=0)
    assert not trace.exists()
    with np.load(file, allow_pickle=True) as archive:  # the trap is a real one
        assert archive["train_y"].shape == (4,)
    assert trace.exists()


def test_code_in_a_data_folder_is_never_run(tmp_path: Path, trace: Path) -> None:
    folder = class_folders(tmp_path / "images", {"a": 3, "b": 3})
    for name in ("images.py", "__init__.py", "setup.py", "conftest.py", "a/loader.py"):
        (folder / name).write_text(PYTHON.format(trace=str(trace)))
    assert len(load(str(folder), seed=0)) == 6
    assert not trace.exists()


@pytest.mark.parametrize(
    "read",
    [lambda file: load_space(file), lambda file: read_class_names(file, ["a", "b", "c"])],
    ids=["search space", "class names"],
)
def test_a_tag_of_yaml_that_calls_a_function_is_refused(
    tmp_path: Path, trace: Path, read: Callable[[Path], object]
) -> None:
    file = tmp_path / "given.yaml"
    file.write_text(f"lr: !!python/object/apply:os.mkdir [{str(trace)!r}]\n")
    with pytest.raises(InputError, match=r"given\.yaml"):
        read(file)
    assert not trace.exists()


def test_an_image_that_pillow_would_start_a_program_for_is_refused() -> None:
    file = encoded(Image.fromarray(noise(0)), kind="EPS")
    with pytest.raises(DecodeError, match="PostScript"):
        decode(file)


def faults(tree: ast.AST) -> set[str]:
    """What in a source could run what it reads."""
    found = set()
    for node in ast.walk(tree):
        names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name for name in names if name.partition(".")[0] in UNPICKLERS}
        if isinstance(node, ast.Call):
            called, flags = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
            if called in RUNNERS:
                found.add(called)
            if called == "torch.load" and flags.get("weights_only") != "True":
                found.add("torch.load")
            if called == "np.load" and flags.get("allow_pickle") != "False":
                found.add("np.load")
            risky = ("allow_pickle", "trust_remote_code", "shell")
            found |= {name for name in risky if flags.get(name, "False") != "False"}
    return found


def test_no_source_can_run_what_it_reads() -> None:
    for package in ("trainer", "dashboard"):
        for path in (REPO / package).rglob("*.py"):
            assert faults(ast.parse(path.read_text(encoding="utf-8"))) == set(), path
    for trap in (
        "import pickle",
        "from joblib import a",
        "eval(x)",
        "torch.load(x)",
        "np.load(x)",
        "f(shell=True)",
    ):
        assert faults(ast.parse(trap)), trap
