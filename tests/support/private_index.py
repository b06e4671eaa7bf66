"""What private indexes have: logins, a keyring program that knows them, validators of pages."""

import base64
import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from support.index import JSON_TYPE, LoopbackIndex


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def require_login(index: LoopbackIndex, *accepted: str) -> list[str | None]:
    """Let the index refuse (401) every request without one of these headers; the headers that were sent, in order."""
    seen: list[str | None] = []

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        seen.append(handler.headers.get("Authorization"))
        if seen[-1] in accepted:
            return False
        answer(handler, 401, WWW_Authenticate='Basic realm="index"')
        return True

    index.respond = respond
    return seen


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    if status != 304:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def validate_pages(index: LoopbackIndex, **headers: str) -> list[dict[str, str]]:
    """Let pages have these headers, and answer 304 where a request names their ETag or Last-Modified; what was asked."""
    asked: list[dict[str, str]] = []
    conditions = {"If-None-Match": headers.get("ETag"), "If-Modified-Since": headers.get("Last_Modified")}

    def respond(handler: BaseHTTPRequestHandler) -> bool:
        name = handler.path.strip("/").removeprefix("simple/")
        if "/" in name:
            return False
        asked.append({k: v for k in conditions if (v := handler.headers.get(k)) is not None})
        if any(asked[-1].get(k) == v for k, v in conditions.items() if v is not None):
            answer(handler, 304, b"", **headers)
        else:
            answer(handler, 200, json.dumps(index.project_json(name)).encode(), Content_Type=JSON_TYPE, **headers)
        return True

    index.respond = respond
    return asked


class FakeKeyring:
    """A `keyring` program in a folder of its own: it answers from a file, and writes down what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "keyring-bin"
        self.bin.mkdir()
        self._log = folder / "keyring-asked"
        self._log.touch()
        self._answers = folder / "keyring-answers"
        self._answers.mkdir()
        self.write(f"""
echo "$@" >> '{self._log}'
while [ $# -gt 0 ]; do
    name="$name$(printf %s "$1" | tr -c a-z0-9 _)."
    shift
done
cat '{self._answers}'/"$name"
""")

    def write(self, script: str) -> None:
        """Another program in its place."""
        program = self.bin / "keyring"
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)

    def knows(self, *arguments: str, answer: str) -> None:
        name = "".join("".join(c if c in _PLAIN else "_" for c in text) + "." for text in arguments)
        (self._answers / name).write_text(answer)

    @property
    def asked(self) -> list[str]:
        return self._log.read_text().splitlines()


_PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789"
