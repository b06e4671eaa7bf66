"""docs/json.md, made of the types of the documents, and the comparison of a real document with its type."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

from storectl.commands.documents import DOCUMENTS

HEAD = """\
# What `--json` prints

Made by `scripts/pages` from `client/storectl/commands/documents.py`. A command with `--json` prints one document on
standard output and nothing else; errors and warnings are lines on standard error, as ever, and the
[exit code](exit-codes.md) says how it went. Fields may be added; none is taken away or gets another meaning.
Paths are absolute. A byte of a path that is not UTF-8 is a lone surrogate (PEP 383). Sizes are bytes.

| command | document |
|---|---|
"""


def json_page() -> str:
    """The whole page."""
    commands = "".join(f"| `storectl {name} --json` | {_shown(kind)} |\n" for name, kind in DOCUMENTS.items())
    types = {found.__name__: found for kind in DOCUMENTS.values() for found in _types(kind)}
    return HEAD + commands + "".join(_section(types[name]) for name in sorted(types))


def differences(value: Any, kind: Any, place: str = "document") -> Iterator[str]:
    """How a document differs from its type: one sentence for each place."""
    if get_origin(kind) in {Annotated, NotRequired}:
        yield from differences(value, get_args(kind)[0], place)
    elif is_typeddict(kind):
        hints = get_type_hints(kind, include_extras=True)
        if not isinstance(value, dict):
            yield f"{place} is no object"
            return
        yield from (f"{place}.{name} is in no type" for name in value.keys() - hints.keys())
        yield from (f"{place}.{name} is missing" for name in kind.__required_keys__ - value.keys())
        for name in hints.keys() & value.keys():
            yield from differences(value[name], hints[name], f"{place}.{name}")
    elif get_origin(kind) is list:
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for number, item in enumerate(value):
            yield from differences(item, get_args(kind)[0], f"{place}[{number}]")
    elif get_origin(kind) is Literal:
        if value not in get_args(kind):
            yield f"{place} is {value!r}"
    elif get_args(kind):  # a union
        if all(list(differences(value, each, place)) for each in get_args(kind)):
            yield f"{place} is {value!r}"
    elif not isinstance(value, (int, float) if kind is float else kind) or (kind is int and isinstance(value, bool)):
        yield f"{place} is {value!r}"


def _types(kind: Any) -> Iterator[Any]:
    """Every type of objects in this one, itself too."""
    if is_typeddict(kind):
        yield kind
        for hint in get_type_hints(kind, include_extras=True).values():
            yield from _types(hint)
    else:
        for argument in get_args(kind):
            yield from _types(argument)


def _section(kind: Any) -> str:
    rows = "".join(_row(name, hint) for name, hint in get_type_hints(kind, include_extras=True).items())
    return f"\n## {kind.__name__}\n\n{kind.__doc__}\n\n| field | type | meaning |\n|---|---|---|\n{rows}"


def _row(name: str, hint: Any) -> str:
    kind, meaning = get_args(hint)
    optional = get_origin(kind) is NotRequired
    return (
        f"| `{name}` | {_shown(get_args(kind)[0] if optional else kind)}{', may be absent' * optional} | {meaning} |\n"
    )


def _shown(kind: Any) -> str:
    """The type in Markdown, in JSON's words."""
    if is_typeddict(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if get_origin(kind) is list:
        return f"list of {_shown(get_args(kind)[0])}"
    if get_origin(kind) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if get_args(kind):
        return " or ".join(_shown(each) for each in get_args(kind))
    return {str: "text", int: "number", float: "number", bool: "true or false", type(None): "null"}[kind]
