"""Branches that were fetched: how soon each is ready after a switch, and what a fetch costs (``scripts/fetched``)."""

import argparse
import os
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from support.index import LoopbackIndex, serve_index
from support.lock_files import uv_lock_text
from support.machine import DEADLINE, Machine, new_machine
from support.many_worktrees import PACKAGED, big_wheels
from support.project import git
from support.wheels import WheelBytes, make_wheel

_POLL_S = 0.001
_TICKS = os.sysconf("SC_CLK_TCK")


class SlowIndex:
    """An index behind a line that gives so many bytes a second to all together, and answers after a delay."""

    def __init__(self, index: LoopbackIndex, *, rate: int, delay: float) -> None:
        self._index, self._rate, self._delay = index, rate, delay
        self._line = threading.Lock()
        index.respond = self._respond

    def _respond(self, handler: BaseHTTPRequestHandler) -> bool:
        time.sleep(self._delay)
        name = handler.path.rpartition("/")[2]
        if name not in self._index.wheels:
            return False
        body = self._index.wheels[name].data
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for start in range(0, len(body), 1 << 16):
            piece = body[start : start + (1 << 16)]
            with self._line:
                time.sleep(len(piece) / self._rate)
            handler.wfile.write(piece)
        return True


class Repository:
    """An upstream with a project of many wheels, and a clone of it that is warm and watched."""

    def __init__(self, machine: Machine, index: LoopbackIndex, wheels: Sequence[WheelBytes]) -> None:
        self.machine, self.index, self.wheels = machine, index, wheels
        self.upstream, self.folder = machine.home / "upstream", machine.home / "clone"
        (self.upstream / "src/site_code").mkdir(parents=True)
        (self.upstream / "src/site_code/__init__.py").write_text("")
        git(machine.home, "init", "-q", str(self.upstream))
        self.commit("1", wheels)
        git(machine.home, "clone", "-q", self.upstream.as_uri(), str(self.folder))
        machine.ok("warm", cwd=self.folder)
        machine.wait_for_state(self.folder, lambda state: state["watched"] and state["state"] == "ready")

    def commit(self, version: str, wheels: Sequence[WheelBytes]) -> None:
        names = sorted(wheel.name for wheel in wheels)
        (self.upstream / "pyproject.toml").write_text(PACKAGED.format(names=names, version=version))
        text = uv_lock_text(self.index, wheels, root="site-code").replace("virtual", "editable")
        (self.upstream / "uv.lock").write_text(text)
        git(self.upstream, "add", "-A")
        git(self.upstream, "commit", "-qm", version)

    def branch(self, name: str, changed: Sequence[WheelBytes]) -> None:
        """A branch upstream in which these wheels take the place of as many others."""
        git(self.upstream, "checkout", "-qb", name, "main")
        self.index.add(*changed)
        self.commit(f"1+{name}", [*changed, *self.wheels[len(changed) :]])
        git(self.upstream, "checkout", "-q", "main")

    def environment(self) -> str:
        """The environment that the record names."""
        lines = (self.machine.record(self.folder) / "ready.default").read_text().splitlines()
        return next(line for line in lines if line.startswith("environment "))

    def seconds_until_ready(self, branch: str) -> float:
        """How long it takes, once ``git switch`` has returned, until the record names another environment."""
        before = self.environment()
        git(self.folder, "checkout", "-q", branch)
        begin = time.perf_counter()
        while self.environment() == before:
            assert time.perf_counter() - begin < DEADLINE, f"{branch} never becomes ready"
            time.sleep(_POLL_S)
        return time.perf_counter() - begin

    def wait_for_prefetch(self, branch: str) -> None:
        """Return when this branch is made ready, and compiled."""
        commit = git(self.folder, "rev-parse", f"origin/{branch}").strip()
        file = self.machine.record(self.folder) / "prefetched"
        end = time.monotonic() + DEADLINE
        while not (file.exists() and commit in file.read_text()):
            assert time.monotonic() < end, f"{branch} is never made ready"
            time.sleep(0.02)
        time.sleep(3)


def cpu_seconds(pid: int) -> float:
    """The processor time of a process and of all children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def wait_until_idle(pid: int) -> None:
    """Return when the process has not computed for two seconds."""
    before = -1.0
    while (now := cpu_seconds(pid)) != before:
        before = now
        time.sleep(2)


def new_wheels(name: str, count: int, size: int) -> list[WheelBytes]:
    """So many wheels that no store has, each of this many bytes."""
    source = random.Random(name)
    return [
        make_wheel(f"made-{number:03}", "2.0", files={f"made_{number:03}/__init__.py": "", f"{name}.bin": source.randbytes(size)})
        for number in range(count)
    ]  # fmt: skip


@contextmanager
def scene(wheels: Sequence[WheelBytes], environ: Mapping[str, str]) -> Iterator[Repository]:
    with new_machine() as machine, serve_index(*wheels) as index:
        machine.environ |= environ
        yield Repository(machine, index, wheels)


def switches(options: argparse.Namespace, *, prefetch: bool) -> None:
    """Print how soon branches are ready after a switch, and how many requests were made after it."""
    seconds, requests = [], 0
    with scene(big_wheels(options.wheels), {} if prefetch else {"STORECTL_PREFETCH": "none"}) as repository:
        SlowIndex(repository.index, rate=options.rate, delay=options.delay)
        for number in range(options.rounds):
            name = f"branch{number}"
            repository.branch(name, new_wheels(name, options.new, options.size))
            git(repository.folder, "fetch", "-q")
            if prefetch:
                repository.wait_for_prefetch(name)
            before = repository.index.requests.total()
            seconds.append(repository.seconds_until_ready(name))
            requests += repository.index.requests.total() - before
            time.sleep(2.5)
    told = ", ".join(f"{second * 1000:.0f}" for second in seconds)
    how = "with prefetch" if prefetch else "without"
    print(
        f"{how}: ready after the switch: median {statistics.median(seconds) * 1000:.0f} ms ({told}), {requests} requests"
    )


def costs(options: argparse.Namespace) -> None:
    """Print the processor time of fetches: of the daemon, and of the git processes that it starts."""
    with scene(big_wheels(options.wheels), {}) as repository:
        pid = repository.machine.daemon_pid()
        wait_until_idle(pid)
        for what in ("commits that change no input", "another lock file, all wheels there"):
            seconds = []
            for number in range(options.rounds + 1):
                (repository.upstream / f"{what[:3]}{number}.py").write_text("")
                if what.startswith("another"):
                    repository.commit(f"2.{number}", repository.wheels[number + 1 :])
                git(repository.upstream, "add", "-A")
                git(repository.upstream, "commit", "-qm", "more", "--allow-empty")
                before = cpu_seconds(pid)
                git(repository.folder, "fetch", "-q")
                time.sleep(options.quiet)
                wait_until_idle(pid)
                seconds.append(cpu_seconds(pid) - before)
            told = ", ".join(f"{second * 1000:.0f}" for second in seconds[1:])
            print(f"a fetch of {what}: {statistics.median(seconds[1:]) * 1000:.0f} ms of processor time ({told})")


def idle(options: argparse.Namespace) -> None:
    """Print how often git was started around many projects in which nothing happens."""
    with new_machine() as machine, serve_index() as index:
        wheel = make_wheel("alpha")
        index.add(wheel)
        tools, log = machine.root / "tools", machine.root / "git-calls"
        tools.mkdir()
        real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
        (tools / "git").write_text(f"#!/bin/sh\necho \"$@\" >> '{log}'\nexec '{real}' \"$@\"\n")
        (tools / "git").chmod(0o755)
        machine.environ["PATH"] = f"{tools}:{machine.environ['PATH']}"
        for number in range(options.projects):
            folder = machine.home / f"p{number}"
            folder.mkdir()
            (folder / "uv.lock").write_text(uv_lock_text(index, [wheel], root=f"p{number}"))
            (folder / "pyproject.toml").write_text(
                f'[project]\nname = "p{number}"\nversion = "0"\ndependencies = ["alpha"]\n'
            )
            subprocess.run([real, "init", "-q"], cwd=folder, check=True)
            machine.ok("warm", cwd=folder)
        pid = machine.daemon_pid()
        wait_until_idle(pid)
        log.unlink(missing_ok=True)
        before = cpu_seconds(pid)
        time.sleep(options.idle)
        calls = log.read_text().count("\n") if log.exists() else 0
        spent = (cpu_seconds(pid) - before) * 1000
        print(
            f"{options.projects} projects, {options.idle} s idle: git was started {calls} times, {spent:.0f} ms of processor time"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/fetched", description=__doc__)
    parser.add_argument("--wheels", type=int, default=296)
    parser.add_argument("--new", type=int, default=10, help="wheels that a branch changes")
    parser.add_argument("--size", type=int, default=2_000_000, help="bytes of each of them")
    parser.add_argument("--rate", type=int, default=6_000_000, help="bytes that the index sends in a second")
    parser.add_argument("--delay", type=float, default=0.03, help="seconds before each answer of the index")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quiet", type=float, default=4.0, help="least seconds after a fetch in which its cost is counted"
    )
    parser.add_argument("--projects", type=int, default=200)
    parser.add_argument("--idle", type=float, default=70.0, help="seconds in which nothing happens")
    parser.add_argument("--only", choices=["switches", "costs", "idle"])
    options = parser.parse_args()
    if options.only in (None, "switches"):
        switches(options, prefetch=True)
        switches(options, prefetch=False)
    if options.only in (None, "costs"):
        costs(options)
    if options.only in (None, "idle"):
        idle(options)


if __name__ == "__main__":
    main()
