"""The builder: makes an entry of what is locked as a source, which from then on is known by its wheel.

    source pin     -> known build? -> archive or commit -> worker -> wheel -> pipeline -> entry, provenance
    local project  -> static?      -> editable wheel of our own             -> pipeline -> entry
                   -> known build? -> worker (PEP 660) -> wheel             -> pipeline -> entry, provenance

A wheel that was built is checked, staged and committed like any other. The only difference is that its digest is known
last instead of first.
"""

import asyncio
import contextlib
import hashlib
import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import assert_never

from packaging.utils import NormalizedName, canonicalize_name

from storectl_daemon.building.known_builds import BuiltWheel, KnownBuilds
from storectl_daemon.building.order import BuildContext, Order, ProjectFolder, editable_order, wheel_order
from storectl_daemon.building.pip_variables import pip_variables
from storectl_daemon.building.request import (
    Archive,
    BuildFailure,
    BuildRequest,
    BuildResult,
    Folder,
    Repository,
    read_answer,
)
from storectl_daemon.building.secrets import secrets_of
from storectl_daemon.entries.pipeline import Pipeline
from storectl_daemon.errors import DaemonError, OfflineError
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.process.single_flight import SingleFlight
from storectl_store.digest import Digest, digest_of_hex
from storectl_store.entries.layers import Layers
from storectl_store.entries.store import Store
from storectl_store.projects.editable_wheel import EditableWheel, editable_wheel
from storectl_store.projects.local_inputs import local_inputs
from storectl_store.selection.choose import choose_wheel, parsed_filename
from storectl_store.selection.origins import folder_origin, without_login
from storectl_store.selection.pin import GitCommit, LocalProject, Pin, SourceArchive, SourcePin, WheelFile
from storectl_store.selection.target import Interpreter

DEADLINE_SECONDS = 3600.0
_MOST_AT_ONCE = 2
_MOST_ROUNDS = 3


class BuildError(DaemonError):
    """A wheel cannot be built; ``facts`` may hold ``name`` and ``log``, the path of the build's whole output."""

    default_code = "E_BUILD"
    default_hint = "storectl daemon logs has the rest; the project must build with its own tool, too"


class Builder:
    """Makes wheels, each once for any number of callers.

    ``session`` is a folder of this process, ``logs`` is one that stays.
    """

    def __init__(
        self,
        *,
        store: Store,
        pipeline: Pipeline,
        session: Path,
        logs: Path,
        deadline: float = DEADLINE_SECONDS,
        layers: Layers | None = None,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._session = session
        self._logs = logs
        self._deadline = deadline
        self._known = KnownBuilds(layers or Layers(store))
        self._flights: SingleFlight[str, BuiltWheel] = SingleFlight()
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)
        self._numbers = itertools.count()

    async def wheel(self, pin: SourcePin, interpreter: Interpreter, report: Progress, how: BuildContext) -> BuiltWheel:
        """The wheel that the source makes for this interpreter; its entry is in the store."""
        built = await self._made(wheel_order(pin, interpreter, how), report)
        return replace(built, pin=replace(built.pin, index=pin.index, direct_url=pin.direct_url))

    async def editable(
        self, local: LocalProject, interpreter: Interpreter, report: Progress, how: BuildContext
    ) -> BuiltWheel:
        """The editable wheel of a packaged local project, as its folder is now; its entry is in the store."""
        wheel = await asyncio.to_thread(editable_wheel, local)
        if wheel is not None:
            made = BuiltWheel(pin=await self._keep(local.name, wheel, report, how))
        else:
            made = await self._made_of_folder(partial(editable_order, local, interpreter, how), report)
        origin = folder_origin(local.path, editable=local.editable)
        return replace(made, pin=replace(made.pin, index=None, direct_url=origin))

    async def _made_of_folder(self, order_now: Callable[[], Order], report: Progress) -> BuiltWheel:
        """Build until the folder is the same before and after. A build that saw it change is thrown away."""
        order = await asyncio.to_thread(order_now)
        for _ in range(_MOST_ROUNDS):
            try:
                return await self._made(order, report)
            except _FolderChangedError:
                order = await asyncio.to_thread(order_now)
        raise BuildError(
            f"{order.label} cannot be built: its files keep changing", hint="wait for what writes them", name=order.name
        )

    async def _keep(self, name: NormalizedName, wheel: EditableWheel, report: Progress, how: BuildContext) -> Pin:
        """Commit a wheel that is in memory."""
        how.hold.add([wheel.digest])
        if self._store.has(wheel.digest):
            return _pin(name, wheel.version, Path(wheel.filename), wheel.digest, len(wheel.content))
        folder = self._new_folder("editable")
        try:
            path = folder / wheel.filename
            await asyncio.to_thread(path.write_bytes, wheel.content)
            pin = _pin(name, wheel.version, path, wheel.digest, len(wheel.content))
            await self._pipeline.ensure(pin, report, how.access)
            return pin
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _made(self, order: Order, report: Progress) -> BuiltWheel:
        """The wheel, held. It is made once more if a collect took it away before it was held."""
        for _ in range(_MOST_ROUNDS):
            made = await self._known_or_built(order, report)
            order.how.hold.add([made.pin.wheel.digest])
            if self._store.has(made.pin.wheel.digest):
                return made
        raise BuildError(f"{order.label} is built, and gone again", hint="warm the project again", name=order.name)

    async def _known_or_built(self, order: Order, report: Progress) -> BuiltWheel:
        known = await asyncio.to_thread(self._known.find, order)
        if known is not None:
            return known
        if order.how.offline:
            raise OfflineError(
                f"{order.label} has to be built from source, which fetches its build requirements",
                hint="warm the project once without --offline",
                name=order.name,
            )
        return await self._flights.do(order.flight, lambda: self._build(order, report))

    async def _build(self, order: Order, report: Progress) -> BuiltWheel:
        async with self._places:
            report.building(order.label)
            folder = self._new_folder("build")
            try:
                result = await self._ask_worker(order, await self._request(order, folder, report), folder)
                pin = await asyncio.to_thread(_built_pin, order, folder / "out" / result.wheel)
                if isinstance(order.source, ProjectFolder):
                    await asyncio.to_thread(_check_unchanged, order.source)
                order.how.hold.add([pin.wheel.digest])
                await self._pipeline.ensure(pin, report, order.how.access)
                made = await asyncio.to_thread(self._known.keep, order, pin, result)
                report.built(order.label)
                return made
            finally:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    async def _request(self, order: Order, folder: Path, report: Progress) -> BuildRequest:
        """The request. An archive is fetched, and its digest checked."""
        pip = pip_variables(await order.how.access.settings(), order.how.places)
        addresses = [order.source.url] if isinstance(order.source, GitCommit) else []
        return BuildRequest(
            kind=order.kind,
            label=order.label,
            work=str(folder),
            python=order.interpreter.executable,
            source=await self._source(order, folder, report),
            subdirectory=order.subdirectory,
            recipe=order.how.recipe,
            pip=pip,
            secrets=secrets_of({**order.environ, **pip}, addresses),
        )

    async def _source(self, order: Order, folder: Path, report: Progress) -> Archive | Repository | Folder:
        match order.source:
            case SourceArchive(filename=filename, digest=digest, url=url, size=size):
                wanted = WheelFile(filename=filename, digest=digest, url=url, size=size)
                as_pin = Pin(name=order.name, version=order.version or "", wheel=wanted)
                archive = folder / "source.archive"
                await order.how.access(wanted, archive, progress=lambda count: report.fetching(as_pin, count))
                return Archive(path=str(archive))
            case GitCommit(url=url, commit=commit, lfs=lfs):
                mirror = self._store.layout.repository(without_login(url))
                return Repository(url=url, commit=commit, mirror=str(mirror), lfs=lfs)
            case ProjectFolder(path=path):
                return Folder(path=path)
        assert_never(order.source)

    async def _ask_worker(self, order: Order, request: BuildRequest, folder: Path) -> BuildResult:
        """Have a process build. If it takes too long or the caller is cancelled, end it with all that it started."""
        log = self._logs / f"build-{order.name}-{order.key[:12]}.log"
        out = await asyncio.to_thread(_new_log, log)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-m", "storectl_daemon.building.worker", stdin=asyncio.subprocess.PIPE,
                stdout=out, stderr=out, env=dict(order.environ), cwd=folder, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(out)
        try:
            await asyncio.wait_for(process.communicate(request.encode()), self._deadline)
        except TimeoutError:
            raise BuildError(
                f"{order.label} cannot be built: it takes longer than {self._deadline:g} s", hint=f"its log is {log}"
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        answer = await asyncio.to_thread(read_answer, folder)
        if isinstance(answer, BuildResult):
            return answer
        raise _problem(order, answer, log)

    def _new_folder(self, what: str) -> Path:
        folder = self._session / f"{what}.{next(self._numbers)}"
        folder.mkdir(mode=0o700)
        return folder


def _new_log(path: Path) -> int:
    """A descriptor of an empty log file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


class _FolderChangedError(Exception):
    """The folder of a local project is no longer what it was when its build began."""


def _check_unchanged(folder: ProjectFolder) -> None:
    if local_inputs(Path(folder.path)).contents() != folder.contents:
        raise _FolderChangedError


def _pin(name: NormalizedName, version: str, path: Path, digest: Digest, size: int) -> Pin:
    url = path.as_uri() if path.is_absolute() else f"file:///{path}"
    return Pin(
        name=name,
        version=version,
        wheel=WheelFile(filename=path.name, digest=digest, url=url, size=size),
    )


def _built_pin(order: Order, path: Path) -> Pin:
    """The wheel that the backend left, as a pin.

    Raises BuildError if it is another project's, or if it cannot be used here.
    """
    with path.open("rb") as file:
        digest = digest_of_hex(hashlib.file_digest(file, "sha256").hexdigest())
    parsed = parsed_filename(path.name)
    if parsed is None or canonicalize_name(parsed[0]) != order.name:
        raise BuildError(
            f"{order.label}: its build backend made {path.name}, a wheel of something else", name=order.name
        )
    pin = _pin(order.name, str(parsed[1]), path, digest, path.stat().st_size)
    if choose_wheel((pin.wheel,), order.interpreter) is None:
        raise BuildError(
            f"{order.label}: its build backend made {path.name}, which does not fit Python {order.interpreter.version}",
            name=order.name,
        )
    return pin


def _problem(order: Order, answer: BuildFailure | None, log: Path) -> DaemonError:
    if answer is None:
        return BuildError(
            f"{order.label} cannot be built: its process ended", hint=f"its log is {log}", name=order.name
        )
    kind = OfflineError if answer.code == "E_OFFLINE" else BuildError
    hint = f"{answer.hint}; its log is {log}" if answer.hint else f"its log is {log}"
    return kind(f"{order.label} cannot be built: {answer.message}", hint=hint, name=order.name, log=str(log))
