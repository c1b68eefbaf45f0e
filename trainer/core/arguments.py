"""Parse the flags of a command: an empty value is refused, and a message quotes any value harmlessly."""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import tyro

from trainer.core.console import say
from trainer.core.text import harmless

Config = TypeVar("Config")


def parse_flags(config_type: type[Config], **options: Any) -> Config:
    """Return the flags in ``sys.argv`` as a config.

    Args:
        options: as of ``tyro.cli``.

    Raises:
        SystemExit: 2 for flags that cannot be, after a message; 0 for ``--help``.
    """
    given = sys.argv[1:]
    for before, word in zip(["", *given], given, strict=False):
        flag, equals, value = word.partition("=") if word.startswith("--") else (before, "=", word)
        if equals and not value.strip():
            name = f"{flag} is" if flag.startswith("--") else "An argument is"
            say(f"Error: {harmless(name)} empty. Give it a value, or leave it out for the default.")
            sys.exit(2)
    shown = [harmless(word) for word in given]
    try:
        return tyro.cli(config_type, args=given, console_outputs=shown == given, **options)
    except SystemExit as ending:
        if shown != given:  # the message that was held back quotes what cannot be used
            tyro.cli(config_type, args=shown, **options)
            sys.exit(ending.code)
        raise
