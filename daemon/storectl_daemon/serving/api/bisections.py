"""``/v1/bisections``: which generation of a project, and which wheel of it, makes a program fail."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from storectl_daemon.jobs.options import options_of
from storectl_daemon.jobs.progress import Progress
from storectl_daemon.models import FailedEvent, ProgressEvent, WarmEvent, WarningEvent
from storectl_daemon.service import Service
from storectl_daemon.serving.api.bisection_models import (
    BisectionEvent,
    BisectionRequest,
    ChangeInfo,
    FoundEvent,
    GenerationInfo,
    TryEvent,
)
from storectl_daemon.serving.api.streams import lines_of, ndjson
from storectl_daemon.warming.bisection import Asked, Next, Result
from storectl_daemon.warming.warm import problem_of
from storectl_store.environments.halving import Outcome
from storectl_store.environments.mixture import Change
from storectl_store.errors import ProblemError
from storectl_store.projects.history import Generation
from storectl_store.system_errors import refusal_of

logger = logging.getLogger(__name__)


def routes(service: Service) -> APIRouter:
    """The routes, bound to one daemon."""
    router = APIRouter(tags=["bisections"])

    @router.post(
        "/bisections",
        response_class=StreamingResponse,
        responses=lines_of(ProgressEvent, WarningEvent, TryEvent, FoundEvent, FailedEvent),
    )
    async def bisect(request: BisectionRequest) -> StreamingResponse:
        """Say what to try next; the last line is ``try``, ``found`` or ``failed``.

        The daemon remembers nothing of it: each request has the outcomes of all environments that were tried.
        """
        return ndjson(_events(service, request))

    return router


async def _events(service: Service, request: BisectionRequest) -> AsyncIterator[BisectionEvent]:
    told: asyncio.Queue[WarmEvent | None] = asyncio.Queue()
    step = asyncio.ensure_future(_step(service, request, Progress(told.put_nowait)))
    step.add_done_callback(lambda _: told.put_nowait(None))
    try:
        while (event := await told.get()) is not None:
            if isinstance(event, ProgressEvent | WarningEvent):
                yield event
        yield _event_of(await step)
    except Exception as error:
        if not isinstance(error, ProblemError) and refusal_of(error, "go on") is None:
            logger.exception("bisecting %s", request.start)
        yield FailedEvent(problem=problem_of(error))
    finally:
        step.cancel()


async def _step(service: Service, request: BisectionRequest, progress: Progress) -> Next | Result:
    job = await service.job_at(request.start, options_of(request), offline=request.offline, environ=request.environ)
    outcomes = {environment: Outcome(shown) for environment, shown in request.outcomes.items()}
    bisection = await service.bisection()
    return await bisection.step(Asked(job=job, good=request.good, bad=request.bad, outcomes=outcomes), progress)


def _event_of(step: Next | Result) -> TryEvent | FoundEvent:
    if isinstance(step, Next):
        return TryEvent(
            outcome_of=step.outcome_of,
            environment=None if isinstance(step.made, ProblemError) else step.made,
            problem=problem_of(step.made) if isinstance(step.made, ProblemError) else None,
            left=step.left,
            generation=None if step.generation is None else _generation(step.generation),
            taken=_changes(step.taken),
        )
    return FoundEvent(
        good=_generation(step.neighbours.good),
        bad=_generation(step.neighbours.bad),
        between=tuple(map(_generation, step.neighbours.between)),
        changes=_changes(step.changes),
        suspects=tuple(map(_changes, step.suspects)),
        needs=_changes(step.needs),
        alone=None if step.alone is None else step.alone.value,
        rest=None if step.rest is None else step.rest.value,
        pythons=step.pythons,
    )


def _generation(generation: Generation) -> GenerationInfo:
    return GenerationInfo(
        number=generation.number, at_ns=generation.at_ns, branch=generation.branch, commit=generation.commit
    )


def _changes(changes: Iterable[Change]) -> tuple[ChangeInfo, ...]:
    return tuple(
        ChangeInfo(
            name=change.name,
            good=None if change.good is None else change.good.version,
            bad=None if change.bad is None else change.bad.version,
        )
        for change in changes
    )
