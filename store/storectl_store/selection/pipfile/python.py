"""The Python that a ``Pipfile.lock`` is for."""

from storectl_store.selection.lock_file import LockFile
from storectl_store.selection.tables.json_table import parse_json


def pipfile_requires_python(lock_file: LockFile) -> str | None:
    """The version specifiers of the Python that the lock file is for; None if it names none.

    ``python_version = "3.12"`` means any 3.12, as Pipenv takes it; so does a full version.
    """
    requires = parse_json(lock_file.content, str(lock_file.path)).table("_meta").table("requires")
    version = requires.optional_version("python_version") or requires.optional_version("python_full_version")
    return f"=={'.'.join(version.split('.')[:2])}.*" if version else None
