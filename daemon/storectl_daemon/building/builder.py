"""The builder: what is locked as a source becomes an entry, and is known by its wheel from then on.

    source pin     -> known build? -> archive or commit -> worker -> wheel -> pipeline -> entry, provenance
    local project  -> static?      -> editable wheel of our own             -> pipeline -> entry
                   -> known build? -> worker (PEP 660) -> wheel             -> pipeline -> entry, provenance

A wheel that was built is checked, staged and committed like any other; only its digest is known last instead of first.
"""

import asyncio
import contextlib
import hashlib
import itertools
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from packaging.utils import NormalizedName, canonicalize_name

from storectl_daemon.building.request import BuildAnswer, BuildRequest, Repository, read_answer
from storectl_daemon.errors import DaemonError, OfflineError
from storectl_daemon.pipeline import Fetch, PinReport, Pipeline
from storectl_daemon.single_flight import SingleFlight
from storectl_store.digest import digest_of_hex
from storectl_store.entries.provenance import BuildKind, Provenance, build_key, read_provenance, write_provenance
from storectl_store.entries.store import Store
from storectl_store.environments.editable_wheel import EditableWheel, editable_wheel
from storectl_store.environments.static_metadata import build_inputs
from storectl_store.selection.choose import choose_wheel, parsed_filename
from storectl_store.selection.origins import folder_origin
from storectl_store.selection.pin import GitCommit, LocalProject, Pin, SourceArchive, SourcePin, WheelFile
from storectl_store.selection.target import Interpreter

if TYPE_CHECKING:
    from storectl_daemon.index_config import IndexSettings

DEADLINE_SECONDS = 3600.0
_MOST_AT_ONCE = 2


class BuildError(DaemonError):
    """A wheel cannot be built; ``facts`` may hold ``name`` and ``log``, the path of everything that was said."""

    default_code = "E_BUILD"


class BuildReport(PinReport, Protocol):
    """Who is told of builds."""

    def building(self, name: str) -> None:
        """One more is being built."""

    def built(self, name: str) -> None:
        """It is there."""


class Access(Fetch, Protocol):
    """The network as the command that wants a build may use it."""

    async def settings(self) -> "IndexSettings":
        """Where the project's packages come from."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """How a command wants its builds: with which network and which variables, or ``offline``, not at all."""

    access: Access
    environ: Mapping[str, str] = field(repr=False)
    offline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """One build that is wanted."""

    kind: BuildKind
    name: NormalizedName
    version: str | None
    key: str
    source: str
    interpreter: Interpreter
    how: Building
    archive: SourceArchive | None = None
    commit: GitCommit | None = None
    folder: str | None = None
    subdirectory: str | None = None

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


class Builder:
    """Makes wheels; each build once, however many ask. ``session`` is a folder of this process, ``logs`` one that stays."""

    def __init__(
        self,
        *,
        store: Store,
        pipeline: Pipeline,
        session: Path,
        logs: Path,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._session = session
        self._logs = logs
        self._deadline = deadline
        self._flights: SingleFlight[str, Pin] = SingleFlight()
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)
        self._numbers = itertools.count()

    async def wheel(self, pin: SourcePin, interpreter: Interpreter, report: BuildReport, how: Building) -> Pin:
        """The pin of the wheel that the source makes for this interpreter; its entry is in the store."""
        archive = pin.source if isinstance(pin.source, SourceArchive) else None
        commit = pin.source if isinstance(pin.source, GitCommit) else None
        source = archive.digest if archive else f"git+{pin.source.url}@{commit.commit if commit else ''}"
        order = _Order(
            kind="wheel",
            name=pin.name,
            version=pin.version,
            key=_key(
                "wheel", f"git {commit.commit} lfs={commit.lfs}" if commit else source, pin.subdirectory, interpreter
            ),
            source=source,
            interpreter=interpreter,
            how=how,
            archive=archive,
            commit=commit,
            subdirectory=pin.subdirectory,
        )
        built = await self._made(order, report)
        return Pin(
            name=built.name, version=built.version, wheel=built.wheel, index=pin.index, direct_url=pin.direct_url
        )

    async def editable(self, local: LocalProject, interpreter: Interpreter, report: BuildReport, how: Building) -> Pin:
        """The pin of the editable wheel of a packaged local project; its entry is in the store."""
        direct_url = folder_origin(local.path, editable=local.editable)
        wheel = await asyncio.to_thread(editable_wheel, local)
        if wheel is not None:
            made = await self._keep(local.name, wheel, report, how)
        else:
            inputs = await asyncio.to_thread(_contents_of, Path(local.path))
            source = f"{local.path} {inputs}"
            order = _Order(
                kind="editable",
                name=local.name,
                version=None,
                key=_key("editable", source, None, interpreter),
                source=source,
                interpreter=interpreter,
                how=how,
                folder=local.path,
            )
            made = await self._made(order, report)
        return Pin(name=made.name, version=made.version, wheel=made.wheel, direct_url=direct_url)

    async def _keep(self, name: NormalizedName, wheel: EditableWheel, report: BuildReport, how: Building) -> Pin:
        """Commit a wheel that is in memory."""
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

    async def _made(self, order: _Order, report: BuildReport) -> Pin:
        known = await asyncio.to_thread(self._known, order)
        if known is not None:
            return known
        if order.how.offline:
            raise OfflineError(
                f"{order.label} has to be built from source, which fetches its build requirements",
                hint="warm the project once without --offline",
                name=order.name,
            )
        return await self._flights.do(order.key, lambda: self._build(order, report))

    def _known(self, order: _Order) -> Pin | None:
        """The wheel of an earlier build of the very same, whose entry is still there."""
        record = read_provenance(self._store.layout, order.key)
        if record is None or not self._store.has(record.digest):
            return None
        wheel = WheelFile(filename=record.filename, digest=record.digest, url=f"file:///{record.filename}")
        return Pin(name=record.name, version=record.version, wheel=wheel)

    async def _build(self, order: _Order, report: BuildReport) -> Pin:
        async with self._places:
            report.building(order.label)
            folder = self._new_folder("build")
            try:
                answer = await self._ask_worker(order, await self._request(order, folder, report), folder)
                pin = await asyncio.to_thread(_built_pin, order, folder / "out" / (answer.wheel or ""))
                await self._pipeline.ensure(pin, report, order.how.access)
                await asyncio.to_thread(write_provenance, self._store.layout, _provenance(order, pin, answer))
                report.built(order.label)
                return pin
            finally:
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    async def _request(self, order: _Order, folder: Path, report: BuildReport) -> BuildRequest:
        """The request, with the archive fetched and its digest checked."""
        archive: Path | None = None
        if order.archive is not None:
            file = order.archive
            archive = folder / "source.archive"
            wanted = WheelFile(filename=file.filename, digest=file.digest, url=file.url, size=file.size)
            as_pin = Pin(name=order.name, version=order.version or "", wheel=wanted)
            await order.how.access(wanted, archive, progress=lambda count: report.fetching(as_pin, count))
        repository = None
        if order.commit is not None:
            mirror = self._store.layout.repositories / hashlib.sha256(order.commit.url.encode()).hexdigest()[:32]
            repository = Repository(
                url=order.commit.url, commit=order.commit.commit, mirror=str(mirror), lfs=order.commit.lfs
            )
        return BuildRequest(
            kind=order.kind,
            label=order.label,
            work=str(folder),
            python=order.interpreter.executable,
            archive=str(archive) if archive else None,
            repository=repository,
            folder=order.folder,
            subdirectory=order.subdirectory,
        )

    async def _ask_worker(self, order: _Order, request: BuildRequest, folder: Path) -> BuildAnswer:
        """Let a process build, and end it with all that it started where it takes too long or nobody waits any more."""
        environ = _environ_of(order.how.environ, await order.how.access.settings())
        log = self._logs / f"build-{order.name}-{order.key[:12]}.log"
        out = await asyncio.to_thread(_new_log, log)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "storectl_daemon.building.worker", str(request.write()),
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env=environ, cwd=folder, start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(out)
        try:
            await asyncio.wait_for(process.wait(), self._deadline)
        except TimeoutError:
            raise BuildError(
                f"{order.label} cannot be built: it takes longer than {self._deadline:g} s", hint=f"its log is {log}"
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        answer = await asyncio.to_thread(read_answer, folder)
        if answer is None or answer.wheel is None:
            raise _problem(order, answer, log)
        return answer

    def _new_folder(self, what: str) -> Path:
        folder = self._session / f"{what}.{next(self._numbers)}"
        folder.mkdir(mode=0o700)
        return folder


def _environ_of(environ: Mapping[str, str], settings: "IndexSettings") -> dict[str, str]:
    """The command's variables, and the project's indexes as pip's."""
    default, *extra = (*reversed(settings.indexes),) or ("",)
    pip = {
        "PIP_INDEX_URL": default,
        "PIP_EXTRA_INDEX_URL": " ".join(reversed(extra)),
        "PIP_FIND_LINKS": " ".join(settings.find_links),
        "PIP_TRUSTED_HOST": " ".join(sorted(settings.trusted_hosts)),
        "PIP_CERT": settings.ca_bundle or "",
        "PIP_NO_INDEX": "" if default else "1",
    }
    kept = {name: value for name, value in environ.items() if name not in pip and not name.startswith("STORECTL")}
    return kept | {name: value for name, value in pip.items() if value}


def _new_log(path: Path) -> int:
    """A descriptor of an empty log file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)


def _key(kind: BuildKind, source: str, subdirectory: str | None, interpreter: Interpreter) -> str:
    return build_key(kind=kind, source=source, subdirectory=subdirectory, interpreter=interpreter.identity)


def _contents_of(folder: Path) -> str:
    """A digest over the files that decide what a build of the folder is."""
    hasher = hashlib.sha256()
    for path in build_inputs(folder):
        try:
            content = path.read_bytes()
        except OSError:
            continue
        hasher.update(f"{path.name}\0{len(content)}\0".encode())
        hasher.update(content)
    return f"sha256:{hasher.hexdigest()}"


def _pin(name: NormalizedName, version: str, path: Path, digest: object, size: int) -> Pin:
    url = path.as_uri() if path.is_absolute() else f"file:///{path}"
    return Pin(
        name=name,
        version=version,
        wheel=WheelFile(filename=path.name, digest=digest, url=url, size=size),  # type: ignore[arg-type]
    )


def _built_pin(order: _Order, path: Path) -> Pin:
    """The wheel that the backend left, as a pin; BuildError where it is another project's, or of no use here."""
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


def _provenance(order: _Order, pin: Pin, answer: BuildAnswer) -> Provenance:
    return Provenance(
        key=order.key,
        name=pin.name,
        version=pin.version,
        kind=order.kind,
        source=order.source,
        interpreter=order.interpreter.identity,
        python=order.interpreter.version,
        backend=answer.backend,
        build_requires=answer.build_requires,
        installed=answer.installed,
        filename=pin.wheel.filename,
        digest=pin.wheel.digest,
    )


def _problem(order: _Order, answer: BuildAnswer | None, log: Path) -> DaemonError:
    if answer is None:
        return BuildError(
            f"{order.label} cannot be built: its process ended", hint=f"its log is {log}", name=order.name
        )
    kind = OfflineError if answer.code == "E_OFFLINE" else BuildError
    hint = f"{answer.hint}; its log is {log}" if answer.hint else f"its log is {log}"
    return kind(f"{order.label} cannot be built: {answer.message}", hint=hint, name=order.name, log=str(log))
