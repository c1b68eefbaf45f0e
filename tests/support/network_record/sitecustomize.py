"""Write down every address that a Python process speaks to or listens at, where this folder is on its path.

Lines are ``connect HOST``, ``look up HOST`` and ``bind HOST`` in the file HEADROOM_NETWORK_RECORD. Child
processes inherit it. Sockets between processes of one machine have no host, and are left out.
"""

import os
import sys

FILE = os.environ.get("HEADROOM_NETWORK_RECORD")
EVENTS = {
    "socket.connect": ("connect", 1),
    "socket.sendto": ("connect", 1),
    "socket.bind": ("bind", 1),
    "socket.getaddrinfo": ("look up", 0),
    "socket.gethostbyname": ("look up", 0),
}


def _note(event: str, arguments: tuple) -> None:
    if event not in EVENTS:
        return
    what, place = EVENTS[event]
    address = arguments[place]
    host = address[0] if isinstance(address, tuple) else address if what == "look up" else None
    if host is not None:
        file = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{what} {host}\n".encode())
        os.close(file)


if FILE:
    sys.addaudithook(_note)
