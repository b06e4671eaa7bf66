"""A package index on loopback: it serves the simple API (JSON and HTML) and wheel files, and counts requests."""

import hashlib
import html
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from support.wheels import WheelBytes

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


class LoopbackIndex:
    """Wheels by file name, the requests seen so far, and knobs for misbehaviour.

    ``requests`` counts paths; ``file_requests`` only those for wheels. ``bodies`` overrides what is sent for a file
    name; ``hashes`` are the algorithms of the digests on the pages (HTML has the first alone); ``respond`` may answer a
    request itself: it gets the handler and returns True when it did.
    """

    def __init__(self) -> None:
        self.wheels: dict[str, WheelBytes] = {}
        self.bodies: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self.json = True
        self.hashes: tuple[str, ...] = ("sha256",)
        self.respond: Callable[[BaseHTTPRequestHandler], bool] | None = None
        self.root = ""
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address of the simple API, with a final slash."""
        return f"{self.root}/simple/"

    @property
    def file_requests(self) -> int:
        return sum(count for path, count in self.requests.items() if path.startswith("/files/"))

    def add(self, *wheels: WheelBytes) -> None:
        self.wheels.update({wheel.filename: wheel for wheel in wheels})

    def file_url(self, wheel: WheelBytes) -> str:
        return f"{self.root}/files/{wheel.filename}"

    def count(self, path: str) -> None:
        with self._lock:
            self.requests[path] += 1

    def project_json(self, name: str) -> dict[str, Any]:
        files = [
            {
                "filename": wheel.filename,
                "url": self.file_url(wheel),
                "hashes": {name: hashlib.new(name, wheel.data).hexdigest() for name in self.hashes},
                "size": len(wheel.data),
            }
            for wheel in self._wheels_of(name)
        ]
        return {"meta": {"api-version": "1.1"}, "name": name, "files": files, "versions": []}

    def project_html(self, name: str) -> str:
        links = [
            f'<a href="../../files/{html.escape(wheel.filename)}{self._fragment(wheel)}">{html.escape(wheel.filename)}</a>'
            for wheel in self._wheels_of(name)
        ]
        return "<!DOCTYPE html><html><body>" + "<br/>\n".join(links) + "</body></html>"

    def _fragment(self, wheel: WheelBytes) -> str:
        return "".join(f"#{name}={hashlib.new(name, wheel.data).hexdigest()}" for name in self.hashes[:1])

    def _wheels_of(self, name: str) -> list[WheelBytes]:
        return [wheel for wheel in self.wheels.values() if canonicalize_name(wheel.name) == name]


def _handler(index: LoopbackIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = unquote(self.path.partition("?")[0])
            index.count(path)
            if index.respond is not None and index.respond(self):
                return
            parts = path.strip("/").split("/")
            if parts[0] == "simple" and len(parts) == 2:
                self._send_project(parts[1])
            elif parts[0] == "files" and len(parts) == 2 and parts[1] in index.wheels:
                body = index.bodies.get(parts[1], index.wheels[parts[1]].data)
                self._send(200, body, "application/octet-stream")
            else:
                self._send(404, b"not found", "text/plain")

        def _send_project(self, name: str) -> None:
            if index.json and JSON_TYPE in self.headers.get("Accept", ""):
                self._send(200, json.dumps(index.project_json(name)).encode(), JSON_TYPE)
            else:
                self._send(200, index.project_html(name).encode(), "text/html; charset=utf-8")

        def _send(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()  # uv asks for the length of a wheel before it reads the metadata in it

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no event of ours."""


@contextmanager
def serve_index(*wheels: WheelBytes, certificate: Path | None = None) -> Iterator[LoopbackIndex]:
    """An index with these wheels on a free loopback port, until the block ends.

    With a ``certificate``, whose key.pem is beside it, it speaks TLS.
    """
    index = LoopbackIndex()
    index.add(*wheels)
    server = _Server(("127.0.0.1", 0), _handler(index))
    index.root = f"http://127.0.0.1:{server.server_address[1]}"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        index.root = index.root.replace("http:", "https:")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
