"""JSON lock files as tables like those of TOML, with the same errors: file, line, column, place, key."""

import codecs
import json
import re

from storectl_store.selection.tables.positions import Position, deep_position, json_position, position_at
from storectl_store.selection.tables.toml_table import DAMAGED, MAX_DIGITS, Document, Table, decoded_text, error_at

_NUMBER_TOO_LONG = re.compile(rf"[0-9]{{{MAX_DIGITS + 1}}}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(content: bytes, file: str) -> Table:
    """The top object of a JSON file. Raises LockFileError ``file:line:column: what`` if it is none."""
    content = content.removeprefix(codecs.BOM_UTF8)
    text = decoded_text(content, file)
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        position = Position(line=error.lineno, column=error.colno)
        raise error_at(file, position, error.msg, hint=DAMAGED) from error
    except RecursionError as error:
        raise error_at(file, deep_position(text), "brackets nested too deep", hint=DAMAGED) from error
    except ValueError as error:
        # The only other thing that the decoder refuses.
        digits = _NUMBER_TOO_LONG.search(text)
        position = position_at(text, digits.start() if digits else 0)
        raise error_at(file, position, f"a number of more than {MAX_DIGITS} digits", hint=DAMAGED) from error
    _check_text(values, text, file)
    top = Table(values={}, file=file, document=Document(content=content, find=json_position))
    if not isinstance(values, dict):
        raise top.error("must be an object", hint=DAMAGED)
    return Table(values=values, file=file, document=top.document)


def _check_text(values: object, text: str, file: str) -> None:
    """Raise LockFileError if a string has half a surrogate pair.

    JSON can write it, but no file name or address can hold it.
    """
    found = _SURROGATE.search(text)
    if found is None:
        return
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise error_at(file, position_at(text, found.start()), "half a surrogate pair", hint=DAMAGED) from error
