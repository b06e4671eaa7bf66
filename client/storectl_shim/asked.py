"""What ``activate`` is asked for: a project, or requirements, alone or on top of what was asked for before.

activate()    activate("folder/of/project")    activate("numpy>=1.21", "pandas")    activate("x @ git+https://…")
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from storectl_shim.project_record import lock_files_in

TYPE_CHECKING = False  # importing typing takes longer than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence

_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True)
class Asked:
    """Which environment is meant. Without a ``project`` it is that of the notebook or the current folder.

    ``requirements`` come on top of the project; if ``alone``, they are all that there is.
    """

    project: str | os.PathLike[str] | None = None
    lock: str | os.PathLike[str] | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    default_groups: bool = True
    requirements: tuple[str, ...] = ()
    alone: bool = False

    def with_requirements(self, more: Sequence[str]) -> Asked:
        """These with more requirements. One of a project takes the place of an earlier one of that project."""
        projects = {_project_name(text) for text in more}
        kept = [text for text in self.requirements if _project_name(text) not in projects]
        return replace(self, requirements=(*kept, *more))


def place_and_requirements(
    what: Sequence[str | os.PathLike[str]], project: str | os.PathLike[str] | None
) -> tuple[str | os.PathLike[str] | None, tuple[str, ...]]:
    """The folder or file of a project, if one is named, and the requirements. TypeError if both are given by place.

    A text is a project's if it is a path, or if there is a folder of this name with a lock file in it.
    """
    places = [each for each in what if _is_place(each)]
    if len(places) > 1 or (places and (len(what) > 1 or project is not None)):
        raise TypeError(f"activate takes one project, or requirements: not {', '.join(map(repr, what))}")
    if places:
        return places[0], ()
    return project, tuple(os.fspath(each) for each in what)


def _is_place(text: str | os.PathLike[str]) -> bool:
    if not isinstance(text, str):
        return True
    if "://" in text or text.endswith(_ARCHIVES) or re.match(r"\s*[\w.-]+(\[[^\]]*\])?\s*@", text):
        return False
    return os.sep in text or text in (".", "..") or os.path.isfile(text) or bool(lock_files_in(text))


def _project_name(text: str) -> str:
    found = None if "://" in text.partition("@")[0] else re.match(r"\s*([\w.-]+)", text)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else text
