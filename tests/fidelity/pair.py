"""One lock file made into two environments: a venv by uv, and an environment by storectl; and what is inside of each."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from uv import find_uv_bin

from support.machine import Machine
from support.tools import install_tool

Mode = Literal["shim", "without shim", "daemon dead"]
MODES: tuple[Mode, ...] = ("shim", "without shim", "daemon dead")

INSIDE = Path(__file__).with_name("inside.py")
SECTIONS = ("modules", "top_level", "metadata", "paths", "files")
SCRIPT_SECONDS = 60
_IMPORTS_A_RUN = 150
_INSTALL_SECONDS = 1800
_SECONDS = re.compile(r"\b\d+\.\d\ds\b")  # debugpy tells how long it has been running


class Pair:
    """A project folder with a lock file, on a machine of its own, in both forms for one interpreter.

    ``shared_cache`` is uv's, so that several pairs download once.
    """

    def __init__(self, machine: Machine, project: Path, python: str, *, shared_cache: Path) -> None:
        self._machine = machine
        self._project = project
        self._python = python
        self._environ = machine.environ | {
            "UV_CACHE_DIR": str(shared_cache),
            "UV_PYTHON": python,
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "MPLBACKEND": "Agg",
        }
        self.venv = Path()
        self.environment = Path()

    def make(self) -> None:
        """Both environments, from the lock file; help texts are wrapped: their paths are equally long and deep, without hyphens."""
        answer = self._machine.json("warm", "-p", self._python, "--json", cwd=self._project, timeout=_INSTALL_SECONDS)
        self.environment = Path(answer["path"])
        self.venv = Path(str(self.environment).replace("/share/storectl/", "/share/uv_venvs/"))
        self._run([find_uv_bin(), "venv", "--quiet", "--clear", str(self.venv)])
        environ = self._environ | {"UV_PROJECT_ENVIRONMENT": str(self.venv)}
        self._run([find_uv_bin(), "sync", "--quiet", "--frozen"], environ)

    def inside_venv(self, sample: int) -> dict[str, Any]:
        """All that the venv holds, with ``sample`` modules imported."""
        return self._inside(self.venv, (), self._environ, sample) | self._outside(self.venv, self._environ)

    def inside_environment(self, sample: int) -> dict[Mode, dict[str, Any]]:
        """The same of the environment, in each mode. Commands come last: some write where they are."""
        found = {mode: self._inside_mode(mode, sample) for mode in MODES}
        for mode in ("daemon dead", "shim"):
            found[mode] |= self._outside(self.environment, self._environ_of(mode))
        return found

    def inside(self, root: Path, sample: int) -> dict[str, Any]:
        """All that the Python of this folder finds in it, as it is started by itself."""
        return self._inside(root, (), self._environ, sample)

    def _inside_mode(self, mode: Mode, sample: int) -> dict[str, Any]:
        flags = ("-S",) if mode == "without shim" else ()
        return self._inside(self.environment, flags, self._environ_of(mode), sample)

    def _environ_of(self, mode: Mode) -> dict[str, str]:
        """The variables of the mode, with the daemon brought into the state that belongs to it."""
        if mode == "daemon dead":
            self._machine.stop()
        else:
            self._machine.ok("daemon", "start")
        if mode != "shim":
            return self._environ
        return self._environ | {"STORECTL_SOCKET": self._machine.json("daemon", "status", "--json")["socket"]}

    def _inside(self, root: Path, flags: Sequence[str], environ: dict[str, str], sample: int) -> dict[str, Any]:
        command = [str(root / "bin/python"), *flags, str(INSIDE), *(["--plain"] if flags else [])]
        found: dict[str, Any] = json.loads(self._run([*command, *SECTIONS], environ))
        names = [key.partition("/")[2] for key in found if key.startswith("modules/")]
        chosen = list(_sample(names, sample))
        batches = [chosen[start : start + _IMPORTS_A_RUN] for start in range(0, len(chosen), _IMPORTS_A_RUN)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for answer in pool.map(lambda batch: self._run([*command, "imports", *batch], environ), batches):
                found |= json.loads(answer)
        return found

    def _outside(self, root: Path, environ: dict[str, str]) -> dict[str, Any]:
        return self._scripts(root, environ) | self._pip(root)

    def _scripts(self, root: Path, environ: dict[str, str]) -> dict[str, Any]:
        """Every command of the environment, asked for its help: exit code and output."""
        own = ("python", "activate", "deactivate", "pydoc.bat")
        names = sorted(path.name for path in (root / "bin").iterdir() if not path.name.startswith(own))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            answers = pool.map(lambda name: self._help(root, name, environ), names)
            return {f"scripts/{name}": answer for name, answer in zip(names, answers, strict=True)}

    def _help(self, root: Path, name: str, environ: dict[str, str]) -> list[Any]:
        home = self._machine.root / "script-home" / name
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        own = {
            "HOME": str(home),
            "PATH": f"{root / 'bin'}:{environ['PATH']}",
            "COLUMNS": "80",
            "VIRTUAL_ENV": str(root),
        }
        process = subprocess.Popen(
            [root / "bin" / name, "--help"], cwd=home, env=environ | own, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=SCRIPT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return ["still running"]
        for path in (str(root), os.path.relpath(root, home)):
            output = _wrapped(path).sub("<prefix>", output)
        return [process.returncode, _SECONDS.sub("<seconds>", output)]

    def _pip(self, root: Path) -> dict[str, Any]:
        """What pip says is installed, and whether it fits together."""
        installer = install_tool(self._machine.root, "pip<26") / "python"  # later ones refuse Python 3.9
        pip = [str(installer), "-m", "pip", "--disable-pip-version-check", "--python", str(root / "bin/python")]
        listed = json.loads(self._run([*pip, "list", "--format", "json"], dict(os.environ)))
        check = subprocess.run([*pip, "check"], capture_output=True, text=True, check=False)
        return {f"pip/list/{entry['name']}": entry["version"] for entry in listed} | {
            "pip/check": [check.returncode, sorted(check.stdout.splitlines())]
        }

    def _run(self, command: Sequence[str], environ: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            command, cwd=self._project, env=environ or self._environ, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command[:6]))}: exit {done.returncode}\n{done.stderr[-1500:]}")
        return done.stdout


def _wrapped(path: str) -> re.Pattern[str]:
    """The path as a help text has it, which may be wrapped within it: docutils asks for no terminal's width."""
    return re.compile(r"(?:\n +)?".join(map(re.escape, path)))


def _sample(names: Sequence[str], number: int) -> Iterator[str]:
    """Every top-level name, and so many of the others: always the same ones, spread over all."""
    yield from (name for name in names if "." not in name)
    others = sorted((name for name in names if "." in name), key=lambda name: hashlib.sha256(name.encode()).digest())
    yield from others[:number]


def expected_in(mode: Mode, venv: dict[str, Any]) -> dict[str, Any]:
    """What of a venv belongs to the mode: commands and pip start interpreters of their own, which have the shim."""
    if mode != "without shim":
        return venv
    return {key: value for key, value in venv.items() if not key.startswith(("scripts/", "pip/"))}
