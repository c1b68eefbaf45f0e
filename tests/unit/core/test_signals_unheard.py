"""A signal that meets code in which Python lets no exception out."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import REPO

CODE = """
import signal, time
from trainer.core import signals

class Lock:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

signals.end_once()
try:
    lock = Lock()
    del lock
    time.sleep(30)
    print("unheard")
except signals.Terminated as error:
    print("heard", error)
"""


def test_a_signal_that_meets_a_finalizer_ends_the_command_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=REPO, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("heard SIGTERM\n", "")


DROPPED = """
import ctypes, signal, time
import numpy.lib.npyio
from scipy.stats import qmc
from trainer.core import signals

def interrupted(self, key):
    signal.raise_signal(signal.SIGHUP)

send = signals._send_again

def pressed_twice(number):
    signals._send_again = send
    signal.raise_signal(signal.SIGHUP)
    send(number)

signals._send_again = pressed_twice
numpy.lib.npyio.NpzFile.__getitem__ = interrupted  # which Sobol's compiled code calls
signals.end_once()
try:
    qmc.Sobol(2)
    time.sleep(30)
    print("unheard")
except signals.Terminated as error:
    print("heard", error)
"""


def test_a_signal_that_compiled_code_prints_and_drops_ends_the_command_without_a_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DROPPED], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("heard SIGHUP\n", "")
