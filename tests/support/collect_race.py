"""`scripts/collect-race`: programs start and run while everything is collected, again and again, and the daemon is killed.

Each runner has a project, and starts one kind of program in it, by the real launcher, over and over. Its lock file
changes between two versions, before a start and while the program runs. Every second the store is collected: nothing is
young, and of all reasons to keep an environment only those count that are to be tried: that a program runs in it, that
a warm works with it, and that a linked `.venv` is made of it. The records of projects go on naming what is collected,
which they never do otherwise: so the launcher comes upon it at any moment. Every 30 seconds the daemon gets a SIGKILL.

With ``--without-launcher`` the launcher takes no lease, and there must be failures: else this would show nothing.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.client_project import LAUNCHER
from support.index import LoopbackIndex, serve_index
from support.machine import Machine, base_python, remove_tree
from support.project import write_project
from support.race_programs import CELL, FILES, KINDS, STARTS, VERSIONS, kernel_wheels, wheels

HOLDS = """
        { [ ! -e /dev/fd/9 ] || [ /dev/fd/9 -ef "${_storectl_lease:-$_storectl_environment/pyvenv.cfg}" ]; } &&
        command exec 9<"$_storectl_environment/pyvenv.cfg" &&"""
OF_DAEMON = ("E_DAEMON", "E_STORE_BUSY")
"""What commands say if the daemon dies while they wait for it."""

OUTCOMES_S = 60.0
ALL_ROOTS_BUT_THESE = """
import sys
if "daemon" in sys.orig_argv:
    import storectl_daemon.collecting.survey as survey
    gather = survey.gather
    survey.gather = lambda *facts: [root for root in gather(*facts) if root.kind == "front" and root.until is None]
    from storectl_daemon.collecting.forgetting import Forgetting
    async def forget(*_: object) -> None: pass
    Forgetting.forget = forget
"""
COLLECT = {"STORECTL_COLLECT_ANY_GRACE": "1", "STORECTL_COLLECT_GRACE": "0"}


@dataclass
class Tally:
    """What has happened so far."""

    runs: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    interrupted: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    collects: int = 0
    environments: int = 0
    entries: int = 0
    kills: list[float] = field(default_factory=list)

    def killed_since(self, begun: float) -> bool:
        """Whether the daemon was killed after this moment, or just before."""
        return any(at > begun - 5 for at in self.kills)

    def lines(self, seconds: float) -> list[str]:
        """What is to be said in the end."""
        told = [f"{seconds:.0f} s, {sum(self.runs.values())} runs, {sum(self.outcomes.values())} outcomes"]
        told += [f"  {kind}: {self.runs[kind]} runs, {self.outcomes[kind]} outcomes" for kind in KINDS]
        told += [f"{self.collects} collects: {self.environments} environments, {self.entries} entries"]
        told += [f"{len(self.kills)} daemons killed, {len(self.interrupted)} commands waited for one in vain"]
        told += [f"  {said}" for said in self.interrupted[:3]]
        return [*told, f"{len(self.failures)} failures", *self.failures[:10]]


class Race:
    """One race, in a folder of its own. ``seconds`` is how long programs are started."""

    def __init__(self, root: Path, index: LoopbackIndex, *, seconds: float, launcher_holds: bool) -> None:
        self.machine = Machine(root)
        self.index = index
        self.tally = Tally()
        self.bin = root / "venv" / "bin"
        self._end = time.monotonic() + seconds
        self._install(launcher_holds=launcher_holds)
        self.environ = self.machine.environ | {
            "PATH": f"{self.bin}:{self.machine.environ['PATH']}",
            "UV_DEFAULT_INDEX": index.url,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            **COLLECT,
        }

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self._end

    def storectl(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The command line, to its end."""
        return subprocess.run(
            [self.bin / "storectl", *arguments],
            cwd=cwd or self.machine.home,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def run(self) -> None:
        """Start everything, and wait for the end of it."""
        work: list[Callable[[], None]] = [self._collect, self._kill, *(Runner(self, kind) for kind in KINDS)]
        threads = [threading.Thread(target=each) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _install(self, *, launcher_holds: bool) -> None:
        """A copy of this storectl whose daemon knows few roots: it is the real one but for that."""
        library = self.bin.parent / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        library.mkdir(parents=True)
        self.bin.mkdir()
        (self.bin / "python").symlink_to(base_python())
        (self.bin.parent / "pyvenv.cfg").write_text(f"home = {Path(base_python()).parent}\n")
        own = Path(sys.executable).parent
        packages = next(path for path in sys.path if path.startswith(str(own.parent)) and path.endswith("-packages"))
        (library / "storectl.pth").write_text(f"import site; site.addsitedir({packages!r})\nimport few_roots\n")
        (library / "few_roots.py").write_text(ALL_ROOTS_BUT_THESE)
        launcher = LAUNCHER.read_text()
        assert HOLDS in launcher
        if not launcher_holds:
            launcher = launcher.replace(HOLDS, "").replace("export PATH STORECTL_LEASE=9", "export PATH")
        for name, text in (("storectl", launcher), ("storectl-python", (own / "storectl-python").read_text())):
            (self.bin / name).write_text(text.replace(f"#!{own}/python", f"#!{self.bin}/python", 1))
            (self.bin / name).chmod(0o755)
        (self.bin / "uv").symlink_to(own / "uv")

    def _collect(self) -> None:
        while self.goes_on:
            begun = time.monotonic()
            done = self.storectl("store", "collect", "--keep-generations", "0", "--keep-days", "0", "--json")
            if done.returncode == 0:
                collected = json.loads(done.stdout)
                self.tally.collects += 1
                self.tally.environments += collected["environments"]
                self.tally.entries += collected["entries"]
            elif not self.was_interrupted("collect", done.stderr, begun):
                self.tally.failures.append(f"collect: {done.returncode}: {done.stderr}")
            time.sleep(max(0.0, begun + 1 - time.monotonic()))

    def _kill(self) -> None:
        while self.goes_on:
            for _ in range(30):
                if self.goes_on:
                    time.sleep(1)
            for pid in self.machine.daemon_processes():
                self.tally.kills.append(time.monotonic())
                os.kill(pid, signal.SIGKILL)

    def was_interrupted(self, kind: str, said: str, begun: float) -> bool:
        """Whether a command of a program that began then has failed because the daemon was killed."""
        interrupted = any(code in said for code in OF_DAEMON) and self.tally.killed_since(begun)
        if interrupted:
            self.tally.interrupted.append(f"{kind}: {said.partition(chr(10))[0]}")
        return interrupted


class Runner:
    """Starts programs of one kind, each when the one before has told all of its outcomes."""

    def __init__(self, race: Race, kind: str) -> None:
        self._race = race
        self._name, self._kind = kind, KINDS[kind]
        self._project = race.machine.home / kind
        self._random = random.Random(kind)
        self._turn = 0
        self._begun = 0.0
        write_project(self._project, race.index, wheels(VERSIONS[0], kind))
        for name, text in FILES.items():
            (self._project / name).write_text(text)

    def __call__(self) -> None:
        while self._race.goes_on:
            self._turn += 1
            try:
                self._once()
            except Exception as error:
                self._fail(f"{type(error).__name__}: {error}")

    def _once(self) -> None:
        self._lock()
        ready = self._race.storectl("link" if self._kind.linked else "warm", cwd=self._project)
        out = self._project / f"out.{self._turn}"
        if ready.returncode == 0:
            self._race.tally.runs[self._name] += 1
            quick = self._run(self._kind.quick, out, STARTS)
            # A linked `.venv` that changes while a program starts is a plain one, of which nothing is promised.
            if quick and (not self._kind.linked or self._race.storectl("link", cwd=self._project).returncode == 0):
                self._run(self._kind.command, out, self._kind.outcomes, lock=True)
        elif not self._race.was_interrupted("warm", ready.stderr, self._begun):
            self._fail(f"warm: {ready.stderr}")

    def _run(self, command: Sequence[str], out: Path, wanted: int, *, lock: bool = False) -> bool:
        """Run a program to its end, and judge it. ``lock`` is whether the lock file changes meanwhile."""
        self._begun = time.monotonic()
        out.unlink(missing_ok=True)
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [self._word(word, out) for word in command],
                cwd=self._project,
                env=self._race.environ | {"CELL": CELL, "LATE": str(self._project / "late.py"), "OUT": str(out)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            if lock:
                time.sleep(self._random.random())
                self._lock()
            code = process.wait(300)
            said.seek(0)
            return self._judge(code, said.read(), out, wanted)

    def _judge(self, code: int, said: str, out: Path, wanted: int) -> bool:
        found = self._outcomes(out, wanted, OUTCOMES_S if code == 0 else 5.0)
        good = found.count("ok")
        self._race.tally.outcomes[self._name] += good
        if code == 0 and good == len(found) == wanted and "storectl:" not in said:
            return True
        if not self._race.was_interrupted(self._name, said, self._begun):
            self._fail(f"exit code {code}, {found}: {said}")
        return False

    def _fail(self, what: str) -> None:
        self._race.tally.failures.append(f"{self._name}: {what}")

    def _outcomes(self, out: Path, wanted: int, patience: float) -> list[str]:
        """What the program and its children have said, as soon as they have said enough."""
        end = time.monotonic() + patience
        while True:
            found = out.read_text().splitlines() if out.exists() else []
            if len(found) >= wanted or time.monotonic() > end:
                return found
            time.sleep(0.05)

    def _word(self, word: str, out: Path) -> str:
        if word == "out":
            return str(out)
        return str(self._race.bin / word) if word == "storectl" else word

    def _lock(self) -> None:
        """Another lock file, or the same again, in one step: none that is half written."""
        stage = self._project.with_name(f"{self._name}.stage")
        write_project(stage, self._race.index, wheels(self._random.choice(VERSIONS), self._name))
        (stage / "uv.lock").rename(self._project / "uv.lock")


def main(arguments: Sequence[str]) -> int:
    """Run one race. Returns 0 if it went as it should."""
    parser = argparse.ArgumentParser(prog="scripts/collect-race", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--without-launcher", action="store_true", help="the control: the launcher takes no lease")
    given = parser.parse_args(arguments)
    root = Path(tempfile.mkdtemp(prefix="race-"))
    with serve_index() as index:
        index.add(*kernel_wheels())
        race = Race(root, index, seconds=given.seconds, launcher_holds=not given.without_launcher)
        try:
            race.run()
        finally:
            race.machine.stop()
            remove_tree(root)
    print("\n".join(race.tally.lines(given.seconds)))
    return int(bool(race.tally.failures) != given.without_launcher)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
