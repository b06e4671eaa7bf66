import asyncio
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from storectl_daemon.entries.workers import WorkerError, Workers
from support.daemon import turns_until, until


def test_a_job_runs_in_another_process_that_is_used_again() -> None:
    async def scenario() -> None:
        workers = Workers(1)
        assert not workers.started
        first = await workers.run("job", os.getpid)
        assert first != os.getpid()
        assert await workers.run("job", os.getpid) == first
        workers.close()

    asyncio.run(scenario())


def test_an_error_of_a_job_is_its_own_and_the_pool_stays() -> None:
    async def scenario() -> None:
        workers = Workers(1)
        first = await workers.run("job", os.getpid)
        with pytest.raises(FileNotFoundError):
            await workers.run("job", os.stat, "/does/not/exist")
        assert await workers.run("job", os.getpid) == first
        workers.close()

    asyncio.run(scenario())


def test_a_worker_that_dies_fails_its_job_and_the_next_job_gets_a_new_pool() -> None:
    async def scenario() -> None:
        workers = Workers(1)
        with pytest.raises(WorkerError, match=r"worked on bad\.whl") as caught:
            await workers.run("bad.whl", os.abort)
        assert caught.value.code == "E_WORKER"
        assert caught.value.hint
        assert await workers.run("job", os.getpid) != os.getpid()
        workers.close()

    asyncio.run(scenario())


def test_a_job_that_runs_alone_and_dies_leaves_the_pool_alone() -> None:
    async def scenario() -> None:
        workers = Workers(1)
        first = await workers.run("job", os.getpid)
        with pytest.raises(WorkerError):
            await workers.run_alone("bad.whl", os.abort)
        assert await workers.run("job", os.getpid) == first
        workers.close()

    asyncio.run(scenario())


def test_a_process_for_an_expected_job_is_there_before_it_and_does_it() -> None:
    async def scenario() -> None:
        workers = Workers(1)
        workers.expect("wave")
        assert workers.started
        assert await workers.run("job", eval, "'wave' in __import__('sys').modules")
        workers.close()

    asyncio.run(scenario())


def test_no_more_processes_are_started_for_expected_jobs_than_the_limit() -> None:
    async def scenario() -> None:
        workers = Workers(2)
        before = set(multiprocessing.active_children())
        for _ in range(5):
            workers.expect("wave")
        assert len(set(multiprocessing.active_children()) - before) <= 2
        assert await workers.run("job", os.getpid) != os.getpid()
        workers.close()

    asyncio.run(scenario())


def test_processes_for_jobs_that_never_come_end_when_idle() -> None:
    async def scenario() -> None:
        workers = Workers(1, idle_seconds=0.01)
        workers.expect("wave")
        await turns_until(lambda: not workers.started)

    asyncio.run(scenario())


def test_a_job_runs_although_what_was_expected_of_it_cannot_be_imported() -> None:
    async def scenario() -> None:
        workers = Workers(1)
        workers.expect("no_such_module_of_storectl")
        assert await workers.run("job", os.getpid) != os.getpid()
        workers.close()

    asyncio.run(scenario())


def test_idle_workers_end() -> None:
    async def scenario() -> None:
        workers = Workers(1, idle_seconds=0.01)
        pid = await workers.run("job", os.getpid)
        await turns_until(lambda: not workers.started)
        await asyncio.to_thread(until, lambda: not is_running(pid))

    asyncio.run(scenario())


def test_a_job_that_comes_in_time_keeps_the_workers() -> None:
    async def scenario() -> None:
        workers = Workers(1, idle_seconds=60)
        first = await workers.run("job", os.getpid)
        assert await workers.run("job", os.getpid) == first
        assert workers.started
        workers.close()
        assert not workers.started

    asyncio.run(scenario())


def test_a_cancelled_caller_waits_for_a_job_that_has_begun(tmp_path: Path) -> None:
    begun, finished, go = tmp_path / "begun", tmp_path / "finished", tmp_path / "go"
    os.mkfifo(go)
    script = f"import pathlib; pathlib.Path({str(begun)!r}).touch(); open({str(go)!r}).read(); pathlib.Path({str(finished)!r}).touch()"

    async def scenario() -> None:
        workers = Workers(1)
        task = asyncio.create_task(workers.run("job", subprocess.check_call, [sys.executable, "-c", script]))
        await asyncio.to_thread(until, begun.exists)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        await asyncio.to_thread(go.write_text, "on")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert finished.exists()
        workers.close()

    asyncio.run(scenario())


PARENT = """
import asyncio, os
from storectl_daemon.entries.workers import Workers

async def main():
    print(await Workers(1).run("job", os.getpid), flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_workers_never_outlive_a_daemon_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    until(lambda: not is_running(worker))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
