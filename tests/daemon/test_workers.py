import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storectl_daemon.entries import forked_pool
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


def test_jobs_run_at_the_same_time_in_as_many_processes_as_the_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        workers = Workers(2)
        for _ in range(5):
            workers.expect("wave")
        jobs = [workers.run("job", meet, tmp_path, 2) for _ in range(2)]
        first = set(await asyncio.gather(*jobs))
        assert len(first) == 2
        assert set(await asyncio.gather(*(workers.run("job", os.getpid) for _ in range(6)))) <= first
        workers.close()

    asyncio.run(scenario())


def test_workers_are_forks_of_one_process_that_has_loaded_the_module(tmp_path: Path) -> None:
    async def scenario() -> None:
        workers = Workers(2)
        workers.expect("wave")
        asked = [
            workers.run("job", meet, tmp_path, 2, eval, "id(__import__('wave')), __import__('os').getppid()")
            for _ in range(2)
        ]
        one, other = await asyncio.gather(*asked)
        assert one == other
        assert one[1] != os.getpid()
        workers.close()

    asyncio.run(scenario())


def test_a_worker_that_dies_fails_no_other_job(tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)

    async def scenario() -> None:
        workers = Workers(2)
        other = asyncio.create_task(workers.run("job", go.read_text))
        writer = await asyncio.to_thread(go.open, "w")
        with pytest.raises(WorkerError):
            await workers.run("bad.whl", os.abort)
        writer.write("on")
        writer.close()
        assert await other == "on"
        workers.close()

    asyncio.run(scenario())


def test_a_job_runs_although_the_process_that_forks_workers_was_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        workers = Workers(2)
        source = await workers.run("job", os.getppid)
        os.kill(source, signal.SIGKILL)
        sources = await asyncio.gather(*(workers.run("job", meet, tmp_path, 2, os.getppid) for _ in range(2)))
        assert sum(each != source for each in sources) >= 1
        workers.close()

    asyncio.run(scenario())


def test_that_the_system_lets_no_worker_be_started_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = f"import socket; s = socket.socket(fileno={{control}}); s.recv(1); s.send(bytes([{errno.EAGAIN}])); {{path}}, {{modules}}"
    monkeypatch.setattr(forked_pool, "_START", answer)

    async def scenario() -> None:
        workers = Workers(1)
        with pytest.raises(OSError) as caught:
            await workers.run("job", os.getpid)
        assert caught.value.errno == errno.EAGAIN
        monkeypatch.undo()
        assert await workers.run("job", os.getpid) != os.getpid()
        workers.close()

    asyncio.run(scenario())


def test_the_processes_of_a_pool_that_was_closed_end(tmp_path: Path) -> None:
    async def scenario() -> list[int]:
        workers = Workers(1)
        pids = [await workers.run("job", os.getpid), await workers.run("job", os.getppid)]
        workers.close()
        return pids

    for pid in asyncio.run(scenario()):
        until(partial(has_ended, pid))


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
from storectl_daemon.entries import forked_pool
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


def meet(folder: Path, count: int, then: Callable[..., Any] = os.getpid, *arguments: Any) -> Any:
    """The value of ``then``, once so many processes are in here."""
    (folder / str(os.getpid())).touch()
    until(lambda: len(list(folder.iterdir())) >= count)
    return then(*arguments)


def has_ended(pid: int) -> bool:
    return not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
