"""Step 10: entry_points.txt, read line by line as ``importlib.metadata`` will read it again."""

import re
from collections.abc import Iterator

from storectl_store.wheel.checked import EntryPoint
from storectl_store.wheel.layout import replaces_interpreter
from storectl_store.wheel.names import fault_of
from storectl_store.wheel.refusal import Code, refused, shown

_SCRIPT_GROUPS = {"console_scripts": False, "gui_scripts": True}
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_TARGET = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)\s*(?:\[[^\[\]]*\])?")


def parse_entry_points(content: bytes, member: str) -> tuple[EntryPoint, ...]:
    """The console and gui scripts, in the order of the file; E_ENTRYPOINT for any that no script can be made of.

    Extras in brackets are read over: by now they are installed or not. Of other groups only the form is checked.
    """
    scripts: dict[str, EntryPoint] = {}
    for group, name, target in _read_pairs(_text(content, member), member):
        if group not in _SCRIPT_GROUPS:
            continue
        entry_point = _script(name, target, member, gui=_SCRIPT_GROUPS[group])
        if scripts.setdefault(name.casefold(), entry_point) is not entry_point:
            raise refused(Code.ENTRY_POINT, f"the script {shown(name)} is declared twice", member=member)
    return tuple(scripts.values())


def _text(content: bytes, member: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise refused(Code.ENTRY_POINT, f"{member} is not UTF-8", member=member) from None


def _read_pairs(text: str, member: str) -> Iterator[tuple[str, str, str]]:
    """Group, name and value of each line that is no comment; E_ENTRYPOINT for one that has not all three."""
    group = None
    for line in filter(None, map(str.strip, text.splitlines())):
        if line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            group = line[1:-1]
            continue
        name, equals, value = (piece.strip() for piece in line.partition("="))
        if not group or not equals or not name or not value:
            raise refused(Code.ENTRY_POINT, f"{shown(line)} is no entry point", member=member)
        yield group, name, value


def _script(name: str, target: str, member: str, *, gui: bool) -> EntryPoint:
    if not _NAME.fullmatch(name) or fault_of(name):
        raise refused(Code.ENTRY_POINT, f"{shown(name)} is no name for a script", member=member)
    if replaces_interpreter(name):
        raise refused(Code.ENTRY_POINT, f"the script {shown(name)} would replace the interpreter", member=member)
    match = _TARGET.fullmatch(target)
    if match is None or not (_dotted(match["module"]) and _dotted(match["attribute"])):
        raise refused(Code.ENTRY_POINT, f"{shown(f'{name} = {target}')} is not module:function", member=member)
    return EntryPoint(name=name, module=match["module"], attribute=match["attribute"], gui=gui)


def _dotted(text: str) -> bool:
    return all(piece.isidentifier() for piece in text.split("."))
