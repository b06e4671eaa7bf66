"""``/v1/projects/history``, ``/v1/diff`` and ``/v1/rollback``: the environments that a project had."""

import asyncio
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from storectl_daemon.jobs.options import Job, options_of
from storectl_daemon.models import AbsolutePath, FailedEvent, ProgressEvent, ReadyEvent, WarningEvent
from storectl_daemon.service import Service
from storectl_daemon.serving.api.history_models import (
    ChangeInfo,
    DiffInfo,
    DiffRequest,
    GenerationInfo,
    History,
    LockFileThen,
    RollbackRequest,
    SideInfo,
    SideRequest,
    WheelState,
)
from storectl_daemon.serving.api.streams import lines_of, ndjson
from storectl_daemon.serving.rollback_request import rollback_events
from storectl_daemon.warming.comparing import ComparedSide, Side
from storectl_daemon.warming.generations import Listing, ToldGeneration
from storectl_store.environments.difference import Change, Member

PathQuery = Annotated[AbsolutePath, Query()]
NumberQuery = Annotated[int, Query(ge=0)]
KeyQuery = Annotated[str, Query(pattern=r"^[a-z0-9]{1,64}$")]


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["history"])
    generations = service.generations

    @router.get("/projects/history")
    async def history(path: PathQuery, key: KeyQuery = "default") -> History:
        """The generations of the project in this folder, for the options with this key."""
        job = service.job_of_key(path, key)
        return _history(job, await asyncio.to_thread(generations.listing, job))

    @router.get("/projects/history/lock-file")
    async def lock_file(path: PathQuery, number: NumberQuery, key: KeyQuery = "default") -> LockFileThen:
        """The lock file as it was in a generation."""
        kept = await asyncio.to_thread(generations.lock_file, service.job_of_key(path, key), number)
        return LockFileThen(
            path=str(kept.path),
            content=kept.content.decode(errors="surrogateescape"),
            differing=tuple(map(str, kept.differing)),
        )

    @router.post("/diff")
    async def diff(request: DiffRequest) -> DiffInfo:
        """What changed between two environments of a project. Nothing is fetched or made for it."""
        job = await service.job_at(request.start, options_of(request), environ=request.environ)
        compare = (await service.comparing()).compare
        found = await asyncio.to_thread(compare, job, _side(request.before), _side(request.after))
        return DiffInfo(
            before=_side_info(found.before), after=_side_info(found.after), changes=tuple(map(_change, found.changes))
        )

    @router.post(
        "/rollback",
        response_class=StreamingResponse,
        responses=lines_of(ProgressEvent, WarningEvent, ReadyEvent, FailedEvent),
    )
    async def rollback(request: RollbackRequest) -> StreamingResponse:
        """Give a project an earlier environment, or end that; the last line is ``ready`` or ``failed``."""
        return ndjson(rollback_events(service, request))

    return router


def _history(job: Job, listing: Listing) -> History:
    return History(
        project=str(job.project),
        key=job.options.key,
        current=listing.current,
        rolled_back=listing.rolled_back,
        generations=tuple(map(_generation, listing.generations)),
    )


def _generation(told: ToldGeneration) -> GenerationInfo:
    generation, kept = told.generation, told.kept
    return GenerationInfo(
        number=generation.number,
        at=generation.at_ns / 1e9,
        branch=generation.branch,
        commit=generation.commit,
        environment=generation.environment,
        lock_file=str(kept.lock_file) if kept else None,
        python=kept.version if kept else None,
        wheels=len(kept.wheels) if kept else None,
        changes=None if told.changes is None else tuple(map(_change, told.changes)),
        published=told.is_published,
        missing=told.missing,
        kept=kept is not None,
    )


def _change(change: Change) -> ChangeInfo:
    return ChangeInfo(name=change.name, before=_wheel(change.before), after=_wheel(change.after))


def _wheel(member: Member | None) -> WheelState | None:
    if member is None:
        return None
    return WheelState(version=member.version, digest=member.digest, size=member.size)


def _side(request: SideRequest | None) -> Side | None:
    if request is None:
        return None
    lock_file = Path(request.lock_file) if request.lock_file else None
    return Side(generation=request.generation, ref=request.ref, lock_file=lock_file)


def _side_info(side: ComparedSide) -> SideInfo:
    generation = side.generation
    sizes = [member.size for member in side.members]
    return SideInfo(
        label=side.label,
        generation=generation.number if generation else None,
        at=generation.at_ns / 1e9 if generation else None,
        branch=generation.branch if generation else None,
        commit=generation.commit if generation else side.commit,
        wheels=len(side.members),
        size=None if None in sizes else sum(size for size in sizes if size is not None),
    )
