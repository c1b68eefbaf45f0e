"""Known vulnerabilities of libraries are named where they can be looked up; elsewhere nothing fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts import audit

LOCK = "# made by hand\n" + "".join(
    f"{name}==1.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n"
    for name in ("one", "two")
)


class Service(BaseHTTPRequestHandler):
    """Knows of one vulnerability of the library `two`."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        fault = {
            "id": "PYSEC-0-1",
            "affected": [
                {
                    "package": {"name": "two", "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.2"}]}],
                }
            ],
        }
        answer = json.dumps({"vulns": [fault]} if name == "two" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[tuple[str, ...]]:
    pytest.importorskip("pip_audit")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield ("--vulnerability-service", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def test_an_advisory_is_named_with_the_version_that_is_free_of_it(service: tuple[str, ...]) -> None:
    assert audit.advisories(LOCK, options=service) == ["two 1.0: PYSEC-0-1, fixed in 1.2"]


def test_without_an_index_one_line_says_so_and_nothing_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setattr(audit, "PASSED", tmp_path / "audited")
    audit.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert "were not looked up" in line
    assert not (tmp_path / "audited").exists()
    with pytest.raises(ConnectionError, match=r"no answer within|not installed"):
        audit.advisories(LOCK, limit_s=0.01)
