"""A language server over its standard streams, and an editor that tells it of files that change, as VS Code does."""

import itertools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from watchfiles import Change, watch

_KINDS = {Change.added: 1, Change.modified: 2, Change.deleted: 3}
_SECONDS = 60.0
_LOOK_SECONDS = 1.0


class Editor:
    """The client of one server. ``diagnostics`` are the last ones of each file."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, settings: Mapping[str, Any]) -> None:
        self.diagnostics: dict[str, list[dict[str, Any]]] = {}
        self._process = process
        self._folder = folder
        self._settings = settings
        self._numbers = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self._told = threading.Condition()
        self._writing = threading.Lock()
        self._watching = threading.Event()
        self._closed = threading.Event()
        self._seen: set[str] = set()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._watch)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        root = self._folder.as_uri()
        watches = {"dynamicRegistration": True, "relativePatternSupport": True}
        capabilities = {
            "workspace": {"configuration": True, "workspaceFolders": True, "didChangeWatchedFiles": watches},
            "textDocument": {"publishDiagnostics": {}, "definition": {}},
        }
        folders = [{"uri": root, "name": self._folder.name}]
        self.ask("initialize", processId=None, rootUri=root, workspaceFolders=folders, capabilities=capabilities)
        self.tell("initialized")
        self.tell("workspace/didChangeConfiguration", settings=self._settings)

    def wait_until_it_watches(self) -> None:
        """Wait until the server has asked for changes, and they are seen here: what changes earlier is told to nobody."""
        with self._told:
            assert self._told.wait_for(self._watching.is_set, _SECONDS)
        for number in range(int(_SECONDS / _LOOK_SECONDS)):
            probe = self._folder / f".seen-{number}"
            probe.touch()
            with self._told:
                seen = self._told.wait_for(lambda: str(probe) in self._seen, _LOOK_SECONDS)  # noqa: B023 - called here
            probe.unlink()
            if seen:
                return
        raise AssertionError("no change is seen")

    def close(self) -> None:
        self._closed.set()
        os.killpg(self._process.pid, signal.SIGKILL)  # the server may be a child of the command
        self._process.wait()
        for thread in self._threads:
            thread.join(_SECONDS)

    def open(self, file: Path) -> None:
        document = {"uri": file.as_uri(), "languageId": "python", "version": 1, "text": file.read_text()}
        self.tell("textDocument/didOpen", textDocument=document)

    def definition(self, file: Path, line: int, character: int) -> Any:
        """Where the name at this place comes from."""
        place = {"line": line, "character": character}
        return self.ask("textDocument/definition", textDocument={"uri": file.as_uri()}, position=place)

    def ask(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": parameters})
        with self._told:
            assert self._told.wait_for(lambda: number in self._answers, _SECONDS), method
            return self._answers.pop(number)

    def tell(self, method: str, **parameters: Any) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        with self._writing, suppress(BrokenPipeError):  # who waits for an answer will say so
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        stream = self._process.stdout
        while head := stream.readline():
            if head.lower().startswith(b"content-length:"):
                length = int(head.partition(b":")[2])
                while stream.readline().strip():
                    pass
                self._take(json.loads(stream.read(length)))

    def _take(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        parameters: Any = message.get("params")
        if method == "textDocument/publishDiagnostics":
            self.diagnostics[parameters["uri"]] = parameters["diagnostics"]
        elif method is None:
            with self._told:
                self._answers[message["id"]] = message.get("result", message.get("error"))
                self._told.notify_all()
        elif "id" in message:
            self._send({"id": message["id"], "result": self._answer(method, parameters)})

    def _answer(self, method: str, parameters: Any) -> Any:
        """What an editor answers to a request of its server."""
        if method == "workspace/configuration":
            return [self._settings.get(item.get("section", "")) for item in parameters["items"]]
        if method == "client/registerCapability" and "didChangeWatchedFiles" in json.dumps(parameters):
            with self._told:
                self._watching.set()
                self._told.notify_all()
        return None

    def _watch(self) -> None:
        """Tell the server of each file below the folder that changes; links are not followed."""
        for changes in watch(
            self._folder, watch_filter=None, stop_event=self._closed, debounce=50, step=10, rust_timeout=200
        ):
            with self._told:
                self._seen |= {path for _, path in changes}
                self._told.notify_all()
            if self._watching.is_set():
                found = [{"uri": Path(path).as_uri(), "type": _KINDS[kind]} for kind, path in changes]
                self.tell("workspace/didChangeWatchedFiles", changes=found)


@contextmanager
def editor_of(
    command: Sequence[str | Path], folder: Path, environ: Mapping[str, str], settings: Mapping[str, Any]
) -> Iterator[Editor]:
    """An editor in this folder, with the server that the command starts."""
    with subprocess.Popen(
        command, cwd=folder, env=environ, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        editor = Editor(process, folder, settings)
        try:
            editor.start()
            yield editor
        finally:
            editor.close()
