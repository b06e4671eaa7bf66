"""The Python versions that a lock file is for. Known before there is a target, because it helps to choose one."""

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from storectl_store.errors import LockFileError, TargetError
from storectl_store.selection.json_table import parse_json
from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.target import Interpreter
from storectl_store.selection.toml_table import parse_toml, parse_toml_head
from storectl_store.selection.uv_groups import DEFAULT_GROUPS, AskedGroups, required_pythons
from storectl_store.selection.uv_workspace import members_of, projects_of


def requires_python_of(lock_file: LockFile, asked: AskedGroups = DEFAULT_GROUPS) -> str | None:
    """The version specifiers that the lock file gives; for requirements files and PDM's those of the project beside it.

    For uv those of the groups that are ``asked`` for come on top. LockFileError if a file is malformed.
    """
    match lock_file.kind:
        case "requirements" | "pdm":
            return _of_project(lock_file)
        case "pipfile":
            return _of_pipfile(lock_file)
        case "poetry":
            return None  # in Poetry's own words: the selection checks it
        case "uv" | "pylock":
            pass
    own = parse_toml_head(lock_file.content, str(lock_file.path)).optional_specifiers("requires-python")
    return ",".join(filter(None, (own, *_of_groups(lock_file, asked)))) or None


def _of_groups(lock_file: LockFile, asked: AskedGroups) -> tuple[str, ...]:
    """What the groups of a workspace of uv ask for; looked for only if a project file may say so."""
    files = (lock_file.pyproject or b"", *lock_file.included.values())
    if lock_file.kind != "uv" or not lock_file.pyproject or not any(b"dependency-groups" in file for file in files):
        return ()
    projects = projects_of(lock_file.project, lock_file.pyproject, lock_file.included)
    return required_pythons(members_of(projects), projects[0], asked)


def _of_project(lock_file: LockFile) -> str | None:
    if lock_file.pyproject is None:
        return None
    top = parse_toml(lock_file.pyproject, str(lock_file.project / "pyproject.toml"))
    return top.table("project").optional_specifiers("requires-python")


def _of_pipfile(lock_file: LockFile) -> str | None:
    """``python_version = "3.12"`` means any 3.12, as Pipenv takes it; so does a full version."""
    requires = parse_json(lock_file.content, str(lock_file.path)).table("_meta").table("requires")
    version = requires.optional_version("python_version") or requires.optional_version("python_full_version")
    return f"=={'.'.join(version.split('.')[:2])}.*" if version else None


def check_requires_python(requires_python: str | None, interpreter: Interpreter, file: str) -> None:
    """TargetError where the lock file is not for this interpreter's version; LockFileError where it is unreadable.

    A pre-release counts as the release that it leads to, as installers do it: 3.14.0rc1 satisfies ``>=3.14``.
    """
    if requires_python is None:
        return
    try:
        allowed = SpecifierSet(requires_python).contains(release_of(interpreter.version), prereleases=True)
    except InvalidSpecifier as error:
        raise LockFileError(
            f"{file}: `requires-python`: {requires_python[:80]!r} is no list of version specifiers", path=file
        ) from error
    if not allowed:
        raise TargetError(
            f"{file} is for Python {requires_python}; this is Python {interpreter.version}",
            hint="choose another Python with -p",
            path=file,
            requires_python=requires_python,
            version=interpreter.version,
        )


def release_of(version: str) -> str:
    """``3.14.0`` of ``3.14.0rc1`` and of ``3.14.0+``, which is how a build between two releases calls itself."""
    try:
        return Version(version.removesuffix("+")).base_version
    except InvalidVersion as error:
        raise TargetError(f"{version[:80]!r} is not a version of Python") from error
