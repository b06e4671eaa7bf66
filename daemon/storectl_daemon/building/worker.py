"""The process that builds one wheel: ``python -I -m storectl_daemon.building.worker``, its request on stdin.

Its output and that of its children goes, without secrets, to the log that it was started with. Its answer is a file. It
leads a process group of its own, so that a build that takes too long can be ended with all of its compilers. Its
variables are the command's.
"""

import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

from build import BuildBackendException, BuildException, FailedProcessError, ProjectBuilder
from pyproject_hooks import HookMissing

from storectl_daemon.building.archive import unpack
from storectl_daemon.building.build_sources import sourced
from storectl_daemon.building.checkout import Checkout
from storectl_daemon.building.failure import BuildFailedError
from storectl_daemon.building.isolation import Isolation
from storectl_daemon.building.log import Log
from storectl_daemon.building.poetry_backend import PoetryBuilder
from storectl_daemon.building.request import (
    Archive,
    BuildFailure,
    BuildRequest,
    BuildResult,
    Folder,
    Repository,
    read_request,
    write_answer,
)
from storectl_store.projects.pyproject import read_pyproject, table_at

_MOST_WORDS = 300
_UMASK = 0o022


def main() -> int:
    """Build what the request says. Returns 0 if there is an answer: a wheel, or the reason why there is none."""
    os.umask(_UMASK)  # an entry depends on its source alone, not on the umask of the shell that asked first
    request = read_request(sys.stdin.buffer.read())
    log = Log(request.secrets)
    answer: BuildResult | BuildFailure
    try:
        answer = build_wheel(request, log)
    except BuildFailedError as failure:
        answer = BuildFailure(code=failure.code, message=log.clean(failure.message), hint=failure.hint)
    except Exception as error:  # noqa: BLE001 - whatever a backend does, the answer is one sentence
        log.say(traceback.format_exc())
        answer = BuildFailure(code="E_BUILD", message=log.clean(f"{type(error).__name__}: {error}")[:_MOST_WORDS])
    write_answer(answer, Path(request.work))
    return 0


def build_wheel(request: BuildRequest, log: Log) -> BuildResult:
    """Get the source, make the isolated environment, let the backend build."""
    work, recipe = Path(request.work), request.recipe
    project = _project(request, work, log)
    isolation = Isolation(work, request.python, environ=dict(os.environ), pip=request.pip, log=log)
    isolation.make()
    hooks = _Hooks(isolation, recipe.variables, log)
    try:
        builder = _builder(project, request, isolation, hooks)
        wanted = _furnish(isolation, builder, project, request)
        wheel = builder.build(request.kind, work / "out", dict(recipe.config_settings))
    except (BuildBackendException, FailedProcessError) as error:
        raise _failure(request, error, hooks.last) from error
    except BuildException as error:
        raise BuildFailedError(str(error)[:_MOST_WORDS], hint="look at its pyproject.toml") from error
    return BuildResult(
        wheel=Path(wheel).name,
        backend=_backend(project, builder),
        build_requires=tuple(sorted({log.clean(text) for text in wanted})),
        installed=isolation.installed(),
        looked_up=isolation.looked_up(),
    )


def _furnish(
    isolation: Isolation, builder: ProjectBuilder | PoetryBuilder, project: Path, request: BuildRequest
) -> list[str]:
    """Install the build requirements. Returns those that are installed.

    Without isolation nothing is installed: the project's environment has them.
    """
    recipe = request.recipe
    if recipe.environment is not None:
        isolation.lend(Path(recipe.environment))
        return []
    document = read_pyproject(project) if recipe.uv_sources else {}
    wanted = sourced([*builder.build_system_requires, *recipe.requires], document, project)
    isolation.install(wanted, recipe.constraints)
    # The backend may need more than pyproject.toml says (PEP 517, get_requires_for_build_wheel).
    more = sourced(builder.get_requires_for_build(request.kind, dict(recipe.config_settings)), document, project)
    isolation.install(more, recipe.constraints)
    return [*wanted, *more]


def _builder(
    project: Path, request: BuildRequest, isolation: Isolation, hooks: "_Hooks"
) -> ProjectBuilder | PoetryBuilder:
    """An object that calls the project's backend."""
    if request.recipe.default_backend == "poetry" and "build-system" not in read_pyproject(project):
        return PoetryBuilder(project, isolation.python, hooks.run)
    return ProjectBuilder(project, python_executable=isolation.python, runner=hooks.run)


def _project(request: BuildRequest, work: Path, log: Log) -> Path:
    """The folder with the project's pyproject.toml or setup.py."""
    root = _source(request.source, work / "source", log)
    project = (root / (request.subdirectory or "")).resolve()
    if not project.is_relative_to(root.resolve()):
        raise BuildFailedError(f"its subdirectory {request.subdirectory!r} leads out of the source")
    if not any((project / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise BuildFailedError(
            f"there is neither a pyproject.toml nor a setup.py in {request.subdirectory or 'its source'}",
            hint="check that it is a Python project",
        )
    return project


def _source(source: Archive | Repository | Folder, folder: Path, log: Log) -> Path:
    """The folder with the source, which is unpacked or checked out into the new ``folder``."""
    match source:
        case Archive(path=path):
            return unpack(Path(path), folder)
        case Repository():
            return Checkout(source, environ=os.environ, log=log).into(folder)
        case Folder(path=path):
            return Path(path)
    assert_never(source)


class _Hooks:
    """Runs the backend's hooks in the isolated environment, observed, and keeps the last line that tells something."""

    def __init__(self, isolation: Isolation, variables: Mapping[str, str], log: Log) -> None:
        self._isolation = isolation
        self._variables = variables
        self._log = log
        self.last = ""

    def run(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        """Run a hook, as a ``pyproject_hooks.SubprocessRunner``."""
        environ = {**self._isolation.environ(), **self._variables, **(extra_environ or {})}
        with self._isolation.observed(), subprocess.Popen(
            cmd, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace",
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                shown = self._log.line(line)
                if _is_telling(shown):
                    self.last = shown.strip()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, list(cmd))


def _is_telling(line: str) -> bool:
    """Whether a line of output may tell what went wrong. A line that only ends a report does not."""
    text = line.strip()
    return bool(text) and not text.startswith(("^", "~", "During handling", "The above exception", "Traceback"))


def _failure(request: BuildRequest, error: Exception, last: str) -> BuildFailedError:
    if request.kind == "editable" and isinstance(getattr(error, "exception", None), HookMissing):
        return BuildFailedError(
            "its build backend cannot make editable wheels (PEP 660)", hint="use a newer build backend"
        )
    return BuildFailedError(f"its build backend failed: {last or error}"[:_MOST_WORDS])


def _backend(project: Path, builder: ProjectBuilder | PoetryBuilder) -> str:
    if isinstance(builder, PoetryBuilder):
        return builder.backend
    system = table_at(read_pyproject(project), "build-system")
    return str(system.get("build-backend", "setuptools.build_meta:__legacy__"))


if __name__ == "__main__":
    raise SystemExit(main())
