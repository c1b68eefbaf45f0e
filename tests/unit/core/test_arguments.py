"""Flags: an empty value is refused by name, and no message lets a value steer the terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer.core.arguments import parse_flags
from trainer.core.config import StudyConfig
from trainer.serving.config import PredictConfig

ESCAPE = "\x1b]52;c;aGk=\x07\x1b[2J\u202e"


@dataclass(frozen=True)
class Size:
    """A flag."""

    side: int = 3
    """Pixels."""
    name: str = "a"
    """Name."""


def parse(monkeypatch: pytest.MonkeyPatch, kind: type, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["command", *words])
    return parse_flags(kind, prog="command", description=None)


@pytest.mark.parametrize("empty", ["", " ", "\t"])
@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        *((StudyConfig, f"--{name}") for name in ("study", "experiment", "data", "encoder", "tracking-uri")),
        *((StudyConfig, "--cache-dir"), (PredictConfig, "--run"), (PredictConfig, "--out")),
        (PredictConfig, "--model-uri"),
    ],
)
def test_an_empty_value_is_refused_by_the_name_of_its_flag(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: type,
    flag: str,
    empty: str,
    joined: bool,
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(monkeypatch, kind, *([f"{flag}={empty}"] if joined else [flag, empty]))
    assert ended.value.code == 2
    assert f"Error: {flag} is empty. Give it a value" in capsys.readouterr().err


def test_an_empty_path_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(monkeypatch, PredictConfig, "")
    assert "Error: An argument is empty." in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--side", ESCAPE], ["--sde" + ESCAPE, "3"], [ESCAPE], ["--side=" + ESCAPE], ["--side", "\ud800"]],
)
def test_a_message_about_flags_quotes_them_harmlessly(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(monkeypatch, Size, *words)
    assert ended.value.code == 2
    said = "".join(capfd.readouterr())
    assert said
    assert not set(ESCAPE) & set("\x1b\x07\u202e") & set(said)


def test_control_characters_reach_the_command_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parse(monkeypatch, Size, "--name", ESCAPE) == Size(name=ESCAPE)
    assert parse(monkeypatch, PredictConfig, "a\x1bb.png").images == (Path("a\x1bb.png"),)  # type: ignore[attr-defined]
