"""Several pieces of work at once, of which the first error is the only one that is raised."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from storectl_store.errors import ProblemError

T = TypeVar("T")


async def all_of(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Every result, in order. At the first error the rest is cancelled, and that error is raised by itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(step) for step in work]
    except BaseExceptionGroup as errors:
        problems = errors.subgroup(ProblemError)
        raise _first(problems or errors) from None
    return [task.result() for task in tasks]


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
