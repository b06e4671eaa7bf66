"""``/v1/entries``: the entries of the store."""

from fastapi import APIRouter

from storectl_daemon.errors import UnknownEntryError
from storectl_daemon.service import Service
from storectl_daemon.serving.api.entry_models import BuildInfo, EntryDetail, EntryInfo
from storectl_store.digest import prefix_of
from storectl_store.entries.provenance import Provenance, provenance_of
from storectl_store.entries.read_only import ReadOnlyStore


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

    return router


def _detail(store: ReadOnlyStore, prefix: str) -> EntryDetail:
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
