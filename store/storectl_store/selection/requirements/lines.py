"""The logical lines of a requirements file: decoded, continued, without comments, with ``${NAME}`` replaced.

The order is pip's: continuations are joined first, then comments go, then variables are replaced.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from storectl_store.errors import LockFileError

_BOMS = (  # the longer ones first: the UTF-16 mark begins the little-endian UTF-32 one
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FOR_HOST_NAMES = frozenset({"punycode", "idna"})  # no file is in these, and reading takes the square of its size
_MAX_LINE = 128 * 1024  # 1,500 hashes, ten times those of any real project.
_ENCODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_COMMENT = re.compile(r"(?<!\S)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One logical line of a file; ``number`` is that of its first physical line, counted from 1."""

    file: str
    number: int
    text: str

    def error(self, what: str, *, hint: str | None = None, **facts: Any) -> LockFileError:
        """The error ``file:line: what`` for this line."""
        return LockFileError(f"{self.file}:{self.number}: {what}", hint=hint, path=self.file, line=self.number, **facts)


def logical_lines(file: str, content: bytes, variables: Mapping[str, str]) -> Iterator[Line]:
    """The logical lines that say something. Variables that are not given stay as they are.

    Raises LockFileError if the file is not text, or if a line is longer than any real one.
    """
    for number, joined in _joined(decoded(file, content)):
        if len(joined) > _MAX_LINE:
            raise Line(file=file, number=number, text="").error(f"a line of {len(joined)} characters")
        text = _COMMENT.sub("", joined).strip()
        if text:
            yield Line(file=file, number=number, text=with_variables(text, variables))


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """The text with each ``${NAME}`` replaced; one that is not set stays as it is."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)


def used_variables(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that the text names as ``${NAME}``: name -> value."""
    names = {match[1] for match in _VARIABLE.finditer(text)}
    return {name: variables[name] for name in names if name in variables}


def variables_in(file: str, content: bytes, variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that the file uses outside of comments: name -> value.

    Raises LockFileError if it is no text.
    """
    lines = logical_lines(file, content, {})
    names = {match[1] for line in lines for match in _VARIABLE.finditer(line.text)}
    return {name: variables[name] for name in names if name in variables}


def decoded(file: str, content: bytes) -> str:
    """The text, decoded. Raises LockFileError if it is not text in its encoding.

    The encoding is that of its byte order mark, else of a coding comment (PEP 263) in the first two lines, else UTF-8.
    """
    encoding, body = _encoding(content)
    try:
        return _text(body, encoding)
    except UnicodeDecodeError as error:
        number = body[: error.start].decode(encoding, "replace").count("\n") + 1
        raise Line(file=file, number=number, text="").error(f"not text in {encoding[:40]!r}") from error
    except (UnicodeError, LookupError) as error:
        raise Line(file=file, number=1, text="").error(f"not text in {encoding[:40]!r}") from error


def _text(content: bytes, encoding: str) -> str:
    if codecs.lookup(encoding).name in _FOR_HOST_NAMES:
        raise LookupError(encoding)
    return content.decode(encoding)


def _encoding(content: bytes) -> tuple[str, bytes]:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return encoding, content[len(mark) :]
    for line in content.split(b"\n", 2)[:2]:
        if line.startswith(b"#") and (match := _ENCODING.search(line)):
            return match[1].decode("ascii", "replace"), content
    return "utf-8", content


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Join each physical line that ends in a backslash with the next one. A comment line ends a continuation."""
    parts: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), start=1):
        first = first if parts else number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment:
            parts.append(line.removesuffix("\\"))
            continue
        # The blank keeps the comment a comment if it is joined to a line before it.
        yield first, "".join([*parts, f" {line}" if is_comment else line])
        parts = []
    if parts:
        yield first, "".join(parts)
