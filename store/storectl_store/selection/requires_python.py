"""The Python versions that a lock file is for.

They are read before there is a target, because they help to choose one.
"""

from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.pipfile.python import pipfile_requires_python
from storectl_store.selection.project_file import project_requires_python
from storectl_store.selection.tables.toml_table import parse_toml_head
from storectl_store.selection.uv.groups import DEFAULT_GROUPS, AskedGroups, required_pythons
from storectl_store.selection.uv.workspace import members_of, projects_of


def requires_python_of(lock_file: LockFile, asked: AskedGroups = DEFAULT_GROUPS) -> str | None:
    """The version specifiers of Python that the lock file gives; None if it gives none.

    For requirements files and PDM they are those of the project beside it. For uv those of the groups ``asked`` for are
    added. Raises LockFileError if a file is malformed.
    """
    match lock_file.kind:
        case "requirements" | "pdm":
            return project_requires_python(lock_file)
        case "pipfile":
            return pipfile_requires_python(lock_file)
        case "poetry":
            return None  # in Poetry's own words: the selection checks it
        case "uv" | "pylock":
            pass
    own = parse_toml_head(lock_file.content, str(lock_file.path)).optional_specifiers("requires-python")
    return ",".join(filter(None, (own, *_of_groups(lock_file, asked)))) or None


def _of_groups(lock_file: LockFile, asked: AskedGroups) -> tuple[str, ...]:
    """The Pythons that the groups of a uv workspace ask for; read only if a project file may have such groups."""
    files = (lock_file.pyproject or b"", *lock_file.included.values())
    if lock_file.kind != "uv" or not lock_file.pyproject or not any(b"dependency-groups" in file for file in files):
        return ()
    projects = projects_of(lock_file.project, lock_file.pyproject, lock_file.included)
    return required_pythons(members_of(projects), projects[0], asked)
