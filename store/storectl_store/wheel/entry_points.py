"""Step 10: entry_points.txt, read line by line as ``importlib.metadata`` will read it again.

A fault of one script costs that script alone, and is a remark. A text that is no entry points file is refused. So is a
target that holds more than names: it would become code in a script.
"""

import re
from collections.abc import Iterator

from storectl_store.wheel.checked import EntryPoint
from storectl_store.wheel.layout import replaces_interpreter
from storectl_store.wheel.names import has_invisible
from storectl_store.wheel.refusal import Code, refused, shown
from storectl_store.wheel.remarks import Remarks, Rule

_SCRIPT_GROUPS = {"console_scripts": False, "gui_scripts": True}
_NO_NAME = re.compile(r".*[/\\].*|\.{1,2}", re.DOTALL)
_LONGEST_NAME = 255
_TARGET = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)\s*(?:\[[^\[\]]*\])?")


def parse_entry_points(content: bytes, member: str, remarks: Remarks) -> tuple[EntryPoint, ...]:
    """The console and gui scripts, in the order of the file. Raises E_ENTRYPOINT if the text is no entry points file.

    If a name is declared twice, the last one counts, and a gui script before a console script: pip and uv write the gui
    scripts last. Names that differ in case are two scripts. Extras in brackets are ignored: by now they are installed
    or not. Of other groups only the form is checked.
    """
    scripts: dict[str, EntryPoint] = {}
    for group, name, target in _read_pairs(_text(content, member), member):
        if group not in _SCRIPT_GROUPS:
            continue
        entry_point = _script(name, target, member, remarks, gui=_SCRIPT_GROUPS[group])
        if entry_point is None:
            continue
        known = scripts.setdefault(name, entry_point)
        if known != entry_point:
            remarks.note(Rule.SCRIPT_REPEATED, name)
        if entry_point.gui or not known.gui:
            scripts[name] = entry_point
    return tuple(scripts.values())


def _text(content: bytes, member: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise refused(Code.ENTRY_POINT, f"{member} is not UTF-8", member=member) from None


def _read_pairs(text: str, member: str) -> Iterator[tuple[str, str, str]]:
    """Group, name and value of each line that is no comment. Raises E_ENTRYPOINT if a line does not have all three."""
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


def _script(name: str, target: str, member: str, remarks: Remarks, *, gui: bool) -> EntryPoint | None:
    """The script; None, and a remark, if there can be no script of this name or target."""
    match = _TARGET.fullmatch(target)
    if match is None:
        raise refused(Code.ENTRY_POINT, f"{shown(f'{name} = {target}')} is not module:function", member=member)
    rule = _broken_rule(name, match["module"], match["attribute"])
    if rule is not None:
        remarks.note(rule, name if rule is not Rule.SCRIPT_TARGET else f"{name} = {target}")
        return None
    return EntryPoint(name=name, module=match["module"], attribute=match["attribute"], gui=gui)


def _broken_rule(name: str, module: str, attribute: str) -> Rule | None:
    if replaces_interpreter(name):
        return Rule.SCRIPT_INTERPRETER
    if _NO_NAME.fullmatch(name) or has_invisible(name) or len(name.encode()) > _LONGEST_NAME:
        return Rule.SCRIPT_NAME
    return None if _dotted(module) and _dotted(attribute) else Rule.SCRIPT_TARGET


def _dotted(text: str) -> bool:
    return all(piece.isidentifier() for piece in text.split("."))
