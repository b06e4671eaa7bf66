"""One piece of work per key: joined, survived by the others when one leaves, and never remembered."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from storectl_daemon.process.single_flight import SingleFlight


class Work:
    """A factory that counts its runs and ends when it is told to."""

    def __init__(self, result: Callable[[], int]) -> None:
        self.runs = 0
        self.cancelled = 0
        self.started = asyncio.Event()
        self.finish = asyncio.Event()
        self._result = result

    async def __call__(self) -> int:
        self.runs += 1
        self.started.set()
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self._result()


def failing() -> int:
    raise LookupError("not today")


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_callers_of_one_key_share_one_run() -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        work = Work(lambda: 7)
        callers = [asyncio.create_task(flight.do("a", work)) for _ in range(20)]
        await work.started.wait()
        assert "a" in flight
        work.finish.set()
        assert await asyncio.gather(*callers) == [7] * 20
        assert work.runs == 1
        assert "a" not in flight

    run(main)


def test_keys_do_not_wait_for_each_other() -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        stuck, quick = Work(lambda: 1), Work(lambda: 2)
        quick.finish.set()
        waiting = asyncio.create_task(flight.do("stuck", stuck))
        assert await flight.do("quick", quick) == 2
        stuck.finish.set()
        assert await waiting == 1

    run(main)


def test_one_caller_that_leaves_does_not_stop_the_work_of_the_others() -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        work = Work(lambda: 7)
        starter = asyncio.create_task(flight.do("a", work))
        other = asyncio.create_task(flight.do("a", work))
        await work.started.wait()
        starter.cancel()
        await settle()
        assert starter.cancelled()
        assert work.cancelled == 0
        work.finish.set()
        assert await other == 7

    run(main)


def test_the_work_is_cancelled_when_the_last_caller_leaves() -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        work = Work(lambda: 7)
        callers = [asyncio.create_task(flight.do("a", work)) for _ in range(2)]
        await work.started.wait()
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        assert work.cancelled == 1
        assert "a" not in flight

    run(main)


def test_a_caller_during_the_end_of_abandoned_work_starts_anew_after_it() -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        events: list[str] = []
        started, cleaned = asyncio.Event(), asyncio.Event()

        async def abandoned() -> int:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                await cleaned.wait()
                events.append("cleaned")
            return 0

        async def fresh() -> int:
            events.append("fresh")
            return 2

        first = asyncio.create_task(flight.do("a", abandoned))
        await started.wait()
        first.cancel()
        await settle()
        second = asyncio.create_task(flight.do("a", fresh))
        await settle()
        assert events == []
        cleaned.set()
        assert await second == 2
        assert events == ["cleaned", "fresh"]
        assert (await asyncio.gather(first, return_exceptions=True))[0].__class__ is asyncio.CancelledError

    run(main)


def test_an_error_reaches_every_caller_and_is_not_remembered() -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        work = Work(failing)
        callers = [asyncio.create_task(flight.do("a", work)) for _ in range(3)]
        await work.started.wait()
        work.finish.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(result) for result in results] == [LookupError] * 3
        again = Work(lambda: 8)
        again.finish.set()
        assert await flight.do("a", again) == 8

    run(main)


def test_a_value_is_not_remembered_even_before_the_loop_turns() -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        work = Work(lambda: 7)
        work.finish.set()
        await flight.do("a", work)
        await flight.do("a", work)
        assert work.runs == 2

    run(main)


def test_progress_reaches_every_subscriber_and_the_latest_one_a_late_comer() -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        work = Work(lambda: 7)
        early: list[int] = []
        late: list[int] = []
        first = asyncio.create_task(flight.do("a", work, progress=early.append))
        await work.started.wait()
        flight.report("a", 10)
        flight.report("a", 20)
        second = asyncio.create_task(flight.do("a", work, progress=late.append))
        await settle()
        flight.report("a", 30)
        flight.report("nobody asked", 1)
        work.finish.set()
        await asyncio.gather(first, second)
        assert early == [10, 20, 30]
        assert late == [20, 30]

    run(main)


def test_a_subscriber_that_fails_does_not_stop_the_work(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        flight: SingleFlight[str, int] = SingleFlight()
        work = Work(lambda: 7)
        seen: list[int] = []

        def broken(_value: int) -> None:
            raise RuntimeError("the listener broke")

        callers = [
            asyncio.create_task(flight.do("a", work, progress=broken)),
            asyncio.create_task(flight.do("a", work, progress=seen.append)),
        ]
        await work.started.wait()
        await settle()
        flight.report("a", 10)
        work.finish.set()
        assert await asyncio.gather(*callers) == [7, 7]
        assert seen == [10]

    run(main)
    assert "a progress listener failed" in caplog.text
