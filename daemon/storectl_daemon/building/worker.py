"""The process that builds one wheel: ``python -m storectl_daemon.building.worker REQUEST``.

Everything it and its children say goes to the log it was started with; its answer is a file. It leads a process group of
its own, so that a build that takes too long ends with all of its compilers.
"""

import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from build import BuildBackendException, BuildException, FailedProcessError, ProjectBuilder
from pyproject_hooks import HookMissing

from storectl_daemon.building.archive import unpack
from storectl_daemon.building.checkout import check_out
from storectl_daemon.building.failure import BuildFailedError
from storectl_daemon.building.isolation import Isolation
from storectl_daemon.building.request import BuildAnswer, BuildRequest, read_request
from storectl_store.environments.pyproject import read_pyproject, table_at

_MOST_WORDS = 300


def main(arguments: Sequence[str]) -> int:
    """Build what the request file says; 0 with an answer, be it a wheel or the reason why there is none."""
    request = read_request(Path(arguments[0]))
    try:
        answer = build_wheel(request)
    except BuildFailedError as failure:
        answer = BuildAnswer(code=failure.code, message=failure.message, hint=failure.hint)
    except Exception as error:  # noqa: BLE001 - whatever a backend does, the answer is one sentence
        traceback.print_exc()
        answer = BuildAnswer(code="E_BUILD", message=f"{type(error).__name__}: {error}"[:_MOST_WORDS])
    answer.write(Path(request.work))
    return 0


def build_wheel(request: BuildRequest) -> BuildAnswer:
    """Come by the source, make the isolated environment, let the backend build."""
    work = Path(request.work)
    project = _project(request, work)
    isolation = Isolation(work / "env", request.python)
    isolation.make()
    log = _Log(isolation)
    try:
        builder = ProjectBuilder(project, python_executable=isolation.python, runner=log.run)
        isolation.install(builder.build_system_requires)
        # The backend may need more than pyproject.toml says (PEP 517, get_requires_for_build_wheel).
        more = builder.get_requires_for_build(request.kind)
        isolation.install(more)
        wheel = builder.build(request.kind, work / "out")
    except (BuildBackendException, FailedProcessError) as error:
        raise _failure(request, error, log.last) from error
    except BuildException as error:
        raise BuildFailedError(str(error)[:_MOST_WORDS], hint="look at its pyproject.toml") from error
    return BuildAnswer(
        wheel=Path(wheel).name,
        backend=_backend(project),
        build_requires=tuple(sorted({*builder.build_system_requires, *more})),
        installed=isolation.installed(),
    )


def _project(request: BuildRequest, work: Path) -> Path:
    """The folder with the project's pyproject.toml or setup.py."""
    if request.archive is not None:
        root = unpack(Path(request.archive), work / "source")
    elif request.repository is not None:
        root = check_out(request.repository, work / "source")
    else:
        root = Path(request.folder or "")
    project = (root / (request.subdirectory or "")).resolve()
    if not project.is_relative_to(root.resolve()):
        raise BuildFailedError(f"its subdirectory {request.subdirectory!r} leads out of the source")
    if not any((project / name).is_file() for name in ("pyproject.toml", "setup.py")):
        raise BuildFailedError(
            f"there is neither a pyproject.toml nor a setup.py in {request.subdirectory or 'its source'}",
            hint="check that it is a Python project",
        )
    return project


class _Log:
    """Runs the backend's hooks in the isolated environment, and keeps the last thing that was said."""

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation
        self.last = ""

    def run(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        """As ``pyproject_hooks.SubprocessRunner`` has it."""
        environ = self._isolation.environ() | dict(extra_environ or {})
        with subprocess.Popen(
            cmd, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                if _is_telling(line):
                    self.last = line.strip()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, list(cmd))


def _is_telling(line: str) -> bool:
    """Whether a line of output may say what went wrong: not one that only ends a report."""
    text = line.strip()
    return bool(text) and not text.startswith(("^", "~", "During handling", "The above exception", "Traceback"))


def _failure(request: BuildRequest, error: Exception, last: str) -> BuildFailedError:
    if request.kind == "editable" and isinstance(getattr(error, "exception", None), HookMissing):
        return BuildFailedError(
            "its build backend cannot make editable wheels (PEP 660)", hint="use a newer build backend"
        )
    return BuildFailedError(f"its build backend failed: {last or error}"[:_MOST_WORDS])


def _backend(project: Path) -> str:
    system = table_at(read_pyproject(project), "build-system")
    return str(system.get("build-backend", "setuptools.build_meta:__legacy__"))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
