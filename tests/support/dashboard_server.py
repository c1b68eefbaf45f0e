"""``streamlit run dashboard/Home.py``, told by lines on standard input which store to look at.

It repeats each line once it has heard it, and ends when nobody is left to write one.
"""

from __future__ import annotations

import os
import sys
import threading

from streamlit.web import cli


def listen() -> None:
    for line in sys.stdin:
        os.environ["HEADROOM_TRACKING_URI"] = line.rstrip("\n")
        print(line, end="", flush=True)
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=listen, daemon=True).start()
    sys.argv = ["streamlit", "run", "dashboard/Home.py", *sys.argv[1:]]
    cli.main(prog_name="streamlit")
