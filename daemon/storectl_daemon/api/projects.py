"""``/v1/warm`` and ``/v1/projects``: environments for projects, now and whenever their lock file changes."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from storectl_daemon.api.streams import lines_of, ndjson
from storectl_daemon.models import (
    AbsolutePath,
    CompiledEvent,
    FailedEvent,
    ProgressEvent,
    ProjectRequest,
    ProjectState,
    ReadyEvent,
    WarmEvent,
    WarmRequest,
    WarningEvent,
)
from storectl_daemon.options import Options
from storectl_daemon.service import Service
from storectl_daemon.warm import STOPPING, problem_of
from storectl_store.errors import ProblemError

PathQuery = Annotated[AbsolutePath, Query()]


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["projects"])

    @router.post(
        "/warm",
        response_class=StreamingResponse,
        responses=lines_of(ProgressEvent, WarningEvent, ReadyEvent, FailedEvent),
    )
    async def warm(request: WarmRequest) -> StreamingResponse:
        """Make an environment and tell how far it is; the last line is ``ready`` or ``failed``.

        The work goes on when the client goes away.
        """
        return ndjson(_warm(service, request))

    @router.get("/projects")
    async def projects() -> list[ProjectState]:
        """Every registered project."""
        return [service.state_of(project) for project in service.book]

    @router.post("/projects")
    async def register(request: ProjectRequest) -> ProjectState:
        """Watch the project at or above a folder, and begin to warm it."""
        return service.state_of(await service.register(request.path, link=request.link))

    @router.delete("/projects", status_code=204)
    async def unregister(path: PathQuery) -> None:
        """Forget a project. Its environments stay in the store."""
        await service.unregister(path)

    @router.get("/projects/state")
    async def state(path: PathQuery) -> ProjectState:
        """The project that a folder is in."""
        return service.state_of(service.known(path))

    return router


def options_of(request: WarmRequest) -> Options:
    """The options of a request."""
    return Options(
        python=request.python,
        extras=frozenset(request.extras),
        all_extras=request.all_extras,
        groups=frozenset(request.groups),
        default_groups=request.default_groups,
        only_groups=request.only_groups,
        lock_file=request.lock_file,
        overlay=request.overlay,
        member=request.member,
    )


async def _warm(service: Service, request: WarmRequest) -> AsyncIterator[WarmEvent]:
    try:
        job = await service.job_at(request.start, options_of(request), offline=request.offline)
    except ProblemError as error:
        yield FailedEvent(problem=problem_of(error))
        return
    with service.bus.subscribe(lambda event: event.job == job) as events:
        service.warmer.start(job)
        ready: ReadyEvent | None = None
        async for event in events:
            message = event.message
            if isinstance(message, ReadyEvent) and request.bytecode and service.compiling.busy_with(job):
                ready = message
            elif isinstance(message, CompiledEvent):
                if ready is not None:
                    yield ready
                    return
            else:
                yield message
                if isinstance(message, ReadyEvent | FailedEvent):
                    return
    yield FailedEvent(problem=STOPPING)
