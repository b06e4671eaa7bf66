"""``[tool.uv.sources]`` for build requirements of a local project: uv applies them there as to dependencies.

    tool = { path = "../tool" }
    tool = { url = "https://…" }
    tool = { git = "https://…", rev | tag | branch = …, subdirectory = … }

A source that pip cannot be told for a single requirement is refused by its name: an index of its own, a member of a
workspace, several sources.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from storectl_daemon.building.failure import BuildFailedError
from storectl_store.projects.pyproject import table_at

_REVISIONS = ("rev", "tag", "branch")


def sourced(requirements: Iterable[str], document: dict[str, Any], folder: Path) -> list[str]:
    """The requirements, each with the address of its source. ``document`` is the project's pyproject.toml."""
    sources = {canonicalize_name(name): source for name, source in table_at(document, "tool", "uv", "sources").items()}
    return [_sourced(text, sources, folder) for text in requirements]


def _sourced(text: str, sources: dict[Any, Any], folder: Path) -> str:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return text  # pip will say what is wrong with it
    name = canonicalize_name(requirement.name)
    if name not in sources or requirement.url is not None:
        return text
    address = _address(name, sources[name], folder)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras} @ {address}{marker}"


def _address(name: str, source: Any, folder: Path) -> str:
    table = source if isinstance(source, dict) else {}
    known = {"path", "url", "git", "subdirectory", "editable", *_REVISIONS}
    place = next((key for key in ("path", "url", "git") if isinstance(table.get(key), str)), None)
    if place is None or table.keys() - known:
        raise BuildFailedError(
            f"its build requirement `{name}` has a source in [tool.uv.sources] that builds cannot be told of",
            hint="give it a path, an address or a repository there, without conditions",
        )
    text = str(table[place])
    fragment = f"#subdirectory={table['subdirectory']}" if "subdirectory" in table else ""
    if place == "path":
        return (folder / text).resolve().as_uri() + fragment
    if place == "url":
        return text + fragment
    revision = next((f"@{table[key]}" for key in _REVISIONS if key in table), "")
    return f"git+{text}{revision}{fragment}"
