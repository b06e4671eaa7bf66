"""A request for an environment: the job that it means, and the events that its client is sent."""

from collections.abc import AsyncIterator
from functools import partial

from storectl_daemon.jobs.events import concerns
from storectl_daemon.jobs.options import Job, options_of
from storectl_daemon.models import (
    STOPPING,
    CompiledEvent,
    FailedEvent,
    ReadyEvent,
    WarmEvent,
    WarmRequest,
    WarningEvent,
)
from storectl_daemon.service import Service
from storectl_daemon.warming.warm import problem_of
from storectl_store.errors import ProblemError


async def warm_events(service: Service, request: WarmRequest) -> AsyncIterator[WarmEvent]:
    """Warm, and report how far it is. The last event is ``ready`` or ``failed``.

    The work goes on even if the client stops listening.
    """
    try:
        job = await service.job_at(request.start, options_of(request), offline=request.offline, environ=request.environ)
    except ProblemError as error:
        yield FailedEvent(problem=problem_of(error))
        return
    unchanged = request.thorough and await _is_unchanged(service, job)
    if request.thorough and not unchanged:
        for told in await (await service.repairer()).look_at(job):
            yield WarningEvent(message=told)
    waiting = service.compiling.waited_for(job, bytecode=request.bytecode, imports=request.imports)
    with waiting, service.bus.subscribe(partial(concerns, job)) as events:
        if not unchanged or not service.warmer.say_again(job):
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


async def _is_unchanged(service: Service, job: Job) -> bool:
    """Whether nothing has happened to the inputs or to the environment since a look found it right."""
    return await service.warmer.is_ready(job) and await (await service.repairer()).found_right(job)
