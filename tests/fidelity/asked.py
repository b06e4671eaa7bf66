"""A venv by uv and an environment by storectl, made from one lock file, that are asked the same questions."""

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fidelity.pair import Pair
from support.machine import Machine

QUESTION_SECONDS = 120
ROOT = "<root>"
"""What stands in answers for the folder of the environment."""


@dataclass(frozen=True, slots=True)
class Said:
    """How a program ended and what it wrote, with ``ROOT`` for the folder of its environment, and no addresses of objects."""

    code: int
    out: str
    err: str


class Asked:
    """Both environments of a pair. Programs run in the project's folder, without bytecode being written."""

    def __init__(self, machine: Machine, project: Path, pair: Pair) -> None:
        self.machine = machine
        self.project = project
        self.pair = pair
        self.venv = pair.venv
        self.environment = pair.environment
        self._environ = machine.environ | {"PYTHONDONTWRITEBYTECODE": "1"}

    @property
    def site(self) -> str:
        """The site-packages folder as answers name it."""
        (folder,) = (self.environment / "lib").glob("python*/site-packages")
        return f"{ROOT}/{folder.relative_to(self.environment)}"

    def say(
        self, command: str, *arguments: str, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> Said:
        """What a command of the environment does in both, which must be the same."""
        venv, ours = self.both(command, *arguments, cwd=cwd, environ=environ)
        assert ours == venv
        return ours

    def ask(self, program: str, *flags: str, cwd: Path | None = None, environ: Mapping[str, str] | None = None) -> Any:
        """What a Python program prints as JSON in both, which must be the same, with an exit code of 0."""
        said = self.say("python", *flags, "-c", program, cwd=cwd, environ=environ)
        assert said.code == 0, said.err
        return json.loads(said.out)

    def run(self, *arguments: str, stdin: str = "") -> Said:
        """What ``python`` of the venv and ``storectl run`` do with these arguments, which must be the same."""
        python = ("-p", str((self.environment / "bin/python").readlink()))
        shell = {"PWD": str(self.project)}  # every shell has it
        done = self.machine.run("run", *python, *arguments, cwd=self.project, env=self._environ | shell, stdin=stdin)
        ours = Said(done.returncode, _plain(done.stdout, self.environment), _plain(done.stderr, self.environment))
        assert ours == self._run(self.venv, "python", arguments, None, shell, stdin)
        return ours

    def both(
        self, command: str, *arguments: str, cwd: Path | None = None, environ: Mapping[str, str] | None = None
    ) -> tuple[Said, Said]:
        """What a command does in the venv and in the environment."""
        venv, ours = (self._run(root, command, arguments, cwd, environ or {}) for root in (self.venv, self.environment))
        return venv, ours

    def _run(
        self,
        root: Path,
        command: str,
        arguments: tuple[str, ...],
        cwd: Path | None,
        environ: Mapping[str, str],
        stdin: str = "",
    ) -> Said:
        done = subprocess.run(
            [root / "bin" / command, *(argument.replace(ROOT, str(root)) for argument in arguments)],
            env={**self._environ, "VIRTUAL_ENV": str(root), "PATH": f"{root}/bin:{self._environ['PATH']}", **environ},
            cwd=cwd or self.project, input=stdin, capture_output=True, text=True,
            timeout=QUESTION_SECONDS, check=False,
        )  # fmt: skip
        return Said(done.returncode, _plain(done.stdout, root), _plain(done.stderr, root))


def _plain(text: str, root: Path) -> str:
    """The text without what is another one each time: where the environment is, and objects in memory."""
    return re.sub(r"\b0x[0-9a-f]{6,}", "0x", text.replace(str(root), ROOT))
