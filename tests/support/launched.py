"""A world in which the launcher and the command line in Python are asked the same: projects, scripts, tools, and changes.

Nothing is fetched and nothing is built. An environment is a folder whose name says what it was made from, and each
program in it prints its own path. The command line runs in the process of the test, up to the moment in which it would
become the program; so hundreds of command lines take seconds.
"""

import hashlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import storectl.bare
import storectl.locks.handover
import storectl.locks.requirements
import storectl.locks.script_block
import storectl.run
import storectl.tool_run
from storectl.daemon.chosen_python import ChosenPython, first_on_path, pinned_in
from storectl.errors import NotLockedError
from storectl.locks.requirements import Wanted
from storectl.options import Options
from storectl_shim import leases
from storectl_shim.locations import store_folder
from storectl_shim.project_record import INPUTS, lock_files_in
from storectl_store.entries.layout import StoreLayout
from storectl_store.projects.input_state import read_state
from storectl_store.projects.project_record import write_record
from support.client_project import DEFAULT_PATH, HOUR_NS, LAUNCHER, ClientHome, write_program

SAY = '#!/bin/sh\necho "$0 $*"\n'
BLOCK = "# /// script\n# dependencies = [{}]\n# ///\n"
COMMANDS = ("greet", "lint")
UV_LOCK = """\
version = 1
[manifest]
members = ["app", "lib", "work"]
[[package]]
name = "app"
version = "1"
source = {{ editable = "packages/{}" }}
[[package]]
name = "lib"
version = "1"
source = {{ editable = "packages/{}" }}
[[package]]
name = "work"
source = {{ virtual = "." }}
"""


class World:
    """The projects in a home, and what is asked of them. ``environ`` are the variables of both."""

    def __init__(self, home: ClientHome, shell: list[str]) -> None:
        self.home = home
        self.shell = shell
        self.rolled_back = False
        self.notices: list[str] = []
        self._clock = time.time_ns() - 100 * HOUR_NS
        self._locked = 0
        self.environ = home.program_environ(PATH=f"{home.root}/first:{home.root}/second:{DEFAULT_PATH}")
        write_program(home.bin / "storectl", LAUNCHER.read_text())
        write_program(home.bin / "storectl-python", "#!/bin/sh\necho slow\n")
        self._lay_out()

    def _lay_out(self) -> None:
        for name in ("3.11", "3.12"):
            self.install(name)
        for name in ("first", "second"):
            (self.home.root / name).mkdir()
        self.link(self.home.root / "second/python3", self.home.root / "3.11/python3.11")
        work = self.home.home / "work"
        self.put(work / "pyproject.toml", '[project]\nname = "work"\n')
        self.put(work / "uv.lock", UV_LOCK.format("app", "lib"))
        for name in ("app", "lib"):
            self.put(work / f"packages/{name}/pyproject.toml", f'[project]\nname = "{name}"\n')
            self.put(work / f"packages/{name}/src/go.py", "print()\n")
        self.put(work / "go.py", "print()\n")
        self.put(work / "tool.py", BLOCK.format('"six"') + "print()\n")
        self.put(self.home.home / "loose/own.py", BLOCK.format('"idna"') + "print()\n")
        state = self.home.home / ".local/state/storectl/named"
        self.put(state / "data/asked", "storectl-named 1\nrequirement idna\n")
        self.put(state / "data/pylock.toml", "")
        self.put(state / "follow/asked", f"storectl-named 1\nlock {work}/uv.lock\n")
        self.link(state / "default", Path("data"))

    def put(self, path: Path, text: str) -> None:
        """Give a file this content, and a time of its own that is hours old."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self._age(path)

    def _age(self, path: Path) -> None:
        self._clock += 1_000_000_000
        os.utime(path, ns=(self._clock, self._clock))

    def install(self, version: str, text: str = SAY) -> None:
        """Put a Python of this version in its place, perhaps in that of another build."""
        path = self.home.root / version / f"python{version}"
        self.put(path, text)
        path.chmod(0o755)

    def link(self, path: Path, to: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(to)

    def launched(self, arguments: list[str], cwd: Path) -> str:
        """What the launcher becomes: its program and arguments; ``slow`` if it hands over."""
        command = [*self.shell, str(self.home.bin / "storectl"), *arguments]
        done = subprocess.run(
            command, cwd=cwd, env=self.environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.stderr, done.returncode) == ("", 0), (arguments, done)
        return done.stdout.strip()

    def run(self, arguments: list[str], cwd: Path) -> str:
        """What the command line in Python becomes; ``nothing`` if that is no single program. It leaves a shortcut."""
        became: list[str] = []
        before, here = dict(os.environ), os.getcwd()
        os.environ.clear()
        os.environ.update(self.environ)
        os.chdir(cwd)
        try:
            with _stand_ins(self, lambda command, _: became.append(" ".join(command))):
                if arguments[0] == "run":
                    storectl.run.main(arguments[1:])
                else:
                    storectl.tool_run.main(arguments[2:])
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)
            for descriptor in leases._taken.values():
                os.close(descriptor)
            leases._taken.clear()
        return became[0] if became else "nothing"

    def make(self, options: Options, project: str, last: str | None, environ: Mapping[str, str]) -> str:
        """In place of the daemon: an environment with a name made of all that it depends on, and its record."""
        found = lock_files_in(project)
        if not found and options.lock_file is None:
            raise NotLockedError(f"{project} has no lock file", hint="")
        lock_file = options.lock_file or os.path.join(project, found[0])
        paths = [*(os.path.join(project, name) for name in INPUTS), lock_file]
        paths += [os.path.join(options.member, "pyproject.toml")] if options.member is not None else []
        paths += [options.overlay] if options.overlay is not None else []
        states = {Path(path): read_state(Path(path)) for path in paths}
        pinned = (pinned_in(project) or "").strip()
        python = Path(str(self.choose(options.python, environ, pinned=pinned).executable))
        states[python] = read_state(python, "program")
        digests = [f"{path} {state.sha256}" for path, state in sorted(states.items()) if state is not None]
        name = hashlib.sha256("\n".join([project, options.key, *digests]).encode()).hexdigest()[:12]
        environment = self.home.root / "environments" / name
        for inside in ("bin", f"lib/{python.name}/site-packages"):
            (environment / inside).mkdir(parents=True, exist_ok=True)
        (environment / "pyvenv.cfg").write_text("home = /\n")
        for command in COMMANDS:
            write_program(environment / "bin" / command, SAY)
        self.link(environment / "bin/python", python)
        layout = StoreLayout(Path(store_folder(environ)))
        write_record(
            layout,
            Path(project),
            key=options.key,
            environment=environment,
            lock_file=Path(lock_file),
            inputs=states,
            now_ns=time.time_ns(),
            notices=self.notices,
            rolled_back=self.rolled_back,
        )
        fast = layout.project_record(Path(project)) / f"fast.{options.key}/environment"
        if fast.exists():
            self._age(fast)
        return str(environment)

    def lock(self, path: str, wanted: Wanted, environ: Mapping[str, str], *, offline: bool = False) -> str:
        """In place of uv: a lock file that no other one is equal to."""
        self._locked += 1
        for name, text in {**wanted.notes, "pylock.toml": f"# {self._locked}\n"}.items():
            self.put(Path(path, name), text)
        return os.path.join(path, "pylock.toml")

    def choose(self, python: str | None, environ: Mapping[str, str], **more: Any) -> ChosenPython:
        """In place of the daemon: one of the two Pythons."""
        asked = (python or more.get("pinned") or "").strip()
        version = next((each for each in ("3.11", "3.12") if each in asked), None)
        first = first_on_path(environ)
        if version is None and first.startswith(str(self.home.root)):
            return ChosenPython(version="3.11", executable=first)
        version = version or "3.11"
        return ChosenPython(version=version, executable=f"{self.home.root}/{version}/python{version}")


@contextmanager
def _stand_ins(world: World, become: Callable[[list[str], Mapping[str, str]], None]) -> Iterator[None]:
    def refuse(*_: object, **__: object) -> None:
        raise NotLockedError("nothing is locked by a project's tool here", hint="")

    with pytest.MonkeyPatch.context() as patch:
        for module in (storectl.run, storectl.tool_run):
            patch.setattr(module, "execute", become)
        for module in (storectl.bare, storectl.locks.script_block, storectl.tool_run):
            patch.setattr(module, "chosen_python", world.choose)
        patch.setattr(storectl.run, "_made_environment", world.make)
        patch.setattr(storectl.run, "_run_matrix", lambda _: 0)
        patch.setattr(storectl.locks.requirements, "lock_requirements", world.lock)
        patch.setattr(storectl.locks.handover, "lock_project", refuse)
        yield


def change(world: World, chance: random.Random) -> str:
    """Change something that a command line or an environment may depend on; say what."""
    name, do = chance.choice([*_changes(world, chance).items()])
    do()
    return name


def _changes(world: World, chance: random.Random) -> dict[str, Callable[[], object]]:
    home, root = world.home.home, world.home.root
    work, loose = home / "work", home / "loose"
    state = home / ".local/state/storectl"

    def toggle(path: Path, text: str) -> Callable[[], object]:
        return lambda: path.unlink() if path.exists() else world.put(path, text)

    def variable(name: str, *values: str) -> Callable[[], object]:
        def do() -> None:
            value = chance.choice(values)
            world.environ.pop(name, None)
            world.environ.update({name: value} if value else {})

        return do

    def choose(path: Path, *texts: str) -> Callable[[], object]:
        return lambda: world.put(path, chance.choice(texts))

    def remove(folder: Path) -> Callable[[], object]:
        there = sorted(folder.iterdir()) if folder.is_dir() else []
        return lambda: shutil.rmtree(chance.choice(there)) if there else None

    def move() -> None:
        os.rename(work, home / "elsewhere")
        shutil.copytree(home / "elsewhere", work, symlinks=True)
        world.put(work / "uv.lock", UV_LOCK.format("lib", "app"))
        shutil.rmtree(home / "elsewhere")

    def roll_back() -> None:
        world.rolled_back = not world.rolled_back
        world.notices = ["rolled back"] if world.rolled_back else []
        world.put(work / "uv.lock", (work / "uv.lock").read_text() + "#\n")

    def give_away() -> None:
        if os.geteuid() == 0:
            path = chance.choice((work, work / "uv.lock"))
            os.chown(path, 12345 if path.stat().st_uid == 0 else 0, -1)

    return {
        "another user's": give_away,
        "uv.lock": choose(work / "uv.lock", UV_LOCK.format("app", "lib"), UV_LOCK.format("lib", "app")),
        "pyproject.toml": choose(work / "pyproject.toml", '[project]\nname = "work"\n', '[project]\nname = "more"\n'),
        "a member's pyproject.toml": toggle(work / "packages/app/pyproject.toml", '[project]\nname = "app"\n'),
        "a nearer pyproject.toml": toggle(work / "packages/app/src/pyproject.toml", '[project]\nname = "src"\n'),
        "a pyproject.toml in between": toggle(work / "packages/pyproject.toml", '[project]\nname = "packages"\n'),
        "a nearer project": toggle(work / "packages/app/poetry.lock", "# nearer\n"),
        "a nearer requirements.txt": toggle(work / "packages/lib/requirements.txt", "six==1 --hash=sha256:00\n"),
        "another lock file": toggle(work / "pylock.toml", "# other\n"),
        ".git": lambda: shutil.rmtree(work / ".git") if (work / ".git").exists() else (work / ".git").mkdir(),
        "the script": choose(work / "tool.py", "print()\n", *(BLOCK.format(each) for each in ('"six"', '"idna"'))),
        "the other script": choose(loose / "own.py", "print()\n", *(BLOCK.format(x) for x in ('"six"', '"idna"'))),
        "a lock file beside the script": toggle(work / "tool.py.lock", "# beside\n"),
        "a pylock beside the script": toggle(work / "pylock.tool.toml", "# beside too\n"),
        "a lock file beside the other script": toggle(loose / "own.py.lock", "# beside it\n"),
        "a pin": toggle(loose / ".python-version", chance.choice(("3.11\n", "3.12\n"))),
        "a pin above": toggle(home / ".python-version", chance.choice(("3.11\n", "3.12\n"))),
        "a pin above home": toggle(root / ".python-version", "3.12\n"),
        "a pin of the project": toggle(work / ".python-version", "3.12\n"),
        "a Python before": lambda: (
            (root / "first/python").unlink()
            if (root / "first/python").is_symlink()
            else world.link(root / "first/python", root / "3.12/python3.12")
        ),
        "another Python": lambda: world.link(
            root / "second/python3", root / chance.choice(("3.11/python3.11", "3.12/python3.12"))
        ),
        "a Python installed anew": lambda: world.install(chance.choice(("3.11", "3.12"))),
        "a Python gone": lambda: (root / "3.12/python3.12").chmod(chance.choice((0o644, 0o755))),
        "PATH": variable("PATH", *(f"{root}/{x}:{root}/second:{DEFAULT_PATH}" for x in ("first", "none", "second"))),
        "HOME": variable("HOME", str(home), str(home), str(root / "other"), str(loose)),
        "XDG_STATE_HOME": variable("XDG_STATE_HOME", "", "", str(root / "state")),
        "STORECTL_STORE": variable("STORECTL_STORE", "", "", str(root / "store")),
        "STORECTL_PYTHON": variable("STORECTL_PYTHON", "", "", "3.11", "3.12"),
        "UV_DEV": variable("UV_DEV", "", "", "1", "0"),
        "STORECTL_ENV": variable("STORECTL_ENV", "", "", "", "data"),
        "UV_RESOLUTION": variable("UV_RESOLUTION", "", "", "lowest"),
        "VIRTUAL_ENV": variable("VIRTUAL_ENV", "", "", str(root / "venv")),
        "UV_OFFLINE": variable("UV_OFFLINE", "", "1"),
        "the default": lambda: world.link(state / "named/default", Path(chance.choice(("data", "follow")))),
        "what was asked for": choose(
            state / "named/follow/asked",
            f"storectl-named 1\nlock {work}/uv.lock\n",
            f"storectl-named 1\nlock {work}/uv.lock\npython 3.12\n",
            "storectl-named 1\nrequirement six\n",
        ),
        "an environment collected": remove(root / "environments"),
        "a tool removed": remove(state / "tools"),
        "a script's lock forgotten": remove(state / "scripts"),
        "another project in the same place": move,
        "a rollback": roll_back,
        "nothing": lambda: None,
    }


def command_line(world: World, chance: random.Random) -> tuple[list[str], Path]:
    """A command line, and the folder that it is given in."""
    home = world.home.home
    work = home / "work"
    folders = (work, work / "packages/app", work / "packages/lib/src", work / "packages", home / "loose", home)
    if chance.random() < 0.15:
        tools = ("greet", "greet@1.0", "lint", "greet@latest", "--with six greet", "--from greet lint", "-p 3.12 greet")
        return ["tool", "run", *chance.choice(tools).split(), "a"], chance.choice(folders)
    names = (
        "go.py", str(work / "go.py"), str(work / "tool.py"), "./tool.py", "tool.py", str(home / "loose/own.py"), "own.py",
        str(work / "packages/app/src/go.py"), "greet", "-c pass", "-m greet", "-u go.py",
    )  # fmt: skip
    options = [chance.choice(_OPTIONS) for _ in range(chance.choice((0, 0, 1, 1, 2)))]
    return ["run", *" ".join(options).split(), *chance.choice(names).split(), "a"], chance.choice(folders)


_OPTIONS = (
    "-p 3.11", "-p3.12", "--extra x", "--group=y", "--no-dev", "--package app", "--package lib", "--all-packages",
    "--offline", "-q", "--frozen", "--locked", "-e data", "-e follow", "-e default", "--no-sync", "-v", "--dev",
    "--with six", "--with idna==3.10", "--with . --no-dev",
)  # fmt: skip
