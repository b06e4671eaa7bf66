"""The isolated environment of a build: a venv of the interpreter that the wheel is for, with the build requirements.

pip resolves and installs them, from the indexes that its variables name. Nothing else in storectl resolves versions.
"""

import contextlib
import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from storectl_daemon.building import observer
from storectl_daemon.building.failure import BuildFailedError
from storectl_daemon.building.log import Log
from storectl_shim.own_variables import PLAIN_PYTHONS

_OURS_FROM = (3, 10)
"""The oldest Python that our own pip runs on. For an older one the pip of its ``ensurepip`` is used."""
_NO_NETWORK = re.compile(
    r"(NewConnectionError|Name or service not known|Temporary failure in name|Connection refused|Max retries)"
)


class Isolation:
    """A new environment in ``work/env``. ``python`` is its interpreter, once it has been made.

    ``environ`` are the variables of the command, ``pip`` those of pip; see ``variables`` and ``pip_variables``.
    """

    def __init__(
        self, work: Path, python: str, *, environ: Mapping[str, str], pip: Mapping[str, str], log: Log
    ) -> None:
        self.folder = work / "env"
        self.python = str(self.folder / "bin" / "python")
        self._base = python
        self._environ = environ
        self._pip = pip
        self._log = log
        self._work = work
        self._notes = work / "looked-up"
        self._project_bin: list[str] = []

    def make(self) -> None:
        """Make the venv. It is empty, except for a pip if ours does not run on its Python."""
        without = ["--without-pip"] if self._runs_our_pip() else []
        done = subprocess.run(
            [self._base, "-I", "-m", "venv", *without, str(self.folder)],
            env=dict(self._environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False,
        )  # fmt: skip
        if done.returncode:
            self._log.say(done.stdout, done.stderr)
            raise BuildFailedError(
                f"{self._base} cannot make a virtual environment to build in",
                hint="install the venv module of that Python (Debian: python3-venv)",
            )

    def use_environment(self, environment: Path) -> None:
        """Make the packages and commands of the project's environment visible here. The build cannot change them."""
        self._project_bin = [str(environment / "bin")]
        packages = [os.fsencode(path) for path in environment.glob("lib/python*/site-packages")]
        calls = "; ".join(f"site.addsitedir(os.fsdecode({path!r}))" for path in packages)
        for folder in self._site_packages():
            (folder / "_storectl_project.pth").write_text(f"import os, site; {calls}\n", encoding="ascii")

    def install(self, requirements: Iterable[str], constraints: Iterable[str] = ()) -> None:
        """Install what satisfies the requirements. Raises BuildFailedError with pip's own words."""
        wanted = sorted(set(requirements))
        if not wanted:
            return
        _check(wanted)
        limits = self._constraints_file(sorted(set(constraints)))
        # pip reads the requirements from a pipe, because they may be addresses with logins: every user can see
        # arguments.
        done = subprocess.run(
            [*self._pip_command(), "install", *_OPTIONS, *limits, "--requirement=/dev/stdin"],
            env={**self.environ(), **self._pip}, input="\n".join(wanted) + "\n", capture_output=True, cwd=self._work,
            encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
        self._log.say("pip install", *wanted, done.stdout, done.stderr)
        if done.returncode:
            raise self._failure(wanted, done.stderr)

    def _constraints_file(self, constraints: list[str]) -> list[str]:
        """Options of pip for constraints. They are in a file, because pip hands it on to builds that it runs itself."""
        if not constraints:
            return []
        for constraint in constraints:
            if self._log.clean(constraint) != constraint:
                raise BuildFailedError(
                    "one of its build constraints is an address with a login",
                    hint="put the login into a netrc file, or into the address of an index",
                )
        (self._work / "constraints.txt").write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
        return ["--constraint=constraints.txt"]

    def installed(self) -> tuple[str, ...]:
        """What is installed, as ``name==version``, sorted."""
        folders = [str(path) for path in self._site_packages()]
        found = importlib.metadata.distributions(path=folders)
        return tuple(sorted(f"{distribution.name}=={distribution.version}" for distribution in found))

    def environ(self) -> dict[str, str]:
        """The variables of every process that runs in the environment."""
        path = ":".join([str(self.folder / "bin"), *self._project_bin, self._environ.get("PATH", os.defpath)])
        return {
            **self._environ,
            "PATH": path,
            "VIRTUAL_ENV": str(self.folder),
            "PYTHONIOENCODING": "utf-8:backslashreplace",
            **PLAIN_PYTHONS,
        }

    @contextlib.contextmanager
    def observed(self) -> Iterator[None]:
        """During the block, every Python of the environment notes the names of the variables that it looks up."""
        line = _observing_line(self._notes)
        places = [folder / "_storectl_observer.pth" for folder in self._site_packages()]
        for place in places:
            place.write_text(line, encoding="ascii")
        try:
            yield
        finally:
            for place in places:
                place.unlink(missing_ok=True)

    def looked_up(self) -> tuple[str, ...]:
        """The names of the variables that were looked up inside ``observed``."""
        try:
            lines = self._notes.read_bytes().splitlines()
        except OSError:
            return ()
        return tuple(sorted({os.fsdecode(line) for line in lines}))

    def _site_packages(self) -> list[Path]:
        return list(self.folder.glob("lib/python*/site-packages"))

    def _pip_command(self) -> list[str]:
        ours = [sys.executable, "-I", "-m", "pip", "--python", self.python]
        return ours if self._runs_our_pip() else [self.python, "-I", "-m", "pip"]

    def _runs_our_pip(self) -> bool:
        return _version_of(self._base, self._environ) >= _OURS_FROM

    def _failure(self, wanted: list[str], words: str) -> BuildFailedError:
        lines = [line.removeprefix("ERROR: ") for line in words.splitlines() if line.startswith("ERROR: ")]
        reason = lines[0] if lines else "pip failed"
        offline = self._pip.get("PIP_NO_INDEX") == "1" or _NO_NETWORK.search(words) is not None
        return BuildFailedError(
            f"its build requirements ({', '.join(wanted)[:200]}) cannot be installed: {reason[:300]}",
            hint="connect to the index, and try again"
            if offline
            else "look at the build requirements of its pyproject.toml",
            code="E_OFFLINE" if offline else "E_BUILD",
        )


_OPTIONS = ("--quiet", "--no-warn-script-location", "--prefer-binary")


def _check(requirements: Iterable[str]) -> None:
    """Raise BuildFailedError for a text that is no requirement: pip would read a line with a dash as an option."""
    for text in requirements:
        try:
            Requirement(text)
        except InvalidRequirement:
            raise BuildFailedError(
                f"{text[:100]!r} is no build requirement", hint="look at the [build-system] of its pyproject.toml"
            ) from None


def _observing_line(notes: Path) -> str:
    """The line of a ``.pth`` file that runs the observer. Its paths are bytes, so that it works in every locale."""
    source, target = os.fsencode(observer.__file__), os.fsencode(notes)
    return (
        f"import os; exec(compile(open(os.fsdecode({source!r}), encoding='utf-8').read(), 'observer', 'exec'), "
        f"{{'NOTES': os.fsdecode({target!r}), '__name__': '_storectl_observer'}})\n"
    )


def _version_of(python: str, environ: Mapping[str, str]) -> tuple[int, int]:
    program = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run(
        [python, "-I", "-S", "-c", program], env=dict(environ), capture_output=True, text=True, check=True
    )
    major, minor = done.stdout.split()
    return int(major), int(minor)
