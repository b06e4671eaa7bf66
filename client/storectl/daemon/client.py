"""A synchronous client of the daemon's HTTP API, version 1, over its Unix socket. Every request has a deadline.

A daemon that is stopped or stuck must never hang a command. Connecting takes at most a second, an answer five. A
stream may be silent for half a minute (while one large wheel compiles); then the client asks the daemon for its
health and makes the request again. The daemon does each piece of work once, however many ask for it.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from storectl.daemon.answers import EnvironmentInfo, Health, LinkState, Progress, ProjectState, problem_from_json
from storectl.daemon.chosen_python import ChosenPython
from storectl.daemon.exchange import exchange, went_away
from storectl.daemon.program_imports import imports_of
from storectl.daemon.socket import check_listener, check_owner
from storectl.daemon.wire import decoded, path_from_wire, path_on_wire, variables_on_wire
from storectl.errors import (
    DaemonProblemError,
    DaemonTimeoutError,
    DaemonVersionError,
)
from storectl.options import Options

API_VERSION = 1

ANSWER_S = 5.0
"""How long a daemon may take to say how it is. A command asks that first."""

SILENCE_S = 30.0
"""How long it may say nothing while it does what it is asked to: on a busy machine it loads that for seconds."""

Json = Mapping[str, Any]
Answer = TypeVar("Answer")


class WarmListener(Protocol):
    """Gets the progress and the warnings of a warm."""

    def progress(self, progress: Progress) -> None:
        """The warm has come one step further."""

    def warning(self, message: str) -> None:
        """There is something that the user should know."""


class DaemonClient:
    """Asks the daemon whose socket is at this path. Its methods raise ClientError only.

    ``environ`` are the variables of this command; they count for what it asks for, and the daemon's own do not.
    """

    def __init__(
        self,
        path: str,
        *,
        environ: Mapping[str, str],
        answer_s: float = ANSWER_S,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.socket = path
        self._environ = environ
        self._answer_s = answer_s
        self._silence_s = silence_s
        self._features: frozenset[str] | None = None  # as the daemon said last

    def health(self) -> Health:
        """The daemon's health; an error if the socket is another user's, or the API of another version."""
        check_owner(self.socket)
        check_listener(self.socket)
        health = _read(Health.from_json, self._json("GET", "/v1/health", silence_s=self._answer_s))
        if health.api != API_VERSION:
            raise DaemonVersionError(
                f"the daemon (storectl {health.version}, process {health.pid}) speaks version {health.api} of the API, "
                f"this command version {API_VERSION}",
                hint="storectl daemon stop ends it; the next command starts its own",
                pid=health.pid,
            )
        self._features = health.features
        return health

    def warm(self, start: str, options: Options, listener: WarmListener, *, bytecode: bool = False) -> EnvironmentInfo:
        """Wait until the environment is made; DaemonProblemError with the daemon's reason if it cannot be made.

        With ``bytecode`` also wait until it is compiled; otherwise the daemon compiles it later.
        """
        while True:
            try:
                return self._warm_once(start, options, listener, bytecode=bytecode)
            except DaemonTimeoutError:
                self.health()

    def projects(self) -> list[ProjectState]:
        """The registered projects."""
        return [_read(ProjectState.from_json, value) for value in self._json("GET", "/v1/projects")]

    def register(self, path: str) -> ProjectState:
        """Register the project at or above this folder, and begin to warm it."""
        body = {"path": path_on_wire(path), "environ": variables_on_wire(self._environ)}
        return _read(ProjectState.from_json, self._json("POST", "/v1/projects", body))

    def link(self, path: str, options: Options, environment: str, *, force: bool) -> list[str]:
        """Make the virtual environment at this path, of the environment with this id. Returns what is to be told.

        With ``force`` what is there is moved aside.
        """
        self._need("fronts", "makes another kind of link")
        body = {"path": path_on_wire(path), "environment": environment, "force": force}
        body |= _options_on_wire(options) | self._rarer(options)
        told = self._json("POST", "/v1/links", body)["told"]
        return [path_from_wire(str(line)) for line in told]

    def unlink(self, path: str) -> list[str]:
        """Remove the virtual environment at this path. Returns the paths in it that are left."""
        self._need("fronts", "makes another kind of link")
        return [path_from_wire(str(line)) for line in self._json("DELETE", f"/v1/links?path={_quoted(path)}")["left"]]

    def links(self, project: str) -> list[LinkState]:
        """The virtual environments in the project's folder that follow its lock file."""
        if not self.has("fronts"):
            return []
        return [_read(LinkState.from_json, value) for value in self._json("GET", f"/v1/links?path={_quoted(project)}")]

    def forget(self, path: str) -> None:
        """Remove a project from the register; its environments stay."""
        self._request("DELETE", f"/v1/projects?path={_quoted(path)}")

    def project_state(self, path: str) -> ProjectState | None:
        """The state of the project that this folder is in; None if the daemon knows none."""
        try:
            return _read(ProjectState.from_json, self._json("GET", f"/v1/projects/state?path={_quoted(path)}"))
        except DaemonProblemError as error:
            if error.code == "E_UNKNOWN_PROJECT":
                return None
            raise

    def interpreter(self, python: str | None, pinned: str | None) -> ChosenPython:
        """The interpreter for ``python`` (version, range or path), else for ``pinned``, else the first on PATH."""
        self._need("interpreters", "cannot choose an interpreter")
        body = {"python": path_on_wire(python), "pinned": pinned, "environ": variables_on_wire(self._environ)}
        return _read(_interpreter_of, self._json("POST", "/v1/interpreters", body))

    def environments(self) -> list[EnvironmentInfo]:
        """Every environment of the store."""
        return [_read(EnvironmentInfo.from_json, value) for value in self._json("GET", "/v1/environments")]

    def entries(self) -> list[dict[str, Any]]:
        """Every entry: name, version, prefix, digest, size in bytes, file name."""
        return [dict(value) for value in self._json("GET", "/v1/entries")]

    def entry(self, prefix: str) -> dict[str, Any]:
        """One entry, also with ``files`` (how many), ``tags`` and ``path``."""
        return dict(self._json("GET", f"/v1/entries/{prefix}"))

    def verify(self, *, repair: bool = False, offline: bool = False) -> Iterator[dict[str, Any]]:
        """The events of a verification, as they come; the last one is ``done``."""
        if repair:
            self._need("repair", "cannot repair")
        body = {"repair": repair, "offline": offline, "environ": variables_on_wire(self._environ)}
        for event in self._stream("/v1/verify", body if repair else None):
            yield dict(event)
            if event.get("event") == "done":
                return
        raise went_away()

    def usage(self, by: str, *, exact: bool = False) -> dict[str, Any]:
        """What the store takes up on disk, with the shares of each ``by``: the last event of the count."""
        self._need("usage", "cannot count")
        for event in self._stream(f"/v1/usage?by={by}&exact={'true' if exact else 'false'}", None, method="GET"):
            if event.get("event") == "failed":
                raise problem_from_json(event.get("problem") or {})
            if event.get("event") == "usage":
                return dict(event)
        raise went_away()

    def export(self, environment: str, order: Json, listener: WarmListener) -> Json:
        """Write an export of this environment; the event that says what was written.

        ``order`` has the fields of the request. DaemonProblemError with the daemon's reason if it cannot be written.
        """
        path = f"/v1/environments/{environment}/export"
        return self.last_event(path, order, listener, "exported", needs="export", lack="cannot export")

    def collect(self, **asked: Any) -> Iterator[dict[str, Any]]:
        """The events of a collect, as they come; the last one is ``collected``. ``asked`` are fields of the request.

        DaemonProblemError with the daemon's reason if it fails.
        """
        self._need("collect", "cannot collect")
        for event in self._stream("/v1/collect", asked | {"environ": variables_on_wire(self._environ)}):
            if event.get("event") == "failed":
                raise problem_from_json(event.get("problem") or {})
            yield decoded(event)
            if event.get("event") == "collected":
                return
        raise went_away()

    def collects(self) -> dict[str, Any] | None:
        """What is known of collects so far; None if the daemon makes none."""
        return dict(decoded(self._json("GET", "/v1/collect"))) if self.has("collect") else None

    def why(self, name: str) -> list[dict[str, Any]]:
        """What keeps the entries and environments of this name."""
        self._need("collect", "cannot tell why something is kept")
        found = self._json("GET", f"/v1/why/{_quoted(name)}")
        return [dict(decoded(each)) for each in found]

    def pins(self) -> list[dict[str, Any]]:
        """Every pin: name, environment, project, when it was made, and whether the environment is there."""
        self._need("collect", "has no pins")
        return [dict(decoded(each)) for each in self._json("GET", "/v1/pins")]

    def pin(self, name: str, environment: str, project: str) -> dict[str, Any]:
        """Keep the environment with this id, which this project has now."""
        self._need("collect", "cannot pin")
        body = {"name": name, "environment": environment, "project": path_on_wire(project)}
        return dict(decoded(self._json("POST", "/v1/pins", body)))

    def unpin(self, name: str) -> None:
        """Keep it no longer."""
        self._need("collect", "has no pins")
        self._request("DELETE", f"/v1/pins/{_quoted(name)}")

    def shutdown(self) -> None:
        """Ask the daemon to end. It may still run for a moment."""
        self._request("POST", "/v1/shutdown")

    def answer(self, method: str, path: str, body: Json | None = None, *, needs: str, lack: str) -> Any:
        """The answer to a request that needs this feature; what a daemon without it ``lack``s is said in the error."""
        self._need(needs, lack)
        return self._json(method, path, body)

    def ready(self, path: str, body: Json, listener: WarmListener, *, needs: str, lack: str) -> EnvironmentInfo:
        """The environment that a request for one leads to; the request needs this feature, as for ``answer``."""
        self._need(needs, lack)
        return self._until_ready(path, body, listener)

    def last_event(self, path: str, body: Json, listener: WarmListener, *ends: str, needs: str, lack: str) -> Json:
        """The event of one of these kinds that ends a stream; the request needs this feature, as for ``answer``.

        DaemonProblemError with the daemon's reason if it fails.
        """
        self._need(needs, lack)
        return self._until(path, body, listener, ends)

    def request_of(self, start: str, options: Options) -> dict[str, Any]:
        """The fields of every request for an environment of the project at or above ``start``, but for ``offline``."""
        body = {"start": path_on_wire(start), "environ": variables_on_wire(self._environ)}
        return _options_on_wire(options) | body | self._rarer(options)

    def _warm_once(self, start: str, options: Options, listener: WarmListener, *, bytecode: bool) -> EnvironmentInfo:
        body = self.request_of(start, options)
        body |= {"offline": options.offline, "bytecode": bytecode, "thorough": bytecode}
        if options.program and self.has("imports"):
            body["imports"] = imports_of(options.program)
        return self._until_ready("/v1/warm", body, listener)

    def _until_ready(self, path: str, body: Json, listener: WarmListener) -> EnvironmentInfo:
        ready = self._until(path, body, listener, ("ready",))
        return _read(EnvironmentInfo.from_json, ready.get("environment") or {})

    def _until(self, path: str, body: Json, listener: WarmListener, ends: tuple[str, ...]) -> Json:
        """The event that ends a stream; the listener gets those before it."""
        for event in self._stream(path, body):
            kind = event.get("event")
            if kind == "progress":
                listener.progress(_read(Progress.from_json, event))
            elif kind == "warning":
                listener.warning(path_from_wire(str(event.get("message"))))
            elif kind == "failed":
                raise problem_from_json(event.get("problem") or {})
            elif kind in ends:
                return event
        raise went_away()

    def _rarer(self, options: Options) -> dict[str, Any]:
        """Those options that a daemon of an older storectl does not know, as far as they are set."""
        values = {
            "no_extras": list(options.no_extras),
            "all_groups": options.all_groups,
            "no_groups": list(options.no_groups),
            "dev": options.dev,
            "all_packages": options.all_packages,
            "further_lock_files": [path_on_wire(path) for path in options.further_lock_files],
        }
        asked = {name: value for name, value in values.items() if value}
        if asked:
            self._need("selection", f"does not know {', '.join(asked)}")
        return asked

    def has(self, feature: str) -> bool:
        """Whether the daemon has the feature, by its last answer: it was asked when it was found."""
        return feature in (self.health().features if self._features is None else self._features)

    def _need(self, feature: str, lack: str) -> None:
        """DaemonVersionError if the daemon is so old that it does not have the feature."""
        if not self.has(feature):
            raise DaemonVersionError(
                f"the daemon is of an older storectl, and {lack}",
                hint="storectl daemon stop ends it; the next command starts its own",
            )

    def _stream(self, path: str, body: Json | None, *, method: str = "POST") -> Iterator[Json]:
        """The lines of an NDJSON answer, each as it comes."""
        with exchange(self.socket, method, path, body, self._silence_s) as answer:
            if answer.is_error:
                raise _problem_of(path, answer.status, b"".join(answer.pieces))
            rest = b""
            for piece in answer.pieces:
                *lines, rest = (rest + piece).split(b"\n")
                yield from (_object(line) for line in lines if line)

    def _json(self, method: str, path: str, body: Json | None = None, *, silence_s: float | None = None) -> Any:
        try:
            return json.loads(self._request(method, path, body, silence_s=silence_s))
        except ValueError:
            raise _unreadable(f"{method} {path}") from None

    def _request(self, method: str, path: str, body: Json | None = None, *, silence_s: float | None = None) -> bytes:
        with exchange(self.socket, method, path, body, silence_s or self._silence_s) as answer:
            content = b"".join(answer.pieces)
        if answer.is_error:
            raise _problem_of(path, answer.status, content)
        return content


def _options_on_wire(options: Options) -> dict[str, Any]:
    return {
        "lock_file": path_on_wire(options.lock_file),
        "overlay": path_on_wire(options.overlay),
        "member": path_on_wire(options.member),
        "python": path_on_wire(options.python),
        "extras": list(options.extras),
        "all_extras": options.all_extras,
        "groups": list(options.groups),
        "default_groups": options.default_groups,
        "only_groups": options.only_groups,
    }


def _read(read: Callable[[Json], Answer], value: Json) -> Answer:
    try:
        return read(value)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(str(error)) from None


def _interpreter_of(value: Json) -> ChosenPython:
    return ChosenPython(version=value["version"], executable=path_from_wire(value["executable"]))


def _object(line: bytes) -> Json:
    try:
        value = json.loads(line)
    except ValueError:
        raise _unreadable(line[:80].decode(errors="replace")) from None
    if not isinstance(value, dict):
        raise _unreadable(line[:80].decode(errors="replace"))
    return value


def _quoted(path: str) -> str:
    """The path in a query: every byte as ``%`` and two digits, as ``urllib`` takes 2 ms to load."""
    return "".join(f"%{byte:02X}" for byte in path_on_wire(path).encode())


def _problem_of(path: str, status: int, content: bytes) -> DaemonProblemError:
    try:
        value = json.loads(content)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return problem_from_json(value)
    return problem_from_json({"detail": f"{path}: HTTP {status}", "code": "E_HTTP"})


def _unreadable(what: str) -> DaemonVersionError:
    return DaemonVersionError(
        f"the daemon's answer cannot be read: {what}",
        hint="it may be of another version: storectl daemon stop ends it; the next command starts its own",
    )
