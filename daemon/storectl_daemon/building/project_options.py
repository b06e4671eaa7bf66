"""The build options of a project, as the tool of its lock file reads them."""

from collections.abc import Mapping
from pathlib import Path

from storectl_daemon.building.build_options import BuildOptions
from storectl_daemon.building.pdm_build import pdm_build_options
from storectl_daemon.building.pip_build import pip_build_options
from storectl_daemon.building.poetry_build import poetry_build_options
from storectl_daemon.building.uv_build import uv_build_options
from storectl_daemon.indexes.config_files import config_files
from storectl_store.selection.lock_file import LockFile


def build_options_of(lock_file: LockFile, environ: Mapping[str, str]) -> BuildOptions:
    """The options that the lock file's own tool would obey, with these variables. Reads its configuration files.

    May block.
    """
    match lock_file.kind:
        case "uv":
            return uv_build_options(lock_file, environ)
        case "poetry":
            return poetry_build_options(lock_file, environ)
        case "pdm":
            return pdm_build_options(environ)
        case _:
            home, project = Path(environ.get("HOME") or "/"), lock_file.project
            return pip_build_options(environ, config_files(environ, home, project), project)
