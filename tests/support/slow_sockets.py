"""Clients that keep a server busy: they ask for something, byte by byte, and never finish."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

STEP_S = 2.0  # between two bytes
WITHIN_S = 60  # what a person would wait for a page at most
UPGRADE = (
    "GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: streamlit\r\n\r\n"
)


@dataclass
class Held:
    """What the clients have come to."""

    opened: int = 0  # connections, those again included that the server had closed
    closed: int = 0  # by the server
    refused: int = 0  # connections of another site's page


def run_of_a_page(address: str, path: str) -> float:
    """Ask for a page in a session of its own; returns the seconds until the server has sent all of it.

    Raises:
        RuntimeError: the page shows an exception.
    """
    began = time.perf_counter()
    stream = f"{address.replace('http', 'ws')}/_stcore/stream"
    with connect(stream, subprotocols=["streamlit"], max_size=None, origin=address) as socket:  # type: ignore[list-item,arg-type]
        message = BackMsg()
        message.rerun_script.page_name = path
        socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(socket.recv(timeout=WITHIN_S))  # type: ignore[arg-type]
            kind = answer.WhichOneof("type")
            if kind == "delta" and answer.delta.new_element.WhichOneof("type") == "exception":
                raise RuntimeError(answer.delta.new_element.exception.message)
            if kind == "script_finished":
                return time.perf_counter() - began


@contextmanager
def slow_sockets(address: str, *, requests: int, websockets: int) -> Iterator[Held]:
    """Hold on to a server of Streamlit while the context lasts.

    Args:
        address: without a slash at the end.
        requests: that send a byte of their headers every `STEP_S`.
        websockets: that ask for the first page, begin another message, and neither end it nor read anything.
            Beside them, a page of another site tries to connect every `STEP_S`.
    """
    held, done = Held(), threading.Event()

    async def hold() -> None:
        kinds = [_request] * requests + [_websocket] * websockets
        tasks = [asyncio.create_task(_again(kind, address, held)) for kind in kinds]
        tasks.append(asyncio.create_task(_stranger(address, held)))
        while not done.is_set():
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(hold()), daemon=True)
    thread.start()
    try:
        yield held
    finally:
        done.set()
        thread.join()


async def _again(kind, address: str, held: Held) -> None:  # type: ignore[no-untyped-def]
    """Open a connection, and another one whenever the server ends it."""
    where = urlsplit(address)
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=1024)
            held.opened += 1
            try:
                await kind(address, reader, writer)
            finally:
                writer.close()
        held.closed += 1
        await asyncio.sleep(STEP_S)


async def _request(address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(f"POST /_stcore/health HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\nX-Slow: ".encode())
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(STEP_S)


async def _websocket(address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(UPGRADE.format(host=urlsplit(address).netloc, origin=address).encode())
    await reader.readuntil(b"\r\n\r\n")
    message = BackMsg()
    message.rerun_script.query_string = ""
    payload = message.SerializeToString()
    writer.write(bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload + b"\x82")  # masked with zeros
    await writer.drain()
    while not writer.is_closing():
        await asyncio.sleep(STEP_S)


async def _stranger(address: str, held: Held) -> None:
    where = urlsplit(address)
    while True:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(UPGRADE.format(host=where.netloc, origin="http://evil.example").encode())
        held.refused += b" 403 " in await reader.readline()
        writer.close()
        await asyncio.sleep(STEP_S)
