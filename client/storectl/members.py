"""`--package NAME`: the folder of a member of a uv workspace, as its lock file tells it.

    [[package]]
    name = "member"
    version = "0.1.0"
    source = { editable = "packages/member" }

uv writes these lines in this order; to read the whole file as TOML would take longer than the rest of a run.
"""

from __future__ import annotations

import os
import re

from storectl.errors import UnknownMemberError

_LOCAL = re.compile(
    r'^\[\[package\]\]\nname = "([^"\n]+)"\n(?:version = "[^"\n]*"\n)?'
    r'source = \{ (?:editable|virtual|directory) = "([^"\n]*)" \}$',
    re.MULTILINE,
)
_MEMBERS = re.compile(r"^members = \[([^\]]*)\]$", re.MULTILINE)


def folder_of_member(project: str, lock_file: str, name: str) -> str | None:
    """The absolute folder of the member of this name; None if it is the project beside the lock file.

    UnknownMemberError if the lock file knows no such member.
    """
    folders = _members(lock_file) if os.path.basename(lock_file) == "uv.lock" else {}
    location = folders.get(re.sub(r"[-_.]+", "-", name).lower())
    if location is None:
        known = ", ".join(sorted(folders))
        raise UnknownMemberError(
            f"{lock_file} has no workspace member {name}",
            hint=f"it has {known}" if known else "only a uv.lock has members; leave --package out",
            name=name,
        )
    return None if location == "." else os.path.normpath(os.path.join(project, location))


def _members(lock_file: str) -> dict[str, str]:
    """The folder of each member, relative to the lock file, by its normalised name."""
    with open(lock_file, encoding="utf-8", errors="replace") as file:
        text = file.read()
    local = dict(_LOCAL.findall(text))
    listed = _MEMBERS.search(text)
    names = set(re.findall(r'"([^"]+)"', listed[1])) if listed else {name for name in local if local[name] == "."}
    return {name: folder for name, folder in local.items() if name in names}
