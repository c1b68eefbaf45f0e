"""The two ways a command refuses to go on. Every room may raise them; only the commands catch them."""


class InputError(ValueError):
    """What the person gave cannot be used (exit code 2).

    The message is one paragraph: it names the thing, says what was expected and what to do.
    """


def first_line(error: BaseException) -> str:
    """What another library's error says, without what follows it: a line for a message of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class TooManyBadFiles(RuntimeError):
    """More files were quarantined than ``--max-bad`` allows (exit code 1)."""
