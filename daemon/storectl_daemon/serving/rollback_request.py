"""A request for an earlier environment: the events that its client is sent."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from storectl_daemon.jobs.events import concerns
from storectl_daemon.jobs.options import Job, options_of
from storectl_daemon.models import STOPPING, CompiledEvent, FailedEvent, ReadyEvent, WarmEvent
from storectl_daemon.service import Service
from storectl_daemon.warming.warm import problem_of
from storectl_store.errors import ProblemError

if TYPE_CHECKING:
    from storectl_daemon.serving.api.history_models import RollbackRequest


async def rollback_events(service: Service, request: "RollbackRequest") -> AsyncIterator[WarmEvent]:
    """Roll back, or end that, and report how far it is. The last event is ``ready`` or ``failed``.

    The work goes on even if the client stops listening.
    """
    try:
        asked = await service.job_at(
            request.start, options_of(request), offline=request.offline, environ=request.environ
        )
        number = await _number(service, asked, request)
    except ProblemError as error:
        yield FailedEvent(problem=problem_of(error))
        return
    job = asked if number is None else replace(asked, offline=False)  # its state is what `env show` tells
    with service.bus.subscribe(partial(concerns, job)) as events:
        if number is None:
            service.warmer.end_rollback(job)
            service.warmer.start(job)
        else:
            service.warmer.roll_back(job, partial(service.generations.make, asked, number))
        async for event in events:
            if not isinstance(event.message, CompiledEvent):
                yield event.message
            if isinstance(event.message, ReadyEvent | FailedEvent):
                return
    yield FailedEvent(problem=STOPPING)


async def _number(service: Service, job: Job, request: "RollbackRequest") -> int | None:
    """The generation that is asked for; None for the one that the inputs give."""
    if request.off:
        return None
    generations, number = service.generations, request.generation
    if number is None:
        number = await asyncio.to_thread(generations.one_before, job)
    inputs = await asyncio.to_thread(service.files.read, job, None)
    return None if await asyncio.to_thread(generations.is_given_by, job, number, inputs.digest) else number
