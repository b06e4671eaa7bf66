"""``/v1/warm`` and ``/v1/projects``: environments for projects, now and whenever their lock file changes."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from storectl_daemon.models import (
    AbsolutePath,
    FailedEvent,
    ProgressEvent,
    ProjectRequest,
    ProjectState,
    ReadyEvent,
    WarmRequest,
    WarningEvent,
)
from storectl_daemon.service import Service
from storectl_daemon.serving.api.streams import lines_of, ndjson
from storectl_daemon.serving.warm_request import warm_events

PathQuery = Annotated[AbsolutePath, Query()]
State = Annotated[ProjectState, Field(discriminator="state")]


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
        return ndjson(warm_events(service, request))

    @router.get("/projects")
    async def projects() -> list[State]:
        """Every registered project."""
        return [service.state_of(project) for project in service.book]

    @router.post("/projects")
    async def register(request: ProjectRequest) -> State:
        """Watch the project at or above a folder, and begin to warm it."""
        return service.state_of(await service.register(request.path, environ=request.environ))

    @router.delete("/projects", status_code=204)
    async def unregister(path: PathQuery) -> None:
        """Forget a project. Its environments stay in the store."""
        await service.unregister(path)

    @router.get("/projects/state")
    async def state(path: PathQuery) -> State:
        """The project that a folder is in."""
        return service.state_of(service.known(path))

    return router
