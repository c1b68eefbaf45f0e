"""The two ways a command refuses to go on. Every room may raise them; only the commands catch them."""


class InputError(ValueError):
    """What the person gave cannot be used (exit code 2).

    The message is one paragraph: it names the thing, says what was expected and what to do.
    """


class TooManyBadFiles(RuntimeError):
    """More files were quarantined than ``--max-bad`` allows (exit code 1)."""
