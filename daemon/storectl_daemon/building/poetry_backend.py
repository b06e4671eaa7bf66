"""Poetry's own backend. Poetry uses it, not setuptools, for a project without ``[build-system]``."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from build import FailedProcessError
from pyproject_hooks import BuildBackendHookCaller

from storectl_store.entries.provenance import BuildKind


class PoetryBuilder:
    """Calls poetry-core for the project in this folder: the part of ``build.ProjectBuilder`` that a worker needs."""

    backend = "poetry.core.masonry.api"
    build_system_requires = frozenset({"poetry-core>=1.0.0"})

    def __init__(self, project: Path, python: str, runner: Callable[..., None]) -> None:
        self._hooks = BuildBackendHookCaller(str(project), self.backend, runner=runner, python_executable=python)

    def get_requires_for_build(self, kind: BuildKind, settings: Mapping[str, str | list[str]]) -> set[str]:
        """The requirements of the backend beyond itself."""
        return set(self._call(f"get_requires_for_build_{kind}", dict(settings)))

    def build(self, kind: BuildKind, folder: Path, settings: Mapping[str, str | list[str]]) -> str:
        """The path of the wheel that it makes in the folder."""
        folder.mkdir(exist_ok=True)
        return os.path.join(folder, str(self._call(f"build_{kind}", str(folder), dict(settings))))

    def _call(self, hook: str, *arguments: object) -> Any:
        try:
            return getattr(self._hooks, hook)(*arguments)
        except subprocess.CalledProcessError as error:
            raise FailedProcessError(error, f"poetry-core failed: {error}") from error
