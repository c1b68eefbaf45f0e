"""A proxy in front of an S3 server that refuses some requests, and loses the answers to others."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class FaultProxy:
    """Use it in a ``with`` block. Attribute ``counts``: requests by what was done to them."""

    def __init__(self, endpoint: str, *, refuse_every: int, lose_every: int) -> None:
        """
        Args:
            refuse_every: every so many requests are answered 503 SlowDown.
            lose_every: every so many create-only writes are done, and answered by a broken connection.
        """
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._target = urlsplit(endpoint).netloc
        self._refuse_every, self._lose_every = refuse_every, lose_every
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _fate(self, is_create: bool) -> str:
        with self._lock:
            self.counts["all"] += 1
            if self.counts["all"] % self._refuse_every == 0:
                self.counts["refused"] += 1
                return "refused"
            if is_create:
                self.counts["create"] += 1
                if self.counts["create"] % self._lose_every == 0:
                    self.counts["lost"] += 1
                    return "lost"
        return "served"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fate = proxy._fate("If-None-Match" in self.headers)
                if fate == "refused":
                    self._answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
                    return
                server = http.client.HTTPConnection(proxy._target, timeout=60)
                server.request(self.command, self.path, body, dict(self.headers))  # Host, too: it is signed
                answer = server.getresponse()
                content = answer.read()
                server.close()
                if fate == "lost":
                    self.close_connection = True
                    return
                if answer.status == 412:
                    with proxy._lock:
                        proxy.counts["exists"] += 1
                self._answer(answer.status, answer.getheaders(), content)

            def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = dict(headers).get("Content-Length") if self.command == "HEAD" else len(content)
                self.send_header("Content-Length", str(length or 0))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def __enter__(self) -> FaultProxy:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
