"""Parts that are loaded when they are needed: once for all who wait, aside from the loop, and again after a failure."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storectl_daemon.process.loading import Loaded


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


def test_nothing_is_loaded_before_it_is_needed() -> None:
    part = Part()
    assert not Loaded(part.load, name="a part").begun
    assert not part.made


def test_every_caller_gets_the_same_value_and_the_loop_goes_on() -> None:
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


def test_a_caller_that_is_cancelled_does_not_stop_the_loading() -> None:
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


def test_the_garbage_collector_does_not_look_again_at_what_was_loaded() -> None:
    async def main() -> None:
        part = Part()
        part.go.set()
        loaded = await Loaded(part.load, name="a part").get()
        assert not any(known is loaded for known in gc.get_objects())

    try:
        asyncio.run(main())
    finally:
        gc.unfreeze()


HEAVY = {
    "fastapi",
    "pydantic",
    "starlette",
    "h11",
    "httpx2",
    "click",
    "unearth",
    "build",
    "pyproject_metadata",
}


def loaded(*command: str, **variables: str) -> set[str]:
    """The top-level names of what a command imports, to its early end."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.partition(".")[0] for line in lines}


def test_a_daemon_that_only_answers_programs_loads_nothing_for_commands() -> None:
    found = loaded("-c", "import storectl_daemon.main")
    assert "storectl_daemon" in found
    assert not HEAVY & found
    assert "tomli" not in found, "it reads no lock file"


def test_what_makes_environments_and_answers_who_asks_for_them_loads_no_fastapi() -> None:
    serving = "storectl_daemon.serving.app, storectl_daemon.serving.http_server"
    found = loaded("-c", f"import {serving}, storectl_daemon.warming.make, storectl_daemon.indexes.look_up")
    assert {"starlette", "h11", "httpcore2"} <= found
    assert not {"fastapi", "pydantic", "unearth", "click", "argparse", "multiprocessing"} & found


@pytest.mark.parametrize("options", [[], ["--log-file", "log"]])
def test_the_command_that_becomes_the_daemon_leaves_the_command_line_behind(tmp_path: Path, options: list[str]) -> None:
    variables = {"STORECTL_IDLE_EXIT": "never", "HOME": str(tmp_path), "STORECTL_STORE": str(tmp_path / "store")}
    found = loaded(
        "-c",
        f"import os; os.chdir({str(tmp_path)!r}); import runpy, sys; "
        f"sys.argv = ['storectl', 'daemon', *{options}]; runpy.run_module('storectl', run_name='__main__')",
        **variables,
    )  # it ends at the variable that makes no sense
    assert "storectl_daemon" in found
    assert not HEAVY & found
    assert "tomli" not in found, "it reads no lock file"
    assert not (tmp_path / "store").exists()
