"""``/v1/environments/<id>/export``: a plain copy of an environment, in a folder or an archive of the user's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from storectl_daemon.models import FailedEvent, ProgressEvent
from storectl_daemon.published import known_environment
from storectl_daemon.service import Service
from storectl_daemon.serving.api.export_models import ExportedEvent, ExportEvent, ExportRequest
from storectl_daemon.serving.api.streams import lines_of, ndjson
from storectl_daemon.warming.warm import problem_of
from storectl_store.digest import EnvironmentId
from storectl_store.environments.export.export import ExportOrder, local_folders, read_export, write_export
from storectl_store.environments.export.writing import Method
from storectl_store.errors import ProblemError


class _CancelledError(Exception):
    """The client has gone away."""


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["environments"])

    @router.post(
        "/environments/{environment_id}/export",
        response_class=StreamingResponse,
        responses=lines_of(ProgressEvent, ExportedEvent, FailedEvent),
    )
    async def export(environment_id: str, request: ExportRequest) -> StreamingResponse:
        """Write the export and tell how far it is; the last line is ``exported`` or ``failed``.

        It ends, and leaves nothing, if the client goes away.
        """
        known = known_environment(service.environments, environment_id)
        return ndjson(_held_export(service, known.id, order_of(request)))

    return router


def order_of(request: ExportRequest) -> ExportOrder:
    """The order in a request. Raises ExportError if nothing can be written there."""
    order = ExportOrder(
        folder=Path(request.folder) if request.folder else None,
        archive=Path(request.archive) if request.archive else None,
        relocatable=request.relocatable,
        method=Method(request.method),
        umask=request.umask,
        moment=request.moment,
    )
    order.check()
    return order


async def _held_export(
    service: Service, environment_id: EnvironmentId, order: ExportOrder
) -> AsyncIterator[ExportEvent]:
    """Export the environment, which no collect takes away meanwhile."""
    with service.holds.keep([environment_id]):
        try:
            environment = Path(known_environment(service.environments, environment_id).path)
        except ProblemError as error:
            yield FailedEvent(problem=problem_of(error))
            return
        async for event in _export(service, environment, order):
            yield event


async def _export(service: Service, environment: Path, order: ExportOrder) -> AsyncIterator[ExportEvent]:
    steps: asyncio.Queue[int] = asyncio.Queue()
    loop, gone = asyncio.get_running_loop(), asyncio.Event()

    def told(files: int) -> None:
        if gone.is_set():
            raise _CancelledError
        loop.call_soon_threadsafe(steps.put_nowait, files)

    try:
        contents = await asyncio.to_thread(read_export, service.store.layout, environment, order)
        total, done = len(contents.files), 0
        writing = asyncio.ensure_future(asyncio.to_thread(write_export, contents, order, told))
        writing.add_done_callback(lambda _: steps.put_nowait(0))
        while not writing.done():
            done += await steps.get()
            yield ProgressEvent(phase="export", done=done, total=total)
        await writing
    except ProblemError as error:
        yield FailedEvent(problem=problem_of(error))
        return
    finally:
        gone.set()
    yield ExportedEvent(
        path=str(order.archive or order.folder),
        files=total,
        bytes=sum(file.size for file in contents.files.values()),
        local=tuple(await asyncio.to_thread(local_folders, contents)),
    )
