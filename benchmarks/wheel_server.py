"""An index of real wheel files on loopback, in a process of its own: ``python -m benchmarks.wheel_server FOLDER...``.

It serves the simple API (JSON and HTML), the files through ``sendfile``, and their metadata (PEP 658), to every tool alike.
It prints its address and runs until it is killed. ``PUT /rate`` with a number of Mbit/s shapes all that it sends from then
on, over all connections together, as the line of a home or an office does; 0 takes the limit away.
"""

import hashlib
import html
import json
import os
import socketserver
import sys
import threading
import time
import zipfile
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


class Line:
    """A line of so many bytes a second that all connections share: a token bucket.

    A piece waits for its turn before it is handed to the kernel, so connections that send at once take turns.
    """

    _PIECE_SECONDS = 0.004
    """A piece is what the line carries meanwhile: small enough to be even, large enough to cost no processor time."""

    def __init__(self) -> None:
        self._rate = 0.0  # 0: no limit
        self._free_at = 0.0
        self._mutex = threading.Lock()

    def limit(self, mbit: float) -> None:
        """Carry so many Mbit/s from now on; 0 is no limit."""
        with self._mutex:
            self._rate = mbit * 1e6 / 8
            self._free_at = 0.0

    def piece(self, left: int) -> int:
        """How many of so many bytes are to be sent next."""
        return min(left, max(1460, round(self._rate * self._PIECE_SECONDS))) if self._rate else left

    def wait(self, size: int) -> None:
        """Return when the line has carried what came before and these bytes."""
        if not self._rate:
            return
        with self._mutex:
            self._free_at = max(time.monotonic(), self._free_at) + size / self._rate
            seconds = self._free_at - time.monotonic()
        if seconds > 0:
            time.sleep(seconds)


class Index(ThreadingHTTPServer):
    """All wheels of some folders."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, Path] = {}
        self.line = Line()
        self.pages: dict[str, list[dict[str, Any]]] = {}
        self.metadata: dict[str, bytes] = {}
        wheels = {wheel.name: wheel for folder in folders for wheel in folder.glob("*.whl")}
        for name in sorted(wheels):
            self._add(wheels[name])

    def _add(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
            metadata = archive.read(name)
        with wheel.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.files[wheel.name] = wheel
        self.metadata[wheel.name] = metadata
        self.pages.setdefault(canonicalize_name(wheel.name.partition("-")[0]), []).append(
            {
                "filename": wheel.name,
                "url": f"../../files/{wheel.name}",
                "hashes": {"sha256": digest},
                "size": wheel.stat().st_size,
                "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()},
            }
        )


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Index

    def do_GET(self) -> None:
        """Answer with a page, a file or metadata."""
        path = unquote(self.path.partition("?")[0])
        name = path.rstrip("/").rpartition("/")[2]
        if path.startswith("/simple/"):
            self._page(name)
        elif name.endswith(".metadata"):
            self._bytes(self.server.metadata[name.removesuffix(".metadata")], "text/plain")
        elif name in self.server.files:
            self._file(self.server.files[name])
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_PUT(self) -> None:
        """Set the rate of the line."""
        self.server.line.limit(float(self.rfile.read(int(self.headers["Content-Length"]))))
        self._bytes(b"", "text/plain")

    def _page(self, name: str) -> None:
        files = self.server.pages.get(name)
        if files is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif JSON_TYPE in self.headers.get("Accept", ""):
            document = {"meta": {"api-version": "1.1"}, "name": name, "files": files}
            self._bytes(json.dumps(document).encode(), JSON_TYPE)
        else:
            links = "".join(
                f'<a href="{html.escape(file["url"])}#sha256={file["hashes"]["sha256"]}">{file["filename"]}</a><br>'
                for file in files
            )
            self._bytes(f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html")

    def _bytes(self, content: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.server.line.wait(len(content))
        self.wfile.write(content)

    def _file(self, path: Path) -> None:
        with path.open("rb") as file:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            size = os.fstat(file.fileno()).st_size
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.flush()
            sent = 0
            while sent < size:
                piece = self.server.line.piece(size - sent)
                self.server.line.wait(piece)
                self.connection.sendfile(file, sent, piece)
                sent += piece

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve the folders that the arguments name."""
    socketserver.TCPServer.allow_reuse_address = True
    server = Index([Path(each) for each in sys.argv[1:]])
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
