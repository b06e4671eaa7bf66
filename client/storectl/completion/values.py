"""The values that a parameter may have, by the name that both grammars have for it."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from click.shell_completion import CompletionItem

from storectl.completion.locked_names import local_packages, locked_names, locked_packages
from storectl.errors import ClientError
from storectl.options import Options
from storectl.project import locate_member
from storectl.pythons import known_pythons
from storectl_shim.locations import state_folder, store_folder
from storectl_shim.project_record import last_environment

Asked = Mapping[str, Any]
"""The parameters that stand before the one in question, by name."""

FILES, FOLDERS = "file", "dir"
"""The types of candidates that the shell itself finds; the words are click's."""


def values_of(name: str, takes: str, asked: Asked, current: str) -> list[CompletionItem[str]]:
    """What the parameter of this name may be, if it begins with ``current``; ``takes`` is its value's word in help."""
    if name in _LISTS:
        try:
            return [CompletionItem(value) for value in _LISTS[name](asked) if value.startswith(current)]
        except (ClientError, OSError, ValueError):
            return []  # what is to be read is not there, or broken
    kinds = [kind for words, kind in _PATHS.items() if any(word in takes for word in words)]
    return [CompletionItem("", type=kind) for kind in kinds[:1]]


def _pythons(_: Asked) -> Iterable[str]:
    return known_pythons(os.environ)


def _extras(asked: Asked) -> Iterable[str]:
    return sorted(_names(asked)[0])


def _groups(asked: Asked) -> Iterable[str]:
    return sorted(_names(asked)[1])


def _names(asked: Asked) -> tuple[set[str], set[str]]:
    project, lock_file, options = _located(asked)
    return locked_names(project, lock_file, options.member)


def _commands(asked: Asked) -> Iterable[str]:
    """The commands of the environment that the project had last."""
    return sorted(os.listdir(os.path.join(_environment(asked), "bin")))


def _modules(asked: Asked) -> Iterable[str]:
    """The top-level modules of that environment."""
    library = os.path.join(_environment(asked), "lib")
    names = (
        name for folder in os.listdir(library) for name in os.listdir(os.path.join(library, folder, "site-packages"))
    )
    return sorted({name for name in (name.removesuffix(".py") for name in names) if name.isidentifier()})


def _entries(_: Asked) -> Iterable[str]:
    return sorted(os.listdir(os.path.join(store_folder(os.environ), "store")))


def _tools(_: Asked) -> Iterable[str]:
    from storectl.locks.tools import known_tools  # noqa: PLC0415 - for the names of tools only

    return (shown.partition(" ")[0] for shown, _ in known_tools(state_folder(os.environ)))


def _kernels(_: Asked) -> Iterable[str]:
    from storectl.kernels.specs import installed, known_data_folders  # noqa: PLC0415 - for the names of kernels only

    return (spec.name for spec in installed(known_data_folders(os.environ)))


def _named(_: Asked) -> Iterable[str]:
    from storectl.locks.named import known_named  # noqa: PLC0415 - for the names of environments only

    return (named.name for named in known_named(os.environ))


def _packages(asked: Asked) -> Iterable[str]:
    """What the project locks."""
    return sorted(locked_packages(_located(asked)[1]))


def _members(asked: Asked) -> Iterable[str]:
    """The members of the workspace."""
    return sorted(local_packages(_located(asked)[1]))


def _environment(asked: Asked) -> str:
    project, options = _project(asked)
    return last_environment(store_folder(os.environ), project, options.key) or os.devnull


def _project(asked: Asked) -> tuple[str, Options]:
    if asked.get("environment"):
        from storectl.locks.named import read_named  # noqa: PLC0415 - for named environments only

        folder, options = read_named(asked["environment"], os.environ).project(Options())
        return (os.path.dirname(options.lock_file) if options.lock_file else folder), options
    project, _, options = _located(asked)
    return project, options


def _located(asked: Asked) -> tuple[str, str, Options]:
    start = asked.get("project") or asked.get("folder") or "."
    return locate_member([start], Options(lock_file=asked.get("lock") or None), os.environ)


_PATHS: Mapping[tuple[str, ...], str] = {("FILE", "PATH", "SCRIPT", "ARGUMENTS"): FILES, ("DIR",): FOLDERS}
NAMES: Mapping[tuple[str, str | None], str] = {
    ("storectl tool run", "name"): "tool",
    ("storectl tool remove", "name"): "tool",
    ("storectl kernel remove", "name"): "kernel",
    **{(f"storectl env {command}", "name"): "environment" for command in ("add", "remove", "default")},
    **{(f"storectl {command}", "arguments"): "packages" for command in ("remove", "upgrade")},
}
"""The lists for parameters whose own name says too little, by command and name."""

_LISTS: Mapping[str, Callable[[Asked], Iterable[str]]] = {
    "python": _pythons,
    **dict.fromkeys(("extras", "no_extras"), _extras),
    **dict.fromkeys(("groups", "no_groups", "only_groups"), _groups),
    "package": _members,
    "command": _commands,
    "module": _modules,
    "entry": _entries,
    "tool": _tools,
    "kernel": _kernels,
    "environment": _named,
    "packages": _packages,
}
