"""``/v1/entries`` and ``/v1/verify``: the entries of the store."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from storectl_daemon.api.streams import lines_of, ndjson
from storectl_daemon.errors import UnknownEntryError
from storectl_daemon.models import BuildInfo, CheckedEvent, EntryDetail, EntryInfo, FindingEvent, VerifyDone
from storectl_daemon.service import Service
from storectl_store.digest import prefix_of
from storectl_store.entries.provenance import Provenance, provenance_of
from storectl_store.entries.store import Store
from storectl_store.entries.verify import Checked, Finding, verify
from storectl_store.errors import StoreError


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["entries"])
    store = service.store

    @router.get("/entries")
    def entries() -> list[EntryInfo]:
        """Every entry, by name and version."""
        return [
            EntryInfo(
                name=summary.name,
                version=summary.version,
                prefix=prefix_of(summary.digest),
                digest=summary.digest,
                size=summary.unpacked_size,
                filename=summary.filename,
            )
            for summary in store.summaries()
        ]

    @router.get("/entries/{prefix}")
    def entry(prefix: str) -> EntryDetail:
        """One entry, by its whole prefix."""
        return _detail(store, prefix)

    @router.post(
        "/verify", response_class=StreamingResponse, responses=lines_of(CheckedEvent, FindingEvent, VerifyDone)
    )
    async def verify_entries() -> StreamingResponse:
        """Check every file of every entry; the last line is ``done``."""
        return ndjson(_verification(store))

    return router


def _detail(store: Store, prefix: str) -> EntryDetail:
    digest = next((digest for digest in store.digests() if prefix_of(digest) == prefix), None)
    manifest = store.manifest(digest) if digest else None
    if manifest is None:
        raise UnknownEntryError(
            f"there is no entry {prefix[:64]}", hint="`storectl store list` shows them.", digest=prefix[:64]
        )
    return EntryDetail(
        name=manifest.name,
        version=manifest.version,
        prefix=prefix,
        digest=manifest.digest,
        size=manifest.unpacked_size,
        filename=manifest.filename,
        path=str(store.entry_folder(manifest)),
        files=len(manifest.files),
        tags=manifest.tags,
        builds=tuple(_build_info(build) for build in provenance_of(store.layout, manifest.digest)),
    )


async def _verification(store: Store) -> AsyncIterator[BaseModel]:
    entries = findings = 0
    steps = verify(store)
    while (step := await asyncio.to_thread(next, steps, None)) is not None:
        if isinstance(step, Finding):
            findings += 1
        else:
            entries += 1
        yield await asyncio.to_thread(_event, store, step)
    yield VerifyDone(entries=entries, findings=findings)


def _event(store: Store, step: Checked | Finding) -> CheckedEvent | FindingEvent:
    """The step with the name of its entry, as far as the entry can still say it."""
    prefix = prefix_of(step.digest)
    try:
        manifest = store.manifest(step.digest)
    except StoreError:
        manifest = None
    name, version = (manifest.name, manifest.version) if manifest else ("?", "?")
    if isinstance(step, Finding):
        return FindingEvent(name=name, version=version, prefix=prefix, path=step.path, what=step.message)
    return CheckedEvent(name=name, prefix=prefix)


def _build_info(build: Provenance) -> BuildInfo:
    return BuildInfo(
        kind=build.kind,
        source=build.source,
        python=build.python,
        backend=build.backend,
        build_requires=build.build_requires,
        installed=build.installed,
        variables=tuple(sorted(build.variables)),
    )
