"""A user's daemon asks the node daemon of a layer: over its socket, with deadlines, and only if it is who it should be.

Nothing of the user's goes over: digests, names and plain addresses of wheels, the path of a base interpreter that the
node daemon lists itself, and a name for the project. Whatever goes wrong is a NodeError; the caller does without.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11

from storectl_daemon.errors import DaemonError
from storectl_daemon.process.peer import peer_uid
from storectl_store.digest import Digest, EnvironmentId

ANSWER_SECONDS = 5.0
"""Seconds in which a node daemon answers what it need not work for."""

PUBLISH_SECONDS = 120.0
SILENCE_SECONDS = 20.0
"""Seconds without a line of ``ensure`` after which the node daemon is given up. It sends one every five."""

_API = 1
_BASE = "/v1/node/"
_LARGEST_ANSWER = 4 << 20
_PIECE = 1 << 16


class NodeError(DaemonError):
    """The node daemon cannot be used, or refuses; ``facts['path']`` is its socket."""

    default_code = "E_NODE"
    default_hint = "what it would have made is made in your own store; ask whoever administrates this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """What a node daemon says of itself. ``origins`` are beginnings of addresses, ``interpreters`` folders."""

    origins: tuple[str, ...]
    interpreters: tuple[str, ...]
    roles: frozenset[str]
    shim: str

    def has_origin(self, url: str) -> bool:
        """Whether it would fetch from this address, which carries nothing but the place of a file."""
        return url.startswith(self.origins) and not any(mark in url for mark in "?#@")


class NodeClient:
    """Asks the node daemon at one socket. ``owners`` are the accounts, beside root, that may be that daemon."""

    def __init__(self, socket: Path, owners: Collection[int]) -> None:
        self.socket = socket
        self._owners = frozenset({0, *owners})

    async def info(self) -> NodeInfo:
        """What it says of itself. Raises NodeError if it speaks another version."""
        answer = await self._asked("GET", "policy")
        try:
            if answer["api"] != _API:
                raise self._error(f"speaks version {answer['api']}, not {_API}")
            return NodeInfo(
                origins=tuple(str(origin["url"]) for origin in answer["origins"]),
                interpreters=tuple(map(str, answer["interpreters"])),
                roles=frozenset(map(str, answer["roles"])),
                shim=str(answer["shim"]),
            )
        except (KeyError, TypeError) as error:
            raise self._error("does not say what it is") from error

    async def ensure(self, wheels: Sequence[Mapping[str, object]]) -> AsyncIterator[dict[str, Any]]:
        """The lines about these wheels, as they come, the last one included. Raises NodeError if they stop coming."""
        async with self._request("POST", "ensure", {"wheels": list(wheels)}) as chunks:
            rest = b""
            while True:
                async with self._deadline(SILENCE_SECONDS):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    raise self._error("ended in the middle of an answer")
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LARGEST_ANSWER:
                    raise self._error("sends a line without end")
                for line in map(self._read, lines):
                    yield line
                    if line.get("event") == "done":
                        return

    async def publish(self, digests: Sequence[Digest], executable: str) -> str:
        """Have the environment of these entries published. Returns its id."""
        body = {"digests": list(digests), "interpreter": executable}
        answer = await self._asked("POST", "environments", body, seconds=PUBLISH_SECONDS)
        return str(answer.get("id", ""))

    async def compile(self, digests: Sequence[Digest], cache_tag: str) -> None:
        """Have bytecode of these entries made."""
        await self._asked("POST", "bytecode", {"digests": list(digests), "cache_tag": cache_tag})

    async def keep(self, environment: EnvironmentId, digests: Sequence[Digest], project: str) -> None:
        """Have the environment and these entries kept for this user."""
        await self._asked("PUT", f"roots/{environment}", {"digests": list(digests), "project": project})

    async def _asked(
        self, method: str, path: str, body: object = None, *, seconds: float = ANSWER_SECONDS
    ) -> dict[str, Any]:
        async with self._deadline(seconds), self._request(method, path, body) as chunks:
            content = b""
            async for chunk in chunks:
                content += chunk
                if len(content) > _LARGEST_ANSWER:
                    raise self._error("sends an answer without end")
            return self._read(content)

    @asynccontextmanager
    async def _request(self, method: str, path: str, body: object) -> AsyncIterator[AsyncIterator[bytes]]:
        """Ask, and read the head of the answer: its body comes in chunks. Raises NodeError if it is a problem."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with self._deadline(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(str(self.socket))
                self._check_peer(writer)
                connection = h11.Connection(h11.CLIENT)
                writer.write(_request_bytes(connection, method, path, body))
                await writer.drain()
            response = await _next(connection, reader)
            if not isinstance(response, h11.Response):
                raise self._error("does not answer in HTTP")
            chunks = _body(connection, reader)
            if response.status_code != 200:
                async with self._deadline(ANSWER_SECONDS):
                    problem = self._read(b"".join([chunk async for chunk in chunks])[:_LARGEST_ANSWER])
                raise self._error(f"refuses: {problem.get('detail')}", code=str(problem.get("code")))
            yield chunks
        except (OSError, h11.ProtocolError, EOFError) as error:
            raise self._error(f"does not answer: {getattr(error, 'strerror', None) or type(error).__name__}") from error
        finally:
            if writer is not None:
                writer.close()

    def _check_peer(self, writer: asyncio.StreamWriter) -> None:
        """Raise NodeError unless the other end is the owner of the layer or root: nobody else is told anything."""
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid not in self._owners:
            raise self._error(
                f"is user {uid}'s, who does not own the layer", hint="the layer's settings name its owner"
            )

    @asynccontextmanager
    async def _deadline(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise self._error(f"did not answer within {seconds:g} s") from error

    def _read(self, content: bytes) -> dict[str, Any]:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._error("does not answer in JSON") from error
        if not isinstance(value, dict):
            raise self._error("answers something else")
        return value

    def _error(self, what: str, *, code: str | None = None, hint: str | None = None) -> NodeError:
        said = f" ({code})" if code else ""
        return NodeError(f"the node daemon at {self.socket} {what}{said}", hint=hint, path=str(self.socket), said=code)


def _request_bytes(connection: h11.Connection, method: str, path: str, body: object) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    headers = [("Host", "storectl"), ("Connection", "close"), ("Content-Length", str(len(content)))]
    if content:
        headers.append(("Content-Type", "application/json"))
    events = (
        h11.Request(method=method, target=_BASE + path, headers=headers),
        h11.Data(data=content),
        h11.EndOfMessage(),
    )
    return b"".join(connection.send(event) or b"" for event in events)


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> Any:
    """The next event of the answer."""
    while (event := connection.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_PIECE))
    return event


async def _body(connection: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while isinstance(event := await _next(connection, reader), h11.Data):
        yield bytes(event.data)
