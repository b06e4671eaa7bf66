"""pip's configuration of builds: its variables and configuration files, for lock files of pip and Pipenv.

no-binary, only-binary    names, ``:all:``, ``:none:``
config-settings           ``key=value``, for every build
build-constraint          constraints files, for what is installed to build with
no-build-isolation        pip reads its value the wrong way round: ``PIP_NO_BUILD_ISOLATION=0`` builds without isolation
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from storectl_daemon.building.build_options import BuildOptions, BuildOptionsError, Names, settings_of
from storectl_daemon.indexes.config_files import ConfigFiles
from storectl_daemon.indexes.config_layer import words
from storectl_daemon.indexes.pip import pip_values
from storectl_store.selection.settings_files import is_true

_OPTIONS = ("config-settings", "build-constraint", "no-build-isolation")


def pip_build_options(environ: Mapping[str, str], files: ConfigFiles, project: Path) -> BuildOptions:
    """The build options that pip would obey. Raises BuildOptionsError if a constraints file cannot be read."""
    values = pip_values(environ, files.pip, _OPTIONS)
    constraint_files = [project / text for text in words(values.get("build-constraint"))]
    isolation = values.get("no-build-isolation")
    return BuildOptions(
        constraints=tuple(line for file in constraint_files for line in _lines(file)),
        config_settings=settings_of(words(values.get("config-settings"))),
        unisolated=Names(everything=bool(isolation) and not is_true(isolation)),
        files=(*(file.path for file in files.pip), *constraint_files),
    )


def _lines(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise BuildOptionsError(
            f"{file}: the file of `build-constraint` cannot be read: {error}",
            hint="correct pip's option",
            path=str(file),
        ) from error
    for line in text.splitlines():
        if (constraint := line.split(" #")[0].strip()) and not constraint.startswith("#"):
            yield constraint
