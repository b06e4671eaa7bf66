"""Parts that are loaded when they are needed: once for all who wait, aside from the loop, and again after a failure."""

import asyncio
import threading

import pytest

from storectl_daemon.loading import Loaded


class Part:
    """Something to load; ``made`` are the threads that did."""

    def __init__(self) -> None:
        self.made: list[threading.Thread] = []
        self.go = threading.Event()
        self.fails = False

    def load(self) -> object:
        self.made.append(threading.current_thread())
        assert self.go.wait(30)
        if self.fails:
            raise ImportError("gone")
        return self


def test_nothing_is_loaded_that_nobody_needs() -> None:
    part = Part()
    assert not Loaded(part.load, name="a part").begun
    assert not part.made


def test_all_who_wait_are_given_the_same_and_the_loop_goes_on() -> None:
    async def main() -> None:
        part = Part()
        loaded = Loaded(part.load, name="a part")
        loaded.begin()
        waiting = [asyncio.create_task(loaded.get()) for _ in range(3)]
        await asyncio.sleep(0)
        part.go.set()
        assert await asyncio.gather(*waiting, loaded.get()) == [part] * 4
        assert len(part.made) == 1
        assert part.made[0] is not threading.current_thread()

    asyncio.run(main())


def test_who_is_cancelled_takes_it_from_nobody() -> None:
    async def main() -> None:
        part = Part()
        loaded = Loaded(part.load, name="a part")
        impatient, patient = asyncio.create_task(loaded.get()), asyncio.create_task(loaded.get())
        await asyncio.sleep(0)
        impatient.cancel()
        part.go.set()
        assert await patient is part
        assert len(part.made) == 1

    asyncio.run(main())


def test_what_could_not_be_loaded_is_tried_again() -> None:
    async def main() -> None:
        part = Part()
        part.go.set()
        part.fails = True
        loaded = Loaded(part.load, name="a part")
        with pytest.raises(ImportError, match="gone"):
            await loaded.get()
        part.fails = False
        assert await loaded.get() is part

    asyncio.run(main())
