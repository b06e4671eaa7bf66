"""Sound lock files made unsound, each in a way that its number decides: the same number is the same damage."""

import copy
import datetime as dt
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import tomli_w

from storectl_store.selection.lock_file import LockKind

SECRET = "s3cr3t-w0rd"
"""The password in every address that damage puts in: no message may hold it."""

Step = str | int
_RAW = "raw value here"
_NESTED = 10_000
_TEXTS = (
    "",
    " ",
    "x" * 100_000,
    "../../../../etc/passwd",
    "/etc/passwd",
    "..",
    "C:\\Windows",
    "a/../../b",
    "\0",
    "\x1b[31mred\x07\r\n\x85",
    "\u202eevil\u2066",
    f"https://user:{SECRET}@index.invalid/files/alpha-1.0-py3-none-any.whl",
    f"https://user:{SECRET}@index.invalid/alpha-1.0.tar.gz?\x1b[2J",
    f"git+ssh://user:{SECRET}@git.invalid/x@main#egg=x",
    f"ftp://user:{SECRET}@index.invalid/",
    f"//user:{SECRET}@index.invalid/",
    f"https://user:{SECRET}@[::1/",
    f"https://user:{SECRET}@index.invalid:port/x",
    "file:///dev/zero",
    "javascript:alert(1)",
    "${HOME}/x",
    "sha256:" + "g" * 64,
    "sha256:",
    "md5:" + "0" * 32,
    "1.0.dev",
    "9" * 5_000,
    "1!" + "0." * 500,
    "==1.0,<2;",
    "python_version >",
    "(" * 2_000,
    "python_version < '3' and " * 400 + "os_name == ''",
    "extra == 'extra-9-x-y'",
    "alpha-1.0-py3-none-any.whl",
    "alpha-1.0-" + ".".join(f"py{n}" for n in range(40)) + "-none-any.whl",
    "\u0660.\u0661",
    "\U0001f600",
)
_RAW_VALUES = {
    "toml": ("[" * _NESTED + "]" * _NESTED, "{a=" * _NESTED + "1" + "}" * _NESTED, "9" * 5_000, "0x" + "f" * 9_000,
             "-9223372036854775809", "1e400", "nan", "1979-05-27", "'''\n\n'''", "{" + "a." * 9_000 + "a = 1}"),
    "json": ("[" * _NESTED + "]" * _NESTED, '{"a":' * _NESTED + "1" + "}" * _NESTED, "9" * 5_000, "-9223372036854775809",
             "1e400", "NaN", "Infinity", '"\\ud800"', '{"a": 1, "a": 2}'),
}  # fmt: skip
_OTHERS: tuple[object, ...] = (
    True,
    7,
    -1,
    1.5,
    "x",
    ["x"],
    [1],
    [[]],
    [{}],
    {"x": 1},
    {"name": {}},
    dt.date(2025, 1, 2),
    None,
)
_WORDS = ("==", "===", "@", ";", "-e", "-r", "-c", "--hash", "--hash=", "--hash=sha256:0", "--index-url", "-i", "[x]", "#",
          "\\", "'", '"', "--no-index", "--pre", "${HOME}", "-r requirements.txt", "-r more.txt", "https://", "./", "*")  # fmt: skip


def truncated(_: LockKind, content: bytes, random: Random) -> bytes:
    """Cut off at some hundredth of its length."""
    return content[: len(content) * random.randrange(100) // 100]


def byte_changed(_: LockKind, content: bytes, random: Random) -> bytes:
    """One byte another, gone, or between; one time in three such as no text has."""
    at = random.randrange(len(content) + 1)
    byte = bytes(
        [random.choice([0, 0xFF, 0xC0, 0x0D, 0x0A, 0x22, 0x5B]) if random.random() < 0.3 else random.randrange(256)]
    )
    match random.randrange(4):
        case 0:
            return content[:at] + content[at + 1 :]
        case 1:
            return content[:at] + byte + content[at:]
        case _:
            return content[:at] + byte + content[at + 1 :]


def key_dropped(kind: LockKind, content: bytes, random: Random) -> bytes:
    """One key or item less, anywhere."""

    def drop(holder: Any, step: Step) -> None:
        del holder[step]

    return _changed(kind, content, random, drop)


def retyped(kind: LockKind, content: bytes, random: Random) -> bytes:
    """One value of another type."""

    def retype(holder: Any, step: Step) -> None:
        others = [value for value in _OTHERS if type(value) is not type(holder[step])]
        holder[step] = random.choice(_WORDS) if kind == "requirements" else _fitting(kind, random.choice(others))

    return _changed(kind, content, random, retype)


def hostile(kind: LockKind, content: bytes, random: Random) -> bytes:
    """One value such as only somebody with bad intentions, or a broken program, writes."""
    syntax = "json" if kind == "pipfile" else "toml"
    raw = random.choice(_RAW_VALUES[syntax]) if random.random() < 0.3 and kind != "requirements" else None

    def replace(holder: Any, step: Step) -> None:
        holder[step] = random.choice(_TEXTS) if raw is None else _RAW

    changed = _changed(kind, content, random, replace)
    return changed if raw is None else changed.replace(json.dumps(_RAW).encode(), raw.encode())


def doubled(kind: LockKind, content: bytes, random: Random) -> bytes:
    """A table, an item or a line that is there twice."""
    if kind != "pipfile" and random.random() < 0.5:
        lines = content.splitlines(keepends=True)
        at = random.randrange(len(lines))
        return b"".join([*lines[: at + 1], *lines[at : at + random.choice([1, 1, 5])], *lines[at + 1 :]])

    def double(holder: Any, step: Step) -> None:
        if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(holder[int(step)]))
        else:
            holder[f"{step}" if random.random() < 0.2 else f"{step} again"] = copy.deepcopy(holder[step])

    return _changed(kind, content, random, double)


Damage = Callable[[LockKind, bytes, Random], bytes]
DAMAGES: Mapping[str, Damage] = {
    damage.__name__: damage for damage in (truncated, byte_changed, key_dropped, retyped, hostile, doubled)
}


def damaged(kind: LockKind, content: bytes, *, how: str, number: int) -> bytes:
    """The content with the damage of this kind and number; as it is where there is nothing left to damage."""
    try:
        return DAMAGES[how](kind, content, Random(f"{kind} {how} {number}"))
    except (ValueError, RecursionError, IndexError, TypeError):
        return content  # Damaged before, so that it cannot be read, or holds what cannot be written.


def _changed(kind: LockKind, content: bytes, random: Random, change: Callable[[Any, Step], None]) -> bytes:
    """The content read, changed at one place, and written again."""
    document = _read(kind, content)
    holder, step = random.choice(list(_places(document)))
    change(holder, step)
    return _written(kind, document)


def _places(value: Any) -> Iterator[tuple[Any, Step]]:
    """Every key and item anywhere in it, with what holds it."""
    for step in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, step
        if isinstance(value[step], dict | list):
            yield from _places(value[step])


def _read(kind: LockKind, content: bytes) -> Any:
    text = content.decode()
    if kind == "requirements":
        return [re.split(r"(?<=[ =:;@])", line) for line in text.splitlines()]
    return json.loads(text) if kind == "pipfile" else tomllib.loads(text)


def _written(kind: LockKind, document: Any) -> bytes:
    if kind == "requirements":
        return "".join(f"{line if isinstance(line, str) else ''.join(map(str, line))}\n" for line in document).encode()
    return json.dumps(document, indent=4).encode() if kind == "pipfile" else tomli_w.dumps(document).encode()


def _fitting(kind: LockKind, value: object) -> object:
    """The value, or another one where the syntax has none such."""
    if kind == "pipfile":
        return str(value) if isinstance(value, dt.date) else value
    return False if value is None else value
