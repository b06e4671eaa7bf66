"""What modules import, by a look at their text: which bytecode a program will want first, before it has run.

CPython 3.9 and newer, standard library only: commands, the daemon and the processes that compile use it. It is a guess
that nothing depends on. Only statements that run when a module is imported count: not those in functions and classes,
and not those for type checkers. Names are dotted and absolute; ``from a import b`` gives ``a`` and ``a.b``, as that may
be a module.

A module is known by the path of its source below a folder such as site-packages, with ``/`` between its parts.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False  # a command that waits for an environment need not import typing for this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LINE = re.compile(rb"\n(?:[a-z@]|(?:    |\t)(?:from |import |def ))")  # of a module, and of a block right below it
_NOT_RUN = (b"def ", b"class ", b"@", b"async ", b"if TYPE_CHECKING", b"if typing.TYPE_CHECKING")
_IMPORT = re.compile(
    rb"\s*(?:from[ \t]+(\.*)[ \t]*([\w.]*)[ \t]+import\b[ \t]*(\([^)]*\)|[^\n;]*)|import[ \t]+([^\n;]*))"
)
_NAME = re.compile(rb"(\w+)(?:[ \t]+as[ \t]+\w+)?")
_COMMENT = re.compile(rb"#[^\n]*")


def imported_names(source: bytes, package: str) -> list[str]:
    """The names that this module of the package (or this package itself) imports, in order, each once."""
    found: dict[str, None] = {}
    for level, module, names in _statements(b"\n" + source):
        base = _absolute(package, level, module)
        if base is None:
            continue
        if base:
            found[base] = None
        found.update((f"{base}.{name}" if base else name, None) for name in names)
    return list(found)


def _statements(source: bytes) -> Iterator[tuple[int, str, list[str]]]:
    """Each import of a source that begins with an empty line: how many dots, the module, and the names of ``from``."""
    runs = True  # what is indented here
    for line in _LINE.finditer(source):
        start = line.start() + 1
        at_top = line.end() - start == 1
        if source.startswith(_NOT_RUN, start) or line.group().endswith(b"def "):
            runs = False
            continue
        runs = runs or at_top
        match = _IMPORT.match(source, start) if runs else None
        if match is None:
            continue
        dots, module, names, modules = match.groups()
        if modules is None:
            listed = _NAME.findall(_COMMENT.sub(b"", names))
            yield len(dots), module.decode("ascii", "replace"), [name.decode("ascii", "replace") for name in listed]
        else:
            words = (part.split() for part in _COMMENT.sub(b"", modules).split(b","))
            yield from ((0, word[0].decode("ascii", "replace"), []) for word in words if word)


def _absolute(package: str, level: int, module: str) -> str | None:
    """The absolute name; None if it has more dots than the package has parts."""
    if not level:
        return module
    parts = package.split(".")
    if level > len(parts) or not package:
        return None
    return ".".join([*parts[: len(parts) - level + 1], *([module] if module else [])])


def name_of(module: str) -> str:
    """The dotted name of the module with this path."""
    return module[:-3].removesuffix("/__init__").replace("/", ".")


def package_of(module: str) -> str:
    """The dotted name of the package that relative imports of the module start from."""
    return module.rpartition("/")[0].replace("/", ".")


class _Names(dict[str, "frozenset[str]"]):
    """The names in each folder below one, such as ``a/b/``, or nothing for itself; none in what is no folder."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, below: str) -> frozenset[str]:
        try:
            names = frozenset(os.listdir(os.path.join(self._folder, below)))
        except OSError:
            names = frozenset()
        self[below] = names
        return names


def reached(folder: str, roots: Iterable[str], *, most: int = 1 << 30) -> dict[str, list[str]]:
    """The names that the modules ``roots``, and all that these reach below the folder, import.

    The modules are in the order in which a program comes to them, and ``most`` so many. One that cannot be read counts
    as one that imports nothing.
    """
    found: dict[str, list[str]] = {}
    ways: dict[str, list[str]] = {}
    names_in = _Names(folder)
    waiting = list(roots)[::-1]
    while waiting and len(found) < most:
        module = waiting.pop()
        if module in found:
            continue
        found[module] = names = _names_of(os.path.join(folder, module), package_of(module))
        for name in names[::-1]:
            if name not in ways:
                ways[name] = _on_the_way(name, names_in)[::-1]
            waiting += [path for path in ways[name] if path not in found]
    return found


def _names_of(path: str, package: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            return imported_names(file.read(), package)
    except OSError:
        return []


def _on_the_way(name: str, names_in: Mapping[str, frozenset[str]]) -> list[str]:
    """The modules that an import of this name runs, its packages first."""
    found: list[str] = []
    below = ""
    for part in name.split("."):
        names = names_in[below]
        below += part + "/"
        if f"{part}.py" in names and "__init__.py" not in names_in[below]:
            return [*found, f"{below[:-1]}.py"]
        if part not in names:
            break
        if "__init__.py" in names_in[below]:
            found.append(f"{below}__init__.py")
    return found


def in_order(imports: Mapping[str, Iterable[str]], roots: Iterable[str]) -> list[str]:
    """The modules of ``imports`` that a program runs which imports the names ``roots``, in that order."""
    by_name = {name_of(module): module for module in imports}
    found: dict[str, None] = {}
    waiting = list(roots)[::-1]
    while waiting:
        name = waiting.pop()
        head, dot, _ = name.rpartition(".")
        module = by_name.get(name)
        if dot and by_name.get(head) not in found and head in by_name:
            waiting += [name, head]  # its package comes first
        elif module is not None and module not in found:
            found[module] = None
            waiting += list(imports[module])[::-1]
    return list(found)
