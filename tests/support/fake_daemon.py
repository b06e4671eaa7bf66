"""A daemon that answers as the API, version 1, has it, and does nothing: an HTTP server on a Unix socket, in a thread."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


class FakeDaemon:
    """What it knows, and what it was asked.

    ``requests`` holds method, path and body of each request in order. ``warm_events`` are the lines of a warm answer;
    ``respond`` may answer a request itself: it gets the handler and returns True when it did.
    """

    def __init__(self, socket_path: str) -> None:
        self.socket = socket_path
        self.api_version = 1
        self.pid = os.getpid()
        self.requests: list[tuple[str, str, Json | None]] = []
        self.warm_events: list[Json] = []
        self.verify_events: list[Json] = []
        self.features = ["warm", "projects"]
        self.states: dict[str, Json] = {}
        self.known: dict[str, Json] = {}
        self.environments: list[Json] = []
        self.entries: list[Json] = []
        self.respond: Callable[[Any], bool] | None = None
        self.stopping = threading.Event()

    def health(self) -> Json:
        return {
            "status": "ok",
            "version": "0.1.0",
            "api": {"version": self.api_version, "features": self.features},
            "pid": self.pid,
            "store": "/the/store",
            "socket": self.socket,
            "uptime_s": 61.5,
            "rss_bytes": 50_000_000,
        }

    def asked(self, method: str, path: str) -> list[Json | None]:
        """The bodies of the requests for this path."""
        return [body for m, p, body in self.requests if (m, p) == (method, path)]


def environment_info(path: str | Path, *, project: str | Path = "/project") -> Json:
    return {
        "id": Path(path).name,
        "path": str(path),
        "python": f"{path}/bin/python",
        "project": str(project),
        "lock_file": f"{project}/uv.lock",
        "interpreter": {"executable": "/usr/bin/python3", "version": "3.12.1"},
        "wheels": 7,
    }


def project_state(path: str | Path, state: str = "ready", **facts: Any) -> Json:
    base = {"environment": None, "progress": None, "problem": None, "watched": True}
    return {"path": str(path), "lock_file": f"{path}/uv.lock", "state": state, **base, **facts}


def progress(phase: str = "fetch", done: int = 1, total: int = 4, **facts: Any) -> Json:
    base = {"bytes_done": 0, "bytes_total": 0, "current": "numpy"}
    return {"event": "progress", "phase": phase, "done": done, "total": total, **base, **facts}


def problem(code: str, detail: str, hint: str | None = None) -> Json:
    return {"code": code, "detail": detail, "hint": hint}


@contextmanager
def serve_daemon(socket_path: str | Path) -> Iterator[FakeDaemon]:
    """A daemon on this socket until the block ends; its folder is made, for this user alone."""
    os.makedirs(os.path.dirname(socket_path), mode=0o700, exist_ok=True)
    daemon = FakeDaemon(str(socket_path))
    server = _Server(str(socket_path), _handler(daemon))
    os.chmod(socket_path, 0o600)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    stopper = threading.Thread(target=_close_when_stopped, args=(daemon, server), daemon=True)
    stopper.start()
    try:
        yield daemon
    finally:
        daemon.stopping.set()
        stopper.join()
        thread.join()


def _close_when_stopped(daemon: FakeDaemon, server: "_Server") -> None:
    daemon.stopping.wait()
    server.shutdown()
    server.server_close()
    if os.path.exists(daemon.socket):
        os.unlink(daemon.socket)


class _Server(ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no event of ours."""


def _handler(daemon: FakeDaemon) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_DELETE(self) -> None:
            self._answer("DELETE")

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *arguments: object) -> None:
            pass

        def _answer(self, method: str) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            daemon.requests.append((method, url.path, body or query or None))
            if daemon.respond is not None and daemon.respond(self):
                return
            self._route(f"{method} {url.path}", body or {}, query)

        def _route(self, route: str, body: Json, query: dict[str, str]) -> None:
            match route:
                case "GET /v1/health":
                    self.send_json(200, daemon.health())
                case "POST /v1/warm":
                    self.send_lines(daemon.warm_events)
                case "POST /v1/verify":
                    self.send_lines(daemon.verify_events)
                case "GET /v1/projects":
                    self.send_json(200, list(daemon.known.values()))
                case "POST /v1/links":
                    self.send_json(200, {"told": ["moved aside"]})
                case "POST /v1/projects":
                    state = daemon.states.get(body["path"]) or project_state(body["path"], "warming")
                    daemon.known[body["path"]] = state
                    self.send_json(200, state)
                case "DELETE /v1/projects":
                    daemon.known.pop(query["path"], None)
                    self.send_bytes(204, b"", "")
                case "GET /v1/projects/state" if query["path"] in daemon.known:
                    self.send_json(200, daemon.known[query["path"]])
                case "GET /v1/projects/state":
                    self.send_problem(404, problem("E_UNKNOWN_PROJECT", f"no project at {query['path']}"))
                case "GET /v1/environments":
                    self.send_json(200, daemon.environments)
                case "GET /v1/entries":
                    self.send_json(200, daemon.entries)
                case "POST /v1/shutdown":
                    self.send_json(202, {})
                    daemon.stopping.set()
                case _:
                    self._route_entry(route)

        def _route_entry(self, route: str) -> None:
            found = [entry for entry in daemon.entries if route == f"GET /v1/entries/{entry['prefix']}"]
            if found:
                self.send_json(200, found[0] | {"files": 3, "tags": ["py3-none-any"], "path": "/the/store/entry"})
            else:
                self.send_problem(404, problem("E_NOT_FOUND", route))

        def send_json(self, status: int, value: Any) -> None:
            self.send_bytes(status, json.dumps(value).encode(), "application/json")

        def send_problem(self, status: int, value: Json) -> None:
            document = {"type": "about:blank", "title": "Problem", "status": status, **value}
            self.send_bytes(status, json.dumps(document).encode(), "application/problem+json")

        def send_lines(self, events: list[Json]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            for event in events:
                self.wfile.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")
                self.wfile.flush()

        def send_bytes(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


@contextmanager
def silent_socket(socket_path: str | Path) -> Iterator[None]:
    """What a stopped daemon looks like: the kernel accepts, and nobody ever answers."""
    os.makedirs(os.path.dirname(socket_path), mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(socket_path))
        listener.listen(8)
        yield
